//! What a project's directory was like when it was looked at last, so that little of it is looked at closely again.
//!
//! Every directory is listed and every file's times are asked for each time. What is spared is reading the file
//! and judging by the ignore rules what goes in: the judgement is the same if the rules, the names and what
//! they stand for are; the digest, if the file's size, its inode and its two times (of the content and of the
//! inode, which nobody can set) are. The latter isn't enough for a file that was changed in the very tick of
//! the clock in which it was read: as in git, such a file is not noted, but read again the next time.
//!
//! Spec: <https://git-scm.com/docs/racy-git>

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minke_cas::{Digest, Store};
use serde::{Deserialize, Serialize};

/// How much older than the clock a file must be for its times to tell a later change from it: several ticks of a
/// kernel's clock.
const TICKS: Duration = Duration::from_millis(100);

/// The same, on file systems that know whole seconds only, or every second one.
const SECONDS: Duration = Duration::from_millis(2500);

const KIND: &str = "project-1";

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) size: u64,
    inode: u64,
    device: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What an entry of a directory is, as its directory says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum EntryKind {
    Directory,
    File,
    Symlink,
    Special,
}

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct NotedEntry {
    pub(super) name: String,
    pub(super) kind: EntryKind,
    /// Which of the reasons it is left out for, if any.
    pub(super) reason: Option<u8>,
    /// Its content, if it is a file that went in and looked settled.
    pub(super) file: Option<(Stat, [u8; 32])>,
}

/// A directory and its entries, in name order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct NotedDirectory {
    /// Where it lies below the project.
    pub(super) relative: String,
    /// A digest of the rules that judged its entries.
    pub(super) rules: [u8; 32],
    pub(super) entries: Vec<NotedEntry>,
}

/// The directories of one project.
#[derive(Debug)]
pub(super) struct Notes {
    key: Digest,
    known: HashMap<String, NotedDirectory>,
    /// When looking began; none where nothing can be noted.
    began: Option<SystemTime>,
}

impl Stat {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types are each architecture's own")]
    pub(super) fn of(seen: &rustix::fs::Stat) -> Self {
        Self {
            size: u64::try_from(seen.st_size).unwrap_or_default(),
            inode: seen.st_ino as u64,
            device: seen.st_dev as u64,
            modified: (seen.st_mtime as i64, seen.st_mtime_nsec as i64),
            changed: (seen.st_ctime as i64, seen.st_ctime_nsec as i64),
        }
    }

    /// Tells whether a change after `began` would show.
    pub(super) fn is_settled(&self, began: SystemTime) -> bool {
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

impl Notes {
    /// Reads what was noted of a directory.
    pub(super) fn of(store: &Store, root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let key = Digest::of(root.as_os_str().as_bytes());
        let noted = store.jotted(KIND, &key).and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let noted: Vec<NotedDirectory> = noted.unwrap_or_default();
        let known = noted.into_iter().map(|directory| (directory.relative.clone(), directory)).collect();
        Self { key, known, began: store.file_time() }
    }

    /// Returns the key of what is noted of the directory.
    pub(super) fn key(&self) -> Digest {
        self.key
    }

    /// Returns when looking began, by the clock of the cache's files.
    pub(super) fn began(&self) -> Option<SystemTime> {
        self.began
    }

    /// Returns what was noted of a directory that was judged by the same rules.
    pub(super) fn directory(&self, relative: &str, rules: &[u8; 32]) -> Option<&NotedDirectory> {
        self.known.get(relative).filter(|directory| directory.rules == *rules)
    }

    /// Notes the directories as they are now, if that is another state than before.
    pub(super) fn note(&self, store: &Store, mut directories: Vec<NotedDirectory>) {
        let Some(began) = self.began else { return };
        for entry in directories.iter_mut().flat_map(|directory| &mut directory.entries) {
            entry.file = entry.file.filter(|(stat, _)| stat.is_settled(began));
        }
        let is_known = |directory: &NotedDirectory| self.known.get(&directory.relative) == Some(directory);
        if directories.len() == self.known.len() && directories.iter().all(is_known) {
            return;
        }
        // Who cannot note it looks again.
        if let Ok(bytes) = postcard::to_allocvec(&directories) {
            let _ = store.jot(KIND, &self.key, &bytes);
        }
    }
}

impl NotedDirectory {
    /// Returns the entry of a name, which is looked for where it was in the order first.
    pub(super) fn entry(&self, index: usize, name: &str) -> Option<&NotedEntry> {
        self.entries.get(index).filter(|entry| entry.name == name).or_else(|| {
            let found = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
            found.ok().map(|index| &self.entries[index])
        })
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
