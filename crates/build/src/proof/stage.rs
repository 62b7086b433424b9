//! The sealed room in which an image shows what it can do.
//!
//! As it will run: its own files, environment, user and working directory. But without a network or a home, with a
//! root of which only `/tmp` can be written, within limits, and never as the superuser.

use std::collections::BTreeMap;
use std::time::Duration;

use minke_cas::{Digest, ImagePath, Tree};
use minke_exec::{Container, Limits, Network, RootAccess, Status, Terminal, User};
use serde::Serialize;

/// What a room may use; how long is for its user to say.
pub(super) const LIMITS: Limits = Limits {
    wall: Duration::from_secs(10 * 60),
    memory_bytes: 12 << 30,
    disk_bytes: 1 << 30,
    processes: 4096,
    output_bytes: 64 << 20,
};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// Where nothing is.
const HOMELESS: &str = "/nonexistent";

/// An image as it will run.
#[derive(Clone, Debug)]
pub struct Stage {
    /// All files of the image.
    pub tree: Tree,
    /// The environment that the image sets.
    pub env: BTreeMap<String, String>,
    /// Whom it runs as; the superuser is replaced by nobody.
    pub user: User,
    /// Where it starts.
    pub workdir: ImagePath,
}

/// All of a stage that what happens on it depends on.
#[derive(Serialize)]
pub(super) struct StageKey<'a> {
    tree: Digest,
    env: &'a BTreeMap<String, String>,
    user: (u32, u32),
    workdir: &'a ImagePath,
}

impl Stage {
    pub(super) fn key(&self) -> StageKey<'_> {
        let Self { tree, env, user, workdir } = self;
        StageKey { tree: tree.digest(), env, user: (user.uid, user.gid), workdir }
    }

    /// Returns the container that runs some words in the image.
    pub(super) fn container(&self, argv: Vec<String>) -> Container {
        let mut env = self.env.clone();
        env.insert("HOME".to_owned(), HOMELESS.to_owned());
        let user = match self.user.uid {
            0 => User { uid: NOBODY, gid: NOBODY, home: HOMELESS.to_owned() },
            _ => self.user.clone(),
        };
        Container {
            root: self.tree.clone(),
            argv,
            env,
            workdir: self.workdir.clone(),
            user,
            hostname: "proof".to_owned(),
            binds: Vec::new(),
            root_access: RootAccess::Temporary,
            network: Network::None,
            terminal: Terminal::Plain,
        }
    }
}

/// Says how a room ended.
pub(super) fn ending(status: Status) -> String {
    match status {
        Status::Exited(code) if code > 128 => format!("was ended by signal {}", code - 128),
        Status::Exited(code) => format!("ended with status {code}"),
        Status::Stopped(limit) => limit.to_string(),
    }
}
