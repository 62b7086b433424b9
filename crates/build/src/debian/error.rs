//! What can go wrong with the distribution's packages.

use std::path::PathBuf;

use minke_cas::{SourceUrl, SourceUrlError, StoreError};
use minke_distro::{
    ClosureError, ContentsError, IndexError, KeyringError, NameError, PackageName, ReleaseError, Suite,
};
use minke_net::FetchError;

use crate::nearest::suggestion;
use crate::settings::Origin;

/// The distribution's packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// Nothing says where an archive is.
    #[error("nothing says where a Debian archive is")]
    NoMirror,
    /// An address cannot be used.
    #[error("the archive's address that was set {origin} cannot be used")]
    Mirror {
        /// Where it was said.
        origin: Origin,
        /// What is wrong with it.
        source: SourceUrlError,
    },
    /// A suite's or package's name is none.
    #[error("`{name}`, which was named {origin}, is not the name of a {what}")]
    Name {
        /// What was given.
        name: String,
        /// Where.
        origin: Origin,
        /// What it should be: `suite`, `package`.
        what: &'static str,
        /// Why not.
        source: NameError,
    },
    /// A keyring cannot be used.
    #[error("cannot use the keyring `{}`", path.display())]
    Keyring {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: KeyringProblem,
    },
    /// The signed list of an archive cannot be fetched.
    #[error("cannot fetch the release file of {suite}")]
    FetchRelease {
        /// Of which suite.
        suite: Suite,
        /// What happened.
        source: FetchError,
    },
    /// It isn't signed by whom it should be, or has expired.
    #[error("cannot trust the release file of {suite} at {url}{}", whose(named_by.as_deref()))]
    Release {
        /// Of which suite.
        suite: Suite,
        /// Who names the mirror.
        named_by: Option<String>,
        /// Where it came from.
        url: SourceUrl,
        /// Why not.
        source: ReleaseError,
    },
    /// A release has no packages for an architecture.
    #[error("{suite} has no packages for {arch}")]
    NoIndex {
        /// Which suite.
        suite: Suite,
        /// Which architecture.
        arch: &'static str,
    },
    /// An index cannot be fetched.
    #[error("cannot fetch the package index of {suite}")]
    FetchIndex {
        /// Of which suite.
        suite: Suite,
        /// What happened.
        source: FetchError,
    },
    /// An index cannot be read.
    #[error("cannot read the package index of {suite}")]
    Index {
        /// Of which suite.
        suite: Suite,
        /// Why not.
        source: IndexError,
    },
    /// A list of files cannot be fetched.
    #[error("cannot fetch the list of files of {suite}")]
    FetchList {
        /// Of which suite.
        suite: Suite,
        /// What happened.
        source: FetchError,
    },
    /// A list of files cannot be used.
    #[error("cannot use the list of files of {suite}")]
    List {
        /// Of which suite.
        suite: Suite,
        /// Why not.
        source: ContentsError,
    },
    /// A package that a list of files names cannot be fetched to see whether it has the file.
    #[error("cannot fetch {package} to see what it holds")]
    FetchPackage {
        /// Which package.
        package: PackageName,
        /// What happened.
        source: FetchError,
    },
    /// The packages that are needed cannot be had together.
    #[error("cannot choose the base's packages")]
    Closure(#[source] ClosureError),
    /// A package that was asked for by name is in no archive.
    #[error("there is no package `{name}`{}", suggestion(nearest))]
    Unknown {
        /// What was asked for.
        name: PackageName,
        /// The names that differ least, if any are near.
        nearest: Vec<String>,
    },
    /// A locked package is of a suite whose archive isn't set.
    #[error("{package} is locked from {suite}, whose archive nothing names")]
    NoSuite {
        /// The suite.
        suite: String,
        /// The package.
        package: String,
    },
    /// A suite hasn't got something that every base needs.
    #[error("{suite} has no `{package}`")]
    NotABase {
        /// Which suite.
        suite: String,
        /// The package that it lacks.
        package: &'static str,
    },
    /// The cache failed.
    #[error("cannot keep what was found in the archive")]
    Store(#[from] StoreError),
}

fn whose(named_by: Option<&str>) -> String {
    named_by.map(|named_by| format!(", which {named_by} names")).unwrap_or_default()
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringProblem {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// It isn't one.
    #[error("it is not a keyring")]
    Parse(#[source] KeyringError),
}

impl DebianError {
    /// Of an address that an archive's own leads to, which were found in the machine's sources or the settings.
    pub(super) fn address(source: SourceUrlError) -> Self {
        Self::Mirror { origin: Origin::Default, source }
    }
}
