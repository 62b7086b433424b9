//! The cache: blobs by digest, packs of small files, remembered results, and scratch space.
//!
//! ```text
//! CACHE/v2/blobs/ab/ab12…       bytes by their sha256: downloads, compressed segments, layers, manifests
//! CACHE/v2/packs/ab/ab12…       the contents of one unpacked archive, one after the other, and their listing
//! CACHE/v2/memo/KIND/ab/ab12…   a remembered result, beside what it needs to be believed
//! CACHE/v2/rooms/ab12…/         a tree written out as loose files; ab12….tree says what it was made from
//! CACHE/v2/names/…              what the user calls things: small texts that may be replaced
//! CACHE/v2/partial/ab12…        a download that isn't whole yet, locked by whoever goes on with it
//! CACHE/v2/jots/…               what was seen of this machine's files, to read them less often
//! CACHE/v2/locks/…              results that somebody is computing
//! CACHE/v2/boots/…              the boots of machines under which the cache was looked through
//! CACHE/v2/scratch/…            work that isn't finished; whose process is gone is swept away
//! CACHE/v2/lock                 shared by all who use the cache, exclusive for who takes from it
//! ```
//!
//! Everything is written under a unique temporary name in `scratch` and renamed when it is whole, so that a
//! process that is killed leaves nothing a later one believes. Files are not synced to the disk; what a power
//! failure makes of that, and who waits for whom, stands in `docs/design/store.md`.
//!
//! This module is the one door to the cache directory.

mod beside;
mod blob;
mod boot;
mod format;
mod gc;
mod jots;
mod locks;
mod memo;
mod names;
mod pack;
mod partial;
mod references;
mod room;
mod scratch;
mod spread;
mod usage;
mod verify;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::{Digest, File};

use blob::copy;

pub use blob::BlobWriter;
pub use gc::{Clean, Keep, Swept};
pub use locks::Listener;
pub use pack::{Content, PackId, PackWriter};
pub use partial::{Claim, Partial};
pub use room::Ownership;
pub use scratch::Scratch;
pub use usage::{Kind, Usage};
pub use verify::{Dropped, Verified};

/// The content-addressed cache; cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    access: Access,
    /// The caches below: looked into, never written.
    also: Vec<PathBuf>,
    packs: Mutex<pack::OpenPacks>,
    scratch: scratch::Home,
    /// Held open: the kernel lets go of the locks when the process ends, however it ends.
    in_use: Mutex<locks::InUse>,
    listener: Listener,
}

/// What may be done with the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Everything.
    Write,
    /// Only reading: its file system, or the rights of its files, allow nothing else.
    Read,
}

