//! Segments: what one distribution or package brings to a layer, as tar and compressed.
//!
//! A segment's bytes depend on nothing but its own tree and time, so that an image whose parts were seen
//! before is put together by concatenation. Directories are not in it: two distributions share them, and a
//! layer must name each path once. Which file belongs to which segment is not decided here.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md>

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use minke_cas::{
    BlobWriter, Content, Digest, Entry, Epoch, File, ImagePath, Meter, Mode, Owner, Store, StoreError, Tree,
    Walk,
};
use rayon::iter::{ParallelBridge, ParallelIterator};
use serde::{Deserialize, Serialize};

use crate::Compression;
use crate::compression::Compressor;
use crate::flatten;
use crate::tar::{Member, MemberKind, header, padding};

/// How much tar goes into one gzip member or zstd frame.
///
/// Never from the number of cores: it is part of the bytes. Small enough for a wheel of a few megabytes to
/// keep several cores busy, large enough to cost gzip less than 0.3 % of size.
pub(crate) const MEMBER_SIZE: usize = 2 * 1024 * 1024;

/// Smaller files compress to little, and a link is one more thing for a runtime to get right.
const LINK_SIZE: u64 = 4096;

/// The files and symlinks of one distribution or package; its tree's directories are the layer's affair.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whose files these are, for people.
    pub name: String,
    /// The files and symlinks, at their places in the image.
    pub tree: Tree,
    /// The time that they carry.
    pub epoch: Epoch,
}

/// A segment's compressed bytes, in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentBlob {
    /// The blob: a run of gzip members or zstd frames.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
    /// How many bytes of tar it holds.
    pub tar_size: u64,
}

/// A tree cannot be written as a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store lacks something or cannot be written.
    #[error("the layer's parts cannot be read or kept")]
    Store(#[from] StoreError),
    /// A file's content cannot be read.
    #[error("the content of `{path}` cannot be read")]
    Content {
        /// Which file.
        path: ImagePath,
        /// What the system said.
        source: io::Error,
    },
    /// A content isn't as long as the tree says.
    #[error("`{path}` has {actual} bytes where its tree says {expected}")]
    Size {
        /// Which file.
        path: ImagePath,
        /// What the tree says.
        expected: u64,
        /// What the store has.
        actual: u64,
    },
    /// A symlink's target is empty or has a NUL.
    #[error("the symlink `{path}` has a target that no file system can hold")]
    Target {
        /// Which symlink.
        path: ImagePath,
    },
    /// A name means "deleted" in a layer.
    #[error("`{path}` has a name that starts with `.wh.`, which deletes files when a layer is unpacked")]
    Whiteout {
        /// Which entry.
        path: ImagePath,
    },
    /// Two segments have an entry at one path, or one has a file where another has a directory.
    #[error("`{path}` of {second} is in the layer already, from {first}")]
    Duplicate {
        /// Which path.
        path: ImagePath,
        /// The segment that came first, or the layer's directories.
        first: String,
        /// The segment that came second.
        second: String,
    },
    /// Two parts of a layer give one directory different modes or owners.
    #[error("`{path}` has one mode or owner in {first} and another in {second}")]
    Directory {
        /// Which directory.
        path: ImagePath,
        /// The part that came first.
        first: String,
        /// The part that came second.
        second: String,
    },
}

/// Compresses a segment, once: what was compressed before is found in the store.
///
/// One large segment keeps all of rayon's threads busy, with one member of tar in memory for each.
///
/// # Errors
/// [`LayerError::Store`], [`LayerError::Content`], [`LayerError::Size`], [`LayerError::Target`] and
/// [`LayerError::Whiteout`].
pub(crate) fn compress_segment(
    store: &Store,
    segment: &Segment,
    compression: Compression,
) -> Result<SegmentBlob, LayerError> {
    compress(store, segment, compression, &Meter::default())
}

