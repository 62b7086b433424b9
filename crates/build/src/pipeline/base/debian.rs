//! A base from a suite's own packages, and its twin for this machine.
//!
//! Nothing is emulated. An image for another architecture needs a Python here all the same: uv asks for one, the
//! project's backend runs on it, and it makes the bytecode, which is the same on every architecture. The
//! packages of this machine's own architecture, from the same suite, have it.

use std::sync::OnceLock;

use minke_cas::{Digest, ImagePath, Tree};
use minke_python::{Libc, PythonVersion, Target};

use super::{Base, Distribution, Made, Workbench, here, venv, version};
use crate::debian::{self, Pick, Roots};
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::parts::{Owner, Part, Strictness, settle};
use crate::pipeline::Foreman;
use crate::platform::Platform;
use crate::settings::{Origin, PythonWish};
use crate::supply;
use crate::system;

/// How a base is made of packages; another way is another base.
const KIND: &str = "suite-base-1";

/// A base of one architecture.
pub(super) struct Assembled {
    pub(super) parts: Vec<Part>,
    pub(super) tree: Tree,
}

/// A Python that was asked for, and that the suite hasn't got.
pub(super) struct OtherPython {
    pub(super) wanted: PythonVersion,
    /// Where it was asked for.
    pub(super) origin: Origin,
    /// What the suite has.
    pub(super) has: String,
}

impl Foreman<'_> {
    pub(super) fn debian_base(&self) -> Result<Base, BuildError> {
        let platform = self.platform();
        if let Some(other) = self.other_python(platform)? {
            return self.managed_base(other);
        }
        let (target, roots, picks) = self.hop(Hop::Plan, Unit::Pieces, |_| self.choose_suite(platform))?;
        let bench = if here()? == platform {
            (target, program(&target))
        } else {
            let (twin, ..) = self.choose_suite(here()?)?;
            (twin, program(&twin))
        };
        let venv = venv(&target, program(&target));
        let title = format!("Debian {}: {} packages", self.suite_name(), picks.len());
        let digests: Vec<_> = picks.iter().map(|pick| pick.digest).collect();
        let identity = Digest::of(&serde_json::to_vec(&(KIND, digests, target)).expect("a key is JSON"));
        let distribution = Some(Distribution { roots, picks });
        Ok(Base {
            title,
            distribution,
            inherited: None,
            target,
            venv,
            identity,
            bench,
            made: OnceLock::new(),
        })
    }

    /// Fetches and unpacks a suite's base.
    pub(super) fn make_suite_base(&self, base: &Base) -> Result<Made, BuildError> {
        let picks = base.distribution.as_ref().map_or(&[][..], |distribution| &distribution.picks);
        let target = &base.target;
        let Assembled { parts, tree } = self.assemble(picks)?;
        let bench = self.suite_bench(Some((target, &tree)))?;
        let compiler = self.compiler(&bench, target, format!("/usr/lib/python{}", target.python.short()));
        Ok(Made { parts, tree, bench, compiler })
    }

    /// Chooses the packages of the suite's own Python.
    fn choose_suite(&self, platform: Platform) -> Result<(Target, Roots, Vec<Pick>), BuildError> {
        let python = self.supply.python(platform)?;
        let roots = supply::base_roots(version(&python, &Origin::Default)?.minor.into());
        let picks = self.supply.base(platform, &roots)?;
        // Those that were chosen count: what is locked may be older than what the suite has today.
        let python = debian::python(&picks).expect("the roots name an interpreter");
        let python = version(&python, &Origin::Default)?;
        let platform = minke_python::Platform { arch: platform.python(), libc: libc(&picks) };
        Ok((Target { python, platform }, roots, picks))
    }

    pub(in crate::pipeline) fn suite_name(&self) -> &str {
        self.request.settings.base.as_ref().map_or(debian::DEFAULT_SUITE, |said| said.value.as_str())
    }

    /// Returns the version that was asked for and what the suite has, if that is another one.
    fn other_python(&self, platform: Platform) -> Result<Option<OtherPython>, BuildError> {
        let Some(said) = &self.request.settings.python else { return Ok(None) };
        let PythonWish::Version(text) = &said.value else { return Ok(None) };
        let wanted = version(text, &said.origin)?;
        if self.locked_python(&wanted, platform).is_some() {
            let (origin, has) = (said.origin.clone(), "another one".to_owned());
            return Ok(Some(OtherPython { wanted, origin, has }));
        }
        let has = self.hop(Hop::Plan, Unit::Pieces, |_| Ok(self.supply.python(platform)?))?;
        let other = OtherPython { wanted, origin: said.origin.clone(), has };
        Ok((!fits(&wanted, &version(&other.has, &Origin::Default)?)).then_some(other))
    }

    /// Fetches and unpacks a base's packages, and adds what their scripts would have done.
    pub(super) fn assemble(&self, picks: &[Pick]) -> Result<Assembled, BuildError> {
        let packages = self.fetch_packages(picks)?;
        let mut parts = system::parts(&packages, |name| Owner::Base { name });
        let joined = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let owner = Owner::Base { name: "what maintainer scripts would have done".to_owned() };
        let setup = system::setup_part(self.store, &joined, &packages, (owner, self.reporter));
        parts.push(setup.map_err(BuildError::System)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        Ok(Assembled { parts, tree })
    }

    /// Returns the suite's own Python where it runs: in the base, if that has it and is for this machine, else in
    /// its twin.
    pub(super) fn suite_bench(&self, base: Option<(&Target, &Tree)>) -> Result<Workbench, BuildError> {
        let here = here()?;
        if let Some((target, tree)) = base.filter(|_| here == self.platform()) {
            return self.bench(tree, target, &program(target));
        }
        let (target, _, picks) = self.hop(Hop::Plan, Unit::Pieces, |_| self.choose_suite(here))?;
        let tree = self.assemble(&picks)?.tree;
        self.bench(&tree, &target, &program(&target))
    }
}

/// Tells whether a Python is the one that was asked for; a patch release that wasn't said may be any.
pub(super) fn fits(wanted: &PythonVersion, has: &PythonVersion) -> bool {
    let patch_fits = wanted.patch.is_none() || wanted.patch == has.patch;
    (wanted.major, wanted.minor) == (has.major, has.minor) && patch_fits
}

/// Returns where the suite's Python lies.
fn program(target: &Target) -> ImagePath {
    format!("/usr/bin/python{}", target.python.short()).parse().expect("a path")
}

/// Returns the C library among packages that were chosen.
pub(super) fn libc(picks: &[Pick]) -> Libc {
    let version = debian::glibc(picks).unwrap_or_default();
    let (major, minor) = version.split_once('.').unwrap_or((version.as_str(), "0"));
    Libc::Glibc { major: major.parse().unwrap_or(2), minor: minor.parse().unwrap_or(0) }
}
