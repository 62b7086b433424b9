//! How much of a disk a room has taken.
//!
//! What lies in its directory is counted file by file, and with it what was deleted and is still open. In
//! between the file system's own figures tell whether there can be more by now, since they cost nothing.
//!
//! Limits: a file that was deleted and closed, and is kept by a mapping or underway in a socket, isn't found.
//! It shows in the file system's figures, which count what others write too; they decide where the disk is
//! nearly full, and where a directory of the room cannot be read.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A file takes at least this much: an entry of a directory and an inode are not for nothing.
const LEAST: u64 = 4096;

/// How long a count is believed, whatever the file system says, which may say it late.
const BELIEVED: Duration = Duration::from_secs(1);

/// A disk is nearly full when less than one part in this many is free.
const NEARLY_FULL: u64 = 20;

/// The disk that a room writes to.
pub(crate) struct Usage<'a> {
    directory: &'a Path,
    limit: u64,
    at_start: u64,
    /// What was counted last, when, how long that took, and what the file system said then.
    counted: u64,
    at: Instant,
    took: Duration,
    at_count: u64,
}

/// What a file system says of itself.
struct Figures {
    used: u64,
    free: u64,
    total: u64,
}

impl<'a> Usage<'a> {
    /// Starts to watch a directory.
    pub(crate) fn of(directory: &'a Path, limit: u64) -> io::Result<Self> {
        let used = figures(directory)?.used;
        let now = Instant::now();
        let took = Duration::ZERO;
        Ok(Self { directory, limit, at_start: used, counted: 0, at: now, took, at_count: used })
    }

    /// Tells whether there is more than the limit, unless nobody wants to know any more.
    ///
    /// `processes` lists who may keep deleted files open.
    ///
    /// # Errors
    /// The file system cannot be asked.
    pub(crate) fn exceeded(
        &mut self,
        processes: impl Fn() -> Vec<u32>,
        ended: &AtomicBool,
    ) -> io::Result<bool> {
        let now = figures(self.directory)?;
        let since_start = now.used.saturating_sub(self.at_start);
        if since_start > self.limit && now.free < now.total / NEARLY_FULL {
            return Ok(true);
        }
        let possible = self.counted.saturating_add(now.used.saturating_sub(self.at_count));
        // A count that takes long isn't repeated all the time because somebody else fills the disk.
        let rest = if possible > self.limit { self.took * 4 } else { BELIEVED.max(self.took * 20) };
        if self.at.elapsed() < rest {
            return Ok(false);
        }
        let start = Instant::now();
        let mut count = Count::until(ended, self.limit);
        count.directory(self.directory);
        if count.bytes <= self.limit {
            count.deleted(&processes());
        }
        self.counted = if count.incomplete { count.bytes.max(since_start) } else { count.bytes };
        (self.at, self.took, self.at_count) = (Instant::now(), start.elapsed(), now.used);
        Ok(self.counted > self.limit)
    }
}

fn figures(directory: &Path) -> io::Result<Figures> {
    let said = rustix::fs::statvfs(directory)?;
    let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
    let inodes = said.f_files.saturating_sub(said.f_ffree).saturating_mul(LEAST);
    let used = bytes(said.f_blocks.saturating_sub(said.f_bfree)).saturating_add(inodes);
    Ok(Figures { used, free: bytes(said.f_bavail), total: bytes(said.f_blocks) })
}

struct Count<'a> {
    bytes: u64,
    limit: u64,
    ended: &'a AtomicBool,
    /// Something could not be looked at.
    incomplete: bool,
    /// Files of several names, and deleted ones, which several processes may have open.
    seen: BTreeSet<(u64, u64)>,
}

impl<'a> Count<'a> {
    fn until(ended: &'a AtomicBool, limit: u64) -> Self {
        Self { bytes: 0, limit, ended, incomplete: false, seen: BTreeSet::new() }
    }

    fn directory(&mut self, directory: &Path) {
        let mut pending: Vec<PathBuf> = vec![directory.to_owned()];
        while let Some(directory) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.missed(&error);
                    continue;
                }
            };
            for entry in entries {
                match entry.and_then(|entry| Ok((entry.metadata()?, entry))) {
                    Ok((metadata, entry)) => {
                        self.add(&metadata);
                        if metadata.is_dir() {
                            pending.push(entry.path());
                        }
                    }
                    Err(error) => self.missed(&error),
                }
                if self.bytes > self.limit || self.ended.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }

    fn deleted(&mut self, processes: &[u32]) {
        for descriptors in processes.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()) {
            for metadata in descriptors.flatten().filter_map(|entry| fs::metadata(entry.path()).ok()) {
                if metadata.is_file() && metadata.nlink() == 0 {
                    self.add(&metadata);
                }
            }
        }
    }

    fn add(&mut self, metadata: &Metadata) {
        let alone = metadata.is_dir() || metadata.nlink() == 1;
        if alone || self.seen.insert((metadata.dev(), metadata.ino())) {
            self.bytes = self.bytes.saturating_add(metadata.blocks().saturating_mul(512).max(LEAST));
        }
    }

    fn missed(&mut self, error: &io::Error) {
        // What was removed meanwhile takes no place.
        self.incomplete |= error.kind() != io::ErrorKind::NotFound;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    static GOING_ON: AtomicBool = AtomicBool::new(false);

    fn bytes(directory: &Path) -> u64 {
        let mut count = Count::until(&GOING_ON, u64::MAX);
        count.directory(directory);
        assert!(!count.incomplete);
        count.bytes
    }

    #[test]
    fn files_count_by_their_blocks_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("below")).unwrap();
        let empty = bytes(directory.path());
        fs::write(at("below/large"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(at("below/large"), at("again")).unwrap();
        fs::File::create(at("sparse")).unwrap().set_len(1 << 30).unwrap();
        let grown = bytes(directory.path()) - empty;
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&grown), "{grown}");
    }

    #[test]
    fn what_is_deleted_and_open_counts_too() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 4 << 20]).unwrap();
        let mut count = Count::until(&GOING_ON, u64::MAX);
        count.deleted(&[std::process::id()]);
        assert!(count.bytes >= 4 << 20, "{}", count.bytes);
    }

    #[test]
    fn a_limit_is_exceeded_by_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut usage = Usage::of(directory.path(), 1 << 20).unwrap();
        usage.at -= Duration::from_secs(60);
        assert!(!usage.exceeded(Vec::new, &GOING_ON).unwrap());
        fs::write(directory.path().join("large"), vec![1; 2 << 20]).unwrap();
        usage.at -= Duration::from_secs(60);
        assert!(usage.exceeded(Vec::new, &GOING_ON).unwrap());
    }
}
