//! The index of all packages that some archives offer, highest versions winning.
//!
//! A whole distribution has seventy thousand packages, of which a project needs fifty: reading an index notes
//! where each package's stanza lies and what it provides; the rest is parsed when a package is asked for.
//!
//! Spec: <https://wiki.debian.org/DebianRepository/Format#A.22Packages.22_Indices>

mod lines;

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use minke_cas::{Digest, Source, SourceUrlError};

use crate::compression::Compression;
use crate::name::{Arch, PackageName, Version};
use crate::relation::{AnyOf, Operator, Relation, parse_groups};
use crate::sources::Archive;
use crate::stanza;
use lines::{Head, Lines};

/// What some archives offer for one architecture.
#[derive(Clone, Debug)]
pub struct PackageIndex {
    arch: Arch,
    archives: Vec<Arc<Archive>>,
    /// The lines that matter, of all stanzas.
    text: String,
    stanzas: Vec<Stanza>,
    /// The stanza of each package's highest version.
    highest: HashMap<Box<str>, usize>,
    /// The stanzas that provide a name, overruled versions' included.
    providers: HashMap<Box<str>, Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Stanza {
    start: usize,
    end: usize,
    archive: usize,
}

/// One package of an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// Which machines it is for.
    pub architecture: PackageArch,
    /// What must be there for it to work.
    pub depends: Vec<AnyOf>,
    /// What must work before it can be unpacked.
    pub pre_depends: Vec<AnyOf>,
    /// What it can stand in for.
    pub provides: Vec<Provided>,
    /// What it cannot share a system with.
    pub conflicts: Vec<Relation>,
    /// What it makes useless.
    pub breaks: Vec<Relation>,
    /// Whether it is `Essential`, so that others use it without saying so.
    pub is_essential: bool,
    /// Whether it can satisfy other architectures.
    pub multi_arch: MultiArch,
    /// How important the archive finds it.
    pub priority: Priority,
    /// Where its file lies below the archive's base.
    pub filename: String,
    /// How long that file is.
    pub size_bytes: u64,
    /// What it hashes to.
    pub digest: Digest,
    /// How much it takes when unpacked, in KiB, as its maintainer's machine estimated.
    pub installed_kib: Option<u64>,
    /// The source package that it was built from.
    pub source: String,
    /// The archive that offers it.
    pub archive: Arc<Archive>,
}

/// Which machines a package is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackageArch {
    /// All of them.
    All,
    /// The one that the index is for.
    Native(Arch),
}

/// A name that a package can stand in for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provided {
    /// The name.
    pub name: PackageName,
    /// As which version; none satisfies no bound.
    pub version: Option<Version>,
}

/// How a package of one architecture serves those of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MultiArch {
    /// Not at all.
    No,
    /// It can be there once per architecture.
    Same,
    /// It serves all.
    Foreign,
    /// It serves those who ask for `:any`.
    Allowed,
}

/// How important an archive finds a package; the first is the most important.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    /// A system doesn't work without it.
    Required,
    /// Anyone would miss it.
    Important,
    /// It is there on any text console.
    Standard,
    /// All others, and those that don't say.
    Optional,
}

/// An index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It cannot be decompressed, or is longer than any index.
    #[error("cannot decompress the package index of {suite}")]
    Compression {
        /// Whose it is.
        suite: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A package's stanza isn't as it should be.
    #[error("`{package}` has no usable field `{field}` in the package index of {suite}")]
    Field {
        /// The package, or the number of its stanza.
        package: String,
        /// The field.
        field: &'static str,
        /// Whose index it is.
        suite: String,
    },
}

/// Debian's largest index is 56 MB.
const LONGEST_INDEX: u64 = 512 << 20;

