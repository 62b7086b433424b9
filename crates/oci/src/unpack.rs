//! Foreign archives that are no layers: a tar, compressed or not, or a zip, unpacked into a tree whose contents lie in
//! one pack.
//!
//! Stricter than a layer: nothing lies below a symlink, no name comes twice with another content, no link leads out of
//! the archive, and devices are refused. What is unpacked has an upper bound. Files are `rw-r--r--`, or `rwxr-xr-x`
//! where any execute bit is set, and root's: archives carry their packer's habits.

mod zipped;

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};

use minke_cas::{
    Digest, Directory, Entry, File, ImagePath, Mode, Owner, PackId, PackWriter, PathError, Store, StoreError,
    Tree, TreeError,
};

use crate::TarError;
use crate::tar::{Header, Kind, TarReader};

/// How much an archive may unpack to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The bytes of its tar, or of all that a zip has.
    pub bytes: u64,
    /// Its entries.
    pub entries: usize,
}

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It isn't compressed in a way that is known, and neither tar nor zip.
    #[error("it is not a zip, nor a tar, plain or compressed with gzip, bzip2, xz or zstd")]
    NotAnArchive,
    /// Its tar is damaged.
    #[error("it cannot be read")]
    Tar(#[source] TarError),
    /// Its zip is damaged, or not as packers make it.
    #[error("it cannot be read")]
    Zip(#[source] io::Error),
    /// Its zip has a name twice.
    #[error("two of its entries have one name")]
    DuplicateNames,
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
    /// Two different entries have one name.
    #[error("its entry `{path}` is there twice, and not the same")]
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
    let mut blob = BufReader::with_capacity(256 * 1024, store.open_blob(archive)?);
    let pack = || store.pack_writer(PackId::of("archive-1", archive));
    if zipped::is_zip(blob.fill_buf().map_err(unread)?) {
        let unpacking = Unpacking { tree: Tree::new(), taken: BTreeSet::new(), pack: pack()? };
        return zipped::unpack(blob, bounds, unpacking);
    }
    let input = Bounded { inner: decoder(blob)?, left: bounds.bytes };
    let mut tar = TarReader::new(BufReader::with_capacity(256 * 1024, input));
    let mut unpacking = Unpacking { tree: Tree::new(), taken: BTreeSet::new(), pack: pack()? };
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
    let magic: Vec<u8> = blob.fill_buf().map_err(unread)?.iter().take(6).copied().collect();
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(blob).map_err(unread)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let concatenated = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, concatenated);
            let stream = stream.map_err(|error| unread(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(blob, stream))
        }
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(blob)),
        _ => Box::new(blob),
    })
}

fn unread(source: io::Error) -> UnpackError {
    UnpackError::Tar(TarError::Input(source))
}

/// What reading xz may take: what its highest level does, and as much again.
const XZ_MEMORY: u64 = 128 << 20;

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
            Kind::File => self.file(content, mode.bits())?,
            Kind::Symlink { target } => link(&path, target)?,
            Kind::HardLink { target } => {
                let there = ImagePath::from_archive(&target).ok().and_then(|there| self.tree.get(&there));
                match there {
                    Some(Entry::File(file)) => Entry::File(file.clone()),
                    _ => return Err(UnpackError::Link { path, target }),
                }
            }
            Kind::Other => return Err(UnpackError::Special { path }),
        };
        self.place(path, entry)
    }

    fn file(&mut self, content: &mut impl Read, mode: u32) -> Result<Entry, StoreError> {
        let (content, size) = self.pack.add(content)?;
        let mode = if mode & 0o111 != 0 { Mode::EXECUTABLE } else { Mode::REGULAR };
        Ok(Entry::File(File { pack: Some(self.pack.id()), ..File::new(content, size, mode) }))
    }

    fn place(&mut self, path: ImagePath, entry: Entry) -> Result<(), UnpackError> {
        if !self.taken.insert(path.clone()) {
            // Some packers list one file under two rules: the same again is no question of which counts.
            return match self.tree.get(&path) {
                Some(there) if *there == entry => Ok(()),
                _ => Err(UnpackError::Duplicate { path }),
            };
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

fn link(path: &ImagePath, target: String) -> Result<Entry, UnpackError> {
    match leaves(path, &target) {
        true => Err(UnpackError::Link { path: path.clone(), target }),
        false => Ok(Entry::symlink(target)),
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
