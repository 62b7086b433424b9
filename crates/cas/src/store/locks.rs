//! Who waits for whom: several processes share one cache, and what one of them makes the others only read.
//!
//! All locks are the kernel's (`flock`): they end with the process that holds them, however it ends. There are
//! three, and nobody who holds one waits for one that stands before it here:
//!
//! 1. the cache itself: shared by all who use it, exclusive for who takes from it;
//! 2. a result that is being computed ([`Store::memo`]): who holds one computes the next himself if it is taken,
//!    so that no circle of waiting can close;
//! 3. a download ([`Store::claim`](super::Store::claim)), during which nothing else is waited for.
//!
//! A wait of more than a second is told to the [`Listener`].

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Access, Store, StoreError};
use crate::Digest;

/// After so long a wait is spoken of.
const SILENCE: Duration = Duration::from_secs(1);

/// So often is looked whether a wait is over, at least.
const SLOWEST: Duration = Duration::from_millis(40);

type Told = dyn Fn(&str) + Send + Sync;

/// Who hears what a process waits for, as a sentence without its first word: `another minke, which …`.
///
/// It holds on to nobody: when the [`Arc`] it was made from is gone, nothing is told.
#[derive(Clone, Default)]
pub struct Listener(Option<Weak<Told>>);

impl Listener {
    /// Tells this function.
    pub fn to(told: &Arc<Told>) -> Self {
        Self(Some(Arc::downgrade(told)))
    }

    fn tell(&self, what: &str) {
        if let Some(told) = self.0.as_ref().and_then(Weak::upgrade) {
            told(what);
        }
    }
}

/// Waits until `attempt` has something; after a second, `what` is told once.
pub(super) fn wait<T>(
    listener: &Listener,
    what: &str,
    mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
) -> Result<T, StoreError> {
    let (began, mut told, mut pause) = (Instant::now(), false, Duration::from_millis(1));
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if !told && began.elapsed() > SILENCE {
            listener.tell(what);
            told = true;
        }
        sleep(pause);
        pause = (pause * 2).min(SLOWEST);
    }
}

/// Reads the outcome of asking for a lock: whether we have it.
///
/// Where a file system knows no locks, everybody has them: processes there may do the same work twice, and
/// still never see a half of anything.
pub(super) fn have(asked: Result<(), fs::TryLockError>, path: &Path) -> Result<bool, StoreError> {
    match asked {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

/// Tells whether an open file is still the one that a path leads to.
pub(super) fn is_at(file: &fs::File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => (file.dev(), file.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The caches that this process uses, each with its lock.
#[derive(Default)]
pub(super) struct InUse(Vec<(PathBuf, fs::File)>);

impl InUse {
    /// Uses a cache: nothing is taken from it meanwhile.
    pub(super) fn share(&mut self, root: &Path, listener: &Listener) -> Result<(), StoreError> {
        let path = root.join("lock");
        let made = fs::File::options().append(true).create(true).open(&path);
        // Who may only read can lock all the same; without the file there is nobody who takes anything.
        let Ok(file) = made.or_else(|_| fs::File::open(&path)) else { return Ok(()) };
        let what = format!("another minke, which cleans the cache in `{}`", home(root).display());
        wait(listener, &what, || Ok(have(file.try_lock_shared(), &path)?.then_some(())))?;
        self.0.push((path, file));
        Ok(())
    }

    /// Uses a room, by the listing beside it: it stays also when the cache itself is let go.
    pub(super) fn occupy(&mut self, listing: &Path) {
        if self.0.iter().any(|(path, _)| path == listing) {
            return;
        }
        // Whoever takes from the cache is waited for at its door: in here the lock is free, or shared.
        let file = fs::File::open(listing).ok().filter(|file| file.try_lock_shared().is_ok());
        self.0.extend(file.map(|file| (listing.to_owned(), file)));
    }
}

/// Tells whether a process uses the room that this listing lies beside.
pub(super) fn is_occupied(listing: &Path) -> bool {
    fs::File::open(listing).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Returns what the user calls the cache: the directory above that of the format.
pub(super) fn home(root: &Path) -> &Path {
    root.parent().unwrap_or(root)
}

thread_local! {
    /// Whether this thread is computing a result for which others wait.
    static COMPUTES: Cell<bool> = const { Cell::new(false) };
}

/// The right to compute a result while others wait for it.
pub(super) struct Turn {
    path: PathBuf,
    _file: fs::File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        COMPUTES.set(false);
        // Before the lock ends: who waits for it sees that the file is gone, and starts anew.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Takes a turn at computing a result; waits until it isn't computed elsewhere.
    ///
    /// None where waiting makes no sense or might never end: the result is to be computed without a turn then.
    pub(super) fn turn(&self, kind: &str, key: &Digest) -> Result<Option<Turn>, StoreError> {
        if self.inner.access == Access::Read || COMPUTES.get() {
            return Ok(None);
        }
        let path = self.inner.root.join("locks").join(format!("{kind}-{}", key.hex()));
        let what = format!("another minke, which is making the same thing ({kind})");
        let file = wait(&self.inner.listener, &what, || {
            let file = fs::File::options().append(true).create(true).open(&path);
            let file = file.map_err(StoreError::io("write", &path))?;
            // Who had the turn has removed the file that we have opened: the next one makes another.
            let ours = have(file.try_lock(), &path)? && is_at(&file, &path);
            Ok(ours.then_some(file))
        })?;
        COMPUTES.set(true);
        Ok(Some(Turn { path, _file: file }))
    }

    /// Lets go of the cache, so that others may take from it: all that this process will still use are the rooms
    /// that it has asked for, and its scratch.
    pub fn let_go(&self) {
        let mut in_use = self.inner.in_use.lock().expect("no thread panics with this lock");
        in_use.0.retain(|(path, _)| path.extension().is_some());
    }

    /// Does something that takes from the cache, while nobody else uses it.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.writable()?;
        let in_use = self.inner.in_use.lock().expect("no thread panics with this lock");
        let own = in_use.0.iter().find(|(path, _)| path.starts_with(&self.inner.root));
        let Some((path, file)) = own else { return work() };
        let what = "other builds and containers that use the cache".to_owned();
        // Our own share is given up first: of two who want to be alone, one must be able to go first.
        file.unlock().map_err(StoreError::io("unlock", path))?;
        wait(&self.inner.listener, &what, || Ok(have(file.try_lock(), path)?.then_some(())))?;
        let done = work();
        file.unlock().map_err(StoreError::io("unlock", path))?;
        wait(&self.inner.listener, &what, || Ok(have(file.try_lock_shared(), path)?.then_some(())))?;
        done
    }
}
