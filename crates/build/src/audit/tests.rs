use std::process::Command;

use minke_testkit::{ElfObject, Machine, Numbers, Wheel, program};

use super::*;

/// A directory with wheels and libraries.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn wheel(&self, wheel: &Wheel) -> PathBuf {
        self.put(&wheel.file_name(), &wheel.build())
    }

    fn audit(&self, wheel: &Wheel) -> Audit {
        audit(&self.wheel(wheel), &[self.path("lib")]).unwrap()
    }

    fn order(&self, tag: Option<&str>) -> Order {
        std::fs::create_dir_all(self.path("lib")).unwrap();
        let tag = tag.map(str::to_owned);
        Order { tag, directory: self.path("out"), libraries: vec![self.path("lib")], strip: Strip::All }
    }
}

/// An extension module that asks glibc for a version.
fn module(version: &str) -> ElfObject {
    ElfObject::new().needed("libc.so.6").defines("PyInit_m").imports_versioned("read", version, "libc.so.6")
}

fn wheel(tag: &str, module: ElfObject) -> Wheel {
    Wheel::new("toy", "1").tag(tag).file("toy/m.so", module.build())
}

/// A library that `lib` has, and a wheel that needs it.
fn needing(bench: &Bench) -> Wheel {
    let deep = ElfObject::new().soname("libdeep.so.1").defines("deep").needed("libc.so.6");
    let outer = ElfObject::new().soname("libouter.so.2").defines("outer").needed("libdeep.so.1");
    bench.put("lib/libdeep.so.1", &deep.build());
    bench.put("lib/libouter.so.2", &outer.build());
    wheel("cp313-cp313-linux_x86_64", module("GLIBC_2.17").needed("libouter.so.2").imports("outer"))
}

fn said(audit: &Audit) -> String {
    let refused = audit.refused.first().map(|refusal| format!("{}: {}", refusal.tag, told(&refusal.because)));
    format!("{} / {}", audit.tag, refused.unwrap_or_else(|| "no older one".to_owned()))
}

#[test]
fn the_newest_version_of_a_symbol_decides() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("lib")).unwrap();
    let said = |version: &str| said(&bench.audit(&wheel("cp313-cp313-linux_x86_64", module(version))));
    insta::assert_snapshot!(
        ["GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.30", "GLIBC_2.99"].map(said).join("\n"),
        @r"
            manylinux_2_5_x86_64 / no older one
            manylinux_2_17_x86_64 / manylinux_2_12_x86_64: toy/m.so asks libc.so.6 for GLIBC_2.17
            manylinux_2_31_x86_64 / manylinux_2_28_x86_64: toy/m.so asks libc.so.6 for GLIBC_2.30
            linux_x86_64 / manylinux_2_41_x86_64: toy/m.so asks libc.so.6 for GLIBC_2.99
        "
    );
}

#[test]
fn another_processor_and_another_c_library_have_tags_of_their_own() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("lib")).unwrap();
    let arm = module("GLIBC_2.17").machine(Machine::Aarch64);
    let musl = ElfObject::new().needed("libc.musl-x86_64.so.1").defines("PyInit_m");
    let tags = [
        wheel("cp313-cp313-manylinux_2_28_aarch64", arm),
        wheel("cp313-cp313-linux_x86_64", musl),
        Wheel::new("toy", "1").tag("py3-none-any").file("toy.py", "x = 1\n"),
    ];
    let tags = tags.map(|wheel| bench.audit(&wheel).tag);
    assert_eq!(tags, ["manylinux_2_17_aarch64", "musllinux_1_2_x86_64", "any"]);
}

