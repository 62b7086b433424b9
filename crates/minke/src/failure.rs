//! All that can go wrong at the front desk, so that one place can advise on all of it.

use minke_cas::StoreError;

use crate::foreman::{AuditError, BuildError, CheckError, ImagesError, ProjectError, WheelhouseError};
use crate::settings::SurroundingsError;
use crate::task::UsageError;
use crate::timings::TimingsError;
use crate::ui::OutputError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, or what the environment says, cannot be meant.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// What is around the process cannot be told.
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    /// The cache cannot be opened.
    #[error("cannot open the cache")]
    Cache(#[source] StoreError),
    /// The cache cannot be read or changed.
    #[error("cannot look after the cache")]
    Upkeep(#[source] StoreError),
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A trace cannot be kept.
    #[error(transparent)]
    Timings(TimingsError),
    /// Signals cannot be caught.
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    /// The project's settings cannot be read.
    #[error("cannot read the project")]
    Project(#[source] ProjectError),
    /// An image of the store cannot be had.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The wheelhouse cannot be written out or added to.
    #[error(transparent)]
    Wheelhouse(#[from] WheelhouseError),
    /// An image cannot be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// An image doesn't work.
    #[error("`{image}` does not work as it promises")]
    Broken {
        /// Which.
        image: String,
    },
    /// A wheel cannot be looked at or repaired.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The foreman could not do what was asked.
    #[error(transparent)]
    Build(Box<BuildError>),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}
