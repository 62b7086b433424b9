//! How much of a project's directory is left out: a number for people, which is not worth a look at every file.
//!
//! A virtual environment has ten times the files that its project has. What was counted in a directory is noted, and
//! counted again when the directory itself has changed because something came or went. A file that grows where it
//! is shows late, and does no harm: no image depends on it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use minke_cas::{Digest, Store};
use serde::{Deserialize, Serialize};

use super::notes::Stat;

/// How much a rule left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many files.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What is in a directory that is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Counted {
    /// What the directory itself looked like.
    stat: Stat,
    /// What lies in it, directories apart.
    here: LeftOut,
    /// The names of its directories.
    below: Vec<Vec<u8>>,
}

type Noted = HashMap<Vec<u8>, Counted>;

/// Counts what is left out and remembers it.
struct Count<'noted> {
    known: &'noted Noted,
    /// When counting began; none where nothing can be noted.
    began: Option<SystemTime>,
    noted: Noted,
}

const KIND: &str = "left-out-1";

/// Sums up what is left out of a project, by the rules that say so; what cannot be read counts as nothing.
pub(super) fn sum(
    (store, project): (&Store, Digest),
    began: Option<SystemTime>,
    left_out: &[(&'static str, PathBuf)],
) -> BTreeMap<&'static str, LeftOut> {
    let known = store.jotted(KIND, &project).and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let known: Noted = known.unwrap_or_default();
    let mut count = Count { known: &known, began, noted: Noted::new() };
    let mut sums: BTreeMap<&'static str, LeftOut> = BTreeMap::new();
    for (reason, place) in left_out {
        let LeftOut { files, bytes } = count.all(place);
        let sum = sums.entry(reason).or_default();
        sum.files += files;
        sum.bytes += bytes;
    }
    if count.noted != known {
        // Who cannot note it counts again.
        let _ = postcard::to_allocvec(&count.noted).map(|bytes| store.jot(KIND, &project, &bytes));
    }
    sums
}

impl Count<'_> {
    fn all(&mut self, place: &Path) -> LeftOut {
        match fs::symlink_metadata(place) {
            Ok(metadata) if !metadata.is_dir() => return LeftOut { files: 1, bytes: metadata.len() },
            Ok(_) | Err(_) => {}
        }
        let mut sum = LeftOut::default();
        let mut pending = vec![place.to_owned()];
        while let Some(directory) = pending.pop() {
            let Ok(stat) = rustix::fs::lstat(&directory) else { continue };
            let name = directory.as_os_str().as_bytes();
            let stat = Stat::of(&stat);
            let known = self.known.get(name).filter(|known| known.stat == stat).cloned();
            let Some(counted) = known.or_else(|| one(&directory, stat)) else { continue };
            sum.files += counted.here.files;
            sum.bytes += counted.here.bytes;
            let below = counted.below.iter().map(|name| directory.join(OsStr::from_bytes(name)));
            pending.extend(below);
            if self.began.is_some_and(|began| stat.is_settled(began)) {
                self.noted.insert(name.to_owned(), counted);
            }
        }
        sum
    }
}

/// Counts what lies in one directory.
fn one(directory: &Path, stat: Stat) -> Option<Counted> {
    let (mut here, mut below) = (LeftOut::default(), Vec::new());
    for entry in fs::read_dir(directory).ok()?.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => below.push(entry.file_name().as_bytes().to_owned()),
            Ok(metadata) => {
                here.files += 1;
                here.bytes += metadata.len();
            }
            Err(_) => {}
        }
    }
    below.sort();
    Some(Counted { stat, here, below })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_and_goes_is_counted_whatever_was_noted() {
        let (project, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(cache.path()).unwrap();
        let at = |name: &str| project.path().join(name);
        fs::create_dir_all(at("env/lib/deep")).unwrap();
        fs::write(at("env/lib/one"), "1").unwrap();
        fs::write(at("env/lib/deep/two"), "22").unwrap();
        fs::write(at("core"), "4444").unwrap();
        let left_out = [("environments", at("env")), ("caches", at("core"))];
        // As if it were some time later, so that all of it can be noted.
        let later = SystemTime::now() + Duration::from_secs(10);
        let count = || sum((&store, Digest::of(b"project")), Some(later), &left_out);
        let expected = |files, bytes| {
            BTreeMap::from([
                ("caches", LeftOut { files: 1, bytes: 4 }),
                ("environments", LeftOut { files, bytes }),
            ])
        };
        assert_eq!(count(), expected(2, 3));
        assert_eq!(count(), expected(2, 3));
        fs::write(at("env/lib/deep/more"), "333").unwrap();
        assert_eq!(count(), expected(3, 6));
        fs::remove_dir_all(at("env/lib/deep")).unwrap();
        assert_eq!(count(), expected(1, 1));
    }

    #[test]
    fn a_directory_that_has_not_changed_is_not_read_again() {
        let (project, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(cache.path()).unwrap();
        let file = project.path().join("env/file");
        fs::create_dir(project.path().join("env")).unwrap();
        fs::write(&file, "1").unwrap();
        let left_out = [("environments", project.path().join("env"))];
        let later = SystemTime::now() + Duration::from_secs(10);
        let bytes = |began| sum((&store, Digest::of(b"project")), began, &left_out)["environments"].bytes;
        assert_eq!(bytes(None), 1);
        fs::write(&file, "22").unwrap();
        assert_eq!(bytes(Some(later)), 2, "nothing was noted by who cannot tell the time");
        fs::write(&file, "333").unwrap();
        assert_eq!(bytes(Some(later)), 2, "the directory is as it was");
    }
}
