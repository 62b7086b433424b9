//! What a hostile or broken wheel may try. None of it is in the store afterwards, and each is named.

use insta::assert_snapshot;
use minke_testkit::{Wheel, WheelFault, ZipEntry, ZipLie, elf_shared_object};

use crate::town::Town;

fn toy() -> Wheel {
    Wheel::new("toy", "1.0").file("toy.py", "A = 1\n")
}

/// Builds with each wheel and collects what is said, without what is the same each time.
fn refusals(wheels: Vec<(&str, Wheel)>) -> Option<String> {
    let town = Town::with(&[])?;
    town.write("shop/main.py", "");
    let mut report = String::new();
    for (name, wheel) in wheels {
        town.write("toy-1.0-py3-none-any.whl", wheel.build());
        town.write(
            "shop/pylock.toml",
            format!(
                "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy\"\nversion = \"1.0\"\n\
                 wheels = [{{ name = \"toy-1.0-py3-none-any.whl\", path = \"../toy-1.0-py3-none-any.whl\", \
                 hashes = {{ sha256 = \"{}\" }} }}]\n",
                minke_testkit::sha256_hex(&wheel.build())
            ),
        );
        let ran = town.minke(&["build", "-q", "shop"]);
        if ran.status == 0 {
            report.push_str(&format!("{name}: ACCEPTED\n"));
            town.minke(&["rmi", "shop"]);
            continue;
        }
        let seen = ran.seen();
        let reasons = seen
            .strip_prefix(
                "status: 1\nstderr: error: cannot install what the project needs\n  because: cannot install a wheel\n  \
                 because: `toy-1.0-py3-none-any.whl` cannot be installed\n  because: ",
            )
            .unwrap_or_else(|| panic!("{name}: {seen}"));
        let reasons: Vec<&str> = reasons
            .lines()
            .filter(|line| !line.starts_with("  help: "))
            .map(|line| line.trim().trim_start_matches("because: "))
            .collect();
        report.push_str(&format!("{name}: {}\n", reasons.join(" / ")));
    }
    town.still_builds();
    Some(report)
}

