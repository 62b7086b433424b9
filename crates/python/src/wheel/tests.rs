use std::error::Error;
use std::io::Cursor;

use minke_cas::Mode;
use minke_testkit::{Wheel, WheelFault as Fault, ZipEntry, ZipLie, sha256_urlsafe, zip};
use proptest::prelude::*;

use super::*;

fn venv() -> Venv {
    Venv {
        root: "/app/.venv".parse().unwrap(),
        python: "3.13.5".parse().unwrap(),
        interpreter: "/usr/bin/python3.13".parse().unwrap(),
    }
}

fn dependency() -> Provenance {
    Provenance { direct_url: None, request: Request::Dependency }
}

struct Bench {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { _directory: directory, store }
    }

    fn install_bytes(&self, name: &str, bytes: &[u8], why: &Provenance) -> Result<Installed, WheelError> {
        let (reader, digest) = (Cursor::new(bytes.to_vec()), Digest::of(bytes));
        install(&self.store, WheelFile { reader, name: name.parse().unwrap(), digest }, &venv(), why)
    }

    fn install(&self, wheel: &Wheel) -> Installed {
        self.install_bytes(&wheel.file_name(), &wheel.build(), &dependency()).unwrap()
    }

    /// What the error and its sources say, a line each.
    fn refusal(&self, name: &str, bytes: &[u8]) -> String {
        let error = self.install_bytes(name, bytes, &dependency()).unwrap_err();
        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            said = format!("{said}\n  {error}");
            cause = error.source();
        }
        said
    }

    fn text(&self, installed: &Installed, path: &str) -> String {
        let file = installed.tree.resolve_file(&path.parse().unwrap()).unwrap();
        String::from_utf8(self.store.read_file(file).unwrap()).unwrap()
    }
}

/// What is said of a wheel `hello 1.0` that one thing is wrong with, without the first line, which is the same.
fn fault(wheel: Wheel) -> String {
    let said = Bench::new().refusal(&wheel.file_name(), &wheel.build());
    said.strip_prefix("`hello-1.0-py3-none-any.whl` cannot be installed\n  ").unwrap().to_owned()
}

fn hello() -> Wheel {
    Wheel::new("hello", "1.0").file("hello.py", "print('hello')\n")
}