#[test]
fn what_others_need_is_followed_and_what_is_carried_is_not_missed() {
    let bench = Bench::new();
    let needing = needing(&bench);
    let audit = bench.audit(&needing);
    assert_eq!(audit.tag, "linux_x86_64");
    let outside = audit.outside.iter().filter(|(_, outside)| outside.supplied.is_none());
    let outside: Vec<String> = outside.map(|(name, one)| format!("{name} {}", one.found.is_some())).collect();
    assert_eq!(outside, ["libdeep.so.1 true", "libouter.so.2 true"]);
    let carrying = needing
        .clone()
        .file("toy/libouter.so.2", ElfObject::new().soname("libouter.so.2").defines("outer").build());
    // It lies beside the module, which doesn't look there.
    assert_eq!(bench.audit(&carrying).tag, "linux_x86_64");
    let looking = module("GLIBC_2.17").needed("libouter.so.2").runpath("$ORIGIN");
    let carrying = wheel("cp313-cp313-linux_x86_64", looking)
        .file("toy/libouter.so.2", ElfObject::new().soname("libouter.so.2").defines("outer").build());
    let audit = bench.audit(&carrying);
    assert_eq!(audit.tag, "manylinux_2_17_x86_64");
    assert_eq!(audit.carried, BTreeSet::from(["libouter.so.2".to_owned()]));
}

#[test]
fn private_symbols_of_zlib_are_refused() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("lib")).unwrap();
    let module = module("GLIBC_2.17").needed("libz.so.1").imports("inflate_fast");
    insta::assert_snapshot!(
        said(&bench.audit(&wheel("cp313-cp313-linux_x86_64", module))),
        @"linux_x86_64 / manylinux_2_41_x86_64: toy/m.so takes inflate_fast from libz.so.1, which is not for others"
    );
}

#[test]
fn what_is_copied_has_names_of_its_own_and_the_same_wheel_gives_the_same_bytes() {
    let bench = Bench::new();
    let wheel = bench.wheel(&needing(&bench));
    let before = std::fs::read(&wheel).unwrap();
    let repaired = repair(&wheel, &bench.order(None)).unwrap();
    assert_eq!(repaired.tag, "manylinux_2_17_x86_64");
    let name = repaired.wheel.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(name, "toy-1-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl");
    assert_eq!(std::fs::read(&wheel).unwrap(), before);
    let first = std::fs::read(&repaired.wheel).unwrap();
    let again = repair(&wheel, &bench.order(None)).unwrap();
    assert_eq!(std::fs::read(&again.wheel).unwrap(), first);
    assert_eq!(std::fs::read_dir(bench.path("out")).unwrap().count(), 1);

    let audit = audit(&repaired.wheel, &[]).unwrap();
    assert_eq!(audit.tag, "manylinux_2_17_x86_64");
    let mut described = String::new();
    minke_python::each_file(std::fs::File::open(&repaired.wheel).unwrap(), |member, reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        if let Ok(facts) = minke_elf::Facts::read(&bytes) {
            let (soname, needed, runpath) = (facts.soname, facts.needed, facts.runpath);
            described.push_str(&format!("{member} {soname:?} {needed:?} {runpath:?}\n"));
        } else {
            described.push_str(&format!("{member}\n"));
        }
        Ok(())
    })
    .unwrap();
    insta::assert_snapshot!(described, @r#"
        toy/m.so None ["libc.so.6", "libouter-ab0ffb9b.so.2"] Some("$ORIGIN/../toy.libs")
        toy.libs/libdeep-c251e4a8.so.1 Some("libdeep-c251e4a8.so.1") ["libc.so.6"] None
        toy.libs/libouter-ab0ffb9b.so.2 Some("libouter-ab0ffb9b.so.2") ["libdeep-c251e4a8.so.1"] Some("$ORIGIN")
        toy-1.dist-info/METADATA
        toy-1.dist-info/WHEEL
        toy-1.dist-info/sboms/minke.cdx.json
        toy-1.dist-info/RECORD
    "#);
}

