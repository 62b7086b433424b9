//! What the user's own files import that may be gone: modules called as those that rules take.
//!
//! Rules look at what the code of a distribution imports from its own test suite, and nobody else's. Whether what an app
//! imports is really gone is for the ledger to say: `django.test` has such a name, and stays.

use std::collections::BTreeSet;

use minke_cas::{Store, StoreError, Tree};

use super::imports;
use super::unneeded::{has_word, is_code};

/// What modules are called that rules take: below a package, and at the top of the standard library. Reading the rules
/// takes as long as a build in which nothing has changed.
pub const AT_RISK: [&[&str]; 2] = [
    &[
        "_examples",
        "_tests",
        "benchmarks",
        "conftest",
        "demo",
        "demos",
        "example",
        "example_data",
        "examples",
        "idle_test",
        "sample_data",
        "test",
        "tests",
    ],
    &[
        "_pydatetime",
        "_pydecimal",
        "_pyio",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "test",
        "tkinter",
        "turtle",
        "turtledemo",
    ],
];

/// What no package is called: relative imports are of the user's own.
const NOWHERE: &str = "-";

/// Returns the dotted names that the sources of a tree import and that have such a component.
///
/// # Errors
/// [`StoreError`] if a source isn't in the store.
pub fn at_risk(store: &Store, tree: &Tree) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    let is_source = |path: &str| !path.ends_with(".so");
    for (_, file) in tree.files().filter(|(path, file)| is_source(path.as_str()) && is_code(path, file)) {
        let bytes = store.read_file(file)?;
        if AT_RISK.iter().copied().flatten().any(|name| has_word(&bytes, name)) {
            found.extend(imports::named(&String::from_utf8_lossy(&bytes), NOWHERE, &BTreeSet::new()));
        }
    }
    found.retain(|name| is_at_risk(name));
    Ok(found)
}

fn is_at_risk(name: &str) -> bool {
    let [below, top] = AT_RISK;
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    first != NOWHERE && (top.contains(&first) || parts.any(|part| below.contains(&part)))
}

#[cfg(test)]
mod tests {
    use minke_cas::{File, Mode};

    use super::super::rules::{How, Rule, Rules};
    use super::*;

    #[test]
    fn only_names_that_rules_are_about_count() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let of = |name: &str, text: &str| {
            let file = File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, Mode::REGULAR);
            let mut tree = Tree::new();
            tree.insert(&format!("/app/{name}").parse().unwrap(), file.into()).unwrap();
            at_risk(&store, &tree).unwrap().into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of("a.py", "import os, pkg.tests.x as y\nfrom tkinter import ttk"),
            "pkg.tests.x tkinter tkinter.ttk"
        );
        assert_eq!(of("a.py", "# tests\nimport contest, pkg.testing"), "");
        assert_eq!(of("a.txt", "import pkg.tests"), "");
        // The user's own, or what a distribution has at its top by mistake.
        let own = "from . import tests\nfrom .tests import x\nfrom ..tests import x\nfrom tests.y import z\n";
        assert_eq!(of("a.py", &format!("{own}if host.endswith('.test'): x = '.example.com'")), "");
    }

    #[test]
    fn rules_for_directories_and_for_the_library_are_thought_of() {
        let [below, top] = AT_RISK;
        for rule in Rules::shipped().iter().filter(|rule| rule.how == How::Unimported) {
            assert!(rule.directories.iter().all(|name| below.contains(&name.as_str())), "{}", rule.name);
        }
        let of_library = |rule: &&Rule| rule.hint && rule.how == How::Paths;
        // Which it takes an extension module of alone says so when it is imported.
        let rules =
            Rules::shipped().iter().filter(of_library).filter(|rule| rule.name != "python-berkeley-db");
        for rule in rules {
            let names = [rule.name.clone()];
            let active = Rules::shipped().active(&names, "");
            let takes = |place: String| active.iter().any(|rule| rule.takes(&place.parse().unwrap()));
            let is_one = |name: &&str| {
                let library = "/usr/lib/python3.12";
                takes(format!("{library}/{name}.py")) || takes(format!("{library}/{name}/__init__.py"))
            };
            assert!(top.iter().any(is_one), "{}", rule.name);
        }
    }
}
