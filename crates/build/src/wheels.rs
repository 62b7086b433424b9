//! From pinned distributions to installed trees: each wheel is fetched, checked and unpacked once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Store, StoreError};
use minke_net::FetchError;
use minke_python::{
    Distribution, Installed, Location, NameError, Origin, PackageName, Provenance, Target, Venv, Version,
    WheelError, WheelFile, WheelFileName, WheelFileNameError, WheelWarning,
};
use serde::Serialize;

use crate::fetch::{Errand, Fetcher, fetch_each};
use crate::system_lock::{LockedWheel, WheelPlace};
use crate::wheelhouse::Housed;
use crate::workshop::{Place, Sources, holds_no_secret};

/// A wheel that is in the store or can be fetched into it.
#[derive(Clone, Debug)]
pub struct Wheel {
    /// What it is called.
    pub name: WheelFileName,
    /// The sha256 of its bytes.
    pub digest: Digest,
    /// How long it is, in bytes, where that is known.
    pub size: u64,
    /// Where to fetch it, where it isn't in the store.
    pub source: Option<minke_cas::Source>,
    /// How it came to be wanted.
    pub provenance: Provenance,
    /// Whether it is the project's own.
    pub part: Belongs,
}

/// Whose a wheel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belongs {
    /// The project.
    Project,
    /// The user's too: another member of the project's workspace, a directory beside it.
    Neighbours,
    /// Somebody else's.
    Others,
}

