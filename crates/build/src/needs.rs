//! What the project's own ELF files miss, and how much that matters.
//!
//! A program or an extension module that lacks a library doesn't work: that is *required*. What is loaded only where
//! somebody asks for it by name, such as a plugin, may lack one all its life: that is *optional*. Where a wheel brings
//! one file for each version of a library (`_torio_ffmpeg5.so`, `_torio_ffmpeg6.so`), no more than one of them is
//! used, and which one is the user's choice. Why, and what was rejected: `docs/design/system-libraries.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minke_cas::{ImagePath, Tree};
use minke_elf::{Class, Facts, Machine, MissingVersion, Resolver, Unmet};
use serde::Serialize;

use crate::native::{Facted, is_python_module, leaves_to_interpreter};

/// Something that an ELF file asks for and the image hasn't got.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lack {
    /// What it is.
    pub what: Lacking,
    /// The file that asks for it.
    pub needed_by: ImagePath,
    /// How much it matters.
    pub weight: Weight,
}

/// What an ELF file asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lacking {
    /// A library, by its soname.
    Library(String),
    /// A version of a library that is there, but is another one.
    Version {
        /// The version.
        version: String,
        /// The library.
        library: ImagePath,
        /// The newest of that kind that it has.
        offered: Option<String>,
    },
}

/// How much it matters that something is missing; the first matters most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A program or an extension module doesn't work without it.
    Required,
    /// Somebody may ask for what doesn't work without it.
    Optional,
    /// Another file like the one that needs it needs another version of it.
    OneOf,
    /// Some file names it, and would load it by that name.
    Likely,
}

/// Where the files are to work.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The processor.
    pub machine: Machine,
    /// The 13 of Python 3.13; none for any Python.
    pub python_minor: Option<u32>,
}

/// What is required cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(lacks, suite))]
pub struct UnmetError {
    /// What is missing; at least one.
    pub lacks: Vec<Told>,
    /// Whose packages haven't got it: `Debian trixie`.
    pub suite: String,
}

/// Something that is missing, with what there is to say of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What is missing.
    pub lack: Lack,
    /// Whose the file is that asks for it: `numpy 2.1.3`.
    pub owner: String,
    /// How many more files ask for it.
    pub others: usize,
    /// What there is instead, and the packages that have it.
    pub alike: Vec<(String, String)>,
}

/// How many errors are listed.
const LISTED: usize = 6;

/// What comes with the driver of the machine that runs the container, and is in no image.
const DRIVERS: [&str; 3] = ["libcuda", "libnvcuvid", "libnvoptix"];
const DRIVERS_BEGINNING: &str = "libnvidia-";

fn told(lacks: &[Told], suite: &str) -> String {
    let mut lines: Vec<String> = lacks.iter().take(LISTED).map(|told| told.line(suite)).collect();
    if lacks.len() > LISTED {
        lines.push(format!("and {} more", lacks.len() - LISTED));
    }
    lines.join("\n")
}

impl Told {
    /// Says what is missing, who needs it and what there is instead, in one line.
    pub fn line(&self, suite: &str) -> String {
        let Self { lack: Lack { what, needed_by, .. }, owner, others, alike } = self;
        let others = if *others > 0 { format!(" and {others} more") } else { String::new() };
        let likes: Vec<String> =
            alike.iter().map(|(name, package)| format!("`{name}` in `{package}`")).collect();
        let likes = if likes.is_empty() { String::new() } else { format!("; there is {}", likes.join(", ")) };
        match what {
            Lacking::Library(soname) => {
                format!("`{soname}` is not in {suite}; `{needed_by}` of {owner}{others} needs it{likes}")
            }
            Lacking::Version { version, library, offered } => {
                let newest = offered.as_ref().map(|offered| format!("; its newest is {offered}"));
                let newest = newest.unwrap_or_default();
                format!(
                    "`{library}` of {suite} has no {version}; `{needed_by}` of {owner}{others} needs it{newest}"
                )
            }
        }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(soname) => f.write_str(soname),
            Self::Version { version, .. } => f.write_str(version),
        }
    }
}

impl Lack {
    /// Returns the name of the library that is missing, or isn't the right one.
    pub fn library(&self) -> &str {
        match &self.what {
            Lacking::Library(soname) => soname,
            Lacking::Version { library, .. } => library.name().unwrap_or_default(),
        }
    }

    /// Returns the soname of a library that is missing.
    pub fn soname(&self) -> Option<&str> {
        match &self.what {
            Lacking::Library(soname) => Some(soname),
            Lacking::Version { .. } => None,
        }
    }
}

