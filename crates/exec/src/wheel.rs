//! Builds a project's wheel with its own build backend.
//!
//! This is a frontend of PEP 517: the backend and what it needs are supplied as an installed directory, and
//! the network isn't there. Which versions those are is decided by who resolves; what becomes of the wheel,
//! by who installs.
//!
//! Spec: <https://peps.python.org/pep-0517/>

use std::collections::BTreeMap;

use minke_cas::{Digest, Entry, Epoch, File, ImagePath, Mode, Store, StoreError, Tree, TreeError};
use serde::Serialize;

use crate::action::{Action, ActionError, Host, Limit, Limits, Outcome, Status, run_action};

const DRIVER: &str = include_str!("wheel/pep517.py");

/// An answer is a list of requirements or a file name.
const LONGEST_ANSWER: u64 = 1 << 20;

/// A build backend, as `[build-system]` names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Backend {
    /// `build-backend`: a module, and after a colon an object in it.
    pub name: String,
    /// `backend-path`: directories of the project that the backend is imported from.
    pub path: Vec<String>,
}

/// A wheel that is to be built, and all that takes part.
#[derive(Clone, Debug)]
pub struct WheelBuild<'a> {
    /// A root that has the interpreter.
    pub base: &'a Tree,
    /// The interpreter in it, such as `/usr/bin/python3.13`.
    pub python: &'a ImagePath,
    /// The project's files, from its directory down.
    pub source: &'a Tree,
    /// The build requirements, from `site-packages` down; their scripts lie in `/bin`.
    pub requirements: &'a Tree,
    /// The build backend.
    pub backend: &'a Backend,
    /// What the user tells the backend.
    pub config_settings: BTreeMap<String, String>,
    /// What compilers and the backend are told besides: `CFLAGS` and its like. What every build has wins.
    pub environment: &'a BTreeMap<String, String>,
    /// The time of the files in the wheel.
    pub epoch: Epoch,
}

/// A wheel that was built.
#[derive(Clone, Debug)]
pub struct BuiltWheel {
    /// Its file name, as the backend chose it; not judged here.
    pub name: String,
    /// Its bytes, in the store.
    pub file: File,
    /// The end of what the backend said.
    pub log: String,
}