/// A wheel `hello 1.0` of its metadata and these members, which `record` lists.
fn with_record(members: &[ZipEntry], record: &str) -> Vec<u8> {
    let mut all = vec![
        ZipEntry::file("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
        ZipEntry::file("hello-1.0.dist-info/METADATA", "Name: hello\nVersion: 1.0\n"),
    ];
    let line = |entry: &ZipEntry| {
        format!("{},sha256={},\n", String::from_utf8_lossy(&entry.name), sha256_urlsafe(&entry.content))
    };
    let own: String = all.iter().map(line).collect();
    all.extend(members.iter().cloned());
    all.push(ZipEntry::file("hello-1.0.dist-info/RECORD", format!("{record}{own}")));
    zip(&all)
}

fn whole() -> Wheel {
    Wheel::new("Toy.Hello", "1.0")
        .tag("cp313-cp313-manylinux_2_17_x86_64")
        .file("toy_hello/__init__.py", "def main():\n    print('hello')\n")
        .file("toy_hello/data,1.txt", "x")
        .executable("toy_hello/tool", "\u{7f}ELF")
        .file("toy_hello/__pycache__/__init__.cpython-313.pyc", "bytecode")
        .file("toy_hello.pth", "import toy_hello\n")
        .file("Toy_Hello-1.0.dist-info/INSTALLER", "stranger")
        .file("Toy_Hello-1.0.dist-info/REQUESTED", "")
        .data_script("toy-script", "#!python -u\nprint('script')\n")
        .data_script("toy-window", "#!pythonw\r\nprint('window')\n")
        .data_script("toy-binary", "\u{7f}ELF")
        .data_file("data", "share/toy/x.txt", "shared")
        .data_file("data", "lib64/toy.txt", "sixty-four")
        .data_file("headers", "toy.h", "int toy;")
        .data_file("purelib", "toy_pure.py", "pure")
        .data_file("platlib", "toy_plat.py", "plat")
        .raw_zip_entry(ZipEntry::dir("toy_hello/empty/"))
        .entry_point("toy-hello", "toy_hello:main [extra]")
        .entry_point_in("gui_scripts", "toy-gui", "toy_hello.gui:App.run")
        .requires_python(">=3.8")
}

#[test]
fn every_scheme_goes_to_its_place() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let files = installed.tree.files().map(|(path, file)| format!("{path} {} {}", file.mode, file.size));
    insta::assert_snapshot!(files.collect::<Vec<_>>().join("\n"), @r"
    /app/.venv/bin/toy-binary 0755 4
    /app/.venv/bin/toy-gui 0755 118
    /app/.venv/bin/toy-hello 0755 112
    /app/.venv/bin/toy-script 0755 43
    /app/.venv/bin/toy-window 0755 41
    /app/.venv/include/site/python3.13/toy-hello/toy.h 0644 8
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/INSTALLER 0644 6
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/METADATA 0644 74
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/RECORD 0644 1441
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/WHEEL 0644 101
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/entry_points.txt 0644 101
    /app/.venv/lib/python3.13/site-packages/toy_hello/__init__.py 0644 31
    /app/.venv/lib/python3.13/site-packages/toy_hello/data,1.txt 0644 1
    /app/.venv/lib/python3.13/site-packages/toy_hello/tool 0755 4
    /app/.venv/lib/python3.13/site-packages/toy_hello.pth 0644 17
    /app/.venv/lib/python3.13/site-packages/toy_plat.py 0644 4
    /app/.venv/lib/python3.13/site-packages/toy_pure.py 0644 4
    /app/.venv/lib/toy.txt 0644 10
    /app/.venv/share/toy/x.txt 0644 6
    ");
}

#[test]
fn what_is_known_of_a_wheel_is_handed_back() {
    let Installed { tree: _, warnings, dist_info, console_scripts, gui_scripts, .. } =
        Bench::new().install(&whole());
    assert_eq!(dist_info.as_str(), "/app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info");
    assert_eq!(
        (console_scripts, gui_scripts),
        (["toy-hello".to_owned()].into(), ["toy-gui".to_owned()].into())
    );
    assert_eq!(warnings, [Warning::Bytecode { files: 1, bytes: 8 }]);
    let installed = Bench::new().install(&whole());
    assert_eq!(installed.name.as_str(), "toy-hello");
    assert_eq!(installed.requires_python, Some(">=3.8".parse().unwrap()));
    assert!(!installed.root_is_purelib);
}

#[test]
fn scripts_start_with_the_environments_interpreter() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let text = |name: &str| bench.text(&installed, &format!("/app/.venv/bin/{name}"));
    assert_eq!(text("toy-script"), "#!/app/.venv/bin/python -u\nprint('script')\n");
    assert_eq!(text("toy-window"), "#!/app/.venv/bin/python\r\nprint('window')\n");
    assert_eq!(text("toy-binary"), "\u{7f}ELF");
    insta::assert_snapshot!(text("toy-gui"), @r#"
    #!/app/.venv/bin/python
    import sys

    from toy_hello.gui import App

    if __name__ == "__main__":
        sys.exit(App.run())
    "#);
}

#[test]
fn record_lists_what_was_installed() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let dist_info = installed.dist_info.join_str("RECORD").unwrap();
    let text = bench.text(&installed, dist_info.as_str());
    insta::assert_snapshot!(text, @r#"
    ../../../bin/toy-binary,sha256=O9u0_oOXzSuEJDCznM_wGoZjx1GUXvXpoJ4mf7ix01k,4
    ../../../bin/toy-gui,sha256=O02C9kJgF57kFyuQ8dmJpdQvV21VrjCBTyxiAFAocec,118
    ../../../bin/toy-hello,sha256=b07ZK4gr6WmvvAfwmWCNXrveLJvJ-rUaS-RwKRLC4y8,112
    ../../../bin/toy-script,sha256=Ce52o6cMn9bulCC5UzSvRg9q-k5GhRMruSCETNcDg3Y,43
    ../../../bin/toy-window,sha256=njCymIVsOX4TRAOY5Om2rjC2j1sZwYg0_3DxCCL9xAg,41
    ../../../include/site/python3.13/toy-hello/toy.h,sha256=MInae49pMuVEzW2sO6pPH04JbsJRHimJMkxYOhqL3JY,8
    ../../../share/toy/x.txt,sha256=pNJoaAF8DM_-Lv5QlE70IRg0ZgzKg0xun4bexqiCRvo,6
    ../../toy.txt,sha256=v50ZetfUsQ4SVcOa0o8t5N17L-pFPo3QUhO7JLazaDY,10
    Toy_Hello-1.0.dist-info/INSTALLER,sha256=LW_V3sfGnYSAe36Zi_x0HiTQrg85BTu_pk6B16VB2BQ,6
    Toy_Hello-1.0.dist-info/METADATA,sha256=U-D-tFgDt_d1IjpcR2wihzlc8zd07tjhZCQSJH2u2oo,74
    Toy_Hello-1.0.dist-info/RECORD,,
    Toy_Hello-1.0.dist-info/WHEEL,sha256=izJQVjOqiVox9a0Zlwh4fefuIMOl_FbgMXFFJfwmvN0,101
    Toy_Hello-1.0.dist-info/entry_points.txt,sha256=1zo6Vk8QA0lT0hjmjG1thWAveVlXHOk8lf1_OnDh7vE,101
    toy_hello.pth,sha256=v-KD9P6qB9yXe73kYPeEGp3KR3LICOGIyLcVvr3jxrY,17
    toy_hello/__init__.py,sha256=mOzwLNawIWvgpYOwfUfNbRtdBNj8G47BklT6DBHwEUU,31
    "toy_hello/data,1.txt",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1
    toy_hello/tool,sha256=O9u0_oOXzSuEJDCznM_wGoZjx1GUXvXpoJ4mf7ix01k,4
    toy_plat.py,sha256=zmkRjSVyRoq378C8FIAnnnxi9ZTYk2mYjO9SSp-kApA,4
    toy_pure.py,sha256=uLoux-kHE8EEN3gWSvMlCCCUPCFlyfGfopmH4Baq5d0,4
    "#);

    // The law: RECORD has every file of the tree, with its digest and size, and nothing else.
    let record = Record::parse(&text).unwrap();
    assert_eq!(record.to_text(), text);
    assert_eq!(record.entries.len(), installed.tree.files().count());
}

#[test]
fn the_installer_says_who_and_why() {
    let bench = Bench::new();
    let said = |direct_url| {
        let wheel = hello();
        let why = Provenance { direct_url: Some(direct_url), request: Request::Project };
        let installed = bench.install_bytes(&wheel.file_name(), &wheel.build(), &why).unwrap();
        let text = |file: &str| bench.text(&installed, installed.dist_info.join_str(file).unwrap().as_str());
        assert_eq!((text("INSTALLER"), text("REQUESTED")), ("minke\n".to_owned(), String::new()));
        text("direct_url.json")
    };
    let text = |text: &str| text.to_owned();
    insta::assert_snapshot!(
        [
            said(DirectUrl::Archive { url: text("https://host.test/a.whl"), digest: Some(Digest::of(b"")) }),
            said(DirectUrl::Archive { url: text("https://host.test/a.whl"), digest: None }),
            said(DirectUrl::Directory { url: text("file:///a") }),
            said(DirectUrl::Vcs {
                vcs: text("git"),
                url: text("https://host.test/a.git"),
                requested_revision: Some(text("v1")),
                commit: text("abc"),
            }),
        ]
        .join("\n"),
        @r#"
        {"archive_info":{"hashes":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},"url":"https://host.test/a.whl"}
        {"archive_info":{},"url":"https://host.test/a.whl"}
        {"dir_info":{},"url":"file:///a"}
        {"url":"https://host.test/a.git","vcs_info":{"commit_id":"abc","requested_revision":"v1","vcs":"git"}}
        "#
    );
}

#[test]
fn the_same_wheel_gives_the_same_tree_and_survives_being_stored() {
    let (first, second) = (Bench::new().install(&whole()), Bench::new().install(&whole()));
    assert_eq!(first, second);
    let stored = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Installed>(&stored).unwrap(), first);
}

