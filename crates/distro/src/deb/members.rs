//! Reads the entries of a package's tar archives, as far as dpkg itself understands tar.
//!
//! GNU's long names are read here rather than by the tar crate, which takes as much memory for one as the
//! archive says. Extended (pax) headers are refused, as by dpkg.

use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::DebError;

/// One entry, its content still to be read.
pub(super) struct Member<'entry> {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) content: &'entry mut dyn Read,
}

/// What an entry is.
pub(super) enum Kind {
    Directory,
    File,
    Symlink(String),
    HardLink(String),
}

/// Linux' own limit.
const LONGEST_NAME: u64 = 4096;
/// The largest package of Debian's has a quarter of that.
const MOST_ENTRIES: usize = 1_000_000;

/// Hands every entry of a tar archive to `take`, in order.
///
/// `failure` says what an I/O error means, for only the caller knows what lies below.
pub(super) fn each<R: Read>(
    reader: R,
    failure: impl Fn(io::Error) -> DebError,
    mut take: impl FnMut(Member<'_>) -> Result<(), DebError>,
) -> Result<(), DebError> {
    let mut archive = Archive::new(reader);
    let (mut long_name, mut long_link) = (None, None);
    for (number, entry) in archive.entries().map_err(&failure)?.raw(true).enumerate() {
        let mut entry = entry.map_err(&failure)?;
        if number >= MOST_ENTRIES {
            return Err(DebError::TooMany { limit: MOST_ENTRIES });
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(long(&mut entry).map_err(&failure)?),
            EntryType::GNULongLink => long_link = Some(long(&mut entry).map_err(&failure)?),
            _ => {
                let header = entry.header().clone();
                let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
                let name = text(name)?;
                let target =
                    long_link.take().or_else(|| header.link_name_bytes().map(|target| target.into_owned()));
                let kind = kind(header.entry_type(), &name, target)?;
                let id = |number: io::Result<u64>| -> Result<u32, DebError> {
                    let number = number.map_err(&failure)?;
                    number.try_into().map_err(|_| failure(io::Error::other("an owner's id is too large")))
                };
                let (mode, uid, gid) =
                    (header.mode().map_err(&failure)?, id(header.uid())?, id(header.gid())?);
                take(Member { name, kind, mode, uid, gid, content: &mut entry })?;
            }
        }
    }
    // What follows the end mark is nothing, but a stream that is cut off shows only there.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(&failure)?;
    Ok(())
}

fn long(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.take(LONGEST_NAME + 2).read_to_end(&mut name)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn text(name: Vec<u8>) -> Result<String, DebError> {
    let refused = |bytes: &[u8]| {
        let shown = &bytes[..bytes.len().min(200)];
        DebError::NameText { name: String::from_utf8_lossy(shown).into_owned() }
    };
    if name.len() as u64 > LONGEST_NAME || name.contains(&0) {
        return Err(refused(&name));
    }
    String::from_utf8(name).map_err(|error| refused(error.as_bytes()))
}

fn kind(kind: EntryType, name: &str, target: Option<Vec<u8>>) -> Result<Kind, DebError> {
    let target = || text(target.unwrap_or_default());
    let special = |kind| Err(DebError::Special { path: name.to_owned(), kind });
    match kind {
        // The oldest archives know a directory by its name alone.
        EntryType::Regular if name.ends_with('/') => Ok(Kind::Directory),
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
        EntryType::Directory => Ok(Kind::Directory),
        EntryType::Symlink => Ok(Kind::Symlink(target()?)),
        EntryType::Link => Ok(Kind::HardLink(target()?)),
        EntryType::Char => special("a character device"),
        EntryType::Block => special("a block device"),
        EntryType::Fifo => special("a named pipe"),
        EntryType::GNUSparse => special("a sparse file"),
        EntryType::XHeader | EntryType::XGlobalHeader => special("an extended header"),
        _ => special("of an unknown kind"),
    }
}
