//! Segments of which all is known that a layer needs, so that none of their files is looked at again.
//!
//! A layer of ten thousand files of which one was edited is put together from a hundred and sixty of these.

use std::fs;
use std::io::{self, Read};

use minke_cas::{DiffId, Digest, Entry, Epoch, ImagePath, Mode, Owner, Store, Tree};
use serde::{Deserialize, Serialize};

use crate::compression::{Inflater, decompressed};
use crate::hashing::{self, PIECE, Pieces};
use crate::segment::{MEMBER_SIZE, check_name, compress_segment, unwritten};
use crate::{Compression, LayerError, Segment, SegmentBlob};

/// A segment that is compressed, and what a layer needs to know of it besides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Packed {
    /// Whose files these are, for people.
    pub(crate) name: String,
    pub(crate) tree: Digest,
    pub(crate) epoch: Epoch,
    pub(crate) blob: SegmentBlob,
    /// How many files and symlinks it has.
    pub(crate) members: u64,
    /// The directories that they lie in.
    pub(crate) directories: Vec<Placed>,
}

/// A directory with what its tree says of it.
pub(crate) type Placed = (ImagePath, Mode, Owner);

impl Packed {
    /// Compresses a segment, or finds it compressed.
    ///
    /// # Errors
    /// [`LayerError::Store`], [`LayerError::Content`], [`LayerError::Size`], [`LayerError::Target`] and
    /// [`LayerError::Whiteout`].
    pub fn new(store: &Store, segment: &Segment, compression: Compression) -> Result<Self, LayerError> {
        let directories = placed(&segment.tree);
        directories.iter().try_for_each(|(path, ..)| check_name(path))?;
        let members = segment.tree.walk().filter(|(_, entry)| !matches!(entry, Entry::Directory(_))).count();
        Ok(Self {
            name: segment.name.clone(),
            tree: segment.tree.digest(),
            epoch: segment.epoch,
            blob: compress_segment(store, segment, compression)?,
            members: members as u64,
            directories,
        })
    }
}

/// Returns a tree's directories, the root first.
pub(crate) fn placed(tree: &Tree) -> Vec<Placed> {
    let root = (ImagePath::root(), tree.root().mode(), tree.root().owner());
    let below = tree.walk().filter_map(|(path, entry)| match entry {
        Entry::Directory(directory) => Some((path, directory.mode(), directory.owner())),
        Entry::File(_) | Entry::Symlink(_) => None,
    });
    std::iter::once(root).chain(below).collect()
}

/// Hashes and measures a layer's tar from its first byte to the end marker.
pub(crate) fn hash(
    store: &Store,
    head: &[u8],
    segments: &[Packed],
    compression: Compression,
) -> Result<(DiffId, u64), LayerError> {
    let _span = tracing::info_span!("hash packed", segments = segments.len()).entered();
    hashing::hash(head, |pieces| {
        let mut tars = Tars::new(store, compression);
        segments.iter().try_for_each(|segment| tars.bring(&segment.blob, pieces))
    })
}

/// Brings the tars that blobs were compressed from.
pub(crate) struct Tars<'store> {
    store: &'store Store,
    compression: Compression,
    inflater: Inflater,
    /// Bytes of a blob, kept so that memory is asked for once.
    member: Vec<u8>,
}

impl<'store> Tars<'store> {
    pub(crate) fn new(store: &'store Store, compression: Compression) -> Self {
        Self { store, compression, inflater: Inflater::new(), member: Vec::new() }
    }

    /// Brings a blob's tar, whole or piece by piece.
    pub(crate) fn bring(&mut self, blob: &SegmentBlob, pieces: &Pieces) -> Result<(), LayerError> {
        // What nothing was compressed to is nothing, and no gzip member.
        if blob.size == 0 {
            return Ok(());
        }
        let opened = self.store.open_blob(&blob.digest)?;
        let is_gzip = matches!(self.compression, Compression::Gzip | Compression::GzipBest);
        let brought = if is_gzip && blob.tar_size <= MEMBER_SIZE as u64 {
            self.at_once(opened, blob, pieces)
        } else {
            self.in_pieces(opened, pieces)
        };
        brought.map_err(|source| LayerError::Store(unwritten(self.store, source)))
    }

    /// Of what is cut into members, this is one.
    fn at_once(&mut self, mut opened: fs::File, blob: &SegmentBlob, pieces: &Pieces) -> io::Result<()> {
        self.member.clear();
        opened.read_to_end(&mut self.member)?;
        let mut tar = pieces.buffer();
        self.inflater.fill(&mut tar, blob.tar_size as usize, &self.member)?;
        pieces.put(tar);
        Ok(())
    }

    fn in_pieces(&self, opened: fs::File, pieces: &Pieces) -> io::Result<()> {
        let mut tar = decompressed(io::BufReader::new(opened), self.compression)?;
        loop {
            let mut piece = pieces.buffer();
            tar.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            pieces.put(piece);
        }
    }
}
