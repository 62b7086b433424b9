//! A base whose Python comes from an archive: upon a suite's C library, or upon nothing.
//!
//! See docs/design/standalone.md.

use std::collections::BTreeMap;

use minke_cas::{Epoch, Tree};
use minke_distro::setup;
use minke_distro::sonames::package_for_soname;
use minke_elf::Unmet;
use minke_python::{Libc, PythonVersion, Target};

use super::debian::{Assembled, OtherPython, fits, libc};
use super::{Base, Distribution, Made, SCRATCH, Workbench, here, venv};
use crate::debian::{Pick, Roots};
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::interpreter::{self, InterpreterError, InterpreterPin};
use crate::native;
use crate::parts::{Owner, Part, Strictness, settle};
use crate::pipeline::Foreman;
use crate::platform::Platform;
use crate::settings::StandaloneWish;
use crate::standalone::{self, PREFIX, Standalone, StandaloneError};
use crate::supply;
use crate::uv;

impl Foreman<'_> {
    /// Puts the Python of an archive upon a suite's C library, and what its files ask of the system beside it.
    pub(super) fn standalone_base(&self, wish: &StandaloneWish) -> Result<Base, BuildError> {
        let python = self.standalone(wish, self.platform())?;
        self.upon_suite(python, || self.suite_bench(None))
    }

    /// Finds, pins and takes a Python that the suite hasn't got.
    pub(super) fn managed_base(&self, other: OtherPython) -> Result<Base, BuildError> {
        let OtherPython { wanted, origin, has } = other;
        let take = |platform| {
            let locked = self.locked_python(&wanted, platform);
            let pinned = locked.map_or_else(|| self.pin(&wanted, platform), Ok);
            let pinned = pinned.map_err(|source| BuildError::WrongPython {
                origin: origin.clone(),
                wanted,
                suite: self.suite_name().to_owned(),
                has: has.clone(),
                source: Box::new(source),
            })?;
            self.supply.keep_interpreter(platform, pinned.clone())?;
            self.reporter
                .note(format!("Debian {} has no Python {wanted}: taking {pinned}", self.suite_name()));
            let python = self.standalone(&pinned.wish(&self.request.host), platform)?;
            python.check_version(&wanted).map_err(BuildError::Standalone)?;
            Ok::<_, BuildError>(python)
        };
        self.upon_suite(take(self.platform())?, || {
            let here = here()?;
            let twin = take(here)?;
            let (_, picks) = self.choose_below(&twin, here)?;
            let (_, tree) = self.assemble_upon(&twin, &picks)?;
            self.bench(&tree, &target_of(&twin, here, libc(&picks)), &twin.interpreter)
        })
    }

    /// Returns the archive that the project is locked to, if it has the Python that is wanted.
    pub(super) fn locked_python(&self, wanted: &PythonVersion, platform: Platform) -> Option<InterpreterPin> {
        self.supply.interpreter(platform, |version| version.parse().is_ok_and(|there| fits(wanted, &there)))
    }

    /// Pins the newest archive of a version, by uv's settings.
    fn pin(&self, wanted: &PythonVersion, platform: Platform) -> Result<InterpreterPin, InterpreterError> {
        let host = &self.request.host;
        let uv = || uv::find(self.client, self.store, (host, &BTreeMap::new()), self.reporter);
        interpreter::resolve((self.client, host), wanted, platform, uv)
    }

    /// Makes a base of a Python and a suite; `foreign` gives the interpreter for an image that doesn't run here.
    fn upon_suite(
        &self,
        python: Standalone,
        foreign: impl FnOnce() -> Result<Workbench, BuildError>,
    ) -> Result<Base, BuildError> {
        let (roots, picks) = self.choose_below(&python, self.platform())?;
        let suite = format!("Debian {}", self.suite_name());
        python.check_libc(libc(&picks), &suite).map_err(BuildError::Standalone)?;
        let target = target_of(&python, self.platform(), libc(&picks));
        let (parts, tree) = self.assemble_upon(&python, &picks)?;
        let bench = match here()? == self.platform() {
            true => self.bench(&tree, &target, &python.interpreter)?,
            false => foreign()?,
        };
        let title = format!("{}, {suite}: {} packages", python.place, picks.len());
        let distribution = Some(Distribution { roots, picks });
        Ok(self.upon(title, distribution, (target, &python), (parts, tree, bench)))
    }

    /// Chooses what a Python needs of the system: a C library, and what its files ask for beside that.
    fn choose_below(
        &self,
        python: &Standalone,
        platform: Platform,
    ) -> Result<(Roots, Vec<Pick>), BuildError> {
        let mut roots = supply::libc_roots();
        if let Some((locked, picks)) = self.supply.locked_base(platform, &roots)
            && self.missing(python, &self.assemble(&picks)?.tree, platform)?.is_empty()
        {
            return Ok((locked, picks));
        }
        let bare = self.supply.base(platform, &roots)?;
        let missing = self.missing(python, &self.assemble(&bare)?.tree, platform)?;
        let suite = format!("Debian {}", self.suite_name());
        // A Python that is made to be put anywhere needs little, all of which is in the table.
        let (known, unmet): (Vec<Unmet>, Vec<Unmet>) =
            missing.into_iter().partition(|unmet| package_for_soname(&unmet.soname).is_some());
        python.check_unmet(&unmet, &suite).map_err(BuildError::Standalone)?;
        for line in native::unmet_lines(&unmet, "is in no package that minke knows of") {
            self.reporter.warn(line);
        }
        for Unmet { soname, .. } in known {
            let package = package_for_soname(&soname).expect("it was looked up before");
            let reasons = roots.entry(package.parse().expect("a table's package is a name")).or_default();
            reasons.insert(format!("{}: {soname}", supply::INTERPRETER));
        }
        let picks = self.supply.base(platform, &roots)?;
        Ok((roots, picks))
    }

    /// Puts a Python upon the packages that were chosen for it.
    fn assemble_upon(&self, python: &Standalone, picks: &[Pick]) -> Result<(Vec<Part>, Tree), BuildError> {
        let Assembled { mut parts, .. } = self.assemble(picks)?;
        parts.extend(self.python_parts(python)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        Ok((parts, tree))
    }

    /// Takes the Python of an archive for all that the image has of a system.
    pub(super) fn scratch_base(&self, wish: &StandaloneWish) -> Result<Base, BuildError> {
        let python = self.standalone(wish, self.platform())?;
        let place = python.place.clone();
        let base = format!("`base = \"{SCRATCH}\"`");
        if let Some(loader) = python.loader()
            && loader.parse().ok().is_none_or(|path| python.tree.resolve_file(&path).is_none())
        {
            let loader = loader.to_owned();
            return Err(BuildError::Standalone(StandaloneError::Loader { place, loader, base }));
        }
        let missing = self.missing(&python, &Tree::new(), self.platform())?;
        if let Some(Unmet { soname, needed_by }) = missing.into_iter().next() {
            return Err(BuildError::Standalone(StandaloneError::Unmet { place, needed_by, soname, base }));
        }
        // Where nothing is loaded, no module of a wheel is either: the oldest musl refuses none of them by its tag.
        let libc = python
            .own_glibc()
            .map_or(Libc::Musl { major: 1, minor: 2 }, |minor| Libc::Glibc { major: 2, minor });
        let target = target_of(&python, self.platform(), libc);
        let skeleton = setup::additions(&Tree::new(), [], self.store);
        let skeleton =
            skeleton.map_err(|error| BuildError::System(crate::system::SystemError::Setup(error)))?;
        let owner = Owner::Base { name: "directories and users".to_owned() };
        let mut parts = vec![Part { owner, tree: skeleton, epoch: Epoch::FIXED }];
        parts.extend(self.python_parts(&python)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        if here()? != self.platform() {
            return Err(BuildError::Standalone(StandaloneError::Foreign { platform: self.platform() }));
        }
        let bench = self.bench(&tree, &target, &python.interpreter)?;
        Ok(self.upon(format!("{place} alone"), None, (target, &python), (parts, tree, bench)))
    }

    fn upon(
        &self,
        title: String,
        distribution: Option<Distribution>,
        (target, python): (Target, &Standalone),
        (parts, tree, bench): (Vec<Part>, Tree, Workbench),
    ) -> Base {
        let compiler =
            self.compiler(&bench, &target, format!("{PREFIX}/lib/python{}", target.python.short()));
        let venv = venv(&target, python.interpreter.clone());
        Base::of(title, distribution, (target, venv), Made { parts, tree, bench, compiler })
    }

    fn standalone(&self, wish: &StandaloneWish, platform: Platform) -> Result<Standalone, BuildError> {
        self.hop(Hop::Fetch, Unit::Bytes, |meter| {
            let outside = (self.client, self.store, meter);
            let archive = standalone::take(outside, wish, &self.request.project);
            let python = archive.and_then(|archive| standalone::open(self.store, archive, wish));
            let python = python.map_err(BuildError::Standalone)?;
            python.check_machine(platform).map_err(BuildError::Standalone)?;
            Ok(python)
        })
    }

    /// Finds out what the files of a Python miss in a system that has these files.
    fn missing(
        &self,
        python: &Standalone,
        system: &Tree,
        platform: Platform,
    ) -> Result<Vec<Unmet>, BuildError> {
        let read = |error| BuildError::Native(native::NativeError::Store(error));
        let mut facted = native::facts(self.store, system).map_err(read)?;
        facted.extend(python.facted.clone());
        // Both have nothing in common but directories.
        let whole = system.join(&python.tree).unwrap_or_else(|_| python.tree.clone());
        Ok(native::missing(&whole, &facted, &python.facted, platform.elf()))
    }

    fn python_parts(&self, python: &Standalone) -> Result<Vec<Part>, BuildError> {
        let name = format!("Python {} of {}", python.version, python.place);
        let part = |name: String, tree| Part { owner: Owner::Base { name }, tree, epoch: Epoch::FIXED };
        let bill = part(format!("the bill of {name}"), standalone::bill(self.store, python)?);
        Ok(vec![part(name, python.tree.clone()), bill])
    }
}

fn target_of(python: &Standalone, platform: Platform, libc: Libc) -> Target {
    let platform = minke_python::Platform { arch: platform.python(), libc };
    Target { python: python.version, platform }
}
