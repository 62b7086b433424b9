//! Segments of which all is known that a layer needs, so that none of their files is looked at again.
//!
//! A layer of ten thousand files of which one was edited is put together from forty of these.

use std::io::{self, Read};
use std::sync::mpsc::sync_channel;
use std::thread;

use minke_cas::{DiffId, Digest, Entry, Epoch, Hasher, ImagePath, Mode, Owner, Store, Tree};
use serde::{Deserialize, Serialize};

use crate::compression::decompressed;
use crate::segment::{check_name, compress_segment, unwritten};
use crate::tar::END;
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
    /// As [`compress_segment`].
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

/// How much tar is handed over at once, and how often before who inflates waits for who hashes.
const PIECE: usize = 256 * 1024;
const AHEAD: usize = 8;

/// Hashes and measures a layer's tar from its first byte to the end marker, one thread inflating ahead of the other.
pub(crate) fn hash(
    store: &Store,
    head: &[u8],
    segments: &[Packed],
    compression: Compression,
) -> Result<(DiffId, u64), LayerError> {
    let _span = tracing::info_span!("hash packed", segments = segments.len()).entered();
    let failed = |source| LayerError::Store(unwritten(store, source));
    let mut hasher = Hasher::new();
    hasher.update(head);
    let mut size = (head.len() + END.len()) as u64;
    let (inflated, pieces) = sync_channel::<Vec<u8>>(AHEAD);
    thread::scope(|scope| {
        let inflate = scope.spawn(move || {
            // What nothing was compressed to is nothing, and no gzip member.
            for segment in segments.iter().filter(|segment| segment.blob.size > 0) {
                let blob = io::BufReader::new(store.open_blob(&segment.blob.digest)?);
                let mut tar = decompressed(blob, compression).map_err(failed)?;
                loop {
                    let mut piece = Vec::with_capacity(PIECE);
                    tar.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(failed)?;
                    // Who hashes goes away only when it panics.
                    if piece.is_empty() || inflated.send(piece).is_err() {
                        break;
                    }
                }
            }
            Ok::<_, LayerError>(())
        });
        for piece in pieces {
            hasher.update(&piece);
            size += piece.len() as u64;
        }
        inflate.join().expect("inflating doesn't panic")
    })?;
    hasher.update(&END);
    Ok((DiffId::of_uncompressed(hasher.finish()), size))
}
