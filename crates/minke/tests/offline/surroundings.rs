//! Odd places to build in: no home, nothing to write to, another file system.

use std::path::Path;

use insta::assert_snapshot;
use minke_testkit::skip;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::plain::wheels;
use crate::town::Town;

#[test]
fn a_project_may_be_read_only() {
    let wheels = wheels();
    let Some(mut town) = Town::with(&wheels) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can have a project that another user may not write");
    }
    town.hand_over();
    // Written by root, built by nobody.
    town.project("shop", &wheels);
    town.builds(&["shop"]);
}

#[test]
fn a_home_is_not_needed() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let built = town.builds(&["shop"]);
    for home in [None, Some("/no/such/home"), Some("")] {
        let mut command = town.command(&["build", "--quiet", "shop"]);
        match home {
            Some(home) => command.env("HOME", home),
            None => command.env_remove("HOME"),
        };
        let ran = town.finish(command.spawn().unwrap());
        assert_eq!((ran.stderr.as_str(), ran.stdout.trim_end()), ("", built.as_str()), "{home:?}");
    }
}

#[test]
fn the_cache_is_where_it_is_said_to_be() {
    let Some(town) = Town::with(&[]) else { return };
    let made = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = town.command(&[&["images"], arguments].concat());
        command.env_remove("MINKE_CACHE").envs(variables.iter().copied());
        let ran = town.finish(command.spawn().unwrap());
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    };
    let home = town.path("home");
    let variables = [("HOME", home.to_str().unwrap())];
    made(&[], &variables);
    assert!(town.path("home/.cache/minke/v2").is_dir());
    let xdg = town.path("xdg");
    made(&[], &[variables[0], ("XDG_CACHE_HOME", xdg.to_str().unwrap())]);
    assert!(town.path("xdg/minke/v2").is_dir());
    made(&[], &[variables[0], ("MINKE_CACHE", "relative")]);
    assert!(town.path("relative/v2").is_dir());
    made(&["--cache-dir", "typed"], &[variables[0], ("MINKE_CACHE", "not-this")]);
    assert!(town.path("typed/v2").is_dir() && !town.path("not-this").exists());
}

#[test]
fn the_cache_may_lie_on_another_file_system() {
    let shared_memory = Path::new("/dev/shm");
    let Ok(dir) = tempfile::tempdir_in(shared_memory) else {
        return skip("nothing can be written to /dev/shm");
    };
    if statvfs(shared_memory).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return skip("nothing can be executed in /dev/shm");
    }
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let built = town.builds(&["shop"]);
    let mut command =
        town.command(&["build", "--quiet", "shop", "-o", "oci-archive:shop.tar", "-o", "oci:layout"]);
    let ran = town.finish(command.env("MINKE_CACHE", dir.path()).spawn().unwrap());
    assert_eq!((ran.stderr.as_str(), ran.stdout.trim_end()), ("", built.as_str()));
}

#[test]
fn the_current_directory_is_the_project_where_none_is_named() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("My Shop (new)", &[]);
    let mut command = town.command(&["build", "--quiet", "-o", "oci:../layout"]);
    let ran = town.finish(command.current_dir(town.path("My Shop (new)")).spawn().unwrap());
    assert!(ran.stdout.starts_with("my-shop-new@sha256:"), "{}", ran.seen());
    assert!(town.path("layout/index.json").is_file());
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = town.command(&["build", "--quiet", "shop"]);
    let ran = town.finish(command.stdout(full).spawn().unwrap());
    assert_snapshot!(ran.seen(), @r"
    status: 1
    stderr: error: cannot write to standard output
      because: No space left on device (os error 28)
      help: see that whoever reads the output stays, and that its disk isn't full
    ");
}
