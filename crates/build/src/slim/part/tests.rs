use std::collections::BTreeSet;

use minke_cas::Digest;
use minke_testkit::ElfObject;

use super::*;
use crate::parts::{Owner, Part};
use crate::settings::{Profile, Settings, Wishes};
use crate::slim::{Lifts, orders};

const SITE: &str = "/app/.venv/lib/python3.13/site-packages";

struct Yard {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Yard {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        Self { _directory: directory, store }
    }

    /// Puts files into a tree; one that doesn't begin at the root lies in `site-packages`.
    fn tree(&self, files: &[(&str, &[u8])]) -> Tree {
        let mut tree = Tree::new();
        for (path, bytes) in files {
            let path = if path.starts_with('/') { (*path).to_owned() } else { format!("{SITE}/{path}") };
            let mode = if bytes.starts_with(b"\x7fELF") { Mode::EXECUTABLE } else { Mode::REGULAR };
            let file = File::new(self.store.put(bytes).unwrap(), bytes.len() as u64, mode);
            tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        }
        tree
    }

    fn slim(&self, owner: &Owner, settings: &str, tree: &Tree) -> Slimmed {
        let wishes = Wishes::from_minke_toml("minke.toml".as_ref(), settings).unwrap();
        let settings = Settings::of([(crate::settings::Origin::Default, wishes)]);
        let part = Part { owner: owner.clone(), tree: tree.clone(), epoch: minke_cas::Epoch::FIXED };
        let orders = orders(&settings, &Lifts::new(), &part).unwrap();
        slim(&self.store, Rules::shipped(), &orders, tree).unwrap()
    }

    fn text(&self, tree: &Tree, path: &str) -> String {
        let Some(Entry::File(file)) = tree.get(&path.parse().unwrap()) else { panic!("{path} is no file") };
        String::from_utf8(self.store.read_file(file).unwrap()).unwrap()
    }
}

fn wheel(name: &str) -> Owner {
    Owner::Distribution { name: name.to_owned(), version: "1".to_owned(), wheel_size: 0 }
}

fn base(name: &str) -> Owner {
    Owner::Base { name: format!("{name} 1-1") }
}

fn profile(profile: Profile) -> String {
    format!("slim.profile = '{profile}'")
}

/// Returns the files that are gone from a tree of some, with the rule that took each.
fn gone(owner: &Owner, settings: &str, files: &[(&str, &[u8])]) -> Vec<String> {
    let yard = Yard::new();
    let tree = yard.tree(files);
    let slimmed = yard.slim(owner, settings, &tree);
    for removal in &slimmed.removals {
        let is_there = slimmed.tree.get(&removal.path).is_some();
        assert!(is_there == (removal.effect == Effect::Smaller), "{}", removal.path);
    }
    let short = |path: &ImagePath| path.as_str().trim_start_matches(SITE).trim_start_matches('/').to_owned();
    slimmed.removals.iter().map(|removal| format!("{} {}", short(&removal.path), removal.rule)).collect()
}

/// As [`gone`], of files that hold nothing of interest.
fn gone_of(owner: &Owner, named: Profile, paths: &[&str]) -> Vec<String> {
    let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (*path, path.as_bytes())).collect();
    gone(owner, &profile(named), &files)
}

#[test]
fn documentation_of_packages_goes_and_copyright_stays() {
    let paths = [
        "/usr/share/doc/libc6/changelog.gz",
        "/usr/share/doc/libc6/copyright",
        "/usr/share/man/man1/ldd.1.gz",
        "/usr/share/lintian/overrides/libc6",
        "/usr/share/common-licenses/GPL-3",
        "/usr/share/zoneinfo/UTC",
        "/var/lib/dpkg/status.d/libc6",
        "/usr/lib/locale/C.utf8/LC_CTYPE",
    ];
    let taken = gone_of(&base("libc6"), Profile::Safe, &paths);
    let named = |path: &str| format!("{} documentation", path.trim_start_matches('/'));
    assert_eq!(taken, [named(paths[0]), named(paths[3]), named(paths[2])]);
}

