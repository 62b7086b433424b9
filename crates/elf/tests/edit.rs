//! Editing names, needs and search paths of shared objects, and loading what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use minke_elf::{Edit, EditError, Facts, Search, SegmentKind, Strip, Symbols, compact, edit};
use minke_testkit::{ElfObject, Machine, Numbers, python_with_pip};
use proptest::prelude::*;

fn user() -> ElfObject {
    ElfObject::new()
        .soname("libuser.so")
        .needed("libtoy.so.1")
        .needed("libc.so.6")
        .defines("user")
        .imports_versioned("toy", "TOY_1.0", "libtoy.so.1")
        .debug_bytes(9000)
}

fn toy() -> ElfObject {
    ElfObject::new().soname("libtoy.so.1").defines_versioned("toy", "TOY_1.0").debug_bytes(9000)
}

fn renamed(from: &str, to: &str) -> BTreeMap<String, Option<String>> {
    BTreeMap::from([(from.to_owned(), Some(to.to_owned()))])
}

/// What linking is about.
fn story(bytes: &[u8]) -> String {
    let facts = Facts::read(bytes).unwrap();
    let loads = facts.segments.iter().filter(|segment| segment.kind == SegmentKind::Load).count();
    format!(
        "{:?} needs {:?}\nfrom {:?} {:?}\nversions {:?}\n{loads} loads",
        facts.soname, facts.needed, facts.rpath, facts.runpath, facts.version_needs
    )
}

#[test]
fn names_needs_and_paths_are_what_was_asked_for() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let bytes = user().machine(machine).rpath("/opt/lib").build();
        let wish = Edit {
            soname: Some("libuser-0123abcd.so".to_owned()),
            needed: renamed("libtoy.so.1", "libtoy-4567cdef.so.1"),
            added: vec!["libmore.so".to_owned()],
            search: Search::Runpath("$ORIGIN/../toy.libs".to_owned()),
        };
        let new = edit(&bytes, &wish).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(story(&new), @r#"
                Some("libuser-0123abcd.so") needs ["libtoy-4567cdef.so.1", "libc.so.6", "libmore.so"]
                from None Some("$ORIGIN/../toy.libs")
                versions {"libtoy-4567cdef.so.1": {"TOY_1.0"}}
                2 loads
            "#);
        }
        assert_eq!(story(&compact(&new, Strip::All).unwrap()), story(&new));
    }
}

#[test]
fn what_is_there_already_takes_no_room() {
    let bytes = user().runpath("/opt/lib").build();
    let wish = Edit { search: Search::Default, soname: Some("libc.so.6".to_owned()), ..Edit::default() };
    let new = edit(&bytes, &wish).unwrap();
    assert_eq!(new.len(), bytes.len());
    insta::assert_snapshot!(story(&new), @r#"
        Some("libc.so.6") needs ["libtoy.so.1", "libc.so.6"]
        from None None
        versions {"libtoy.so.1": {"TOY_1.0"}}
        1 loads
    "#);
    assert_eq!(edit(&bytes, &Edit::default()), Ok(bytes));
}

#[test]
fn many_new_needs_move_the_list_too() {
    let added: Vec<String> = (0..40).map(|number| format!("libmore{number}.so")).collect();
    let new = edit(&user().build(), &Edit { added: added.clone(), ..Edit::default() }).unwrap();
    let needed = Facts::read(&new).unwrap().needed;
    assert_eq!(needed[..2], ["libtoy.so.1", "libc.so.6"]);
    assert_eq!(needed[2..], added);
}

#[test]
fn an_edited_file_is_edited_again() {
    let mut bytes = toy().build();
    for number in 0..10 {
        let soname = Some(format!("libtoy-with-a-longer-name-{number}.so"));
        bytes = edit(&bytes, &Edit { soname: soname.clone(), ..Edit::default() }).unwrap();
        assert_eq!(Facts::read(&bytes).unwrap().soname, soname);
        bytes = compact(&bytes, Strip::All).unwrap_or(bytes);
    }
    assert!(Symbols::read(&bytes).unwrap().defines("toy", Some("TOY_1.0")));
}

#[test]
fn what_cannot_be_done_safely_is_refused() {
    let program = ElfObject::new().interpreter("/lib64/ld.so").needed("libc.so.6").build();
    let soname = |name: &str| Edit { soname: Some(name.to_owned()), ..Edit::default() };
    assert_eq!(edit(&program, &soname("libx.so")), Err(EditError::Program));
    assert_eq!(edit(&toy().build(), &soname("lib\0x.so")), Err(EditError::Name));
    let without = Edit { needed: BTreeMap::from([("libtoy.so.1".to_owned(), None)]), ..Edit::default() };
    assert_eq!(edit(&user().build(), &without), Err(EditError::Versions));
    let without = Edit { needed: BTreeMap::from([("libc.so.6".to_owned(), None)]), ..Edit::default() };
    let new = edit(&user().build(), &without).unwrap();
    assert_eq!(Facts::read(&new).unwrap().needed, ["libtoy.so.1"]);
    assert!(matches!(edit(b"#!/bin/sh", &without), Err(EditError::Unreadable(_))));
}

#[test]
fn the_real_loader_loads_what_was_edited() {
    let Some(python) = python_with_pip() else { return };
    if !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        return minke_testkit::skip("this isn't an x86-64 machine with glibc");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("toy.libs")).unwrap();
    let soname = Edit { soname: Some("libtoy-0123abcd.so.1".to_owned()), ..Edit::default() };
    let library = edit(&toy().build(), &soname).unwrap();
    fs::write(dir.path().join("toy.libs/libtoy-0123abcd.so.1"), compact(&library, Strip::All).unwrap())
        .unwrap();
    let wish = Edit {
        needed: renamed("libtoy.so.1", "libtoy-0123abcd.so.1"),
        search: Search::Runpath("$ORIGIN/toy.libs".to_owned()),
        ..Edit::default()
    };
    let new = edit(&user().build(), &wish).unwrap();
    for (name, bytes) in [("plain.so", new.clone()), ("small.so", compact(&new, Strip::All).unwrap())] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let code = "import ctypes, sys; l = ctypes.CDLL(sys.argv[1]); print(*[ctypes.c_int64.in_dll(l, n).value for n in ('user', 'toy')])";
        let output = Command::new(&python).args(["-c", code]).arg(dir.path().join(name)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "42 42\n");
    }
}

