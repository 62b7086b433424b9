//! The cache's format: one directory for each, so that an older minke's cache is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::StoreError;

/// The format that this minke reads and writes.
///
/// It grows with every change after which an older minke would misread what a newer one wrote, or the other
/// way round.
pub(super) const VERSION: u32 = 2;

/// What lies in it.
pub(super) const DIRECTORIES: [&str; 10] =
    ["blobs", "packs", "memo", "rooms", "names", "partial", "locks", "boots", "scratch", "jots"];

/// How exactly it is known when something was last used.
const USED: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the directory of this format.
pub(super) fn directory(home: &Path) -> PathBuf {
    home.join(format!("v{VERSION}"))
}

/// Returns the formats that lie in a cache, in order.
pub(super) fn formats(home: &Path) -> Vec<u32> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let number = |name: String| name.strip_prefix('v')?.parse().ok();
    let mut found: Vec<u32> =
        entries.filter_map(|entry| number(entry.file_name().to_string_lossy().into_owned())).collect();
    found.sort_unstable();
    found
}

/// Refuses a cache that a newer minke has made: two of them would fill the disk twice, and neither's `gc`
/// would know of the other.
pub(super) fn refuse_newer(home: &Path) -> Result<(), StoreError> {
    match formats(home).last() {
        Some(&found) if found > VERSION => {
            Err(StoreError::Newer { root: home.to_owned(), found, known: VERSION })
        }
        _ => Ok(()),
    }
}

/// Makes the directories of a cache where they are missing.
pub(super) fn make(root: &Path) -> Result<(), StoreError> {
    for below in DIRECTORIES {
        let directory = root.join(below);
        if !directory.is_dir() {
            fs::create_dir_all(&directory).map_err(StoreError::io("make", &directory))?;
        }
    }
    // Backups, and minke itself where the cache lies in a project, pass over a directory that says what it is.
    // Spec: <https://bford.info/cachedir/>
    let tag = root.with_file_name("CACHEDIR.TAG");
    if !tag.exists() {
        fs::write(
            &tag,
            "Signature: 8a477f597d28d172789f06886806bc55\n# minke keeps what it can make again here.\n",
        )
        .map_err(StoreError::io("write", &tag))?;
    }
    Ok(())
}

/// Tells whether the system doesn't let us write.
pub(super) fn is_refused(error: &StoreError) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error, StoreError::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// Notes that something was used, once a day: its time of change is that of its last use.
///
/// The access time won't do: many file systems don't keep it.
pub(super) fn mark_used(path: &Path, metadata: &fs::Metadata) {
    if metadata.modified().is_ok_and(|used| used.elapsed().is_ok_and(|ago| ago > USED)) {
        // Who cannot is another user; at worst it is fetched or made once more.
        let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }
}
