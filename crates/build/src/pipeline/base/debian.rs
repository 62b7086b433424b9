//! A base from a suite's own packages, and its twin for this machine.
//!
//! Nothing is emulated. An image for another architecture needs a Python here all the same: uv asks for one, the
//! project's backend runs on it, and it makes the bytecode, which is the same on every architecture. The
//! packages of this machine's own architecture, from the same suite, have it.

use std::collections::BTreeSet;

use minke_cas::{ImagePath, Tree};
use minke_distro::{PackageName as DebName, setup};
use minke_python::{Libc, Target};

use super::{Base, Supply, Workbench, here, venv, version};
use crate::debian::{self, Debian, Pick, SuiteFacts};
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::parts::{Owner, Part, Strictness, settle};
use crate::pipeline::Foreman;
use crate::platform::Platform;
use crate::settings::{Origin, PythonWish};
use crate::system;

/// A base of one architecture.
pub(super) struct Assembled {
    pub(super) picks: Vec<Pick>,
    pub(super) parts: Vec<Part>,
    pub(super) tree: Tree,
}

impl Foreman<'_> {
    pub(super) fn debian_base(&self) -> Result<Base, BuildError> {
        let platform = self.platform();
        let (debian, facts) = self.suite()?;
        let target = target(&facts, platform)?;
        self.check_python(&facts, &target)?;
        let roots = setup::base_roots(target.python.minor.into());
        let Assembled { picks, parts, tree } = self.assemble(&debian, &roots)?;
        let bench = self.suite_bench(&debian, Some((&target, &tree)))?;
        let compiler = self.compiler(&bench, &target, format!("/usr/lib/python{}", target.python.short()));
        let venv = venv(&target, program(&target));
        let title = format!("Debian {}: {} packages", self.suite_name(), picks.len());
        let supply = Some(Supply { debian, roots, picks });
        Ok(Base { title, supply, target, venv, parts, tree, bench, compiler })
    }

    /// Opens the suite's archives and reads which Python and C library they have.
    pub(super) fn suite(&self) -> Result<(Debian, SuiteFacts), BuildError> {
        let plan = || {
            let wishes = (&self.request.settings, &self.request.host);
            let debian = Debian::open(&self.client, wishes, self.platform().debian(), self.reporter)?;
            let facts = debian.facts(&self.client, self.store)?;
            Ok((debian, facts))
        };
        self.hop(Hop::Plan, Unit::Pieces, |_| plan().map_err(BuildError::Debian))
    }

    pub(super) fn suite_name(&self) -> &str {
        self.request.settings.base.as_ref().map_or(debian::DEFAULT_SUITE, |said| said.value.as_str())
    }

    /// Checks that the suite has the Python that was asked for.
    fn check_python(&self, facts: &SuiteFacts, target: &Target) -> Result<(), BuildError> {
        let Some(said) = &self.request.settings.python else { return Ok(()) };
        let PythonWish::Version(text) = &said.value else { return Ok(()) };
        let (wanted, has) = (version(text, &said.origin)?, target.python);
        let patch_fits = wanted.patch.is_none() || wanted.patch == has.patch;
        if (wanted.major, wanted.minor) == (has.major, has.minor) && patch_fits {
            return Ok(());
        }
        Err(BuildError::WrongPython {
            origin: said.origin.clone(),
            wanted: text.clone(),
            suite: self.suite_name().to_owned(),
            has: facts.python.clone(),
        })
    }

    /// Chooses, fetches and unpacks a base's packages, and adds what their scripts would have done.
    pub(super) fn assemble(
        &self,
        debian: &Debian,
        roots: &BTreeSet<DebName>,
    ) -> Result<Assembled, BuildError> {
        let picks = self.choose(debian, roots.clone())?;
        let packages = self.fetch_packages(debian, &picks)?;
        let mut parts = system::parts(&packages, |name| Owner::Base { name });
        let joined = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let owner = Owner::Base { name: "what maintainer scripts would have done".to_owned() };
        let setup = system::setup_part(self.store, &joined, &packages, (owner, self.reporter));
        parts.push(setup.map_err(BuildError::System)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        Ok(Assembled { picks, parts, tree })
    }

    /// Returns the suite's own Python where it runs: in the base, if that has it and is for this machine, else in
    /// its twin.
    pub(super) fn suite_bench(
        &self,
        debian: &Debian,
        base: Option<(&Target, &Tree)>,
    ) -> Result<Workbench, BuildError> {
        let here = here()?;
        if let Some((target, tree)) = base.filter(|_| here == self.platform()) {
            return self.bench(tree, target, &program(target));
        }
        let twin = debian.of_architecture(here.debian());
        let facts = twin.facts(&self.client, self.store).map_err(BuildError::Debian)?;
        let target = self::target(&facts, here)?;
        let tree = self.assemble(&twin, &setup::base_roots(target.python.minor.into()))?.tree;
        self.bench(&tree, &target, &program(&target))
    }
}

/// Returns where the suite's Python lies.
fn program(target: &Target) -> ImagePath {
    format!("/usr/bin/python{}", target.python.short()).parse().expect("a path")
}

fn target(facts: &SuiteFacts, platform: Platform) -> Result<Target, BuildError> {
    let python = version(&facts.python, &Origin::Default)?;
    Ok(Target { python, platform: minke_python::Platform { arch: platform.python(), libc: libc(facts) } })
}

/// Returns the suite's C library.
pub(super) fn libc(facts: &SuiteFacts) -> Libc {
    let (major, minor) = facts.glibc.split_once('.').unwrap_or((facts.glibc.as_str(), "0"));
    Libc::Glibc { major: major.parse().unwrap_or(2), minor: minor.parse().unwrap_or(0) }
}
