//! Making room: what nobody has used for long goes, what a name stands for stays.
//!
//! Anything else may be taken in any order, since nothing that is left is believed without what it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::beside::{BESIDE, subject};
use super::memo::needs_in;
use super::usage::{Item, Kind, Usage, digest_in_name};
use super::{Store, StoreError, locks, scratch};
use crate::Digest;

/// What may stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// What was used within this time; everything where nothing is said.
    pub used_within: Option<Duration>,
    /// So many bytes at most, of which what a name stands for goes last: never.
    pub most_bytes: Option<u64>,
}

/// How far a cache is emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clean {
    /// Images that have a name stay.
    ButImages,
    /// All of it, and older formats.
    All,
}

/// What was taken from the cache, and what is left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// What is gone, by kind.
    pub dropped: BTreeMap<Kind, Usage>,
    /// What is left of what could go or has a name.
    pub left: Usage,
}

/// Blobs that are JSON and refer to others are never larger: a registry refuses larger manifests.
const LARGEST_MANIFEST: u64 = 4 << 20;

impl Store {
    /// Takes from the cache what isn't to be kept; waits until nobody else uses it.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`]; [`StoreError::Io`].
    pub fn gc(&self, keep: Keep) -> Result<Swept, StoreError> {
        // Rooms have thousands of files: they are carried out now, and taken apart when others may go on.
        let outside = self.scratch()?;
        self.alone(|| {
            let named = self.named()?;
            let (mut bound, mut free): (Vec<Item>, Vec<Item>) = self.items()?.into_iter().partition(|item| {
                item.kind == Kind::Blob
                    && digest_in_name(&item.path).is_some_and(|digest| named.contains(&digest))
            });
            free.sort_by_key(|item| item.used);
            let is_old = |item: &Item| {
                keep.used_within.is_some_and(|within| item.used.elapsed().is_ok_and(|ago| ago >= within))
            };
            let mut bytes: u64 = bound.iter().chain(&free).map(|item| item.bytes).sum();
            let mut swept = Swept::default();
            for item in free {
                let is_free =
                    item.kind != Kind::Room || !locks::is_occupied(&item.path.with_extension("tree"));
                if is_free && (is_old(&item) || keep.most_bytes.is_some_and(|most| bytes > most)) {
                    bytes -= item.bytes;
                    drop_item(&item, outside.path(), &mut swept)?;
                } else {
                    bound.push(item);
                }
            }
            self.drop_unbelievable(&mut bound, outside.path(), &mut swept)?;
            self.forget_strays()?;
            self.drop_turns()?;
            bound.iter().for_each(|item| swept.left.add(item.bytes));
            Ok(swept)
        })
    }

    /// Takes everything from the cache; waits until nobody else uses it.
    ///
    /// # Errors
    /// As [`Store::gc`].
    pub fn clean(&self, clean: Clean) -> Result<Swept, StoreError> {
        if clean == Clean::All {
            self.alone(|| remove(&self.inner.root.join("names")))?;
        }
        let mut swept = self.gc(Keep { used_within: Some(Duration::ZERO), most_bytes: Some(0) })?;
        self.alone(|| {
            let older = if clean == Clean::All { self.older() } else { Vec::new() };
            let strangers = self.strangers()?.into_iter().map(|path| (Kind::Other, path));
            for (kind, path) in strangers.chain(older.into_iter().map(|path| (Kind::Older, path))) {
                swept.dropped.entry(kind).or_default().add(super::usage::size_of(&path)?);
                remove(&path)?;
            }
            Ok(())
        })?;
        Ok(swept)
    }

    /// Drops results that have lost what they need: they take up room and nothing else.
    fn drop_unbelievable(
        &self,
        items: &mut Vec<Item>,
        outside: &Path,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let is_lost = |item: &Item| {
            item.kind == Kind::Result && !needs_in(&item.path).is_some_and(|needs| self.are_there(&needs))
        };
        let (lost, left): (Vec<_>, _) = std::mem::take(items).into_iter().partition(is_lost);
        *items = left;
        lost.iter().try_for_each(|item| drop_item(item, outside, swept))
    }

    /// Removes the locks of killed processes; who is alone has none of his own.
    fn drop_turns(&self) -> Result<(), StoreError> {
        let locks = self.inner.root.join("locks");
        for entry in fs::read_dir(&locks).map_err(StoreError::io("read", &locks))?.flatten() {
            remove(&entry.path())?;
        }
        Ok(())
    }

    /// Returns every blob that a name stands for: the one whose digest is its text, and all that those refer to.
    ///
    /// A blob refers to others if it is JSON, by the values of the keys `digest`.
    pub(super) fn named(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let mut named = BTreeSet::new();
        for kind in fs::read_dir(self.inner.root.join("names")).into_iter().flatten().flatten() {
            if kind.file_name() == BESIDE {
                continue;
            }
            let names = self.names(&kind.file_name().to_string_lossy())?;
            names
                .iter()
                .filter_map(|(_, text)| text.parse().ok())
                .for_each(|digest| self.reach(digest, &mut named));
        }
        // What lies beside something refers to it, and keeps nothing by that.
        let beside = self.names(BESIDE)?.into_iter();
        let kept = beside.filter(|(name, _)| subject(name).is_some_and(|subject| named.contains(&subject)));
        for artifact in kept.filter_map(|(_, text)| text.parse().ok()).collect::<Vec<Digest>>() {
            self.reach(artifact, &mut named);
        }
        Ok(named)
    }

    /// Adds a blob and all that it refers to.
    pub(super) fn reach(&self, digest: Digest, reached: &mut BTreeSet<Digest>) {
        let mut pending = vec![digest];
        while let Some(digest) = pending.pop() {
            if !reached.insert(digest) || self.blob_size(&digest).is_none_or(|size| size > LARGEST_MANIFEST) {
                continue;
            }
            let json = self.read_blob(&digest).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            pending.extend(json.iter().flat_map(digests));
        }
    }
}

impl Item {
    /// Takes it away; of a room first the listing, without which it isn't believed by who checks it.
    ///
    /// A room is only carried to `outside`, a directory of the same file system, if it can be.
    pub(super) fn remove(&self, outside: &Path) -> Result<(), StoreError> {
        if self.kind == Kind::Room {
            remove(&self.path.with_extension("tree"))?;
            let carried =
                self.path.file_name().is_some_and(|name| fs::rename(&self.path, outside.join(name)).is_ok());
            if carried {
                return Ok(());
            }
        }
        remove(&self.path)
    }
}

fn drop_item(item: &Item, outside: &Path, swept: &mut Swept) -> Result<(), StoreError> {
    item.remove(outside)?;
    swept.dropped.entry(item.kind).or_default().add(item.bytes);
    Ok(())
}

/// Returns the digests in a JSON value that stand under the key `digest`.
fn digests(json: &serde_json::Value) -> Vec<Digest> {
    match json {
        serde_json::Value::Array(values) => values.iter().flat_map(digests).collect(),
        serde_json::Value::Object(entries) => {
            let own = entries.get("digest").and_then(|digest| digest.as_str()?.parse().ok());
            own.into_iter().chain(entries.values().flat_map(digests)).collect()
        }
        _ => Vec::new(),
    }
}

/// Removes a file or a directory; what is gone already is no matter.
fn remove(path: &Path) -> Result<(), StoreError> {
    let removed =
        if path.is_dir() && !path.is_symlink() { scratch::remove(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
