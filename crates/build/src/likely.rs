//! Libraries that files load by name while they run: likely to be needed, never certain.
//!
//! The loader knows nothing of them: they are names in Python's files, in calls such as `ctypes.util.find_library("magic")`
//! or `ffi.dlopen("libgobject-2.0.so.0")`, and texts such as `libEGL.so.1` in ELF files that use `dlopen`. A name that
//! nobody has, or that a wheel brings itself, is none; what remains is told, and added only where the settings say so.

mod elf;
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use minke_cas::{Digest, File, ImagePath, Store, StoreError, Tree};
use minke_distro::Listed;
use minke_elf::{Facts, is_elf};
use serde::{Deserialize, Serialize};

use crate::needs::is_drivers;

/// Names of one library, any of which a file would load.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Names(pub Vec<String>);

/// What is asked for by one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wanted {
    /// The library of this soname.
    Soname(String),
    /// A library of this name in whatever version: the `foo` of `libfoo.so.1`.
    Stem(String),
}

/// How much of a file of Python's is read; what is larger is data.
pub(crate) const LARGEST_PYTHON: u64 = 4 << 20;

/// Directories whose files nobody needs who runs the package.
const FOR_TESTS: [&str; 4] = ["test", "tests", "examples", "docs"];

impl Names {
    /// Returns what is asked for, the most certain first.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let mut all: Vec<Wanted> = Vec::new();
        for wanted in self.0.iter().filter_map(|name| wanted(name)) {
            if !all.contains(&wanted) {
                all.push(wanted);
            }
        }
        all.sort();
        all
    }
}

impl Wanted {
    /// Tells whether one of these files is it, as it is or as wheels rename what they bring.
    pub(crate) fn is_among(&self, files: &BTreeSet<String>) -> bool {
        let stem = match self {
            Self::Soname(soname) if files.contains(soname) => return true,
            Self::Soname(soname) => soname.split_once(".so").map_or(soname.as_str(), |(stem, _)| stem),
            Self::Stem(stem) => &format!("lib{stem}"),
        };
        let is_it = |file: &&String| {
            let Some(rest) = file.strip_prefix(stem) else { return false };
            match self {
                Self::Soname(soname) => {
                    file.starts_with(&format!("{soname}."))
                        || rest.starts_with(['-', '_']) && rest.contains(".so")
                }
                Self::Stem(_) => rest.starts_with(['-', '_', '.']) && rest.contains(".so"),
            }
        };
        files.iter().any(|file| is_it(&file))
    }

    /// Returns how files begin that could be it.
    pub(crate) fn beginning(&self) -> String {
        match self {
            Self::Soname(soname) => soname.clone(),
            Self::Stem(stem) => format!("lib{stem}.so."),
        }
    }

    /// Returns the soname among an archive's files that is it, of several versions the newest.
    pub(crate) fn soname(&self, listed: &[Listed]) -> Option<String> {
        let beginning = self.beginning();
        match self {
            Self::Soname(soname) => Some(soname.clone()),
            Self::Stem(_) => {
                let versions = listed.iter().filter_map(|listed| {
                    let name = listed.path.name()?;
                    Some((name.strip_prefix(&beginning)?.parse::<u64>().ok()?, name))
                });
                versions.max().map(|(_, name)| name.to_owned())
            }
        }
    }
}

/// Reads a name as it stands in a call: `magic`, `libmagic`, `libmagic.so`, `libmagic.so.1`.
fn wanted(name: &str) -> Option<Wanted> {
    let is_other_systems = [".dll", ".dylib", ".pyd", ".exe", ".py", ".framework"];
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    if !(2..=64).contains(&name.len())
        || !name.chars().all(is_fine)
        || !name.chars().any(|letter| letter.is_ascii_alphabetic())
        || name.starts_with(['.', '-'])
        || is_other_systems.iter().any(|end| name.to_lowercase().ends_with(end))
        || is_drivers(name)
    {
        return None;
    }
    if name.starts_with("lib") && name.contains(".so.") {
        return Some(Wanted::Soname(name.to_owned()));
    }
    let stem = name.strip_suffix(".so").unwrap_or(name);
    let stem = stem.strip_prefix("lib").filter(|stem| !stem.is_empty()).unwrap_or(stem);
    Some(Wanted::Stem(stem.to_owned()))
}

/// Returns what a file of Python's loads by name; nothing for others and for tests.
pub(crate) fn in_python(path: &str, size: u64, read: impl FnOnce() -> io::Result<String>) -> Vec<Names> {
    let is_python = path.ends_with(".py") && size <= LARGEST_PYTHON;
    let is_for_tests = path.split('/').any(|part| FOR_TESTS.contains(&part));
    if !is_python || is_for_tests {
        return Vec::new();
    }
    // What isn't UTF-8 is no file that Python would take.
    read().map(|text| python::loaded(&text)).unwrap_or_default()
}

/// Returns what an ELF file loads by name, as far as its texts tell.
///
/// # Errors
/// Those of the reader.
pub(crate) fn in_elf(facts: &Facts, reader: impl Read) -> io::Result<Vec<Names>> {
    let mut names = elf::sonames(reader)?;
    names.retain(|name| !facts.needed.contains(name) && facts.soname.as_ref() != Some(name));
    Ok(names.into_iter().map(|name| Names(vec![name])).collect())
}

#[derive(Serialize)]
struct Key {
    tree: Digest,
}

/// Returns what the files of a tree load by name, and the first file that does.
///
/// # Errors
/// [`StoreError`] if a file isn't in the store.
pub(crate) fn in_tree(store: &Store, tree: &Tree) -> Result<BTreeMap<Names, ImagePath>, StoreError> {
    let found: Vec<(Names, ImagePath)> = store.memo("likely-1", &Key { tree: tree.digest() }, || {
        let mut found: BTreeMap<Names, ImagePath> = BTreeMap::new();
        for (path, file) in tree.files() {
            for names in in_file(store, &path, file)? {
                found.entry(names).or_insert_with(|| path.clone());
            }
        }
        Ok::<_, StoreError>(found.into_iter().collect::<Vec<_>>())
    })?;
    Ok(found.into_iter().collect())
}

fn in_file(store: &Store, path: &ImagePath, file: &File) -> Result<Vec<Names>, StoreError> {
    if path.as_str().ends_with(".py") {
        let bytes = if file.size <= LARGEST_PYTHON { store.read_file(file)? } else { Vec::new() };
        return Ok(in_python(path.as_str(), file.size, || {
            String::from_utf8(bytes).map_err(io::Error::other)
        }));
    }
    if !crate::native::may_be_elf(path.name().unwrap_or_default(), file) {
        return Ok(Vec::new());
    }
    let mut magic = [0; 4];
    store.content(file)?.read_exact(&mut magic).map_err(StoreError::Input)?;
    if !is_elf(&magic) {
        return Ok(Vec::new());
    }
    // What only looks like an ELF file loads nothing.
    let Ok(facts) = Facts::read_from(store.content(file)?) else { return Ok(Vec::new()) };
    in_elf(&facts, store.content(file)?).map_err(StoreError::Input)
}

/// Returns the names of a tree's files and links that could be libraries.
pub(crate) fn library_files(tree: &Tree) -> BTreeSet<String> {
    let names = tree.files().filter_map(|(path, _)| path.name().map(str::to_owned));
    names.filter(|name| name.contains(".so")).collect()
}

#[cfg(test)]
mod tests;
