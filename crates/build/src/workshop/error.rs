//! Why something cannot be built from its sources.

use std::fmt;
use std::path::PathBuf;

use minke_cas::{StoreError, TreeError};
use minke_net::FetchError;
use minke_python::{PyprojectError, Target, WheelFileName, WheelFileNameError};

use super::crates::CratesError;
use super::patch::PatchError;
use super::repository::RepositoryError;
use super::root::RoomError;
use super::sources::SourcesError;
use crate::lock::LockStepError;
use crate::project::ProjectError;
use crate::project::sources::SourcesTreeError;
use crate::supply::SupplyError;
use crate::uv::FindUvError;
use crate::wheels::WheelsError;

/// A directory or a source distribution cannot be built into a wheel.
///
/// `directory` names either: a directory as the user wrote it, a source distribution by its file name.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Its files cannot be taken.
    #[error("cannot take the files of `{}`", directory.display())]
    Sources {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        source: SourcesTreeError,
    },
    /// Its `pyproject.toml` cannot be read.
    #[error("cannot read what `{}` is built with", directory.display())]
    Read {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        source: ProjectError,
    },
    /// Its `pyproject.toml` isn't right.
    #[error("`{}` is not right", directory.join("pyproject.toml").display())]
    Pyproject {
        /// The directory.
        directory: PathBuf,
        /// Where and why.
        source: PyprojectError,
    },
    /// uv cannot be had.
    #[error("cannot resolve the backend's requirements without uv")]
    Uv(#[source] FindUvError),
    /// What the backend needs cannot be resolved.
    #[error("cannot resolve what building `{}` needs", directory.display())]
    Resolve {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: Box<LockStepError>,
    },
    /// What the backend needs may not be pinned.
    #[error("cannot pin what building needs")]
    Supply(#[source] SupplyError),
    /// What the backend needs cannot be installed.
    #[error("cannot install what building `{}` needs", directory.display())]
    Requirements {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: Box<WheelsError>,
    },
    /// What the backend needs has two different files at one place.
    #[error("what building `{}` needs doesn't go together", directory.display())]
    Together {
        /// The directory.
        directory: PathBuf,
        /// Where.
        source: crate::parts::SettleError,
    },
    /// What the backend needs has a module `bin` where the scripts lie.
    #[error("the scripts of what building `{}` needs cannot be placed", directory.display())]
    Scripts {
        /// The directory.
        directory: PathBuf,
        /// What is in the way.
        source: TreeError,
    },
    /// The backend failed.
    #[error("cannot build `{}`{tried}", directory.display())]
    Build {
        /// The directory.
        directory: PathBuf,
        /// What it was given because it had missed it.
        tried: Tried,
        /// What it said.
        source: minke_exec::BuildError,
    },
    /// The backend wants a newer compiler than the suite has.
    #[error("`{}` needs a newer Rust than the suite's {has}", directory.display())]
    TooOld {
        /// The directory.
        directory: PathBuf,
        /// The newest that there is.
        has: String,
        /// All that was said.
        source: Box<BackendError>,
    },
    /// The backend made something that isn't called as a wheel is.
    #[error("the backend of `{}` made a file that is no wheel", directory.display())]
    Name {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: WheelFileNameError,
    },
    /// The wheel is for this machine and not for the image's.
    #[error("`{}` is built into `{name}`, which {target} cannot load", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// The wheel.
        name: WheelFileName,
        /// What the image has.
        target: Target,
    },
    /// The wheel cannot be shown to uv.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where it was to lie.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The sources cannot be fetched.
    #[error("cannot fetch the sources `{}`", directory.display())]
    Fetch {
        /// Which.
        directory: PathBuf,
        /// What happened.
        source: Box<FetchError>,
    },
    /// The sources on this machine cannot be taken.
    #[error("cannot take the sources `{}`", directory.display())]
    Take {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: StoreError,
    },
    /// The sources cannot be unpacked.
    #[error("cannot unpack the sources `{}`", directory.display())]
    Unpack {
        /// Which.
        directory: PathBuf,
        /// What is wrong with them.
        source: SourcesError,
    },
    /// The user's diff cannot be read.
    #[error("cannot read the patch `{}`", patch.display())]
    NoPatch {
        /// Which.
        patch: PathBuf,
        /// Why not; nothing where there is no such file.
        source: Option<ProjectError>,
    },
    /// The user's diff doesn't go with the sources.
    #[error("cannot apply the patch `{}` to `{}`", patch.display(), directory.display())]
    Patch {
        /// The sources.
        directory: PathBuf,
        /// The diff.
        patch: PathBuf,
        /// Why not.
        source: Box<PatchError>,
    },
    /// A commit of a repository.
    #[error("`{name}` is {what}, which minke doesn't fetch")]
    Vcs {
        /// The distribution.
        name: String,
        /// What it is, such as `git commit 7a1c`.
        what: String,
    },
    /// A commit of a repository cannot be had.
    #[error("cannot get the sources `{}`", directory.display())]
    Commit {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: Box<RepositoryError>,
    },
    /// To build some need is to need itself.
    #[error("building `{}` needs itself: {}", directory.display(), way.join(" needs "))]
    Cycle {
        /// Which.
        directory: PathBuf,
        /// The way from it to it.
        way: Vec<String>,
    },
    /// A stranger's code may not run without a sealed room.
    #[error("cannot build `{}`, a stranger's code, without a sealed room", directory.display())]
    Unsealed {
        /// Which.
        directory: PathBuf,
        /// Why there is none.
        source: minke_exec::Unavailable,
    },
    /// The packages of the room cannot be had.
    #[error("cannot furnish the room that `{}` is built in", directory.display())]
    Room {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: Box<RoomError>,
    },
    /// The crates that it takes cannot be had.
    #[error("cannot get the crates that `{}` is built with", directory.display())]
    Crates {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: Box<CratesError>,
    },
    /// The wheel that was built cannot be read.
    #[error("cannot read what `{}` was built into", directory.display())]
    Wheel {
        /// Which.
        directory: PathBuf,
        /// Why not.
        source: Box<WheelsError>,
    },
    /// The cache failed.
    #[error("cannot keep a wheel that was built")]
    Store(#[from] StoreError),
}

/// What a build was given, each time because it had missed it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tried(pub Vec<String>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", not even with {}", self.0.join(", ")) }
    }
}
