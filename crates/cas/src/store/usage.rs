//! What lies in the cache, how large it is, and when it was last used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Store, StoreError, format, locks};
use crate::Digest;

/// What something in the cache is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Downloads, compressed parts of layers, layers, manifests.
    Blob,
    /// What an archive unpacks to.
    Pack,
    /// What was computed from what.
    Result,
    /// What was noted about this machine's files.
    Note,
    /// A tree written out as files.
    Room,
    /// A download that isn't whole.
    Partial,
    /// Work of a process that is still at it, or has died.
    Unfinished,
    /// What the user calls an image.
    Name,
    /// What another program keeps here, such as uv.
    Other,
    /// All that an older minke has left.
    Older,
}

/// How much of a kind there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// How many things.
    pub entries: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// One thing that can be taken from the cache by itself.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) used: SystemTime,
}

impl Usage {
    pub(super) fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }
}

impl Store {
    /// Counts what lies in the cache itself, by kind; what changes meanwhile may be counted or not.
    ///
    /// # Errors
    /// [`StoreError::Io`] if a directory cannot be read.
    pub fn usage(&self) -> Result<BTreeMap<Kind, Usage>, StoreError> {
        let mut usage: BTreeMap<Kind, Usage> = BTreeMap::new();
        for item in self.items()? {
            usage.entry(item.kind).or_default().add(item.bytes);
        }
        let root = &self.inner.root;
        for (kind, below) in [(Kind::Name, "names"), (Kind::Unfinished, "scratch")] {
            for file in files(&root.join(below))? {
                // The lock of who is at work is no work.
                if kind == Kind::Name || file.bytes > 0 {
                    usage.entry(kind).or_default().add(file.bytes);
                }
            }
        }
        for place in self.strangers()? {
            usage.entry(Kind::Other).or_default().add(size_of(&place)?);
        }
        for place in self.older() {
            usage.entry(Kind::Older).or_default().add(size_of(&place)?);
        }
        Ok(usage)
    }

    /// Returns everything that can be made or fetched again.
    pub(super) fn items(&self) -> Result<Vec<Item>, StoreError> {
        let root = &self.inner.root;
        let mut items = Vec::new();
        for (kind, below) in [
            (Kind::Blob, "blobs"),
            (Kind::Pack, "packs"),
            (Kind::Result, "memo"),
            (Kind::Partial, "partial"),
            (Kind::Note, "jots"),
        ] {
            let of_kind = files(&root.join(below))?;
            items.extend(of_kind.into_iter().map(|item| Item { kind, ..item }));
        }
        for path in entries(&root.join("rooms"))?.into_iter().filter(|path| path.is_dir()) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let bytes = size_of(&path)? + size_of(&path.with_extension("tree"))?;
            items.push(Item { kind: Kind::Room, bytes, path, used });
        }
        Ok(items)
    }

    /// Returns the directories that aren't ours, such as that of uv.
    pub(super) fn strangers(&self) -> Result<Vec<PathBuf>, StoreError> {
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name == "lock" || format::DIRECTORIES.contains(&name))
        };
        Ok(entries(&self.inner.root)?.into_iter().filter(|path| !is_ours(path)).collect())
    }

    /// Returns the directories of older formats.
    pub(super) fn older(&self) -> Vec<PathBuf> {
        let home = locks::home(&self.inner.root);
        let older = format::formats(home).into_iter().filter(|found| *found < format::VERSION);
        older.map(|found| home.join(format!("v{found}"))).collect()
    }
}

/// Returns the digest in the name of an item's file.
pub(super) fn digest_in_name(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.parse().ok()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", directory)(error)),
    };
    let paths = listed.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths.collect::<Result<_, _>>().map_err(StoreError::io("read", directory))?;
    paths.sort();
    Ok(paths)
}

/// Returns all files below a directory; what vanishes meanwhile was never there.
fn files(directory: &Path) -> Result<Vec<Item>, StoreError> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for path in entries(&directory)? {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                pending.push(path);
            } else {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                // What rooms share counts once in all of them together.
                let bytes = metadata.len() / metadata.nlink().max(1);
                found.push(Item { kind: Kind::Other, path, bytes, used });
            }
        }
    }
    Ok(found)
}

pub(super) fn size_of(path: &Path) -> Result<u64, StoreError> {
    if path.is_dir() && !path.is_symlink() {
        return Ok(files(path)?.iter().map(|file| file.bytes).sum());
    }
    Ok(fs::symlink_metadata(path).map_or(0, |metadata| metadata.len()))
}