/// What repairing a wheel does to a library: edited, then made small. A broken one says what was asked for, or nothing
/// is written; and whatever reads it ends.
#[test]
fn six_thousand_broken_files_are_edited_truly_or_not_at_all() {
    let mut numbers = Numbers::from_seed(0x2545_f491_4f6c_dd1d);
    let values = [0, 1, 2, 3, 5, 8, 0x10, 0x40, 0x7f, 0x80, 0xfe, 0xff];
    let wish = Edit {
        soname: Some("libuser-1a2b3c4d.so".to_owned()),
        needed: renamed("libtoy.so.1", "libtoy-1a2b3c4d.so.1"),
        search: Search::Runpath("$ORIGIN".to_owned()),
        ..Edit::default()
    };
    let whole = user().debug_bytes(300).build();
    let (mut made, mut kept) = (0, 0);
    for round in 0..6_000 {
        let mut bytes = whole.clone();
        for _ in 0..=numbers.below(5) {
            let at = match numbers.below(3) {
                0 => numbers.below(0x200),
                _ => numbers.below(bytes.len()),
            };
            bytes[at] = values[numbers.below(values.len())];
        }
        if numbers.below(10) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        let Ok(edited) = edit(&bytes, &wish) else {
            kept += 1;
            continue;
        };
        made += 1;
        let (before, after) = (Facts::read(&bytes).unwrap(), Facts::read(&edited).unwrap());
        assert_eq!(after.soname, wish.soname, "round {round}");
        assert_eq!(after.needed.len(), before.needed.len(), "round {round}");
        if let Ok(small) = compact(&edited, Strip::All) {
            assert_eq!(Facts::read(&small).unwrap().needed, after.needed, "round {round}");
            assert_eq!(
                Symbols::read(&small),
                Symbols::read(&bytes).map(|symbols| renamed_in(symbols, &wish)),
                "round {round}"
            );
        }
    }
    assert!(made > 500 && kept > 500, "{made} made, {kept} kept");
}

/// Symbols as they are asked of libraries by their new names.
fn renamed_in(mut symbols: Symbols, wish: &Edit) -> Symbols {
    for (_, library) in symbols.undefined.iter_mut().filter_map(|symbol| symbol.version.as_mut()) {
        if let Some(Some(new)) = wish.needed.get(library) {
            *library = new.clone();
        }
    }
    symbols.undefined.sort();
    symbols
}

proptest! {
    /// Whatever is broken in a file, editing it ends in what was asked for or in an error.
    #[test]
    fn damage_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = user().build();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let wish = Edit {
            needed: renamed("libtoy.so.1", "libelse.so.1"),
            search: Search::Runpath("$ORIGIN".to_owned()),
            ..Edit::default()
        };
        if let Ok(new) = edit(&bytes, &wish) {
            prop_assert_eq!(Facts::read(&new).unwrap().runpath, Some("$ORIGIN".to_owned()));
        }
    }
}
