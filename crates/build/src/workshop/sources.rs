//! A source distribution: fetched, unpacked, and what it says of how it is built.
//!
//! The archive is a stranger's and is unpacked by the rules of [`minke_oci::unpack`]: no device, no link that leaves,
//! no name twice, and not more than [`BOUNDS`]. Its files lie below one directory, which is taken off; some old
//! ones lie there directly.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/source-distribution-format/>

use std::path::{Path, PathBuf};

use minke_cas::{Digest, Entry, ImagePath, Meter, Store, StoreError, Tree, TreeError};
use minke_oci::{Bounds, UnpackError};
use minke_python::{Location, PackageName, Provenance, Version};
use serde::{Deserialize, Serialize};

use super::{BackendError, Workshop};

/// Far more than the largest source distributions have.
pub(super) const BOUNDS: Bounds = Bounds { bytes: 4 << 30, entries: 250_000 };

/// Nobody writes a longer one.
const LONGEST_PYPROJECT: u64 = 1 << 20;

/// Something that has no wheel for the target, and is to be built.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Its name.
    pub name: PackageName,
    /// Its version, where that is known without building it.
    pub version: Option<Version>,
    /// Its file's name, or which commit it is.
    pub file: String,
    /// Where it lies.
    pub place: Place,
    /// Where in it the project is.
    pub subdirectory: Option<String>,
    /// When it was published, as RFC 3339, where that is known.
    pub published: Option<String>,
    /// How it came to be wanted.
    pub provenance: Provenance,
}

/// Where sources lie.
#[derive(Clone)]
pub enum Place {
    /// In an archive; a relative path begins at the lock.
    Archive(Location),
    /// In a repository.
    Repository {
        /// Its address, which may hold a password, or its path.
        repository: String,
        /// The commit.
        commit: String,
    },
    /// In a repository of a kind that minke doesn't read; what it is, in words.
    Unread(String),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(location) => f.debug_tuple("Archive").field(location).finish(),
            // Its address may hold a password.
            Self::Repository { commit, .. } => f.debug_tuple("Repository").field(commit).finish(),
            Self::Unread(what) => f.debug_tuple("Unread").field(what).finish(),
        }
    }
}

/// A source distribution cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// Its archive is broken or hostile.
    #[error(transparent)]
    Archive(#[from] UnpackError),
    /// It hasn't got the directory that the lock names.
    #[error("it has no directory `{subdirectory}`")]
    Subdirectory {
        /// Which.
        subdirectory: String,
    },
    /// Its files don't go together.
    #[error("its files cannot be placed")]
    Place(#[from] TreeError),
    /// The cache failed.
    #[error("cannot keep its files")]
    Store(#[from] StoreError),
}

/// A source distribution, unpacked.
pub(super) struct Unpacked {
    /// What its archive hashes to.
    pub(super) digest: Digest,
    /// Its files, from its directory down.
    pub(super) tree: Tree,
    /// The text of its `pyproject.toml`, empty where it has none.
    pub(super) pyproject: String,
}

#[derive(Serialize)]
struct Key<'key> {
    archive: Digest,
    subdirectory: Option<&'key str>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    tree: Tree,
    pyproject: String,
}

impl Workshop<'_> {
    /// Fetches and unpacks sources, each archive once.
    pub(super) fn unpacked(&self, sources: &Sources) -> Result<Unpacked, BackendError> {
        let directory = || PathBuf::from(&sources.file);
        let location = match &sources.place {
            Place::Archive(location) => location,
            Place::Repository { repository, commit } => {
                return self.of_repository(sources, (repository, commit));
            }
            Place::Unread(what) => {
                return Err(BackendError::Vcs { name: sources.name.to_string(), what: what.clone() });
            }
        };
        let digest = self.archive(location, &directory())?;
        let key = Key { archive: digest, subdirectory: sources.subdirectory.as_deref() };
        let remembered = self.store.memo("sdist-1", &key, || unpack(self.store, &key));
        let Remembered { tree, pyproject } =
            remembered.map_err(|source| BackendError::Unpack { directory: directory(), source })?;
        Ok(Unpacked { digest, tree, pyproject })
    }

    fn of_repository(
        &self,
        sources: &Sources,
        (repository, commit): (&str, &str),
    ) -> Result<Unpacked, BackendError> {
        let directory = || PathBuf::from(&sources.file);
        let failed = |source| BackendError::Commit { directory: directory(), source: Box::new(source) };
        let whole = self.checked_out(repository, commit).map_err(failed)?;
        let found = project(self.store, &whole, ImagePath::root(), sources.subdirectory.as_deref());
        let Remembered { tree, pyproject } =
            found.map_err(|source| BackendError::Unpack { directory: directory(), source })?;
        Ok(Unpacked { digest: tree.digest(), tree, pyproject })
    }

    fn archive(&self, location: &Location, directory: &Path) -> Result<Digest, BackendError> {
        match location {
            Location::Remote(source) => {
                let fetched = self.client.fetch(source, self.store, &Meter::default());
                let failed = |source| BackendError::Fetch {
                    directory: directory.to_owned(),
                    source: Box::new(source),
                };
                fetched.map(|()| source.digest).map_err(failed)
            }
            Location::Local(path, expected) => {
                let failed = |source| BackendError::Take { directory: directory.to_owned(), source };
                let (digest, size) =
                    self.store.put_file(&self.project.lock_root.join(path)).map_err(failed)?;
                match expected {
                    Some(expected) if *expected != digest => {
                        let expected = *expected;
                        Err(failed(StoreError::Mismatch { expected, actual: digest, size }))
                    }
                    _ => Ok(digest),
                }
            }
        }
    }
}

fn unpack(store: &Store, key: &Key<'_>) -> Result<Remembered, SourcesError> {
    let whole = minke_oci::unpack(store, &key.archive, BOUNDS)?;
    project(store, &whole, only_directory(&whole), key.subdirectory)
}

/// Returns the project that lies at some place of what was unpacked, or below that.
fn project(
    store: &Store,
    whole: &Tree,
    top: ImagePath,
    subdirectory: Option<&str>,
) -> Result<Remembered, SourcesError> {
    let missing = |subdirectory: &str| SourcesError::Subdirectory { subdirectory: subdirectory.to_owned() };
    let root = match subdirectory {
        Some(subdirectory) => {
            let below = ImagePath::from_archive(subdirectory).map_err(|_| missing(subdirectory))?;
            below
                .components()
                .try_fold(top, |at, name| at.join_str(name))
                .map_err(|_| missing(subdirectory))?
        }
        None => top,
    };
    let directory = whole.directory(&root);
    let directory = directory.ok_or_else(|| missing(subdirectory.unwrap_or_default()))?;
    let mut tree = Tree::new();
    for (name, entry) in directory.entries() {
        tree.insert(&ImagePath::root().join(name), entry.clone())?;
    }
    let pyproject = tree.resolve_file(&"/pyproject.toml".parse().expect("a path"));
    let pyproject = pyproject.filter(|file| file.size <= LONGEST_PYPROJECT);
    let pyproject = pyproject.map(|file| store.read_file(file)).transpose()?.unwrap_or_default();
    Ok(Remembered { tree, pyproject: String::from_utf8_lossy(&pyproject).into_owned() })
}

/// Returns the one directory that all lies in, else the root.
pub(super) fn only_directory(whole: &Tree) -> ImagePath {
    let mut entries = whole.root().entries();
    match (entries.next(), entries.next()) {
        (Some((name, Entry::Directory(_))), None) => ImagePath::root().join(name),
        _ => ImagePath::root(),
    }
}
