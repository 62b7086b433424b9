//! What tries an image, started by this machine's Python on a directory of toy distributions.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use minke_testkit::skip;
use serde_json::{Value, json};

const DRIVER: &str = concat!(
    include_str!("../../../build/src/proof/prove/promised.py"),
    include_str!("../../../build/src/proof/prove/attempt.py"),
    include_str!("../../../build/src/proof/prove/children.py")
);

/// Installs a distribution of one module.
fn install(site: &Path, name: &str, needs: &[&str], text: &str) {
    let info = site.join(format!("{name}-1.dist-info"));
    fs::create_dir_all(&info).unwrap();
    let needs: String = needs.iter().map(|need| format!("Requires-Dist: {need}\n")).collect();
    let description = "\nName: no name, for this is the description\n";
    fs::write(
        info.join("METADATA"),
        format!("Metadata-Version: 2.4\nName: {name}\nVersion: 1\n{needs}{description}"),
    )
    .unwrap();
    fs::write(info.join("RECORD"), format!("{name}.py,,\n{name}-1.dist-info/METADATA,,\n")).unwrap();
    fs::write(site.join(format!("{name}.py")), text).unwrap();
}

/// What is tried: an image that is being built, or any, with its standard library.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Below,
    Whole,
}

/// Tries all that is installed, and returns what was said of each module at the top and how often the counting one was
/// run.
fn tried(site: &Path, asked: Asked) -> Option<(Vec<(String, Value)>, usize)> {
    let counted = site.join("counted");
    fs::write(&counted, "").unwrap();
    let lines = lines(site, asked)?;
    let mut ours: Vec<(String, Value)> = lines
        .iter()
        .filter(|line| line["kind"] == "top")
        .map(|line| (line["name"].as_str().unwrap().to_owned(), line["ok"].clone()))
        .collect();
    ours.sort_by(|one, other| one.0.cmp(&other.0));
    Some((ours, fs::read_to_string(counted).unwrap().len()))
}

/// Tries all that is installed, and returns all that was said.
fn lines(site: &Path, asked: Asked) -> Option<Vec<Value>> {
    let started = Command::new("python3")
        .args(["-B", "-s", "-S", "-c", DRIVER])
        .env("PYTHONPATH", site)
        .env("COUNTED", site.join("counted"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.ok()?;
    let request = json!({
        "jobs": 2, "limit": 60, "budget": 60, "depth": "packages", "standard": asked == Asked::Whole, "only": null, "gone": {}
    });
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(lines.last(), Some(&json!({"end": true})));
    Some(lines)
}

#[test]
fn what_many_need_is_imported_once_and_who_cannot_stand_that_is_tried_without() {
    let site = tempfile::tempdir().unwrap();
    let site = site.path();
    let count = "import os\nwith open(os.environ['COUNTED'], 'a') as counted:\n    counted.write('x')\n";
    install(site, "common", &[], count);
    install(site, "first", &["common"], "import common\n");
    install(
        site,
        "spoilt",
        &["common (>=1)"],
        "import sys\nassert 'common' not in sys.modules\nimport common\n",
    );
    let dies = "import os, sys\nif 'common' in sys.modules:\n    os.abort()\nimport common\n";
    install(site, "touchy", &["common; python_version > '3'"], dies);
    install(site, "broken", &["common"], "import common\nimport nowhere\n");
    install(site, "apart", &["common; extra == 'all'"], "");
    let Some((warm, count)) = tried(site, Asked::Below) else {
        return skip("there is no python3");
    };
    let name_and_end = |(name, ok): &(String, Value)| format!("{name} {ok}");
    let said: Vec<String> = warm.iter().map(name_and_end).collect();
    assert_eq!(
        said,
        ["apart true", "broken false", "common true", "first true", "spoilt true", "touchy true"]
    );
    // Once for all, and once for each of the two that are tried without; nobody has what `broken` wants.
    assert_eq!(count, 3);
    // With the standard library each is by itself, as for an image that others have built.
    let (cold, count) = tried(site, Asked::Whole).unwrap();
    assert_eq!(cold, warm);
    assert_eq!(count, 5);
}

#[test]
fn of_packages_that_import_nothing_by_themselves_the_modules_are_tried() {
    let site = tempfile::tempdir().unwrap();
    let site = site.path();
    let files = [
        ("lazy/__init__.py", "def __getattr__(name):\n    raise AttributeError(name)\n"),
        ("lazy/good.py", ""),
        ("lazy/bad.py", "import lazy.nowhere\n"),
        ("lazy/_private.py", "import lazy.nowhere\n"),
        ("lazy/test_it.py", "import lazy.nowhere\n"),
        ("lazy/_inner/__init__.py", "def __getattr__(name): ...\n"),
        ("lazy/_inner/part.py", "import lazy.nowhere\n"),
        ("lazy/loaded/__init__.py", "# import lazy_loader\n"),
        ("lazy/loaded/part.py", ""),
        ("lazy/eager/__init__.py", "class Some:\n    def __getattr__(self, name): ...\n"),
        ("lazy/eager/part.py", "import lazy.nowhere\n"),
    ];
    install(site, "lazy", &[], "");
    fs::remove_file(site.join("lazy.py")).unwrap();
    for (path, text) in files {
        fs::create_dir_all(site.join(path).parent().unwrap()).unwrap();
        fs::write(site.join(path), text).unwrap();
    }
    let record: String = files.iter().map(|(path, _)| format!("{path},,\n")).collect();
    fs::write(site.join("lazy-1.dist-info/RECORD"), record).unwrap();
    let Some(lines) = lines(site, Asked::Below) else {
        return skip("there is no python3");
    };
    let tried = lines.iter().filter(|line| line["what"] == "module");
    let mut said: Vec<String> =
        tried.map(|line| format!("{} {} {}", line["kind"], line["name"], line["ok"])).collect();
    said.sort();
    assert_eq!(
        said,
        [
            "\"below\" \"lazy.bad\" false",
            "\"below\" \"lazy.eager\" true",
            "\"below\" \"lazy.good\" true",
            "\"below\" \"lazy.loaded\" true",
            "\"below\" \"lazy.loaded.part\" true",
            "\"top\" \"lazy\" true",
        ]
    );
}
