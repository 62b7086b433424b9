use minke_testkit::{Compression as Packing, TarEntry, TarKind, ZipEntry, ZipLie, compress, tar, zip};

use super::*;
use crate::testing::Bench;

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 10 };

fn unpacked(entries: &[TarEntry]) -> Result<String, String> {
    bytes_unpacked(&tar(entries))
}

fn bytes_unpacked(bytes: &[u8]) -> Result<String, String> {
    let bench = Bench::new();
    let archive = bench.store.put(bytes).unwrap();
    let tree = unpack(&bench.store, &archive, BOUNDS);
    tree.map(|tree| format!("{tree:?}")).map_err(|error| error.to_string())
}

fn program(name: &str) -> TarEntry {
    TarEntry { mode: 0o4771, uid: 7, ..TarEntry::file(name, "x") }
}

#[test]
fn modes_are_plain_and_everything_is_roots_in_every_compression() {
    let entries = [
        TarEntry::dir("./"),
        program("./python/bin/python3.12"),
        TarEntry::symlink("./python/bin/python3", "python3.12"),
        TarEntry::hardlink("./python/bin/again", "./python/bin/python3.12"),
        TarEntry::file("./python/lib/os.py", "import sys"),
    ];
    let plain = unpacked(&entries).unwrap();
    insta::assert_snapshot!(plain, @r"
    /python/ dir 0755
    /python/bin/ dir 0755
    /python/bin/again file 0755 2d711642
    /python/bin/python3 link python3.12
    /python/bin/python3.12 file 0755 2d711642
    /python/lib/ dir 0755
    /python/lib/os.py file 0644 9e77b374
    ");
    for packing in [Packing::Gz, Packing::Xz, Packing::Zst] {
        assert_eq!(bytes_unpacked(&compress(&tar(&entries), packing)).unwrap(), plain);
    }
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bzip2, &tar(&entries)).unwrap();
    assert_eq!(bytes_unpacked(&bzip2.finish().unwrap()).unwrap(), plain);
}

#[test]
fn what_a_hostile_archive_tries_is_refused_by_name() {
    let tried = [
        vec![TarEntry::file("../x", "")],
        vec![TarEntry::symlink("a", "/etc"), TarEntry::file("a/passwd", "")],
        vec![TarEntry::symlink("a/b", "../../etc")],
        vec![TarEntry::symlink("a", "b"), TarEntry::file("a/passwd", "")],
        vec![TarEntry::hardlink("a", "../../etc/passwd")],
        vec![TarEntry::file("a", "1"), TarEntry::file("a", "2")],
        vec![TarEntry::new("a", TarKind::CharDevice(1, 1), 0o666)],
        vec![TarEntry::file("zeros", vec![0; 2 << 20])],
        (0..11).map(|number| TarEntry::file(number.to_string(), "")).collect(),
    ];
    let refused: Vec<String> = tried.iter().map(|entries| unpacked(entries).unwrap_err()).collect();
    insta::assert_snapshot!(refused.join("\n"), @r"
    its entry `../x` cannot be unpacked
    its link `/a` leads to `/etc`, which is outside or no file of it
    its link `/a/b` leads to `../../etc`, which is outside or no file of it
    one of its entries cannot be placed
    its link `/a` leads to `../../etc/passwd`, which is outside or no file of it
    its entry `/a` is there twice, and not the same
    its entry `/a` is no file, directory or link
    it unpacks to more than 1048576 bytes
    it has more than 10 entries
    ");
}

#[test]
fn the_same_entry_twice_counts_once() {
    let twice = [TarEntry::file("a", "1"), TarEntry::file("a", "1")];
    insta::assert_snapshot!(unpacked(&twice).unwrap(), @"/a file 0644 6b86b273");
}

#[test]
fn a_zip_is_unpacked_as_a_tar_is() {
    let entries = [
        ZipEntry::dir("toy-1/"),
        ZipEntry { mode: 0o100_755, ..ZipEntry::file("toy-1/configure", "x") },
        ZipEntry { mode: 0, ..ZipEntry::file("toy-1/setup.py", "import sys") },
        ZipEntry::symlink("toy-1/again", "setup.py"),
    ];
    insta::assert_snapshot!(bytes_unpacked(&zip(&entries)).unwrap(), @r"
        /toy-1/ dir 0755
        /toy-1/again link setup.py
        /toy-1/configure file 0755 2d711642
        /toy-1/setup.py file 0644 9e77b374
    ");
}

#[test]
fn what_a_hostile_zip_tries_is_refused_by_name() {
    let lying = |lie: ZipLie| vec![ZipEntry { lie: Some(lie), ..ZipEntry::file("a", "x") }];
    let tried = [
        vec![ZipEntry::file("../x", "")],
        vec![ZipEntry::symlink("a", "/etc"), ZipEntry::file("a/passwd", "")],
        vec![ZipEntry::symlink("a", "b"), ZipEntry::file("a/passwd", "")],
        vec![ZipEntry::file("a", "1"), ZipEntry::file("a", "2")],
        vec![ZipEntry { mode: 0o020_666, ..ZipEntry::file("a", "") }],
        vec![ZipEntry::file("zeros", vec![0; 700 << 10]), ZipEntry::file("more", vec![0; 700 << 10])],
        (0..11).map(|number| ZipEntry::file(number.to_string(), "")).collect(),
        lying(ZipLie::LocalName(b"b".to_vec())),
        lying(ZipLie::Checksum),
        lying(ZipLie::Encrypted),
        lying(ZipLie::Method),
    ];
    let refused: Vec<String> =
        tried.iter().map(|entries| bytes_unpacked(&zip(entries)).unwrap_err()).collect();
    insta::assert_snapshot!(refused.join("\n"), @r"
        its entry `../x` cannot be unpacked
        its link `/a` leads to `/etc`, which is outside or no file of it
        one of its entries cannot be placed
        two of its entries have one name
        its entry `/a` is no file, directory or link
        it unpacks to more than 1048576 bytes
        it has more than 10 entries
        it cannot be read
        it cannot be read
        it cannot be read
        it cannot be read
    ");
}

#[test]
fn what_is_no_archive_is_told_from_one_that_is_damaged() {
    let whole = compress(&tar(&[TarEntry::file("a", vec![7; 5000])]), Packing::Gz);
    let damaged = [&whole[..whole.len() / 2], b"#!/bin/sh\nexit 1\n", b"", b"PK\x03\x04 a zip"];
    let refused: Vec<String> = damaged.iter().map(|bytes| bytes_unpacked(bytes).unwrap_err()).collect();
    insta::assert_snapshot!(refused.join("\n"), @r"
        it cannot be read
        it cannot be read
        it is not a zip, nor a tar, plain or compressed with gzip, bzip2, xz or zstd
        it cannot be read
    ");
}
