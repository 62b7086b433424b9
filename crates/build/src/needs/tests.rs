use minke_cas::{Digest, File, Mode};
use minke_testkit::ElfObject;

use super::*;

const SCOPE: Scope = Scope { machine: Machine::Amd64, python_minor: Some(13) };

/// Looks at files of a wheel, above a base with some files.
fn lacks(base: &[(&str, ElfObject)], wheel: &[(&str, ElfObject)]) -> String {
    let mut tree = Tree::new();
    let mut facted = |files: &[(&str, ElfObject)]| -> Facted {
        let files = files.iter().map(|(path, object)| {
            let (path, bytes): (ImagePath, _) = (path.parse().unwrap(), object.build());
            let file = File::new(Digest::of(&bytes), bytes.len() as u64, Mode::EXECUTABLE);
            tree.insert(&path, file.into()).unwrap();
            (path, Facts::read(&bytes).unwrap())
        });
        files.collect()
    };
    let asking = facted(wheel);
    let mut all = facted(base);
    all.extend(asking.clone());
    let line = |Lack { what, needed_by, weight }| format!("{weight:?} {what:?} {needed_by}\n");
    look(&tree, &all, &asking, SCOPE).into_iter().map(line).collect()
}

fn needing(soname: &str) -> ElfObject {
    ElfObject::new().needed(soname)
}

fn module(soname: &str) -> ElfObject {
    needing(soname).defines("PyInit_it")
}

#[test]
fn modules_and_programs_and_what_they_load_must_have_it_and_plugins_may() {
    insta::assert_snapshot!(lacks(&[], &[
        ("/app/it.abi3.so", module("liba.so.1")),
        ("/app/it.cpython-313-x86_64-linux-gnu.so", module("libb.so.1")),
        ("/app/it.cpython-312-x86_64-linux-gnu.so", module("libold.so.1")),
        ("/app/bin/it", needing("libc.so.1").interpreter("/lib64/ld-linux-x86-64.so.2")),
        ("/app/plugins/libqit.so", needing("libd.so.1")),
        ("/usr/lib/libb.so.1", needing("libbb.so.1").soname("libb.so.1")),
    ]), @r#"
        Required Library("liba.so.1") /app/it.abi3.so
        Required Library("libbb.so.1") /usr/lib/libb.so.1
        Required Library("libc.so.1") /app/bin/it
        Optional Library("libd.so.1") /app/plugins/libqit.so
        Optional Library("libold.so.1") /app/it.cpython-312-x86_64-linux-gnu.so
    "#);
}

#[test]
fn what_is_for_another_processor_needs_nothing_here() {
    let arm = module("liba.so.1").machine(minke_testkit::Machine::Aarch64);
    assert_eq!(lacks(&[], &[("/app/it.so", arm)]), "");
}

#[test]
fn libpython_is_no_need_of_a_module_but_one_of_a_program() {
    insta::assert_snapshot!(lacks(&[], &[
        ("/app/it.so", module("libpython3.13.so.1.0")),
        ("/app/embeds", needing("libpython3.13.so.1.0").interpreter("/lib64/ld-linux-x86-64.so.2")),
    ]), @r#"Required Library("libpython3.13.so.1.0") /app/embeds"#);
}

#[test]
fn of_files_for_several_versions_of_a_library_one_is_enough() {
    insta::assert_snapshot!(lacks(&[], &[
        ("/app/_it_ffmpeg4.so", module("libavutil.so.56").needed("libmissing.so.1")),
        ("/app/_it_ffmpeg5.so", module("libavutil.so.57").needed("libmissing.so.1")),
        ("/app/_other.so", module("libavutil.so.58")),
    ]), @r#"
        OneOf Library("libavutil.so.56") /app/_it_ffmpeg4.so
        OneOf Library("libavutil.so.57") /app/_it_ffmpeg5.so
        Required Library("libavutil.so.58") /app/_other.so
        Required Library("libmissing.so.1") /app/_it_ffmpeg4.so
        Required Library("libmissing.so.1") /app/_it_ffmpeg5.so
    "#);
}

#[test]
fn a_version_that_the_systems_library_lacks_is_missing_with_the_newest_that_it_has() {
    let libc = || {
        let defined = ["GLIBC_2.9", "GLIBC_2.41", "GLIBC_PRIVATE", "OTHER_9.9"];
        let object = ElfObject::new().soname("libc.so.6");
        defined
            .iter()
            .fold(object, |object, version| object.defines_versioned(&format!("f{version}"), version))
    };
    let asks = |version: &str| module("libc.so.6").imports_versioned("f", version, "libc.so.6");
    let system = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    insta::assert_snapshot!(lacks(&[(system, libc())], &[
        ("/app/new.so", asks("GLIBC_2.42")),
        ("/app/right.so", asks("GLIBC_2.41")),
    ]), @r#"Required Version { version: "GLIBC_2.42", library: "/usr/lib/x86_64-linux-gnu/libc.so.6", offered: Some("GLIBC_2.41") } /app/new.so"#);
    // What wheels bring themselves is theirs to get right.
    assert_eq!(lacks(&[], &[(system, libc()), ("/app/new.so", asks("GLIBC_2.42"))]), "");
}

#[test]
fn libraries_are_named_with_or_without_their_versions() {
    let named = |name: &str| is_named(&[name.to_owned()], "libfoo.so.1");
    assert!(named("libfoo") && named("libfoo.so") && named("libfoo.so.1"));
    assert!(!named("libfo") && !named("libfoo.so.2") && !named("foo"));
}

#[test]
fn what_comes_with_a_driver_is_known() {
    assert!(is_drivers("libcuda.so.1") && is_drivers("libnvidia-ml.so.1"));
    assert!(!is_drivers("libcudart.so.12") && !is_drivers("libnvjpeg.so.12"));
}

#[test]
fn what_is_missing_is_told_with_who_needs_it_and_what_there_is() {
    let told = |what, others, alike: &[(&str, &str)]| Told {
        lack: Lack { what, needed_by: "/app/it.so".parse().unwrap(), weight: Weight::Required },
        owner: "toy 1.0".to_owned(),
        others,
        alike: alike.iter().map(|(name, package)| ((*name).to_owned(), (*package).to_owned())).collect(),
    };
    let version = Lacking::Version {
        version: "GLIBC_2.42".to_owned(),
        library: "/usr/lib/x86_64-linux-gnu/libc.so.6".parse().unwrap(),
        offered: Some("GLIBC_2.41".to_owned()),
    };
    let library = |name: &str| Lacking::Library(name.to_owned());
    let error = UnmetError {
        lacks: vec![
            told(library("libfoo.so.1"), 2, &[("libfoo.so.2", "libfoo2"), ("libfoo.so.3", "libfoo3t64")]),
            told(library("libbar.so"), 0, &[]),
            told(version, 0, &[]),
        ],
        suite: "Debian trixie".to_owned(),
    };
    insta::assert_snapshot!(error.to_string(), @r"
        `libfoo.so.1` is not in Debian trixie; `/app/it.so` of toy 1.0 and 2 more needs it; there is `libfoo.so.2` in `libfoo2`, `libfoo.so.3` in `libfoo3t64`
        `libbar.so` is not in Debian trixie; `/app/it.so` of toy 1.0 needs it
        `/usr/lib/x86_64-linux-gnu/libc.so.6` of Debian trixie has no GLIBC_2.42; `/app/it.so` of toy 1.0 needs it; its newest is GLIBC_2.41
    ");
}