/// A wheel cannot be had or installed.
#[derive(Debug, thiserror::Error)]
pub enum WheelsError {
    /// A wheel's bytes cannot be fetched.
    #[error("cannot fetch {name} for {target}")]
    Fetch {
        /// The wheel.
        name: WheelFileName,
        /// For whom it was wanted.
        target: Target,
        /// What happened.
        source: FetchError,
    },
    /// A wheel on this machine cannot be read.
    #[error("cannot read the wheel `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A wheel on this machine isn't the one that was locked.
    #[error("the wheel `{}` is not the one in the lock", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
        /// What was expected and found.
        source: StoreError,
    },
    /// A file that should be a wheel has another name.
    #[error("`{}` is not a wheel's name", path.display())]
    Name {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: WheelFileNameError,
    },
    /// A wheel is broken or hostile.
    #[error("cannot install a wheel")]
    Install(#[source] WheelError),
    /// A distribution's name in a directory is none.
    #[error("cannot read a distribution's name")]
    Distribution(#[source] NameError),
    /// The cache failed.
    #[error("cannot keep a wheel")]
    Store(#[from] StoreError),
}

/// What a project needs, sorted by where its wheel comes from.
#[derive(Default, Debug)]
pub struct Needs {
    /// What has a wheel.
    pub wheels: Vec<Wheel>,
    /// Directories of the user's that are to be built, relative to the project or absolute, in lock order.
    pub directories: Vec<PathBuf>,
    /// What has only sources, in lock order.
    pub sources: Vec<Sources>,
}

/// Sorts distributions, and finds local wheels for those that have only sources.
///
/// # Errors
/// Those of reading local wheels.
pub fn sort(
    store: &Store,
    distributions: Vec<Distribution>,
    target: &Target,
    (root, find_links): (&Path, &[PathBuf]),
) -> Result<Needs, WheelsError> {
    let mut needs = Needs::default();
    for distribution in distributions {
        let request = minke_python::Request::Dependency;
        let provenance = Provenance { direct_url: distribution.direct_url.clone(), request };
        match distribution.origin {
            Origin::Wheel { file_name, location: Location::Remote(source) } => needs.wheels.push(Wheel {
                name: file_name,
                digest: source.digest,
                size: source.size.unwrap_or_default(),
                source: Some(source),
                provenance,
                part: Belongs::Others,
            }),
            Origin::Wheel { location: Location::Local(path, digest), .. } => {
                needs.wheels.push(local(store, &root.join(path), digest, provenance)?);
            }
            Origin::Directory { path, subdirectory, .. } => {
                needs.directories.push(
                    subdirectory.map_or_else(|| path.clone().into(), |below| Path::new(&path).join(below)),
                );
            }
            Origin::Sdist { file_name, location, published, offered: _ } => {
                let (name, version) = (distribution.name, distribution.version);
                let here = || crate::wheelhouse::imported(store, (&name, version.as_ref()), &target.tags());
                match find_local(&name, version.as_ref(), target, find_links)? {
                    Some(path) => needs.wheels.push(local(store, &path, None, provenance)?),
                    None if let Some((name, Housed { digest, size, .. })) = here()? => {
                        let part = Belongs::Others;
                        needs.wheels.push(Wheel { name, digest, size, source: None, provenance, part });
                    }
                    None => needs.sources.push(Sources {
                        name,
                        version,
                        file: file_name,
                        place: Place::Archive(location),
                        subdirectory: None,
                        published,
                        provenance,
                    }),
                }
            }
            Origin::Archive { file_name, location, subdirectory } => needs.sources.push(Sources {
                name: distribution.name,
                version: distribution.version,
                file: file_name,
                place: Place::Archive(location),
                subdirectory,
                published: None,
                provenance,
            }),
            Origin::Vcs { vcs, repository, commit, subdirectory } => needs.sources.push(Sources {
                file: format!("{}-{commit}.{vcs}", distribution.name),
                name: distribution.name,
                version: distribution.version,
                place: match vcs.as_str() {
                    "git" => Place::Repository { repository, commit },
                    _ => Place::Unread(format!("{vcs} commit {commit}")),
                },
                subdirectory,
                published: None,
                provenance,
            }),
        }
    }
    Ok(needs)
}

/// Takes a wheel on this machine into the store.
///
/// # Errors
/// [`WheelsError::Changed`] if the lock says another digest; those of reading it.
pub fn local(
    store: &Store,
    path: &Path,
    expected: Option<Digest>,
    provenance: Provenance,
) -> Result<Wheel, WheelsError> {
    let read = |source| WheelsError::Read { path: path.to_owned(), source };
    let (digest, size) = store.put_file(path).map_err(|error| match error {
        StoreError::Input(source) => read(source),
        error => WheelsError::Store(error),
    })?;
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let source = StoreError::Mismatch { expected, actual: digest, size };
        return Err(WheelsError::Changed { path: path.to_owned(), source });
    }
    Ok(Wheel { name: wheel_name(path)?, digest, size, source: None, provenance, part: Belongs::Others })
}

/// Returns a distribution as it is locked: a wheel, a source distribution at an address, or a commit; none for anything
/// else.
pub fn lockable(distribution: &Distribution) -> Option<LockedWheel> {
    if let Origin::Vcs { vcs, repository, commit, subdirectory } = &distribution.origin {
        let is_open = vcs == "git" && holds_no_secret(repository);
        let place = WheelPlace::Commit {
            repository: repository.clone(),
            commit: commit.clone(),
            subdirectory: subdirectory.clone(),
            version: distribution.version.as_ref().map(ToString::to_string),
        };
        return is_open.then(|| LockedWheel { name: distribution.name.to_string(), place });
    }
    let (name, location) = match &distribution.origin {
        Origin::Wheel { file_name, location } => (file_name.to_string(), location),
        Origin::Sdist { file_name, location: location @ Location::Remote(_), .. } => {
            (file_name.clone(), location)
        }
        // Sources at an address are as good as an index's where they are called so.
        Origin::Archive { file_name, location: location @ Location::Remote(_), subdirectory: None }
            if sources_name(file_name).is_some() =>
        {
            (file_name.clone(), location)
        }
        _ => return None,
    };
    let place = match location {
        // What an address asks may be a secret, and isn't written anywhere.
        Location::Remote(source) if source.url.with_secrets().query().is_some() => return None,
        Location::Remote(source) => {
            WheelPlace::Url { url: source.url.clone(), digest: source.digest, size: source.size }
        }
        Location::Local(path, digest) => WheelPlace::Path { path: path.clone(), digest: (*digest)? },
    };
    Some(LockedWheel { name, place })
}

/// Returns of what a file is the source distribution, by its name; none where it is none.
pub(crate) fn sources_name(file: &str) -> Option<(PackageName, Version)> {
    let endings = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];
    let stem = endings.iter().find_map(|end| file.strip_suffix(end))?;
    let (name, version) = stem.rsplit_once('-')?;
    Some((name.parse().ok()?, version.parse().ok()?))
}

