//! Zips, by the same rules as tars: what the local headers say must be what the directory says.
//!
//! Spec: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::{self, Read, Seek};

use minke_cas::{ImagePath, StoreError, Tree};
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Bounded, Bounds, Exhausted, UnpackError, Unpacking, link};

/// What kind of file a mode is of: nothing where the packer was no Unix.
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// As long as Linux lets a path be.
const LONGEST_TARGET: u64 = 4096;

/// Tells by its beginning whether something is a zip, empty ones left out.
pub(super) fn is_zip(beginning: &[u8]) -> bool {
    beginning.starts_with(b"PK\x03\x04")
}

pub(super) fn unpack(
    blob: impl Read + Seek,
    bounds: Bounds,
    mut unpacking: Unpacking,
) -> Result<Tree, UnpackError> {
    let damaged = |error: ZipError| UnpackError::Zip(error.into());
    let mut zip = ZipArchive::new(blob).map_err(damaged)?;
    if zip.has_duplicate_names() {
        return Err(UnpackError::DuplicateNames);
    }
    if zip.len() > bounds.entries {
        return Err(UnpackError::TooMany { entries: bounds.entries });
    }
    zip.validate_header_consistency().map_err(damaged)?;
    let mut left = bounds.bytes;
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(damaged)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let (mode, is_directory) = (entry.unix_mode().unwrap_or(0), name.ends_with('/'));
        let path = match ImagePath::from_archive(&name) {
            Ok(path) => path,
            Err(source) => return Err(UnpackError::Name { name, source }),
        };
        let mut content = Bounded { inner: entry, left };
        let input = |source: io::Error| match source.get_ref().is_some_and(|inner| inner.is::<Exhausted>()) {
            true => UnpackError::TooLarge { bytes: bounds.bytes },
            false => UnpackError::Zip(source),
        };
        match (mode & KIND, is_directory) {
            (0 | DIRECTORY, true) => unpacking.directory(&path)?,
            (0 | FILE, false) => {
                let file = unpacking.file(&mut content, mode).map_err(|error| match error {
                    StoreError::Input(source) => input(source),
                    error => UnpackError::Store(error),
                })?;
                unpacking.place(path, file)?;
            }
            (LINK, false) => {
                let mut target = String::new();
                (&mut content).take(LONGEST_TARGET).read_to_string(&mut target).map_err(input)?;
                unpacking.place(path.clone(), link(&path, target)?)?;
            }
            _ => return Err(UnpackError::Special { path }),
        }
        left = content.left;
    }
    unpacking.pack.finish()?;
    Ok(unpacking.tree)
}