#[test]
fn what_only_tests_import_goes_unless_other_code_names_it() {
    let files: [(&str, &[u8]); 6] = [
        ("a/__init__.py", b"from ._core import used_tests\n"),
        ("a/_core/_used_tests.abi3.so", b"\x7fELF"),
        ("a/_core/_idle_tests.cpython-313-x86_64-linux-gnu.so", b"\x7fELF"),
        ("a/api.py", b"def f():\n    from a._core import _used_tests\n"),
        ("a/conftest.py", b"from a._core import _idle_tests\n"),
        ("a/_core/_tests_of_none.py", b""),
    ];
    let taken = gone(&wheel("a"), &profile(Profile::Lean), &files);
    assert_eq!(
        taken,
        ["a/_core/_idle_tests.cpython-313-x86_64-linux-gnu.so test-modules", "a/conftest.py test-modules"]
    );
    assert_eq!(gone(&wheel("a"), &profile(Profile::Safe), &files), Vec::<String>::new());
}

#[test]
fn berkeley_db_goes_and_its_module_says_so() {
    let yard = Yard::new();
    let module = "/usr/lib/python3.13/lib-dynload/_dbm.cpython-313-x86_64-linux-gnu.so";
    let tree = yard.tree(&[(module, b"x"), ("/usr/lib/python3.13/dbm/ndbm.py", b"from _dbm import *\n")]);
    let slimmed = yard.slim(&base("libpython3.13-stdlib"), &profile(Profile::Lean), &tree);
    assert_eq!(slimmed.tree.get(&module.parse().unwrap()), None);
    let hint = yard.text(&slimmed.tree, "/usr/lib/python3.13/_dbm.py");
    assert!(hint.contains("rules = { python-berkeley-db = false }"), "{hint}");
}

