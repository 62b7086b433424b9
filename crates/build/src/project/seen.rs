//! The digests of a project's files as they were seen last, so that a file that is the same isn't read again.
//!
//! A file is the same if its size, its inode and its two times (of the content and of the inode, which nobody can
//! set) are what they were. That isn't enough for a file that was changed in the very tick of the clock in which it
//! was read: as in git, such a file is not noted, but read again the next time.
//!
//! Spec: <https://git-scm.com/docs/racy-git>

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minke_cas::{Digest, Store};
use serde::{Deserialize, Serialize};

/// How much older than the clock a file must be for its times to tell a later change from it: several ticks of a
/// kernel's clock.
const TICKS: Duration = Duration::from_millis(100);

/// The same, on file systems that know whole seconds only, or every second one.
const SECONDS: Duration = Duration::from_millis(2500);

const KIND: &str = "seen-1";

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stat {
    size: u64,
    inode: u64,
    device: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The digests of files by their paths below one directory.
pub(super) struct Seen {
    key: Digest,
    known: HashMap<String, (Stat, Digest)>,
    /// When looking began; none where nothing can be noted.
    began: Option<SystemTime>,
}

impl Stat {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Tells whether a change after `began` would show.
    fn is_settled(&self, began: SystemTime) -> bool {
        let whole_seconds = self.modified.1 == 0 && self.changed.1 == 0;
        let margin = if whole_seconds { SECONDS } else { TICKS };
        let is_past = |(seconds, nanos): (i64, i64)| {
            let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
                return false;
            };
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            time.checked_add(margin).is_some_and(|later| later <= began)
        };
        is_past(self.modified) && is_past(self.changed)
    }
}

impl Seen {
    /// Reads what was noted of a directory.
    pub(super) fn of(store: &Store, root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let key = Digest::of(root.as_os_str().as_bytes());
        let noted = store.jotted(KIND, &key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let noted: Vec<(String, Stat, Digest)> = noted.unwrap_or_default();
        let known = noted.into_iter().map(|(path, stat, digest)| (path, (stat, digest))).collect();
        Self { key, known, began: store.file_time() }
    }

    /// Returns the digest of a file that is as it was.
    pub(super) fn digest(&self, path: &str, stat: &Stat) -> Option<Digest> {
        self.known.get(path).filter(|(known, _)| known == stat).map(|(_, digest)| *digest)
    }

    /// Notes the files as they are now, if that is another state than before.
    pub(super) fn note(self, store: &Store, files: Vec<(String, Stat, Digest)>) {
        let Some(began) = self.began else { return };
        let settled: Vec<_> = files.into_iter().filter(|(_, stat, _)| stat.is_settled(began)).collect();
        let is_known = |(path, stat, digest): &(String, Stat, Digest)| {
            self.known.get(path).is_some_and(|known| *known == (*stat, *digest))
        };
        if settled.len() == self.known.len() && settled.iter().all(is_known) {
            return;
        }
        // Who cannot note it reads the files again.
        let _ =
            store.jot(KIND, &self.key, &serde_json::to_vec(&settled).expect("numbers and paths are JSON"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_just_changed_is_not_believed() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let stat = |modified, changed| Stat { size: 1, inode: 1, device: 1, modified, changed };
        let (past, tick) = ((999, 800_000_000), (999, 950_000_000));
        assert!(stat(past, past).is_settled(began));
        assert!(!stat(tick, past).is_settled(began), "its content may change in the same tick");
        assert!(!stat(past, tick).is_settled(began), "somebody has set its time of change");
        assert!(!stat((998, 0), (998, 0)).is_settled(began), "the file system knows whole seconds only");
        assert!(stat((997, 0), (997, 0)).is_settled(began));
        assert!(!stat((2000, 5), (2000, 5)).is_settled(began), "it comes from the future");
    }
}
