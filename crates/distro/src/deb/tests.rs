use minke_cas::{Digest, Entry, ImagePath, Mode, PathError};
use minke_testkit::{Compression, Deb, DebFault, TarEntry, TarKind};

use super::*;

/// A store that is gone at the end of its test, and what a package unpacks to in it.
struct Unpacking {
    _home: tempfile::TempDir,
    store: Store,
    result: Result<Unpacked, DebError>,
}

fn unpacking(bytes: &[u8]) -> Unpacking {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let result = unpack(bytes, &store, pack_id(&Digest::of(bytes)));
    Unpacking { _home: home, store, result }
}

fn refusal(deb: &Deb) -> String {
    let bytes = deb.build();
    let unpacking = unpacking(&bytes);
    assert!(!unpacking.store.has_pack(pack_id(&Digest::of(&bytes))), "something was kept");
    let error = unpacking.result.unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn toy() -> Deb {
    Deb::new("toy", "1:1.0-1").field("Installed-Size", "100")
}

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

#[test]
fn a_package_unpacks_on_a_merged_usr() {
    let deb = toy()
        .file("/bin/toy", "program")
        .mode(0o4755)
        .hardlink("/bin/yot", "/bin/toy")
        .symlink("/lib/libtoy.so", "libtoy.so.1")
        .file("/usr/lib/libtoy.so.1", "library")
        .dir("/var/lib/toy")
        .mode(0o2775)
        .owner(7, 8)
        .symlink("/lib64", "usr/lib64")
        .symlink("/etc/toy", "/usr/share/toy")
        .file("/usr/share/a", "x")
        .file("/usr/share/A", "y");
    for compression in [Compression::None, Compression::Gz, Compression::Xz, Compression::Zst] {
        let unpacking = unpacking(&deb.clone().compression(compression).build());
        let unpacked = unpacking.result.unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{:?}", unpacked.tree), @r"
            /etc/ dir 0755
            /etc/toy link /usr/share/toy
            /lib64 link usr/lib64
            /usr/ dir 0755
            /usr/bin/ dir 0755
            /usr/bin/toy file 4755 1310ca2c
            /usr/bin/yot file 4755 1310ca2c
            /usr/lib/ dir 0755
            /usr/lib/libtoy.so link libtoy.so.1
            /usr/lib/libtoy.so.1 file 0644 b718f135
            /usr/share/ dir 0755
            /usr/share/A file 0644 a1fce436
            /usr/share/a file 0644 2d711642
            /var/ dir 0755
            /var/lib/ dir 0755
            /var/lib/toy/ dir 2775 7:8
            ");
        }
        let Some(Entry::File(program)) = unpacked.tree.get(&path("/usr/bin/yot")) else { panic!() };
        assert_eq!(unpacking.store.read_file(program).unwrap(), b"program");
        assert_eq!(program.mode, Mode::from_bits(0o4755));
    }
}

#[test]
fn control_files_are_read_as_they_are() {
    let deb = toy()
        .file("/etc/toy.conf", "x")
        .control_file("conffiles", "/etc/toy.conf\n")
        .control_file("postinst", "#!/bin/sh\ntrue\n");
    let control = unpacking(&deb.build()).result.unwrap().control;
    let expected = Control {
        package: "toy".parse().unwrap(),
        version: "1:1.0-1".parse().unwrap(),
        text: deb.control(),
        md5sums: deb.md5sums(),
        conffiles: vec!["/etc/toy.conf".into()],
        scripts: [(Script::Postinst, "#!/bin/sh\ntrue\n".to_owned())].into(),
    };
    assert_eq!(control, expected);
    assert_eq!((control.field("Architecture"), control.installed_kib()), (Some("amd64"), Some(100)));
}

#[test]
fn what_was_unpacked_reads_back_from_the_cache() {
    let unpacked = unpacking(&toy().file("/usr/bin/toy", "x").build()).result.unwrap();
    let text = serde_json::to_string(&unpacked).unwrap();
    assert_eq!(serde_json::from_str::<Unpacked>(&text).unwrap(), unpacked);
}

#[test]
fn long_names_and_links_are_read() {
    let deep = format!("/usr/{}file", "directory/".repeat(40));
    let deb = toy().file(&deep, "x").symlink("/usr/link", &deep);
    let tree = unpacking(&deb.build()).result.unwrap().tree;
    assert!(tree.resolve_file(&path("/usr/link")).is_some());
}

#[test]
fn absolute_names_are_taken_for_relative_ones_as_by_dpkg() {
    let deb = toy().raw_tar_entry(TarEntry::file("/etc/toy", "x"));
    assert!(unpacking(&deb.build()).result.unwrap().tree.get(&path("/etc/toy")).is_some());
}

#[test]
fn names_that_leave_the_root_are_refused() {
    for name in ["./../etc/passwd", "usr/../../etc/passwd", "./usr/.."] {
        let refused = refusal(&toy().raw_tar_entry(TarEntry::file(name, "x")));
        let expected = PathError::Component { text: "..".into() };
        assert_eq!(refused, format!("the entry `{name}` cannot be unpacked: {expected}"));
    }
}

#[test]
fn links_that_leave_the_root_are_refused() {
    assert_eq!(
        refusal(&toy().symlink("/usr/bin/x", "../../../etc")),
        "the symlink `/usr/bin/x` leads to `../../../etc`, outside the root"
    );
    assert_eq!(
        refusal(&toy().hardlink("/usr/bin/x", "/etc/passwd")),
        "the hard link `/usr/bin/x` leads to `/etc/passwd`, which is no file that came before it"
    );
    assert!(
        refusal(&toy().raw_tar_entry(TarEntry::hardlink("./x", "../../etc/passwd")))
            .contains("cannot be unpacked")
    );
}

