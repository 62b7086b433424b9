//! Layers: segments one after the other, with the directories that they lie in before them.
//!
//! A layer names each path once, every directory before what lies in it, and nothing implicitly: a runtime
//! that makes a missing parent itself would decide its mode.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md>

use std::collections::BTreeMap;
use std::io;

use minke_cas::{DiffId, Digest, Entry, Epoch, ImagePath, Meter, Mode, Owner, Store, Tree};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::{Deserialize, Serialize};

use crate::compression::Compressor;
use crate::flatten::Parts;
use crate::hashing::{self, Hashed, PIECE};
use crate::packed::{self, Packed, Placed, Tars, placed};
use crate::segment::{MEMBER_SIZE, SegmentTar, check_name, compress, known, unwritten};
use crate::tar::{END, Member, MemberKind, header};
use crate::{Compression, Descriptor, LayerError, Segment, SegmentBlob};

/// What goes into one layer.
#[derive(Clone, Debug)]
pub struct LayerSpec {
    /// What the layer is called in the image's history.
    pub name: String,
    /// Who brings files, in the order in which they are written.
    pub segments: Vec<Segment>,
    /// Directories that are there beside those in the segments' trees; what else is in it is not written.
    pub directories: Tree,
}

/// A layer in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// What it is called in the image's history.
    pub name: String,
    /// Its compressed bytes.
    pub descriptor: Descriptor,
    /// The sha256 of its tar.
    pub diff_id: DiffId,
    /// The tar's size in bytes.
    pub tar_size: u64,
    /// How many members the tar has.
    pub entries: u64,
}

/// What is remembered of a layer: all but its name.
#[derive(Serialize, Deserialize)]
struct Written {
    descriptor: Descriptor,
    diff_id: DiffId,
    tar_size: u64,
    entries: u64,
}

/// Writes a layer into the store, or finds it there.
///
/// `meter` counts bytes of tar. Where a directory is in several of the parts, one that isn't root's
/// `rwxr-xr-x` decides, as in [`Tree::join`]. The root itself is written only if it isn't that.
///
/// # Errors
/// Any [`LayerError`].
pub fn write_layer(
    store: &Store,
    spec: &LayerSpec,
    compression: Compression,
    meter: &Meter,
) -> Result<Layer, LayerError> {
    let segments = spec.segments.iter().map(|segment| (segment.tree.digest(), segment.epoch)).collect();
    let key = (segments, spec.directories.digest(), compression);
    written(store, (&spec.name, &key), meter, || assemble(store, spec, compression, meter))
}

/// As [`write_layer`], of segments that are compressed already; no path may be in two of them.
///
/// # Errors
/// [`LayerError::Store`], [`LayerError::Whiteout`] and [`LayerError::Directory`].
pub fn write_packed(
    store: &Store,
    (name, segments): (&str, &[Packed]),
    directories: &Tree,
    compression: Compression,
    meter: &Meter,
) -> Result<Layer, LayerError> {
    let trees = segments.iter().map(|segment| (segment.tree, segment.epoch)).collect();
    let key = (trees, directories.digest(), compression);
    written(store, (name, &key), meter, || {
        let own = (LAYER, placed(directories));
        let theirs = segments.iter().map(|segment| (segment.name.as_str(), segment.directories.clone()));
        let directories = gather(std::iter::once(own).chain(theirs))?;
        let head = directories_tar(&directories);
        let blobs: Vec<SegmentBlob> = segments.iter().map(|segment| segment.blob).collect();
        let (hashed, joined) = rayon::join(
            || packed::hash(store, &head, segments, compression),
            || join(store, (name, &head), &blobs, compression),
        );
        let hashed = hashed?;
        meter.expect(hashed.1);
        meter.advance(hashed.1);
        let pieces = Pieces {
            trees: segments.iter().map(|segment| segment.tree).collect(),
            members: segments.iter().map(|segment| segment.members).sum(),
        };
        remembered(store, &directories, pieces, hashed, joined?)
    })
}

/// What a layer depends on: its segments' trees and times, its directories, its compression.
type LayerKey = (Vec<(Digest, Epoch)>, Digest, Compression);

