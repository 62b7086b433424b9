use super::*;
use crate::interpreter::InterpreterPin;
use crate::workshop::recipe::Tools;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn pick(name: &str, why: &str) -> Pick {
    Pick {
        name: name.to_owned(),
        version: "1:2.41-12+deb13u1".to_owned(),
        filename: format!("pool/main/x/{name}_2.41-12+deb13u1_amd64.deb"),
        architecture: "amd64".to_owned(),
        digest: digest(name),
        size: 12,
        why: vec![why.to_owned()],
        suite: "trixie".to_owned(),
    }
}

fn lock() -> SystemLock {
    let layer = |root: &str, pick: Pick| LockedLayer {
        roots: BTreeSet::from([root.to_owned()]),
        packages: vec![pick],
    };
    let platform = LockedPlatform {
        suite: "trixie".to_owned(),
        interpreter: Some(InterpreterPin {
            version: "3.12.16".to_owned(),
            url: "http://host.test/cpython-3.12.16.tar.gz".to_owned(),
            sha256: digest("cpython"),
        }),
        archives: vec![LockedArchive {
            suite: "trixie".to_owned(),
            date: "2026-11-14T09:12:33Z".to_owned(),
            in_release: digest("InRelease"),
        }],
        base: layer("libc6", pick("libc6", "interpreter")),
        system: Some(layer("libgomp1", pick("libgomp1", "\"numpy\" needs libgomp.so.1"))),
        debug: None,
        lacking: BTreeSet::new(),
        builder: LockedBuilder::default(),
    };
    let wheel = LockedWheel {
        name: "hatchling-1.27.0-py3-none-any.whl".to_owned(),
        place: WheelPlace::Url {
            url: "http://host.test/hatchling-1.27.0-py3-none-any.whl".parse().unwrap(),
            digest: digest("hatchling"),
            size: Some(75),
        },
    };
    let key = BuildKey { requires: vec!["hatchling>=1".to_owned()], target: "Python 3.13".to_owned() };
    SystemLock {
        uv: Some("0.13.9".to_owned()),
        platforms: BTreeMap::from([(Platform::Amd64, platform)]),
        builds: BTreeMap::from([(key, vec![wheel])]),
        recipes: BTreeMap::new(),
        lifts: BTreeSet::new(),
    }
}

#[test]
fn what_belongs_to_another_place_is_refused() {
    let text = lock().text();
    let with = |line: &str| text.replace("size = 75", line);
    assert!(SystemLock::parse(&with("size = 75")).is_ok());
    for stray in ["commit = \"0\"", "subdirectory = \"below\"", "version = \"1\"", "nonsense = 1"] {
        assert!(SystemLock::parse(&with(stray)).is_err(), "{stray}");
    }
}

/// The same of a project that something is built for.
fn lock_of_a_builder() -> SystemLock {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<String>>();
    let mut lock = lock();
    lock.platforms.get_mut(&Platform::Amd64).unwrap().builder = LockedBuilder {
        rooms: BTreeMap::from([(texts(&["gcc", "libpq-dev"]), texts(&["gcc", "libpq-dev"]))]),
        packages: vec![pick("gcc", "compiling"), pick("libpq-dev", "the program `pg_config`")],
    };
    let name = "psycopg2-2.9.13.tar.gz".to_owned();
    let key = RecipeKey { name, digest: Some(digest("psycopg2")), target: "Python 3.13".to_owned() };
    let system = BTreeMap::from([("libpq-dev".to_owned(), texts(&["the program `pg_config`"]))]);
    lock.recipes.insert(key, Recipe { tools: Tools::Compilers, system, requires: BTreeMap::new() });
    lock
}