/// Returns the distribution that was locked: the other way of [`lockable`].
///
/// # Errors
/// [`WheelsError::Name`] and [`WheelsError::Distribution`] if it is called as nothing is.
pub fn locked(wheel: &LockedWheel) -> Result<Distribution, WheelsError> {
    let location = match wheel.place.clone() {
        WheelPlace::Url { url, digest, size } => Location::Remote(minke_cas::Source { url, digest, size }),
        WheelPlace::Path { path, digest } => Location::Local(path, Some(digest)),
        WheelPlace::Commit { repository, commit, subdirectory, version } => {
            let name = wheel.name.parse().map_err(WheelsError::Distribution)?;
            let version = version.and_then(|version| version.parse().ok());
            let origin = Origin::Vcs { vcs: "git".to_owned(), repository, commit, subdirectory };
            return Ok(Distribution { name, version, origin, direct_url: None });
        }
    };
    let sources = sources_name(&wheel.name).filter(|_| matches!(location, Location::Remote(_)));
    let (name, version, origin) = if let Some((name, version)) = sources {
        let file_name = wheel.name.clone();
        (name, version, Origin::Sdist { file_name, location, published: None, offered: Vec::new() })
    } else {
        let file_name = wheel_name(Path::new(&wheel.name))?;
        let (name, version) = (file_name.name().clone(), file_name.version().clone());
        (name, version, Origin::Wheel { file_name, location })
    };
    Ok(Distribution { name, version: Some(version), origin, direct_url: None })
}

fn wheel_name(path: &Path) -> Result<WheelFileName, WheelsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|source| WheelsError::Name { path: path.to_owned(), source })
}

/// Finds the wheel of a distribution that fits best in directories of wheels.
fn find_local(
    name: &PackageName,
    version: Option<&minke_python::Version>,
    target: &Target,
    directories: &[PathBuf],
) -> Result<Option<PathBuf>, WheelsError> {
    let tags = target.tags();
    let mut found = Vec::new();
    for directory in directories {
        let read = |source| WheelsError::Read { path: directory.clone(), source };
        for entry in fs::read_dir(directory).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path.extension().is_none_or(|extension| extension != "whl") {
                continue;
            }
            let wheel = wheel_name(&path)?;
            let wanted = wheel.name() == name && version.is_none_or(|version| wheel.version() == version);
            if let Some(rank) = tags.rank(&wheel).filter(|_| wanted) {
                found.push((rank, path));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().next().map(|(_, path)| path))
}

#[derive(Serialize)]
struct Key<'key> {
    wheel: Digest,
    name: String,
    venv: &'key Venv,
    provenance: &'key Provenance,
}

/// Fetches and unpacks wheels, each as soon as it is there; the results are in the order of the wheels.
///
/// # Errors
/// [`WheelsError`] names the wheel.
pub fn install_all(
    fetcher: Fetcher<'_>,
    wheels: &[Wheel],
    target: &Target,
    venv: &Venv,
) -> Result<Vec<Installed>, WheelsError> {
    let store = fetcher.store;
    let errands = wheels
        .iter()
        .map(|wheel| Errand {
            source: wheel.source.clone().filter(|source| !store.has_source(source)),
            subject: wheel,
        })
        .collect();
    let failed =
        |wheel: &&Wheel, source| WheelsError::Fetch { name: wheel.name.clone(), target: *target, source };
    fetch_each(fetcher, errands, failed, |wheel| install(store, wheel, venv))
}

fn install(store: &Store, wheel: &Wheel, venv: &Venv) -> Result<Installed, WheelsError> {
    let Wheel { name, digest, provenance, size: _, source: _, part: _ } = wheel;
    let _span = tracing::info_span!("install wheel", %name).entered();
    let key = Key { wheel: *digest, name: name.to_string(), venv, provenance };
    store.memo("wheel-1", &key, || {
        let reader = io::BufReader::new(store.open_blob(digest)?);
        let wheel = WheelFile { reader, name: name.clone(), digest: *digest };
        minke_python::install(store, wheel, venv, provenance).map_err(WheelsError::Install)
    })
}

/// Says what was odd about a wheel, as far as anyone can care: bytecode that is left out is made anew.
pub fn oddities(installed: &Installed) -> impl Iterator<Item = String> {
    let title = format!("{} {}", installed.name, installed.version);
    installed.warnings.iter().filter_map(move |warning| match warning {
        WheelWarning::NewerFormat { version } => {
            Some(format!("the wheel of {title} is of the format {version}, which is newer than minke"))
        }
        WheelWarning::NotThere { path } => {
            Some(format!("the wheel of {title} lists `{path}`, which it does not have"))
        }
        WheelWarning::Bytecode { .. } => None,
    })
}