fn written(
    store: &Store,
    (name, key): (&str, &LayerKey),
    meter: &Meter,
    make: impl FnOnce() -> Result<Written, LayerError>,
) -> Result<Layer, LayerError> {
    let Written { descriptor, diff_id, tar_size, entries } = match store.recall("layer-written-1", key) {
        Some::<Written>(known) => {
            meter.expect(known.tar_size);
            meter.advance(known.tar_size);
            known
        }
        None => {
            let written = make()?;
            store.remember("layer-written-1", key, &written)?;
            written
        }
    };
    Ok(Layer { name: name.to_owned(), descriptor, diff_id, tar_size, entries })
}

fn assemble(
    store: &Store,
    spec: &LayerSpec,
    compression: Compression,
    meter: &Meter,
) -> Result<Written, LayerError> {
    let segments = spec.segments.iter().map(|segment| (segment.name.as_str(), placed(&segment.tree)));
    let directories = gather(std::iter::once((LAYER, placed(&spec.directories))).chain(segments))?;
    let members = check_paths(spec, &directories)?;
    let known: Vec<_> = spec.segments.iter().map(|segment| known(store, segment, compression)).collect();
    for (segment, known) in spec.segments.iter().zip(&known) {
        let measure = || SegmentTar::new(store, segment).measure();
        meter.expect(known.map_or_else(measure, |blob| Ok(blob.tar_size))?);
    }
    let head = directories_tar(&directories);
    // Compressing takes twenty times as long as hashing, so that one thread does the latter beside it.
    let (hashed, joined) = rayon::join(
        || hash(store, &head, (&spec.segments, &known, compression)),
        || {
            let blobs = spec.segments.par_iter().map(|segment| compress(store, segment, compression, meter));
            let blobs = blobs.collect::<Result<Vec<SegmentBlob>, _>>()?;
            join(store, (&spec.name, &head), &blobs, compression)
        },
    );
    let trees = spec.segments.iter().map(|segment| segment.tree.digest()).collect();
    // What is wrong with a file is told by who compresses it.
    let joined = joined?;
    remembered(store, &directories, Pieces { trees, members }, hashed?, joined)
}

/// The segments of a layer.
struct Pieces {
    /// The digests of their trees.
    trees: Vec<Digest>,
    /// How many files and symlinks they have.
    members: u64,
}

/// Writes a layer's bytes: its directories, its segments, the end marker. Returns their descriptor.
fn join(
    store: &Store,
    (name, head): (&str, &[u8]),
    blobs: &[SegmentBlob],
    compression: Compression,
) -> Result<Descriptor, LayerError> {
    let _span = tracing::info_span!("write layer", layer = name).entered();
    let mut layer = store.blob_writer()?;
    let mut compressor = Compressor::new(compression);
    for piece in head.chunks(MEMBER_SIZE) {
        write(store, &mut layer, &mut compressor.member(piece))?;
    }
    for blob in blobs {
        write(store, &mut layer, &mut store.open_blob(&blob.digest)?)?;
    }
    write(store, &mut layer, &mut compressor.member(&END))?;
    let (digest, size) = layer.finish()?;
    Ok(Descriptor { media_type: compression.media_type().to_owned(), digest, size })
}

/// Keeps what a layer unpacks to, which nobody has to find out by unpacking it.
fn remembered(
    store: &Store,
    directories: &Directories<'_>,
    Pieces { trees, members }: Pieces,
    (diff_id, tar_size): (DiffId, u64),
    descriptor: Descriptor,
) -> Result<Written, LayerError> {
    let placed = directories.iter().map(|(path, (mode, owner, _))| (path.clone(), *mode, *owner));
    Parts { directories: placed.collect(), segments: trees }.remember(store, &diff_id)?;
    Ok(Written { descriptor, diff_id, tar_size, entries: directories.len() as u64 + members })
}

type Directories<'a> = BTreeMap<ImagePath, (Mode, Owner, &'a str)>;

const PLAIN: (Mode, Owner) = (Mode::EXECUTABLE, Owner { uid: 0, gid: 0 });

