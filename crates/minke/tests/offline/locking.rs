//! `minke.lock`: written once, believed while it is complete, moved on only where that is asked for.

use insta::assert_snapshot;
use minke_testkit::{Deb, DebianArchive, Fault, Server, SigningKey};

use crate::town::{Ran, Town};

/// A town beside which the archive of security updates moves on.
struct Moving {
    town: Town,
    updates: Server,
}

impl Moving {
    /// A town with a project that wants `toy-tool`, which has a newer version since.
    fn on() -> Option<Moving> {
        let town = Town::with(&[])?;
        town.project("shop", &[]);
        town.write("shop/minke.toml", "system-packages = [\"toy-tool\"]\n");
        town.builds(&["shop"]);
        let newer = |name: &str| Deb::new(name, "2").file(&format!("/usr/share/{name}"), "newer");
        let archive = DebianArchive::new("bookworm-security").packages(["toy-tool", "toy-other"].map(newer));
        archive.sign_with(&SigningKey::new(1)).write_to(town.path("updates"));
        let updates = Server::serve_dir(town.path("updates"));
        Some(Moving { town, updates })
    }

    fn minke(&self, arguments: &[&str]) -> Ran {
        let mut command = self.town.command(arguments);
        command.env("MINKE_DEBIAN_SECURITY_MIRROR", self.updates.url());
        self.town.finish(command.spawn().expect("minke starts"))
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(self.town.path("shop/minke.lock")).expect("there is a lock")
    }