/// As [`compress_segment`]; `meter` advances by bytes of tar.
pub(crate) fn compress(
    store: &Store,
    segment: &Segment,
    compression: Compression,
    meter: &Meter,
) -> Result<SegmentBlob, LayerError> {
    if let Some(blob) = known(store, segment, compression) {
        meter.advance(blob.tar_size);
        return Ok(blob);
    }
    let _span = tracing::info_span!("compress", segment = segment.name).entered();
    let sink =
        Mutex::new(InOrder { blob: store.blob_writer()?, next: 0, waiting: BTreeMap::new(), tar_size: 0 });
    let spare = Mutex::new(Vec::new());
    let pieces = Pieces { tar: SegmentTar::new(store, segment), spare: &spare, ended: false };
    // Whichever thread is free cuts the next piece and compresses it, so that reading goes no further ahead
    // than there are threads.
    let compressor = || Compressor::new(compression);
    pieces.enumerate().par_bridge().try_for_each_init(compressor, |compressor, (index, piece)| {
        let tar = piece?;
        let member = compressor.member(&tar);
        meter.advance(tar.len() as u64);
        let put = locked(&sink).put(index, member, tar.len() as u64);
        put.map_err(|source| LayerError::Store(unwritten(store, source)))?;
        locked(&spare).push(tar);
        Ok::<_, LayerError>(())
    })?;
    let sink = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    let tar_size = sink.tar_size;
    let (digest, size) = sink.blob.finish()?;
    let blob = SegmentBlob { digest, size, tar_size };
    flatten::remember_segment(store, &segment.tree)?;
    store.remember(KIND, &key(segment, compression), &blob)?;
    Ok(blob)
}

const KIND: &str = "segment-2";

fn key(segment: &Segment, compression: Compression) -> (Digest, Epoch, Compression) {
    (segment.tree.digest(), segment.epoch, compression)
}

/// Returns what a segment was compressed to, if it was.
pub(crate) fn known(store: &Store, segment: &Segment, compression: Compression) -> Option<SegmentBlob> {
    store.recall(KIND, &key(segment, compression))
}

pub(crate) fn unwritten(store: &Store, source: io::Error) -> StoreError {
    StoreError::Io { action: "write a blob in", path: store.root().to_owned(), source }
}

/// A thread that panicked has written nothing half: what it had to write is missing, and the whole fails.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts members that are done in any order into a blob in theirs.
struct InOrder {
    blob: BlobWriter,
    next: usize,
    waiting: BTreeMap<usize, Vec<u8>>,
    tar_size: u64,
}

impl InOrder {
    fn put(&mut self, index: usize, member: &[u8], tar_size: u64) -> io::Result<()> {
        self.tar_size += tar_size;
        if index != self.next {
            self.waiting.insert(index, member.to_vec());
            return Ok(());
        }
        self.blob.write_all(member)?;
        self.next += 1;
        while let Some(member) = self.waiting.remove(&self.next) {
            self.blob.write_all(&member)?;
            self.next += 1;
        }
        Ok(())
    }
}

