//! What is noted about this machine to save work: it may be lost or wrong at any time.
//!
//! Unlike a remembered result, a note is about something outside of the cache, such as a project's files; whoever reads
//! one checks it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Access, Store, StoreError, shard};
use crate::Digest;

impl Store {
    /// Notes something in place of what was noted for this key; a read-only cache notes nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn jot(&self, kind: &str, key: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        if self.inner.access == Access::Read {
            return Ok(());
        }
        let (path, mut file) = self.inner.scratch.file()?;
        file.write_all(bytes).map_err(StoreError::io("write", &path))?;
        self.settle(&path, &self.jot_path(kind, key))
    }

    /// Returns what was noted for a key, if anything was.
    pub fn jotted(&self, kind: &str, key: &Digest) -> Option<Vec<u8>> {
        fs::read(self.jot_path(kind, key)).ok()
    }

    /// Returns the time as the cache's file system has it; none where nothing can be written.
    pub fn file_time(&self) -> Option<SystemTime> {
        let (path, file) = self.inner.scratch.file().ok()?;
        let time = file.metadata().and_then(|metadata| metadata.modified()).ok();
        // What cannot be removed now is swept away with the scratch directory.
        let _ = fs::remove_file(path);
        time
    }

    fn jot_path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.inner.root.join("jots").join(kind).join(shard(&key.hex()))
    }
}
