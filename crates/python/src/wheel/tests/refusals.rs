//! Wheels that nobody should install, and what is said of each.

use minke_testkit::ZipLie;
use proptest::prelude::*;

use super::*;

/// What is said of a wheel `hello 1.0` that one thing is wrong with, without the first line, which is the same.
fn fault(wheel: Wheel) -> String {
    let said = Bench::new().refusal(&wheel.file_name(), &wheel.build());
    said.strip_prefix("`hello-1.0-py3-none-any.whl` cannot be installed\n  ").unwrap().to_owned()
}

#[test]
fn each_fault_is_named_with_its_member() {
    let init = || "hello.py".to_owned();
    let faults = [
        Fault::NoRecord,
        Fault::NoWheelFile,
        Fault::NoMetadata,
        Fault::WrongHash(init()),
        Fault::WrongSize(init()),
        Fault::Unrecorded(init()),
        Fault::NoHash(init()),
        Fault::WeakHash(init()),
        Fault::NewerFormat,
        Fault::OtherName,
        Fault::Truncated(300),
        Fault::Zip(init(), ZipLie::LocalName(b"other.py".to_vec())),
        Fault::Zip(init(), ZipLie::Size(3)),
        Fault::Zip(init(), ZipLie::Size(4_000_000_000)),
        Fault::Zip(init(), ZipLie::Size(300_000)),
        Fault::Zip(init(), ZipLie::Checksum),
        Fault::Zip(init(), ZipLie::Encrypted),
        Fault::Zip(init(), ZipLie::Method),
    ];
    let said = faults.map(|one| format!("{one:?}\n  {}", fault(hello().fault(one.clone()))));
    insta::assert_snapshot!(said.join("\n"), @r#"
    NoRecord
      it has no `hello-1.0.dist-info/RECORD`
    NoWheelFile
      it has no `hello-1.0.dist-info/WHEEL`
    NoMetadata
      it has no `hello-1.0.dist-info/METADATA`
    WrongHash("hello.py")
      its member `hello.py` is not what RECORD says; it is sha256:03e693d9f2f687e0f40e36a8df7fcb4d1c22974012b7c2a55c000eb30f305824
    WrongSize("hello.py")
      its member `hello.py` has 15 bytes, not 16
    Unrecorded("hello.py")
      its RECORD has no hash of `hello.py`
    NoHash("hello.py")
      its RECORD has no hash of `hello.py`
    WeakHash("hello.py")
      its RECORD cannot be used
      RECORD's hash of `hello.py` is `md5=1B2M2Y8AsgTpgAmY7PhCfg`; sha256, sha384 or sha512 is needed
    NewerFormat
      its `Wheel-Version` is `2.0`; only 1.x is known
    OtherName
      its METADATA is that of `other` 9.9
    Truncated(300)
      it is not a sound zip file
      invalid Zip archive: Could not find EOCD
    Zip("hello.py", LocalName([111, 116, 104, 101, 114, 46, 112, 121]))
      it is not a sound zip file
      invalid Zip archive: header inconsistency detected: Local file header filename mismatch (does not match central directory)
    Zip("hello.py", Size(3))
      its member `hello.py` cannot be unpacked
      File is larger than its declared uncompressed size
    Zip("hello.py", Size(4000000000))
      its 845 bytes would unpack to 4000000381, which no wheel does
    Zip("hello.py", Size(300000))
      its member `hello.py` has 15 bytes, not 300000
    Zip("hello.py", Checksum)
      its member `hello.py` cannot be unpacked
      Invalid checksum
    Zip("hello.py", Encrypted)
      its member `hello.py` is encrypted
    Zip("hello.py", Method)
      its member `hello.py` cannot be unpacked
      compression method not supported: 77
    "#);
}

#[test]
fn a_name_that_could_leave_the_environment_is_refused() {
    let long = "x".repeat(300);
    let names =
        ["../evil.py", "a/../../evil.py", "/etc/passwd", "a\\b.py", "a//b.py", "./a.py", "a\nb.py", &long];
    let said = names.map(|name| fault(hello().file(name, "")));
    insta::assert_snapshot!(said.join("\n").replace(&long, "LONG"), @r"
    its member `../evil.py` has a name that has an empty, `.`, `..` or overlong component
    its member `a/../../evil.py` has a name that has an empty, `.`, `..` or overlong component
    its member `/etc/passwd` has a name that is absolute
    its member `a\\b.py` has a name that has a backslash
    its member `a//b.py` has a name that has an empty, `.`, `..` or overlong component
    its member `./a.py` has a name that has an empty, `.`, `..` or overlong component
    its member `a\nb.py` has a name that has a control character
    its member `LONG` has a name that has an empty, `.`, `..` or overlong component
    ");
    assert_eq!(
        fault(hello().raw_zip_entry(ZipEntry::file(b"\xff.py".to_vec(), ""))),
        "its member `\u{fffd}.py` has a name that is not UTF-8"
    );
}

#[test]
fn links_devices_and_pipes_are_refused() {
    let of_mode = |mode| hello().raw_zip_entry(ZipEntry { mode, ..ZipEntry::file("odd", "hello.py") });
    let said =
        [0o120_777, 0o020_666, 0o060_666, 0o010_644, 0o140_777, 0o040_755].map(|mode| fault(of_mode(mode)));
    insta::assert_snapshot!(said.join("\n"), @r"
    its member `odd` is neither a file nor a directory (mode 120777)
    its member `odd` is neither a file nor a directory (mode 20666)
    its member `odd` is neither a file nor a directory (mode 60666)
    its member `odd` is neither a file nor a directory (mode 10644)
    its member `odd` is neither a file nor a directory (mode 140777)
    its member `odd` is neither a file nor a directory (mode 40755)
    ");
}

#[test]
fn two_members_at_one_place_are_refused() {
    let said = [
        fault(hello().file("hello.py", "other")),
        fault(hello().data_file("purelib", "hello.py", "print('hello')\n")),
        fault(hello().file("hello.py/below.py", "")),
        fault(hello().data_file("data", "lib/python3.13/site-packages/hello.py", "")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    its zip directory lists a name twice
    two of its members go to `/app/.venv/lib/python3.13/site-packages/hello.py`
    its members don't form a tree
      `/app/.venv/lib/python3.13/site-packages/hello.py/below.py` cannot be placed: `/app/.venv/lib/python3.13/site-packages/hello.py` is not a directory
    two of its members go to `/app/.venv/lib/python3.13/site-packages/hello.py`
    ");
}

#[test]
fn the_environments_own_files_are_not_replaced() {
    let said = [
        fault(hello().data_script("python", "#!/bin/sh\n")),
        fault(hello().data_script("python3.13", "#!/bin/sh\n")),
        fault(hello().data_file("data", "pyvenv.cfg", "")),
        fault(hello().data_file("data", "bin/python3/x", "")),
        fault(hello().data_file("data", "lib64", "")),
        fault(hello().entry_point("python3", "hello:main")),
        fault(hello().entry_point("../python3", "hello:main")),
        fault(hello().entry_point("hello", "hello")),
        fault(hello().entry_point("hello", "hello:main();evil")),
        fault(hello().data_file("conda", "x", "")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    its member `hello-1.0.data/scripts/python` would replace `/app/.venv/bin/python`
    its member `hello-1.0.data/scripts/python3.13` would replace `/app/.venv/bin/python3.13`
    its member `hello-1.0.data/data/pyvenv.cfg` would replace `/app/.venv/pyvenv.cfg`
    its member `hello-1.0.data/data/bin/python3/x` would replace `/app/.venv/bin/python3/x`
    its member `hello-1.0.data/data/lib64` would replace `/app/.venv/lib64`
    its member `python3` would replace `/app/.venv/bin/python3`
    its program `../python3` cannot be made from `hello:main`
    its program `hello` cannot be made from `hello`
    its program `hello` cannot be made from `hello:main();evil`
    its member `hello-1.0.data/conda/x` is in no known scheme (purelib, platlib, headers, scripts, data)
    ");
}

#[test]
fn there_is_one_dist_info_directory_with_the_wheels_name() {
    let bench = Bench::new();
    let said = [
        fault(hello().file("other-2.0.dist-info/METADATA", "")),
        bench.refusal("other-1.0-py3-none-any.whl", &hello().build()),
        bench.refusal("hello-1.1-py3-none-any.whl", &hello().build()),
        bench.refusal("hello-1.0-py3-none-any.whl", &zip(&[ZipEntry::file("hello.py", "")])),
        bench.refusal("hello-1.0-py3-none-any.whl", b"not a zip file"),
        bench.refusal("hello-1.0-py3-none-any.whl", b""),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    it needs exactly one `.dist-info` directory, named like itself; it has hello-1.0.dist-info, other-2.0.dist-info
    `other-1.0-py3-none-any.whl` cannot be installed
      it needs exactly one `.dist-info` directory, named like itself; it has hello-1.0.dist-info
    `hello-1.1-py3-none-any.whl` cannot be installed
      it needs exactly one `.dist-info` directory, named like itself; it has hello-1.0.dist-info
    `hello-1.0-py3-none-any.whl` cannot be installed
      it needs exactly one `.dist-info` directory, named like itself; it has none
    `hello-1.0-py3-none-any.whl` cannot be installed
      it is not a sound zip file
      invalid Zip archive: Could not find EOCD
    `hello-1.0-py3-none-any.whl` cannot be installed
      it is not a sound zip file
      invalid Zip archive: Could not find EOCD
    ");
    // Other spellings of the same name and version are the same.
    let other = Wheel::new("Hello.World", "1.0.0");
    assert!(bench.install_bytes("hello_world-1.0-py3-none-any.whl", &other.build(), &dependency()).is_ok());
}

#[test]
fn metadata_that_cannot_be_used_is_refused() {
    let with = |file: &str, text: &[u8]| {
        let mut members = vec![
            ZipEntry::file("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
            ZipEntry::file("hello-1.0.dist-info/METADATA", "Name: hello\nVersion: 1.0\n"),
            ZipEntry::file("hello-1.0.dist-info/RECORD", ""),
            ZipEntry::file("hello-1.0.dist-info/entry_points.txt", ""),
        ];
        let member = members.iter_mut().find(|entry| entry.name.ends_with(file.as_bytes())).unwrap();
        member.content = text.to_vec();
        Bench::new().refusal("hello-1.0-py3-none-any.whl", &zip(&members))
    };
    let said = [
        with("WHEEL", b""),
        with("WHEEL", b"Wheel-Version: 1.0\n"),
        with("WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: perhaps\n"),
        with("WHEEL", b"Wheel-Version: one\nRoot-Is-Purelib: true\n"),
        with("METADATA", b"Name: hello\n"),
        with("METADATA", b"\xff"),
        with("RECORD", b"one field\n"),
        with("entry_points.txt", b"[console_scripts]\nnonsense\n"),
    ];
    insta::assert_snapshot!(said.join("\n").replace("`hello-1.0-py3-none-any.whl` cannot be installed\n", ""), @r"
    its WHEEL cannot be used
    it has no `Wheel-Version`
    its WHEEL cannot be used
    it has no `Root-Is-Purelib`
    its WHEEL cannot be used
    its `Root-Is-Purelib` is `perhaps`
    its `Wheel-Version` is `one`; only 1.x is known
    its METADATA cannot be used
    it has no `Version`
    its member `hello-1.0.dist-info/METADATA` is not UTF-8
    its RECORD cannot be used
    line 1 of RECORD is not `path,hash,size`
    its entry_points.txt cannot be used
    line 2 of entry_points.txt is neither a `[group]` nor `name = value`
    ");
}

#[test]
fn a_refused_wheel_leaves_nothing_in_the_store() {
    let bench = Bench::new();
    let wheel = hello().file("second.py", "").fault(Fault::WrongHash("second.py".to_owned()));
    let bytes = wheel.build();
    bench.refusal(&wheel.file_name(), &bytes);
    assert!(!bench.store.has_pack(PackId::of("wheel-1", &Digest::of(&bytes))));
    assert!(!bench.store.has(&Digest::of(b"print('hello')\n")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A wheel with any byte changed installs the same tree or is refused: nothing panics, nothing else gets in.
    ///
    /// The dates and other fields that nobody reads may change.
    #[test]
    fn a_damaged_wheel_is_refused_or_harmless(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let bench = Bench::new();
        let wheel = hello().data_script("run", "#!python\n");
        let mut bytes = wheel.build();
        let good = bench.install(&wheel);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(installed) = bench.install_bytes(&wheel.file_name(), &bytes, &dependency()) {
            let contents = |installed: &Installed| -> Vec<_> {
                installed.tree.files().map(|(path, file)| (path, file.content)).collect()
            };
            prop_assert_eq!(contents(&installed), contents(&good));
        }
    }
}
