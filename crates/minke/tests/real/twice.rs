//! Wheels that are built twice, by others and elsewhere, are the same.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::world::{World, has, is_root, output, ran};

/// What is built: by setuptools in C and C++, and with libraries of the system's by Meson, scikit-build-core and cffi.
const NAMES: [&str; 5] = ["markupsafe", "greenlet", "pycairo", "pyzmq", "pygit2"];

/// Writes a project whose requirements have to be built.
fn write(directory: &Path) {
    std::fs::create_dir_all(directory).expect("the place is writable");
    let settings = format!("no-binary = {NAMES:?}\n");
    for (file, text) in
        [("minke.toml", settings), ("requirements.txt", NAMES.join("\n")), ("main.py", String::new())]
    {
        std::fs::write(directory.join(file), text).expect("the place is writable");
    }
}

/// Builds the wheels of a project and returns their names and hashes.
fn sums(minke: impl Fn() -> Command, project: &Path, house: &Path) -> String {
    output(minke().args(["wheels", "build"]).arg(project));
    output(minke().args(["wheels", "export"]).arg(house));
    let sums = std::fs::read_to_string(house.join("SHA256SUMS")).expect("sums were written");
    let ours = sums.lines().filter(|line| NAMES.iter().any(|name| line.contains(&format!("  {name}-"))));
    ours.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wheel_is_the_same_whoever_builds_it_where_and_with_how_many_jobs() {
    let world = World::open();
    if !has("uv") || !is_root() {
        eprintln!("SKIPPED: this takes uv, and root, who may be somebody else");
        return;
    }
    let one = world.path("twice");
    write(&one);
    let cache = world.path("twice-cache");
    let by_root = || {
        let mut minke = Command::new(env!("CARGO_BIN_EXE_minke"));
        minke.env("MINKE_CACHE", &cache).env("TZ", "Asia/Kathmandu");
        minke
    };
    let first = sums(by_root, &one, &world.path("twice-wheels"));

    // Another user in another place, who has what was downloaded and nothing that was made of it.
    let home = tempfile::Builder::new().prefix("minke-twice-").tempdir_in("/tmp").expect("/tmp is writable");
    let at = |name: &str| home.path().join(name);
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let below = at("a longer way to the project");
    write(&below);
    for lock in ["pylock.toml", "minke.lock"] {
        std::fs::copy(one.join(lock), below.join(lock)).expect("a lock was written");
    }
    std::fs::create_dir_all(at("cache/v2")).expect("the place is writable");
    let copy = |from: &Path, to: &Path| {
        ran(&Command::new("cp").arg("-rL").args([from, to]).output().expect("cp starts"))
    };
    copy(&cache.join("v2/blobs"), &at("cache/v2/blobs"));
    copy(Path::new(env!("CARGO_BIN_EXE_minke")), &at("minke"));
    copy(Path::new(output(Command::new("which").arg("uv")).trim()), &at("uv"));
    ran(&Command::new("chown").args(["-R", "65534:65534"]).arg(home.path()).output().expect("chown starts"));
    let by_nobody = || {
        let mut minke = Command::new("setpriv");
        minke.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "taskset", "--cpu-list", "0"]);
        minke.arg(at("minke")).current_dir("/").env("HOME", home.path()).env("MINKE_CACHE", at("cache"));
        let path = std::env::var("PATH").unwrap_or_default();
        minke.env("PATH", format!("{}:{path}", home.path().display())).env("TZ", "America/Lima");
        minke
    };
    assert_eq!(sums(by_nobody, &below, &at("wheels")), first);
    assert_eq!(first.lines().count(), NAMES.len(), "{first}");
    // A gigabyte that nobody asks for again.
    world.path("twice-cache");
}
