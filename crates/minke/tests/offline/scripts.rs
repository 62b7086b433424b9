//! Programs of distributions that are started with `--help`, where somebody says that this is harmless.

use insta::assert_snapshot;
use minke_testkit::Wheel;

use crate::check::town;
use crate::slim::put_back;

/// A distribution whose modules can be imported without the files that its programs read: one names what it misses, one
/// ends in silence, one never ended well.
fn wheel() -> Wheel {
    let main = "import os, sys\n\
        here = os.path.dirname(__file__)\n\
        def named():\n    print(open(here + '/usage.pyx').read())\n\
        def silent():\n    return 0 if os.path.exists(here + '/usage.h') and not sys.stdin.read() else 3\n\
        def never():\n    print('no', file=sys.stderr)\n    return 2\n";
    Wheel::new("toy-tool", "1")
        .file("toy_tool/__init__.py", "")
        .file("toy_tool/main.py", main)
        .file("toy_tool/usage.pyx", "usage: toy-named\n")
        .file("toy_tool/usage.h", "usage: toy-silent\n")
        .entry_point("toy-named", "toy_tool.main:named")
        .entry_point("toy-silent", "toy_tool.main:silent")
        .entry_point("toy-never", "toy_tool.main:never")
}

#[test]
fn what_a_program_reads_is_put_back_where_it_is_said_that_starting_it_is_harmless() {
    let Some(town) = town(&[wheel()]) else { return };
    let build = |more: &[&str]| {
        let ran = town.succeeds(&[&["build", "--json", "--profile", "lean", "shop"], more].concat());
        (put_back(&ran.stdout), ran.stderr)
    };
    let (unseen, stderr) = build(&[]);
    assert_eq!(unseen, [""; 0], "{stderr}");
    // Who switches it on has all proved again.
    let named = "sources of toy-tool for toy-named --help: exit 1: FileNotFoundError: [Errno 2] No such file or directory: \
         '/app/.venv/lib/python3.11/site-packages/toy_tool/usage.pyx'";
    assert_eq!(build(&["--check-scripts=toy-named"]).0, [named]);
    std::fs::remove_file(town.path("shop/minke.lock")).unwrap();
    town.write("shop/minke.toml", "check-scripts = true\n");
    let silent = "headers of toy-tool for toy-silent --help: exit 3";
    assert_eq!(build(&[]).0, [named, silent]);
    let ran = town.succeeds(&["run", "--entrypoint", "toy-named", "shop"]);
    assert_eq!(ran.stdout, "usage: toy-named\n\n");
    // It is remembered.
    let again = town.succeeds(&["build", "--profile", "lean", "shop"]).stderr;
    assert!(!again.rsplit_once("took ").unwrap().1.contains("proof"), "{again}");
    // What the lock lifts stays lifted, whoever proves what.
    town.write("shop/minke.toml", "check-scripts = false\n");
    assert_eq!(town.succeeds(&["build", "--json", "shop", "--locked"]).status, 0);
}

#[test]
fn a_program_that_is_named_must_be_there_and_is_told_if_it_never_ends_well() {
    let Some(town) = town(&[wheel()]) else { return };
    let ran = town.minke(&["build", "--quiet", "shop", "--check-scripts=toy-name"]);
    assert_snapshot!(ran.seen(), @r"
        status: 1
        stderr: error: the image is not named: it is not proved to work
          because: a name in `check-scripts` is none
          because: no installed distribution has a console script `toy-name`; did you mean `toy-named`?
          help: correct it in `check-scripts` of [tool.minke]; a command of the project's own belongs in `check`
    ");
    let ran = town.minke(&["build", "--quiet", "shop", "--check-scripts=toy-never"]);
    assert_snapshot!(ran.stderr, @"warning: `toy-never --help` of toy-tool fails, slimmed or not (exit 2: no)");
    assert_eq!(ran.status, 0);
}

#[test]
fn any_images_programs_are_started_on_demand() {
    let optional = "def main():\n    import not_installed\n";
    let broken = "def main():\n    import toy_broken.gone\n";
    let mixed = Wheel::new("toy-broken", "2")
        .file("toy_broken/__init__.py", broken)
        .file("toy_optional.py", optional)
        .entry_point("toy-broken", "toy_broken:main")
        .entry_point("toy-optional", "toy_optional:main")
        .data_script("toy-data", "#!python\nprint('fine')\n");
    let Some(town) = town(&[wheel(), mixed]) else { return };
    town.builds(&["shop", "--profile", "none"]);
    let unasked = town.succeeds(&["check", "shop"]).stdout;
    assert!(!unasked.contains("scripts"), "{unasked}");
    let ran = town.minke(&["check", "shop", "--scripts"]);
    assert_eq!(ran.status, 4);
    assert_snapshot!(table(&ran.stdout), @r"
        distribution version modules entry points libraries scripts
        toy-broken 2 2 2 - 1 of 3
        toy-tool 1 1 3 - 2 of 3
        broken script `toy-broken --help` of toy-broken: exit 1: ModuleNotFoundError: No module named 'toy_broken.gone'
        doubtful script `toy-never --help` of toy-tool: exit 2: no
    ");
    let ran = town.minke(&["check", "shop", "--scripts=toy-data,toy-datum"]);
    assert_snapshot!(ran.seen(), @r"
        status: 2
        stderr: error: no installed distribution has a console script `toy-datum`; did you mean `toy-data`?
          help: `minke check --scripts --json` starts all that are there
    ");
    let ran = town.succeeds(&["check", "shop", "--scripts=toy-data,toy-never"]);
    assert_snapshot!(table(&ran.stdout), @r"
        distribution version modules entry points libraries scripts
        toy-broken 2 2 2 - 1
        toy-tool 1 1 3 - 0 of 1
        doubtful script `toy-never --help` of toy-tool: exit 2: no
    ");
}

/// What of a check's table doesn't depend on this machine's own Python.
fn table(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| !line.starts_with("python ") && !line.starts_with("optional "));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}