impl PackageIndex {
    /// Makes an index of nothing, for one architecture.
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            archives: Vec::new(),
            text: String::new(),
            stanzas: Vec::new(),
            highest: HashMap::new(),
            providers: HashMap::new(),
        }
    }

    /// Adds what one archive offers and returns how many packages that are.
    ///
    /// Of two versions of a package the higher counts, of two equal ones the one that came first, as in apt.
    /// Packages for other architectures are left out.
    ///
    /// # Errors
    /// [`IndexError::Compression`] for damaged or endless bytes; [`IndexError::Field`] for a stanza without
    /// name or version.
    pub fn add(
        &mut self,
        archive: &Arc<Archive>,
        compression: Compression,
        bytes: impl Read,
    ) -> Result<usize, IndexError> {
        let failed = |source| IndexError::Compression { suite: archive.suite.to_string(), source };
        let number = self.archives.len();
        self.archives.push(Arc::clone(archive));
        let decoder = compression.decoder(bytes, LONGEST_INDEX).map_err(failed)?;
        let mut lines = Lines::new(decoder);
        let mut count = 0;
        loop {
            let start = self.text.len();
            let head = lines.take_stanza(&mut self.text).map_err(failed)?;
            if self.text.len() > start {
                let stanza = Stanza { start, end: self.text.len(), archive: number };
                count += usize::from(self.note(stanza, &head)?);
            }
            if head.is_last {
                return Ok(count);
            }
        }
    }

    /// Returns the architecture that the index is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Returns how many packages there are, each counted once.
    pub fn len(&self) -> usize {
        self.highest.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.highest.is_empty()
    }

    /// Returns the names of all packages, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.highest.keys().map(AsRef::as_ref)
    }

    /// Returns the highest version of a package, none if there is no package of that name.
    ///
    /// # Errors
    /// [`IndexError::Field`] if its stanza cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Package>, IndexError> {
        self.highest.get(name).map(|number| self.package(*number)).transpose()
    }

    /// Returns the packages that say that they provide a name, in order of priority, then name.
    ///
    /// # Errors
    /// [`IndexError::Field`] if the stanza of one cannot be read.
    pub fn providers(&self, name: &str) -> Result<Vec<Package>, IndexError> {
        let numbers = self.providers.get(name).map(Vec::as_slice).unwrap_or_default();
        let standing =
            numbers.iter().filter(|number| self.highest.get(self.name_of(**number)) == Some(number));
        let mut packages: Vec<Package> =
            standing.map(|number| self.package(*number)).collect::<Result<_, _>>()?;
        packages.sort_by(|one, other| (one.priority, &one.name).cmp(&(other.priority, &other.name)));
        Ok(packages)
    }

    /// Files a stanza under its names; false if it is for another architecture.
    fn note(&mut self, stanza: Stanza, head: &Head) -> Result<bool, IndexError> {
        let number = self.stanzas.len();
        self.stanzas.push(stanza);
        let value = |range: &Option<Range<usize>>| range.clone().map(|range| self.text[range].trim());
        let (name, version) = (value(&head.name), value(&head.version));
        let broken = |field| IndexError::Field {
            package: name.map_or_else(|| format!("stanza {number}"), str::to_owned),
            field,
            suite: self.archives[stanza.archive].suite.to_string(),
        };
        let name = name.ok_or_else(|| broken("Package"))?;
        if !value(&head.arch).is_some_and(|arch| arch == "all" || arch == self.arch.as_str()) {
            return Ok(false);
        }
        let version = version.ok_or_else(|| broken("Version"))?;
        if let Some(&rival) = self.highest.get(name) {
            let version: Version = version.parse().map_err(|_| broken("Version"))?;
            if version <= self.version_of(rival)? {
                return Ok(true);
            }
        }
        for provided in value(&head.provides).unwrap_or_default().split(',') {
            let provided = provided.split(['(', ':']).next().unwrap_or_default().trim();
            if !provided.is_empty() {
                self.providers.entry(provided.into()).or_default().push(number);
            }
        }
        self.highest.insert(name.into(), number);
        Ok(true)
    }

    fn stanza(&self, number: usize) -> &str {
        let stanza = self.stanzas[number];
        &self.text[stanza.start..stanza.end]
    }

    fn name_of(&self, number: usize) -> &str {
        stanza::field(self.stanza(number), "Package").unwrap_or_default()
    }

    fn version_of(&self, number: usize) -> Result<Version, IndexError> {
        self.parsed(number, "Version")
    }

    fn broken(&self, number: usize, field: &'static str) -> IndexError {
        let suite = self.archives[self.stanzas[number].archive].suite.to_string();
        IndexError::Field { package: self.name_of(number).to_owned(), field, suite }
    }

    fn parsed<T: std::str::FromStr>(&self, number: usize, field: &'static str) -> Result<T, IndexError> {
        let value = stanza::field(self.stanza(number), field);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| self.broken(number, field))
    }

    fn package(&self, number: usize) -> Result<Package, IndexError> {
        let text = self.stanza(number);
        let value = |field| stanza::field(text, field);
        let groups = |field: &'static str| {
            parse_groups(value(field).unwrap_or_default()).map_err(|_| self.broken(number, field))
        };
        let plain =
            |field| groups(field).map(|groups| groups.into_iter().flat_map(|AnyOf(group)| group).collect());
        let provides: Vec<Relation> = plain("Provides")?;
        let source = value("Source").map(|source| source.split_whitespace().next().unwrap_or_default());
        Ok(Package {
            name: self.parsed(number, "Package")?,
            version: self.version_of(number)?,
            architecture: match value("Architecture") {
                Some("all") => PackageArch::All,
                _ => PackageArch::Native(self.arch),
            },
            depends: groups("Depends")?,
            pre_depends: groups("Pre-Depends")?,
            provides: provides.into_iter().map(provided).collect(),
            conflicts: plain("Conflicts")?,
            breaks: plain("Breaks")?,
            is_essential: value("Essential") == Some("yes"),
            multi_arch: multi_arch(value("Multi-Arch")),
            priority: priority(value("Priority")),
            filename: value("Filename")
                .filter(|path| stays_inside(path))
                .ok_or_else(|| self.broken(number, "Filename"))?
                .to_owned(),
            size_bytes: self.parsed(number, "Size")?,
            digest: self.parsed(number, "SHA256")?,
            installed_kib: value("Installed-Size").and_then(|kib| kib.parse().ok()),
            source: source.unwrap_or_else(|| self.name_of(number)).to_owned(),
            archive: Arc::clone(&self.archives[self.stanzas[number].archive]),
        })
    }
}

