//! On which systems a wheel works: `minke wheel show`, and what `minke wheel repair` begins with.
//!
//! Its ELF files are followed to what they need, as the loader would; what none of them brings is looked for in the
//! directories that were named and then on this machine. Then each platform tag is tried, that of the oldest systems
//! first. Which Python a wheel is for isn't judged, nor what it loads by name.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>

mod carried;
mod machine;
mod repair;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub use minke_elf::{EditError, Strip};
use minke_python::{WheelFault, WheelFileNameError};
use serde::Serialize;

use carried::Carried;
use machine::Around;
pub use repair::{Graft, Order, Repaired, repair};
use verdict::Judge;

/// What a wheel's native code asks of a system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Audit {
    /// The wheel's file name.
    pub wheel: String,
    /// The tag of the oldest systems on which it works: `manylinux_2_17_x86_64`, `linux_x86_64` if no list of libraries
    /// is enough for it, or `any` without native code.
    pub tag: String,
    /// Another name of that tag.
    pub alias: Option<String>,
    /// How many ELF files were judged.
    pub files: usize,
    /// The libraries among them: what others may need by name.
    pub carried: BTreeSet<String>,
    /// What is needed and not carried, by soname.
    pub outside: BTreeMap<String, Outside>,
    /// The tags that it may not have, nearest first, with what stands against each.
    pub refused: Vec<Refusal>,
    /// Files that were not looked at, and why.
    pub ignored: BTreeMap<String, String>,
}

/// A library that a wheel needs and doesn't carry.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Outside {
    /// The first tag whose systems have it.
    pub supplied: Option<String>,
    /// Where it was found.
    pub found: Option<PathBuf>,
    /// Which versions of symbols are asked of it.
    pub versions: BTreeSet<String>,
    /// The files that need it.
    pub needed_by: BTreeSet<String>,
}

/// A tag that a wheel may not have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Refusal {
    /// The tag.
    pub tag: String,
    /// What stands against it.
    pub because: BTreeSet<Obstacle>,
}

/// Something that a system may not have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A library.
    Library {
        /// Which.
        soname: String,
    },
    /// A version of symbols that is newer than such systems.
    Version {
        /// Which.
        version: String,
        /// Of which library.
        library: String,
        /// Who needs it: the first of them.
        file: String,
    },
    /// A symbol that isn't for others.
    Symbol {
        /// Which.
        symbol: String,
        /// Of which library.
        library: String,
        /// Who needs it.
        file: String,
    },
    /// Instructions that not all processors have.
    Instructions {
        /// Which file has them.
        file: String,
    },
    /// Python's control of floating point, which most Pythons are built without.
    FloatingPoint {
        /// Which file uses it.
        file: String,
    },
}

/// It cannot be found out what a wheel needs, or nothing can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read or written.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// An infinitive.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file isn't called as a wheel is.
    #[error("`{}` is not a wheel's name", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: WheelFileNameError,
    },
    /// A wheel cannot be read.
    #[error("cannot read the wheel `{}`", path.display())]
    Wheel {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: WheelFault,
    },
    /// A wheel's files are for a processor that no tag is for.
    #[error("the wheel `{}` is for a processor that no platform tag is for", path.display())]
    Processor {
        /// Which one.
        path: PathBuf,
    },
    /// A tag is none, or for another processor or C library.
    #[error("`{tag}` is no tag that `{wheel}` could have")]
    Tag {
        /// The tag.
        tag: String,
        /// The wheel.
        wheel: String,
    },
    /// A wheel has no native code, so that there is nothing to repair.
    #[error("`{wheel}` has no native code")]
    Pure {
        /// Which one.
        wheel: String,
    },
    /// What a wheel needs cannot be grafted away.
    #[error("`{wheel}` cannot be made to fit {tag}: {}", told(because))]
    Impossible {
        /// Which one.
        wheel: String,
        /// The tag.
        tag: String,
        /// What stands against it.
        because: BTreeSet<Obstacle>,
    },
    /// A library that is to be grafted isn't there.
    #[error("`{soname}`, which {file} of `{wheel}` needs, was not found")]
    NotFound {
        /// Which library.
        soname: String,
        /// Who needs it.
        file: String,
        /// Which wheel.
        wheel: String,
    },
    /// A file cannot be edited.
    #[error("`{file}` of `{wheel}` cannot be edited")]
    Edit {
        /// Which file.
        file: String,
        /// Of which wheel.
        wheel: String,
        /// Why not.
        source: EditError,
    },
    /// The repaired wheel would lie where the wheel is.
    #[error("the repaired wheel would replace `{}`", path.display())]
    Overwrites {
        /// Which one.
        path: PathBuf,
    },
}

/// Finds out what a wheel's native code asks of a system; `libraries` are directories to look in first.
///
/// # Errors
/// [`AuditError`] names the wheel.
pub fn audit(wheel: &Path, libraries: &[PathBuf]) -> Result<Audit, AuditError> {
    let carried = Carried::read(wheel)?;
    let around = Around::find(&carried, libraries)?;
    Ok(Judge::new(&carried, &around).audit())
}

fn told(because: &BTreeSet<Obstacle>) -> String {
    let mut told: Vec<String> = because.iter().take(3).map(Obstacle::to_string).collect();
    if because.len() > told.len() {
        told.push(format!("and {} more", because.len() - told.len()));
    }
    told.join("; ")
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library { soname } => write!(f, "it needs {soname}"),
            Self::Version { version, library, file } => write!(f, "{file} asks {library} for {version}"),
            Self::Symbol { symbol, library, file } => {
                write!(f, "{file} takes {symbol} from {library}, which is not for others")
            }
            Self::Instructions { file } => write!(f, "{file} needs a newer processor"),
            Self::FloatingPoint { file } => write!(f, "{file} uses PyFPE_jbuf, which most Pythons lack"),
        }
    }
}

#[cfg(test)]
mod tests;
