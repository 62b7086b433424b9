use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::facts::{Class, Endian, Kind, Stack};

fn facts(needed: &[&str]) -> Facts {
    Facts {
        kind: Kind::SharedObject,
        machine: Machine::Amd64,
        class: Class::Bits64,
        endian: Endian::Little,
        interpreter: None,
        soname: None,
        needed: needed.iter().map(|name| (*name).to_owned()).collect(),
        rpath: None,
        runpath: None,
        no_default_directories: false,
        version_needs: BTreeMap::new(),
        version_definitions: BTreeSet::new(),
        python_modules: BTreeSet::new(),
        build_id: None,
        debug_bytes: 0,
        symbol_table_bytes: 0,
        segments: Vec::new(),
        stack: Stack::Data,
        has_tls: false,
        static_tls: false,
        packed_relocations: false,
        text_relocations: false,
        abi: None,
        x86_level: None,
    }
}

fn rpath(needed: &[&str], rpath: &str) -> Facts {
    Facts { rpath: Some(rpath.to_owned()), ..facts(needed) }
}

fn runpath(needed: &[&str], runpath: &str) -> Facts {
    Facts { runpath: Some(runpath.to_owned()), ..facts(needed) }
}

/// Says what is loaded for the first file and what isn't found, one line each.
fn resolve(files: &[(&str, Facts)]) -> String {
    let tree: BTreeMap<ImagePath, &Facts> =
        files.iter().map(|(path, facts)| (path.parse().unwrap(), facts)).collect();
    let first = files[0].0.parse().unwrap();
    let resolution = Resolver::debian(Machine::Amd64).resolve(|path| tree.get(path).copied(), &first);
    let objects = resolution.objects.iter().map(ToString::to_string);
    let unmet =
        resolution.unmet.iter().map(|Unmet { soname, needed_by }| format!("{soname} for {needed_by}"));
    let versions = resolution.missing_versions.iter();
    let versions = versions
        .map(|missing| format!("{} of {} for {}", missing.version, missing.library, missing.needed_by));
    objects.chain(unmet).chain(versions).collect::<Vec<_>>().join("\n")
}

#[test]
fn default_directories_come_last_and_in_order() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", facts(&["libc.so.6", "libz.so.1", "libnone.so"])),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", facts(&[])),
        ("/usr/lib/libc.so.6", facts(&[])),
        ("/usr/lib/libz.so.1", facts(&["libc.so.6"])),
    ]), @r"
        /app/m.so
        /usr/lib/x86_64-linux-gnu/libc.so.6
        /usr/lib/libz.so.1
        libnone.so for /app/m.so
    ");
}

#[test]
fn an_rpath_is_inherited_and_a_runpath_is_not() {
    let below = |first: Facts| {
        resolve(&[
            ("/app/p/m.so", first),
            ("/app/p.libs/liba.so", facts(&["libb.so"])),
            ("/app/p.libs/libb.so", facts(&[])),
        ])
    };
    insta::assert_snapshot!(below(rpath(&["liba.so"], "$ORIGIN/../p.libs")), @r"
        /app/p/m.so
        /app/p.libs/liba.so
        /app/p.libs/libb.so
    ");
    insta::assert_snapshot!(below(runpath(&["liba.so"], "${ORIGIN}/../p.libs")), @r"
        /app/p/m.so
        /app/p.libs/liba.so
        libb.so for /app/p.libs/liba.so
    ");
}

#[test]
fn a_runpath_makes_rpaths_void_its_own_and_the_inherited() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", rpath(&["liba.so"], "/a:/b")),
        ("/a/liba.so", Facts { rpath: Some("/a".to_owned()), ..runpath(&["libb.so"], "/c") }),
        ("/a/libb.so", facts(&[])),
        ("/b/libb.so", facts(&[])),
    ]), @r"
        /app/m.so
        /a/liba.so
        libb.so for /a/liba.so
    ");
}

#[test]
fn what_is_loaded_answers_to_its_soname() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", runpath(&["libreal-1234.so", "liba.so"], "$ORIGIN/libs")),
        ("/app/libs/libreal-1234.so", Facts { soname: Some("libreal.so.1".to_owned()), ..facts(&[]) }),
        ("/app/libs/liba.so", facts(&["libreal.so.1", "libreal-1234.so"])),
        ("/usr/lib/libreal.so.1", facts(&[])),
    ]), @r"
        /app/m.so
        /app/libs/libreal-1234.so
        /app/libs/liba.so
    ");
}

#[test]
fn a_file_for_another_processor_is_passed_over() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", runpath(&["liba.so"], "/arm:/wide")),
        ("/arm/liba.so", Facts { machine: Machine::Arm64, ..facts(&[]) }),
        ("/wide/liba.so", Facts { class: Class::Bits32, ..facts(&[]) }),
    ]), @r"
        /app/m.so
        liba.so for /app/m.so
    ");
}

