//! What images do without, from the command line to the layers.

use minke_testkit::{ElfObject, Wheel, skip};
use serde_json::Value;

use crate::image::Layout;
use crate::town::{Town, User};

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
    let whole = town.builds(&["shop", "--profile", "none", "-o", "oci:whole"]);
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
    // What was taken lies beside the image, and stays there while it has a name.
    town.succeeds(&["build", "--quiet", "--profile", "lean", "shop", "-t", "slimmed"]);
    town.succeeds(&["cache", "gc", "--keep-days", "0"]);
    let ledger = town.succeeds(&["slim", "--files", "slimmed"]).stdout;
    let taken: Vec<&str> = ledger
        .lines()
        .filter_map(|line| line.split_once("site-packages/toy_many/")?.1.rsplit_once('\t'))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(taken, ["_fast.pyx\tsources\t11", "tests/test_it.py\ttests\t12"], "{ledger}");
    let rungs = built["ladder"]["rungs"].as_array().unwrap();
    let names: Vec<&str> = rungs.iter().filter_map(|rung| rung["name"].as_str()).collect();
    assert!(names.contains(&"tests") && names.contains(&"sources"), "{names:?}");
    // Once more it is remembered, and without a profile it is the first image again.
    let again = town.succeeds(&["build", "--quiet", "--json", "--profile", "lean", "shop"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["reference"], &again["ladder"]), (&built["reference"], &built["ladder"]));
    assert_eq!(town.builds(&["shop", "--profile", "none"]), whole);
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
fn an_installer_is_there_as_soon_as_the_app_imports_it() {
    let wheels = [Wheel::new("setuptools", "1")
        .file("setuptools/__init__.py", "")
        .file("setuptools/command.py", "x = 1\n")
        .file("setuptools-1.dist-info/entry_points.txt", "[distutils.commands]\nx = setuptools.command:x\n")
        .file("pkg_resources/__init__.py", "import setuptools\n")];
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let modules = || {
        town.builds(&["shop", "--profile", "smallest", "-o", "oci:small"]);
        let site = "/app/.venv/lib/python3.11/site-packages/";
        let layout = Layout::read(&town.path("small"), None);
        ["setuptools", "pkg_resources"].map(|name| layout.below(&format!("{site}{name}/")).contains(".pyc"))
    };
    assert_eq!(modules(), [false, false]);
    let checked = town.minke(&["check", "shop"]);
    assert!(checked.status == 0 || checked.stderr.contains("namespaces"), "{}", checked.seen());
    town.write("shop/later.py", "import os\n");
    assert_eq!(modules(), [false, false]);
    town.write("shop/later.py", "def version():\n    import pkg_resources\n");
    assert_eq!(modules(), [true, true], "an edit counts");
    town.write("shop/later.py", "import os\n");
    assert_eq!(modules(), [false, false]);
}

/// Two distributions with a library of one kind each; what the first asks of its own the second's has, too.
fn libraries() -> [Wheel; 2] {
    let library = |soname: &str, symbols: &[&str]| {
        let defines = |object: ElfObject, name: &&str| object.defines(name);
        symbols
            .iter()
            .fold(ElfObject::new().soname(soname).debug_bytes(1), defines)
            .needed("libc.so.6")
            .build()
    };
    let padded = |mut bytes: Vec<u8>| {
        // Nothing that is small is worth a link.
        bytes.resize(bytes.len().max(8192), 0);
        bytes
    };
    let (old, new) = ("libtoy-01234567.1.2.so", "libtoy-89abcdef.1.10.so");
    let module =
        ElfObject::new().needed(old).needed("libc.so.6").runpath("$ORIGIN/../toy_old.libs").imports("toy");
    [
        Wheel::new("toy-old", "1")
            .file("toy_old/__init__.py", "")
            .file("toy_old/_fast.so", module.defines("PyInit__fast").build())
            .file(&format!("toy_old.libs/{old}"), padded(library(old, &["toy", "gone"]))),
        Wheel::new("toy-new", "1")
            .file("toy_new/__init__.py", "")
            .file(&format!("toy_new.libs/{new}"), padded(library(new, &["toy", "more"]))),
    ]
}

