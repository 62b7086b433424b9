//! Lock files: `pylock.toml`, of major version 1.
//!
//! What uv's `export` and `pip compile` write, and what anybody else writes by the specification. Keys that
//! only inform (`index`, `dependencies`, `attestation-identities`, `tool`) are not read;
//! unknown ones are ignored, as the specification asks of a reader that may be older than the file.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/pylock-toml/>

mod raw;
mod select;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, SourceUrl};
use pep440_rs::{Version, VersionSpecifiers};

use crate::{ExtraName, GroupName, Marker, PackageName, Position, WheelFileName};

pub(crate) use raw::{Exact, Specifiers};
pub use select::{Distribution, FromSources, Groups, Location, Origin, SelectError, Selection};

/// A lock file that was read.
#[derive(Clone, Debug)]
pub struct Lock {
    requires_python: Option<VersionSpecifiers>,
    environments: Vec<Marker>,
    extras: BTreeSet<ExtraName>,
    groups: BTreeSet<GroupName>,
    default_groups: BTreeSet<GroupName>,
    packages: Vec<LockedPackage>,
}

/// One entry of a lock file; several may have one name if their markers exclude each other.
#[derive(Clone, Debug)]
pub struct LockedPackage {
    /// The distribution's name.
    pub name: PackageName,
    /// Its version, where it is known without building it.
    pub version: Option<Version>,
    /// When the entry applies; always, where there is none.
    pub marker: Option<Marker>,
    /// The Pythons that it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// Where it comes from.
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Index {
        wheels: Vec<(WheelFileName, LockedFile)>,
        sdist: Option<LockedFile>,
    },
    Archive {
        file: LockedFile,
        subdirectory: Option<String>,
    },
    Directory {
        path: String,
        editable: bool,
        subdirectory: Option<String>,
    },
    Vcs {
        vcs: String,
        location: VcsLocation,
        revision: Option<String>,
        commit: String,
        subdirectory: Option<String>,
    },
}

#[derive(Clone, Debug)]
enum VcsLocation {
    Url(String),
    Path(String),
}

/// A file that a lock file names.
#[derive(Clone, PartialEq, Eq, Debug)]
struct LockedFile {
    /// Its name, without directories.
    name: String,
    /// Its address, where it has one.
    url: Option<SourceUrl>,
    /// Where it lies, relative to the lock file or absolute, where it has no address.
    path: Option<String>,
    /// Its length in bytes.
    size: Option<u64>,
    /// When it was uploaded, as RFC 3339, where the lock says it.
    uploaded: Option<String>,
    /// Its hashes in hexadecimal digits, by the algorithm's lower-case name.
    hashes: BTreeMap<String, String>,
}

/// A lock file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It isn't TOML, or not what the specification asks for.
    #[error("{position}: {message}")]
    Malformed {
        /// Where.
        position: Position,
        /// What is wrong there.
        message: String,
    },
    /// It is of a major version that isn't known.
    #[error("its `lock-version` is `{version}`; only 1.x is known")]
    Version {
        /// What the file says.
        version: String,
    },
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// [`LockError::Version`] for another major version; [`LockError::Malformed`] for what isn't TOML, lacks a
    /// required key, or holds a name, version, marker, address or digest that is none.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        raw::parse(text)
    }

    /// Returns the Pythons that the lock is for.
    pub fn requires_python(&self) -> Option<&VersionSpecifiers> {
        self.requires_python.as_ref()
    }

    /// Returns the extras that can be asked for.
    pub fn extras(&self) -> &BTreeSet<ExtraName> {
        &self.extras
    }

    /// Returns the dependency groups that can be asked for.
    pub fn groups(&self) -> &BTreeSet<GroupName> {
        &self.groups
    }

    /// Returns every entry, in the file's order.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.packages
    }
}

impl LockedFile {
    /// Returns the file's sha256, if the lock has one.
    fn digest(&self) -> Option<Digest> {
        // Reading has checked that it is one.
        self.hashes.get("sha256")?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
