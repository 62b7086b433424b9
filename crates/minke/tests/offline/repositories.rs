//! Commits of repositories: fetched by git, built without their history, fetched once.

use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::{Index, program, skip};

use crate::image::Layout;
use crate::sources::{BACKEND, Shop, modules, sdist, shop};
use crate::town::Ran;

/// Runs git in a directory of the town's and returns what it says.
fn git(shop: &Shop, directory: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=me", "-c", "user.email=me@host.test", "-c", "commit.gpgsign=false"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("HOME", shop.town.path("home"))
        .output()
        .expect("git starts");
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("git says text").trim().to_owned()
}

/// A town with a repository whose project is in `below`, which the shop's lock pins to a commit.
fn founded() -> Option<Shop> {
    if program("git").is_none() {
        skip("there is no git");
        return None;
    }
    let shop = shop(Index::new(), "")?;
    let code = "import os\nassert os.environ['SETUPTOOLS_SCM_PRETEND_VERSION_FOR_TOY_RAW'] == '1.0'\n\
                assert not pathlib.Path('.git').exists()\n";
    let commit = planted(&shop, SYSTEM, code);
    go_on(&shop);
    pin(&shop, &commit);
    Some(shop)
}

const SYSTEM: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

/// Makes a repository, and returns its first commit.
fn planted(shop: &Shop, pyproject: &str, code: &str) -> String {
    let about = "toy_raw\n1.0\n";
    for (name, text) in [("pyproject.toml", pyproject), ("backend.py", BACKEND), ("about", about)] {
        shop.town.write(&format!("origin/below/{name}"), text);
    }
    shop.town.write("origin/below/imports", code);
    // What is left out of archives is a part of the commit nevertheless.
    shop.town.write("origin/.gitattributes", "about export-ignore\n");
    let origin = shop.town.path("origin");
    git(shop, &origin, &["init", "-q"]);
    git(shop, &origin, &["add", "."]);
    git(shop, &origin, &["commit", "-qm", "x", "--no-verify"]);
    git(shop, &origin, &["rev-parse", "HEAD"])
}

/// A branch that goes on changes nothing.
fn go_on(shop: &Shop) {
    shop.town.write("origin/below/imports", "raise SystemExit('too new')");
    git(shop, &shop.town.path("origin"), &["commit", "-qam", "y", "--no-verify"]);
}

fn pin(shop: &Shop, commit: &str) {
    let url = format!("file://{}", shop.town.path("origin").display());
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy-raw\"\nversion = \"1.0\"\n\
         vcs = {{ type = \"git\", url = \"{url}\", commit-id = \"{commit}\", subdirectory = \"below\" }}\n"
    );
    shop.town.write("shop/pylock.toml", lock);
}

/// Builds with git on the path, or without.
fn build(shop: &Shop, path: &str) -> Option<Ran> {
    let mut command = shop.command(&["-o", "oci:layout"]);
    let ran = shop.town.finish(command.env("PATH", path).spawn().expect("minke starts"));
    if ran.stderr.contains("without a sealed room") {
        skip("this machine seals no rooms");
        return None;
    }
    Some(ran)
}

fn path() -> String {
    std::env::var("PATH").expect("tests have a path")
}

#[test]
fn a_commit_is_built_without_its_history_and_fetched_once() {
    let Some(shop) = founded() else { return };
    let Some(ran) = build(&shop, &path()) else { return };
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let layout = Layout::read(&shop.town.path("layout"), None);
    assert_snapshot!(modules(&layout), @"toy_raw");
    // Built again with other settings, it isn't fetched: the repository is gone.
    std::fs::remove_dir_all(shop.town.path("origin")).unwrap();
    std::fs::remove_dir_all(shop.town.path("layout")).unwrap();
    shop.town.write("shop/minke.toml", "[build.toy-raw.env]\nANOTHER = \"1\"\n");
    let ran = build(&shop, &path()).unwrap();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn a_commit_that_is_no_commit_or_not_there_is_told() {
    let Some(shop) = founded() else { return };
    pin(&shop, "main");
    let Some(ran) = build(&shop, &path()) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 1
        stderr: error: cannot build what has no wheel
          because: cannot get the sources `toy-raw-main.git`
          because: cannot fetch it from file://TOWN/origin
          because: `main` is no commit in full, or its repository is none
          help: pin it in the lock by its commit, in full: lock again
    ");
    pin(&shop, &"0".repeat(40));
    assert_snapshot!(build(&shop, &path()).unwrap().seen(), @r"
        status: 1
        stderr: error: cannot build what has no wheel
          because: cannot get the sources `toy-raw-0000000000000000000000000000000000000000.git`
          because: cannot fetch it from file://TOWN/origin
          because: the repository has no commit 0000000000000000000000000000000000000000
          help: the repository has it no more: lock again
    ");
}

#[test]
fn without_git_that_is_told() {
    let Some(shop) = founded() else { return };
    pin(&shop, &"1".repeat(40));
    let Some(ran) = build(&shop, "/nowhere") else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot get the sources `toy-raw-1111111111111111111111111111111111111111.git`
          because: cannot fetch it from file://TOWN/origin
          because: there is no program `git`
          help: install git, or make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    ");
}

#[test]
fn what_a_build_needs_of_a_repository_is_pinned_to_its_commit() {
    if program("git").is_none() {
        return skip("there is no git");
    }
    let user = sdist("toy-user", &[], "").file("imports", "import toy_raw");
    let Some(shop) = shop(Index::new().sdist(&user), "toy-user\n") else { return };
    let project = format!("[project]\nname = \"toy-raw\"\nversion = \"1.0\"\n{SYSTEM}");
    let commit = planted(&shop, &project, "");
    let origin = shop.town.path("origin");
    let needs = format!("toy-raw @ git+file://{}#subdirectory=below", origin.display());
    shop.town.write("shop/minke.toml", format!("[build.toy-user]\nrequires = [\"{needs}\"]\n"));
    let Some(ran) = build(&shop, &path()) else { return };
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lock = std::fs::read_to_string(shop.town.path("shop/minke.lock")).unwrap();
    let pinned: Vec<&str> = lock.lines().skip_while(|line| *line != "[[build.wheel]]").take(6).collect();
    let told = pinned.join("\n").replace(&commit, "COMMIT").replace(&origin.display().to_string(), "/origin");
    assert_snapshot!(told, @r#"
    [[build.wheel]]
    name = "toy-raw"
    git = "file:///origin"
    subdirectory = "below"
    version = "1.0"
    commit = "COMMIT"
    "#);
    // Who knows nothing builds the same by the lock.
    go_on(&shop);
    let mut locked = shop.command(&["--locked"]);
    let locked = locked.env("PATH", path()).env("MINKE_CACHE", shop.town.path("own-cache")).spawn();
    let locked = shop.town.finish(locked.expect("minke starts"));
    assert_eq!(locked.status, 0, "{}", locked.stderr);
    // A commit that somebody has shortened is told with its line.
    shop.town.write("shop/minke.lock", lock.replace(&commit, &commit[..12]));
    let refused = shop.town.finish(shop.command(&[]).spawn().expect("minke starts"));
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    let line = 1 + lock.lines().position(|line| line == "[[build.wheel]]").unwrap();
    assert!(refused.stderr.contains(&format!("at line {line}, column 1")), "{}", refused.stderr);
    assert!(
        refused.stderr.contains(&format!("`{}` is no commit in full", &commit[..12])),
        "{}",
        refused.stderr
    );
}
