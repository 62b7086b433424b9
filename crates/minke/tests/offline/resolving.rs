//! Projects that say what they want and not what they get: uv resolves, and what it found is kept as a lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::{Fault, Wheel, program};

use crate::image::Layout;
use crate::town::{Ran, Town};

fn index() -> Vec<Wheel> {
    vec![
        Wheel::new("toy-app", "1.0")
            .file("toy_app.py", "")
            .requires("toy-lib>=1")
            .requires("toy-win; sys_platform == 'win32'"),
        Wheel::new("toy-lib", "1.0").file("toy_lib.py", "A = 1\n"),
        Wheel::new("toy-lib", "2.0").file("toy_lib.py", "A = 2\n"),
        Wheel::new("toy-win", "1.0"),
        Wheel::new("toy-new", "1.0").requires_python(">=3.12"),
        Wheel::new("toy-picky", "1.0").requires("toy-lib<2"),
    ]
}

/// A town with uv in it; none where this machine has none.
fn town() -> Option<(Town, PathBuf)> {
    let uv = program("uv")?;
    Some((Town::with(&index())?, uv))
}

fn command(town: &Town, uv: &Path, arguments: &[&str]) -> Command {
    let mut command = town.command(&[&["build", "--quiet", "shop"], arguments].concat());
    command
        .env("PATH", uv.parent().expect("uv lies in a directory"))
        .env("UV_CACHE_DIR", town.path("cache-of-uv"))
        .env("UV_DEFAULT_INDEX", town.index.url_of("/simple/"))
        .env("NO_PROXY", "*");
    command
}

fn build(town: &Town, uv: &Path, arguments: &[&str]) -> Ran {
    town.finish(command(town, uv, arguments).spawn().expect("minke starts"))
}

/// What minke itself says; uv's words, which stand deeper, are another version's tomorrow.
fn without_uvs_words(ran: &Ran) -> String {
    let seen = ran.seen();
    seen.lines()
        .filter(|line| !line.starts_with("           ") && !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is in the image's environment: `NAME-VERSION` of each distribution.
fn distributions(layout: &Layout) -> String {
    let all = layout.below("/app/.venv/lib/python3.11/site-packages");
    let names = all.lines().filter_map(|line| Some(line.split_once(".dist-info dir")?.0.rsplit_once('/')?.1));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn requirements_are_resolved_once_and_kept() {
    let Some((town, uv)) = town() else { return };
    town.write("shop/main.py", "");
    town.write("shop/requirements.txt", "toy-app\n");
    let first = build(&town, &uv, &["-o", "oci:layout"]);
    assert_eq!((first.status, first.stderr.as_str()), (0, ""));
    assert_eq!(distributions(&Layout::read(&town.path("layout"), None)), "toy_app-1.0 toy_lib-2.0");
    let lock = fs::read_to_string(town.path("shop/pylock.toml")).unwrap();

    // With the lock, uv isn't needed any more, nor the index.
    town.index.forget();
    let ran = town.minke(&["build", "--quiet", "shop", "--locked"]);
    assert_eq!((ran.stderr.as_str(), &ran.stdout), ("", &first.stdout));
    assert_eq!(town.index.counts().len(), 0);
    assert_eq!(fs::read_to_string(town.path("shop/pylock.toml")).unwrap(), lock);

    // A lock keeps its versions when something is added, and is not changed where that is forbidden.
    town.write("shop/requirements.txt", "toy-app\ntoy-picky\n");
    assert_snapshot!(build(&town, &uv, &["--locked"]).seen(), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: `pylock.toml` was not made from this `requirements.txt`, and `--locked` forbids to change it
      help: run `minke lock` once, and commit what it writes with the project
    ");
    assert_eq!(fs::read_to_string(town.path("shop/pylock.toml")).unwrap(), lock);
    let ran = build(&town, &uv, &["-o", "oci:layout"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        distributions(&Layout::read(&town.path("layout"), None)),
        "toy_app-1.0 toy_lib-1.0 toy_picky-1.0"
    );
}

#[test]
fn what_cannot_be_resolved_is_told_in_uvs_words() {
    let Some((town, uv)) = town() else { return };
    town.write("shop/main.py", "");
    let resolving = |requirements: &str| {
        town.write("shop/requirements.txt", requirements);
        let ran = build(&town, &uv, &[]);
        assert!(!town.path("shop/pylock.toml").exists(), "no lock is kept of what failed");
        ran
    };
    let unknown = resolving("no-such-toy\n");
    assert_snapshot!(without_uvs_words(&unknown), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot resolve `requirements.txt` for Python 3.11.2 on x86_64 with glibc 2.36
      because: `uv pip compile` failed (exit status: 1):
      help: correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them
    ");
    for (requirements, words) in [
        ("no-such-toy\n", "no-such-toy was not found"),
        ("toy-lib==3.0\n", "there is no version of toy-lib==3.0"),
        ("toy-lib>=2\ntoy-picky\n", "toy-picky depend on toy-lib<2"),
        ("toy-new\n", "toy-new==1.0 depends on Python>=3.12"),
        ("toy-lib >>> 2\n", "no such comparison operator"),
    ] {
        let ran = resolving(requirements);
        assert!(ran.status == 1 && ran.stderr.contains(words), "{requirements}{}", ran.seen());
    }
}

#[test]
fn an_index_that_is_down_cannot_be_resolved_with() {
    let Some((town, uv)) = town() else { return };
    town.write("shop/main.py", "");
    town.write("shop/requirements.txt", "toy-lib\n");
    town.index.fault("/simple/toy-lib/", Fault::HangUp);
    let mut without_retries = command(&town, &uv, &[]);
    let ran = town.finish(without_retries.env("UV_HTTP_RETRIES", "0").spawn().unwrap());
    assert_snapshot!(without_uvs_words(&ran), @r"
    status: 5
    stderr: error: cannot lock what the project needs
      because: cannot resolve `requirements.txt` for Python 3.11.2 on x86_64 with glibc 2.36
      because: `uv pip compile` failed (exit status: 2):
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
}

#[test]
fn dependencies_of_a_pyproject_are_resolved_with_extras_and_groups() {
    let Some((town, uv)) = town() else { return };
    town.write("shop/main.py", "");
    town.write(
        "shop/pyproject.toml",
        r#"
        [project]
        name = "the-shop"
        version = "1"
        dependencies = ["toy-lib"]
        optional-dependencies = { picky = ["toy-picky"] }
        [dependency-groups]
        tools = ["toy-app"]
        [tool.uv]
        package = false
        "#,
    );
    let built = |arguments: &[&str]| {
        let ran = build(&town, &uv, &[&["-o", "oci:layout"], arguments].concat());
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.starts_with("the-shop@sha256:"));
        distributions(&Layout::read(&town.path("layout"), None))
    };
    assert_eq!(built(&[]), "toy_lib-2.0");
    assert_eq!(built(&["--extra", "picky"]), "toy_lib-1.0 toy_picky-1.0");
    assert_eq!(built(&["--group", "tools"]), "toy_app-1.0 toy_lib-1.0");
    assert_snapshot!(without_uvs_words(&build(&town, &uv, &["--extra", "nothing"])), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot resolve `pyproject.toml` for Python 3.11.2 on x86_64 with glibc 2.36
      because: `uv pip compile` failed (exit status: 2):
      help: correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them
    ");
    assert_snapshot!(without_uvs_words(&build(&town, &uv, &["--group", "nothing"])), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot resolve `pyproject.toml` for Python 3.11.2 on x86_64 with glibc 2.36
      because: `uv pip compile` failed (exit status: 2):
      help: correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them
    ");
}
