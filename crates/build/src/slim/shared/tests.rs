use minke_cas::Epoch;
use minke_testkit::ElfObject;

use super::kin::leading;
use super::*;
use crate::parts::{Owner, Part};
use crate::settings::{Origin, Settings, Wishes};
use crate::slim::{Effect, Removal};
use crate::slim::{Lifts, orders};
use minke_cas::{Entry, Mode};

const SITE: &str = "/app/.venv/lib/python3.13/site-packages";

/// What a distribution brings: its name, and files below `site-packages`.
type Wheel<'a> = (&'a str, Vec<(&'a str, Vec<u8>)>);

/// Returns the wheels' trees that are others afterwards, and what was taken from them.
fn shared(
    directory: &tempfile::TempDir,
    settings: &str,
    wheels: &[Wheel<'_>],
) -> BTreeMap<usize, (Tree, Vec<Removal>)> {
    let store = Store::open(&directory.path().join("cache")).unwrap();
    let wishes = Wishes::from_minke_toml("minke.toml".as_ref(), settings).unwrap();
    let settings = Settings::of([(Origin::Default, wishes)]);
    let parts: Vec<Part> = wheels.iter().map(|wheel| part(&store, wheel)).collect();
    let orders: Vec<_> = parts.iter().map(|part| orders(&settings, &Lifts::new(), part)).collect();
    let siblings: Vec<Sibling<'_>> =
        parts.iter().zip(&orders).map(|(part, orders)| (&part.tree, orders.as_ref())).collect();
    let shared = share(&store, Rules::shipped(), &siblings).unwrap();
    shared.into_iter().map(|(part, Slimmed { tree, removals })| (part, (tree, removals))).collect()
}

/// Returns the links that stand in wheels' files, with what they lead to and the rule that says so.
fn links(settings: &str, wheels: &[Wheel<'_>]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut links = Vec::new();
    for (tree, removals) in shared(&directory, settings, wheels).values() {
        for Removal { path, rule, bytes, effect } in removals {
            let Some(Entry::Symlink(link)) = tree.get(path) else { panic!("{path} is no link") };
            let (_, files) = wheels
                .iter()
                .find(|(_, files)| files.iter().any(|(name, _)| path.as_str().ends_with(name)))
                .unwrap();
            let (_, before) = files.iter().find(|(name, _)| path.as_str().ends_with(name)).unwrap();
            assert_eq!((*effect, *bytes), (Effect::Linked, before.len() as u64));
            let short = path.as_str().trim_start_matches(SITE).trim_start_matches('/');
            links.push(format!("{short} -> {} ({rule})", link.target));
        }
    }
    links
}

fn part(store: &Store, (name, files): &Wheel<'_>) -> Part {
    let mut tree = Tree::new();
    for (path, bytes) in files {
        let file = File::new(store.put(bytes).unwrap(), bytes.len() as u64, Mode::EXECUTABLE);
        tree.insert(&format!("{SITE}/{path}").parse().unwrap(), file.into()).unwrap();
    }
    let owner = Owner::Distribution { name: (*name).to_owned(), version: "1".to_owned(), wheel_size: 0 };
    Part { owner, tree, epoch: Epoch::FIXED }
}

fn library(soname: &str, symbols: &[&str]) -> ElfObject {
    let defines = |object: ElfObject, name: &&str| object.defines(name);
    symbols.iter().fold(ElfObject::new().soname(soname).debug_bytes(LEAST as usize), defines)
}

/// An extension module that needs a library and symbols.
fn module(needed: &str, symbols: &[&str]) -> Vec<u8> {
    let imports = |object: ElfObject, name: &&str| object.imports(name);
    symbols.iter().fold(ElfObject::new().needed(needed).defines("PyInit_m"), imports).build()
}

const SMALLEST: &str = "slim.profile = 'smallest'";
const OLD: &str = "libblas-0123abcd.3.7.so";
const NEW: &str = "libblas-4567cdef.3.10.so";

/// `a` has an old library and a module that asks it for symbols, `b` a newer one.
fn old_and_new<'a>(asked: &[&str], newer: ElfObject) -> [Wheel<'a>; 2] {
    let old = library(OLD, &["dgemm", "dgetrf", "gone"]).build();
    [
        ("a", vec![("a.libs/libblas-0123abcd.3.7.so", old), ("a/m.so", module(OLD, asked))]),
        ("b", vec![("b.libs/libblas-4567cdef.3.10.so", newer.build()), ("b/m.so", module(NEW, &["dgemm"]))]),
    ]
}

#[test]
fn a_link_stands_for_an_equal_library_of_another_distribution() {
    let bytes = library("libz.so.1", &["inflate"]).build();
    let wheels = [
        ("b", vec![("b.libs/libz-01234567.so.1.2", bytes.clone())]),
        ("a", vec![("a.libs/libz-01234567.so.1.2", bytes.clone()), ("a/libz.so.1", bytes)]),
    ];
    // What one part has twice, its layer has once.
    assert_eq!(links(SMALLEST, &wheels), ["b.libs/libz-01234567.so.1.2 -> ../a/libz.so.1 (equal-libraries)"]);
    assert_eq!(links("slim.profile = 'lean'", &wheels), [""; 0]);
}

#[test]
fn the_newest_stands_for_what_has_nothing_that_is_asked_and_it_lacks() {
    let newer = || library(NEW, &["dgemm", "dgetrf", "more"]);
    let expected = format!("a.libs/{OLD} -> ../b.libs/{NEW} (compatible-libraries)");
    assert_eq!(links(SMALLEST, &old_and_new(&["dgemm"], newer())), [expected]);
    assert_eq!(links(SMALLEST, &old_and_new(&["dgemm", "gone"], newer())), [""; 0]);
    // What somebody else defines was never asked of it.
    assert_eq!(links(SMALLEST, &old_and_new(&["dgemm", "malloc"], newer())).len(), 1);
}

#[test]
fn a_version_that_is_asked_for_must_be_there() {
    let versioned =
        |version: &str| library("libfortran-1.so.5", &[]).defines_versioned("write", version).build();
    let module = ElfObject::new().defines("PyInit_m").needed("libfortran-00000001.so.5.0");
    let module = module.imports_versioned("write", "FORTRAN_8", "libfortran-00000001.so.5.0").build();
    let wheels = |newer: &str| {
        [
            (
                "a",
                vec![
                    ("a.libs/libfortran-00000001.so.5.0", versioned("FORTRAN_8")),
                    ("a/m.so", module.clone()),
                ],
            ),
            ("b", vec![("b.libs/libfortran-00000002.so.5.1", versioned(newer))]),
        ]
    };
    assert_eq!(links(SMALLEST, &wheels("FORTRAN_8")).len(), 1);
    assert_eq!(links(SMALLEST, &wheels("FORTRAN_9")), [""; 0]);
}

#[test]
fn what_nobody_needs_by_name_is_nobodys_to_judge() {
    let [mut a, b] = old_and_new(&["dgemm"], library(NEW, &["dgemm", "dgetrf", "gone"]));
    a.1.truncate(1);
    assert_eq!(links(SMALLEST, &[a, b]), [""; 0]);
}

#[test]
fn another_soname_is_another_library() {
    let (old, new) = (library("libx.so.1", &["f"]).build(), library("libx.so.2", &["f", "g"]).build());
    let wheels = [
        ("a", vec![("a.libs/libx-00000001.so.1.0", old), ("a/m.so", module("libx-00000001.so.1.0", &["f"]))]),
        ("b", vec![("b.libs/libx-00000002.so.2.0", new)]),
    ];
    assert_eq!(links(SMALLEST, &wheels), [""; 0]);
}

#[test]
fn what_stands_for_another_finds_its_own_needs_in_its_place() {
    let newer = library(NEW, &["dgemm"]).needed("libfortran-00000001.so.5").needed("libc.so.6");
    let [a, mut b] = old_and_new(&["dgemm"], newer);
    let fortran = |needed: &str| library("libfortran.so.5", &["write"]).needed(needed).build();
    b.1.push(("b.libs/libfortran-00000001.so.5", fortran("libquad-00000001.so.0")));
    b.1.push(("b.libs/libquad-00000001.so.0", library("libquad.so.0", &["sqrtq"]).build()));
    let directory = tempfile::tempdir().unwrap();
    let (tree, _) = &shared(&directory, SMALLEST, &[a, b])[&0];
    let links = tree.walk().filter_map(|(path, entry)| match entry {
        Entry::Symlink(link) => Some(format!("{} -> {}", path.name().unwrap(), link.target)),
        Entry::Directory(_) | Entry::File(_) => None,
    });
    assert_eq!(
        links.collect::<Vec<_>>(),
        [
            format!("{OLD} -> ../b.libs/{NEW}"),
            "libfortran-00000001.so.5 -> ../b.libs/libfortran-00000001.so.5".to_owned(),
            "libquad-00000001.so.0 -> ../b.libs/libquad-00000001.so.0".to_owned(),
        ]
    );
}

#[test]
fn what_only_a_replaced_library_needed_goes_with_it() {
    let [mut a, b] = old_and_new(&["dgemm"], library(NEW, &["dgemm"]));
    let old =
        library(OLD, &["dgemm"]).needed("libfortran-00000002.so.3").needed("libz-00000002.so.1").build();
    a.1[0] = ("a.libs/libblas-0123abcd.3.7.so", old);
    let fortran = library("libfortran-00000002.so.3", &["write"]).needed("libquad-00000002.so.0").build();
    a.1.push(("a.libs/libfortran-00000002.so.3", fortran));
    a.1.push(("a.libs/libquad-00000002.so.0", library("libquad-00000002.so.0", &["sqrtq"]).build()));
    a.1.push(("a.libs/libz-00000002.so.1", library("libz-00000002.so.1", &["inflate"]).build()));
    a.1.push(("a/z.so", module("libz-00000002.so.1", &["inflate"])));
    // Nobody says what this one is for.
    a.1.push(("a.libs/libopened.so", library("libopened.so", &["open"]).build()));
    let directory = tempfile::tempdir().unwrap();
    let (tree, removals) = &shared(&directory, SMALLEST, &[a, b])[&0];
    let gone = removals.iter().filter(|removal| removal.effect == Effect::Gone);
    let gone: Vec<&str> = gone.filter_map(|removal| removal.path.name()).collect();
    assert_eq!(gone, ["libfortran-00000002.so.3", "libquad-00000002.so.0"]);
    assert!(removals.iter().all(|removal| removal.rule == "compatible-libraries"), "{removals:?}");
    for removal in removals.iter().filter(|removal| removal.effect == Effect::Gone) {
        assert!(tree.get(&removal.path).is_none(), "{}", removal.path);
    }
}

#[test]
fn of_two_builds_in_one_distribution_one_is_enough() {
    let fortran = |versions: &[&str]| {
        let defines = |object: ElfObject, version: &&str| object.defines_versioned("write", version);
        versions.iter().fold(library("libfortran.so.5", &[]), defines).build()
    };
    let (own, theirs) = ("libfortran-00000001.so.5.0", "libfortran-00000002-00000003.so.5.0");
    let module = ElfObject::new().defines("PyInit_m").needed(theirs);
    let files = |newer: &[&str]| {
        vec![
            ("a.libs/libfortran-00000001.so.5.0", fortran(newer)),
            ("a.libs/libfortran-00000002-00000003.so.5.0", fortran(&["F_8"])),
            ("a/m.so", module.clone().imports_versioned("write", "F_8", theirs).build()),
        ]
    };
    let lean = "slim.profile = 'lean'";
    assert_eq!(
        links(lean, &[("a", files(&["F_8", "F_10"]))]),
        [format!("a.libs/{theirs} -> {own} (doubled-libraries)")]
    );
    assert_eq!(links(lean, &[("a", files(&["F_9", "F_10"]))]), [""; 0]);
    assert_eq!(links("slim.profile = 'safe'", &[("a", files(&["F_8", "F_10"]))]), [""; 0]);
}

#[test]
fn who_says_so_keeps_their_own() {
    let wheels = old_and_new(&["dgemm"], library(NEW, &["dgemm"]));
    let off = "slim.profile = 'smallest'\nslim.package.a.rules = { compatible-libraries = false }";
    assert_eq!(links(off, &wheels), [""; 0]);
    let keep = format!("slim.profile = 'smallest'\nslim.keep = ['{OLD}']");
    assert_eq!(links(&keep, &wheels), [""; 0]);
    let on = "slim.profile = 'none'\nslim.rules = { compatible-libraries = true }";
    assert_eq!(links(on, &wheels).len(), 1);
}

#[test]
fn a_record_tells_what_is_read_through_the_link() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    let [mut a, b] = old_and_new(&["dgemm"], library(NEW, &["dgemm"]));
    a.1.push(("a-1.dist-info/RECORD", format!("a.libs/{OLD},,\na/m.so,,\n").into_bytes()));
    let parts = [part(&store, &a), part(&store, &b)];
    let rules = ["equal-libraries", "compatible-libraries"].map(str::to_owned).to_vec();
    let orders =
        ["a", "b"].map(|owner| Orders { owner: owner.to_owned(), rules: rules.clone(), ..Orders::default() });
    let siblings = [(&parts[0].tree, Some(&orders[0])), (&parts[1].tree, Some(&orders[1]))];
    let changed = share(&store, Rules::shipped(), &siblings).unwrap();
    let record: ImagePath = format!("{SITE}/a-1.dist-info/RECORD").parse().unwrap();
    let written = store.read_file(changed[&0].tree.resolve_file(&record).unwrap()).unwrap();
    let written = String::from_utf8(written.to_vec()).unwrap();
    let newer: ImagePath = format!("{SITE}/b.libs/{NEW}").parse().unwrap();
    let size = parts[1].tree.resolve_file(&newer).unwrap().size;
    let row = written.lines().next().unwrap();
    assert!(
        row.starts_with(&format!("a.libs/{OLD},sha256=")) && row.ends_with(&format!(",{size}")),
        "{written}"
    );
    assert!(written.contains("a/m.so,,"), "{written}");
}

#[test]
fn names_tell_versions_and_marks() {
    let of = |name| {
        let Kin { stem, major, version, is_marked: _ } = Kin::of(name);
        (stem, major, version)
    };
    assert_eq!(of("libopenblasp-r0-34a18dc3.3.7.so"), ("libopenblasp-r0", None, (vec![3, 7], true)));
    assert_eq!(of("libgfortran-2e0d59d6.so.5.0.0"), ("libgfortran", Some(5), (vec![5, 0, 0], true)));
    assert_eq!(of("libblas-34a18dc3.3.9.dev.so"), ("libblas", None, (vec![3, 9], false)));
    assert_eq!(of("libgfortran-040039e1-0352e75f.so.5"), ("libgfortran", Some(5), (vec![5], true)));
    assert_eq!(of("libgomp.so.1"), ("libgomp", Some(1), (vec![1], true)));
    assert_eq!(of("libscipy_openblas64_-0abcdef1.so"), ("libscipy_openblas64_", None, (vec![], true)));
    assert_eq!(of("plain-name.so"), ("plain-name", None, (vec![], true)));
}

#[test]
fn links_are_relative() {
    let leads = |from: &str, to: &str| leading(&from.parse().unwrap(), &to.parse().unwrap());
    assert_eq!(leads("/s/a.libs/x.so", "/s/b.libs/y.so"), "../b.libs/y.so");
    assert_eq!(leads("/s/a/c/x.so", "/s/a/y.so"), "../y.so");
    assert_eq!(leads("/s/a/x.so", "/s/a/y.so"), "y.so");
}
