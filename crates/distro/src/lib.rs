//! **What the system supplies:** signed indexes, package files and dependency closures, for Debian.
//!
//! Nothing here fetches or looks at the clock. An [`Archive`] says which file is needed next, and the
//! functions of this crate read the bytes when they are handed over: an `InRelease` becomes a [`Release`] once
//! its signature is checked, indexes become a [`PackageIndex`], names become a [`Closure`], a package file
//! becomes a tree ([`deb`]), and [`setup`] adds what maintainer scripts would have done.
//!
//! Spec: <https://wiki.debian.org/DebianRepository/Format>

mod closure;
mod compression;
mod contents;
pub mod deb;
mod index;
mod keyring;
mod name;
mod relation;
mod release;
pub mod setup;
pub mod sonames;
pub mod sources;
mod stanza;
pub mod status;

pub use closure::{
    Chosen, Closure, ClosureError, ClosureOptions, Exclusion, LeftOut, Shortfall, Why, closure, staying,
};
pub use compression::Compression;
pub use contents::{Contents, ContentsError, Listed};
pub use index::{IndexError, MultiArch, Package, PackageArch, PackageIndex, Priority, Provided};
pub use keyring::{Keyring, KeyringError};
pub use name::{Arch, NameError, PackageName, Suite, Version};
pub use relation::{AnyOf, Bound, Operator, Relation, RelationError};
pub use release::{ByHash, ContentsArch, IndexFile, Refusal, RefusedSignature, Release, ReleaseError};
pub use sources::Archive;
