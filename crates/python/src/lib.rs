//! **What Python asks for:** lock files, markers, tags, wheels, and where a wheel's files go.
//!
//! This room never fetches and never starts a process: it says what it needs as a
//! [`Source`](minke_cas::Source) and reads the bytes when they are handed to it.
//!
//! - [`Lock`] reads a `pylock.toml` and [`Lock::select`]s the [`Distribution`]s that apply to a [`Target`].
//! - [`Tags`] orders what a target's interpreter can load, [`Marker`] and [`Requirement`] read what
//!   packages ask for.
//! - [`Pyproject`] reads the project's own metadata.
//! - [`Venv`] says where things go and [`install`] puts a wheel's files there.

mod entry_points;
mod lock;
mod marker;
mod metadata;
mod metadata_wheel;
mod names;
mod position;
mod pyproject;
mod record;
mod requirement;
mod tags;
mod target;
mod venv;
mod wheel;
mod wheel_name;

pub use entry_points::{EntryPoint, EntryPoints, EntryPointsError};
pub use lock::{
    Distribution, FromSources, Groups, Location, Lock, LockError, LockedPackage, Origin, SelectError,
    Selection,
};
pub use marker::{Environment, Marker, MarkerError};
pub use metadata::{Metadata, MetadataError};
pub use metadata_wheel::metadata_wheel;
pub use names::{ExtraName, GroupName, NameError, PackageName};
pub use pep440_rs::{Version, VersionSpecifiers};
pub use position::Position;
pub use pyproject::{BuildSystem, Project, Pyproject, PyprojectError, UvTable};
pub use record::{Record, RecordEntry, RecordError, RecordHash};
pub use requirement::{Constraint, Requirement, RequirementError};
pub use tags::{Rank, Tag, Tags};
pub use target::{Arch, Libc, Platform, PythonVersion, PythonVersionError, Target};
pub use venv::Venv;
pub use wheel::{
    DirectUrl, Installed, Provenance, Request, Rewrite, RewriteError, WheelError, WheelFault, WheelFile,
    WheelWarning, each_file, install, rewrite,
};
pub use wheel_name::{WheelFileName, WheelFileNameError};
