//! The hostile double build: whoever builds, wherever, whenever and with whatever in the cache, it is one image.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use minke_testkit::{Wheel, skip};

use crate::image::{Layout, difference};
use crate::plain::wheels;
use crate::town::Town;

/// What a builder finds around, none of which may be seen in an image.
struct Surroundings {
    /// The project's directory in the town; the last part is its name.
    project: &'static str,
    umask: &'static str,
    processors: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// How the files come to be.
    order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

const HERE: Surroundings = Surroundings {
    project: "shop",
    umask: "022",
    processors: "0",
    variables: &[("TZ", "Asia/Tokyo"), ("LANG", "de_DE.UTF-8"), ("RAYON_NUM_THREADS", "1")],
    order: Order::OldestFirst,
};

const THERE: Surroundings = Surroundings {
    project: "a place/with a name that is rather long/and ümlauts/shop",
    umask: "077",
    processors: "0-63",
    variables: &[
        ("TZ", "America/St_Johns"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("RAYON_NUM_THREADS", "7"),
        ("PYTHONHASHSEED", "99"),
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONPATH", "/no/such/place"),
        ("PYTHONHOME", "/no/such/place"),
        ("LD_LIBRARY_PATH", "/no/such/place"),
        ("COLUMNS", "40"),
        ("TERM", "xterm"),
    ],
    order: Order::NewestFirst,
};

/// Writes the project as somebody in these surroundings would have it.
fn write_project(town: &Town, around: &Surroundings, wheels: &[Wheel]) {
    let sources = "import json\n\nNAMES = frozenset({'a', 'b', 'c'})\n\ndef main():\n    return json.dumps(sorted(NAMES))\n";
    let lock = town.lock(wheels);
    let mut files: Vec<(String, &str)> =
        ["main.py", "shop/__init__.py", "shop/models.py", "shop/views/index.py"]
            .into_iter()
            .map(|path| (path.to_owned(), sources))
            .chain([("data/words.txt".to_owned(), "one\ntwo\n"), ("run".to_owned(), "#!/bin/sh\n")])
            .chain([("pylock.toml".to_owned(), lock.as_str())])
            .collect();
    let now = SystemTime::now();
    if around.order == Order::NewestFirst {
        files.reverse();
    }
    for (number, (path, content)) in files.iter().enumerate() {
        let path = format!("{}/{path}", around.project);
        town.write(&path, content);
        let file = fs::File::options().write(true).open(town.path(&path)).unwrap();
        file.set_modified(now - Duration::from_secs(86_400 * number as u64)).unwrap();
        let mode = if path.ends_with("/run") { 0o755 } else { 0o644 };
        let umask = u32::from_str_radix(around.umask, 8).unwrap();
        fs::set_permissions(town.path(&path), fs::Permissions::from_mode(mode & !umask)).unwrap();
    }
    symlink("data/words.txt", town.path(&format!("{}/words", around.project))).unwrap();
}

/// Builds it there, and returns what is printed.
fn build(town: &Town, around: &Surroundings, layout: &str) -> String {
    let Surroundings { project, umask, processors, variables, order: _ } = around;
    let minke = town.command(&["build", "--quiet", project, "-o", &format!("oci:{layout}")]);
    let mut command = Command::new("/bin/sh");
    let script = format!("umask {umask}; exec taskset --cpu-list {processors} \"$@\"");
    command.args(["-c", &script, "sh"]).arg(minke.get_program()).args(minke.get_args());
    command.env_clear().envs(minke.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(variables.iter().copied()).current_dir(minke.get_current_dir().unwrap());
    let output = command.output().unwrap();
    let (said, complained) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), complained.as_str()), (Some(0), ""));
    said
}

fn assert_same(name: &str, (one, first): (&Town, &str), (other, second): (&Town, &str)) {
    if first != second {
        let (one, other) =
            (Layout::read(&one.path("layout"), None), Layout::read(&other.path("layout"), None));
        panic!("{name}: {first} against {second}\n{}", difference(&one, &other));
    }
}

#[test]
fn two_users_in_different_places_build_one_image() {
    let wheels = wheels();
    let Some(here) = Town::without_cache(&wheels) else { return };
    write_project(&here, &HERE, &wheels);
    let first = build(&here, &HERE, "layout");

    let Some(mut there) = Town::without_cache(&wheels) else { return };
    write_project(&there, &THERE, &wheels);
    if rustix::process::geteuid().is_root() {
        there.hand_over();
    } else {
        skip("only root can be a second user; both builds are by one");
    }
    let second = build(&there, &THERE, "layout");
    assert_same("two users, two empty caches", (&here, &first), (&there, &second));

    let again = build(&there, &THERE, "layout");
    assert_same("a full cache", (&here, &first), (&there, &again));
}

#[test]
fn what_else_is_in_the_cache_changes_nothing() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    // What was compiled, compressed and cut for other projects must not be taken for this one's.
    town.project("other", &wheels[1..]);
    town.builds(&["other", "--layers", "single", "--compression", "zstd"]);
    town.builds(&["other", "--compression", "none", "--system-package", "toy-tool"]);
    write_project(&town, &THERE, &wheels);
    let first = build(&town, &THERE, "layout");

    let Some(clean) = Town::with(&wheels) else { return };
    write_project(&clean, &HERE, &wheels);
    let second = build(&clean, &HERE, "layout");
    assert_same("a cache with other things in it", (&town, &first), (&clean, &second));
}

#[test]
fn the_epoch_is_on_the_projects_files_and_on_nothing_else() {
    let Some(town) = Town::with(&wheels()) else { return };
    town.project("shop", &wheels());
    let mut command = town.command(&["build", "-q", "shop", "-o", "oci:layout"]);
    let ran = town.finish(command.env("SOURCE_DATE_EPOCH", "1700000000").spawn().unwrap());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let layout = Layout::read(&town.path("layout"), None);
    assert_eq!(layout.config["created"], "2023-11-14T22:13:20Z");
    let stamped: Vec<String> = layout
        .listings()
        .iter()
        .flat_map(|listing| listing.lines())
        .filter(|line| !line.contains(" 315532801"))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    insta::assert_snapshot!(stamped.join("\n"), @r"
    app/__pycache__/main.cpython-311.pyc
    app/main.py
    ");
}
