//! Tries in a sealed room, by the image's own Python, what can be imported, found, loaded and started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minke_cas::{Digest, ImagePath, Store, StoreError};
use minke_exec::{Limits, RunError};
use serde::{Deserialize, Serialize};

use super::scripts::Scripts;
use super::stage::{self, Stage, StageKey};

/// One program, in the order in which it is read.
const DRIVER: &str = concat!(
    include_str!("prove/promised.py"),
    "\n\n",
    include_str!("prove/attempt.py"),
    "\n\n",
    include_str!("prove/children.py")
);

/// The room's limits: the largest stacks that are known take some minutes.
const LIMITS: Limits = Limits { wall: Duration::from_secs(30 * 60), ..stage::LIMITS };

/// How long one module may take, in seconds.
const MODULE_SECONDS: u32 = 120;

/// How long a distribution's modules may take before those below its top are left out, in seconds.
const BUDGET_SECONDS: u32 = 240;

/// How long a program may take to say what it can do, in seconds.
const SCRIPT_SECONDS: u32 = 60;

/// An image whose Python is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The image.
    pub stage: Stage,
    /// Its Python, links not followed: a virtual environment is known by them.
    pub python: ImagePath,
    /// Which modules of a distribution are tried.
    pub depth: Depth,
    /// Whether the standard library is, too.
    pub standard: Standard,
    /// Which programs of distributions are started.
    pub scripts: Scripts,
    /// What alone is to be tried of all that; without a wish, everything.
    pub only: Option<BTreeSet<Item>>,
    /// Modules that distributions had and don't speak of any more, which are tried like the others.
    pub gone: BTreeMap<String, BTreeSet<String>>,
}

/// What is tried: whose it is, what it is, what it is called.
pub type Item = (String, What, String);

/// Which modules of a distribution are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Those at the top, the public packages below them, and the public modules directly in packages that import them
    /// only when they are asked for.
    Packages,
    /// All but tests and programs.
    All,
}

/// Whether the standard library is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standard {
    /// It is.
    Tried,
    /// It is taken for granted.
    Trusted,
}

/// What came of trying everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// Which Python it is, such as `3.13.5`.
    pub python: String,
    /// The distributions that are installed, with their versions and what they need and isn't installed.
    pub distributions: BTreeMap<String, Installed>,
    /// The names of all programs of distributions, where any were to be started.
    #[serde(default)]
    pub scripts: BTreeSet<String>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
}

/// A distribution that is installed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: String,
    /// What it needs under no condition and is not installed.
    pub lacks: Vec<String>,
}

/// What came of trying one thing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// Whose it is: a distribution's normalized name, or `python` for the standard library.
    pub of: String,
    /// What it is.
    pub what: What,
    /// What it is called: a module's name, `GROUP: NAME = VALUE`, a library's path, `SCRIPT --help`.
    pub name: String,
    /// What it is within its distribution.
    pub kind: Kind,
    /// Whether it works.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// If it doesn't, how it ended: an exception's type, a signal's name, `exit N`, `time` or `untried`.
    #[serde(default)]
    pub how: String,
    /// What was said, on one line.
    #[serde(default)]
    pub message: String,
    /// The module that was not found, however deep.
    #[serde(default)]
    pub module: Option<String>,
    /// The file that was not found.
    #[serde(default)]
    pub file: Option<String>,
    /// The file whose code failed.
    #[serde(default)]
    pub at: Option<String>,
    /// Whether all that is amiss is that something isn't there which nobody promised.
    #[serde(default)]
    pub absent: Option<Absent>,
}

// What is read from JSON has no NaN.
impl Eq for Tried {}

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A module was imported.
    Module,
    /// An entry point was loaded.
    Entry,
    /// A shared library was loaded by itself, all symbols bound.
    Library,
    /// A program was started with `--help`.
    Script,
}

/// What something is within its distribution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A module that others import by one name, or an extension module's file.
    Top,
    /// What lies below such a module, or a library that others load.
    Below,
    /// A part of the standard library.
    Standard,
    /// A program that somebody named.
    Named,
    /// An entry point, of this group; a program that nobody named is one of its own.
    #[serde(untagged)]
    Group(String),
}

/// What isn't there, and nobody promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// A distribution that is needed under a condition, if at all.
    Distribution,
    /// A part of the standard library that this system packs elsewhere, or that other systems have.
    Standard,
}

/// An image's Python cannot be asked what it can import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It doesn't start.
    #[error("the image's `{python}` does not start")]
    Run {
        /// Which.
        python: ImagePath,
        /// What happened.
        source: RunError,
    },
    /// It ended before everything was tried.
    #[error("the image's `{python}` {ending} before everything was tried{}", said(log))]
    Ended {
        /// Which.
        python: ImagePath,
        /// How it ended.
        ending: String,
        /// The end of what it said.
        log: String,
    },
    /// The cache failed.
    #[error("cannot keep what was found")]
    Store(#[from] StoreError),
}