/// A segment's tar, cut at fixed offsets.
struct Pieces<'a> {
    tar: SegmentTar<'a>,
    /// Buffers that have been compressed and can be filled again.
    spare: &'a Mutex<Vec<Vec<u8>>>,
    ended: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<u8>, LayerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut piece = locked(self.spare).pop().unwrap_or_default();
        piece.resize(MEMBER_SIZE, 0);
        match self.tar.fill(&mut piece) {
            Ok(count) => {
                self.ended = count < piece.len();
                piece.truncate(count);
                (count > 0).then_some(Ok(piece))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

/// A segment's tar, made as it is asked for: files and symlinks in path order, equal files as hard links.
pub(crate) struct SegmentTar<'a> {
    store: &'a Store,
    epoch: Epoch,
    walk: Walk<'a>,
    first: BTreeMap<(Digest, Mode, Owner), ImagePath>,
    path: ImagePath,
    head: io::Cursor<Vec<u8>>,
    content: Option<Content>,
    padding: io::Take<io::Repeat>,
}

impl<'a> SegmentTar<'a> {
    pub(crate) fn new(store: &'a Store, segment: &'a Segment) -> Self {
        Self {
            store,
            epoch: segment.epoch,
            walk: segment.tree.walk(),
            first: BTreeMap::new(),
            path: ImagePath::root(),
            head: io::Cursor::default(),
            content: None,
            padding: io::repeat(0).take(0),
        }
    }

    /// Fills the buffer and returns how much of it; less than all of it only at the end.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let count = self.read(&mut buffer[filled..])?;
            filled += count;
            if count == 0 && !self.advance()? {
                break;
            }
        }
        Ok(filled)
    }

    /// Returns how many bytes of tar there are to come, without reading a content.
    pub(crate) fn measure(mut self) -> Result<u64, LayerError> {
        let mut size = 0;
        while let Some((_, head, file)) = self.next_member()? {
            size += head.len() as u64 + file.map_or(0, |file| file.size + padding(file.size));
        }
        Ok(size)
    }

    /// Reads on in the current member; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let failed = |source| LayerError::Content { path: self.path.clone(), source };
        let count = self.head.read(buffer).map_err(failed)?;
        if count > 0 {
            return Ok(count);
        }
        if let Some(content) = &mut self.content {
            let count = content.read(buffer).map_err(failed)?;
            if count > 0 {
                return Ok(count);
            }
        }
        self.padding.read(buffer).map_err(failed)
    }

    /// Goes on to the next member, if there is one.
    fn advance(&mut self) -> Result<bool, LayerError> {
        let Some((path, head, file)) = self.next_member()? else { return Ok(false) };
        self.head = io::Cursor::new(head);
        self.padding = io::repeat(0).take(file.map_or(0, |file| padding(file.size)));
        self.content = file.map(|file| self.open(&path, file)).transpose()?;
        self.path = path;
        Ok(true)
    }

    fn open(&self, path: &ImagePath, file: &File) -> Result<Content, LayerError> {
        let content = self.store.content(file)?;
        let (_, actual) = content.extent();
        if actual != file.size {
            return Err(LayerError::Size { path: path.clone(), expected: file.size, actual });
        }
        Ok(content)
    }

    /// Returns the next file or symlink, if there is one.
    fn next_member(&mut self) -> Result<Option<Next<'a>>, LayerError> {
        let Some((path, entry)) = self.walk.find(|(_, entry)| !matches!(entry, Entry::Directory(_))) else {
            return Ok(None);
        };
        check_name(&path)?;
        let member =
            |kind, mode, owner| Member { path: path.relative(), kind, mode, owner, epoch: self.epoch };
        let (head, file) = match entry {
            Entry::Directory(_) => unreachable!("directories were passed over"),
            Entry::Symlink(link) => {
                if link.target.is_empty() || link.target.contains('\0') {
                    return Err(LayerError::Target { path });
                }
                let kind = MemberKind::Symlink { target: &link.target };
                (header(&member(kind, Mode::from_bits(0o777), link.owner)), None)
            }
            Entry::File(file) => {
                let key = (file.content, file.mode, file.owner);
                let first = (file.size >= LINK_SIZE).then(|| self.first.get(&key)).flatten();
                match first {
                    Some(first) => {
                        let kind = MemberKind::HardLink { target: first.relative() };
                        (header(&member(kind, file.mode, file.owner)), None)
                    }
                    None => {
                        let kind = MemberKind::File { size: file.size };
                        let head = header(&member(kind, file.mode, file.owner));
                        if file.size >= LINK_SIZE {
                            self.first.insert(key, path.clone());
                        }
                        (head, Some(file).filter(|file| file.size > 0))
                    }
                }
            }
        };
        Ok(Some((path, head, file)))
    }
}

/// A member's path and header, and the file whose content follows it, if one does.
type Next<'a> = (ImagePath, Vec<u8>, Option<&'a File>);

/// Refuses what would delete files when the layer is unpacked.
pub(crate) fn check_name(path: &ImagePath) -> Result<(), LayerError> {
    match path.name() {
        Some(name) if name.starts_with(".wh.") => Err(LayerError::Whiteout { path: path.clone() }),
        _ => Ok(()),
    }
}