/// A wheel could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The base has something where the build's files go.
    #[error("the build's files cannot be put beside the interpreter's")]
    Place(#[from] TreeError),
    /// The build could not be run.
    #[error("cannot run the build")]
    Action(#[from] ActionError),
    /// The backend failed.
    #[error("the build backend `{backend}` failed with exit code {code}:\n{log}")]
    Backend {
        /// The backend.
        backend: String,
        /// Its exit code.
        code: u8,
        /// The end of what it said.
        log: String,
    },
    /// The backend took more than it may.
    #[error("the build backend `{backend}` was stopped: it {limit}:\n{log}")]
    Stopped {
        /// The backend.
        backend: String,
        /// What it exceeded.
        limit: Limit,
        /// The end of what it said.
        log: String,
    },
    /// The backend returned something else than PEP 517 says, or no file of the name that it returned.
    #[error("the build backend `{backend}` did not return {wanted}")]
    Answer {
        /// The backend.
        backend: String,
        /// What it should have returned.
        wanted: &'static str,
    },
    /// The cache cannot be used.
    #[error("cannot keep the build's files")]
    Store(#[from] StoreError),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Hook {
    Requires,
    Wheel,
}

impl Backend {
    /// Returns the backend of a project that names none.
    pub fn legacy() -> Self {
        Self { name: "setuptools.build_meta:__legacy__".to_owned(), path: Vec::new() }
    }
}

impl WheelBuild<'_> {
    /// Asks the backend what else it needs to build a wheel: requirements, in the backend's order.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn requires<'a>(&self, store: &Store, host: impl Into<Host<'a>>) -> Result<Vec<String>, BuildError> {
        let outcome = self.run(store, host.into(), Hook::Requires)?;
        self.answer(store, &outcome, "a list of requirements")
    }

    /// Builds the wheel.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn wheel<'a>(&self, store: &Store, host: impl Into<Host<'a>>) -> Result<BuiltWheel, BuildError> {
        let outcome = self.run(store, host.into(), Hook::Wheel)?;
        let wanted = "the name of a wheel in the directory that it was given";
        let name: String = self.answer(store, &outcome, wanted)?;
        let path = at("out").join_str(&name);
        match path
            .ok()
            .filter(|_| name.ends_with(".whl"))
            .and_then(|path| outcome.outputs.get(&path).cloned())
        {
            Some(Entry::File(file)) => Ok(BuiltWheel { name, file, log: outcome.log }),
            _ => Err(BuildError::Answer { backend: self.backend.name.clone(), wanted }),
        }
    }

    /// Returns a digest of all that the wheel is made from: equal builds may share a wheel.
    ///
    /// # Errors
    /// [`BuildError::Place`]; [`BuildError::Store`].
    pub fn digest(&self, store: &Store) -> Result<Digest, BuildError> {
        Ok(self.action(store, Hook::Wheel)?.digest())
    }

    fn run(&self, store: &Store, host: Host<'_>, hook: Hook) -> Result<Outcome, BuildError> {
        let outcome = run_action(&self.action(store, hook)?, store, host)?;
        let backend = self.backend.name.clone();
        let log = outcome.log.trim_end().to_owned();
        match outcome.status {
            Status::Exited(0) => Ok(outcome),
            Status::Exited(code) => Err(BuildError::Backend { backend, code, log }),
            Status::Stopped(limit) => Err(BuildError::Stopped { backend, limit, log }),
        }
    }

    fn action(&self, store: &Store, hook: Hook) -> Result<Action, BuildError> {
        #[derive(Serialize)]
        struct Request<'a> {
            hook: Hook,
            backend: &'a str,
            backend_path: &'a [String],
            config_settings: &'a BTreeMap<String, String>,
        }
        let Backend { name, path } = self.backend;
        let request =
            Request { hook, backend: name, backend_path: path, config_settings: &self.config_settings };
        let request = serde_json::to_vec(&request).expect("a request is made of texts");

        let mut root = self.base.clone();
        root.insert(&at("src"), Entry::Directory(self.source.root().clone()))?;
        root.insert(&at("site"), Entry::Directory(self.requirements.root().clone()))?;
        for (name, bytes) in [("minke_pep517.py", DRIVER.as_bytes()), ("request.json", &request)] {
            let file = File::new(store.put(bytes)?, bytes.len() as u64, Mode::REGULAR);
            root.insert(&at(name), file.into())?;
        }
        let environment = [
            // The driver says where they are without a room; it has started by then.
            ("HOME", "/build/home"),
            ("TMPDIR", "/build/tmp"),
            ("LC_ALL", "C.UTF-8"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHASHSEED", "0"),
            ("PYTHONNOUSERSITE", "1"),
            ("SOURCE_DATE_EPOCH", &self.epoch.as_secs().to_string()),
            ("TZ", "UTC"),
        ];
        let mut env = self.environment.clone();
        env.extend(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Action {
            root,
            argv: [self.python.as_str(), "-X", "utf8", "minke_pep517.py"].map(str::to_owned).into(),
            env,
            workdir: at("out").parent().expect("what lies in a directory has one above"),
            outputs: vec![at("out")],
            limits: Limits::default(),
        })
    }

    fn answer<T: serde::de::DeserializeOwned>(
        &self,
        store: &Store,
        outcome: &Outcome,
        wanted: &'static str,
    ) -> Result<T, BuildError> {
        let refused = || BuildError::Answer { backend: self.backend.name.clone(), wanted };
        let answer = match outcome.outputs.get(&at("out/answer.json")) {
            Some(Entry::File(file)) if file.size <= LONGEST_ANSWER => store.read_file(file)?,
            _ => return Err(refused()),
        };
        serde_json::from_slice(&answer).map_err(|_| refused())
    }
}

/// A path below the directory that a build happens in.
fn at(name: &str) -> ImagePath {
    format!("/build/{name}").parse().expect("a literal path is one")
}