#[test]
fn a_newer_library_of_another_distribution_stands_for_one_where_the_rule_is_on() {
    let wheels = libraries();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let place = "/app/.venv/lib/python3.11/site-packages/toy_old.libs/";
    let cases = [("false", "file"), ("true", "-> ../toy_new.libs/libtoy-89abcdef.1.10.so")];
    for (on, wanted) in cases {
        // Stripped, they would be too small to be worth it.
        let rules =
            format!("[slim]\nprofile = 'none'\nrules = {{ compatible-libraries = {on}, stubs = true }}\n");
        town.write("shop/minke.toml", &rules);
        town.builds(&["shop", "-t", &format!("linked-{on}"), "-o", &format!("oci:{on}")]);
        let listing = Layout::read(&town.path(on), None).below(place);
        let line = listing.lines().find(|line| line.contains("libtoy-01234567")).unwrap();
        assert!(line.contains(wanted), "{on}: {listing}");
    }
    let ledger = town.succeeds(&["slim", "--files", "linked-true"]).stdout;
    assert!(ledger.lines().any(|line| line.ends_with("\tcompatible-libraries\t8192\ta link")), "{ledger}");
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

/// Distributions that need while they are imported what a rule takes: one says which file, one says nothing.
fn needy() -> [Wheel; 3] {
    let template = "import os\ntext = open(os.path.join(os.path.dirname(__file__), 'base.pyx')).read()\n";
    let silent = "import os\nif not os.path.exists(os.path.dirname(__file__) + '/a.h'):\n    raise RuntimeError('odd')\n";
    let reader = "import inspect, sys\ntext = inspect.getsource(sys.modules[__name__])\n";
    [
        Wheel::new("toy-template", "1")
            .file("toy_template/__init__.py", template)
            .file("toy_template/base.pyx", "cdef int x\n")
            .file("toy_template/types.pyi", ""),
        Wheel::new("toy-silent", "1")
            .file("toy_silent/__init__.py", silent)
            .file("toy_silent/a.h", "int x;\n")
            .file("toy_silent/b.c", "int x;\n"),
        Wheel::new("toy-reader", "1").file("toy_reader/__init__.py", reader),
    ]
}

fn reference(built: &str) -> String {
    let built: Value = serde_json::from_str(built).unwrap();
    built["reference"].as_str().unwrap().to_owned()
}

/// Says what was put back: by which rule, from whom, and what broke.
pub(crate) fn put_back(built: &str) -> Vec<String> {
    let built: Value = serde_json::from_str(built).unwrap();
    let all = built["ladder"]["put_back"].as_array().unwrap();
    let line = |back: &Value| {
        let text = |key: &str| back[key].as_str().unwrap().to_owned();
        format!("{} of {} for {}: {}", text("rule"), text("owner"), text("broken"), text("why"))
    };
    all.iter().map(line).collect()
}

#[test]
fn what_breaks_without_what_a_rule_takes_is_put_back_and_that_is_said() {
    let wheels = needy();
    let Some(town) = Town::with(&wheels) else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine makes no containers");
    }
    town.project("shop", &wheels);
    let all = "import toy_template, toy_silent, toy_reader; print('fine')";
    for (profile, expected) in [("lean", LEAN), ("smallest", SMALLEST)] {
        let build = ["build", "--json", "--profile", profile, "shop"];
        let forget = || drop(std::fs::remove_file(town.path("shop/minke.lock")));
        forget();
        let first = town.succeeds(&build);
        assert_eq!(put_back(&first.stdout), expected);
        let ran = town.succeeds(&["run", "--entrypoint", "python", "shop", "-c", all]);
        assert_eq!(ran.stdout, "fine\n");
        // It is remembered, also by who doesn't remember the layers; and found again by who remembers nothing.
        let hops = |stderr: &str| stderr.rsplit_once("took ").unwrap().1.to_owned();
        let again = town.succeeds(&["build", "--profile", profile, "shop"]).stderr;
        assert!(again.contains("the rule `sources` is lifted for toy-template"), "{again}");
        assert!(!hops(&again).contains("proof"), "{again}");
        town.write("shop/new.py", "");
        let more = town.succeeds(&["build", "--profile", profile, "shop"]).stderr;
        assert!(!hops(&more).contains("proof"), "{more}");
        std::fs::remove_file(town.path("shop/new.py")).unwrap();
        std::fs::remove_dir_all(town.path("cache")).unwrap();
        forget();
        let cold = town.succeeds(&build);
        assert_eq!(
            (reference(&cold.stdout), put_back(&cold.stdout)),
            (reference(&first.stdout), put_back(&first.stdout))
        );
    }
}