#[test]
fn a_library_of_the_base_stays_if_something_else_needs_it() {
    let yard = Yard::new();
    let library = "/usr/lib/x86_64-linux-gnu/libdb-5.3.so";
    let versioned = "/usr/lib/x86_64-linux-gnu/libnsl.so.1";
    let needed_by_nis = "/usr/lib/x86_64-linux-gnu/libnsl.so.2.0.1";
    let tree = yard.tree(&[(library, b"x"), (versioned, b"y"), (needed_by_nis, b"z")]);
    let wishes = Wishes::from_minke_toml("minke.toml".as_ref(), &profile(Profile::Lean)).unwrap();
    let settings = Settings::of([(crate::settings::Origin::Default, wishes)]);
    let part = Part { owner: base("libdb5.3t64"), tree: tree.clone(), epoch: minke_cas::Epoch::FIXED };
    let slimmed = |needed: &[&str]| {
        let mut orders = orders(&settings, &Lifts::new(), &part).unwrap();
        orders.keep_libraries(&needed.iter().map(ToString::to_string).collect(), &tree);
        let slimmed = slim(&yard.store, Rules::shipped(), &orders, &tree).unwrap();
        slimmed.tree.files().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(slimmed(&[]), [needed_by_nis]);
    assert_eq!(slimmed(&["libdb-5.3.so", "libz.so.1"]), [library, needed_by_nis]);
    assert_eq!(slimmed(&["libnsl.so.1", "libnsl.so.10"]), [versioned, needed_by_nis]);
}

#[test]
fn converters_translations_and_headers_go_in_lean_only() {
    let paths = [
        "/usr/include/zlib.h",
        "/usr/lib/x86_64-linux-gnu/gconv/BIG5.so",
        "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
        "/usr/lib/x86_64-linux-gnu/libz.a",
        "/usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc",
        "/usr/share/locale/de/LC_MESSAGES/libc.mo",
    ];
    assert_eq!(gone_of(&base("libc6"), Profile::Safe, &paths), Vec::<String>::new());
    assert_eq!(
        gone_of(&base("libc6"), Profile::Lean, &paths),
        [
            "usr/include/zlib.h headers",
            "usr/lib/x86_64-linux-gnu/gconv/BIG5.so character-converters",
            "usr/lib/x86_64-linux-gnu/libz.a static-libraries",
            "usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc build-leftovers",
            "usr/share/locale/de/LC_MESSAGES/libc.mo locales",
        ]
    );
}

#[test]
fn a_wheels_sources_and_headers_go_where_nobody_compiles() {
    let paths = [
        "pkg/_fast.pyx",
        "pkg/_fast.c",
        "pkg/_fast.cpython-313-x86_64-linux-gnu.so",
        "pkg/include/pkg.h",
        "pkg/lib/libpkg.a",
        "pkg/data.f.json",
        "pkg/static/app.js.map",
        "pkg/static/app.js",
        "pkg/x.py",
    ];
    assert_eq!(
        gone_of(&wheel("pkg"), Profile::Lean, &paths),
        [
            "pkg/_fast.c sources",
            "pkg/_fast.pyx sources",
            "pkg/include/pkg.h headers",
            "pkg/lib/libpkg.a static-libraries",
            "pkg/static/app.js.map source-maps",
        ]
    );
    assert_eq!(gone_of(&wheel("cffi"), Profile::Lean, &["cffi/_cffi_include.h"]), Vec::<String>::new());
    let of_triton = gone_of(&wheel("triton"), Profile::Lean, &["triton/backends/nvidia/driver.c"]);
    assert_eq!(of_triton, Vec::<String>::new());
}

#[test]
fn metadata_and_licences_stay_whatever_is_said() {
    let files: &[(&str, &[u8])] = &[
        ("pkg-1.dist-info/METADATA", b"m"),
        ("pkg-1.dist-info/sboms/x.cdx.json", b"s"),
        ("pkg/tests/LICENSE.txt", b"l"),
        ("pkg/licenses/MIT", b"l"),
        ("pkg/license.py", b"import this"),
    ];
    let settings = "slim.profile = 'smallest'\nslim.drop = ['**']";
    assert_eq!(gone(&wheel("pkg"), settings, files), ["pkg/license.py drop"]);
}

#[test]
fn a_stub_goes_where_its_module_lies_beside_it_and_doesnt_read_it() {
    let files: &[(&str, &[u8])] = &[
        ("pkg/__init__.py", b"__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)"),
        ("pkg/__init__.pyi", b"from . import x"),
        ("pkg/x.py", b""),
        ("pkg/x.pyi", b""),
        ("pkg/_fast.abi3.so", b"no elf"),
        ("pkg/_fast.pyi", b""),
        ("pkg/typeshed/os.pyi", b""),
        ("pkg-stubs/y.pyi", b""),
        ("pkg/py.typed", b""),
    ];
    let taken = gone(&wheel("pkg"), &profile(Profile::Lean), files);
    assert_eq!(taken, ["pkg/_fast.pyi stubs", "pkg/x.pyi stubs", "pkg-stubs/y.pyi stubs"]);
    let jedi: &[(&str, &[u8])] = &[("jedi/a.py", b""), ("jedi/a.pyi", b"")];
    assert_eq!(gone(&wheel("jedi"), &profile(Profile::Lean), jedi), Vec::<String>::new());
}

#[test]
fn a_test_suite_goes_without_what_other_code_imports_from_it() {
    let files: &[(&str, &[u8])] = &[
        ("pkg/__init__.py", b"def test():\n    from .tests import runner\n"),
        ("pkg/sub/__init__.py", b""),
        ("pkg/sub/tests/test_x.py", b"from pkg.tests import helper"),
        ("pkg/sub/tests/data.csv", b"1"),
        ("pkg/tests/__init__.py", b""),
        ("pkg/tests/helper.py", b""),
        ("pkg/tests/runner.py", b"from pkg.tests.used import x"),
        ("pkg/tests/test_y.py", b""),
        ("pkg/tests/used.py", b""),
        // No test suite: nothing in it is called so.
        ("pkg/plugins/test/core.py", b""),
        ("pkg/testing/__init__.py", b""),
    ];
    assert_eq!(
        gone(&wheel("pkg"), &profile(Profile::Lean), files),
        [
            "pkg/sub/tests/data.csv tests",
            "pkg/sub/tests/test_x.py tests",
            "pkg/tests/helper.py tests",
            "pkg/tests/test_y.py tests",
        ]
    );
}

#[test]
fn what_entry_points_and_strings_name_is_imported() {
    let files: &[(&str, &[u8])] = &[
        ("pkg/__init__.py", b"PLUGINS = ['pkg.tests.plugin']"),
        ("pkg/tests/plugin.py", b""),
        ("pkg/tests/entry.py", b""),
        ("pkg/tests/test_x.py", b""),
        ("pkg-1.dist-info/entry_points.txt", b"[pytest11]\npkg = pkg.tests.entry:main\n"),
    ];
    assert_eq!(gone(&wheel("pkg"), &profile(Profile::Lean), files), ["pkg/tests/test_x.py tests"]);
}

#[test]
fn a_distribution_that_is_called_so_is_no_test_suite() {
    let files: &[(&str, &[u8])] = &[("tests/__init__.py", b""), ("tests/test_x.py", b"")];
    assert_eq!(gone(&wheel("tests"), &profile(Profile::Lean), files), Vec::<String>::new());
    let beside: &[(&str, &[u8])] = &[("pkg.py", b""), ("tests/__init__.py", b""), ("tests/test_x.py", b"")];
    let taken = gone(&wheel("pkg"), &profile(Profile::Lean), beside);
    assert_eq!(taken, ["tests/__init__.py tests", "tests/test_x.py tests"]);
}

#[test]
fn public_test_packages_of_some_are_spared() {
    let files: &[(&str, &[u8])] =
        &[("twisted/a.py", b""), ("twisted/test/test_x.py", b""), ("twisted/test/proto_helpers.py", b"")];
    assert_eq!(gone(&wheel("twisted"), &profile(Profile::Lean), files), Vec::<String>::new());
}

#[test]
fn examples_go() {
    let paths = ["pkg/x.py", "pkg/examples/demo.py", "pkg/mpl-data/sample_data/a.csv", "pkg/samples.py"];
    let taken = gone_of(&wheel("pkg"), Profile::Lean, &paths);
    assert_eq!(taken, ["pkg/examples/demo.py examples", "pkg/mpl-data/sample_data/a.csv examples"]);
    assert_eq!(
        gone_of(&wheel("bokeh"), Profile::Lean, &["bokeh/x.py", "bokeh/examples/a.py"]),
        Vec::<String>::new()
    );
}

#[test]
fn data_of_examples_stays_where_their_package_is_named() {
    let files: &[(&str, &[u8])] = &[
        ("pkg/a.py", b"index = files('pkg.example_data') / 'index.txt'\n"),
        ("pkg/example_data/__init__.py", b""),
        ("pkg/example_data/unnamed.py", b""),
        ("pkg/example_data/index.txt", b""),
        ("pkg/example_data/more/x.bin", b""),
        ("pkg/sample_data/__init__.py", b""),
        ("pkg/sample_data/b.csv", b""),
    ];
    let taken = gone(&wheel("pkg"), &profile(Profile::Lean), files);
    let wanted = ["pkg/example_data/unnamed.py", "pkg/sample_data/__init__.py", "pkg/sample_data/b.csv"];
    assert_eq!(taken, wanted.map(|path| format!("{path} examples")));
}

#[test]
fn a_removed_part_of_the_standard_library_says_how_it_comes_back() {
    let yard = Yard::new();
    let tree = yard.tree(&[
        ("/usr/lib/python3.13/test/__init__.py", b"" as &[u8]),
        ("/usr/lib/python3.13/test/support/__init__.py", b""),
        ("/usr/lib/python3.13/turtle.py", b"import tkinter"),
        ("/usr/lib/python3.13/lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so", b""),
        ("/usr/lib/python3.13/json/__init__.py", b""),
    ]);
    let Slimmed { tree, .. } = yard.slim(&base("libpython3.13-stdlib"), &profile(Profile::Lean), &tree);
    let left: BTreeSet<String> = tree.files().map(|(path, _)| path.to_string()).collect();
    let expected =
        ["json/__init__.py", "test.py", "turtle.py"].map(|name| format!("/usr/lib/python3.13/{name}"));
    assert_eq!(left, BTreeSet::from(expected));
    insta::assert_snapshot!(yard.text(&tree, "/usr/lib/python3.13/turtle.py"), @r#"
    raise ModuleNotFoundError(
        "`turtle` was left out of this image by the rule `python-gui`; "
        "`rules = { python-gui = false }` in [tool.minke.slim] brings it back",
        name="turtle",
    )
    "#);
}

#[test]
fn libraries_lose_what_no_loader_reads() {
    let yard = Yard::new();
    let elf = ElfObject::new().soname("libx.so").defines("x").debug_bytes(5000).build();
    let record = format!(
        "pkg/libx.so,,{}\npkg/tests/test_x.py,,1\npkg/x.py,,0\npkg-1.dist-info/RECORD,,\n",
        elf.len()
    );
    let tree = yard.tree(&[
        ("pkg/libx.so", &elf as &[u8]),
        ("pkg/x.py", b""),
        ("pkg/tests/test_x.py", b"1"),
        ("pkg-1.dist-info/RECORD", record.as_bytes()),
    ]);
    let slimmed = yard.slim(&wheel("pkg"), &profile(Profile::Lean), &tree);
    let path: ImagePath = format!("{SITE}/pkg/libx.so").parse().unwrap();
    let Some(Entry::File(file)) = slimmed.tree.get(&path) else { panic!("it is there") };
    let smaller = minke_elf::compact(&elf, Strip::All).unwrap();
    assert_eq!(yard.store.read_file(file).unwrap(), smaller);
    let saved = (elf.len() - smaller.len()) as u64;
    let removal =
        |path: ImagePath, rule: &str, bytes, effect| Removal { path, rule: rule.to_owned(), bytes, effect };
    let test = format!("{SITE}/pkg/tests/test_x.py").parse().unwrap();
    let expected =
        [removal(path, "symbol-tables", saved, Effect::Smaller), removal(test, "tests", 1, Effect::Gone)];
    assert_eq!(slimmed.removals, expected);
    let hash = RecordText::of(&smaller);
    let expected = format!("pkg-1.dist-info/RECORD,,\npkg/libx.so,{hash}\npkg/x.py,,0\n");
    assert_eq!(yard.text(&slimmed.tree, &format!("{SITE}/pkg-1.dist-info/RECORD")), expected);
    // Once more, it is all remembered, and where the rule is off the file stays as it is.
    assert_eq!(yard.slim(&wheel("pkg"), &profile(Profile::Lean), &tree), slimmed);
    let off = "slim.profile = 'lean'\nslim.rules = { symbol-tables = false, debug-information = false }";
    let kept = yard.slim(&wheel("pkg"), off, &tree);
    assert!(kept.removals.iter().all(|removal| removal.effect == Effect::Gone));
}

struct RecordText;

impl RecordText {
    fn of(bytes: &[u8]) -> String {
        let entry = minke_python::RecordEntry::of(Digest::of(bytes), bytes.len() as u64);
        let record = minke_python::Record { entries: [("x".to_owned(), entry)].into() };
        record.to_text().trim_start_matches("x,").trim_end().to_owned()
    }
}

#[test]
fn settings_keep_drop_and_switch_for_all_and_for_one() {
    let files: &[(&str, &[u8])] =
        &[("pkg/a.c", b""), ("pkg/b.c", b""), ("pkg/big.dat", b""), ("pkg/x.py", b""), ("pkg/x.pyi", b"")];
    let settings = "[slim]\nprofile = 'lean'\nkeep = ['pkg/a.c']\nrules = { stubs = false }\n\
                    [slim.package.pkg]\ndrop = ['*.dat']\n[slim.package.other]\nrules = { sources = false }";
    assert_eq!(gone(&wheel("pkg"), settings, files), ["pkg/b.c sources", "pkg/big.dat drop"]);
    let settings = "[slim]\nprofile = 'none'\n[slim.package.pkg]\nrules = { sources = true }";
    assert_eq!(gone(&wheel("pkg"), settings, files), ["pkg/a.c sources", "pkg/b.c sources"]);
    assert_eq!(gone(&wheel("pkg"), "slim.profile = 'none'", files), Vec::<String>::new());
}

#[test]
fn a_lifted_rule_leaves_that_owner_alone() {
    let wishes = Wishes::from_minke_toml("minke.toml".as_ref(), "slim.profile = 'lean'").unwrap();
    let settings = Settings::of([(crate::settings::Origin::Default, wishes)]);
    let lifts = Lifts::from([("pkg".to_owned(), BTreeSet::from(["tests".to_owned()]))]);
    let has_tests = |name: &str| {
        let part = Part { owner: wheel(name), tree: Tree::new(), epoch: minke_cas::Epoch::FIXED };
        orders(&settings, &lifts, &part).unwrap().rules.contains(&"tests".to_owned())
    };
    assert_eq!((has_tests("pkg"), has_tests("other")), (false, true));
}

#[test]
fn a_link_to_what_is_gone_goes_too_and_emptied_directories() {
    let yard = Yard::new();
    let mut tree = yard.tree(&[("pkg/lib/libx.a", b"x" as &[u8]), ("pkg/x.py", b"")]);
    let link = format!("{SITE}/pkg/lib/liby.a").parse().unwrap();
    tree.insert(&link, Entry::symlink("libx.a")).unwrap();
    let slimmed = yard.slim(&wheel("pkg"), &profile(Profile::Lean), &tree);
    let left: Vec<ImagePath> = slimmed.tree.walk().map(|(path, _)| path).collect();
    assert_eq!(left.last().unwrap().as_str(), format!("{SITE}/pkg/x.py"));
    assert!(!left.iter().any(|path| path.as_str().ends_with("pkg/lib")));
    assert_eq!(slimmed.removals.len(), 2);
}