fn said(log: &str) -> String {
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| format!(": {}", line.trim()))
}

impl Tried {
    /// Returns what it is, so that it can be tried again.
    pub fn item(&self) -> Item {
        (self.of.clone(), self.what, self.name.clone())
    }

    /// Tells whether an image that has this promises that it works.
    ///
    /// A distribution's own modules and programs do, and the standard library. What lies deeper, plugins and single
    /// libraries may need what only some have; a program may want more than `--help`, unless it lacks a module or library.
    pub fn is_promised(&self) -> bool {
        let matters = match (&self.kind, self.what) {
            (_, What::Library) => false,
            (_, What::Script) => self.module.is_some() || self.file.is_some(),
            (Kind::Top | Kind::Standard, _) => true,
            (Kind::Below | Kind::Named, _) => false,
            (Kind::Group(group), _) => group == "console_scripts" || group == "gui_scripts",
        };
        matters && self.absent.is_none() && self.how != "untried"
    }
}

#[derive(Serialize)]
struct Request<'a> {
    jobs: usize,
    limit: u32,
    budget: u32,
    depth: Depth,
    standard: bool,
    #[serde(skip_serializing_if = "Scripts::is_none")]
    scripts: &'a Scripts,
    script_limit: u32,
    only: &'a Option<BTreeSet<Item>>,
    gone: &'a BTreeMap<String, BTreeSet<String>>,
}

/// All that an answer depends on; how many are tried at once is no part of it.
#[derive(Serialize)]
struct Key<'a> {
    driver: Digest,
    stage: StageKey<'a>,
    python: &'a ImagePath,
    request: Request<'a>,
}

const KIND: &str = "proof-import-1";

/// One line of the driver's answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Tried(Box<Tried>),
    Distribution { distribution: String, version: String, lacks: Vec<String> },
    Scripts { scripts: BTreeSet<String> },
    Python { python: String },
    End { end: bool },
}

impl Asked {
    /// Tries everything, `jobs` distributions at once, or returns what came of it the last time.
    ///
    /// # Errors
    /// [`ImportError`]; what doesn't work is no error.
    pub fn try_all(&self, store: &Store, jobs: usize) -> Result<Found, ImportError> {
        let key = Key {
            driver: Digest::of(DRIVER.as_bytes()),
            stage: self.stage.key(),
            python: &self.python,
            request: self.request(0),
        };
        if let Some(known) = store.recall(KIND, &key) {
            return Ok(known);
        }
        let found = self.ask(store, jobs)?;
        // What took too long may have met with a busy machine.
        if found.tried.iter().all(|tried| !matches!(tried.how.as_str(), "time" | "untried")) {
            store.remember(KIND, &key, &found)?;
        }
        Ok(found)
    }

    fn request(&self, jobs: usize) -> Request<'_> {
        Request {
            jobs,
            limit: MODULE_SECONDS,
            budget: BUDGET_SECONDS,
            depth: self.depth,
            standard: self.standard == Standard::Tried,
            scripts: &self.scripts,
            script_limit: SCRIPT_SECONDS,
            only: &self.only,
            gone: &self.gone,
        }
    }

    fn ask(&self, store: &Store, jobs: usize) -> Result<Found, ImportError> {
        let request = serde_json::to_vec(&self.request(jobs.max(1))).expect("a request is JSON");
        let words = [self.python.as_str(), "-B", "-s", "-c", DRIVER].map(str::to_owned);
        let container = self.stage.container(words.to_vec());
        let observed = container.observe(store, request, &LIMITS);
        let observed = observed.map_err(|source| ImportError::Run { python: self.python.clone(), source })?;
        read(&observed.output).ok_or_else(|| ImportError::Ended {
            python: self.python.clone(),
            ending: stage::ending(observed.status),
            log: observed.log.clone(),
        })
    }
}

/// Reads an answer; none if it doesn't go to the end.
fn read(output: &[u8]) -> Option<Found> {
    let mut found = Found::default();
    let mut is_whole = false;
    for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).ok()? {
            Line::Tried(tried) => found.tried.push(*tried),
            Line::Distribution { distribution, version, lacks } => {
                found.distributions.insert(distribution, Installed { version, lacks });
            }
            Line::Scripts { scripts } => found.scripts = scripts,
            Line::Python { python } => found.python = python,
            Line::End { end } => is_whole = end,
        }
    }
    // Several are tried at once, and which ends first is chance.
    found.tried.sort_by(|first, second| {
        (&first.of, first.what, &first.name).cmp(&(&second.of, second.what, &second.name))
    });
    is_whole.then_some(found)
}

#[cfg(test)]
mod tests;