#[test]
fn what_cannot_be_repaired_is_told() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("lib")).unwrap();
    let lost = wheel("cp313-cp313-linux_x86_64", module("GLIBC_2.17").needed("libnowhere.so.9"));
    let program = ElfObject::new().interpreter("/lib64/ld-linux-x86-64.so.2").needed("libdeep.so.1");
    needing(&bench);
    let program = Wheel::new("toy", "1").tag("py3-none-linux_x86_64").file("toy/program", program.build());
    let fine = wheel("cp313-cp313-manylinux_2_17_x86_64", module("GLIBC_2.17"));
    let new = wheel("cp313-cp313-linux_x86_64", module("GLIBC_2.30"));
    let said = |wheel: &Wheel, tag: Option<&str>| {
        let error = repair(&bench.wheel(wheel), &bench.order(tag)).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    };
    insta::assert_snapshot!(
        [
            said(&lost, None),
            said(&program, None),
            said(&fine, Some("manylinux_2_9")),
            said(&new, Some("manylinux2014")),
            said(&Wheel::new("toy", "1").tag("py3-none-any").file("toy.py", ""), None),
        ]
        .join("\n"),
        @r"
            `libnowhere.so.9`, which toy/m.so of `toy-1-cp313-cp313-linux_x86_64.whl` needs, was not found
            `toy/program` of `toy-1-py3-none-linux_x86_64.whl` cannot be edited: a program's headers cannot be moved
            `manylinux_2_9` is no tag that `toy-1-cp313-cp313-manylinux_2_17_x86_64.whl` could have
            `toy-1-cp313-cp313-linux_x86_64.whl` cannot be made to fit manylinux_2_17_x86_64: toy/m.so asks libc.so.6 for GLIBC_2.30
            `toy-1-py3-none-any.whl` has no native code
        "
    );
    assert!(std::fs::read_dir(bench.path("out")).is_ok_and(|mut left| left.next().is_none()));
}

#[test]
fn a_wheel_is_never_replaced_by_its_repair() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("lib")).unwrap();
    let named = wheel("cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64", module("GLIBC_2.17"));
    let order = Order { directory: bench.0.path().to_owned(), ..bench.order(None) };
    let error = repair(&bench.wheel(&named), &order).unwrap_err();
    assert!(matches!(error, AuditError::Overwrites { .. }), "{error}");
}

/// The loader itself says whether the module finds what was copied: nothing else lies where it looks.
#[test]
fn the_real_loader_finds_what_was_copied() {
    let bench = Bench::new();
    let repaired = repair(&bench.wheel(&needing(&bench)), &bench.order(None)).unwrap();
    minke_python::each_file(std::fs::File::open(&repaired.wheel).unwrap(), |member, reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        bench.put(&format!("site/{member}"), &bytes);
        Ok(())
    })
    .unwrap();
    let Some(python) = program("python3") else { return };
    let python = Command::new(python)
        .args(["-c", "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).outer is not None)"])
        .arg(bench.path("site/toy/m.so"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&python.stdout),
        "True\n",
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
}

/// A wheel is a stranger's: whatever is broken in its library, it is repaired truly or not at all.
#[test]
fn three_hundred_broken_libraries_are_repaired_truly_or_not_at_all() {
    let bench = Bench::new();
    needing(&bench);
    let whole = module("GLIBC_2.17").needed("libouter.so.2").imports("outer").debug_bytes(200).build();
    let (mut made, mut kept) = (0, 0);
    let mut numbers = Numbers::from_seed(0x9e37_79b9_7f4a_7c15);
    let mut below = |limit: usize| numbers.below(limit);
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            bytes[at] = [0, 1, 2, 8, 0x40, 0x7f, 0x80, 0xff][below(8)];
        }
        if below(12) == 0 {
            bytes.truncate(below(bytes.len()));
        }
        let broken = Wheel::new("toy", "1").tag("cp313-cp313-linux_x86_64").file("toy/m.so", bytes);
        match repair(&bench.wheel(&broken), &bench.order(None)) {
            Ok(repaired) => {
                let tag = audit(&repaired.wheel, &[]).unwrap().tag;
                assert!(tag <= repaired.tag || tag == "any", "round {round}: {tag}");
                std::fs::remove_file(&repaired.wheel).unwrap();
                made += 1;
            }
            Err(_) => kept += 1,
        }
        assert_eq!(std::fs::read_dir(bench.path("out")).map_or(0, Iterator::count), 0, "round {round}");
    }
    assert!(made > 30 && kept > 30, "{made} made, {kept} kept");
}
