//! The zip archive that a wheel is, read with suspicion.
//!
//! Nothing is unpacked before every member's name, kind and size is known to be sound, and local headers to
//! say what the directory says.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::WheelFault;
use crate::record::{ExtraHasher, RecordHash};

/// More members than this are refused: the largest wheels have some thirty thousand.
const MAX_MEMBERS: usize = 500_000;
/// More than this is never unpacked from one wheel.
const MAX_UNPACKED: u64 = 64 << 30;
/// Up to this size nobody minds what a wheel is packed from …
const HARMLESS_UNPACKED: u64 = 256 << 20;
/// … and above it, code and data shrink to a third, and hardly ever to a twentieth.
const MAX_RATIO: u64 = 100;
/// A description may be long, and `RECORD` lists every file; more than this isn't read into memory.
const MAX_TEXT: u64 = 64 << 20;
const MAX_NAME: usize = 4096;

/// A wheel's zip archive.
pub(super) struct Archive<R> {
    zip: ZipArchive<R>,
    members: Vec<Member>,
    by_name: BTreeMap<String, usize>,
}

/// A regular file in the archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its number in the zip directory.
    index: usize,
    /// Its path, of normal components.
    pub(super) name: String,
    /// What the zip directory says of its size in bytes.
    pub(super) size: u64,
    /// Whether any execute bit is set.
    pub(super) executable: bool,
}

impl<R: Read + Seek> Archive<R> {
    pub(super) fn open(mut reader: R) -> Result<Self, WheelFault> {
        let damaged = |error: zip::result::ZipError| WheelFault::Archive(error.into());
        let packed = reader.seek(SeekFrom::End(0)).map_err(WheelFault::Archive)?;
        let mut zip = ZipArchive::new(reader).map_err(damaged)?;
        if zip.has_duplicate_names() {
            return Err(WheelFault::DuplicateNames);
        }
        if zip.len() > MAX_MEMBERS {
            return Err(WheelFault::TooManyMembers { count: zip.len(), limit: MAX_MEMBERS });
        }
        zip.validate_header_consistency().map_err(damaged)?;
        let members = members(&zip, packed)?;
        let by_name = members.iter().enumerate().map(|(at, member)| (member.name.clone(), at)).collect();
        Ok(Self { zip, members, by_name })
    }

    /// Returns the regular files in the order of the zip directory.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Tells whether there is a regular file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Reads a small text, none if it isn't there.
    pub(super) fn read_text(&mut self, name: &str) -> Result<Option<String>, WheelFault> {
        let Some(&at) = self.by_name.get(name) else { return Ok(None) };
        let member = self.members[at].clone();
        if member.size > MAX_TEXT {
            return Err(WheelFault::TooLarge { member: member.name, size: member.size, limit: MAX_TEXT });
        }
        let mut bytes = Vec::new();
        let mut reader = self.read(&member, None)?;
        let read = reader.read_to_end(&mut bytes).map(|_| ());
        reader.finish(read)?;
        String::from_utf8(bytes).map(Some).map_err(|_| WheelFault::NotText { member: member.name })
    }

    /// Starts reading a member; `hash` says what must see its bytes.
    pub(super) fn read(
        &mut self,
        member: &Member,
        hash: Option<&RecordHash>,
    ) -> Result<MemberReader<'_, R>, WheelFault> {
        let damaged = |error: zip::result::ZipError| WheelFault::Damaged {
            member: member.name.clone(),
            source: error.into(),
        };
        Ok(MemberReader {
            inner: self.zip.by_index(member.index).map_err(damaged)?,
            member: member.clone(),
            extra: hash.and_then(RecordHash::extra_hasher),
            start: Vec::with_capacity(PEEK),
            count: 0,
        })
    }
}

