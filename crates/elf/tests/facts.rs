//! Reading ELF files: true ones, damaged ones, and ones that lie.

use std::fs;

use minke_elf::{
    Binding, Class, ElfError, Endian, Facts, Kind, Machine, SegmentKind, Stack, Symbols, is_elf,
};
use minke_testkit::{ElfObject, Machine as Target};
use proptest::prelude::*;

fn object(target: Target) -> Vec<u8> {
    ElfObject::new()
        .machine(target)
        .soname("libown.so.1")
        .needed("libc.so.6")
        .needed("libz.so.1")
        .runpath("$ORIGIN/../libs:/opt/lib")
        .defines("plain")
        .defines_versioned("versioned", "OWN_1.0")
        .imports("anybody")
        .imports_versioned("malloc", "GLIBC_2.2.5", "libc.so.6")
        .imports_versioned("memcpy", "GLIBC_2.14", "libc.so.6")
        .imports_versioned("inflate", "ZLIB_1.2", "libz.so.1")
        .debug_bytes(1000)
        .build()
}

/// The facts that linking is about, a line each.
fn story(bytes: &[u8]) -> String {
    let (facts, symbols) = (Facts::read(bytes).unwrap(), Symbols::read(bytes).unwrap());
    let mut lines = vec![
        format!("{:?} {:?} {:?} {:?}", facts.kind, facts.machine, facts.class, facts.endian),
        format!("soname {:?} runpath {:?} rpath {:?}", facts.soname, facts.runpath, facts.rpath),
        format!("interpreter {:?} debug {}", facts.interpreter, facts.debug_bytes),
        format!("needs {:?}", facts.needed),
        format!("versions needed {:?}", facts.version_needs),
        format!("versions defined {:?}", facts.version_definitions),
    ];
    lines
        .extend(symbols.undefined.iter().map(|symbol| format!("wants {} {:?}", symbol.name, symbol.version)));
    lines.extend(
        symbols
            .defined
            .iter()
            .map(|symbol| format!("has {} {:?} {}", symbol.name, symbol.version, symbol.default)),
    );
    lines.join("\n")
}

