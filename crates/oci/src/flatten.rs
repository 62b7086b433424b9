//! From an image's layers back to one tree.
//!
//! What a layer says is read once and remembered, its contents in one pack; what minke wrote is remembered
//! from writing it, and its contents are where they were. Layers are foreign bytes: a
//! `..` is refused, an absolute name means one below the image's root, and a symlink on the way is followed
//! inside the root, as runtimes do. Devices and FIFOs are passed over, since runtimes make their own;
//! extended attributes are dropped, which can only take a right away.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#changesets>

mod apply;

use std::io::{BufReader, Read};

use minke_cas::{
    DiffId, Digest, Entry, File, HashingReader, ImagePath, Mode, Owner, PackId, PathError, Store, StoreError,
    Symlink, Tree, TreeError,
};
use serde::{Deserialize, Serialize};

use crate::compression::decompressed;
use crate::tar::{Kind, TarReader};
use crate::{Image, ImageError, ImageLayer, TarError};

/// What a name that deletes starts with.
const WHITEOUT: &str = ".wh.";
/// The entry that hides all that lower layers have in its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// What AUFS kept for itself.
const AUFS: &str = ".wh..wh.";

/// A layer cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum FlattenError {
    /// The store lacks a layer or cannot keep what is in it.
    #[error("the image's layers cannot be read or unpacked")]
    Store(#[from] StoreError),
    /// A layer is none that minke knows.
    #[error("the image has a layer that cannot be read")]
    Image(#[from] ImageError),
    /// A layer's tar is damaged.
    #[error("the layer {layer} is damaged")]
    Tar {
        /// Which layer.
        layer: Digest,
        /// What is wrong.
        source: TarError,
    },
    /// A name in a layer leads out of the image.
    #[error("the layer {layer} has a name that no image can have")]
    Path {
        /// Which layer.
        layer: Digest,
        /// What is wrong.
        source: PathError,
    },
    /// A layer unpacks to something other than the config says.
    #[error("the layer {layer} unpacks to {actual}, its image says {expected}")]
    DiffId {
        /// Which layer.
        layer: Digest,
        /// What the config says.
        expected: DiffId,
        /// What it unpacks to.
        actual: DiffId,
    },
    /// An entry lies below a file.
    #[error("the layer {layer} has an entry that cannot be placed")]
    Place {
        /// Which layer.
        layer: Digest,
        /// What is wrong.
        source: TreeError,
    },
    /// A path leads through more symlinks than Linux follows.
    #[error("`{path}` in the layer {layer} leads through too many symlinks")]
    Loop {
        /// Which layer.
        layer: Digest,
        /// Which path.
        path: ImagePath,
    },
    /// A path is longer than any that Linux takes.
    #[error("the layer {layer} has a path of more than 4096 bytes")]
    Long {
        /// Which layer.
        layer: Digest,
    },
    /// A hard link's other name is not there, or is a directory's.
    #[error("the hard link `{path}` in the layer {layer} leads to `{target}`, which is not a file")]
    Link {
        /// Which layer.
        layer: Digest,
        /// The link.
        path: ImagePath,
        /// What it names.
        target: ImagePath,
    },
}

/// Applies an image's layers one upon the other and returns the tree that a container sees.
///
/// The bytes of every layer that is read for the first time are checked against the config.
///
/// # Errors
/// Any [`FlattenError`].
pub fn flatten(store: &Store, image: &Image) -> Result<Tree, FlattenError> {
    let mut tree = Tree::new();
    for layer in &image.layers {
        apply::apply(&mut tree, read_layer(store, layer)?, &layer.descriptor.digest)?;
    }
    Ok(tree)
}

/// What one member of a layer does.
#[derive(Serialize, Deserialize)]
pub(crate) enum Change {
    #[serde(rename = "d")]
    Directory(Mode, Owner),
    #[serde(rename = "f")]
    File(File),
    #[serde(rename = "l")]
    Symlink(Symlink),
    #[serde(rename = "h")]
    HardLink(ImagePath),
    /// Removes what lower layers have at the path.
    #[serde(rename = "w")]
    Whiteout,
    /// Removes what lower layers have below the path.
    #[serde(rename = "o")]
    Opaque,
}

pub(crate) type Changes = Vec<(ImagePath, Change)>;

/// What a layer does that was not read but written: the entries are its segments', which are remembered for
/// themselves, so that a layer in which one segment is new costs one segment.
#[derive(Serialize, Deserialize)]
pub(crate) struct Parts {
    pub(crate) directories: Vec<(ImagePath, Mode, Owner)>,
    /// The digests of the segments' trees.
    pub(crate) segments: Vec<Digest>,
}

impl Parts {
    /// Remembers what a layer does.
    pub(crate) fn remember(&self, store: &Store, diff_id: &DiffId) -> Result<(), StoreError> {
        store.remember(PARTS, diff_id, self)
    }

    fn changes(self, store: &Store) -> Option<Changes> {
        let directory = |(path, mode, owner)| (path, Change::Directory(mode, owner));
        let mut changes: Changes = self.directories.into_iter().map(directory).collect();
        for digest in self.segments {
            let tree: Tree = store.recall(SEGMENT, &digest)?;
            changes.extend(tree.walk().filter_map(|(path, entry)| match entry {
                Entry::Directory(_) => None,
                Entry::File(file) => Some((path, Change::File(file.clone()))),
                Entry::Symlink(link) => Some((path, Change::Symlink(link.clone()))),
            }));
        }
        Some(changes)
    }
}

/// Remembers the tree that a segment was made from.
pub(crate) fn remember_segment(store: &Store, tree: &Tree) -> Result<(), StoreError> {
    store.remember(SEGMENT, &tree.digest(), tree)
}

const MEMO: &str = "layer-1";

const PARTS: &str = "layer-parts-1";

const SEGMENT: &str = "segment-tree-1";

fn read_layer(store: &Store, layer: &ImageLayer) -> Result<Changes, FlattenError> {
    if let Some(changes) = store.recall(MEMO, &layer.diff_id) {
        return Ok(changes);
    }
    let parts = store.recall::<_, Parts>(PARTS, &layer.diff_id);
    if let Some(changes) = parts.and_then(|parts| parts.changes(store)) {
        return Ok(changes);
    }
    let pack = PackId::of(MEMO, &layer.diff_id.digest());
    let blob = store.open_blob(&layer.descriptor.digest)?;
    let blob = BufReader::with_capacity(256 * 1024, blob);
    let damaged =
        |error| FlattenError::Tar { layer: layer.descriptor.digest, source: TarError::Input(error) };
    let tar = decompressed(blob, layer.compression()?).map_err(damaged)?;
    let changes = unpack(store, layer, pack, HashingReader::new(tar))?;
    store.remember(MEMO, &layer.diff_id, &changes)?;
    Ok(changes)
}

fn unpack(
    store: &Store,
    layer: &ImageLayer,
    pack: PackId,
    input: HashingReader<Box<dyn Read + '_>>,
) -> Result<Changes, FlattenError> {
    let digest = layer.descriptor.digest;
    let damaged = |source| FlattenError::Tar { layer: digest, source };
    let misnamed = |source| FlattenError::Path { layer: digest, source };
    let mut pack = store.pack_writer(pack)?;
    let mut tar = TarReader::new(BufReader::with_capacity(256 * 1024, input));
    let mut changes = Changes::new();
    let mut last = String::new();
    while let Some(member) = tar.next(&last).map_err(damaged)? {
        let path = ImagePath::from_archive(&member.path).map_err(misnamed)?;
        last = member.path;
        let (path, change) = match (deleted(&path), member.kind) {
            (Some(Deleted::Nothing), _) | (None, Kind::Other) => continue,
            (Some(Deleted::Below(directory)), _) => (directory, Change::Opaque),
            (Some(Deleted::At(path)), _) => (path, Change::Whiteout),
            (None, Kind::Directory) => (path, Change::Directory(member.mode, member.owner)),
            (None, Kind::Symlink { target }) => {
                (path, Change::Symlink(Symlink { target, owner: member.owner }))
            }
            (None, Kind::HardLink { target }) => {
                (path, Change::HardLink(ImagePath::from_archive(&target).map_err(misnamed)?))
            }
            (None, Kind::File) => {
                let (content, size) = pack.add(&mut tar).map_err(|error| unread(digest, error))?;
                let (mode, owner) = (member.mode, member.owner);
                (path, Change::File(File { content, size, pack: Some(pack.id()), mode, owner }))
            }
        };
        changes.push((path, change));
    }
    let input = tar.finish().map_err(damaged)?.into_inner();
    let actual = DiffId::of_uncompressed(input.finish().0);
    if actual != layer.diff_id {
        return Err(FlattenError::DiffId { layer: digest, expected: layer.diff_id, actual });
    }
    pack.finish()?;
    Ok(changes)
}

/// A reader that fails is the layer's fault, not the store's.
fn unread(layer: Digest, error: StoreError) -> FlattenError {
    match error {
        StoreError::Input(source) => FlattenError::Tar { layer, source: TarError::Input(source) },
        error => FlattenError::Store(error),
    }
}

enum Deleted {
    At(ImagePath),
    Below(ImagePath),
    Nothing,
}

/// Tells what a name that starts with `.wh.` deletes; none for all other names.
fn deleted(path: &ImagePath) -> Option<Deleted> {
    let name = path.name()?;
    let directory = path.parent()?;
    if name == OPAQUE {
        return Some(Deleted::Below(directory));
    }
    if name.starts_with(AUFS) {
        return Some(Deleted::Nothing);
    }
    // `.wh.` alone and `.wh...` would delete what no directory can hold.
    let hidden = name.strip_prefix(WHITEOUT)?;
    Some(hidden.parse().map_or(Deleted::Nothing, |name| Deleted::At(directory.join(&name))))
}

#[cfg(test)]
mod tests;