/// The cache cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {action} `{}` in the cache", path.display())]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what they were said to be.
    #[error("expected {expected}, got {actual} ({size} bytes)")]
    Mismatch {
        /// What the bytes should hash to.
        expected: Digest,
        /// What they hash to.
        actual: Digest,
        /// How many there were.
        size: u64,
    },
    /// A reader from which a blob was to be made failed.
    #[error("cannot read what was to be stored")]
    Input(#[source] io::Error),
    /// Something that should be in the cache is not.
    #[error("{what} is not in the cache; it was deleted or damaged from outside")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// A file in the cache is not what minke writes there.
    #[error("`{}` in the cache is damaged", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The cache was made by a newer minke.
    #[error("the cache in `{}` is of format {found}; this minke knows formats up to {known}", root.display())]
    Newer {
        /// Where it lies.
        root: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Something is missing in a cache to which nothing can be added.
    #[error("the cache in `{}` is read-only and has not got all that is needed", root.display())]
    ReadOnly {
        /// Where it lies.
        root: PathBuf,
    },
}

impl StoreError {
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Store {
    /// Opens a cache, makes it where it is missing, and sweeps away what killed processes left.
    ///
    /// # Errors
    /// As [`Store::open_over`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_over(root, &[], Listener::default())
    }

    /// Opens a cache above others: what it hasn't got is looked for in those, in their order.
    ///
    /// Nothing is ever written to the others; one that isn't there has nothing. A cache that is there and
    /// cannot be written is read, and unfinished work lies in the system's temporary directory then. `listener`
    /// hears of every wait for another process.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer minke made one of them; [`StoreError::Io`] if the directory cannot be
    /// made.
    pub fn open_over(root: &Path, also: &[PathBuf], listener: Listener) -> Result<Self, StoreError> {
        let home = std::path::absolute(root).map_err(StoreError::io("find", root))?;
        format::refuse_newer(&home)?;
        let root = format::directory(&home);
        let mut in_use = locks::InUse::default();
        let (scratch, access) = match format::make(&root).and_then(|()| {
            in_use.share(&root, &listener)?;
            partial::sweep(&root);
            scratch::Home::open(&root.join("scratch"))
        }) {
            Ok(scratch) => (scratch, Access::Write),
            Err(error) if format::is_refused(&error) && root.join("blobs").is_dir() => {
                in_use.share(&root, &listener)?;
                (scratch::Home::elsewhere()?, Access::Read)
            }
            Err(error) => return Err(error),
        };
        let mut below = Vec::new();
        for also in also {
            format::refuse_newer(also)?;
            let also = format::directory(also);
            if also.is_dir() && also != root {
                in_use.share(&also, &listener)?;
                below.push(also);
            }
        }
        let (also, packs, in_use) = (below, Mutex::default(), Mutex::new(in_use));
        let inner = Inner { root, access, also, packs, scratch, in_use, listener };
        let store = Self { inner: Arc::new(inner) };
        store.look_through_after_boot()?;
        Ok(store)
    }

    /// Tells whether a directory has a cache that this minke can read.
    pub fn is_at(directory: &Path) -> bool {
        format::directory(directory).is_dir()
    }

    /// Returns where the cache lies.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Reads the whole content of a tree's file into memory.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if its blob or pack isn't there; [`StoreError::Io`].
    pub fn read_file(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::with_capacity(file.size as usize);
        let mut content = self.content(file)?;
        io::Read::read_to_end(&mut content, &mut bytes)
            .map_err(StoreError::io("read", content.path().to_owned()))?;
        Ok(bytes)
    }

    /// Looks for a file in this cache, then in those below it; `place` is relative to a cache's root.
    ///
    /// One that is found in this cache counts as used today.
    fn find(&self, place: &Path) -> Option<(PathBuf, fs::Metadata)> {
        let Inner { root, access, also, .. } = &*self.inner;
        let own = root.join(place);
        if let Some(metadata) = fs::metadata(&own).ok().filter(fs::Metadata::is_file) {
            if *access == Access::Write {
                format::mark_used(&own, &metadata);
            }
            return Some((own, metadata));
        }
        also.iter().find_map(|root| {
            let path = root.join(place);
            let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some((path, metadata))
        })
    }

    /// Refuses what would write to a read-only cache.
    fn writable(&self) -> Result<(), StoreError> {
        match self.inner.access {
            Access::Write => Ok(()),
            Access::Read => Err(StoreError::ReadOnly { root: self.inner.root.clone() }),
        }
    }

    /// Moves a finished scratch file to its place; whoever came first has written the same.
    fn settle(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.writable()?;
        let parent = to.parent().expect("a place in the cache has a directory");
        // Most directories are there: asking costs less than making.
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(parent).map_err(StoreError::io("make", parent))?;
                fs::rename(from, to).map_err(StoreError::io("write", to))
            }
            renamed => renamed.map_err(StoreError::io("write", to)),
        }
    }
}

/// Returns where something lies that is found by 64 digits: below a directory of the first two.
fn shard(hex: &str) -> PathBuf {
    Path::new(&hex[..2]).join(hex)
}

#[cfg(test)]
mod tests;