#[test]
fn contents_lie_in_one_pack_that_another_environment_shares() {
    let bench = Bench::new();
    let bytes = whole().build();
    let pack = PackId::of("wheel-1", &Digest::of(&bytes));
    let first = bench.install(&whole());
    let name = whole().file_name().parse().unwrap();
    let wheel = WheelFile { reader: Cursor::new(&bytes), name, digest: Digest::of(&bytes) };
    let elsewhere = Venv { root: "/opt/venv".parse().unwrap(), ..venv() };
    let second = install(&bench.store, wheel, &elsewhere, &dependency()).unwrap();
    for installed in [first, second] {
        let loose = installed.tree.files().filter(|(_, file)| file.pack != Some(pack)).count();
        assert_eq!(loose, 6, "two scripts with a new first line, two programs, INSTALLER and RECORD");
        for (path, file) in installed.tree.files() {
            assert_eq!(Digest::of(&bench.store.read_file(file).unwrap()), file.content, "{path}");
        }
    }
}

#[test]
fn hashes_better_than_sha256_are_checked_too() {
    let bench = Bench::new();
    let name = "hello-1.0-py3-none-any.whl";
    // Those of an empty file, as openssl says them.
    for record in [
        "a.py,sha384=OLBgp1GsljhM2TJ-sbHjaiH9txEUvgdDTAzHv2P24donTt6_529l-9Ua0vFImLlb,0\n",
        "a.py,sha512=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg,0\n",
    ] {
        let empty = with_record(&[ZipEntry::file("a.py", "")], record);
        assert!(bench.install_bytes(name, &empty, &dependency()).is_ok(), "{record}");
        let other = with_record(&[ZipEntry::file("a.py", "x")], &record.replace(",0\n", ",\n"));
        let said = bench.refusal(name, &other);
        assert!(said.contains("its member `a.py` is not what RECORD says"), "{said}");
    }
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
fn oddities_are_told_but_no_error() {
    let bench = Bench::new();
    let absent = bench.install(&hello().fault(Fault::Absent("gone.py".to_owned())));
    assert_eq!(absent.warnings, [Warning::NotThere { path: "gone.py".to_owned() }]);
    let record = absent.dist_info.join_str("RECORD").unwrap();
    assert!(!bench.text(&absent, record.as_str()).contains("gone.py"));
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

#[test]
fn names_that_differ_in_case_alone_and_beyond_ascii_are_kept() {
    let bench = Bench::new();
    let installed = bench.install(&hello().file("Hello.py", "").file("héllo/日本.txt", "text"));
    let path = "/app/.venv/lib/python3.13/site-packages/héllo/日本.txt";
    assert_eq!(bench.text(&installed, path), "text");
    let modes: Vec<_> = installed.tree.files().map(|(_, file)| file.mode).collect();
    assert!(modes.iter().all(|mode| *mode == Mode::REGULAR));
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
