//! Foreign archives that are no layers: a tar, compressed or not, unpacked into a tree whose contents lie in one pack.
//!
//! Stricter than a layer: nothing lies below a symlink, no name comes twice, no link leads out of the archive, and
//! devices are refused. What is unpacked has an upper bound. Files are `rw-r--r--`, or `rwxr-xr-x` where any
//! execute bit is set, and root's: archives carry their packer's habits.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use minke_cas::{
    Digest, Directory, Entry, File, ImagePath, Mode, Owner, PackId, PackWriter, PathError, Store, StoreError,
    Tree, TreeError,
};

use crate::TarError;
use crate::tar::{Header, Kind, TarReader};

/// How much an archive may unpack to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The bytes of its tar.
    pub bytes: u64,
    /// The entries of its tar.
    pub entries: usize,
}

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It isn't compressed in a way that is known, and no tar.
    #[error("it is not a tar, plain or compressed with gzip or zstd")]
    NotAnArchive,
    /// Its tar is damaged.
    #[error("it cannot be read")]
    Tar(#[source] TarError),
    /// It unpacks to more than it may.
    #[error("it unpacks to more than {bytes} bytes")]
    TooLarge {
        /// How much it may.
        bytes: u64,
    },
    /// It has more entries than it may.
    #[error("it has more than {entries} entries")]
    TooMany {
        /// How many it may have.
        entries: usize,
    },
    /// An entry has a name that cannot be unpacked.
    #[error("its entry `{name}` cannot be unpacked")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// An entry lies below a file or a symlink, or is there twice.
    #[error("one of its entries cannot be placed")]
    Place(#[source] TreeError),
    /// Two entries have one name.
    #[error("its entry `{path}` is there twice")]
    Duplicate {
        /// The name.
        path: ImagePath,
    },
    /// An entry is neither file, directory nor link.
    #[error("its entry `{path}` is no file, directory or link")]
    Special {
        /// Which one.
        path: ImagePath,
    },
    /// A link leads out of the archive, or a hard link to what isn't a file in it.
    #[error("its link `{path}` leads to `{target}`, which is outside or no file of it")]
    Link {
        /// Which one.
        path: ImagePath,
        /// Where it leads.
        target: String,
    },
    /// The store cannot take it.
    #[error("cannot keep what it unpacks to")]
    Store(#[from] StoreError),
}

/// Unpacks an archive that is in the store.
///
/// # Errors
/// One of [`UnpackError`] for each way in which an archive can be broken or hostile; nothing is kept then.
pub fn unpack(store: &Store, archive: &Digest, bounds: Bounds) -> Result<Tree, UnpackError> {
    let blob = BufReader::with_capacity(256 * 1024, store.open_blob(archive)?);
    let input = Bounded { inner: decoder(blob)?, left: bounds.bytes };
    let mut tar = TarReader::new(BufReader::with_capacity(256 * 1024, input));
    let pack = store.pack_writer(PackId::of("archive-1", archive))?;
    let mut unpacking = Unpacking { tree: Tree::new(), taken: BTreeSet::new(), pack };
    let mut last = String::new();
    let mut entries = 0;
    while let Some(header) = tar.next(&last).map_err(|error| cause(error, bounds))? {
        last.clone_from(&header.path);
        entries += 1;
        if entries > bounds.entries {
            return Err(UnpackError::TooMany { entries: bounds.entries });
        }
        unpacking.take(header, &mut tar).map_err(|error| match error {
            UnpackError::Store(StoreError::Input(source)) => cause(TarError::Input(source), bounds),
            error => error,
        })?;
    }
    if entries == 0 {
        return Err(UnpackError::NotAnArchive);
    }
    unpacking.pack.finish()?;
    Ok(unpacking.tree)
}

fn decoder(mut blob: BufReader<std::fs::File>) -> Result<Box<dyn Read>, UnpackError> {
    use std::io::BufRead;
    let unread = |source| UnpackError::Tar(TarError::Input(source));
    let magic: Vec<u8> = blob.fill_buf().map_err(unread)?.iter().take(6).copied().collect();
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(blob).map_err(unread)?),
        // xz, bzip2, zip: what is commonly given by mistake, and would be a damaged tar.
        [0xfd, b'7', b'z', ..] | [b'B', b'Z', b'h', ..] | [b'P', b'K', ..] => {
            return Err(UnpackError::NotAnArchive);
        }
        _ => Box::new(blob),
    })
}

/// What a tar that may be too long says when it ends.
fn cause(error: TarError, bounds: Bounds) -> UnpackError {
    match error {
        TarError::Input(source) if source.get_ref().is_some_and(|inner| inner.is::<Exhausted>()) => {
            UnpackError::TooLarge { bytes: bounds.bytes }
        }
        error => UnpackError::Tar(error),
    }
}

/// A reader that fails where more comes than may.
struct Bounded<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("more came than may")]
struct Exhausted;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other(Exhausted))?;
        Ok(count)
    }
}

struct Unpacking {
    tree: Tree,
    /// The names of all entries but directories.
    taken: BTreeSet<ImagePath>,
    pack: PackWriter,
}

impl Unpacking {
    fn take(&mut self, header: Header, content: &mut impl Read) -> Result<(), UnpackError> {
        let Header { path: name, kind, mode, .. } = header;
        let path = match ImagePath::from_archive(&name) {
            Ok(path) => path,
            Err(source) => return Err(UnpackError::Name { name, source }),
        };
        let entry = match kind {
            Kind::Directory => return self.directory(&path),
            Kind::File => {
                let (content, size) = self.pack.add(content)?;
                let is_program = mode.bits() & 0o111 != 0;
                let mode = if is_program { Mode::EXECUTABLE } else { Mode::REGULAR };
                Entry::File(File { pack: Some(self.pack.id()), ..File::new(content, size, mode) })
            }
            Kind::Symlink { target } if leaves(&path, &target) => {
                return Err(UnpackError::Link { path, target });
            }
            Kind::Symlink { target } => Entry::symlink(target),
            Kind::HardLink { target } => {
                let there = ImagePath::from_archive(&target).ok().and_then(|there| self.tree.get(&there));
                match there {
                    Some(Entry::File(file)) => Entry::File(file.clone()),
                    _ => return Err(UnpackError::Link { path, target }),
                }
            }
            Kind::Other => return Err(UnpackError::Special { path }),
        };
        if !self.taken.insert(path.clone()) {
            return Err(UnpackError::Duplicate { path });
        }
        self.tree.insert(&path, entry).map_err(UnpackError::Place)
    }

    fn directory(&mut self, path: &ImagePath) -> Result<(), UnpackError> {
        if path.is_root() || self.tree.directory(path).is_some() {
            return Ok(());
        }
        let empty = Entry::Directory(Directory::new(Mode::EXECUTABLE, Owner::default()).into());
        self.tree.insert(path, empty).map_err(UnpackError::Place)
    }
}

/// Tells whether a link leads out of the archive; an absolute one always does.
fn leaves(link: &ImagePath, target: &str) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    for component in target.split('/') {
        depth = match component {
            "" | "." => depth,
            ".." if depth == 0 => return true,
            ".." => depth - 1,
            _ => depth + 1,
        };
    }
    target.starts_with('/')
}

#[cfg(test)]
mod tests;
