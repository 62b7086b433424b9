//! The house is built as its plan says: `ARCHITECTURE.md`'s table of rooms against cargo's own view, and its
//! doors against the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// For each room, those that it imports, without `minke-` before their names.
type Rooms = BTreeMap<String, BTreeSet<String>>;

/// Who imports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Programs,
    Tests,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Reads the table of rooms: `| `crates/NAME` | … | a, b |`.
fn planned() -> Rooms {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `crates/"));
    rows.map(|row| {
        let (room, rest) = row.split_once('`').unwrap();
        let imports = rest.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let imports = imports.split(',').map(str::trim).filter(|name| *name != "–");
        (room.to_owned(), imports.map(str::to_owned).collect())
    })
    .collect()
}

fn short(name: &str) -> &str {
    name.strip_prefix("minke-").unwrap_or(name)
}

/// Asks cargo which rooms import which.
fn built(user: User) -> Rooms {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| short(value["name"].as_str().unwrap()).to_owned();
    let rooms: BTreeSet<String> = packages.iter().map(name).collect();
    let edges = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        let wanted = all.iter().filter(|edge| (edge["kind"] == "dev") == (user == User::Tests));
        wanted.map(name).filter(|edge| rooms.contains(edge)).collect()
    };
    packages.iter().map(|package| (name(package), edges(package))).collect()
}

#[test]
fn the_table_of_rooms_is_what_cargo_sees() {
    assert_eq!(built(User::Programs), planned());
}

#[test]
fn only_tests_visit_the_toy_town() {
    for (room, imports) in built(User::Tests) {
        let foreign: Vec<_> = imports
            .iter()
            .filter(|import| *import != "testkit" && !planned()[&room].contains(*import))
            .collect();
        assert!(foreign.is_empty(), "the tests of {room} import {foreign:?}");
    }
}

#[test]
fn a_room_opens_with_its_label() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for row in text.lines().filter(|line| line.starts_with("| `crates/")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let directory = cells[1].trim_matches('`');
        let label = cells[2].split_once(":**").unwrap().0;
        let source = ["src/lib.rs", "src/main.rs"].map(|file| root().join(directory).join(file));
        let source = source.iter().find(|path| path.exists()).unwrap();
        let first = std::fs::read_to_string(source).unwrap().lines().next().unwrap().to_owned();
        assert!(first.starts_with(&format!("//! {label}:**")), "{directory} opens with {first}");
    }
}

/// What reaches out of the program, as it is written, and the only places that may.
///
/// Clippy's `disallowed-methods` sees through names better, but cannot tell a test, which may do all this.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["env::var", "env::args", "env::current_dir", "env::home_dir"], &["crates/minke/src/settings.rs"]),
    (&["Timestamp::now", "Zoned::now"], &["crates/minke/src/settings.rs"]),
    // When something in the cache was used last; no byte of an image depends on it.
    (&["SystemTime::now"], &["crates/net/src/retry.rs", "crates/cas/src/store/format.rs"]),
    (&["Command::new(", "unsafe {", "unsafe fn"], &["crates/exec/src/"]),
    (&["process::exit"], &["crates/minke/src/signals.rs"]),
    (&["println!(", "print!("], &["crates/minke/src/ui"]),
    // The container's terminal is this one.
    (
        &["io::stdout()", "io::stderr()", "io::stdin()"],
        &["crates/minke/src/ui", "crates/exec/src/terminal.rs"],
    ),
];

/// Returns the sources of all rooms, with their paths, without tests and comments.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut pending = vec![root().join("crates")];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["tests", "examples", "benches", "testkit", "target"].contains(&name) {
                pending.push(path);
            } else if name.ends_with(".rs") && !["tests.rs", "testing.rs"].contains(&name) {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
                let code =
                    code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                let place = path.strip_prefix(root()).unwrap();
                found.push((place.display().to_string(), code));
            }
        }
    }
    found
}

#[test]
fn each_side_effect_has_one_door() {
    let mut elsewhere = Vec::new();
    for (place, code) in sources() {
        for (signs, doors) in
            DOORS.iter().filter(|(_, doors)| !doors.iter().any(|door| place.starts_with(door)))
        {
            let signs = signs.iter().filter(|sign| code.contains(**sign));
            elsewhere.extend(signs.map(|sign| format!("{place} has `{sign}`, which belongs to {doors:?}")));
        }
    }
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}