#[test]
fn nothing_lies_below_a_symlink() {
    let below =
        toy().symlink("/usr/share/x", "/etc").raw_tar_entry(TarEntry::file("./usr/share/x/passwd", "x"));
    assert_eq!(
        refusal(&below),
        "an entry cannot be unpacked where it wants to be: \
         `/usr/share/x/passwd` cannot be placed: `/usr/share/x` is not a directory"
    );
    let after =
        toy().file("/usr/share/x/passwd", "x").raw_tar_entry(TarEntry::symlink("./usr/share/x", "/etc"));
    assert_eq!(refusal(&after), "`/usr/share/x` is there twice");
    let linked = toy()
        .file("/etc/x", "x")
        .symlink("/usr/y", "../etc")
        .raw_tar_entry(TarEntry::hardlink("./usr/z", "./usr/y/x"));
    assert!(refusal(&linked).starts_with("the hard link `/usr/z`"));
}

#[test]
fn names_that_come_twice_are_refused() {
    let twice = toy().file("/usr/x", "1").raw_tar_entry(TarEntry::file("./usr/x", "1"));
    assert_eq!(refusal(&twice), "`/usr/x` is there twice");
    let merged = toy().file("/lib/x", "1").file("/usr/lib/x", "2");
    assert_eq!(refusal(&merged), "`/usr/lib/x` is there twice");
    let kinds = toy().file("/usr/x", "1").raw_tar_entry(TarEntry::dir("./usr/x/"));
    assert!(refusal(&kinds).starts_with("`/usr/x` is there twice"));
}

#[test]
fn device_nodes_are_refused() {
    for (kind, name) in [
        (TarKind::CharDevice(1, 3), "a character device"),
        (TarKind::BlockDevice(8, 0), "a block device"),
        (TarKind::Fifo, "a named pipe"),
    ] {
        let refused = refusal(&toy().raw_tar_entry(TarEntry::new("./dev/x", kind, 0o666)));
        assert_eq!(refused, format!("`./dev/x` is {name}, which no package may bring"));
    }
}

#[test]
fn what_dpkg_does_not_read_is_refused() {
    let named = toy().raw_tar_entry(TarEntry::file(&b"./usr/\xff"[..], "x"));
    assert!(matches!(unpacking(&named.build()).result, Err(DebError::NameText { .. })));
    let long = toy().raw_tar_entry(TarEntry::file(format!("./{}", "d/".repeat(3000)), "x"));
    assert!(matches!(unpacking(&long.build()).result, Err(DebError::NameText { .. })));
    let extended = TarEntry { pax: vec![("path".into(), "x".into())], ..TarEntry::file("./y", "x") };
    assert!(matches!(
        unpacking(&toy().raw_tar_entry(extended).build()).result,
        Err(DebError::Special { kind: "an extended header", .. })
    ));
    let sparse = toy().raw_tar_entry(TarEntry::new("./z", TarKind::Other(b'S'), 0o644));
    assert!(matches!(
        unpacking(&sparse.build()).result,
        Err(DebError::Special { kind: "a sparse file", .. })
    ));
    let claimed = TarEntry { claimed_size: Some(1 << 40), ..TarEntry::file("./y", "x") };
    assert!(unpacking(&toy().raw_tar_entry(claimed).build()).result.is_err());
}

#[test]
fn a_bomb_is_held_against_its_declared_size() {
    let bomb = Deb::new("bomb", "1").field("Installed-Size", "1").file("/x", vec![0; 70 << 20]);
    assert_eq!(refusal(&bomb), "it unpacks to more than 67110912 bytes, far more than it declares");
    let honest = Deb::new("big", "1").field("Installed-Size", "71680").file("/x", vec![0; 70 << 20]);
    assert!(unpacking(&honest.build()).result.is_ok());
}

#[test]
fn broken_files_are_told_apart() {
    let deb = toy().file("/usr/bin/toy", vec![b'x'; 3000]).compression(Compression::None);
    let refused = |fault| refusal(&deb.clone().fault(fault));
    let tar_bytes = 3000_u64.div_ceil(512) * 512;
    assert!(tar_bytes > 3000);
    assert_eq!(refused(DebFault::NotAr), "this is not a Debian package of format 2");
    assert_eq!(refused(DebFault::UnknownFormat), "this is not a Debian package of format 2");
    assert_eq!(refused(DebFault::NoControl), "it has no control.tar where one belongs");
    assert_eq!(refused(DebFault::NoData), "it has no data.tar where one belongs");
    assert_eq!(refused(DebFault::NotCompressed), "its member data.tar is damaged: invalid gzip header");
    insta::assert_snapshot!(refused(DebFault::TruncatedData(2600)), @"it is cut short: data.tar has 2600 of 6144 bytes");
    insta::assert_snapshot!(refused(DebFault::OverstatedData(1000)), @"it is cut short: data.tar has 6144 of 7144 bytes");
    insta::assert_snapshot!(refused(DebFault::UnderstatedData(4000)), @"its member data.tar is damaged: unexpected EOF during skip");
}

#[test]
fn every_truncation_is_refused_without_a_panic() {
    let bytes = toy().file("/usr/bin/toy", "some program").build();
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    for length in (0..bytes.len() - 2).step_by(7) {
        let id = pack_id(&Digest::of(&bytes[..length]));
        assert!(unpack(&bytes[..length], &store, id).is_err(), "{length}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    // Whatever byte is changed, unpacking ends in a tree or an error.
    #[test]
    fn no_changed_byte_panics(at in 0..2000_usize, byte in 0..=255_u8) {
        let mut bytes = toy().file("/usr/bin/toy", "some program").compression(Compression::None).build();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = unpacking(&bytes).result;
    }
}
