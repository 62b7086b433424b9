//! Who defines the symbols that a module needs: looked for as the loader looks.

use std::collections::BTreeMap;
use std::rc::Rc;

use minke_cas::ImagePath;
use minke_elf::{Facts, Machine, Process, Resolver, Symbols};
use minke_testkit::ElfObject;

fn path(path: &str) -> ImagePath {
    path.parse().unwrap()
}

/// Says what `/app/m.so` misses when an interpreter loads it after other modules, one line each.
fn missed(resolver: &Resolver, modules: &[&str], files: &[(&str, ElfObject)]) -> String {
    let read = |object: &ElfObject| {
        let bytes = object.build();
        (Facts::read(&bytes).unwrap(), Rc::new(Symbols::read(&bytes).unwrap()))
    };
    let tree: BTreeMap<ImagePath, (Facts, Rc<Symbols>)> =
        files.iter().map(|(at, object)| (path(at), read(object))).collect();
    let (program, file) = (path("/usr/bin/python3"), path("/app/m.so"));
    let modules: Vec<ImagePath> = modules.iter().map(|at| path(at)).collect();
    let process = Process { program: Some(&program), modules: &modules };
    let view = |path: &ImagePath| tree.get(path).map(|(facts, _)| facts);
    let symbols = |path: &ImagePath| tree.get(path).map(|(_, symbols)| Rc::clone(symbols));
    let unbound = resolver.unbound(view, symbols, process, &file);
    let line = |symbol: &minke_elf::Unbound| {
        let version = symbol.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
        format!("{}{version} for {}", symbol.symbol, symbol.needed_by)
    };
    unbound.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn glibc() -> Resolver {
    Resolver::debian(Machine::Amd64)
}

fn interpreter() -> ElfObject {
    ElfObject::new().interpreter("/lib64/ld.so").needed("libc.so.6").defines("PyList_New")
}

fn libc() -> ElfObject {
    ElfObject::new().soname("libc.so.6").defines_versioned("malloc", "GLIBC_2.2.5")
}

#[test]
fn the_interpreter_and_what_it_needs_define_for_all() {
    let module = ElfObject::new()
        .imports("PyList_New")
        .imports("PyList_Old")
        .needed("libc.so.6")
        .imports_versioned("malloc", "GLIBC_2.2.5", "libc.so.6")
        .imports_versioned("malloc", "GLIBC_2.99", "libc.so.6");
    let files = [("/usr/bin/python3", interpreter()), ("/usr/lib/libc.so.6", libc()), ("/app/m.so", module)];
    insta::assert_snapshot!(missed(&glibc(), &[], &files), @r"
        PyList_Old for /app/m.so
        malloc@GLIBC_2.99 for /app/m.so
    ");
}

#[test]
fn what_another_module_loaded_helps_who_needs_it_by_name() {
    let parent = ElfObject::new().needed("libblas.so").runpath("$ORIGIN/libs");
    let blas = ElfObject::new().soname("libblas.so").defines("gemm");
    let module = ElfObject::new().imports("gemm");
    let files = |module: ElfObject| {
        [
            ("/usr/bin/python3", interpreter()),
            ("/app/parent/p.so", parent.clone()),
            ("/app/parent/libs/libblas.so", blas.clone()),
            ("/app/m.so", module),
        ]
    };
    let with_need = module.clone().needed("libblas.so");
    assert_eq!(missed(&glibc(), &["/app/parent/p.so"], &files(with_need.clone())), "");
    assert_eq!(missed(&glibc(), &[], &files(with_need)), "gemm for /app/m.so");
    assert_eq!(missed(&glibc(), &["/app/parent/p.so"], &files(module)), "gemm for /app/m.so");
}

#[test]
fn a_library_that_a_module_brings_is_looked_at_too() {
    let files = [
        ("/usr/bin/python3", interpreter()),
        ("/app/m.so", ElfObject::new().needed("libown.so").runpath("$ORIGIN").imports("own")),
        ("/app/libown.so", ElfObject::new().defines("own").imports("nobodys")),
    ];
    assert_eq!(missed(&glibc(), &[], &files), "nobodys for /app/libown.so");
}

#[test]
fn musl_is_its_own_loader_and_knows_no_versions() {
    let program = ElfObject::new().interpreter("/lib/ld-musl.so.1").needed("libc.musl-x86_64.so.1");
    let musl =
        ElfObject::new().soname("libc.musl-x86_64.so.1").defines("malloc").defines_versioned("old", "A");
    let module = ElfObject::new()
        .needed("libc.musl-x86_64.so.1")
        .needed("libown.so")
        .runpath("$ORIGIN/libs")
        .imports("malloc")
        .imports_versioned("old", "B", "libown.so")
        .imports("deep");
    let files = [
        ("/usr/bin/python3", program),
        ("/lib/ld-musl.so.1", musl),
        ("/app/m.so", module),
        ("/app/libs/libown.so", ElfObject::new().needed("libdeep.so")),
        // Only musl lets a RUNPATH count for what is loaded because of its file.
        ("/app/libs/libdeep.so", ElfObject::new().defines("deep")),
    ];
    assert_eq!(missed(&Resolver::musl(), &[], &files), "");
    assert_eq!(missed(&glibc(), &[], &files), "deep for /app/m.so\nold@B for /app/m.so");
}

#[test]
fn to_musl_a_library_is_only_what_it_was_asked_for_as() {
    let parent = ElfObject::new().needed("libreal.so").runpath("$ORIGIN");
    let real = ElfObject::new().soname("libname.so").defines("it");
    let files = [
        ("/usr/bin/python3", interpreter()),
        ("/app/parent/p.so", parent),
        ("/app/parent/libreal.so", real),
        ("/app/m.so", ElfObject::new().needed("libname.so").imports("it")),
    ];
    assert_eq!(missed(&glibc(), &["/app/parent/p.so"], &files), "");
    assert_eq!(missed(&Resolver::musl(), &["/app/parent/p.so"], &files), "it for /app/m.so");
}

#[test]
fn musl_reads_no_path_with_words_it_does_not_know() {
    let files = |runpath: &str| {
        [
            ("/usr/bin/python3", interpreter()),
            ("/app/m.so", ElfObject::new().needed("libown.so").runpath(runpath).imports("own")),
            ("/app/libown.so", ElfObject::new().defines("own")),
        ]
    };
    assert_eq!(missed(&Resolver::musl(), &[], &files("${ORIGIN}:/none")), "");
    assert_eq!(missed(&Resolver::musl(), &[], &files("$ORIGIN:/$LIB")), "own for /app/m.so");
    assert_eq!(missed(&glibc(), &[], &files("$ORIGIN:/$LIB")), "");
}
