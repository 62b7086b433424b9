//! Python scripts as actions, as root and as an ordinary user.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use minke_cas::{Entry, File, Mode, Store};
use minke_exec::{Action, Limits, Outcome, Seal, run_action};

use crate::common::{Base, path};

/// Set in the copy of a test that runs as an ordinary user: to the program that made it one.
pub(crate) const ORDINARY: &str = "MINKE_TEST_AS_ORDINARY_USER";

/// Runs all tests of this file once more as a user with no rights, and as a root of one user id.
pub(crate) fn again_as_ordinary_users() {
    if !rustix::process::geteuid().is_root() || std::env::var_os(ORDINARY).is_some() {
        return;
    }
    for wrapper in [
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"][..],
        &["unshare", "--user", "--map-root-user"],
    ] {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(std::env::current_exe().unwrap());
        let output = command.env(ORDINARY, wrapper[0]).env("TMPDIR", "/tmp").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

pub(crate) fn file(store: &Store, text: &str, mode: Mode) -> Entry {
    File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, mode).into()
}

/// A Python script as an action, with its log on stdout.
pub(crate) fn script(base: &Base, text: &str) -> Action {
    let mut root = base.tree.clone();
    let head = "import os, sys, socket, errno, time\n\
        def attempt(name, f):\n    \
        try: f()\n    \
        except OSError as e: print(name, errno.errorcode[e.errno])\n    \
        else: print(name, 'ok')\n";
    root.insert(&path("/build/script.py"), file(&base.store, &format!("{head}{text}"), Mode::REGULAR))
        .unwrap();
    root.insert(&path("/build/data"), file(&base.store, "data", Mode::from_bits(0o4751))).unwrap();
    Action {
        root,
        argv: vec![base.python.to_string(), "-B".to_owned(), "script.py".to_owned()],
        env: BTreeMap::from([("GIVEN".to_owned(), "yes".to_owned())]),
        workdir: path("/build"),
        outputs: vec![path("/build/out"), path("/elsewhere/deep/file")],
        limits: Limits::default(),
    }
}

pub(crate) fn run(base: &Arc<Base>, text: &str, seal: Seal) -> Outcome {
    run_action(&script(base, text), &base.store, seal).unwrap()
}
