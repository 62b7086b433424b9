//! What the user's own files import that may be gone: modules called as those that rules take.
//!
//! Rules look at what the code of a distribution imports from its own test suite, and nobody else's. Whether what an app
//! imports is really gone is for the ledger to say; nearly no app imports anything of such a name.

use std::collections::BTreeSet;

use minke_cas::{Store, StoreError, Tree};

use super::imports;
use super::unneeded::{has_word, is_code};

/// What modules are called of which rules take some, in one component or another: reading the rules takes as long as a
/// build in which nothing has changed.
const NAMES: [&str; 25] = [
    "_dbm",
    "_examples",
    "_pydatetime",
    "_pydecimal",
    "_pyio",
    "_tests",
    "benchmarks",
    "conftest",
    "demo",
    "demos",
    "ensurepip",
    "example",
    "example_data",
    "examples",
    "idle_test",
    "idlelib",
    "lib2to3",
    "ndbm",
    "pydoc_data",
    "sample_data",
    "test",
    "tests",
    "tkinter",
    "turtle",
    "turtledemo",
];

/// Returns the dotted names that the sources of a tree import and that have one of these components.
///
/// # Errors
/// [`StoreError`] if a source isn't in the store.
pub fn at_risk(store: &Store, tree: &Tree) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for (path, file) in tree.files().filter(|(path, file)| is_code(path, file)) {
        let bytes = store.read_file(file)?;
        if path.as_str().ends_with(".so") || !NAMES.iter().any(|name| has_word(&bytes, name)) {
            continue;
        }
        // Where it lies doesn't matter: what is relative is the user's own.
        found.extend(imports::named(&String::from_utf8_lossy(&bytes), "", &BTreeSet::new()));
    }
    found.retain(|name| name.split('.').any(|part| NAMES.contains(&part)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use minke_cas::{File, Mode};

    use super::super::rules::{How, Rules};
    use super::*;

    #[test]
    fn only_names_that_rules_are_about_count() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let of = |name: &str, text: &str| {
            let file = File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, Mode::REGULAR);
            let mut tree = Tree::new();
            tree.insert(&format!("/app/{name}").parse().unwrap(), file.into()).unwrap();
            at_risk(&store, &tree).unwrap().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(
            of("a.py", "import os, pkg.tests.x as y\nfrom tkinter import ttk"),
            ["pkg.tests.x", "tkinter", "tkinter.ttk"]
        );
        assert_eq!(of("a.py", "# tests\nimport contest, pkg.testing"), Vec::<String>::new());
        assert_eq!(of("a.txt", "import pkg.tests"), Vec::<String>::new());
    }

    #[test]
    fn every_rule_that_takes_modules_by_name_is_thought_of() {
        let is_thought_of = |name: &str| NAMES.contains(&name);
        for rule in Rules::shipped().iter().filter(|rule| rule.how == How::Unimported) {
            assert!(rule.directories.iter().all(|name| is_thought_of(name)), "{}", rule.name);
        }
        let library = |rule: &&super::super::Rule| rule.hint && rule.how == How::Paths;
        for rule in Rules::shipped().iter().filter(library) {
            let names = [rule.name.clone()];
            let active = Rules::shipped().active(&names, "");
            let takes = |place: String| active.iter().any(|rule| rule.takes(&place.parse().unwrap()));
            let is_one = |name: &str| {
                let library = "/usr/lib/python3.12";
                takes(format!("{library}/{name}.py"))
                    || takes(format!("{library}/{name}/__init__.py"))
                    || takes(format!("{library}/lib-dynload/{name}.x.so"))
            };
            assert!(NAMES.iter().any(|name| is_one(name)), "{}", rule.name);
        }
    }
}
