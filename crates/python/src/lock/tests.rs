use super::*;
use crate::{Arch, DirectUrl, Libc, Platform, Target};

fn trixie() -> Target {
    Target {
        python: "3.13.5".parse().unwrap(),
        platform: Platform { arch: Arch::X86_64, libc: Libc::Glibc { major: 2, minor: 41 } },
    }
}

fn hash(seed: &str) -> String {
    Digest::of(seed.as_bytes()).hex()
}

/// A wheel at an address as `uv pip compile` writes it.
fn wheel(name: &str) -> String {
    let hash = hash(name);
    format!(
        "{{ url = \"https://host.test/packages/{name}\", upload-time = 2026-09-27T18:33:39Z, size = 7, \
         hashes = {{ sha256 = \"{hash}\" }} }}"
    )
}

fn lock(rest: &str) -> String {
    format!("lock-version = \"1.0\"\ncreated-by = \"uv\"\n{rest}")
}

fn select(rest: &str, selection: &Selection) -> Result<Vec<Distribution>, SelectError> {
    Lock::parse(&lock(rest)).unwrap().select(&trixie(), selection)
}

fn names(distributions: &[Distribution]) -> Vec<&str> {
    distributions.iter().map(|distribution| distribution.name.as_str()).collect()
}

fn parse_error(text: &str) -> String {
    Lock::parse(text).unwrap_err().to_string()
}

