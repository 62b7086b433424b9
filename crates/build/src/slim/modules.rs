//! Directories of a distribution that none of its other code imports: test suites, examples.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{File, ImagePath, Store, StoreError, Tree};

use super::imports;
use super::rules::Active;

/// The modules of one distribution, and what their sources name.
pub(super) struct Modules<'part> {
    store: &'part Store,
    /// Every file below `site-packages`, by where it lies there.
    files: BTreeMap<String, (ImagePath, &'part File)>,
    /// Where a module's file lies, by its dotted name.
    by_name: BTreeMap<String, String>,
    tops: BTreeSet<String>,
    named: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

impl<'part> Modules<'part> {
    /// Lists the modules of a distribution's tree.
    pub(super) fn of(store: &'part Store, tree: &'part Tree) -> Self {
        let files: BTreeMap<String, (ImagePath, &File)> = tree
            .files()
            .filter_map(|(path, file)| Some((in_site(&path)?.to_owned(), (path, file))))
            .collect();
        let by_name: BTreeMap<String, String> =
            files.keys().filter_map(|place| Some((dotted(place)?, place.clone()))).collect();
        let tops = by_name.keys().filter_map(|name| name.split('.').next()).map(str::to_owned).collect();
        Self { store, files, by_name, tops, named: RefCell::default() }
    }

    /// Returns the files that a rule for unimported directories takes, of those that `stay`.
    ///
    /// # Errors
    /// [`StoreError`] if a source isn't in the store.
    pub(super) fn unimported(
        &self,
        active: &Active<'_>,
        stay: impl Fn(&ImagePath) -> bool,
    ) -> Result<BTreeSet<ImagePath>, StoreError> {
        let mut candidates = self.candidates(active);
        candidates.retain(|place| stay(&self.files[*place].0));
        if candidates.is_empty() {
            return Ok(BTreeSet::new());
        }
        let outside = self.files.iter().filter(|(place, (path, _))| {
            !candidates.contains(place.as_str()) && stay(path) && is_source(place)
        });
        let mut pending: Vec<&str> = outside.map(|(place, _)| place.as_str()).collect();
        let mut imported: BTreeSet<&str> = BTreeSet::new();
        while let Some(place) = pending.pop() {
            let is_within = imported.contains(place);
            let words = (!is_within).then_some(active.rule.directories.as_slice());
            for name in self.names_in(place, words)? {
                for reached in self.reached(&name) {
                    if candidates.contains(reached) && imported.insert(reached) {
                        pending.push(reached);
                    }
                }
            }
        }
        // Where any file makes a directory what it is, a package that is imported may be so for the data in it.
        let is_any = active.rule.like.iter().any(|like| like == "*");
        let packages: Vec<&str> = imported
            .iter()
            .filter(|_| is_any)
            .filter_map(|place| place.strip_suffix("__init__.py"))
            .collect();
        let is_data = |place: &str| {
            dotted(place).is_none() && packages.iter().any(|package| place.starts_with(package))
        };
        let taken = candidates.iter().filter(|place| !imported.contains(**place) && !is_data(place));
        Ok(taken.map(|place| self.files[*place].0.clone()).collect())
    }

    /// Returns the modules that a rule for single ones takes, of those that `stay`: what no other source names.
    ///
    /// # Errors
    /// [`StoreError`] if a source isn't in the store.
    pub(super) fn unnamed(
        &self,
        active: &Active<'_>,
        stay: impl Fn(&ImagePath) -> bool,
    ) -> Result<BTreeSet<ImagePath>, StoreError> {
        let is_candidate = |place: &&str| {
            let (path, _) = &self.files[*place];
            stay(path) && active.takes(path)
        };
        let mut candidates: BTreeMap<&str, &str> = self
            .by_name
            .iter()
            .map(|(name, place)| (place.as_str(), name.as_str()))
            .filter(|(place, _)| is_candidate(place))
            .collect();
        let last = |name: &&str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let words: Vec<String> = candidates.values().map(last).collect();
        if words.is_empty() {
            return Ok(BTreeSet::new());
        }
        for (place, (path, _)) in &self.files {
            if !is_source(place) || !stay(path) || active.takes(path) {
                continue;
            }
            // What was read for another rule, with other words, is known by now; what is new is looked through.
            for name in self.names_in(place, Some(&words))? {
                for reached in self.reached(&name) {
                    candidates.remove(reached);
                }
            }
        }
        Ok(candidates.keys().map(|place| self.files[*place].0.clone()).collect())
    }

    /// Returns the files in directories that the rule is about.
    fn candidates(&self, active: &Active<'_>) -> BTreeSet<&str> {
        let mut by_directory: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for place in self.files.keys() {
            if let Some(directory) = named_directory(place, &active.rule.directories)
                && (directory.contains('/') || self.has_other_package(directory))
            {
                by_directory.entry(directory).or_default().push(place);
            }
        }
        let name = |place: &str| place.rsplit('/').next().unwrap_or_default().to_owned();
        by_directory.retain(|_, places| places.iter().any(|place| active.is_like(&name(place))));
        let places = by_directory.into_values().flatten();
        places.filter(|place| !active.spares(&self.files[*place].0)).collect()
    }

    /// Tells whether the distribution has a package besides this one: else it is what it is for.
    fn has_other_package(&self, directory: &str) -> bool {
        self.tops.iter().any(|top| top != directory)
    }

    /// Returns the files of a module and of the packages above it.
    fn reached(&self, name: &str) -> Vec<&str> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.filter_map(|end| self.by_name.get(&name[..end])).map(String::as_str).collect()
    }

    /// Returns what a source names; nothing, if it has none of some words where there are any.
    fn names_in(&self, place: &str, words: Option<&[String]>) -> Result<BTreeSet<String>, StoreError> {
        let (_, file) = &self.files[place];
        if let Some(known) = self.named.borrow().get(place) {
            return Ok(known.clone());
        }
        if !is_source(place) {
            return Ok(BTreeSet::new());
        }
        let bytes = self.store.read_file(file)?;
        let text = String::from_utf8_lossy(&bytes);
        if words.is_some_and(|words| !words.iter().any(|word| text.contains(word.as_str()))) {
            return Ok(BTreeSet::new());
        }
        let names = if place.ends_with("/entry_points.txt") {
            text.lines().filter_map(entry_point).collect()
        } else {
            imports::named(&text, &package(place), &self.tops)
        };
        self.named.borrow_mut().insert(place.to_owned(), names.clone());
        Ok(names)
    }
}

