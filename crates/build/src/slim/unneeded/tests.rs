use minke_cas::{Entry, Epoch, Mode};

use super::*;
use crate::parts::{Owner, Part};
use crate::settings::{Origin, Settings, Wishes};
use crate::slim::orders;

const SITE: &str = "/app/.venv/lib/python3.13/site-packages";

/// What of a small standard library with SQLite and `curses`, and of these parts, nobody needs.
fn idle(settings: &str, parts: &[(Owner, &[(&str, &str)])]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let wishes = Wishes::from_minke_toml("minke.toml".as_ref(), settings).unwrap();
    let settings = Settings::of([(Origin::Default, wishes)]);
    let library: &[(&str, &str)] = &[
        ("/usr/lib/python3.13/sqlite3/__init__.py", "from sqlite3.dbapi2 import *"),
        ("/usr/lib/python3.13/sqlite3/dbapi2.py", "from _sqlite3 import *"),
        ("/usr/lib/python3.13/sqlite3/__main__.py", "import readline"),
        ("/usr/lib/python3.13/dbm/__init__.py", "names = ['dbm.sqlite3', 'dbm.dumb']"),
        ("/usr/lib/python3.13/dbm/sqlite3.py", "import sqlite3"),
        ("/usr/lib/python3.13/shelve.py", "def open():\n    import dbm"),
        ("/usr/lib/python3.13/curses/__init__.py", "from _curses import *"),
        ("/usr/lib/python3.13/site.py", "try:\n    import readline\nexcept ImportError: pass"),
        ("/usr/lib/python3.13/code.py", "import site"),
        ("/usr/lib/python3.13/_compat_pickle.py", "names = {'dumbdbm': 'dbm.dumb', 'x': 'sqlite3.dump'}"),
        ("/usr/lib/python3.13/pickle.py", "import _compat_pickle"),
    ];
    let base = (Owner::Base { name: "libpython3.13-stdlib 1".to_owned() }, library);
    let parts: Vec<Part> =
        [base].iter().chain(parts).map(|(owner, files)| part(&store, owner, files)).collect();
    let orders: Vec<_> = parts.iter().map(|part| orders(&settings, &Lifts::new(), part)).collect();
    let siblings: Vec<Sibling<'_>> =
        parts.iter().zip(&orders).map(|(part, orders)| (&part.tree, orders.as_ref())).collect();
    unneeded(&store, Rules::shipped(), &siblings, &Lifts::new()).unwrap().into_iter().collect()
}

fn part(store: &Store, owner: &Owner, files: &[(&str, &str)]) -> Part {
    let mut tree = Tree::new();
    for (path, text) in files {
        let path = if path.starts_with('/') { (*path).to_owned() } else { format!("{SITE}/{path}") };
        let mode = if path.contains("/bin/") { Mode::EXECUTABLE } else { Mode::REGULAR };
        let file = File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, mode);
        tree.insert(&path.parse().unwrap(), Entry::from(file)).unwrap();
    }
    Part { owner: owner.clone(), tree, epoch: Epoch::FIXED }
}

fn wheel(name: &str) -> Owner {
    Owner::Distribution { name: name.to_owned(), version: "1".to_owned(), wheel_size: 0 }
}

fn own() -> Owner {
    Owner::Project { name: "shop".to_owned() }
}

const SMALLEST: &str = "slim.profile = 'smallest'";

#[test]
fn what_nobody_imports_is_not_needed() {
    assert_eq!(idle(SMALLEST, &[]), ["python-sqlite", "python-terminal"]);
    assert_eq!(idle("slim.profile = 'lean'", &[]), [""; 0]);
    let toy: &[_] = &[("toy.py", "import os, pickle, code, sqlite\n# import sqlite3\n'''import curses'''")];
    let idle = idle(SMALLEST, &[(wheel("toy"), toy)]);
    assert_eq!(idle, ["pip", "python-sqlite", "python-terminal", "setuptools", "wheel"]);
}

