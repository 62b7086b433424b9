//! Finds what a program or module would load, by the loader's own rules, in a tree that nobody runs.
//!
//! Known: `DT_RPATH` and its inheritance, `DT_RUNPATH` and that it has none, `$ORIGIN`, `$LIB`, `$PLATFORM`,
//! names with a slash, libraries that are loaded already, files of the wrong processor, required versions, and
//! whether each symbol has somebody who defines it; `glibc-hwcaps`; and where musl differs from glibc.
//! Not known: `LD_LIBRARY_PATH`, `LD_PRELOAD` (an image that needs them is broken), and what a program loads by itself
//! (`dlopen`).
//!
//! Which processor a file will run on isn't known: whatever is asked is answered for the plainest one, and for each
//! faster one that would get other libraries from a `glibc-hwcaps` directory. All of them must work.
//!
//! Spec: <https://man7.org/linux/man-pages/man8/ld.so.8.html>;
//! musl: <https://wiki.musl-libc.org/functional-differences-from-glibc.html>

mod bind;
mod opened;

use std::collections::BTreeSet;

use minke_cas::ImagePath;

use crate::facts::{Facts, Machine};
pub use bind::{Process, Unbound};
use opened::Opened;

/// Whose rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loader {
    /// glibc's `ld-linux`.
    Glibc,
    /// musl's, which is also the C library: every search path is inherited, only `$ORIGIN` is replaced, a library that
    /// was found by its name answers to this name alone, and versions of symbols count for nothing.
    Musl,
}

/// How one system's loader looks for libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Which loader it is.
    pub loader: Loader,
    /// Where it looks when nothing else has helped: what is in `ld.so.cache`, and the built-in directories.
    pub default_directories: Vec<ImagePath>,
    /// What `$LIB` stands for.
    pub lib: String,
    /// What `$PLATFORM` stands for.
    pub platform: String,
    /// The subdirectories of `glibc-hwcaps` for faster processors, each of which takes those before it, too.
    pub levels: Vec<String>,
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
    /// Everything that is loaded, the file itself first, in the loader's order; then what only faster processors load.
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
            loader: Loader::Glibc,
            default_directories: vec![
                directory(format!("/usr/lib/{triplet}")),
                directory("/usr/lib".to_owned()),
            ],
            lib: format!("lib/{triplet}"),
            platform: platform.to_owned(),
            levels: match machine {
                Machine::Amd64 => ["x86-64-v2", "x86-64-v3", "x86-64-v4"].map(str::to_owned).to_vec(),
                // Those of other processors have no libraries in Debian, and arm64 has none at all.
                _ => Vec::new(),
            },
            loaded: BTreeSet::new(),
        }
    }

    /// Makes a resolver for musl's directories, where no `/etc/ld-musl-ARCH.path` names others.
    pub fn musl() -> Self {
        let directories = ["/lib", "/usr/local/lib", "/usr/lib"];
        Self {
            loader: Loader::Musl,
            default_directories: directories
                .map(|path| path.parse().expect("a library directory is a path"))
                .to_vec(),
            lib: String::new(),
            platform: String::new(),
            levels: Vec::new(),
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
        if view(file).is_none() {
            return Resolution::default();
        }
        let mut opened = Opened::new(self, &view, 0);
        let unmet = opened.open(file, None);
        let mut resolution = self.resolution(&opened, unmet);
        let (mut pending, mut done) = (opened.faster, 0);
        while let Some(level) = pending.pop_first() {
            let mut faster = Opened::new(self, &view, level);
            let unmet = faster.open(file, None);
            resolution.add(self.resolution(&faster, unmet));
            done = done.max(level);
            pending.extend(faster.faster.into_iter().filter(|level| *level > done));
        }
        resolution
    }

    fn resolution<'facts, View: Fn(&ImagePath) -> Option<&'facts Facts>>(
        &self,
        opened: &Opened<'_, 'facts, View>,
        unmet: Vec<Unmet>,
    ) -> Resolution {
        let missing_versions = match self.loader {
            Loader::Glibc => opened.missing_versions(),
            Loader::Musl => Vec::new(),
        };
        let objects = opened.objects.iter().map(|object| object.path.clone()).collect();
        Resolution { objects, unmet, missing_versions }
    }

    /// Returns where a file that lies at `path` has its own needs looked for, before the default directories.
    ///
    /// Entries that are relative to the current directory are left out: nobody knows which that will be.
    pub fn search_path(&self, facts: &Facts, path: &ImagePath) -> Vec<ImagePath> {
        let entries = facts.runpath.as_ref().or(facts.rpath.as_ref());
        let origin = path.parent().unwrap_or_else(ImagePath::root);
        let foreign =
            |entries: &&String| entries.replace("${ORIGIN}", "").replace("$ORIGIN", "").contains('$');
        if self.loader == Loader::Musl && entries.as_ref().is_some_and(foreign) {
            return Vec::new();
        }
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
        let names = [("ORIGIN", origin.as_str()), ("LIB", &self.lib), ("PLATFORM", &self.platform)];
        for (name, value) in names.into_iter().take(if self.loader == Loader::Musl { 1 } else { 3 }) {
            path = path.replace(&format!("${{{name}}}"), value);
            path = replace_word(&path, name, value);
        }
        path.starts_with('/').then(|| normal(&path)).flatten()
    }
}

impl Resolution {
    /// Adds what a faster processor would load, too.
    fn add(&mut self, other: Self) {
        let Self { objects, unmet, missing_versions } = other;
        let new = |path: &ImagePath| !self.objects.contains(path);
        let objects: Vec<ImagePath> = objects.into_iter().filter(new).collect();
        self.objects.extend(objects);
        self.unmet.extend(unmet);
        self.missing_versions.extend(missing_versions);
        self.unmet.sort();
        self.unmet.dedup();
        self.missing_versions.sort();
        self.missing_versions.dedup();
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

#[cfg(test)]
mod tests;
