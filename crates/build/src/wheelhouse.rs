//! The wheelhouse: every wheel that was built from somebody's sources, kept for all projects.
//!
//! It is a list in the cache: what a wheel was built from and for, and which bytes it is; they stay there for as long
//! as it is listed. Written out it is a directory as `pip install --no-index --find-links` and `find-links` take it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minke_cas::{Digest, Store, StoreError};
use minke_python::{Tags, Version, WheelFileName};
use serde::{Deserialize, Serialize};

pub use minke_python::PackageName;

const KIND: &str = "wheels";

/// What stands where a wheel came from elsewhere.
const IMPORTED: &str = "imported";

/// A wheel of the wheelhouse.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Housed {
    /// Its file name.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
    /// How many those are.
    pub size: u64,
    /// The source distribution that it was built from; `imported` for one that came as a wheel.
    pub sources: String,
    /// The Python and platform that it was built on, in words; empty for one that came as a wheel.
    pub target: String,
}

/// The wheelhouse cannot be written out or added to.
#[derive(Debug, thiserror::Error)]
pub enum WheelhouseError {
    /// A directory or file cannot be read or written.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// An infinitive.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the directory isn't called as a wheel is.
    #[error("`{}` is not a wheel's name", path.display())]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// The cache failed.
    #[error("cannot use the cache")]
    Store(#[from] StoreError),
}

/// Lists a wheel.
pub(crate) fn keep(store: &Store, wheel: &Housed) -> Result<(), StoreError> {
    let text = serde_json::to_string(wheel).expect("a wheel is made of texts");
    store.set_name(KIND, &wheel.digest.hex(), &text)
}

/// Returns all wheels, by file name.
///
/// # Errors
/// [`StoreError::Io`].
pub fn list(store: &Store) -> Result<Vec<Housed>, StoreError> {
    let names = store.names(KIND)?;
    let mut wheels: Vec<Housed> =
        names.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
    wheels.sort();
    Ok(wheels)
}

/// Writes all wheels into a directory, and `SHA256SUMS` as sha256sum(1) reads it; returns what was written.
///
/// Of wheels of one name the first is written; which was built last is not known.
///
/// # Errors
/// [`WheelhouseError`].
pub fn export(store: &Store, directory: &Path) -> Result<Vec<Housed>, WheelhouseError> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| WheelhouseError::Io { what, path, source }
    };
    fs::create_dir_all(directory).map_err(io("make", directory))?;
    let mut wheels = list(store)?;
    wheels.dedup_by(|next, first| next.name == first.name);
    let mut sums = String::new();
    for wheel in &wheels {
        let path = directory.join(&wheel.name);
        let mut from = store.open_blob(&wheel.digest)?;
        let mut to = fs::File::create(&path).map_err(io("write", &path))?;
        io::copy(&mut from, &mut to).map_err(io("write", &path))?;
        sums.push_str(&format!("{}  {}\n", wheel.digest.hex(), wheel.name));
    }
    let path = directory.join("SHA256SUMS");
    fs::write(&path, sums).map_err(io("write", &path))?;
    Ok(wheels)
}

/// Takes all wheels of a directory in; they are used where else their sources would be built.
///
/// # Errors
/// [`WheelhouseError`].
pub fn import(store: &Store, directory: &Path) -> Result<Vec<Housed>, WheelhouseError> {
    let unread = |source| WheelhouseError::Io { what: "read", path: directory.to_owned(), source };
    let entries: Result<Vec<_>, _> = fs::read_dir(directory).map_err(unread)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(unread)?.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    paths.sort();
    let mut wheels = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.parse::<WheelFileName>().is_err() {
            return Err(WheelhouseError::Name { path });
        }
        let (digest, size) = store.put_file(&path)?;
        let wheel = Housed { name, digest, size, sources: IMPORTED.to_owned(), target: String::new() };
        keep(store, &wheel)?;
        wheels.push(wheel);
    }
    Ok(wheels)
}

