//! An index that demands a password gets it, wherever the user keeps it, and nobody else does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use minke_testkit::{Wheel, program};

use crate::town::Town;

const USER: &str = "ann";
const PASSWORD: &str = "hunter2-s3cret";

fn wheel() -> Wheel {
    Wheel::new("toy-secretive", "1.0").file("toy_secretive.py", "found = True\n")
}

/// A town whose index wants a password, with a project that needs something of it; none without uv.
fn town(requirements: &str) -> Option<(Town, PathBuf)> {
    let uv = program("uv")?;
    let town = Town::with(&[wheel()])?;
    town.index.require_basic_auth(USER, PASSWORD);
    town.write("shop/requirements.txt", requirements);
    town.write("shop/main.py", "import toy_secretive\nprint(toy_secretive.found)\n");
    Some((town, uv))
}

/// Builds into an archive whose layers aren't compressed, so that a password in one could be found.
fn command(town: &Town, uv: &Path) -> Command {
    let arguments = ["build", "-v", "shop", "--compression", "none", "-o", "oci-archive:shop.tar"];
    let mut command = town.command(&arguments);
    command
        .env("PATH", uv.parent().unwrap())
        .env("UV_CACHE_DIR", town.path("cache-of-uv"))
        .env("NO_PROXY", "*");
    command
}

/// Builds twice, and looks for the password in all that was said and written but the user's own files.
fn builds_and_keeps_it_secret(town: &Town, mut command: impl FnMut() -> Command, own: &[&str]) {
    let built = town.finish(command().spawn().unwrap());
    assert_eq!(built.status, 0, "{}", built.stderr);
    // Once more where only a refusal tells that a password is wanted.
    assert!((1..=2).contains(&town.index.requests(&format!("/files/{}", wheel().file_name()))));
    // From the lock, with an empty cache but for the base.
    fs::remove_dir_all(town.path("cache-of-uv")).unwrap();
    let again = town.finish(command().spawn().unwrap());
    assert_eq!((again.status, &again.stdout), (0, &built.stdout), "{}", again.stderr);
    for said in [&built.stdout, &built.stderr, &again.stdout, &again.stderr] {
        assert!(!said.contains(PASSWORD), "{said}");
    }
    let own: Vec<_> = own.iter().map(|name| town.path(name)).collect();
    let holders: Vec<_> =
        files(&town.path("")).into_iter().filter(|path| !own.contains(path) && holds(path)).collect();
    assert_eq!(holders, Vec::<PathBuf>::new());
    assert!(fs::read(town.path("shop.tar")).unwrap().windows(13).any(|bytes| bytes == b"toy_secretive"));
}

fn holds(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    below.collect()
}

#[test]
fn a_password_comes_from_pips_and_uvs_variables() {
    for name in ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"] {
        let Some((town, uv)) = town("toy-secretive\n") else { return };
        let index = format!("{}/simple/", town.index.url_with_credentials(USER, PASSWORD));
        let with_variable = || {
            let mut command = command(&town, &uv);
            command.env(name, &index);
            command
        };
        builds_and_keeps_it_secret(&town, with_variable, &[]);
    }
}

#[test]
fn a_password_comes_from_pips_file() {
    let Some((town, uv)) = town("toy-secretive\n") else { return };
    let index = format!("{}/simple/", town.index.url_with_credentials(USER, PASSWORD));
    town.write("pip.conf", format!("[global]\nindex-url = {index}\n"));
    let with_file = || {
        let mut command = command(&town, &uv);
        command.env("PIP_CONFIG_FILE", town.path("pip.conf"));
        command
    };
    builds_and_keeps_it_secret(&town, with_file, &["pip.conf"]);
}

#[test]
fn a_password_comes_from_netrc() {
    let Some((town, uv)) = town("toy-secretive\n") else { return };
    town.write("home/.netrc", format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n"));
    let with_file = || {
        let mut command = command(&town, &uv);
        command.env("UV_DEFAULT_INDEX", town.index.url_of("/simple/"));
        command
    };
    builds_and_keeps_it_secret(&town, with_file, &["home/.netrc"]);
}

#[test]
fn a_password_comes_from_the_keyring_program() {
    let variables = ["UV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"];
    // It is asked for the index by its address, else for its host.
    let services = ["http://$HOST/simple/", "$HOST"];
    for (variable, service) in variables.into_iter().zip(services) {
        let Some((town, uv)) = town("toy-secretive\n") else { return };
        let host = town.index.host();
        let service = service.replace("$HOST", &host);
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\ntest \"$*\" = 'get {service} {USER}' && echo {PASSWORD}\n",
            town.path("asked").display()
        );
        town.write("bin/keyring", script);
        fs::set_permissions(town.path("bin/keyring"), fs::Permissions::from_mode(0o755)).unwrap();
        let with_keyring = || {
            let mut command = command(&town, &uv);
            let path =
                format!("{}:{}:/usr/bin:/bin", town.path("bin").display(), uv.parent().unwrap().display());
            command.env("PATH", path).env(variable, "subprocess");
            command.env("UV_DEFAULT_INDEX", format!("http://{USER}@{host}/simple/"));
            command
        };
        builds_and_keeps_it_secret(&town, with_keyring, &["bin/keyring"]);
        assert!(fs::read_to_string(town.path("asked")).unwrap().contains(&service));
        // Who doesn't want it asked isn't answered by it.
        fs::remove_file(town.path("shop/pylock.toml")).unwrap();
        let refused = town.finish(with_keyring().env_remove(variable).spawn().unwrap());
        assert_eq!(refused.status, 5, "{}", refused.stderr);
    }
}

#[test]
fn a_password_in_the_projects_own_files_goes_no_further() {
    let Some((town, uv)) = town("") else { return };
    let server = town.index.url_with_credentials(USER, PASSWORD);
    town.write("shop/requirements.txt", format!("--index-url {server}/simple/\ntoy-secretive\n"));
    builds_and_keeps_it_secret(&town, || command(&town, &uv), &["shop/requirements.txt"]);

    let Some((town, uv)) = self::town("") else { return };
    let server = town.index.url_with_credentials(USER, PASSWORD);
    let file = wheel().file_name();
    town.write("shop/requirements.txt", format!("toy-secretive @ {server}/files/{file}\n"));
    let built = town.finish(command(&town, &uv).spawn().unwrap());
    assert_eq!(built.status, 0, "{}", built.stderr);
    let lock = fs::read_to_string(town.path("shop/pylock.toml")).unwrap();
    assert!(lock.contains(&town.index.url_of("/files/")) && !lock.contains(PASSWORD), "{lock}");
}

#[test]
fn a_password_in_a_variable_that_the_project_names_is_used() {
    let Some((town, uv)) = town("") else { return };
    let server = town.index.url_with_credentials(USER, "${INDEX_PASSWORD}");
    town.write("shop/requirements.txt", format!("--index-url {server}/simple/\ntoy-secretive\n"));
    let with_variable = || {
        let mut command = command(&town, &uv);
        command.env("INDEX_PASSWORD", PASSWORD);
        command
    };
    builds_and_keeps_it_secret(&town, with_variable, &[]);
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let Some((town, uv)) = town("toy-secretive\n") else { return };
    let mut command = command(&town, &uv);
    command.env(
        "UV_DEFAULT_INDEX",
        format!("{}/simple/", town.index.url_with_credentials(USER, "wrong-s3cret")),
    );
    let ran = town.finish(command.spawn().unwrap());
    assert_ne!(ran.status, 0);
    assert!(!ran.stderr.contains("wrong-s3cret"), "{}", ran.stderr);
}
