//! The base, and the interpreter that works for it: its own where this machine can run it, else its twin's.
//!
//! Nothing is emulated. An image for another architecture needs a Python here all the same: uv asks for one, the
//! project's backend runs on it, and it makes the bytecode, which is the same on every architecture. The
//! packages of this machine's own architecture, from the same suite, have it.

use std::collections::BTreeSet;

use minke_cas::{Ownership, Tree};
use minke_exec::Interpreter;
use minke_python::{Libc, PythonVersion, Target, Venv};

use super::{Foreman, venv};
use crate::bytecode::Compiler;
use crate::config;
use crate::debian::{self, Debian, Pick, SuiteFacts};
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::parts::{Owner, Part, Strictness, settle};
use crate::platform::Platform;
use crate::settings::Origin;
use crate::system;

/// The base: an interpreter and what it needs, from the distribution's packages.
pub(super) struct Base {
    pub(super) debian: Debian,
    pub(super) target: Target,
    pub(super) venv: Venv,
    pub(super) picks: Vec<Pick>,
    pub(super) parts: Vec<Part>,
    /// All of the parts together.
    pub(super) tree: Tree,
    pub(super) bench: Workbench,
    /// None where no interpreter that runs here makes the base's bytecode.
    pub(super) compiler: Option<Compiler>,
}

/// Where Python runs while the image is built.
pub(super) struct Workbench {
    /// The base, or its twin of this machine's architecture.
    pub(super) tree: Tree,
    /// What the interpreter is.
    pub(super) target: Target,
    /// The interpreter, in a room of the tree.
    pub(super) interpreter: Interpreter,
}

/// A base of one architecture.
struct Assembled {
    picks: Vec<Pick>,
    parts: Vec<Part>,
    tree: Tree,
}

impl Foreman<'_> {
    /// Returns what the image is for: this machine where nothing is said.
    pub(super) fn platform(&self) -> Platform {
        let said = self.request.settings.platform.as_ref().map(|said| said.value);
        said.or_else(Platform::here).unwrap_or(Platform::Amd64)
    }

    pub(super) fn base(&self) -> Result<Base, BuildError> {
        let platform = self.platform();
        let plan = || {
            let wishes = (&self.request.settings, &self.request.host);
            let debian = Debian::open(&self.client, wishes, platform.debian(), self.reporter)?;
            let facts = debian.facts(&self.client, self.store)?;
            Ok((debian, facts))
        };
        let (debian, facts) = self.hop(Hop::Plan, Unit::Pieces, |_| plan().map_err(BuildError::Debian))?;
        let target = target(&facts, platform)?;
        self.check_python(&facts, &target)?;
        let Assembled { picks, parts, tree } = self.assemble(&debian, &target)?;
        let bench = self.workbench(&debian, (&target, &tree))?;
        let compiler = self.compiler(&bench, &target);
        let venv = venv(&target);
        Ok(Base { debian, target, venv, picks, parts, tree, bench, compiler })
    }

    /// Checks that the suite has the Python that was asked for.
    fn check_python(&self, facts: &SuiteFacts, target: &Target) -> Result<(), BuildError> {
        let Some(said) = &self.request.settings.python else { return Ok(()) };
        let (wanted, has) = (version(&said.value, &said.origin)?, target.python);
        let patch_fits = wanted.patch.is_none() || wanted.patch == has.patch;
        if (wanted.major, wanted.minor) == (has.major, has.minor) && patch_fits {
            return Ok(());
        }
        let suite =
            self.request.settings.base.as_ref().map_or(debian::DEFAULT_SUITE, |said| said.value.as_str());
        Err(BuildError::WrongPython {
            origin: said.origin.clone(),
            wanted: said.value.clone(),
            suite: suite.to_owned(),
            has: facts.python.clone(),
        })
    }

    /// Chooses, fetches and unpacks a base's packages, and adds what their scripts would have done.
    fn assemble(&self, debian: &Debian, target: &Target) -> Result<Assembled, BuildError> {
        let picks = self.choose(debian, target, BTreeSet::new())?;
        let packages = self.fetch_packages(debian, &picks)?;
        let mut parts = system::parts(&packages, |name| Owner::Base { name });
        let joined = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let owner = Owner::Base { name: "what maintainer scripts would have done".to_owned() };
        let setup = system::setup_part(self.store, &joined, &packages, (owner, self.reporter));
        parts.push(setup.map_err(BuildError::System)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        Ok(Assembled { picks, parts, tree })
    }

    fn workbench(&self, debian: &Debian, (target, tree): (&Target, &Tree)) -> Result<Workbench, BuildError> {
        let machine = std::env::consts::ARCH;
        let here = Platform::here().ok_or(BuildError::Machine { machine })?;
        let (target, tree) = if here == self.platform() {
            (*target, tree.clone())
        } else {
            let twin = debian.of_architecture(here.debian());
            let facts = twin.facts(&self.client, self.store).map_err(BuildError::Debian)?;
            let target = self::target(&facts, here)?;
            (target, self.assemble(&twin, &target)?.tree)
        };
        let room = self.store.room(&tree, Ownership::Caller)?;
        let interpreter = Interpreter::in_room(&room, &venv(&target).interpreter);
        Ok(Workbench { tree, target, interpreter: interpreter.map_err(BuildError::Interpreter)? })
    }

    /// Returns what makes the target's bytecode: an interpreter of its minor version, for bytecode is the same on
    /// every architecture and in every patch release.
    fn compiler(&self, bench: &Workbench, target: &Target) -> Option<Compiler> {
        let (here, there) = (bench.target.python, target.python);
        if (here.major, here.minor) != (there.major, there.minor) {
            self.reporter.warn(format!(
                "the image gets no bytecode: its Python is {there}, and the suite's for this machine is {here}"
            ));
            return None;
        }
        let program = bench.tree.resolve_file(&venv(&bench.target).interpreter);
        let program = program.expect("an interpreter that starts is there").content;
        let library = format!("/usr/lib/python{}", there.short());
        let roots =
            [library.as_str(), "/usr/lib/python3", config::HOME].map(|root| root.parse().expect("a path"));
        Some(Compiler { interpreter: bench.interpreter.clone(), program, roots: roots.to_vec() })
    }
}

fn target(facts: &SuiteFacts, platform: Platform) -> Result<Target, BuildError> {
    let python = version(&facts.python, &Origin::Default)?;
    let (major, minor) = facts.glibc.split_once('.').unwrap_or((facts.glibc.as_str(), "0"));
    let libc = Libc::Glibc { major: major.parse().unwrap_or(2), minor: minor.parse().unwrap_or(0) };
    Ok(Target { python, platform: minke_python::Platform { arch: platform.python(), libc } })
}

fn version(text: &str, origin: &Origin) -> Result<PythonVersion, BuildError> {
    text.parse().map_err(|source| BuildError::PythonVersion { origin: origin.clone(), source })
}
