//! Finds what a program or module would load, by the loader's own rules, in a tree that nobody runs.
//!
//! Known: `DT_RPATH` and its inheritance, `DT_RUNPATH` and that it has none, `$ORIGIN`, `$LIB`, `$PLATFORM`,
//! names with a slash, libraries that are loaded already, files of the wrong processor, required versions.
//! Not known: `LD_LIBRARY_PATH`, `LD_PRELOAD` (an image that needs them is broken), `glibc-hwcaps` (a faster
//! twin never brings a name that the plain directory lacks), and what a program loads by itself (`dlopen`).
//!
//! Spec: <https://man7.org/linux/man-pages/man8/ld.so.8.html>

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::ImagePath;

use crate::facts::{Facts, Machine};

/// How one system's loader looks for libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Where it looks when nothing else has helped: what is in `ld.so.cache`, and the built-in directories.
    pub default_directories: Vec<ImagePath>,
    /// What `$LIB` stands for.
    pub lib: String,
    /// What `$PLATFORM` stands for.
    pub platform: String,
    /// The sonames that every process has loaded before: whoever needs one of them looks no further.
    pub loaded: BTreeSet<String>,
}

/// A library that is needed and not found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmet {
    /// The needed name.
    pub soname: String,
    /// The file that needs it.
    pub needed_by: ImagePath,
}

/// A version that is needed of a library which was found, but is older or another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingVersion {
    /// The needed version.
    pub version: String,
    /// The library that should define it.
    pub library: ImagePath,
    /// The file that needs it.
    pub needed_by: ImagePath,
}

/// What is loaded for one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Everything that is loaded, the file itself first, in the loader's order.
    pub objects: Vec<ImagePath>,
    /// What is needed and not found.
    pub unmet: Vec<Unmet>,
    /// What is found, but doesn't define what is asked of it.
    pub missing_versions: Vec<MissingVersion>,
}

impl Resolver {
    /// Makes a resolver for Debian's directories: `/usr/lib/TRIPLET` and `/usr/lib`.
    ///
    /// `/lib` needs no mention, since it leads to the same places.
    pub fn debian(machine: Machine) -> Self {
        let (triplet, platform) = match machine {
            Machine::Arm64 => ("aarch64-linux-gnu", "aarch64"),
            Machine::X86 => ("i386-linux-gnu", "i686"),
            _ => ("x86_64-linux-gnu", "x86_64"),
        };
        let directory = |path: String| path.parse().expect("a library directory is a path");
        Self {
            default_directories: vec![
                directory(format!("/usr/lib/{triplet}")),
                directory("/usr/lib".to_owned()),
            ],
            lib: format!("lib/{triplet}"),
            platform: platform.to_owned(),
            loaded: BTreeSet::new(),
        }
    }

    /// Returns what none of the files finds, each with the file that needs it, sorted.
    ///
    /// Each file is looked at as if it were loaded alone. A name that only works because another module was
    /// loaded first is unmet here; whether some file of the tree has it as its soname is for the caller to see.
    ///
    /// `view` gives the facts of what lies at a path, symlinks followed, and none where no ELF file is.
    pub fn unresolved<'facts>(
        &self,
        view: impl Fn(&ImagePath) -> Option<&'facts Facts>,
        files: impl IntoIterator<Item = ImagePath>,
    ) -> Vec<Unmet> {
        let unmet: BTreeSet<Unmet> =
            files.into_iter().flat_map(|file| self.resolve(&view, &file).unmet).collect();
        unmet.into_iter().collect()
    }

    /// Follows one file's needs to their end.
    ///
    /// A file that `view` doesn't know needs nothing and is in no resolution.
    pub fn resolve<'facts>(
        &self,
        view: impl Fn(&ImagePath) -> Option<&'facts Facts>,
        file: &ImagePath,
    ) -> Resolution {
        let Some(facts) = view(file) else { return Resolution::default() };
        let mut process = Process { resolver: self, view, objects: Vec::new(), names: BTreeMap::new() };
        process.load(Object { path: file.clone(), facts, loader: None }, None);
        let mut unmet = Vec::new();
        let mut next = 0;
        while let Some(object) = process.objects.get(next) {
            let facts = object.facts;
            for name in &facts.needed {
                if !process.satisfy(next, name) {
                    unmet.push(Unmet { soname: name.clone(), needed_by: process.objects[next].path.clone() });
                }
            }
            next += 1;
        }
        let missing_versions = process.missing_versions();
        Resolution {
            objects: process.objects.into_iter().map(|object| object.path).collect(),
            unmet,
            missing_versions,
        }
    }

    /// Returns where a file that lies at `path` has its own needs looked for, before the default directories.
    ///
    /// Entries that are relative to the current directory are left out: nobody knows which that will be.
    pub fn search_path(&self, facts: &Facts, path: &ImagePath) -> Vec<ImagePath> {
        let entries = facts.runpath.as_ref().or(facts.rpath.as_ref());
        let origin = path.parent().unwrap_or_else(ImagePath::root);
        entries
            .into_iter()
            .flat_map(|entries| entries.split(':'))
            .filter_map(|entry| self.expand(entry, &origin))
            .collect()
    }

    /// Replaces `$ORIGIN` and its like; none if the result isn't absolute.
    fn expand(&self, entry: &str, origin: &ImagePath) -> Option<ImagePath> {
        let mut path = entry.to_owned();
        // At the root, `$ORIGIN/lib` would become `//lib`, which is the same.
        for (name, value) in [("ORIGIN", origin.as_str()), ("LIB", &self.lib), ("PLATFORM", &self.platform)] {
            path = path.replace(&format!("${{{name}}}"), value);
            path = replace_word(&path, name, value);
        }
        path.starts_with('/').then(|| normal(&path)).flatten()
    }
}