    /// The versions that the lock has of packages whose names begin with `toy-`, and why.
    fn toys(&self) -> String {
        let lock: toml::Table = self.lock().parse().unwrap();
        let packages = lock["platform"][0]["package"].as_array().unwrap();
        let toys = packages.iter().filter(|package| package["name"].as_str().unwrap().starts_with("toy-"));
        let line = |package: &toml::Value| {
            format!("{} {} {} {}", package["name"], package["version"], package["suite"], package["why"])
        };
        toys.map(line).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_lock_says_what_is_there_and_why() {
    let Some(moving) = Moving::on() else { return };
    assert_snapshot!(moving.toys(), @r#""toy-tool" "1" "bookworm" ["tool.minke.system-packages"]"#);
    let lock: toml::Table = moving.lock().parse().unwrap();
    let platform = &lock["platform"][0];
    assert_eq!(platform["suite"].as_str(), Some("bookworm"));
    assert_eq!(platform["system"].as_array().unwrap(), &["toy-tool".into()]);
    let packages = platform["package"].as_array().unwrap();
    let interpreters: Vec<_> =
        packages.iter().filter(|package| package["why"][0].as_str() == Some("interpreter")).collect();
    assert_eq!(interpreters.len(), 2, "{interpreters:?}");
    let suites: Vec<_> = platform["archive"].as_array().unwrap().iter().map(|list| &list["suite"]).collect();
    assert_eq!(suites, [&"bookworm".into(), &"bookworm-updates".into(), &"bookworm-security".into()]);
}

#[test]
fn what_is_locked_stays_while_the_archive_moves_on() {
    let Some(moving) = Moving::on() else { return };
    let (lock, first) = (moving.lock(), moving.town.builds(&["shop", "--locked"]));
    let again = moving.minke(&["build", "--quiet", "shop"]);
    assert_eq!((again.status, again.stdout.trim_end()), (0, first.as_str()), "{}", again.stderr);
    assert_eq!(moving.lock(), lock);
    assert_eq!(moving.updates.counts().len(), 0, "nobody was asked");
}

#[test]
fn an_upgrade_is_shown_before_it_is_made() {
    let Some(moving) = Moving::on() else { return };
    let lock = moving.lock();
    let shown = moving.minke(&["lock", "--quiet", "shop", "--upgrade", "--dry-run"]);
    assert_snapshot!(shown.seen(), @r"
        status: 0
        stdout: name      before  after  of           why
        toy-tool  1       2      linux/amd64  tool.minke.system-packages
    ");
    assert_eq!(moving.lock(), lock);
    let made = moving.minke(&["lock", "--quiet", "shop", "--upgrade", "toy-tool"]);
    assert_eq!((made.status, &made.stdout), (0, &shown.stdout), "{}", made.stderr);
    assert_snapshot!(moving.toys(), @r#""toy-tool" "2" "bookworm-security" ["tool.minke.system-packages"]"#);
    let locked = moving.minke(&["lock", "--quiet", "shop", "--locked"]);
    assert_eq!((locked.status, locked.stdout.as_str()), (0, ""), "{}", locked.stderr);
    let json = moving.minke(&["lock", "--json", "shop"]);
    assert_eq!((json.status, json.stdout.as_str()), (0, ""), "{}", json.stderr);
}

#[test]
fn who_adds_a_package_gets_that_package_and_no_new_version_of_others() {
    let Some(moving) = Moving::on() else { return };
    moving.town.write("shop/minke.toml", "system-packages = [\"toy-tool\", \"toy-other\"]\n");
    let refused = moving.minke(&["build", "--quiet", "shop", "--locked"]);
    assert_snapshot!(refused.seen(), @r"
        status: 1
        stderr: error: cannot choose the image's packages
          because: `minke.lock` lacks `toy-other` for linux/amd64, and `--locked` forbids to change it
          help: run `minke lock`, and commit what it changes
    ");
    let built = moving.minke(&["build", "--quiet", "shop"]);
    assert_eq!(built.status, 0, "{}", built.stderr);
    assert_snapshot!(moving.toys(), @r#"
        "toy-other" "2" "bookworm-security" ["tool.minke.system-packages"]
        "toy-tool" "1" "bookworm" ["tool.minke.system-packages"]
    "#);
    moving.town.write("shop/minke.toml", "");
    let refused = moving.minke(&["build", "--quiet", "shop", "--locked"]);
    assert_snapshot!(refused.seen(), @r"
        status: 1
        stderr: error: cannot choose the image's packages
          because: `minke.lock` has `toy-other`, `toy-tool` for linux/amd64, which nothing asks for, and `--locked` forbids to change it
          help: run `minke lock`, and commit what it changes
    ");
}

#[test]
fn a_package_that_is_gone_from_the_archive_is_named_with_what_there_is_instead() {
    let Some(moving) = Moving::on() else { return };
    std::fs::remove_dir_all(moving.town.path("cache")).unwrap();
    moving.town.archive.fault("/debian/pool/main/t/toy-tool/toy-tool_1_amd64.deb", Fault::Status(404));
    assert_snapshot!(moving.minke(&["build", "--quiet", "shop"]).seen(), @r"
        status: 1
        stderr: error: toy-tool 1, which `minke.lock` names, is no longer in the archive
          help: `minke lock --upgrade toy-tool` takes 2; to build from the old one, set `mirror` in [tool.minke.debian] to a snapshot archive that still has it
    ");
}

#[test]
fn a_complete_lock_needs_no_signed_list_even_with_an_empty_cache() {
    let Some(moving) = Moving::on() else { return };
    let first = moving.town.builds(&["shop"]);
    std::fs::remove_dir_all(moving.town.path("cache")).unwrap();
    moving.town.archive.forget();
    assert_eq!(moving.town.builds(&["shop"]), first);
    let counts = moving.town.archive.counts();
    let lists: Vec<_> = counts.keys().filter(|path| path.contains("/dists/")).collect();
    assert_eq!(lists, Vec::<&String>::new());
    assert!(!counts.is_empty(), "packages were fetched");
}

#[test]
fn a_lock_that_cannot_be_believed_stops_the_build() {
    let Some(moving) = Moving::on() else { return };
    let lock = moving.lock();
    let broken = |text: &str| {
        moving.town.write("shop/minke.lock", text);
        moving.minke(&["build", "--quiet", "shop"]).seen()
    };
    assert_snapshot!(broken(&lock.replace("version = 1\n", "version = 2\n")), @r"
        status: 1
        stderr: error: cannot use `minke.lock`
          because: line 3: its format is version 2, and this minke knows 1
          help: use the minke that wrote it, or a later one
    ");
    assert_snapshot!(broken(&lock.replacen("suite", "=======\nsuite", 1)), @r"
        status: 1
        stderr: error: cannot use `minke.lock`
          because: line 7 is a conflict marker of a merge
          help: choose either version of `minke.lock`, then run `minke lock`
    ");
    assert_snapshot!(broken(&lock[..lock.rfind("[[platform.package]]").unwrap()]), @r"
        status: 1
        stderr: error: cannot use `minke.lock`
          because: line 8: it says 36 packages, and has 35
          help: take `minke.lock` from version control again, or remove it and run `minke lock` for a new one
    ");
    assert_snapshot!(broken(&lock[..lock.len() - 30]), @r#"
        status: 1
        stderr: error: cannot use `minke.lock`
          because: it is not a lock that minke has written
          because: TOML parse error at line 421, column 47
                       |
                   421 | sha256 = "fc6cae7cce995184b7695ebf8d237b365e42
                       |                                               ^
                   invalid basic string, expected `"`
          help: take `minke.lock` from version control again, or remove it and run `minke lock` for a new one
    "#);
    assert_snapshot!(broken("minke = yes\n"), @r"
        status: 1
        stderr: error: cannot use `minke.lock`
          because: it is not a lock that minke has written
          because: TOML parse error at line 1, column 9
                     |
                   1 | minke = yes
                     |         ^^^
                   string values must be quoted, expected literal string
          help: take `minke.lock` from version control again, or remove it and run `minke lock` for a new one
    ");
    moving.town.write("shop/minke.lock", lock);
    moving.town.builds(&["shop"]);
}