/// Takes wheels from the list, those of some distributions or all, that nobody used for so long; returns which.
///
/// One whose bytes aren't there any more goes too. The others' bytes go when `minke cache gc` finds them unused for long.
///
/// # Errors
/// [`StoreError::Io`].
pub fn forget(store: &Store, names: &[PackageName], unused_for: Duration) -> Result<Vec<Housed>, StoreError> {
    let mut forgotten = list(store)?;
    let is_meant = |wheel: &Housed| {
        let name = wheel.name.parse::<WheelFileName>().ok();
        let is_old = store.unused_for(&wheel.digest).is_none_or(|unused| unused >= unused_for);
        is_old && (names.is_empty() || name.is_some_and(|name| names.contains(name.name())))
    };
    forgotten.retain(is_meant);
    for wheel in &forgotten {
        store.forget_name(KIND, &wheel.digest.hex())?;
    }
    Ok(forgotten)
}

/// Returns the wheel of a version that came from elsewhere and fits best.
pub(crate) fn imported(
    store: &Store,
    (name, version): (&PackageName, Option<&Version>),
    tags: &Tags,
) -> Result<Option<(WheelFileName, Housed)>, StoreError> {
    let wheels = list(store)?.into_iter().filter(|wheel| wheel.sources == IMPORTED);
    let fitting = wheels.filter_map(|wheel| {
        let file: WheelFileName = wheel.name.parse().ok()?;
        let is_it = file.name() == name && version.is_none_or(|version| file.version() == version);
        Some((tags.rank(&file).filter(|_| is_it)?, (file, wheel)))
    });
    Ok(fitting.min_by(|(rank, _), (other, _)| rank.cmp(other)).map(|(_, found)| found))
}

#[cfg(test)]
mod tests {
    use minke_python::{Arch, Libc, Platform, PythonVersion, Target};

    use super::*;

    const WHEEL: &str = "toy_raw-1.0-py3-none-any.whl";

    fn target() -> Target {
        let platform = Platform { arch: Arch::X86_64, libc: Libc::Glibc { major: 2, minor: 41 } };
        Target { python: PythonVersion { major: 3, minor: 13, patch: None }, platform }
    }

    #[test]
    fn what_one_wheelhouse_writes_out_another_takes_in() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let one = Store::open(&at("one")).unwrap();
        let digest = one.put(b"bytes").unwrap();
        let wheel = Housed {
            name: WHEEL.to_owned(),
            digest,
            size: 5,
            sources: "toy_raw-1.0.tar.gz".to_owned(),
            target: "Python 3.13".to_owned(),
        };
        keep(&one, &wheel).unwrap();
        assert_eq!(export(&one, &at("out")).unwrap(), std::slice::from_ref(&wheel));
        let sums = fs::read_to_string(at("out/SHA256SUMS")).unwrap();
        assert_eq!(sums, format!("{}  {WHEEL}\n", digest.hex()));

        let other = Store::open(&at("other")).unwrap();
        let taken = Housed { sources: IMPORTED.to_owned(), target: String::new(), ..wheel };
        assert_eq!(import(&other, &at("out")).unwrap(), std::slice::from_ref(&taken));
        let find = |name: &str, version: &str| {
            let wanted: (PackageName, Version) = (name.parse().unwrap(), version.parse().unwrap());
            let found = imported(&other, (&wanted.0, Some(&wanted.1)), &target().tags()).unwrap();
            found.map(|(_, wheel)| wheel)
        };
        assert_eq!(find("toy-raw", "1.0"), Some(taken.clone()));
        assert_eq!(find("toy-raw", "2.0"), None);
        let all = Duration::ZERO;
        assert_eq!(forget(&other, &["another".parse().unwrap()], all).unwrap(), []);
        assert_eq!(forget(&other, &[], Duration::from_secs(3600)).unwrap(), []);
        assert_eq!(forget(&other, &["toy.raw".parse().unwrap()], all).unwrap(), [taken]);
        assert_eq!(list(&other).unwrap(), []);
    }
}