/// Replaces `$NAME` where no further letter follows.
fn replace_word(text: &str, name: &str, value: &str) -> String {
    let word = format!("${name}");
    let mut pieces = text.split(&word);
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let longer = piece.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        if longer {
            replaced.push_str(&word);
        } else {
            replaced.push_str(value);
        }
        replaced.push_str(piece);
    }
    replaced
}

/// Takes `.` and `..` out of a path as text.
///
/// The kernel would follow a symlink before it goes up; no directory that libraries name is one.
fn normal(path: &str) -> Option<ImagePath> {
    let mut at = ImagePath::root();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => at = at.parent().unwrap_or(at),
            name => at = at.join_str(name).ok()?,
        }
    }
    Some(at)
}

/// One loaded file.
struct Object<'facts> {
    path: ImagePath,
    facts: &'facts Facts,
    /// Which object's need brought it.
    loader: Option<usize>,
}

/// What a process has loaded so far.
struct Process<'a, 'facts, View> {
    resolver: &'a Resolver,
    view: View,
    objects: Vec<Object<'facts>>,
    /// By every name a loaded object answers to: its soname, its path, and what it was asked for as.
    names: BTreeMap<String, usize>,
}

impl<'facts, View: Fn(&ImagePath) -> Option<&'facts Facts>> Process<'_, 'facts, View> {
    fn load(&mut self, object: Object<'facts>, asked: Option<&str>) {
        let place = self.objects.len();
        let names = [asked, object.facts.soname.as_deref(), Some(object.path.as_str())];
        for name in names.into_iter().flatten() {
            self.names.entry(name.to_owned()).or_insert(place);
        }
        self.objects.push(object);
    }

    /// Loads what an object needs under a name, unless it is there; false if it cannot be found.
    fn satisfy(&mut self, needer: usize, name: &str) -> bool {
        if self.names.contains_key(name) || self.resolver.loaded.contains(name) {
            return true;
        }
        let wanted = self.objects[needer].facts;
        let fitting = |path: &ImagePath| (self.view)(path).filter(|facts| wanted.fits(facts));
        let found = self.candidates(needer, name).find_map(|path| fitting(&path).map(|facts| (path, facts)));
        let Some((path, facts)) = found else { return false };
        match self.names.get(path.as_str()) {
            Some(place) => {
                let place = *place;
                self.names.insert(name.to_owned(), place);
            }
            None => self.load(Object { path, facts, loader: Some(needer) }, Some(name)),
        }
        true
    }

    /// Returns where a needed name may lie, in the order in which the loader looks.
    fn candidates(&self, needer: usize, name: &str) -> impl Iterator<Item = ImagePath> {
        let object = &self.objects[needer];
        let origin = object.path.parent().unwrap_or_else(ImagePath::root);
        let given = name.contains('/').then(|| self.resolver.expand(name, &origin));
        let directories = match given {
            Some(_) => Vec::new(),
            None => self.directories(needer),
        };
        let name = name.to_owned();
        let searched = directories.into_iter().filter_map(move |directory| directory.join_str(&name).ok());
        given.flatten().into_iter().chain(searched)
    }

    fn directories(&self, needer: usize) -> Vec<ImagePath> {
        let object = &self.objects[needer];
        let mut directories = Vec::new();
        if object.facts.runpath.is_none() {
            // An RPATH counts for all that was loaded because of its file; a RUNPATH beside it makes it void.
            let mut above = object.loader;
            while let Some(place) = above {
                let loader = &self.objects[place];
                if loader.facts.runpath.is_none() {
                    directories.extend(self.resolver.search_path(loader.facts, &loader.path));
                }
                above = loader.loader;
            }
        }
        let mut all = self.resolver.search_path(object.facts, &object.path);
        all.extend(directories);
        if !object.facts.no_default_directories {
            all.extend(self.resolver.default_directories.iter().cloned());
        }
        all
    }

    /// Compares what is asked of each library with what it defines; one without any versions gives no trouble.
    fn missing_versions(&self) -> Vec<MissingVersion> {
        let mut missing = Vec::new();
        for object in &self.objects {
            for (library, versions) in &object.facts.version_needs {
                let Some(library) = self.names.get(library).map(|place| &self.objects[*place]) else {
                    continue;
                };
                let defined = &library.facts.version_definitions;
                let lacking =
                    versions.iter().filter(|version| !defined.is_empty() && !defined.contains(*version));
                missing.extend(lacking.map(|version| MissingVersion {
                    version: version.clone(),
                    library: library.path.clone(),
                    needed_by: object.path.clone(),
                }));
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests;