/// Checks every entry of the zip directory and returns those that are regular files.
fn members<R: Read + Seek>(zip: &ZipArchive<R>, packed: u64) -> Result<Vec<Member>, WheelFault> {
    let mut members = Vec::with_capacity(zip.len());
    let mut unpacked = 0_u64;
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(|error| WheelFault::Archive(error.into()))?;
        let name = checked_name(entry.name_raw())?;
        let mode = entry.unix_mode().unwrap_or(0);
        let directory = name.ends_with('/');
        // A wheel that was made elsewhere than on a Unix says nothing of the kind.
        if !matches!((mode & 0o170_000, directory), (0, _) | (0o040_000, true) | (0o100_000, false)) {
            return Err(WheelFault::Kind { member: name.to_owned(), mode });
        }
        if entry.encrypted() {
            return Err(WheelFault::Encrypted { member: name.to_owned() });
        }
        unpacked = unpacked.saturating_add(entry.size());
        if !directory {
            let (name, size) = (name.to_owned(), entry.size());
            members.push(Member { index, name, size, executable: mode & 0o111 != 0 });
        }
    }
    let bloated = unpacked > HARMLESS_UNPACKED && unpacked / MAX_RATIO > packed;
    if bloated || unpacked > MAX_UNPACKED {
        return Err(WheelFault::Bomb { packed, unpacked });
    }
    Ok(members)
}

/// Refuses every name that could mean two things or leave the place it is unpacked to.
fn checked_name(raw: &[u8]) -> Result<&str, WheelFault> {
    let refused =
        |reason| WheelFault::Name { member: String::from_utf8_lossy(raw).escape_debug().to_string(), reason };
    let name = std::str::from_utf8(raw).map_err(|_| refused("is not UTF-8"))?;
    if name.len() > MAX_NAME {
        return Err(refused("is too long"));
    }
    if name.starts_with('/') {
        return Err(refused("is absolute"));
    }
    if name.contains('\\') {
        return Err(refused("has a backslash"));
    }
    if name.contains(|c: char| c.is_control()) {
        return Err(refused("has a control character"));
    }
    let mut components = name.strip_suffix('/').unwrap_or(name).split('/');
    if components.any(|component| matches!(component, "" | "." | "..") || component.len() > 255) {
        return Err(refused("has an empty, `.`, `..` or overlong component"));
    }
    Ok(name)
}

/// As much of a member's start as tells whether it is a script that needs its first line changed.
const PEEK: usize = b"#!python".len();

/// A member that is being unpacked: it may give no more than the zip directory says.
pub(super) struct MemberReader<'archive, R: Read> {
    inner: ZipFile<'archive, R>,
    member: Member,
    extra: Option<ExtraHasher>,
    start: Vec<u8>,
    count: u64,
}

/// What was seen of a member while it was unpacked.
pub(super) struct Seen {
    /// The hash besides sha256 that was asked for.
    pub(super) extra: Option<ExtraHasher>,
    /// Whether it begins with `#!python`.
    pub(super) is_python_script: bool,
}

impl<R: Read> MemberReader<'_, R> {
    /// Says whether all was well; `outcome` is what came of reading to the end.
    pub(super) fn finish(self, outcome: io::Result<()>) -> Result<Seen, WheelFault> {
        let Member { name: member, size: expected, .. } = self.member;
        // The count first: a reader that is refused for giving too much also fails.
        if self.count > expected || (outcome.is_ok() && self.count != expected) {
            return Err(WheelFault::Size { member, expected, actual: self.count });
        }
        outcome.map_err(|source| WheelFault::Damaged { member, source })?;
        Ok(Seen { extra: self.extra, is_python_script: self.start == b"#!python" })
    }
}

impl<R: Read> Read for MemberReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = &buffer[..count];
        self.count += count as u64;
        if self.count > self.member.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than it says"));
        }
        if let Some(extra) = &mut self.extra {
            extra.update(bytes);
        }
        let wanted = PEEK - self.start.len();
        self.start.extend_from_slice(&bytes[..wanted.min(count)]);
        Ok(count)
    }
}
