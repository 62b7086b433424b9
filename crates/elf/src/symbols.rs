//! The dynamic symbols of one ELF file, as plain values: too many to be kept of every file.

use serde::{Deserialize, Serialize};

/// What a file's dynamic symbol table says, each list sorted.
///
/// Local symbols and hidden ones are nobody else's and left out. Names that are not UTF-8 have U+FFFD where they aren't.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    /// What it wants from others.
    pub undefined: Vec<Undefined>,
    /// What it has for others.
    pub defined: Vec<Defined>,
}

/// A symbol that another file must define.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Undefined {
    /// Its name, without version.
    pub name: String,
    /// Its version and the library that is to have it, where the file says so.
    pub version: Option<(String, String)>,
    /// Whether it may be missing.
    pub weak: bool,
}

/// A symbol that a file defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Defined {
    /// Its name, without version.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Whether who asks for no version gets this one (`@@`, not `@`).
    pub default: bool,
    /// How it stands against others of its name.
    pub binding: Binding,
}

/// How a symbol stands against others of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Binding {
    /// It is one among equals; the first that is found counts.
    Global,
    /// A linker prefers another; the loader doesn't.
    Weak,
    /// There is one in the whole process (`STB_GNU_UNIQUE`).
    Unique,
}

impl Undefined {
    /// Returns the version that is asked for, whoever is to have it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_ref().map(|(version, _)| version.as_str())
    }
}

impl Symbols {
    /// Tells whether the loader takes a symbol from this file, as glibc does.
    ///
    /// A wanted version is met by itself, by a definition without version that isn't hidden, and by any in a file
    /// without versions; one who wants no version takes whatever bears the name.
    ///
    /// Spec: <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html>
    pub fn defines(&self, name: &str, version: Option<&str>) -> bool {
        let first = self.defined.partition_point(|symbol| symbol.name.as_str() < name);
        let mut named = self.defined[first..].iter().take_while(|symbol| symbol.name == name);
        named.any(|symbol| match (version, &symbol.version) {
            (None, _) => true,
            (Some(wanted), Some(version)) => wanted == version,
            (Some(_), None) => symbol.default,
        })
    }
}