fn lock_text(town: &Town) -> String {
    std::fs::read_to_string(town.path("shop/minke.lock")).expect("there is a lock")
}

/// The lifts that a project's lock has.
fn locked_lifts(town: &Town) -> Vec<String> {
    let lock: toml::Table = lock_text(town).parse().unwrap();
    let lifts = lock.get("lift").and_then(toml::Value::as_array).into_iter().flatten();
    let text = |lift: &toml::Value, key: &str| lift[key].as_str().unwrap().to_owned();
    lifts.map(|lift| ["rule", "name", "version"].map(|key| text(lift, key)).join(" ")).collect()
}

#[test]
fn what_was_lifted_stands_in_the_lock_and_is_lifted_by_who_can_prove_nothing() {
    let wheels = needy();
    let Some(town) = Town::with(&wheels) else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine makes no containers");
    }
    town.project("shop", &wheels);
    // Without a lock, who proves nothing makes what doesn't work.
    let blind = town.builds(&["shop", "--profile", "lean", "--proof", "off"]);
    assert_eq!(locked_lifts(&town), [""; 0]);
    let refused = town.minke(&["build", "--quiet", "--profile", "lean", "--locked", "shop"]);
    insta::assert_snapshot!(refused.seen(), @r"
        status: 1
        stderr: error: cannot choose the image's packages
          because: `minke.lock` doesn't lift the rule `headers` for toy-silent 1, with which `toy_silent` fails (RuntimeError: odd), and `--locked` forbids to change it
          help: run `minke lock`, and commit what it changes
    ");
    let proved = town.builds(&["shop", "--profile", "lean"]);
    assert_ne!(proved, blind);
    let lifted = ["headers toy-silent 1", "sources toy-template 1"];
    assert_eq!(locked_lifts(&town), lifted);
    let lock = lock_text(&town);
    // Nothing is made for the second time because the lock says it now.
    let again = town.succeeds(&["build", "--profile", "lean", "--locked", "shop"]).stderr;
    let hops = again.rsplit_once("took ").unwrap().1;
    assert!(!hops.contains("layers") && !hops.contains("proof"), "{again}");
    for proof in ["off", "auto"] {
        std::fs::remove_dir_all(town.path("cache")).unwrap();
        let cold = town.builds(&["shop", "--profile", "lean", "--locked", "--proof", proof]);
        assert_eq!(cold, proved, "{proof}");
    }
    // A build without slimming leaves the lock as it is.
    town.builds(&["shop", "--profile", "none"]);
    assert_eq!(lock_text(&town), lock);
}