/// Gathers every directory of every part, with the part that decided its mode and owner.
fn gather<'a>(parts: impl Iterator<Item = (&'a str, Vec<Placed>)>) -> Result<Directories<'a>, LayerError> {
    let mut directories = Directories::new();
    for (part, placed) in parts {
        for (path, mode, owner) in placed {
            check_name(&path)?;
            let there = directories.entry(path.clone()).or_insert((mode, owner, part));
            match ((there.0, there.1), (mode, owner)) {
                (first, second) if first == second || second == PLAIN => {}
                (first, _) if first == PLAIN => *there = (mode, owner, part),
                _ => {
                    let (first, second) = (there.2.to_owned(), part.to_owned());
                    return Err(LayerError::Directory { path, first, second });
                }
            }
        }
    }
    let root = directories.get(&ImagePath::root()).map(|(mode, owner, _)| (*mode, *owner));
    if root == Some(PLAIN) {
        directories.remove(&ImagePath::root());
    }
    Ok(directories)
}

/// What a layer's own directories are called in errors.
const LAYER: &str = "the layer's directories";

/// Refuses two entries at one path, and returns how many there are that aren't directories.
fn check_paths(spec: &LayerSpec, directories: &Directories<'_>) -> Result<u64, LayerError> {
    let mut seen: BTreeMap<ImagePath, &str> = BTreeMap::new();
    for segment in &spec.segments {
        for (path, entry) in segment.tree.walk() {
            if matches!(entry, Entry::Directory(_)) {
                continue;
            }
            let first = directories.get(&path).map(|(_, _, part)| *part);
            if let Some(first) = first.or_else(|| seen.insert(path.clone(), &segment.name)) {
                let (first, second) = (first.to_owned(), segment.name.clone());
                return Err(LayerError::Duplicate { path, first, second });
            }
        }
    }
    Ok(seen.len() as u64)
}

fn directories_tar(directories: &Directories<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, (mode, owner, _)) in directories {
        let path = if path.is_root() { "." } else { path.relative() };
        let (mode, owner, epoch) = (*mode, *owner, Epoch::FIXED);
        tar.extend_from_slice(&header(&Member { path, kind: MemberKind::Directory, mode, owner, epoch }));
    }
    tar
}

/// Hashes and measures the layer's tar from its first byte to the end marker.
fn hash(
    store: &Store,
    head: &[u8],
    (segments, known, compression): (&[Segment], &[Option<SegmentBlob>], Compression),
) -> Result<(DiffId, u64), LayerError> {
    let _span = tracing::info_span!("hash layer", segments = segments.len()).entered();
    let hashed = hashing::hash(Hashed::head(head), |pieces| {
        let mut tars = Tars::new(store, compression);
        for (segment, known) in segments.iter().zip(known) {
            let loose = || segment.tree.files().filter(|(_, file)| file.pack.is_none()).count() as u64;
            match known.filter(|blob| loose() * OPENING > blob.tar_size) {
                Some(blob) => tars.bring(&blob, pieces)?,
                None => read(store, segment, pieces)?,
            }
        }
        Ok(())
    });
    hashed.map(|(hashed, _)| hashed)
}

/// How many bytes of tar are inflated in the time in which a file of its own is opened; a pack is read at once.
const OPENING: u64 = 20_000;

/// Brings a segment's tar, made from its files.
fn read(store: &Store, segment: &Segment, pieces: &hashing::Pieces) -> Result<(), LayerError> {
    let mut tar = SegmentTar::new(store, segment);
    loop {
        let mut piece = pieces.buffer();
        piece.resize(PIECE, 0);
        let count = tar.fill(&mut piece)?;
        piece.truncate(count);
        pieces.put(piece);
        if count < PIECE {
            return Ok(());
        }
    }
}

fn write(store: &Store, layer: &mut impl io::Write, from: &mut impl io::Read) -> Result<(), LayerError> {
    // `io::copy` alone would use a buffer of 8 KiB, and hash as little at a time.
    let mut from = io::BufReader::with_capacity(256 * 1024, from);
    io::copy(&mut from, layer).map_err(|source| unwritten(store, source))?;
    Ok(())
}

#[cfg(test)]
mod tests;
