//! What the foreman is asked to do, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use minke_cas::Digest;
use serde::Serialize;

use crate::event::Hop;
use crate::project::left_out::LeftOut;
use crate::settings::Settings;
use crate::slim::Ladder;
use crate::why::Reason;

/// An image to build.
#[derive(Clone)]
pub struct Request {
    /// The project's directory, or a script; where relative paths begin, if there is no project.
    pub project: PathBuf,
    /// A requirement to build instead of a project.
    pub from: Option<String>,
    /// What the user wants, files, environment and arguments together.
    pub settings: Settings,
    /// Whether locks may be written.
    pub locks: LockPolicy,
    /// What of them moves on.
    pub upgrade: Upgrade,
    /// What the image is called; the project's name where none is said. `NAME[:TAG]`.
    pub tag: Option<String>,
    /// Where the image goes besides minke's own store, as in containers-transports(5).
    pub outputs: Vec<String>,
    /// Whether a twin to look into is built beside it.
    pub twin: Twin,
    /// The host, as far as minke may know it.
    pub host: Host,
}

/// What the front desk knows of the machine and hands down, so that no room has to ask.
#[derive(Clone, Default)]
pub struct Host {
    /// The environment variables of the process.
    pub variables: BTreeMap<String, String>,
    /// The user's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// The current directory.
    pub directory: PathBuf,
    /// Today's date, for signatures and `Valid-Until`.
    pub today: jiff::civil::Date,
    /// How many things may run at once.
    pub jobs: usize,
    /// The machine's apt sources, path and text, which say where a Debian archive is.
    pub apt_sources: Vec<(PathBuf, String)>,
    /// pip's configuration files, path and text, the more general first.
    pub pip_config: Vec<(PathBuf, String)>,
    /// cargo's settings, path and text, which say where crates are.
    pub cargo_config: Option<(PathBuf, String)>,
    /// The text of the user's `netrc`, which has passwords.
    pub netrc: Option<String>,
}

impl Host {
    /// Returns an environment variable, in either spelling of its name, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let spelled =
            |name: &str| self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        spelled(name).or_else(|| spelled(&name.to_lowercase()))
    }
}

/// Whether the project's lock files may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LockPolicy {
    /// What is missing or outgrown is made.
    #[default]
    Update,
    /// A lock that is missing or outgrown is an error.
    Locked,
    /// What would be written is only shown.
    Show,
}

/// Whether a twin of the image is built, with a shell and the like in one more layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Twin {
    /// The image alone.
    #[default]
    Unwanted,
    /// A twin under the image's name and `-debug`.
    Wanted,
}

/// What of the locks moves on to what is offered today.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Upgrade {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    All,
    /// Distributions and packages of these names.
    Names(BTreeSet<String>),
}

impl Upgrade {
    /// Tells whether something of that name moves on; `-`, `_` and `.` are the same.
    pub fn covers(&self, name: &str) -> bool {
        let plain = |name: &str| name.replace(['_', '.'], "-").to_lowercase();
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Names(names) => names.iter().any(|known| plain(known) == plain(name)),
        }
    }
}

/// An image that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// What it is called: `NAME:TAG`, as it was asked for.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<BuiltLayer>,
    /// What each step towards a small image saved; none where nothing was slimmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Ladder>,
    /// What a container of it runs, and why that.
    pub entry: Entry,
    /// What of the project's directory was left out, by the rule that says so.
    pub left_out: BTreeMap<String, LeftOut>,
    /// How long each hop took, in order; hops overlap.
    #[serde(skip)]
    pub timings: Vec<(Hop, Duration)>,
    /// Where it was written to besides the store.
    pub outputs: Vec<String>,
    /// What was proved of it, or why nothing was: a phrase; none where there was nothing to prove.
    pub proof: Option<String>,
    /// The twin's `NAME:TAG@sha256:…`, if one was built.
    pub twin: Option<String>,
    /// How what the layers are made from differs from the last build of this name; none if there was none.
    #[serde(skip)]
    pub why: Option<Vec<Reason>>,
}

/// One layer of an image that was built.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltLayer {
    /// Which it is: `base`, `system`, a heavy distribution's name, `rest`, `app`.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// The bytes of its uncompressed tar.
    pub size: u64,
    /// The bytes as stored and sent.
    pub compressed_size: u64,
    /// How many files, symlinks and directories it has.
    pub entries: u64,
}

/// What a container runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// The image's entry point.
    pub entrypoint: Vec<String>,
    /// The image's default arguments.
    pub cmd: Vec<String>,
    /// Why it is that: a phrase such as "the project's only script".
    pub reason: String,
}

impl Built {
    /// Returns the one line for standard output: `NAME@sha256:…`.
    pub fn reference(&self) -> String {
        let name = self.name.rsplit_once(':').map_or(self.name.as_str(), |(name, tag)| {
            if tag.contains('/') { self.name.as_str() } else { name }
        });
        format!("{name}@{}", self.digest)
    }
}
