//! `minke check`, and the checks that a build makes before it names an image.

use insta::assert_snapshot;
use minke_testkit::{Wheel, skip};
use serde_json::Value;

use crate::town::{Town, User};

/// What of a check's table doesn't depend on this machine's own Python.
fn table(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| !line.starts_with("python ") && !line.starts_with("optional "));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

/// A town with an image of these wheels, where rooms can be made.
pub(crate) fn town(wheels: &[Wheel]) -> Option<Town> {
    let town = Town::with(wheels)?;
    if !User::Myself.can_make_containers() {
        skip("this machine makes no containers");
        return None;
    }
    town.project("shop", wheels);
    Some(town)
}

#[test]
fn an_image_whose_parts_can_be_imported_works() {
    let good = Wheel::new("toy-good", "1.0")
        .file("toy_good/__init__.py", "value = 1\n")
        .file("toy_good/deep/__init__.py", "import toy_good\n")
        .file("toy_good/extra/__init__.py", "import not_installed\n")
        .file("toy_good/tests/__init__.py", "raise SystemExit\n")
        .entry_point("toy-good", "toy_good:value");
    let Some(town) = town(&[good]) else { return };
    town.builds(&["shop", "-o", "docker-archive:shop.tar"]);
    let ran = town.succeeds(&["check", "shop"]);
    assert_snapshot!(table(&ran.stdout), @r"
        distribution version modules entry points libraries
        toy-good 1.0 2 of 3 1 -
    ");
    let told: Value =
        serde_json::from_str(&town.succeeds(&["check", "docker-archive:shop.tar", "--json"]).stdout).unwrap();
    assert_eq!(told["works"], true);
    assert_eq!(told["pythons"][0]["path"], "/app/.venv/bin/python3");
}

#[test]
fn what_an_image_promises_and_does_not_keep_is_told_with_its_reason() {
    let bad = Wheel::new("toy-bad", "2.0")
        .file("toy_bad.py", "raise RuntimeError('no\\nway')\n")
        .file("toy_crash.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
        .file("toy_exit.py", "import os\nos._exit(7)\n")
        .file("toy_home.py", "import os\nos.makedirs(os.path.expanduser('~/.toy'))\n")
        .file("toy_net.py", "import socket\nsocket.create_connection(('192.0.2.1', 80), 5)\n")
        .file("toy_root.py", "open('/app/new', 'w')\n")
        .file("toy_temporary.py", "import tempfile\ntempfile.NamedTemporaryFile()\n")
        .entry_point("toy", "toy_temporary:main")
        .entry_point_in("toys", "plug", "toy_bad:x");
    let Some(town) = town(&[bad]) else { return };
    town.builds(&["shop"]);
    let ran = town.minke(&["check", "shop"]);
    assert_eq!(ran.status, 4);
    assert_snapshot!(table(&ran.stdout), @r"
        distribution version modules entry points libraries
        toy-bad 2.0 1 of 7 0 of 2 -
        broken entry `console_scripts: toy = toy_temporary:main` of toy-bad: AttributeError: module 'toy_temporary' has no attribute 'main'
        broken module `toy_bad` of toy-bad: RuntimeError: no way
        broken module `toy_crash` of toy-bad: SIGSEGV: Fatal Python error: Segmentation fault
        broken module `toy_exit` of toy-bad: exit 7
        broken module `toy_home` of toy-bad: OSError: [Errno 30] Read-only file system: '/nonexistent'
        broken module `toy_net` of toy-bad: OSError: [Errno 101] Network is unreachable
        broken module `toy_root` of toy-bad: OSError: [Errno 30] Read-only file system: '/app/new'
        doubtful entry `toys: plug = toy_bad:x` of toy-bad: RuntimeError: no way
    ");
    assert_snapshot!(ran.stderr, @r"
        error: `shop` does not work as it promises
          help: what is broken stands above, with what it says itself
    ");
}

#[test]
fn an_image_whose_check_fails_is_not_named() {
    let Some(town) = town(&[]) else { return };
    town.write("shop/minke.toml", "check = [\"python -c 'import main'\"]\n");
    let first = town.builds(&["shop"]);
    assert!(town.minke(&["build", "shop"]).stderr.contains("1 of 1 checks"));
    town.write("shop/main.py", "import nothing_of_that_name\n");
    let ran = town.minke(&["build", "shop"]);
    assert_eq!(ran.status, 4);
    let error =
        ran.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    assert_snapshot!(error, @r#"
        error: the image is not named: it is not proved to work
          because: a check of the project's fails in the image
          because: `python -c 'import main'` ended with status 1:
                   Traceback (most recent call last):
                     File "<string>", line 1, in <module>
                     File "/app/main.py", line 1, in <module>
                       import nothing_of_that_name
                   ModuleNotFoundError: No module named 'nothing_of_that_name'
          help: correct the command in `check` of [tool.minke], or what it finds; it runs without a network and a home, and only `/tmp` can be written
    "#);
    assert!(
        town.succeeds(&["images"]).stdout.contains(&first[first.len() - 64..][..12]),
        "the first one is named"
    );
    town.builds(&["shop", "--proof", "off"]);
    // What the command line says adds to what the file says.
    town.write("shop/main.py", "");
    assert_eq!(town.minke(&["build", "shop", "--check", "python -c 'raise SystemExit(3)'"]).status, 4);
}

#[test]
fn nothing_that_is_no_python_is_checked() {
    let Some(town) = town(&[]) else { return };
    assert_eq!(town.minke(&["check", "nothing"]).status, 1);
    assert_eq!(town.minke(&["check", "docker-daemon:shop"]).status, 1);
}
