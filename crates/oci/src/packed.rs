//! Segments of which all is known that a layer needs, so that none of their files is looked at again.
//!
//! A layer of ten thousand files of which one was edited is put together from a hundred and sixty of these.

use std::fs;
use std::io::{self, Read};

use minke_cas::{DiffId, Digest, Entry, Epoch, Hasher, ImagePath, Mode, Owner, Store, Tree};
use serde::{Deserialize, Serialize};

use crate::compression::{Inflater, decompressed};
use crate::hashing::{self, Hashed, PIECE, Pieces};
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

/// How far the last layer with these directories was hashed after each of its segments: one that begins with the same
/// is hashed from there.
#[derive(Default, Serialize, Deserialize)]
struct Progress {
    /// The hex digits of a segment's blob, and the state after it.
    steps: Vec<(String, String)>,
}

const PROGRESS: &str = "layer-progress-1";

/// Where hashing takes no time anyway, nothing is kept of it.
const WORTH: u64 = 1024 * 1024;

/// Hashes and measures a layer's tar from its first byte to the end marker.
pub(crate) fn hash(
    store: &Store,
    head: &[u8],
    segments: &[Packed],
    compression: Compression,
) -> Result<(DiffId, u64), LayerError> {
    let is_worth = segments.iter().map(|segment| segment.blob.tar_size).sum::<u64>() > WORTH;
    let key = Digest::of(head);
    let mut progress: Progress = is_worth.then(|| store.recall(PROGRESS, &key)).flatten().unwrap_or_default();
    let (begun, start) = progress.after_same(segments, head);
    let (_, left) = segments.split_at(begun);
    let _span = tracing::info_span!("hash packed", segments = left.len()).entered();
    let (hashed, borders) = hashing::hash(start, |pieces| {
        let mut tars = Tars::new(store, compression);
        left.iter().try_for_each(|segment| {
            tars.bring(&segment.blob, pieces)?;
            pieces.border();
            Ok(())
        })
    })?;
    if is_worth && !left.is_empty() {
        progress.steps.truncate(begun);
        let steps = left.iter().zip(&borders);
        let steps = steps.map(|(segment, border)| (segment.blob.digest.hex(), border.state()));
        progress.steps.extend(steps);
        store.remember(PROGRESS, &key, &progress)?;
    }
    Ok(hashed)
}

impl Progress {
    /// Returns how many segments at the beginning are the same, and the hash after them.
    fn after_same(&self, segments: &[Packed], head: &[u8]) -> (usize, Hashed) {
        let is_same =
            |(segment, (blob, _)): &(&Packed, &(String, String))| segment.blob.digest.hex() == *blob;
        let same = segments.iter().zip(&self.steps).take_while(is_same).count();
        let last = same.checked_sub(1).and_then(|last| Hasher::resume(&self.steps[last].1));
        last.map_or((0, Hashed::head(head)), |hasher| {
            let size = segments[..same].iter().map(|segment| segment.blob.tar_size).sum::<u64>();
            (same, Hashed { hasher, size: size + head.len() as u64 })
        })
    }
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

#[cfg(test)]
mod tests {
    use minke_cas::Meter;

    use super::*;
    use crate::tar::{Member, MemberKind, header};
    use crate::testing::{Bench, segment};
    use crate::{Layer, write_packed};

    fn packed(bench: &Bench, numbers: [u64; 5]) -> Vec<Packed> {
        let segment = |(place, number): (usize, &u64)| {
            let tree = bench.tree(&[&format!("/d/{place} * {}", 400_000 + number)]);
            Packed::new(&bench.store, &segment("app", tree), Compression::Gzip).unwrap()
        };
        numbers.iter().enumerate().map(segment).collect()
    }

    fn layer(bench: &Bench, segments: &[Packed]) -> Layer {
        let parts = ("app", segments);
        write_packed(&bench.store, parts, &Tree::new(), Compression::Gzip, &Meter::default()).unwrap()
    }

    #[test]
    fn a_layer_is_hashed_from_where_it_differs_and_is_the_same() {
        let bench = Bench::new();
        layer(&bench, &packed(&bench, [0; 5]));
        let (mode, owner, epoch) = (Mode::EXECUTABLE, Owner::default(), Epoch::FIXED);
        let kind = MemberKind::Directory;
        let head = Digest::of(&header(&Member { path: "d", kind, mode, owner, epoch }));
        let edits = [([0, 0, 0, 0, 1], 4), ([0, 0, 0, 0, 0], 4), ([0, 1, 0, 0, 0], 1), ([1, 1, 0, 0, 2], 0)];
        for (edited, same) in edits {
            let segments = packed(&bench, edited);
            let progress: Progress = bench.store.recall(PROGRESS, &head).unwrap();
            assert_eq!(progress.after_same(&segments, &[]).0, same, "{edited:?}");
            let other = Bench::new();
            assert_eq!(layer(&bench, &segments), layer(&other, &packed(&other, edited)), "{edited:?}");
        }
    }

    /// A state that cannot be read is none.
    #[test]
    fn a_progress_that_is_garbled_is_not_believed() {
        let bench = Bench::new();
        let segments = packed(&bench, [0; 5]);
        let steps = segments.iter().map(|segment| (segment.blob.digest.hex(), "00ff".to_owned())).collect();
        assert_eq!(Progress { steps }.after_same(&segments, b"head").0, 0);
    }
}