#[test]
fn the_best_wheel_of_each_package_is_taken_in_the_files_order() {
    let wheels = [
        "numpy-2.5.5-cp312-cp312-manylinux_2_28_x86_64.whl",
        "numpy-2.5.5-cp313-cp313-macosx_14_0_arm64.whl",
        "numpy-2.5.5-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "numpy-2.5.5-cp313-cp313t-manylinux_2_28_x86_64.whl",
        "numpy-2.5.5-py3-none-any.whl",
    ]
    .map(wheel)
    .join(",\n    ");
    let text = format!(
        "requires-python = \">=3.13\"\n\n[[packages]]\nname = \"numpy\"\nversion = \"2.5.5\"\n\
         index = \"https://host.test/simple\"\nwheels = [\n    {wheels},\n]\n\n\
         [[packages]]\nname = \"Flask\"\nversion = \"3.1.3\"\nwheels = [{}]\n",
        wheel("flask-3.1.3%2Bx-py3-none-any.whl")
    );
    let selected = select(&text, &Selection::default()).unwrap();
    let shown = selected.iter().map(|Distribution { name, version, origin, .. }| {
        let Origin::Wheel { file_name, location: Location::Remote(source) } = origin else {
            panic!("{origin:?}")
        };
        format!("{name} {:?} {file_name} {source:?}", version.as_ref().unwrap())
    });
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
    numpy "2.5.5" numpy-2.5.5-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl Source { url: https://host.test/packages/numpy-2.5.5-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl, digest: sha256:b73af084a0cb994d03550a566ae5a2ad6f583df3d8f12bc907b327e7de321649, size: Some(7) }
    flask "3.1.3" flask-3.1.3+x-py3-none-any.whl Source { url: https://host.test/packages/flask-3.1.3%2Bx-py3-none-any.whl, digest: sha256:fbc8ab4f3c29aac0c6d5d4eb6d8c685fabc2a4377fd39de7b988b0c6a05a74b7, size: Some(7) }
    "#);
}

#[test]
fn markers_pick_one_of_two_entries() {
    let text = "[[packages]]\nname = \"numpy\"\nversion = \"2.4.6\"\nmarker = \"python_full_version < '3.12'\"\n\
        [[packages]]\nname = \"lib\"\ndirectory = { path = \"lib\", editable = true }\n\
        marker = \"python_full_version >= '3.12'\"\n\
        [[packages]]\nname = \"colorama\"\nmarker = \"sys_platform == 'win32'\"\n";
    let selected = select(text, &Selection::default()).unwrap();
    let origin = Origin::Directory { path: "lib".to_owned(), editable: true, subdirectory: None };
    let name = "lib".parse().unwrap();
    assert_eq!(selected, [Distribution { name, version: None, origin, direct_url: None }]);
}

#[test]
fn extras_and_groups_are_chosen_by_the_selection() {
    let entry = |name: &str, marker: &str| {
        format!("[[packages]]\nname = \"{name}\"\nmarker = \"{marker}\"\ndirectory = {{ path = \".\" }}\n")
    };
    let text = format!(
        "extras = [\"Fast\"]\ndependency-groups = [\"dev\"]\ndefault-groups = [\"self\"]\n{}{}{}",
        entry("a", "'self' in dependency_groups"),
        entry("b", "'dev' in dependency_groups"),
        entry("c", "'fast' in extras"),
    );
    let chosen = |extras: &[&str], groups| {
        let extras = extras.iter().map(|name| name.parse().unwrap()).collect();
        select(&text, &Selection { extras, groups, ..Selection::default() })
    };
    let only = |names: &[&str]| Groups::Only(names.iter().map(|name| name.parse().unwrap()).collect());
    assert_eq!(names(&chosen(&[], Groups::Default).unwrap()), ["a"]);
    assert_eq!(names(&chosen(&["fast"], only(&["dev"])).unwrap()), ["b", "c"]);
    assert_eq!(names(&chosen(&[], only(&["self", "dev"])).unwrap()), ["a", "b"]);
    assert_eq!(
        chosen(&["slow"], Groups::Default).unwrap_err().to_string(),
        "the lock has no extra `slow`; it has: fast"
    );
    assert_eq!(
        chosen(&[], only(&["docs"])).unwrap_err().to_string(),
        "the lock has no dependency group `docs`; it has: dev, self"
    );
}

#[test]
fn a_lock_for_another_python_or_platform_is_refused() {
    let refused = |text: &str| select(text, &Selection::default()).unwrap_err().to_string();
    let package = "[[packages]]\nname = \"a\"\ndirectory = { path = \".\" }\n";
    insta::assert_snapshot!(
        [
            refused("requires-python = \">=3.14\"\npackages = []\n"),
            refused(&format!("{package}requires-python = \"<3\"\n")),
            refused(&format!("environments = [\"sys_platform == 'win32'\", \"os_name == 'nt'\"]\n{package}")),
        ]
        .join("\n"),
        @r"
    the lock is for Python >=3.14, not Python 3.13.5 on x86_64 with glibc 2.41
    `a` is for Python <3, not Python 3.13.5 on x86_64 with glibc 2.41
    the lock is not for Python 3.13.5 on x86_64 with glibc 2.41; it is for: sys_platform == 'win32'; os_name == 'nt'
    "
    );
}

#[test]
fn two_entries_that_both_apply_are_refused() {
    let package = "[[packages]]\nname = \"a\"\ndirectory = { path = \".\" }\n";
    let name = "a".parse().unwrap();
    assert_eq!(
        select(&format!("{package}{package}"), &Selection::default()),
        Err(SelectError::Ambiguous { name, target: trixie() })
    );
}

#[test]
fn without_a_fitting_wheel_the_sdist_is_named_and_without_both_the_tags_are() {
    let foreign = wheel("a-1-cp313-cp313-win_amd64.whl");
    let entry = format!("[[packages]]\nname = \"a\"\nversion = \"1\"\nwheels = [{foreign}]\n");
    assert_eq!(
        select(&entry, &Selection::default()).unwrap_err().to_string(),
        "no wheel of `a` fits Python 3.13.5 on x86_64 with glibc 2.41 and it has no sdist; its wheels: \
         a-1-cp313-cp313-win_amd64.whl"
    );
    let with_sdist = format!("{entry}sdist = {}\n", wheel("a-1.tar.gz"));
    let selected = select(&with_sdist, &Selection::default()).unwrap();
    let source = minke_cas::Source {
        url: "https://host.test/packages/a-1.tar.gz".parse().unwrap(),
        digest: Digest::of(b"a-1.tar.gz"),
        size: Some(7),
    };
    let offered = vec!["a-1-cp313-cp313-win_amd64.whl".parse().unwrap()];
    let location = Location::Remote(source);
    assert_eq!(
        selected[0].origin,
        Origin::Sdist {
            file_name: "a-1.tar.gz".to_owned(),
            location,
            published: Some("2026-09-27T18:33:39Z".to_owned()),
            offered
        }
    );
}

#[test]
fn the_newest_build_of_equal_wheels_is_taken() {
    let wheels =
        ["a-1-2-py3-none-any.whl", "a-1-10-py3-none-any.whl", "a-1-py3-none-any.whl"].map(wheel).join(",");
    let selected =
        select(&format!("[[packages]]\nname = \"a\"\nwheels = [{wheels}]\n"), &Selection::default()).unwrap();
    let Origin::Wheel { file_name, .. } = &selected[0].origin else { panic!("{selected:?}") };
    assert_eq!(file_name.as_str(), "a-1-10-py3-none-any.whl");
}

#[test]
fn a_file_without_a_sha256_is_refused_by_name() {
    let entry = |file: &str| format!("[[packages]]\nname = \"a\"\nwheels = [{file}]\n");
    let refused = |file: &str| select(&entry(file), &Selection::default()).unwrap_err().to_string();
    let url = "url = \"https://host.test/a-1-py3-none-any.whl\"";
    assert_eq!(
        refused(&format!("{{ {url}, hashes = {{ md5 = \"00\", sha1 = \"11\" }} }}")),
        "`a-1-py3-none-any.whl` has no sha256 in the lock, only: md5, sha1"
    );
    assert_eq!(
        refused(&format!("{{ {url} }}")),
        "`a-1-py3-none-any.whl` has no sha256 in the lock, only: none"
    );
    let local = select(&entry("{ path = \"wheels/a-1-py3-none-any.whl\" }"), &Selection::default()).unwrap();
    let Origin::Wheel { location, .. } = &local[0].origin else { panic!("{local:?}") };
    assert_eq!(*location, Location::Local("wheels/a-1-py3-none-any.whl".to_owned(), None));
}

#[test]
fn a_wheel_that_is_locked_as_an_archive_is_a_wheel() {
    let entry = |file: &str| {
        let hash = hash("x");
        let from =
            format!("url = \"https://me:secret@host.test/{file}\", hashes = {{ sha256 = \"{hash}\" }}");
        format!("[[packages]]\nname = \"a\"\narchive = {{ {from}, subdirectory = \"sub\" }}\n")
    };
    let selected = select(&entry("a-1-py3-none-any.whl"), &Selection::default()).unwrap();
    assert!(matches!(selected[0].origin, Origin::Wheel { .. }));
    let url = "https://host.test/a-1-py3-none-any.whl".to_owned();
    assert_eq!(selected[0].direct_url, Some(DirectUrl::Archive { url, digest: Some(Digest::of(b"x")) }));
    assert!(select(&entry("a-1-cp27-none-any.whl"), &Selection::default()).is_err());

    let source = select(&entry("a-1.zip"), &Selection::default()).unwrap();
    let Origin::Archive { file_name, subdirectory, .. } = &source[0].origin else { panic!("{source:?}") };
    assert_eq!((file_name.as_str(), subdirectory.as_deref()), ("a-1.zip", Some("sub")));
}

#[test]
fn a_repository_keeps_its_commit_and_hides_its_password() {
    let text = "[[packages]]\nname = \"a\"\n[packages.vcs]\ntype = \"git\"\ncommit-id = \"abc\"\n\
        url = \"https://me:secret@host.test/a.git\"\nrequested-revision = \"v1\"\n";
    let selected = select(text, &Selection::default()).unwrap();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        selected,
        [Distribution {
            name: "a".parse().unwrap(),
            version: None,
            origin: Origin::Vcs {
                vcs: text("git"),
                repository: text("https://me:secret@host.test/a.git"),
                commit: text("abc"),
                subdirectory: None,
            },
            direct_url: Some(DirectUrl::Vcs {
                vcs: text("git"),
                url: text("https://host.test/a.git"),
                requested_revision: Some(text("v1")),
                commit: text("abc"),
            }),
        }]
    );
}

#[test]
fn what_is_wrong_with_a_lock_is_said_with_its_place() {
    let package = |line: &str| parse_error(&lock(&format!("[[packages]]\nname = \"a\"\n{line}\n")));
    insta::assert_snapshot!(
        [
            parse_error("lock-version = \"2.0\"\npackages = 3\n"),
            parse_error("created-by = \"uv\"\n"),
            parse_error("lock-version = \"1.0\"\nextras = [\n"),
            parse_error(&lock("")),
            parse_error(&lock("[[packages]]\nversion = \"1\"\n")),
            package("version = \"one\""),
            package("marker = \"os_name ? 'x'\""),
            package("requires-python = \"3.x\""),
            package("wheels = [\n  { path = \"a-1-py3-none-any.whl\" },\n  { url = \"https://host.test/a.whl\" },\n]"),
            parse_error("lock-version = \"1.0\"\npackages = []\nenvironments = [\n  \"os\",\n]\n"),
            package("wheels = [{ url = \"ftp://host.test/a-1-py3-none-any.whl\" }]"),
            package("sdist = { hashes = {} }"),
            package("sdist = { path = \"a-1.tar.gz\", hashes = { sha256 = \"xyz\" } }"),
            package("directory = { path = \".\" }\nsdist = { path = \"a-1.tar.gz\" }"),
            package("vcs = { type = \"git\", commit-id = \"abc\" }"),
        ]
        .join("\n"),
        @r"
        its `lock-version` is `2.0`; only 1.x is known
        line 1, column 1: missing field `lock-version`
        line 2, column 11: unclosed array, expected `]`
        line 1, column 1: missing field `packages`
        line 3, column 1: missing field `name`
        line 5, column 11: `one` is not a version
        line 5, column 10: `os_name ? 'x'` is not a marker: expected a comparison such as `==`, `in` or `not in` at character 9
        line 5, column 19: `3.x` is not a version range such as `>=3.11`
        line 7, column 3: `a.whl` is not the file name of a wheel: it doesn't have five or six parts between dashes
        line 4, column 3: `os` is not a marker: expected a quoted text or a marker variable at character 1
        line 5, column 11: this is not an http, https or file address: its scheme is `ftp`
        line 5, column 9: a file needs a `url` or a `path`
        line 5, column 9: `xyz` is not a sha256 digest (64 lower-case hex digits, with or without `sha256:`)
        line 3, column 1: `a` comes from several places: `vcs`, `directory`, `archive` and `sdist` with `wheels` exclude each other
        line 5, column 7: a repository needs a `url` or a `path`
        "
    );
}
