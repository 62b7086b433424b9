//! What a project, its settings or the command line may have wrong.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use insta::assert_snapshot;

use crate::town::Town;

/// Asserts that nothing was asked of anyone: what is wrong can be known before any work.
fn assert_no_work(town: &Town) {
    assert_eq!(town.archive.counts().len() + town.index.counts().len(), 0, "{:?}", town.archive.counts());
}

#[test]
fn a_directory_that_is_no_project() {
    let Some(town) = Town::with(&[]) else { return };
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop` is neither a directory nor a Python file
      help: name the project's directory
    ");
    assert_no_work(&town);
    town.write("shop/README.md", "nothing here");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop` has no pyproject.toml, no requirements.txt and no Python file
      help: name the directory of a Python project: `minke build PROJECT`
    ");
    assert_no_work(&town);
    town.write("file", "");
    assert_snapshot!(town.minke(&["build", "file"]).seen(), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/file` is neither a directory nor a Python file
      help: name the project's directory
    ");
}

#[test]
fn a_project_of_a_tool_with_a_lock_of_its_own() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    town.write("shop/poetry.lock", "");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop/poetry.lock` is of Poetry, which has its own format
      help: write what minke reads with `poetry export -f requirements.txt -o requirements.txt`
    ");
    assert_no_work(&town);
}

#[test]
fn a_pyproject_that_is_not_toml() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/pyproject.toml", "[project]\nname = \"shop\"\nversion = 1.0.0\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: cannot read the settings
      because: TOWN/shop/pyproject.toml is not right
      because: TOML parse error at line 3, column 14
                 |
               3 | version = 1.0.0
                 |              ^^
               invalid float, expected nothing
      help: correct it there; the README lists what can be set
    ");
    town.write("shop/pyproject.toml", "[project]\nname = \"shop\"\n[project\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: cannot read the settings
      because: TOWN/shop/pyproject.toml is not right
      because: TOML parse error at line 3, column 9
                 |
               3 | [project
                 |         ^
               unclosed table, expected `]`
      help: correct it there; the README lists what can be set
    ");
    assert_no_work(&town);
}

#[test]
fn a_pyproject_that_breaks_the_standard() {
    let Some(town) = Town::with(&[]) else { return };
    let project = |text: &str| {
        town.write("shop/pyproject.toml", format!("[project]\nname = \"shop\"\nversion = \"1\"\n{text}\n"))
    };
    project("dependencies = [\"flask >= 2\", \"not a requirement !!\"]");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop/pyproject.toml` is not right
      because: line 4, column 31: `not a requirement !!` is not a requirement: what follows the name is no version range
      help: correct the file, or see that it may be read
    ");
    project("requires-python = \"later than 3\"");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop/pyproject.toml` is not right
      because: line 4, column 19: `later than 3` is not a version range such as `>=3.11`
      help: correct the file, or see that it may be read
    ");
    town.write("shop/pyproject.toml", "[project]\nname = \"a shop\"\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shop/pyproject.toml` is not right
      because: line 2, column 8: `a shop` is not a name: letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
      help: correct the file, or see that it may be read
    ");
    assert_no_work(&town);
}

#[test]
fn settings_that_nobody_knows() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    town.write("shop/pyproject.toml", "[tool.minke]\nentry-point = \"main\"\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: cannot read the settings
      because: TOWN/shop/pyproject.toml has an unknown key
      because: `entry-point`; did you mean `entrypoint`?
      help: correct it there; the README lists what can be set
    ");
    town.write("shop/pyproject.toml", "[tool.minke.debian]\nmiror = \"http://host.test\"\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: cannot read the settings
      because: TOWN/shop/pyproject.toml has an unknown key
      because: `debian.miror`; did you mean `debian.mirror`?
      help: correct it there; the README lists what can be set
    ");
    town.write("shop/pyproject.toml", "");
    town.write("shop/minke.toml", "[tool.minke]\nbase = \"trixie\"\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot read the project
      because: cannot read the settings
      because: TOWN/shop/minke.toml has an unknown key
      because: `tool`; did you mean `tools`?
      help: correct it there; the README lists what can be set
    ");
    assert_no_work(&town);
}

#[test]
fn settings_with_wrong_values() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    let refused = |text: &str| {
        town.write("shop/minke.toml", text);
        let seen = town.refuses(&[]);
        let known = "status: 1\nstderr: error: cannot read the project\n  because: cannot read the settings\n  \
                     because: TOWN/shop/minke.toml is not right\n  because: TOML parse error at ";
        let what = seen.strip_prefix(known).unwrap_or_else(|| panic!("{seen}"));
        what.lines().map(str::trim).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(refused("ports = [80000]\n"), @r#"
    line 1, column 9
    |
    1 | ports = [80000]
    |         ^^^^^^^
    a port such as `8000` or `"53/udp"` was expected
    help: correct it there; the README lists what can be set
    "#);
    assert_snapshot!(refused("ports = [true]\n"), @r#"
    line 1, column 9
    |
    1 | ports = [true]
    |         ^^^^^^
    a port such as `8000` or `"53/udp"` was expected
    help: correct it there; the README lists what can be set
    "#);
    assert_snapshot!(refused("cmd = 1\n"), @r"
    line 1, column 7
    |
    1 | cmd = 1
    |       ^
    a text or a list of texts was expected
    help: correct it there; the README lists what can be set
    ");
    assert_snapshot!(refused("cmd = \"echo 'never closed\"\n"), @r#"
    line 1, column 7
    |
    1 | cmd = "echo 'never closed"
    |       ^^^^^^^^^^^^^^^^^^^^
    `echo 'never closed` has a quote that never ends
    help: correct it there; the README lists what can be set
    "#);
    assert_snapshot!(refused("env = [\"A=1\"]\n"), @r#"
    line 1, column 7
    |
    1 | env = ["A=1"]
    |       ^^^^^^^
    invalid type: sequence, expected a map
    help: correct it there; the README lists what can be set
    "#);
    assert_snapshot!(refused("workdir = \"relative\"\n"), @r#"
    line 1, column 11
    |
    1 | workdir = "relative"
    |           ^^^^^^^^^^
    `relative` is not an absolute path
    help: correct it there; the README lists what can be set
    "#);
    assert_snapshot!(refused("compression = \"brotli\"\n"), @r#"
    line 1, column 15
    |
    1 | compression = "brotli"
    |               ^^^^^^^^
    unknown variant `brotli`, expected one of `gzip`, `gzip-best`, `zstd`, `none`
    help: correct it there; the README lists what can be set
    "#);
    assert_no_work(&town);
}

#[test]
fn a_python_that_the_suite_has_not() {
    let Some(town) = Town::with(&[]) else { return };
    town.write(
        "shop/pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1\"\nrequires-python = \">=3.13\"\n",
    );
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: the project's `requires-python` is `>=3.13`, and the image would have Python 3.11.2 on x86_64 with glibc 2.36
      help: choose another Python with `python`, or a suite that has it with `base`, or widen `requires-python`
    ");
    assert_snapshot!(town.refuses(&["--python", "3.12"]), @r"
    status: 1
    stderr: error: `python` was set by --python to 3.12, Debian bookworm has 3.11.2, and no other can be had
      because: cannot ask uv for its Pythons
      because: there is no uv on `PATH`, and neither a setting nor pip says where to get it
      help: install uv and put it on PATH, or set UV_DEFAULT_INDEX
    ");
    assert_snapshot!(town.refuses(&["--python", "three"]), @r#"
    status: 1
    stderr: error: `python` was set by --python to something that is no version
      because: `three` is not a Python version such as `3.13` or `3.13.5`
      help: say it as in `python = "3.13"`
    "#);
}

#[test]
fn locks_that_cannot_be_used() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    let lock = |text: &str| town.write("shop/pylock.toml", text);
    lock("lock-version = \"1.0\"\ncreated-by = \"x\"\npackages = [\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: `pylock.toml` is not right
      because: line 3, column 13: unclosed array, expected `]`
      help: make it anew: remove it, and build without `--locked`
    ");
    lock("lock-version = \"2.0\"\ncreated-by = \"x\"\npackages = []\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: `pylock.toml` is not right
      because: its `lock-version` is `2.0`; only 1.x is known
      help: make it anew: remove it, and build without `--locked`
    ");
    lock("lock-version = \"1.0\"\ncreated-by = \"x\"\nrequires-python = \">=3.13\"\npackages = []\n");
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: nothing in the lock can be installed for this image
      because: the lock is for Python >=3.13, not Python 3.11.2 on x86_64 with glibc 2.36
      help: correct the lock, or what is asked of it: `extras`, `groups`, the platform
    ");
    lock(
        "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy\"\nversion = \"1\"\n\
          wheels = [{ name = \"toy-1-py3-none-any.whl\", url = \"http://host.test/toy-1-py3-none-any.whl\", hashes = { md5 = \"0\" } }]\n",
    );
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: nothing in the lock can be installed for this image
      because: `toy-1-py3-none-any.whl` has no sha256 in the lock, only: md5
      help: correct the lock, or what is asked of it: `extras`, `groups`, the platform
    ");
    lock(
        "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy\"\nversion = \"1\"\n\
          wheels = [{ name = \"toy-1-py3-none-any.whl\", path = \"../no/toy-1-py3-none-any.whl\", hashes = { sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" } }]\n",
    );
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot install what the project needs
      because: cannot read the wheel `TOWN/shop/../no/toy-1-py3-none-any.whl`
      because: No such file or directory (os error 2)
      help: see that it is there and may be read; else lock again
    ");
}

#[test]
fn requirements_without_a_lock_or_uv() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    town.write("shop/requirements.txt", "toy\n");
    assert_snapshot!(town.refuses(&["--locked"]), @r"
    status: 1
    stderr: error: cannot choose the image's packages
      because: there is no `minke.lock` for linux/amd64, and `--locked` forbids to make one
      help: run `minke lock` once, and commit `minke.lock` with the project
    ");
    // The environment has no PATH: there is no uv, and no Python that could fetch it.
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot resolve without uv
      because: there is no uv on `PATH`, and neither a setting nor pip says where to get it
      help: install uv and put it on PATH, or set UV_DEFAULT_INDEX
    ");
}

#[test]
fn files_that_cannot_be_taken() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    symlink("/etc/passwd", town.path("shop/absolute")).unwrap();
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot take the project's files
      because: `TOWN/shop/absolute` is a symlink to `/etc/passwd`, which is not in the project
      help: remove it, or name it in .dockerignore or with `--ignore`
    ");
    std::fs::remove_file(town.path("shop/absolute")).unwrap();
    symlink("../../secret", town.path("shop/up")).unwrap();
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot take the project's files
      because: `TOWN/shop/up` is a symlink to `../../secret`, which is not in the project
      help: remove it, or name it in .dockerignore or with `--ignore`
    ");
    std::fs::remove_file(town.path("shop/up")).unwrap();
    let _socket = UnixListener::bind(town.path("shop/socket")).unwrap();
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot take the project's files
      because: `TOWN/shop/socket` is neither a file, a directory nor a symlink
      help: remove it, or name it in .dockerignore or with `--ignore`
    ");
    assert!(town.refuses(&["--ignore", "["]).contains("["), "a pattern");
    assert_snapshot!(town.refuses(&["--ignore", "["]), @r"
    status: 1
    stderr: error: cannot take the project's files
      because: cannot read the ignore rules
      because: `[` in `tool.minke.ignore` is not a pattern that minke understands: unclosed character class; missing ']'
      help: correct the pattern
    ");
    town.builds(&["shop", "--ignore", "socket"]);
}

#[test]
fn packages_and_suites_that_are_not_there() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    assert_snapshot!(town.refuses(&["--system-package", "no-such-tool"]), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: there is no package `no-such-tool`
      help: correct it in `tools` or `system-packages`; names are those of the suite's packages
    ");
    assert_snapshot!(town.refuses(&["--system-package", "No Such Tool"]), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: `No Such Tool`, which was named in the settings, is not the name of a package
      because: `No Such Tool` is not a package's name
      help: correct it where it was named
    ");
    assert_snapshot!(town.refuses(&["--base", "sarge"]), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of sarge
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: there is nothing at http://archive.test/debian/dists/sarge/InRelease
      help: the mirror has no such suite: choose another with `base`, or correct the mirror's address
    ");
    assert_snapshot!(town.refuses(&["--base", "../sarge"]), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: `../sarge`, which was named by --base, is not the name of a suite
      because: `../sarge` is not a suite's name
      help: correct it where it was named
    ");
}

#[test]
fn destinations_are_refused_before_any_work() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    assert_snapshot!(town.refuses(&["-o", "ftp:host.test"]), @r"
    status: 2
    stderr: error: invalid value 'ftp:host.test' for '--output <TRANSPORT:PLACE>': `ftp:host.test` does not start with a known transport; oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME:TAG are known

    For more information, try '--help'.
    ");
    assert_snapshot!(town.refuses(&["-o", "layout"]), @r"
    status: 2
    stderr: error: invalid value 'layout' for '--output <TRANSPORT:PLACE>': `layout` does not start with a known transport; oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME:TAG are known

    For more information, try '--help'.
    ");
    assert_snapshot!(town.refuses(&["-o", "oci:"]), @r"
    status: 2
    stderr: error: invalid value 'oci:' for '--output <TRANSPORT:PLACE>': `oci:` says how but not where

    For more information, try '--help'.
    ");
    assert_snapshot!(town.refuses(&["-o", "docker-archive:shop.tar", "--compression", "zstd"]), @r"
    status: 2
    stderr: error: `docker-archive:shop.tar` cannot take layers that are compressed with zstd
      help: choose `--compression gzip` for it
    ");
    assert_snapshot!(town.refuses(&["-t", "A Shop"]), @r"
    status: 2
    stderr: error: invalid value 'A Shop' for '--tag <NAME[:TAG]>': `A Shop` is not an image name: `A Shop` must be lower case

    For more information, try '--help'.
    ");
    town.write("shop/minke.toml", "compression = \"zstd\"\n");
    assert_snapshot!(town.refuses(&["-o", "docker-archive:shop.tar"]), @r"
    status: 2
    stderr: error: `docker-archive:shop.tar` cannot take layers that are compressed with zstd
      help: choose `--compression gzip` for it
    ");
    assert_no_work(&town);
}

#[test]
fn an_error_is_one_object_for_a_program() {
    let Some(town) = Town::with(&[]) else { return };
    let ran = town.minke(&["build", "--json", "--quiet", "shop"]);
    assert_snapshot!(ran.seen(), @r#"
    status: 1
    stderr: {"because":["`TOWN/shop` is neither a directory nor a Python file"],"event":"error","exit":1,"help":"name the project's directory","message":"cannot read the project"}
    "#);
}