#[test]
fn everything_that_linking_needs_is_read() {
    insta::assert_snapshot!(story(&object(Target::X86_64)), @r#"
        SharedObject Amd64 Bits64 Little
        soname Some("libown.so.1") runpath Some("$ORIGIN/../libs:/opt/lib") rpath None
        interpreter None debug 1000
        needs ["libc.so.6", "libz.so.1"]
        versions needed {"libc.so.6": {"GLIBC_2.14", "GLIBC_2.2.5"}, "libz.so.1": {"ZLIB_1.2"}}
        versions defined {"OWN_1.0", "libown.so.1"}
        wants anybody None
        wants inflate Some(("ZLIB_1.2", "libz.so.1"))
        wants malloc Some(("GLIBC_2.2.5", "libc.so.6"))
        wants memcpy Some(("GLIBC_2.14", "libc.so.6"))
        has plain None true
        has versioned Some("OWN_1.0") true
    "#);
}

#[test]
fn the_processor_makes_no_other_difference() {
    let objects = (object(Target::X86_64), object(Target::Aarch64));
    assert_eq!(story(&objects.0).replace("Amd64", "Arm64"), story(&objects.1));
    let (amd64, arm64) = (Facts::read(&objects.0).unwrap(), Facts::read(&objects.1).unwrap());
    assert_eq!((amd64.machine, arm64.machine), (Machine::Amd64, Machine::Arm64));
    assert!(!amd64.fits(&arm64) && amd64.fits(&amd64));
}

#[test]
fn a_python_module_is_known_by_the_function_it_begins_with() {
    let object = ElfObject::new().defines("PyInit__core").defines("other").imports("PyInit_elsewhere");
    let modules = Facts::read(&object.build()).unwrap().python_modules;
    assert_eq!(modules.into_iter().collect::<Vec<_>>(), ["_core"]);
}

#[test]
fn a_symbol_is_found_in_its_version_or_without_one() {
    let object = ElfObject::new().defines("plain").defines_versioned("new", "OWN_2");
    let symbols = Symbols::read(&object.build()).unwrap();
    let found = [("plain", None), ("plain", Some("ANY")), ("new", Some("OWN_2")), ("new", None)];
    assert!(found.iter().all(|(name, version)| symbols.defines(name, *version)));
    assert!(!symbols.defines("new", Some("OWN_1")) && !symbols.defines("other", None));
    assert!(symbols.defined.iter().all(|symbol| symbol.binding == Binding::Global));
}

#[test]
fn a_program_names_its_loader_and_an_rpath_is_told_from_a_runpath() {
    let program = ElfObject::new().interpreter("/lib64/ld-linux-x86-64.so.2").rpath("/opt").build();
    let facts = Facts::read(&program).unwrap();
    assert_eq!(facts.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
    assert_eq!((facts.rpath.as_deref(), facts.runpath), (Some("/opt"), None));
}

#[test]
fn facts_survive_being_remembered() {
    let facts = Facts::read(&fs::read("/proc/self/exe").unwrap()).unwrap();
    let remembered: Facts = serde_json::from_slice(&serde_json::to_vec(&facts).unwrap()).unwrap();
    assert_eq!(facts, remembered);
}

#[test]
fn a_real_program_is_read() {
    let facts = Facts::read(&fs::read("/proc/self/exe").unwrap()).unwrap();
    assert_eq!((facts.kind, facts.stack), (Kind::PositionIndependentExecutable, Stack::Data));
    assert!(facts.is_dynamic() && facts.has_tls);
    assert!(facts.needed.contains(&"libc.so.6".to_owned()));
    assert!(facts.symbol_table_bytes > 0);
    let symbols = Symbols::read_from(fs::File::open("/proc/self/exe").unwrap()).unwrap();
    let wants = |name: &str| symbols.undefined.iter().find(|symbol| symbol.name == name);
    let (version, library) = wants("malloc").and_then(|symbol| symbol.version.clone()).unwrap();
    assert!(facts.version_needs[&library].contains(&version), "{library} {version}");
}

#[test]
fn sections_are_not_needed_and_alignment_is_no_matter() {
    let mut bytes = object(Target::X86_64);
    let whole = Facts::read(&bytes).unwrap();
    // Where the section headers lie, how many there are, and which of them has their names.
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
    bytes.insert(0, 0);
    let bare = Facts::read(&bytes[1..]).unwrap();
    assert_eq!(Facts { debug_bytes: 1000, symbol_table_bytes: whole.symbol_table_bytes, ..bare }, whole);
}

#[test]
fn the_other_class_and_byte_order_are_read_too() {
    let mut bytes = vec![0; 52 + 2 * 32 + 8];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x01\x02\x01");
    put(16, &[0, 2, 0, 20, 0, 0, 0, 1]);
    put(28, &52_u32.to_be_bytes());
    put(40, &[0, 52, 0, 32, 0, 2, 0, 40]);
    for (index, header) in
        [[3, 116, 0, 0, 8, 8, 4, 1], [0x6474_e551, 0, 0, 0, 0, 0, 7, 16]].iter().enumerate()
    {
        for (field, word) in header.iter().enumerate() {
            put(52 + 32 * index + 4 * field, &u32::to_be_bytes(*word));
        }
    }
    put(116, b"/lib/ld\0");
    let facts = Facts::read(&bytes).unwrap();
    assert_eq!((facts.class, facts.endian, facts.machine), (Class::Bits32, Endian::Big, Machine::Other(20)));
    assert_eq!(
        (facts.kind, facts.stack, facts.interpreter.as_deref()),
        (Kind::Executable, Stack::Executable, Some("/lib/ld"))
    );
    assert_eq!(facts.segments[1].kind, SegmentKind::Stack);
}

#[test]
fn what_is_no_elf_file_is_refused() {
    for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh", b"!<arch>\n"] {
        assert!(!is_elf(bytes));
        assert_eq!(Facts::read(bytes), Err(ElfError::NotElf));
    }
    assert_eq!(Facts::read(b"\x7fELF"), Err(ElfError::Malformed { part: "header" }));
    assert_eq!(Facts::read(b"\x7fELF\x02\x01\x01"), Err(ElfError::Malformed { part: "header" }));
}

#[test]
fn a_table_that_repeats_one_long_name_is_refused() {
    let long = "x".repeat(100_000);
    let object = (0..1000)
        .fold(ElfObject::new().defines(&long), |object, number| object.defines(&format!("s{number}")));
    let mut bytes = object.build();
    assert_eq!(Symbols::read(&bytes).unwrap().defined.len(), 1001);
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let sections = number(&bytes, 0x28);
    let table =
        (sections..bytes.len()).step_by(64).find(|at| bytes[at + 4..at + 8] == [11, 0, 0, 0]).unwrap();
    let (start, size) = (number(&bytes, table + 24), number(&bytes, table + 32));
    // In the tables of this object the long name comes first.
    let first: [u8; 4] = bytes[start + 24..start + 28].try_into().unwrap();
    for at in (start + 24..start + size).step_by(24) {
        bytes[at..at + 4].copy_from_slice(&first);
    }
    assert_eq!(Symbols::read(&bytes), Err(ElfError::Excessive { part: "dynamic strings" }));
}

/// How many bytes of text the symbols hold.
fn text_bytes(symbols: &Symbols) -> usize {
    let undefined = symbols.undefined.iter().map(|symbol| {
        symbol.name.len()
            + symbol.version.as_ref().map_or(0, |(version, library)| version.len() + library.len())
    });
    let defined = symbols
        .defined
        .iter()
        .map(|symbol| symbol.name.len() + symbol.version.as_ref().map_or(0, String::len));
    undefined.chain(defined).sum()
}

proptest! {
    // Whatever is written over an ELF file, and wherever it is cut off, reading it ends in facts or an error;
    // and the facts are no larger than a few times the file.
    #[test]
    fn damage_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = object(Target::X86_64);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = Facts::read(&bytes);
        if let Ok(symbols) = Symbols::read(&bytes) {
            prop_assert!(text_bytes(&symbols) <= (1 << 20) + 8 * bytes.len());
        }
    }

    // The first few hundred bytes and the dynamic segment are where the pointers are: most damage goes there.
    #[test]
    fn damaged_headers_never_panic(
        edits in prop::collection::vec((0_usize..0x400, any::<u8>()), 1..6),
        class in prop_oneof![Just(1_u8), Just(2)],
        order in prop_oneof![Just(1_u8), Just(2)],
    ) {
        let mut bytes = object(Target::Aarch64);
        (bytes[4], bytes[5]) = (class, order);
        for (at, value) in edits {
            if at > 5 {
                bytes[at] = value;
            }
        }
        let _ = (Facts::read(&bytes), Symbols::read(&bytes));
    }
}

