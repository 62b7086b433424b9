//! After a power failure: what was written shortly before it is read again before it is believed.
//!
//! A rename can reach the disk before the bytes of the file do. Syncing each file would prevent that, and would make
//! every build pay for what almost never happens; instead, the first process under a new boot of the machine
//! looks through what the last minutes before had written. The kernel writes everything back within a minute, ten
//! on a laptop that saves power.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Access, Store, StoreError, locks, pack, scratch};
use crate::{Digest, HashingReader};

/// What is older than the newest file by so much had reached the disk.
const UNWRITTEN: Duration = Duration::from_secs(15 * 60);

impl Store {
    /// Looks through the cache, if this is the first time under this boot of the machine.
    pub(super) fn look_through_after_boot(&self) -> Result<(), StoreError> {
        let Some(boot) = boot().filter(|_| self.inner.access == Access::Write) else { return Ok(()) };
        let boots = self.inner.root.join("boots");
        let known = boots.join(boot);
        if known.exists() {
            return Ok(());
        }
        let path = self.inner.root.join("locks/boot");
        let lock = fs::File::options().append(true).create(true).open(&path);
        let lock = lock.map_err(StoreError::io("write", &path))?;
        let what = "another minke, which looks through the cache after a boot";
        locks::wait(&self.inner.listener, what, || Ok(locks::have(lock.try_lock(), &path)?.then_some(())))?;
        if known.exists() {
            return Ok(());
        }
        let root = &self.inner.root;
        let suspects = recent(&[root.join("blobs"), root.join("packs"), root.join("rooms")])?;
        for path in suspects.iter().filter(|path| !is_whole(path, root)) {
            // What cannot be removed cannot have been written by us.
            let _ = if path.is_dir() { scratch::remove(path) } else { fs::remove_file(path) };
        }
        fs::write(&known, "").map_err(StoreError::io("write", &known))
    }
}

/// Returns which boot of which machine this is, if the system says so.
fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| id.to_owned())
}

/// Returns what was written in the last minutes in which anything was; rooms whole.
fn recent(directories: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for directory in directories {
        let is_rooms = directory.ends_with("rooms");
        let mut pending = vec![directory.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).map_err(StoreError::io("read", &directory))? {
                let entry = entry.map_err(StoreError::io("read", &directory))?;
                let metadata = entry.metadata().map_err(StoreError::io("read", entry.path()))?;
                if metadata.is_dir() && !is_rooms {
                    pending.push(entry.path());
                } else if let Ok(written) = metadata.modified() {
                    // Not when it was made here: a cache that was copied is as old as it was.
                    found.push((written, entry.path()));
                }
            }
        }
    }
    let newest = found.iter().map(|(written, _)| *written).max();
    let since = newest.and_then(|newest| newest.checked_sub(UNWRITTEN)).unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(found.into_iter().filter(|(written, _)| *written >= since).map(|(_, path)| path).collect())
}

/// Reads something again; a room is made again rather than read.
fn is_whole(path: &Path, root: &Path) -> bool {
    if path.starts_with(root.join("blobs")) {
        let expected = path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok());
        expected.is_some() && expected == digest_of(path).ok()
    } else {
        path.starts_with(root.join("packs")) && pack::check(path).is_ok_and(|whole| whole)
    }
}

/// Hashes a file.
pub(super) fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut reader = HashingReader::new(fs::File::open(path)?);
    let mut buffer = vec![0; 256 * 1024];
    while io::Read::read(&mut reader, &mut buffer)? > 0 {}
    Ok(reader.finish().0)
}