/// Returns where below `site-packages` a path is.
pub(super) fn in_site(path: &ImagePath) -> Option<&str> {
    let text = path.as_str();
    ["/site-packages/", "/dist-packages/"]
        .iter()
        .find_map(|directory| text.split_once(directory).map(|(_, below)| below))
}

/// Returns where below the standard library's directory a path is.
pub(super) fn in_library(path: &ImagePath) -> Option<&str> {
    let below = ["/usr/lib/python3.", "/usr/local/lib/python3."]
        .iter()
        .find_map(|library| path.as_str().strip_prefix(library))?;
    let (_, below) = below.split_once('/')?;
    in_site(path).is_none().then_some(below)
}

/// Returns the outermost directory of one of these names that a file is in.
fn named_directory<'place>(place: &'place str, names: &[String]) -> Option<&'place str> {
    let ends = place.match_indices('/').map(|(at, _)| at);
    ends.map(|end| &place[..end]).find(|directory| {
        let name = directory.rsplit('/').next().unwrap_or_default();
        names.iter().any(|known| known == name)
    })
}

/// Returns the dotted name of a module's file: `a.b` of `a/b.py`, `a/b/__init__.py` and `a/b.cpython-313-….so`.
pub(super) fn dotted(place: &str) -> Option<String> {
    let (directory, name) = place.rsplit_once('/').unwrap_or(("", place));
    let stem = name.strip_suffix(".py").or_else(|| name.strip_suffix(".so")?.split('.').next())?;
    let path = match (directory, stem) {
        ("", stem) => stem.to_owned(),
        (directory, "__init__") => directory.to_owned(),
        (directory, stem) => format!("{directory}/{stem}"),
    };
    (!path.contains(['.', '-'])).then(|| path.replace('/', "."))
}

/// Returns the package from which relative imports in a source are reckoned.
pub(super) fn package(place: &str) -> String {
    place.rsplit_once('/').map(|(directory, _)| directory.replace('/', ".")).unwrap_or_default()
}

fn is_source(place: &str) -> bool {
    place.ends_with(".py") || place.ends_with(".pth") || place.ends_with(".dist-info/entry_points.txt")
}

/// Returns the module of a line such as `name = package.module:object [extra]`.
fn entry_point(line: &str) -> Option<String> {
    let (_, object) = line.split_once('=')?;
    let module = object.trim().split([':', ' ', '[']).next()?;
    Some(module.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_names_that_imports_ask_for() {
        let name = |place: &str| dotted(place).unwrap_or_default();
        assert_eq!(name("a/b/__init__.py"), "a.b");
        assert_eq!(name("a/b.cpython-313-x86_64-linux-gnu.so"), "a.b");
        assert_eq!(name("a/b.abi3.so"), "a.b");
        assert_eq!(name("six.py"), "six");
        assert_eq!(name("numpy.libs/libgfortran.so"), "");
        assert_eq!(name("a/b.pyi"), "");
    }

    #[test]
    fn the_outermost_directory_of_a_name_counts() {
        let names = ["tests".to_owned()];
        assert_eq!(named_directory("a/tests/data/tests/x.py", &names), Some("a/tests"));
        assert_eq!(named_directory("tests/x.py", &names), Some("tests"));
        assert_eq!(named_directory("a/tests.py", &names), None);
    }

    #[test]
    fn entry_points_name_modules() {
        assert_eq!(entry_point("x = a.b:c [extra]").as_deref(), Some("a.b"));
        assert_eq!(entry_point("[console_scripts]"), None);
    }
}