#[test]
fn what_somebody_imports_is_needed_whoever_it_is_and_by_whatever_way() {
    let needs_sqlite = |owner: Owner, path: &str, text: &str| {
        let files = [(path, text)];
        let idle = idle(SMALLEST, &[(owner, &files)]);
        assert!(idle.contains(&"python-terminal".to_owned()));
        !idle.contains(&"python-sqlite".to_owned())
    };
    assert!(needs_sqlite(own(), "/app/main.py", "def f():\n    import sqlite3 as db"));
    assert!(needs_sqlite(own(), "/app/main.py", "from sqlite3.dbapi2 import connect"));
    assert!(needs_sqlite(own(), "/app/main.py", "import shelve"), "by dbm, which names it in a string");
    assert!(needs_sqlite(own(), "/app/bin/serve", "#!/usr/bin/env python3\nimport dbm\n"));
    assert!(needs_sqlite(own(), "/app/main.py", "importlib.import_module('sqlite3')"));
    assert!(needs_sqlite(wheel("toy"), "toy/orm.py", "try: import sqlite3\nexcept ImportError: pass"));
    assert!(needs_sqlite(wheel("toy"), "toy/orm.cpython-313-x86_64-linux-gnu.so", "\x7fELF \0sqlite3\0"));
    assert!(!needs_sqlite(wheel("toy"), "toy/orm.cpython-313-x86_64-linux-gnu.so", "\x7fELF pysqlite3x\0"));
    assert!(!needs_sqlite(wheel("toy"), "toy/sql.py", "from . import sqlite3"));
    assert!(!needs_sqlite(own(), "/app/bin/serve", "#!/bin/sh\n# sqlite3\n"));
}

#[test]
fn an_installer_that_only_another_one_imports_goes_with_it() {
    let setuptools: &[_] = &[("setuptools/__init__.py", "import wheel"), ("pkg_resources/__init__.py", "")];
    let wheels: &[_] = &[("wheel/__init__.py", "try: import setuptools\nexcept ImportError: pass")];
    let both = [(wheel("setuptools"), setuptools), (wheel("wheel"), wheels)];
    let gone = |extra: &[(Owner, &[(&str, &str)])]| {
        let mut idle = idle(SMALLEST, &[&both, extra].concat());
        idle.retain(|rule| !rule.starts_with("python-"));
        idle
    };
    assert_eq!(gone(&[]), ["pip", "setuptools", "wheel"]);
    let app: &[_] = &[("/app/main.py", "import pkg_resources")];
    assert_eq!(gone(&[(own(), app)]), ["pip"], "setuptools imports wheel");
    let toy: &[_] = &[("toy.py", "import wheel.wheelfile")];
    assert_eq!(gone(&[(wheel("toy"), toy)]), ["pip"], "and wheel setuptools");
}

#[test]
fn a_rule_that_is_lifted_for_one_package_takes_nothing_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let settings =
        Settings::of([(Origin::Default, Wishes::from_minke_toml("minke.toml".as_ref(), SMALLEST).unwrap())]);
    let library = part(
        &store,
        &Owner::Base { name: "libsqlite3-0 1".to_owned() },
        &[("/usr/lib/x86_64-linux-gnu/libsqlite3.so.0", "")],
    );
    let orders = orders(&settings, &Lifts::new(), &library);
    let lifts =
        Lifts::from([("libpython3.13-stdlib".to_owned(), BTreeSet::from(["python-sqlite".to_owned()]))]);
    let siblings = [(&library.tree, orders.as_ref())];
    let idle = unneeded(&store, Rules::shipped(), &siblings, &lifts).unwrap();
    assert_eq!(idle.into_iter().collect::<Vec<_>>(), ["python-terminal"]);
}

#[test]
fn what_an_apps_files_import_is_told_whatever_else_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let imported = |text: &str| {
        let part = part(&store, &own(), &[("/app/main.py", text)]);
        imported(&store, Rules::shipped(), &part.tree).unwrap()
    };
    assert_eq!(imported("import shelve\nx = 1"), imported("x = 2\nimport shelve"));
    assert_ne!(imported("import shelve"), imported("import shutil"));
    assert_ne!(imported("f('sqlite3')"), imported("f('sqlite')"));
}

#[test]
fn the_rules_that_imports_decide_about_are_known_without_reading_them() {
    let rules = Rules::shipped().iter().filter(|rule| rule.how == How::Unneeded);
    let mut names: Vec<&str> = rules.map(|rule| rule.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, crate::slim::UNNEEDED);
}
