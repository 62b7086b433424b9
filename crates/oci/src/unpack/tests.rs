use minke_testkit::{Compression as Packing, TarEntry, TarKind, compress, tar};

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
    for packing in [Packing::Gz, Packing::Zst] {
        assert_eq!(bytes_unpacked(&compress(&tar(&entries), packing)).unwrap(), plain);
    }
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
    its entry `/a` is there twice
    its entry `/a` is no file, directory or link
    it unpacks to more than 1048576 bytes
    it has more than 10 entries
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
    it is not a tar, plain or compressed with gzip or zstd
    it is not a tar, plain or compressed with gzip or zstd
    ");
}