#[test]
fn names_that_lead_elsewhere() {
    let file = |name: &str| toy().file(name, "x");
    let Some(report) = refusals(vec![
        ("above", file("../../etc/passwd")),
        ("above in the middle", file("toy/../../x.py")),
        ("absolute", file("/etc/passwd")),
        ("backslash", file("toy\\..\\x.py")),
        ("dot", file("toy/./x.py")),
        ("empty part", file("toy//x.py")),
        ("NUL", file("toy\0.py")),
        ("newline", file("toy\n.py")),
        ("above in data", toy().data_file("data", "../../../../etc/passwd", "x")),
        ("above in scripts", toy().data_script("../python", "x")),
        ("unknown scheme", toy().data_file("etc", "passwd", "x")),
        ("not UTF-8", toy().raw_zip_entry(ZipEntry::file(b"toy\xff.py".to_vec(), "x"))),
        ("link", toy().symlink("toy_link", "/etc/passwd")),
        ("device", toy().raw_zip_entry(ZipEntry { mode: 0o020_666, ..ZipEntry::file("toy_null", "") })),
    ]) else {
        return;
    };
    assert_snapshot!(report, @r"
    above: its member `../../etc/passwd` has a name that has an empty, `.`, `..` or overlong component
    above in the middle: its member `toy/../../x.py` has a name that has an empty, `.`, `..` or overlong component
    absolute: its member `/etc/passwd` has a name that is absolute
    backslash: its member `toy\\..\\x.py` has a name that has a backslash
    dot: its member `toy/./x.py` has a name that has an empty, `.`, `..` or overlong component
    empty part: its member `toy//x.py` has a name that has an empty, `.`, `..` or overlong component
    NUL: its member `toy\0.py` has a name that has a control character
    newline: its member `toy\n.py` has a name that has a control character
    above in data: its member `toy-1.0.data/data/../../../../etc/passwd` has a name that has an empty, `.`, `..` or overlong component
    above in scripts: its member `toy-1.0.data/scripts/../python` has a name that has an empty, `.`, `..` or overlong component
    unknown scheme: its member `toy-1.0.data/etc/passwd` is in no known scheme (purelib, platlib, headers, scripts, data)
    not UTF-8: its member `toy�.py` has a name that is not UTF-8
    link: its member `toy_link` is neither a file nor a directory (mode 120777)
    device: its member `toy_null` is neither a file nor a directory (mode 20666)
    ");
}

#[test]
fn what_would_replace_a_part_of_the_environment() {
    let Some(report) = refusals(vec![
        ("the interpreter", toy().data_script("python", "x")),
        ("the interpreter, by its version", toy().data_script("python3.11", "x")),
        ("the configuration", toy().data_file("data", "pyvenv.cfg", "x")),
        ("a program", toy().entry_point("python3", "toy:main")),
        ("a program above", toy().entry_point("../../python", "toy:main")),
        ("a program that is code", toy().entry_point("toy", "toy:main(); import os")),
        ("a file below a file", toy().file("toy.py/x.py", "")),
        ("two for one place", toy().data_file("purelib", "toy.py", "other")),
    ]) else {
        return;
    };
    assert_snapshot!(report, @r"
    the interpreter: its member `toy-1.0.data/scripts/python` would replace `/app/.venv/bin/python`
    the interpreter, by its version: its member `toy-1.0.data/scripts/python3.11` would replace `/app/.venv/bin/python3.11`
    the configuration: its member `toy-1.0.data/data/pyvenv.cfg` would replace `/app/.venv/pyvenv.cfg`
    a program: its member `python3` would replace `/app/.venv/bin/python3`
    a program above: its program `../../python` cannot be made from `toy:main`
    a program that is code: its program `toy` cannot be made from `toy:main(); import os`
    a file below a file: its members don't form a tree / `/app/.venv/lib/python3.11/site-packages/toy.py/x.py` cannot be placed: `/app/.venv/lib/python3.11/site-packages/toy.py` is not a directory
    two for one place: two of its members go to `/app/.venv/lib/python3.11/site-packages/toy.py`
    ");
}

#[test]
fn archives_that_lie() {
    let lying = |lie| toy().fault(WheelFault::Zip("toy.py".to_owned(), lie));
    let bomb = toy().file("zeros", vec![0; 300 << 20]);
    let Some(report) = refusals(vec![
        ("twice", toy().file("toy.py", "B = 2\n")),
        ("another name inside", lying(ZipLie::LocalName(b"other.py".to_vec()))),
        ("smaller than it is", lying(ZipLie::Size(1))),
        ("larger than it is", lying(ZipLie::Size(100))),
        ("checksum", lying(ZipLie::Checksum)),
        ("encrypted", lying(ZipLie::Encrypted)),
        ("unknown compression", lying(ZipLie::Method)),
        ("cut short", toy().fault(WheelFault::Truncated(200))),
        ("empty", toy().fault(WheelFault::Truncated(0))),
        ("a bomb", bomb),
    ]) else {
        return;
    };
    assert_snapshot!(report, @r"
    twice: its zip directory lists a name twice
    another name inside: it is not a sound zip file / invalid Zip archive: header inconsistency detected: Local file header filename mismatch (does not match central directory)
    smaller than it is: its member `toy.py` cannot be unpacked / File is larger than its declared uncompressed size
    larger than it is: its member `toy.py` has 6 bytes, not 100
    checksum: its member `toy.py` cannot be unpacked / Invalid checksum
    encrypted: its member `toy.py` is encrypted
    unknown compression: its member `toy.py` cannot be unpacked / compression method not supported: 77
    cut short: it is not a sound zip file / invalid Zip archive: Could not find EOCD
    empty: it is not a sound zip file / invalid Zip archive: Could not find EOCD
    a bomb: its 3040757 bytes would unpack to 314573243, which no wheel does
    ");
}

#[test]
fn records_that_lie() {
    let faulty = |fault| toy().fault(fault);
    let path = || "toy.py".to_owned();
    let Some(report) = refusals(vec![
        ("no RECORD", faulty(WheelFault::NoRecord)),
        ("no WHEEL", faulty(WheelFault::NoWheelFile)),
        ("no METADATA", faulty(WheelFault::NoMetadata)),
        ("hash", faulty(WheelFault::WrongHash(path()))),
        ("size", faulty(WheelFault::WrongSize(path()))),
        ("unrecorded", faulty(WheelFault::Unrecorded(path()))),
        ("no hash", faulty(WheelFault::NoHash(path()))),
        ("weak hash", faulty(WheelFault::WeakHash(path()))),
        ("newer format", faulty(WheelFault::NewerFormat)),
        ("another distribution's", faulty(WheelFault::OtherName)),
        ("two distributions", toy().file("other-1.dist-info/METADATA", "")),
    ]) else {
        return;
    };
    assert_snapshot!(report, @r"
    no RECORD: it has no `toy-1.0.dist-info/RECORD`
    no WHEEL: it has no `toy-1.0.dist-info/WHEEL`
    no METADATA: it has no `toy-1.0.dist-info/METADATA`
    hash: its member `toy.py` is not what RECORD says; it is sha256:06edbcf4336165a271e6524025a6439c3caa3246fd0796f116772279707a5325
    size: its member `toy.py` has 6 bytes, not 7
    unrecorded: its RECORD has no hash of `toy.py`
    no hash: its RECORD has no hash of `toy.py`
    weak hash: its RECORD cannot be used / RECORD's hash of `toy.py` is `md5=1B2M2Y8AsgTpgAmY7PhCfg`; sha256, sha384 or sha512 is needed
    newer format: its `Wheel-Version` is `2.0`; only 1.x is known
    another distribution's: its METADATA is that of `other` 9.9
    two distributions: it needs exactly one `.dist-info` directory, named like itself; it has other-1.dist-info, toy-1.0.dist-info
    ");
}

#[test]
fn what_is_recorded_and_absent_is_odd_but_harmless() {
    let wheel = toy().fault(WheelFault::Absent("toy_lost.py".to_owned()));
    let Some(town) = Town::with(std::slice::from_ref(&wheel)) else { return };
    town.project("shop", &[wheel]);
    let said = town.succeeds(&["build", "shop"]).stderr;
    assert_snapshot!(said.lines().filter(|line| line.contains("toy_lost")).collect::<Vec<_>>().join("\n"), @"note: the wheel of toy 1.0 lists `toy_lost.py`, which it does not have");
    assert_eq!(town.succeeds(&["build", "--quiet", "shop"]).stderr, "");
}

#[test]
fn a_library_that_is_damaged_or_for_another_machine_is_no_bug_of_ours() {
    let elf = elf_shared_object("x.so", &["libc.so.6"], None);
    let wheel = Wheel::new("toy", "1.0")
        .file("cut.so", &elf[..elf.len() / 2])
        .file("empty.so", "")
        .file("text.so", "this is text and long enough to be looked at as if it were something else")
        .file("noise.so", [b"\x7fELF\x02\x01\x01".as_slice(), &[0xff; 200]].concat())
        .file(
            "arm.so",
            minke_testkit::ElfObject::new()
                .machine(minke_testkit::Machine::Aarch64)
                .needed("libarm.so.1")
                .build(),
        );
    let Some(town) = Town::with(std::slice::from_ref(&wheel)) else { return };
    town.project("shop", &[wheel]);
    town.builds(&["shop"]);
}

#[test]
fn one_file_of_two_wheels() {
    let one = Wheel::new("toy-one", "1").file("shared/same.py", "A = 1\n").file("shared/other.py", "A = 1\n");
    let two = Wheel::new("toy-two", "1").file("shared/same.py", "A = 1\n").file("shared/other.py", "A = 2\n");
    let Some(town) = Town::with(&[one.clone(), two.clone()]) else { return };
    town.project("shop", &[one.clone(), two.clone()]);
    assert_snapshot!(town.refuses(&["--strict"]), @r"
    status: 1
    stderr: error: cannot put the image together
      because: `/app/.venv/lib/python3.11/site-packages/shared/other.py` comes from toy-one 1 and, different, from toy-two 1
      help: leave one of them out; between two wheels, the later wins without `--strict`
    ");
    assert_snapshot!(town.succeeds(&["build", "-q", "shop", "-o", "oci:layout"]).stderr, @"warning: `/app/.venv/lib/python3.11/site-packages/shared/other.py` of toy-one 1 is replaced by that of toy-two 1");
    let layout = crate::image::Layout::read(&town.path("layout"), None);
    layout.assert_lawful();
    let site = "/app/.venv/lib/python3.11/site-packages";
    assert_eq!(layout.file(&format!("{site}/shared/other.py")), "A = 2\n");
    assert_snapshot!(layout.below(&format!("{site}/shared")), @r"
    /app/.venv/lib/python3.11/site-packages/shared dir 0755
    /app/.venv/lib/python3.11/site-packages/shared/__pycache__ dir 0755
    /app/.venv/lib/python3.11/site-packages/shared/__pycache__/other.cpython-311.pyc file 0644
    /app/.venv/lib/python3.11/site-packages/shared/__pycache__/same.cpython-311.pyc file 0644
    /app/.venv/lib/python3.11/site-packages/shared/other.py file 0644 6
    /app/.venv/lib/python3.11/site-packages/shared/same.py file 0644 6
    ");

    town.project("stall", &[two, one]);
    town.succeeds(&["build", "-q", "stall", "-o", "oci:other"]);
    let other = crate::image::Layout::read(&town.path("other"), None);
    assert_eq!(
        other.file(&format!("{site}/shared/other.py")),
        "A = 1\n",
        "the later in the lock's order wins"
    );
    town.write("shop/minke.toml", "strict = true\n");
    assert!(town.minke(&["build", "shop"]).status == 1, "the setting is as good as the argument");
}

#[test]
fn one_equal_file_of_two_wheels_is_nobodys_concern() {
    let one = Wheel::new("toy-one", "1").file("shared/__init__.py", "A = 1\n");
    let two = Wheel::new("toy-two", "1").file("shared/__init__.py", "A = 1\n");
    let Some(town) = Town::with(&[one.clone(), two.clone()]) else { return };
    town.project("shop", &[one, two]);
    town.builds(&["shop", "--strict", "-o", "oci:layout"]);
    let layout = crate::image::Layout::read(&town.path("layout"), None);
    layout.assert_lawful();
    assert_snapshot!(layout.below("/app/.venv/lib/python3.11/site-packages/shared"), @r"
    /app/.venv/lib/python3.11/site-packages/shared dir 0755
    /app/.venv/lib/python3.11/site-packages/shared/__init__.py file 0644 6
    /app/.venv/lib/python3.11/site-packages/shared/__pycache__ dir 0755
    /app/.venv/lib/python3.11/site-packages/shared/__pycache__/__init__.cpython-311.pyc file 0644
    ");
}
