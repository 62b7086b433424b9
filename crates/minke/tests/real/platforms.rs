//! Other suites than the default one, and images for another architecture, which nothing here runs natively.

use std::path::PathBuf;
use std::process::Command;

use crate::SAYS;
use crate::world::{self, World, output, ran};

/// What the base promises, whatever it is made of.
const PROMISES: &str = "\
locales: C.UTF-8
certificates: over a hundred authorities, bundled and by hash
libraries: libc.so.6 libm.so.6 libssl.so.3 libz.so.1 libsqlite3.so.0
zones: Europe/Berlin
user: root and nonroot
modules: every module of the standard library imports
bytecode: unchecked hashes, none missing
read_only: nothing of the image can be written
venv: /app/.venv
no_tools: no shell, package manager or compiler
";

fn bind(script: &str) -> String {
    format!("{}:/{script}:ro", world::inside(script).display())
}

#[test]
fn other_suites_keep_the_bases_promises() {
    let world = World::open();
    for (suite, python) in [("bookworm", "3.11"), ("forky", "3.14")] {
        let name = format!("hello-{suite}");
        let mut build = world.minke();
        build.arg("build").arg(world.copy("hello")).args(["--base", suite, "--python", python, "-t", &name]);
        build.args(["--profile", "none"]);
        let built = build.output().expect("minke starts");
        let said = String::from_utf8_lossy(&built.stderr);
        if said.contains("it expired on") {
            eprintln!("SKIPPED: the mirror's {suite} is out of date");
            continue;
        }
        ran(&built);
        let mut run = world.minke();
        run.args(["run", "--read-only", "-v", &bind("base.py"), "--entrypoint", "python", &name, "/base.py"]);
        assert_eq!(output(&mut run), PROMISES, "{suite}");
    }
}

/// An emulator of arm64 that needs nothing of the image.
fn emulator() -> Option<PathBuf> {
    let found = ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find_map(minke_testkit::program);
    if found.is_none() {
        eprintln!("SKIPPED: there is no qemu-aarch64-static");
    }
    found
}

/// Runs the image's Python under the emulator, whose own file is mounted in the image.
fn emulated(world: &World, emulator: &std::path::Path, image: &str, arguments: &[&str]) -> Command {
    let mut run = world.minke();
    run.args(["run", "--read-only", "-v", &format!("{}:/emulator:ro", emulator.display())]);
    for script in ["base.py", "bytecode.py", "emulated.py"] {
        run.args(["-v", &bind(script)]);
    }
    run.args(["--entrypoint", "/emulator /app/.venv/bin/python", image]).args(arguments);
    run
}

#[test]
fn the_examples_run_on_arm64() {
    let world = World::open();
    let Some(emulator) = emulator() else { return };
    // Nothing is compiled for other machines yet.
    for (example, name) in world::EXAMPLES.into_iter().filter(|(example, _)| *example != "compiled") {
        let image = format!("{name}:arm64");
        let mut build = world.minke();
        build.arg("build").arg(world.copy(example)).args(["--platform", "linux/arm64", "-t", &image]);
        ran(&build.output().expect("minke starts"));
        let config = output(world.minke().args(["inspect", &image]));
        assert!(config.contains("\"architecture\": \"arm64\""), "{config}");
        let (_, arguments, expected) =
            SAYS.iter().find(|(said, _, _)| *said == name).expect("every example says something");
        let program: &[&str] = match name {
            "hello" => &["/app/.venv/bin/gunicorn"],
            "whale" => &["/app/.venv/bin/whale"],
            _ => &["/app/main.py"],
        };
        let said = output(emulated(&world, &emulator, &image, program).args(*arguments));
        assert!(said.contains(expected), "{name} says {said}");
    }
    for (name, modules) in [
        ("api", "fastapi, uvicorn, sqlalchemy, asyncpg, pydantic, httpx, PIL.Image, cryptography.x509"),
        ("notebook", "notebook.app, jupyter_server.serverapp, zmq, tornado"),
    ] {
        let image = format!("{name}:arm64");
        let mut build = world.minke();
        build.arg("build").arg(world.copy(name)).args(["--platform", "linux/arm64", "-t", &image]);
        ran(&build.output().expect("minke starts"));
        let script = format!("import platform, {modules}; print(platform.machine())");
        let said = output(&mut emulated(&world, &emulator, &image, &["-c", &script]));
        assert_eq!(said.trim(), "aarch64", "{name}");
    }
    world.build_whole("hello", "hello-whole:arm64", &["--platform", "linux/arm64"]);
    let promises = ["/emulated.py", "/emulator", "/base.py"];
    assert_eq!(output(&mut emulated(&world, &emulator, "hello-whole:arm64", &promises)), PROMISES);
}

#[test]
fn bytecode_for_arm64_is_what_its_own_interpreter_makes() {
    let world = World::open();
    let Some(emulator) = emulator() else { return };
    world.build_whole("hello", "hello-whole:arm64", &["--platform", "linux/arm64"]);
    // Without `site`, which would have compiled modules before the script does.
    let script = ["-S", "-B", "/bytecode.py"];
    assert_eq!(
        output(&mut emulated(&world, &emulator, "hello-whole:arm64", &script)),
        "aarch64 has the same bytecode\n"
    );
}