/// Counts what is asked of a reader.
struct Counted<R> {
    inner: R,
    bytes: std::rc::Rc<std::cell::Cell<usize>>,
}

impl<R: std::io::Read> std::io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + count);
        Ok(count)
    }
}

impl<R: std::io::Seek> std::io::Seek for Counted<R> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn of_a_large_file_only_the_parts_are_read_that_say_something() {
    let bytes = ElfObject::new().soname("libbig.so.1").defines("it").debug_bytes(8 << 20).build();
    let read = std::rc::Rc::default();
    let counted = Counted { inner: std::io::Cursor::new(&bytes), bytes: std::rc::Rc::clone(&read) };
    assert_eq!(Facts::read_from(counted), Facts::read(&bytes));
    assert!(read.get() < 20_000, "{} of {} bytes", read.get(), bytes.len());
}

proptest! {
    /// Reading parts says what reading all says, whatever is broken.
    #[test]
    fn parts_say_what_the_whole_says(
        target in prop::sample::select(vec![Target::X86_64, Target::Aarch64]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = object(target);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        prop_assert_eq!(Facts::read_from(std::io::Cursor::new(&bytes)), Facts::read(&bytes));
        prop_assert_eq!(Symbols::read_from(std::io::Cursor::new(&bytes)), Symbols::read(&bytes));
    }
}