#[test]
fn a_lift_goes_with_the_version_it_is_for_and_an_upgrade_finds_out_anew() {
    let wheels = needy();
    let Some(town) = Town::with(&wheels) else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine makes no containers");
    }
    town.project("shop", &wheels);
    town.write("shop/minke.toml", "[slim]\nprofile = \"lean\"\n");
    // Locking finds out what building would.
    let locked = town.succeeds(&["lock", "shop"]);
    assert_eq!(locked_lifts(&town), ["headers toy-silent 1", "sources toy-template 1"], "{}", locked.stderr);
    town.builds(&["shop", "--locked"]);
    // Of what is not in the image, the lock says it still; what nobody needs any more goes with an upgrade.
    let lock = lock_text(&town);
    let stale = |name: &str, version: &str| {
        format!(
            "\n[[lift]]\nname = \"{name}\"\nversion = \"{version}\"\nbroken = \"x\"\nwhy = \"y\"\nrule = \"tests\"\n"
        )
    };
    let (other, old, same) = (stale("toy-other", "1"), stale("toy-reader", "0"), stale("toy-reader", "1"));
    town.write("shop/minke.lock", format!("{lock}{other}{old}{same}"));
    town.builds(&["shop"]);
    let kept = ["tests toy-other 1", "tests toy-reader 1", "headers toy-silent 1", "sources toy-template 1"];
    let mut now = locked_lifts(&town);
    now.sort_by_key(|line| line.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(now, kept);
    town.succeeds(&["lock", "shop", "--upgrade"]);
    assert_eq!(locked_lifts(&town), ["headers toy-silent 1", "sources toy-template 1"]);
}

#[test]
fn what_the_app_imports_of_a_test_suite_is_there_as_long_as_it_does() {
    let wheels = [wheel().file("toy_many/tests/conftest.py", "z = 1\n")];
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.write("shop/own/tests/test_it.py", "");
    // Its own tests are nobody else's, and what stays is not missed.
    let plain = "import os, own.tests.test_it\nfrom toy_many.tests import used\n";
    town.write("shop/later.py", plain);
    let build = ["build", "--json", "--profile", "lean", "shop", "-o", "oci:lean"];
    let built = || {
        let built = town.succeeds(&build).stdout;
        let tests = files(&town, "lean").into_iter().filter(|file| file.ends_with(".py"));
        let tests = tests.filter_map(|file| Some(file.strip_prefix("tests/")?.to_owned()));
        (reference(&built), put_back(&built), tests.collect::<Vec<_>>())
    };
    let before = built();
    assert_eq!((before.1.as_slice(), before.2.join(" ").as_str()), (&[][..], "__init__.py used.py"));
    let lock = lock_text(&town);

    // What one rule leaves, another takes.
    town.write("shop/later.py", "def check():\n    from toy_many.tests.conftest import z\n");
    let with = built();
    let line = |rule: &str| format!("{rule} of toy-many for toy_many.tests.conftest: the project imports it");
    assert_eq!(with.1, ["tests", "test-modules"].map(line));
    assert_eq!(with.2.join(" "), "__init__.py conftest.py test_it.py used.py");
    let said = town.succeeds(&["build", "--profile", "lean", "--locked", "shop"]).stderr;
    assert!(said.contains("the rule `tests` is lifted for toy-many, for the project imports"), "{said}");
    // It follows from the files: who has nothing but these and the lock makes the same.
    assert_eq!(lock_text(&town), lock);
    std::fs::remove_dir_all(town.path("cache")).unwrap();
    assert_eq!(built(), with);
    town.write("shop/later.py", plain);
    assert_eq!(built(), before);
}

const LEAN: &[&str] = &[
    "sources of toy-template for toy_template: FileNotFoundError: [Errno 2] No such file or directory: \
     '/app/.venv/lib/python3.11/site-packages/toy_template/base.pyx'",
    "headers of toy-silent for toy_silent: RuntimeError: odd",
];

const SMALLEST: &[&str] = &[
    "sources of toy-template for toy_template: FileNotFoundError: [Errno 2] No such file or directory: \
     '/app/.venv/lib/python3.11/site-packages/toy_template/base.pyx'",
    "module-sources of toy-reader for toy_reader: OSError: could not get source code",
    "headers of toy-silent for toy_silent: RuntimeError: odd",
];
