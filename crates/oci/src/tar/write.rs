//! Member headers: plain ustar where it can say it, with a pax header before it where it cannot.
//!
//! No user or group names, no access times, no devices: nothing that the caller didn't give.

use std::ops::Range;

use minke_cas::{Epoch, Mode, Owner};

use super::{BLOCK, USTAR, checksum, field};

/// What ends an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// One member of an archive, without its content.
pub(crate) struct Member<'a> {
    /// Relative to the root, without a trailing slash.
    pub(crate) path: &'a str,
    pub(crate) kind: MemberKind<'a>,
    pub(crate) mode: Mode,
    pub(crate) owner: Owner,
    pub(crate) epoch: Epoch,
}

/// What a member is.
#[derive(Clone, Copy)]
pub(crate) enum MemberKind<'a> {
    Directory,
    File {
        size: u64,
    },
    Symlink {
        target: &'a str,
    },
    /// Another name for the member at `target`, which came before.
    HardLink {
        target: &'a str,
    },
}

/// Returns how many zeros follow a content of this size.
pub(crate) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// Returns the blocks that come before a member's content.
pub(crate) fn header(member: &Member<'_>) -> Vec<u8> {
    let (type_flag, size, target) = match member.kind {
        MemberKind::Directory => (b'5', 0, ""),
        MemberKind::File { size } => (b'0', size, ""),
        MemberKind::Symlink { target } => (b'2', 0, target),
        MemberKind::HardLink { target } => (b'1', 0, target),
    };
    let mut block = Block::new(type_flag);
    match member.kind {
        MemberKind::Directory => block.path(&format!("{}/", member.path)),
        _ => block.path(member.path),
    }
    block.text(field::LINK, "linkpath", target);
    block.number(field::MODE, "mode", u64::from(member.mode.bits()));
    block.number(field::UID, "uid", u64::from(member.owner.uid));
    block.number(field::GID, "gid", u64::from(member.owner.gid));
    block.number(field::SIZE, "size", size);
    block.number(field::MTIME, "mtime", member.epoch.as_secs());
    block.finish(member.epoch)
}

/// A header that is being filled in, and the pax records for what doesn't fit.
struct Block {
    bytes: [u8; BLOCK],
    records: Vec<u8>,
}

impl Block {
    fn new(type_flag: u8) -> Self {
        let mut bytes = [0; BLOCK];
        bytes[field::TYPE] = type_flag;
        bytes[field::MAGIC].copy_from_slice(USTAR);
        let mut block = Self { bytes, records: Vec::new() };
        block.number(field::DEVICE_MAJOR, "devmajor", 0);
        block.number(field::DEVICE_MINOR, "devminor", 0);
        block
    }

    /// Long paths are cut in two at a slash where ustar can: that costs no further block.
    fn path(&mut self, path: &str) {
        let cut = path.match_indices('/').map(|(at, _)| at).find(|at| {
            let name = path.len() - at - 1;
            (1..=field::PREFIX.len()).contains(at) && (1..=field::NAME.len()).contains(&name)
        });
        match cut {
            Some(at) if path.len() > field::NAME.len() && path.is_ascii() => {
                self.put(field::PREFIX, &path.as_bytes()[..at]);
                self.put(field::NAME, &path.as_bytes()[at + 1..]);
            }
            _ => self.text(field::NAME, "path", path),
        }
    }

    /// What is too long or not ASCII goes into a record, which is UTF-8 by definition.
    fn text(&mut self, field: Range<usize>, key: &str, value: &str) {
        if value.len() <= field.len() && value.is_ascii() {
            return self.put(field, value.as_bytes());
        }
        self.record(key, value);
        // Only a program that doesn't know pax headers sees this.
        let ascii: Vec<u8> = value.chars().map(|char| u8::try_from(char).unwrap_or(b'_') & 0x7f).collect();
        self.put(field.clone(), &ascii[..ascii.len().min(field.len())]);
    }

    fn number(&mut self, field: Range<usize>, key: &str, value: u64) {
        let digits = field.len() - 1;
        let octal = format!("{value:0digits$o}");
        if octal.len() <= digits {
            return self.put(field, octal.as_bytes());
        }
        self.record(key, &value.to_string());
        self.put(field, "0".repeat(digits).as_bytes());
    }

