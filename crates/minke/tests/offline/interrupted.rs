//! Builds that are ended in the middle leave nothing that a later one believes.

use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use minke_testkit::{Fault, Server, Wheel};
use rustix::process::{Pid, Signal, kill_process};

use crate::debs::{TOOL, TOOL_PATH};
use crate::plain::wheels;
use crate::town::Town;

/// What is left of unfinished work in a town's cache.
fn scratch(town: &Town) -> Vec<String> {
    let entries = fs::read_dir(town.path("cache/v2/scratch")).expect("a cache has a place for scratch");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Waits until a path was asked for, so that the build is surely in the middle.
fn wait_for(server: &Server, path: &str, child: &mut Child) {
    let began = Instant::now();
    while server.requests(path) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody asks for {path}");
        assert!(
            child.try_wait().expect("a child can be asked").is_none(),
            "it ended before it asked for {path}"
        );
        sleep(Duration::from_millis(5));
    }
}

fn wheel_path(wheel: &Wheel) -> String {
    format!("/files/{}", wheel.file_name())
}

#[test]
fn a_signal_ends_a_build_and_leaves_nothing_behind() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let path = wheel_path(&wheels[0]);
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        town.index.forget();
        town.index.fault(&path, Fault::StallAfter(100));
        let mut child = town.command(&["build", "--quiet", "shop"]).spawn().unwrap();
        wait_for(&town.index, &path, &mut child);
        // Some of the wheel should have come.
        sleep(Duration::from_millis(100));
        let began = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = town.finish(child);
        assert!(began.elapsed() < Duration::from_secs(5), "{signal:?} is heeded at once");
        assert_eq!(ran.seen(), format!("status: {status}\n"), "{signal:?}");
        assert_eq!(scratch(&town), Vec::<String>::new(), "{signal:?}");
        assert_eq!(town.succeeds(&["images", "-q"]).stdout, "");
    }
    town.index.heal(&path);
    let built = town.builds(&["shop"]);
    assert_eq!(built, undisturbed(&wheels), "a build after three that were ended");
}

#[test]
fn a_signal_ends_interpreters_too() {
    // Python takes seconds to compile so much.
    let long = Wheel::new("toy-long", "1")
        .file("toy_long.py", "A = [x ** 2 for x in range(10) if x % 2]\n".repeat(150_000));
    let Some(town) = Town::with(std::slice::from_ref(&long)) else { return };
    town.project("shop", &[long]);
    let child = town.command(&["build", "--quiet", "shop"]).spawn().unwrap();
    let began = Instant::now();
    let interpreters = loop {
        let found = children_of(child.id());
        if !found.is_empty() {
            break found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nobody compiles");
        sleep(Duration::from_millis(5));
    };
    // Long enough for it to be at work.
    sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(town.finish(child).seen(), "status: 130\n");
    assert_eq!(scratch(&town), Vec::<String>::new());
    let began = Instant::now();
    while interpreters.iter().any(|process| fs::exists(format!("/proc/{process}")).unwrap()) {
        assert!(began.elapsed() < Duration::from_secs(30), "interpreters outlive who has started them");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(scratch(&town), Vec::<String>::new());
}

/// The processes whose parent is this one.
fn children_of(process: u32) -> Vec<String> {
    let names = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_child = |name: &String| {
        let status = fs::read_to_string(format!("/proc/{name}/status")).unwrap_or_default();
        status.lines().any(|line| line.split_whitespace().eq(["PPid:", &process.to_string()]))
    };
    names.filter(is_child).collect()
}

#[test]
fn a_build_that_is_killed_leaves_nothing_that_is_believed() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let paths = wheels.each_ref().map(wheel_path);
    for _ in 0..2 {
        town.index.forget();
        paths.iter().for_each(|path| town.index.fault(path, Fault::StallAfter(100)));
        let mut child = town.command(&["build", "--quiet", "shop"]).spawn().unwrap();
        paths.iter().for_each(|path| wait_for(&town.index, path, &mut child));
        child.kill().unwrap();
        assert_eq!(town.finish(child).status, 137);
    }
    paths.iter().for_each(|path| town.index.heal(path));
    assert_eq!(scratch(&town).len(), 1, "the first one's scratch was swept away by the second");
    town.archive.fault(TOOL_PATH, Fault::StallAfter(100));
    let mut child = town.command(&["build", "--quiet", "shop", "--system-package", TOOL]).spawn().unwrap();
    wait_for(&town.archive, TOOL_PATH, &mut child);
    child.kill().unwrap();
    town.finish(child);
    assert_eq!(town.builds(&["shop"]), undisturbed(&wheels));
    town.succeeds(&["images"]);
    assert_eq!(scratch(&town), Vec::<String>::new());
}

#[test]
fn a_first_build_that_is_killed_again_and_again_gets_there() {
    let wheels = wheels();
    let Some(town) = Town::without_cache(&wheels) else { return };
    town.project("shop", &wheels);
    let mut built = None;
    // Each try is longer than the last, so that they die in different hops: while fetching, unpacking, compiling.
    for patience in 1..=8 {
        let mut child = town.command(&["build", "--quiet", "shop"]).spawn().unwrap();
        sleep(Duration::from_millis(patience * 250));
        // It may be faster than we are patient.
        let _ = child.kill();
        let ran = town.finish(child);
        match ran.status {
            0 => built = Some(ran.stdout.trim_end().to_owned()),
            status => assert_eq!((status, ran.stderr.as_str()), (137, "")),
        }
    }
    let last = town.builds(&["shop"]);
    assert_eq!(last, undisturbed(&wheels));
    assert_eq!(built.unwrap_or_else(|| last.clone()), last);
}

/// The reference that a build gives that nobody has disturbed.
fn undisturbed(wheels: &[Wheel]) -> String {
    let town = Town::with(wheels).expect("there was a town before");
    town.project("shop", wheels);
    town.builds(&["shop"])
}