/// Tells whether a soname is one of those that the settings name: `libfoo`, `libfoo.so` and `libfoo.so.1` all name
/// `libfoo.so.1`.
pub fn is_named(names: &[String], soname: &str) -> bool {
    let stem = stem(soname);
    names.iter().any(|name| name == soname || name == stem || name.strip_suffix(".so") == Some(stem))
}

/// Tells whether a library comes with the driver of the machine that runs the container.
pub fn is_drivers(soname: &str) -> bool {
    DRIVERS.contains(&stem(soname)) || soname.starts_with(DRIVERS_BEGINNING)
}

fn stem(soname: &str) -> &str {
    soname.split_once(".so").map_or(soname, |(stem, _)| stem)
}

/// Finds what the ELF files of `asking` miss in `tree`, in which they lie; each once, by how much it matters.
///
/// Files for other processors are nobody's need here, and libpython is none of an extension module's.
pub fn look(tree: &Tree, facted: &Facted, asking: &Facted, scope: Scope) -> Vec<Lack> {
    let view = |path: &ImagePath| facted.get(&tree.resolve(path)?);
    let sonames: BTreeSet<&str> = facted.values().filter_map(|facts| facts.soname.as_deref()).collect();
    let resolver = Resolver::debian(scope.machine);
    let mut weights: BTreeMap<(Lacking, ImagePath), Weight> = BTreeMap::new();
    for (path, facts) in asking.iter().filter(|(_, facts)| works_here(facts, scope.machine)) {
        let weight = weight(path, facts, scope.python_minor);
        let resolution = resolver.resolve(view, path);
        let unmet = resolution.unmet.into_iter().filter(|Unmet { soname, needed_by }| {
            // Some modules only work after another one has loaded what they need.
            !sonames.contains(soname.as_str()) && !leaves_to_interpreter(soname, asking.get(needed_by))
        });
        let unmet = unmet.map(|Unmet { soname, needed_by }| (Lacking::Library(soname), needed_by));
        let versions = resolution.missing_versions.into_iter().filter(|missing| {
            // What a wheel brings itself may be overtaken by what another one has loaded.
            asking.contains_key(&missing.needed_by) && !asking.contains_key(&missing.library)
        });
        let versions = versions.map(|missing| version(missing, facted, tree));
        for lack in unmet.chain(versions) {
            let known = weights.entry(lack).or_insert(weight);
            *known = weight.min(*known);
        }
    }
    let lack = |((what, needed_by), weight)| match &what {
        Lacking::Library(soname) if is_one_of(asking, soname, &needed_by) => {
            Lack { what, needed_by, weight: Weight::OneOf }
        }
        _ => Lack { what, needed_by, weight },
    };
    weights.into_iter().map(lack).collect()
}

fn version(missing: MissingVersion, facted: &Facted, tree: &Tree) -> (Lacking, ImagePath) {
    let MissingVersion { version, library, needed_by } = missing;
    let facts = tree.resolve(&library).and_then(|path| facted.get(&path));
    let family = version.split('_').next().unwrap_or_default();
    let defined = facts.into_iter().flat_map(|facts| &facts.version_definitions);
    let numbers = |version: &str| -> Option<Vec<u64>> {
        let (of, numbers) = version.split_once('_')?;
        let numbers = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        (of == family).then_some(numbers)
    };
    let offered = defined.filter_map(|version| Some((numbers(version)?, version))).max();
    let offered = offered.map(|(_, version)| version.clone());
    (Lacking::Version { version, library, offered }, needed_by)
}

fn works_here(facts: &Facts, machine: Machine) -> bool {
    facts.machine == machine && facts.class == Class::Bits64
}

fn weight(path: &ImagePath, facts: &Facts, python_minor: Option<u32>) -> Weight {
    // Some libraries can be started, too, and say then what they are.
    let is_program = facts.interpreter.is_some() && facts.soname.is_none();
    let name = path.name().unwrap_or_default();
    // A module that says which Python it is for is imported by no other.
    let is_anothers = name.contains(".cpython-")
        && python_minor.is_some_and(|minor| !name.contains(&format!(".cpython-3{minor}-")));
    let is_required = is_program || is_python_module(facts) && !is_anothers;
    if is_required { Weight::Required } else { Weight::Optional }
}

/// Tells whether another file beside this one, of the same name but for its numbers, needs another version of a
/// library.
fn is_one_of(asking: &Facted, soname: &str, needed_by: &ImagePath) -> bool {
    let name = |path: &ImagePath| path.name().map(without_numbers);
    let mut siblings = asking.iter().filter(|(path, _)| {
        *path != needed_by && path.parent() == needed_by.parent() && name(path) == name(needed_by)
    });
    siblings.any(|(_, facts)| {
        facts.needed.iter().any(|other| other != soname && without_numbers(other) == without_numbers(soname))
    })
}

fn without_numbers(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests;