#[test]
fn names_with_slashes_and_relative_entries_are_taken_as_the_loader_takes_them() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", runpath(&["/opt/liba.so", "$ORIGIN/libb.so", "sub/libc.so", "libd.so", "libe.so"],
            "lib::$ORIGINAL:/x/$LIB/$PLATFORM")),
        ("/opt/liba.so", facts(&[])),
        ("/app/libb.so", facts(&[])),
        ("/usr/lib/libc.so", facts(&[])),
        ("/app/lib/libd.so", facts(&[])),
        ("/x/lib/x86_64-linux-gnu/x86_64/libe.so", facts(&[])),
    ]), @r"
        /app/m.so
        /opt/liba.so
        /app/libb.so
        /x/lib/x86_64-linux-gnu/x86_64/libe.so
        sub/libc.so for /app/m.so
        libd.so for /app/m.so
    ");
}

#[test]
fn a_file_may_refuse_the_default_directories() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", Facts { no_default_directories: true, ..facts(&["libc.so.6"]) }),
        ("/usr/lib/libc.so.6", facts(&[])),
    ]), @r"
        /app/m.so
        libc.so.6 for /app/m.so
    ");
}

#[test]
fn a_version_that_the_found_library_lacks_is_reported() {
    let versions = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let needs = |library: &str, names: &[&str]| BTreeMap::from([(library.to_owned(), versions(names))]);
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", Facts { version_needs: needs("libc.so.6", &["GLIBC_2.2.5", "GLIBC_2.99"]), ..facts(&["libc.so.6", "libu.so"]) }),
        ("/usr/lib/libc.so.6", Facts { version_definitions: versions(&["GLIBC_2.2.5"]), ..facts(&[]) }),
        ("/usr/lib/libu.so", Facts { version_needs: needs("libm.so", &["X"]), ..facts(&["libm.so"]) }),
        ("/usr/lib/libm.so", facts(&[])),
    ]), @r"
        /app/m.so
        /usr/lib/libc.so.6
        /usr/lib/libu.so
        /usr/lib/libm.so
        GLIBC_2.99 of /usr/lib/libc.so.6 for /app/m.so
    ");
}

#[test]
fn many_files_share_one_sorted_list() {
    let (a, b) = (facts(&["libx.so", "libc.so.6"]), facts(&["libx.so", "libw.so"]));
    let tree: BTreeMap<ImagePath, &Facts> =
        [("/b.so", &b), ("/a.so", &a)].map(|(path, facts)| (path.parse().unwrap(), facts)).into();
    let resolver =
        Resolver { loaded: BTreeSet::from(["libc.so.6".to_owned()]), ..Resolver::debian(Machine::Amd64) };
    let unmet = resolver.unresolved(|path| tree.get(path).copied(), tree.keys().cloned());
    let names: Vec<_> = unmet.iter().map(|unmet| format!("{} {}", unmet.soname, unmet.needed_by)).collect();
    assert_eq!(names, ["libw.so /b.so", "libx.so /a.so", "libx.so /b.so"]);
}

/// A faster processor may get a library that needs more: it must be there, too.
#[test]
fn a_faster_twin_is_loaded_by_those_that_can_and_must_work() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", facts(&["libfast.so.1"])),
        ("/usr/lib/libfast.so.1", facts(&[])),
        ("/usr/lib/glibc-hwcaps/x86-64-v3/libfast.so.1", facts(&["libmore.so.1", "libthere.so.1"])),
        ("/usr/lib/glibc-hwcaps/x86-64-v2/libthere.so.1", facts(&[])),
        ("/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v4/libthere.so.1", facts(&[])),
    ]), @r"
        /app/m.so
        /usr/lib/libfast.so.1
        /usr/lib/glibc-hwcaps/x86-64-v3/libfast.so.1
        /usr/lib/glibc-hwcaps/x86-64-v2/libthere.so.1
        /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v4/libthere.so.1
        libmore.so.1 for /usr/lib/glibc-hwcaps/x86-64-v3/libfast.so.1
    ");
}

#[test]
fn a_library_that_only_faster_processors_have_is_missing() {
    insta::assert_snapshot!(resolve(&[
        ("/app/m.so", runpath(&["libfast.so.1"], "$ORIGIN/lib")),
        ("/app/lib/glibc-hwcaps/x86-64-v2/libfast.so.1", facts(&[])),
    ]), @r"
        /app/m.so
        /app/lib/glibc-hwcaps/x86-64-v2/libfast.so.1
        libfast.so.1 for /app/m.so
    ");
}