#[test]
fn what_things_are_built_with_stands_beside_what_the_image_has() {
    let (before, lock) = (lock().text(), lock_of_a_builder());
    assert_eq!(SystemLock::parse(&lock.text()).unwrap(), lock);
    let text = lock.text();
    let more: Vec<&str> = text.lines().filter(|line| !before.lines().any(|there| there == *line)).collect();
    insta::assert_snapshot!(more.join("\n"), @r#"
        packages = 4
        [[platform.room]]
        roots = ["gcc", "libpq-dev"]
        packages = ["gcc", "libpq-dev"]
        name = "gcc"
        layer = "builder"
        why = ["compiling"]
        path = "pool/main/x/gcc_2.41-12+deb13u1_amd64.deb"
        sha256 = "94f0fa7f897ccce65856dc5a98bae4bf6957a346766613d79414c976d093aa4a"
        name = "libpq-dev"
        layer = "builder"
        why = ["the program `pg_config`"]
        path = "pool/main/x/libpq-dev_2.41-12+deb13u1_amd64.deb"
        sha256 = "8c5b72ec94db75554687f2f1f30db70413f9fc175d4e6280fae07f3ffd943e0e"
        [[sources]]
        name = "psycopg2-2.9.13.tar.gz"
        sha256 = "6de3d5a0f9c53855035a06fc2594ed876ecc5dec17e7b5e8f9aabf1cc19c0623"
        system = { "libpq-dev" = ["the program `pg_config`"] }
        tools = "compilers"
    "#);
}

/// A rule that is lifted for a distribution.
fn lift(name: &str, version: &str) -> LockedLift {
    LockedLift {
        name: name.to_owned(),
        version: version.to_owned(),
        broken: "jedi.api".to_owned(),
        why: "FileNotFoundError: \"builtins.pyi\"\nis missing".to_owned(),
        rule: "stubs".to_owned(),
    }
}

#[test]
fn what_is_lifted_stands_at_the_end_with_its_reason() {
    let lock = SystemLock { lifts: BTreeSet::from([lift("jedi", "0.19.2")]), ..lock() };
    let text = lock.text();
    assert_eq!(SystemLock::parse(&text).unwrap(), lock);
    let table = text.split("\n\n").last().unwrap();
    insta::assert_snapshot!(table, @r#"
        [[lift]]
        name = "jedi"
        version = "0.19.2"
        broken = "jedi.api"
        why = """
        FileNotFoundError: "builtins.pyi"
        is missing"""
        rule = "stubs"
    "#);
    // Cut off anywhere, it is no lift.
    let lines: Vec<&str> = table.lines().collect();
    for end in 1..lines.len() {
        let cut = text.replace(table, &lines[..end].join("\n"));
        assert!(matches!(SystemLock::parse(&cut), Err(SystemLockError::Syntax(_))), "{cut}");
    }
    insta::assert_snapshot!(SystemLock::parse(&format!("{text}\n{table}")).unwrap_err(), @"line 64: `stubs of jedi 0.19.2` is there twice");
}

#[test]
fn what_is_lifted_for_another_version_is_a_change() {
    let of = |version: &str| SystemLock { lifts: BTreeSet::from([lift("jedi", version)]), ..lock() };
    insta::assert_debug_snapshot!(of("0.19.2").changes(&of("0.20.0")), @r#"
        [
            Change {
                of: "slimming, stubs",
                name: "jedi",
                before: Some(
                    "0.19.2",
                ),
                after: Some(
                    "0.20.0",
                ),
                why: "jedi.api: FileNotFoundError: \"builtins.pyi\"\nis missing",
            },
        ]
    "#);
}

#[test]
fn a_lock_is_one_field_a_line() {
    insta::assert_snapshot!(lock().text(), @r#"
        # What of the system goes into the image, and why. Written by minke, and to be committed:
        # `minke lock --upgrade` moves it on.
        version = 1
        uv = "0.13.9"

        [[platform]]
        name = "linux/amd64"
        suite = "trixie"
        packages = 2
        base = ["libc6"]
        system = ["libgomp1"]

        [platform.interpreter]
        version = "3.12.16"
        url = "http://host.test/cpython-3.12.16.tar.gz"
        sha256 = "d92d2be623c8d0e6ffd8883eb2fd6675846b2660414d3032be2d151421f2a954"

        [[platform.archive]]
        suite = "trixie"
        date = "2026-11-14T09:12:33Z"
        in-release = "sha256:5bfc87e96c5fc54b15067c0e113156812a0af4dc86aaf43b462addaa77728d08"

        [[platform.package]]
        name = "libc6"
        version = "1:2.41-12+deb13u1"
        architecture = "amd64"
        layer = "base"
        why = ["interpreter"]
        suite = "trixie"
        path = "pool/main/x/libc6_2.41-12+deb13u1_amd64.deb"
        size = 12
        sha256 = "fb9ce3b804ed6882db53398f268a9c8e59ab103221188aee6513dfddde5b9aff"

        [[platform.package]]
        name = "libgomp1"
        version = "1:2.41-12+deb13u1"
        architecture = "amd64"
        layer = "system"
        why = ['"numpy" needs libgomp.so.1']
        suite = "trixie"
        path = "pool/main/x/libgomp1_2.41-12+deb13u1_amd64.deb"
        size = 12
        sha256 = "3c6a6a1114f41917b3cc5db99c399550535d657d72a618d8ac2d31eed0fd5fe1"

        [[build]]
        requires = ["hatchling>=1"]
        for = "Python 3.13"
        wheels = 1

        [[build.wheel]]
        name = "hatchling-1.27.0-py3-none-any.whl"
        url = "http://host.test/hatchling-1.27.0-py3-none-any.whl"
        size = 75
        sha256 = "66e8bc6c25ede6b85d991c389ff0020afce88b80f268a767924684c5e934dbb4"
    "#);
}

#[test]
fn what_nobody_supplies_and_what_was_added_for_a_library_is_remembered() {
    let mut lock = lock();
    let platform = lock.platforms.get_mut(&Platform::Amd64).unwrap();
    platform.lacking = ["libmimerapi.so".to_owned()].into();
    platform.system.as_mut().unwrap().packages[0].why = vec!["numpy: libgomp.so.1".to_owned()];
    let platform = lock.platforms[&Platform::Amd64].clone();
    assert_eq!(platform.supplier_of("libgomp.so.1"), Some("libgomp1"));
    assert_eq!(platform.supplier_of("gomp.so.1"), None);
    assert!(lock.text().contains("\nlacking = [\"libmimerapi.so\"]\n"));
    assert_eq!(SystemLock::parse(&lock.text()).unwrap(), lock);
}

#[test]
fn a_lock_reads_back_as_it_was_written() {
    assert_eq!(SystemLock::parse(&lock().text()).unwrap(), lock());
}

/// What reading a changed text says: the error and what is behind it.
fn said(change: impl Fn(&str) -> String) -> String {
    let error = SystemLock::parse(&change(&lock().text())).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error}\n{source}").trim_end().to_owned()
}

#[test]
fn a_lock_that_cannot_be_believed_is_refused_with_its_line() {
    let replaced = |from: &'static str, to: &'static str| said(move |text| text.replacen(from, to, 1));
    insta::assert_snapshot!(replaced("version = 1\n", "version = 7\n"), @"line 3: its format is version 7, and this minke knows 1");
    insta::assert_snapshot!(replaced("suite = ", "<<<<<<< HEAD\nsuite = "), @"line 8 is a conflict marker of a merge");
    insta::assert_snapshot!(replaced("packages = 2", "packages = 3"), @"line 9: it says 3 packages, and has 2");
    insta::assert_snapshot!(replaced("sha256 = \"", "sha256 = \"zz"), @r#"
        it is not a lock that minke has written
        TOML parse error at line 16, column 10
           |
        16 | sha256 = "zzd92d2be623c8d0e6ffd8883eb2fd6675846b2660414d3032be2d151421f2a954"
           |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        `zzd92d2be623c8d0e6ffd8883eb2fd6675846b2660414d3032be2d151421f2a954` is not a sha256 digest (64 lower-case hex digits, with or without `sha256:`)
    "#);
    insta::assert_snapshot!(replaced("path = \"pool", "path = \"../../pool"), @r#"
        it is not a lock that minke has written
        TOML parse error at line 30, column 8
           |
        30 | path = "../../pool/main/x/libc6_2.41-12+deb13u1_amd64.deb"
           |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        `../../pool/main/x/libc6_2.41-12+deb13u1_amd64.deb` is no path of a package's file below an archive
    "#);
    insta::assert_snapshot!(replaced("layer = \"base\"", "layer = \"basement\""), @r#"
        it is not a lock that minke has written
        TOML parse error at line 27, column 9
           |
        27 | layer = "basement"
           |         ^^^^^^^^^^
        unknown variant `basement`, expected one of `base`, `system`, `debug`, `builder`
    "#);
    insta::assert_snapshot!(replaced("size = 12", "sizes = 12"), @r"
        it is not a lock that minke has written
        TOML parse error at line 31, column 1
           |
        31 | sizes = 12
           | ^^^^^
        unknown field `sizes`, expected one of `name`, `version`, `architecture`, `layer`, `why`, `suite`, `path`, `size`, `sha256`
    ");
    insta::assert_snapshot!(replaced("\"libgomp1\"\nversion", "\"libc6\"\nversion"), @"line 33: `libc6` is there twice");
}

#[test]
fn a_lock_that_was_cut_off_anywhere_is_refused() {
    let text = lock_of_a_builder().text();
    let lines: Vec<&str> = text.lines().collect();
    let cut = |count: &usize| SystemLock::parse(&lines[..*count].join("\n")).is_ok();
    // Without any platform it is an empty lock, which is none that minke writes, and is made anew.
    let first = lines.iter().position(|line| *line == "[[platform]]").unwrap();
    let begins = |table: &str| lines.iter().position(|line| *line == table).unwrap();
    let (build, sources) = (begins("[[build]]"), begins("[[sources]]"));
    let believed: Vec<usize> = (first + 1..lines.len()).filter(cut).collect();
    assert_eq!(believed, [build - 1, build, sources - 1, sources], "all platforms are there");
}

#[test]
fn the_difference_between_two_locks_names_what_came_and_went() {
    let mut later = lock();
    let platform = later.platforms.get_mut(&Platform::Amd64).unwrap();
    platform.base.packages[0].version = "2.42-1".to_owned();
    platform.system = None;
    let lines: Vec<String> = lock()
        .changes(&later)
        .into_iter()
        .map(|Change { of, name, before, after, why }| format!("{of} {name}: {before:?} {after:?} ({why})"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
        linux/amd64 libc6: Some("1:2.41-12+deb13u1") Some("2.42-1") (interpreter)
        linux/amd64 libgomp1: Some("1:2.41-12+deb13u1") None ("numpy" needs libgomp.so.1)
    "#);
}
