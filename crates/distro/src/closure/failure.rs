//! Why there is no closure, in terms of who needs what.

use std::fmt;

use super::Why;
use crate::index::IndexError;
use crate::name::{PackageName, Version};
use crate::relation::{AnyOf, Relation};

/// There is no set of packages that would work.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The index hasn't got a package that the caller asked for.
    #[error("there is no package `{name}`")]
    UnknownRoot {
        /// Which one.
        name: PackageName,
    },
    /// The caller asked for a name that no package has and several provide.
    #[error("`{name}` is no package, but one of {}", providers.iter().map(PackageName::as_str).collect::<Vec<_>>().join(", "))]
    AmbiguousRoot {
        /// The name.
        name: PackageName,
        /// Who provides it.
        providers: Vec<PackageName>,
    },
    /// A package needs something that cannot be had.
    #[error("{} needs `{relation}`: {}", chain.iter().map(PackageName::as_str).collect::<Vec<_>>().join(" → "),
        listed(shortfalls))]
    Unmet {
        /// The package that needs it, at the end of the way that led to it from a root.
        chain: Vec<PackageName>,
        /// What it needs.
        relation: AnyOf,
        /// What is wrong with each alternative.
        shortfalls: Vec<Shortfall>,
    },
    /// Two packages that are both needed exclude each other.
    #[error("{0}")]
    Conflict(Box<Exclusion>),
    /// A stanza cannot be read.
    #[error("the package index cannot be used")]
    Index(#[source] IndexError),
}

/// Two packages that are both needed exclude each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exclusion {
    /// The package that says so.
    pub first: PackageName,
    /// The package that it excludes.
    pub second: PackageName,
    /// What the first one says.
    pub relation: Relation,
    /// Why the first one is there.
    pub first_why: Why,
    /// Why the second one is there.
    pub second_why: Why,
}

/// Why one alternative cannot be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shortfall {
    /// No package has or provides that name.
    Unknown {
        /// The name.
        name: PackageName,
    },
    /// There is one, but in the wrong version.
    WrongVersion {
        /// What was asked for.
        relation: Relation,
        /// What there is.
        have: Version,
    },
    /// Packages provide the name, but none in a version that fits, or for another architecture only.
    NoProvider {
        /// What was asked for.
        relation: Relation,
    },
    /// It could be had, but what it needs in turn could not.
    Useless {
        /// The package.
        name: PackageName,
        /// What is wrong with it.
        because: String,
    },
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, relation, first_why, second_why } = self;
        write!(f, "`{first}` excludes `{second}` (`{relation}`), ")?;
        write!(f, "but {} and {}", wanted(first, first_why), wanted(second, second_why))
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(f, "there is no `{name}`"),
            Self::WrongVersion { relation, have } => write!(f, "there is `{}` {have} only", relation.name),
            Self::NoProvider { relation } => write!(f, "no package provides `{relation}`"),
            Self::Useless { name, because } => write!(f, "`{name}` cannot be used, as {because}"),
        }
    }
}

fn listed(shortfalls: &[Shortfall]) -> String {
    shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn wanted(name: &PackageName, why: &Why) -> String {
    match why {
        Why::Root => format!("`{name}` was asked for"),
        Why::Needed { by, relation } => format!("`{by}` needs `{relation}`"),
    }
}
