//! Reading everything again: what is wrong goes, and with it what needs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::boot::digest_of;
use super::memo::needs_in;
use super::spread::spread;
use super::usage::{Item, Kind, Usage, digest_in_name};
use super::{Store, StoreError, pack};
use crate::{Digest, Entry, Meter, Tree};

/// What was found when everything was read again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// What was read.
    pub checked: Usage,
    /// What was wrong or needed something that was, and is gone now.
    pub dropped: Vec<Dropped>,
}

/// Something that was dropped because it was wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dropped {
    /// What it was.
    pub kind: Kind,
    /// Its place in the cache; a name itself.
    pub what: String,
}

impl Store {
    /// Reads everything again on so many threads and drops what is wrong, and what needs it.
    ///
    /// `meter` counts bytes. Builds may go on meanwhile; only where something is to be dropped, this waits until
    /// nobody else uses the cache. A name goes if its image isn't whole any more.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if something is wrong and cannot be dropped; [`StoreError::Io`].
    pub fn verify(&self, jobs: usize, meter: &Meter) -> Result<Verified, StoreError> {
        let mut items = self.items()?;
        items.retain(|item| item.kind != Kind::Partial);
        meter.expect(items.iter().map(|item| item.bytes).sum());
        let mut verified = Verified::default();
        items.iter().for_each(|item| verified.checked.add(item.bytes));
        let wrong = self.wrong(&items, jobs, meter)?;
        let names = self.broken_names(&BTreeSet::new())?;
        if wrong.is_empty() && names.is_empty() {
            return Ok(verified);
        }
        let outside = self.scratch()?;
        self.alone(|| {
            let mut lost = BTreeSet::new();
            // Somebody may have made it again meanwhile.
            for item in
                wrong.iter().filter(|item| item.path.exists() && !self.is_right(item).unwrap_or(false))
            {
                item.remove(outside.path())?;
                lost.extend(digest_in_name(&item.path).filter(|_| item.kind == Kind::Blob));
                verified.dropped.push(self.dropped(item));
            }
            let results = self.items()?;
            for item in results.iter().filter(|item| item.kind == Kind::Result) {
                if !self.is_right(item)? {
                    item.remove(outside.path())?;
                    verified.dropped.push(self.dropped(item));
                }
            }
            for (kind, name) in self.broken_names(&lost)? {
                self.forget_name(&kind, &name)?;
                verified.dropped.push(Dropped { kind: Kind::Name, what: name });
            }
            Ok(())
        })?;
        verified.dropped.sort();
        Ok(verified)
    }

    /// Returns what isn't what it should be.
    fn wrong(&self, items: &[Item], jobs: usize, meter: &Meter) -> Result<Vec<Item>, StoreError> {
        let mut order: Vec<&Item> = items.iter().collect();
        // The largest first: what is begun last should be short.
        order.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let wrong = Mutex::new(Vec::new());
        spread(&order, jobs, |item| {
            if !self.is_right(item)? {
                wrong.lock().expect("no thread panics with this lock").push((*item).clone());
            }
            meter.advance(item.bytes);
            Ok(())
        })?;
        Ok(wrong.into_inner().expect("no thread panics with this lock"))
    }

    fn is_right(&self, item: &Item) -> Result<bool, StoreError> {
        match item.kind {
            Kind::Blob => {
                let digest = digest_of(&item.path).map_err(StoreError::io("read", &item.path))?;
                Ok(digest_in_name(&item.path) == Some(digest))
            }
            Kind::Pack => pack::check(&item.path),
            Kind::Result => Ok(needs_in(&item.path).is_some_and(|needs| self.are_there(&needs))),
            Kind::Room => Ok(is_room(&item.path)),
            // Whoever reads one checks it against what it is about.
            Kind::Note => Ok(true),
            Kind::Partial | Kind::Unfinished | Kind::Name | Kind::Other | Kind::Older => Ok(true),
        }
    }

    /// Returns the names, with their kinds, that stand for something that isn't whole.
    fn broken_names(&self, lost: &BTreeSet<Digest>) -> Result<Vec<(String, String)>, StoreError> {
        let mut broken = Vec::new();
        for kind in fs::read_dir(self.inner.root.join("names")).into_iter().flatten().flatten() {
            let kind = kind.file_name().to_string_lossy().into_owned();
            for (name, text) in self.names(&kind)? {
                let Ok(digest) = text.parse() else { continue };
                let mut reached = BTreeSet::new();
                self.reach(digest, &mut reached);
                if reached.iter().any(|digest| lost.contains(digest)) || !self.has(&digest) {
                    broken.push((kind.clone(), name));
                }
            }
        }
        Ok(broken)
    }

    fn dropped(&self, item: &Item) -> Dropped {
        let place = item.path.strip_prefix(&self.inner.root).unwrap_or(&item.path);
        Dropped { kind: item.kind, what: place.display().to_string() }
    }
}

/// Tells whether a room is what the listing beside it says.
fn is_room(path: &Path) -> bool {
    let tree = fs::read(path.with_extension("tree")).ok();
    let tree: Option<Tree> = tree.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    tree.is_some_and(|tree| {
        tree.walk().all(|(at, entry)| {
            let place: PathBuf = path.join(at.relative());
            match entry {
                Entry::Directory(_) => place.is_dir() && !place.is_symlink(),
                Entry::Symlink(link) => {
                    fs::read_link(&place).is_ok_and(|target| target == Path::new(&link.target))
                }
                Entry::File(file) => {
                    !place.is_symlink() && digest_of(&place).is_ok_and(|digest| digest == file.content)
                }
            }
        })
    })
}