impl Package {
    /// Returns the package's file as something to fetch.
    ///
    /// # Errors
    /// [`SourceUrlError`] if its archive's base cannot have anything below it.
    pub fn file(&self) -> Result<Source, SourceUrlError> {
        let url = self.archive.base.join(&self.filename)?;
        Ok(Source { url, digest: self.digest, size: Some(self.size_bytes) })
    }

    /// Tells whether this package is what a relation asks for, by its own name or by one that it provides.
    pub fn satisfies(&self, relation: &Relation) -> bool {
        let native = match self.architecture {
            PackageArch::Native(arch) => Some(arch.as_str()),
            PackageArch::All => None,
        };
        let qualified = match relation.qualifier.as_deref() {
            None | Some("any" | "native" | "all") => true,
            Some(arch) => native == Some(arch),
        };
        let fits = |version: Option<&Version>| match (&relation.bound, version) {
            (None, _) => true,
            (Some(bound), Some(version)) => bound.admits(version),
            (Some(_), None) => false,
        };
        let by_own_name = self.name == relation.name && fits(Some(&self.version));
        let provides =
            |provided: &Provided| provided.name == relation.name && fits(provided.version.as_ref());
        qualified && (by_own_name || self.provides.iter().any(provides))
    }
}

fn provided(relation: Relation) -> Provided {
    let exact = relation.bound.filter(|bound| bound.operator == Operator::Equal);
    Provided { name: relation.name, version: exact.map(|bound| bound.version) }
}

fn multi_arch(value: Option<&str>) -> MultiArch {
    match value {
        Some("same") => MultiArch::Same,
        Some("foreign") => MultiArch::Foreign,
        Some("allowed") => MultiArch::Allowed,
        _ => MultiArch::No,
    }
}

fn priority(value: Option<&str>) -> Priority {
    match value {
        Some("required") => Priority::Required,
        Some("important") => Priority::Important,
        Some("standard") => Priority::Standard,
        _ => Priority::Optional,
    }
}

/// A path that is joined to an address must stay below it, and be a path.
fn stays_inside(path: &str) -> bool {
    let lawful = |byte: u8| byte.is_ascii_graphic() && !b"?#\\".contains(&byte);
    let mut components = path.split('/');
    path.bytes().all(lawful)
        && !path.split('/').next().unwrap_or_default().contains(':')
        && !components.any(|component| matches!(component, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
