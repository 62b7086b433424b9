//! Unfinished work: one directory per process, locked while the process lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Store, StoreError};

/// Half of what the kernel takes for a path, so that a name fits at its end.
const LONGEST_PATH: usize = 2048;

/// The scratch directory of this process.
pub(super) struct Home {
    directory: tempfile::TempDir,
    /// Held open: the kernel lets go of the lock when the process ends, however it ends.
    _lock: fs::File,
    next: AtomicU64,
}

/// A directory for unfinished work, gone when it is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Home {
    /// Makes a directory in the cache's own, and sweeps away those of processes that are gone.
    pub(super) fn open(scratch: &Path) -> Result<Self, StoreError> {
        sweep(scratch);
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(scratch);
        Self::locked(directory.map_err(StoreError::io("make a directory in", scratch))?)
    }

    /// Makes a directory among the system's temporary ones, for a cache that cannot be written.
    pub(super) fn elsewhere() -> Result<Self, StoreError> {
        let directory = tempfile::Builder::new().prefix("minke-").tempdir();
        Self::locked(directory.map_err(StoreError::io("make", "a temporary directory"))?)
    }

    fn locked(directory: tempfile::TempDir) -> Result<Self, StoreError> {
        // Locked before it is called `lock`: another process that sweeps takes one that isn't locked for abandoned.
        let unlocked = directory.path().join("unlocked");
        let lock = fs::File::create(&unlocked).map_err(StoreError::io("write", &unlocked))?;
        lock.lock().map_err(StoreError::io("lock", &unlocked))?;
        let path = directory.path().join("lock");
        fs::rename(&unlocked, &path).map_err(StoreError::io("make", &path))?;
        Ok(Self { directory, _lock: lock, next: AtomicU64::new(0) })
    }

    /// Returns the place for something that is to last as long as the process.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn unique(&self) -> PathBuf {
        self.directory.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    pub(super) fn file(&self) -> Result<(PathBuf, fs::File), StoreError> {
        let path = self.unique();
        let file = fs::File::create_new(&path).map_err(StoreError::io("write", &path))?;
        Ok((path, file))
    }
}

/// Removes the directories of processes that are gone; one that was just made and isn't locked yet is
/// younger than a minute and stays.
fn sweep(scratch: &Path) {
    let Ok(entries) = fs::read_dir(scratch) else { return };
    for directory in entries.flatten().map(|entry| entry.path()) {
        let lock = fs::File::open(directory.join("lock"));
        let abandoned = match &lock {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => directory
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() > 60)),
        };
        if abandoned {
            // Somebody else may sweep at the same time, and what another user owns stays.
            let _ = remove(&directory);
        }
    }
}

/// Removes a directory, whatever a stranger has made in it: directories that nobody may read, or so many in each
/// other that no path leads to the last, nor a stack.
pub(super) fn remove(directory: &Path) -> std::io::Result<()> {
    let mut failed = None;
    let mut note = |result: std::io::Result<()>| {
        if let Err(error) = result {
            failed.get_or_insert(error);
        }
    };
    let mut pending = vec![directory.to_owned()];
    // Parents before children.
    let mut emptied = Vec::new();
    let mut lifted = 0;
    while let Some(place) = pending.pop() {
        let entries = match readable(&place) {
            Ok(entries) => entries,
            Err(error) => {
                note(Err(error));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                note(fs::remove_file(&path));
            } else if path.as_os_str().len() < LONGEST_PATH {
                pending.push(path);
            } else {
                let above = unused(directory, &mut lifted);
                // To move a directory is to change it.
                let moved = readable(&path).and_then(|_| fs::rename(&path, &above));
                if moved.is_ok() {
                    pending.push(above);
                }
                note(moved);
            }
        }
        emptied.push(place);
    }
    for place in emptied.iter().rev() {
        note(fs::remove_dir(place));
    }
    failed.map_or(Ok(()), Err)
}

/// Lists a directory, and makes it one that can be changed.
fn readable(directory: &Path) -> std::io::Result<fs::ReadDir> {
    use std::os::unix::fs::PermissionsExt;
    if fs::symlink_metadata(directory)?.permissions().mode() & 0o700 != 0o700 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    fs::read_dir(directory)
}

fn unused(directory: &Path, number: &mut u64) -> PathBuf {
    loop {
        *number += 1;
        let path = directory.join(format!("lifted-{number}"));
        if fs::symlink_metadata(&path).is_err() {
            return path;
        }
    }
}

impl Store {
    /// Makes an empty directory for unfinished work, mode 0700, on the cache's file system.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = self.inner.scratch.unique();
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(StoreError::io("make", &path))?;
        Ok(Scratch { path })
    }
}

impl Store {
    /// Removes this process's unfinished work: for a signal handler that is about to exit.
    pub fn abandon(&self) {
        // The next process sweeps what is left.
        let _ = remove(self.inner.scratch.directory.path());
    }
}

impl Scratch {
    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept away by a later process.
        let _ = remove(&self.path);
    }
}
