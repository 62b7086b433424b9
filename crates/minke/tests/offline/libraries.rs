//! Libraries that wheels need: found in the archive's list of files, remembered, and missed.

use std::fs;

use insta::assert_snapshot;
use minke_testkit::{ElfObject, Wheel};

use crate::image::Layout;
use crate::town::Town;

/// A wheel with one extension module that needs libraries.
fn sound(needed: &[&str]) -> Wheel {
    let module = needed.iter().fold(ElfObject::new(), |object, soname| object.needed(soname));
    Wheel::new("toy-sound", "1")
        .tag("cp311-abi3-linux_x86_64")
        .file("toy_sound.abi3.so", module.defines("PyInit_toy_sound").build())
}

/// A town with a project that needs one wheel.
fn town(wheel: Wheel) -> Option<Town> {
    let town = Town::with(std::slice::from_ref(&wheel))?;
    town.project("shop", &[wheel]);
    Some(town)
}

/// The lock's lines of what was added for this project.
fn added(town: &Town) -> String {
    let lock = fs::read_to_string(town.path("shop/minke.lock")).expect("there is a lock");
    let head = lock.lines().filter(|line| line.starts_with("system =") || line.starts_with("lacking ="));
    let packages = lock.split("[[platform.package]]").filter(|text| text.contains("layer = \"system\""));
    let said =
        packages.flat_map(str::lines).filter(|line| line.starts_with("name =") || line.starts_with("why ="));
    head.chain(said).map(|line| line.to_owned() + "\n").collect()
}

/// How often the archive was asked for lists of files, and how often for anything that says what it has.
fn asked(town: &Town) -> (usize, usize) {
    let count = |part: &str| {
        let counts = town.archive.counts().into_iter().filter(|(path, _)| path.contains(part));
        counts.map(|(_, count)| count).sum()
    };
    (count("/bookworm/main/by-hash/"), count("InRelease"))
}