    fn put(&mut self, field: Range<usize>, value: &[u8]) {
        self.bytes[field][..value.len()].copy_from_slice(value);
    }

    /// Adds `LENGTH KEY=VALUE`, whose length counts its own digits.
    fn record(&mut self, key: &str, value: &str) {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len();
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        self.records.extend_from_slice(format!("{length}{rest}").as_bytes());
    }

    fn finish(mut self, epoch: Epoch) -> Vec<u8> {
        let records = std::mem::take(&mut self.records);
        let mut blocks = if records.is_empty() { Vec::new() } else { extension(records, epoch) };
        let sum = format!("{:06o}\0 ", checksum(&self.bytes));
        self.put(field::CHECKSUM, sum.as_bytes());
        blocks.extend_from_slice(&self.bytes);
        blocks
    }
}

/// Returns a pax header: a member of its own with the records as its content.
fn extension(records: Vec<u8>, epoch: Epoch) -> Vec<u8> {
    let mut block = Block::new(b'x');
    block.put(field::NAME, b"PaxHeader");
    block.number(field::MODE, "mode", u64::from(Mode::REGULAR.bits()));
    block.number(field::UID, "uid", 0);
    block.number(field::GID, "gid", 0);
    block.number(field::SIZE, "size", records.len() as u64);
    // A time that needs a record of its own says so in the record.
    block.number(field::MTIME, "mtime", epoch.as_secs().min(0o777_7777_7777));
    let mut blocks = block.finish(epoch);
    blocks.extend_from_slice(&records);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a header back with another implementation: path, link, size, owner, time and how many blocks.
    fn read_back(member: &Member<'_>) -> (String, Option<String>, u64, u64, u64, usize) {
        let bytes = header(member);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let link = entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap());
        let header = entry.header();
        (path, link, entry.size(), header.uid().unwrap(), header.mtime().unwrap(), bytes.len() / BLOCK)
    }

    fn file(path: &str, size: u64) -> Member<'_> {
        Member {
            path,
            kind: MemberKind::File { size },
            mode: Mode::REGULAR,
            owner: Owner { uid: 65532, gid: 65532 },
            epoch: Epoch::FIXED,
        }
    }

    #[test]
    fn names_of_every_length_read_back() {
        for length in 1..300 {
            let deep: String = "some/".chars().cycle().take(length - 1).chain(['x']).collect();
            let flat = "y".repeat(length);
            for path in [deep, flat] {
                let (read, ..) = read_back(&file(&path, 0));
                assert_eq!(read, path);
            }
        }
    }

    #[test]
    fn a_long_path_with_a_slash_in_the_right_place_needs_no_record() {
        let path = format!("{}/{}", "a".repeat(150), "b".repeat(100));
        assert_eq!(read_back(&file(&path, 3)), (path.clone(), None, 3, 65532, 315_532_801, 1));
        let (first, last) = ("a".repeat(156), "b".repeat(101));
        assert_eq!(read_back(&file(&format!("{first}/c"), 3)).5, 3);
        assert_eq!(read_back(&file(&format!("c/{last}"), 3)).5, 3);
    }

    #[test]
    fn non_ascii_names_and_long_targets_are_records() {
        let target = "ü/".repeat(80);
        let member =
            Member { kind: MemberKind::Symlink { target: &target }, ..file("usr/Főtanúsítvány.crt", 0) };
        let (path, link, ..) = read_back(&member);
        assert_eq!((path.as_str(), link), ("usr/Főtanúsítvány.crt", Some(target.clone())));
    }

    #[test]
    fn numbers_that_do_not_fit_are_records() {
        let huge = 9 * 1024 * 1024 * 1024;
        let member = Member { owner: Owner { uid: 3_000_000, gid: 0 }, ..file("huge", huge) };
        let (_, _, size, ..) = read_back(&member);
        assert_eq!(size, huge);
        let bytes = header(&member);
        let records = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]).into_owned();
        assert_eq!(records.trim_end_matches('\0'), "15 uid=3000000\n19 size=9663676416\n");
    }
}
