//! What images do without, from the command line to the layers.

use minke_testkit::Wheel;
use serde_json::Value;

use crate::image::Layout;
use crate::town::Town;

/// A distribution with a test suite, of which one module is imported by what isn't one.
fn wheel() -> Wheel {
    Wheel::new("toy-many", "1")
        .file("toy_many/__init__.py", "from toy_many.tests import used\n")
        .file("toy_many/_fast.pyx", "cdef int x\n")
        .file("toy_many/tests/__init__.py", "x = 1\n")
        .file("toy_many/tests/used.py", "y = 1\n")
        .file("toy_many/tests/test_it.py", "assert True\n")
}

/// Returns the distribution's files in an image, without directories.
fn files(town: &Town, layout: &str) -> Vec<String> {
    let layout = Layout::read(&town.path(layout), None);
    let all = (0..layout.layers.len()).flat_map(|layer| layout.files(layer).into_keys());
    let mut ours: Vec<String> = all
        .filter_map(|path| Some(path.split_once("site-packages/toy_many/")?.1.to_owned()))
        .filter(|path| !path.is_empty() && !path.ends_with('/'))
        .collect();
    ours.sort();
    ours
}

#[test]
fn a_profile_takes_what_nobody_imports_and_no_bytecode_of_it_is_made() {
    let wheels = [wheel()];
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let whole = town.builds(&["shop", "-o", "oci:whole"]);
    let built = town.succeeds(&["build", "--quiet", "--json", "--profile", "lean", "shop", "-o", "oci:lean"]);
    let built: Value = serde_json::from_str(&built.stdout).unwrap();
    assert_ne!(built["reference"].as_str(), Some(whole.as_str()));
    let gone: Vec<String> =
        files(&town, "whole").into_iter().filter(|file| !files(&town, "lean").contains(file)).collect();
    assert_eq!(
        gone,
        ["_fast.pyx", "tests/__pycache__/test_it.cpython-311.pyc", "tests/test_it.py"],
        "{built}"
    );
    let rungs = built["ladder"]["rungs"].as_array().unwrap();
    let names: Vec<&str> = rungs.iter().filter_map(|rung| rung["name"].as_str()).collect();
    assert!(names.contains(&"tests") && names.contains(&"sources"), "{names:?}");
    // Once more it is remembered, and without a profile it is the first image again.
    let again = town.succeeds(&["build", "--quiet", "--json", "--profile", "lean", "shop"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["reference"], &again["ladder"]), (&built["reference"], &built["ladder"]));
    assert_eq!(town.builds(&["shop"]), whole);
}

#[test]
fn the_smallest_profile_leaves_bytecode_in_the_place_of_modules() {
    let wheels = [wheel()];
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.builds(&["shop", "--profile", "smallest", "-o", "oci:small"]);
    assert_eq!(files(&town, "small"), ["__init__.pyc", "tests/__init__.pyc", "tests/used.pyc"]);
}

#[test]
fn a_rule_that_is_none_is_refused_with_the_nearest() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.write("shop/minke.toml", "[slim]\nrules = { test = false }\n");
    insta::assert_snapshot!(town.minke(&["build", "--quiet", "shop"]).seen(), @r"
    status: 1
    stderr: error: a setting cannot go into an image
      because: `slim.rules` names `test`, which is no rule; did you mean `tests`?
      help: correct the setting; `minke build --help` says what each takes
    ");
}