#[test]
fn a_library_that_no_table_knows_comes_from_the_package_that_has_it() {
    let Some(town) = town(sound(&["libtoysound.so.7", "libc.so.6"])) else { return };
    town.builds(&["shop", "-o", "oci:layout"]);
    assert_snapshot!(added(&town), @r#"
        system = ["libtoysound7"]
        name = "libtoysound7"
        why = ["toy-sound: libtoysound.so.7"]
        name = "libtoywave1"
        why = ["libtoysound7 needs it"]
    "#);
    let layout = Layout::read(&town.path("layout"), None);
    assert!(layout.listings().join("\n").contains("libtoysound.so.7.0.1"));
}

#[test]
fn what_supplies_a_library_is_asked_once_and_then_in_the_lock() {
    let Some(town) = town(sound(&["libtoysound.so.7", "libc.so.6"])) else { return };
    let first = town.builds(&["shop"]);
    assert_eq!(asked(&town).0, 1, "the machine's own list");
    // A cache that knows nothing, and a lock that may not change.
    let own = town.path("own-cache");
    let before = asked(&town);
    let locked = town.command(&["build", "--quiet", "--locked", "shop"]).env("MINKE_CACHE", own).spawn();
    let locked = town.finish(locked.expect("minke starts"));
    assert_eq!((locked.status, locked.stdout.trim_end()), (0, first.as_str()), "{}", locked.stderr);
    assert_eq!(asked(&town), before, "nobody was asked what the archive has");
}

#[test]
fn a_library_that_nobody_has_stops_the_build_and_what_is_like_it_is_named() {
    let Some(town) = town(sound(&["libtoysound.so.6", "libnowhere.so.9", "libc.so.6"])) else { return };
    assert_snapshot!(town.minke(&["build", "--quiet", "shop"]).seen(), @r"
        status: 1
        stderr: error: the image lacks what the project needs
          because: `libnowhere.so.9` is not in Debian bookworm; `/app/.venv/lib/python3.11/site-packages/toy_sound.abi3.so` of toy-sound needs it
                   `libtoysound.so.6` is not in Debian bookworm; `/app/.venv/lib/python3.11/site-packages/toy_sound.abi3.so` of toy-sound needs it; there is `libtoysound.so.7` in `libtoysound7`
          help: if the project does without it, name it in `optional-libraries` of [tool.minke]; else choose a version of the wheel, or a suite with `base`, that go together
    ");
    assert!(!town.path("shop/minke.lock").exists(), "what doesn't build isn't locked");
}

#[test]
fn what_a_project_does_without_is_neither_added_nor_missed() {
    let Some(town) = town(sound(&["libtoysound.so.7", "libnowhere.so.9", "libc.so.6"])) else { return };
    town.builds(&["shop", "--optional-library", "libnowhere", "--optional-library", "libtoysound.so.7"]);
    assert_snapshot!(added(&town), @"system = []");
}

#[test]
fn a_plugin_may_lack_a_library_unless_we_are_strict_and_nobody_is_asked_twice() {
    let plugin = ElfObject::new().needed("libnowhere.so.9").build();
    let Some(town) = town(sound(&["libc.so.6"]).file("plugins/libtoyplugin.so", plugin)) else { return };
    assert_snapshot!(town.succeeds(&["build", "--quiet", "shop"]).stderr, @"warning: plugins of toy-sound lack `libnowhere.so.9`");
    assert_snapshot!(added(&town), @r#"
        system = []
        lacking = ["libnowhere.so.9"]
    "#);
    assert_snapshot!(town.minke(&["build", "--quiet", "--strict", "shop"]).seen(), @r"
        status: 1
        stderr: error: the image lacks what the project needs
          because: `libnowhere.so.9` is not in Debian bookworm; `/app/.venv/lib/python3.11/site-packages/plugins/libtoyplugin.so` of toy-sound needs it
          help: if the project does without it, name it in `optional-libraries` of [tool.minke]; else choose a version of the wheel, or a suite with `base`, that go together
    ");
    let before = asked(&town);
    town.write("shop/more.py", "");
    town.succeeds(&["build", "--quiet", "--locked", "shop"]);
    assert_eq!(asked(&town), before);
}

#[test]
fn a_program_needs_what_it_needs_too() {
    let program = ElfObject::new()
        .interpreter("/lib64/ld-linux-x86-64.so.2")
        .needed("libtoywave.so.1")
        .needed("libnowhere.so.9");
    let wheel =
        Wheel::new("toy-program", "1").tag("py3-none-linux_x86_64").data_script("toy", program.build());
    let Some(town) = town(wheel) else { return };
    assert_snapshot!(town.minke(&["build", "--quiet", "shop"]).seen(), @r"
        status: 1
        stderr: error: the image lacks what the project needs
          because: `libnowhere.so.9` is not in Debian bookworm; `/app/.venv/bin/toy` of toy-program needs it
          help: if the project does without it, name it in `optional-libraries` of [tool.minke]; else choose a version of the wheel, or a suite with `base`, that go together
    ");
}

#[test]
fn a_version_that_the_suites_library_lacks_stops_the_build() {
    let module = ElfObject::new()
        .needed("libc.so.6")
        .imports_versioned("new", "GLIBC_2.99", "libc.so.6")
        .defines("PyInit_toy_new");
    let wheel =
        Wheel::new("toy-new", "1").tag("cp311-abi3-linux_x86_64").file("toy_new.abi3.so", module.build());
    let Some(town) = town(wheel) else { return };
    assert_snapshot!(town.minke(&["build", "--quiet", "shop"]).seen(), @r"
        status: 1
        stderr: error: the image lacks what the project needs
          because: `/usr/lib/x86_64-linux-gnu/libc.so.6` of Debian bookworm has no GLIBC_2.99; `/app/.venv/lib/python3.11/site-packages/toy_new.abi3.so` of toy-new needs it; its newest is GLIBC_2.36
          help: if the project does without it, name it in `optional-libraries` of [tool.minke]; else choose a version of the wheel, or a suite with `base`, that go together
    ");
    town.builds(&["shop", "--optional-library", "libc"]);
}

#[test]
fn of_files_for_several_versions_none_is_served_and_nothing_is_missed() {
    let file = |version: u32| {
        let soname = format!("libtoysound.so.{version}");
        ElfObject::new().needed(&soname).needed("libc.so.6").defines("PyInit__toy").build()
    };
    let wheel = Wheel::new("toy-many", "1")
        .tag("cp311-abi3-linux_x86_64")
        .file("_toy6.abi3.so", file(6))
        .file("_toy7.abi3.so", file(7));
    let Some(town) = town(wheel) else { return };
    let said = town.succeeds(&["build", "shop"]).stderr;
    assert_snapshot!(said.lines().filter(|line| line.contains("libtoysound")).collect::<Vec<_>>().join("\n"), @"note: toy-many has files for several versions of `libtoysound`, and none was added; `system-packages` adds one");
    assert_snapshot!(added(&town), @r#"
        system = []
        lacking = ["libtoysound.so.6", "libtoysound.so.7"]
    "#);
}

#[test]
fn for_plugins_alone_only_what_is_small_is_added() {
    let plugin = |soname: &str| ElfObject::new().needed(soname).needed("libc.so.6").build();
    let wheel = sound(&["libc.so.6"])
        .file("plugins/libsmall.so", plugin("libtoywave.so.1"))
        .file("plugins/libhuge.so", plugin("libtoyhuge.so.1"));
    let Some(town) = town(wheel) else { return };
    let said = town.succeeds(&["build", "shop"]).stderr;
    assert_snapshot!(said.lines().filter(|line| line.contains("toyhuge")).collect::<Vec<_>>().join("\n"), @"warning: plugins of toy-sound lack `libtoyhuge.so.1`");
    assert_snapshot!(added(&town), @r#"
        system = ["libtoywave1"]
        lacking = ["libtoyhuge.so.1"]
        name = "libtoywave1"
        why = ["toy-sound: libtoywave.so.1"]
    "#);
}

/// A wheel that loads one library by name, which somebody has, and one that nobody has.
fn by_name() -> Wheel {
    let module = "import ctypes.util\n\
        known = ctypes.util.find_library('toysound')\n\
        other = ctypes.util.find_library('nowhere')\n\
        clib = ctypes.CDLL('libc.so.6')\n";
    Wheel::new("toy-caller", "1").file("toy_caller.py", module)
}

#[test]
fn a_library_that_is_loaded_by_name_is_told_and_added_where_that_is_wished() {
    let Some(town) = town(by_name()) else { return };
    town.builds(&["shop"]);
    assert_snapshot!(added(&town), @"system = []");
    let planned = town.minke(&["plan", "shop"]).stdout;
    let told: Vec<_> = planned.lines().filter(|line| line.starts_with("likely")).collect();
    assert_snapshot!(told.join("\n"), @"likely: `libtoysound.so.7` of libtoysound7, which toy-caller 1 seems to load; `likely-libraries` adds it");
    let first = town.builds(&["shop", "--likely-libraries"]);
    assert_snapshot!(added(&town), @r#"
        system = ["libtoysound7"]
        lacking = ["nowhere"]
        name = "libtoysound7"
        why = ["toy-caller 1 loads by name: libtoysound.so.7"]
        name = "libtoywave1"
        why = ["libtoysound7 needs it"]
    "#);
    let before = asked(&town);
    let own = town.path("own-cache");
    let mut locked = town.command(&["build", "--quiet", "--locked", "--likely-libraries", "shop"]);
    let locked = town.finish(locked.env("MINKE_CACHE", own).spawn().expect("minke starts"));
    assert_eq!((locked.status, locked.stdout.trim_end()), (0, first.as_str()), "{}", locked.stderr);
    assert_eq!(asked(&town), before, "nobody was asked what the archive has");
    let planned = town.minke(&["plan", "shop"]).stdout;
    assert!(!planned.contains("likely:"), "what is in the image isn't told: {planned}");
    town.write("tree/caller.py", "import ctypes\nctypes.CDLL('libtoysound.so.7')\n");
    assert_snapshot!(town.minke(&["libs", "tree"]).stdout, @r"
        library           package       brings  kind    needed by
        libtoysound.so.7  libtoysound7  2.0 kB  likely  tree/caller.py
    ");
    assert_snapshot!(town.minke(&["libs", "--packages", "--likely-libraries", "tree"]).stdout, @"libtoysound7");
}

#[test]
fn what_files_need_is_found_in_directories_wheels_and_programs() {
    let wheel = sound(&["libtoysound.so.7", "libnowhere.so.9"]);
    let Some(town) = Town::with(&[]) else { return };
    town.write("wheels/sound.whl", wheel.build());
    let needs = |soname: &str| ElfObject::new().needed(soname);
    let own = needs("libtoywave.so.1").soname("libown.so.1").build();
    let program = needs("libown.so.1").runpath("$ORIGIN/../lib").interpreter("/lib64/ld-linux-x86-64.so.2");
    town.write("tree/lib/libown.so.1", own);
    town.write("tree/bin/program", program.build());
    town.write("tree/bin/text", "no program");
    town.write("tree/plugins/libhuge.so", needs("libtoyhuge.so.1").build());
    town.write("arm.so", needs("libarm.so.1").machine(minke_testkit::Machine::Aarch64).build());
    let all = ["libs", "wheels", "tree", "arm.so"];
    assert_snapshot!(town.minke(&all).seen(), @r"
        status: 0
        stdout: library           package       brings  kind      needed by
        libnowhere.so.9   -                  -  required  wheels/sound.whl/toy_sound.abi3.so
        libtoyhuge.so.1   libtoyhuge1   2.1 MB  plugin    tree/plugins/libhuge.so
        libtoysound.so.7  libtoysound7  2.0 kB  required  wheels/sound.whl/toy_sound.abi3.so
        libtoywave.so.1   libtoywave1   1.0 kB  required  tree/lib/libown.so.1
        stderr: note: files for other processors than linux/amd64's, which don't count: 1
    ");
    assert_snapshot!(town.minke(&[&all[..], &["--packages", "--quiet"]].concat()).seen(), @r"
        status: 0
        stdout: libtoysound7
        libtoywave1
        stderr: warning: `libnowhere.so.9` is not in bookworm; `wheels/sound.whl/toy_sound.abi3.so` needs it
    ");
    let alone = town.minke(&["libs", "--packages", "--quiet", "wheels/sound.whl"]);
    assert_eq!(alone.stdout.trim_end(), "libtoysound7", "{}", alone.stderr);
    let one = town.redacted(&town.succeeds(&["libs", "--json", "tree/bin/program"]).stdout);
    assert_snapshot!(one.trim_end(), @r#"{"platform":"linux/amd64","suite":"bookworm","packages":["libtoywave1"],"libraries":[{"soname":"libtoywave.so.1","weight":"required","package":"libtoywave1","bytes":1000,"needed_by":["TOWN/tree/lib/libown.so.1"]}]}"#);
    assert_snapshot!(town.minke(&["libs", "tree/bin/text"]).seen(), @r"
        status: 1
        stderr: error: `tree/bin/text` is neither a directory nor a wheel nor an ELF file
          because: this is not an ELF file
          help: name a directory, a wheel, a library or a program
    ");
    assert_snapshot!(town.minke(&["libs", "nothing"]).seen(), @r"
    status: 1
    stderr: error: cannot read `nothing`
      because: No such file or directory (os error 2)
      help: see that it is there and may be read
    ");
    town.write("broken.whl", &wheel.build()[..100]);
    assert_snapshot!(town.minke(&["libs", "broken.whl"]).seen(), @r"
        status: 1
        stderr: error: cannot read the wheel `broken.whl`
          because: it is not a sound zip file
          because: invalid Zip archive: Could not find EOCD
          help: get the wheel again: it isn't as wheels are made
    ");
}
