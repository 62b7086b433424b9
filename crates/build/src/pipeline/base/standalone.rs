//! A base whose Python comes from an archive: upon a suite's C library, or upon nothing.
//!
//! See docs/design/standalone.md.

use minke_cas::{Epoch, Tree};
use minke_distro::setup;
use minke_elf::Unmet;
use minke_python::{Libc, Target};

use super::debian::{Assembled, libc};
use super::{Base, Distribution, SCRATCH, Workbench, here, venv};
use crate::debian::{Pick, Roots};
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::native;
use crate::parts::{Owner, Part, Strictness, settle};
use crate::pipeline::Foreman;
use crate::settings::StandaloneWish;
use crate::standalone::{self, PREFIX, Standalone, StandaloneError};
use crate::supply;

impl Foreman<'_> {
    /// Puts the Python of an archive upon a suite's C library, and what its files ask of the system beside it.
    pub(super) fn standalone_base(&self, wish: &StandaloneWish) -> Result<Base, BuildError> {
        let python = self.standalone(wish)?;
        let place = shown(wish);
        let suite = format!("Debian {}", self.suite_name());
        let (roots, picks) = self.choose_below(&python)?;
        let libc = libc(&picks);
        check_libc(&python, (&place, &suite), libc)?;
        let platform = minke_python::Platform { arch: self.platform().python(), libc };
        let target = Target { python: python.version, platform };
        let Assembled { mut parts, .. } = self.assemble(&picks)?;
        parts.extend(self.python_parts(&python, &place)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let bench = self.standalone_bench((&python, &tree), &target, Some(&roots))?;
        let title = format!("{place}, {suite}: {} packages", picks.len());
        let distribution = Some(Distribution { roots, picks });
        Ok(self.upon(title, distribution, (target, &python), (parts, tree, bench)))
    }

    /// Chooses what a Python needs of the system: a C library, and what its files ask for beside that.
    fn choose_below(&self, python: &Standalone) -> Result<(Roots, Vec<Pick>), BuildError> {
        let mut roots = supply::libc_roots();
        if let Some((locked, picks)) = self.supply.locked_base(self.platform(), &roots)
            && self.missing(python, &self.assemble(&picks)?.tree)?.is_empty()
        {
            return Ok((locked, picks));
        }
        let bare = self.supply.base(self.platform(), &roots)?;
        let missing = self.missing(python, &self.assemble(&bare)?.tree)?;
        let asked = native::asked(missing, |_| supply::INTERPRETER.to_owned());
        for line in native::unmet_lines(&asked.unmet) {
            self.reporter.warn(line);
        }
        for (name, why) in asked.packages {
            roots.entry(name.parse().expect("a table's package is a name")).or_default().extend(why);
        }
        let picks = self.supply.base(self.platform(), &roots)?;
        Ok((roots, picks))
    }

    /// Takes the Python of an archive for all that the image has of a system.
    pub(super) fn scratch_base(&self, wish: &StandaloneWish) -> Result<Base, BuildError> {
        let python = self.standalone(wish)?;
        let place = shown(wish);
        let base = format!("`base = \"{SCRATCH}\"`");
        if let Some(loader) = python.loader()
            && loader.parse().ok().is_none_or(|path| python.tree.resolve_file(&path).is_none())
        {
            let loader = loader.to_owned();
            return Err(BuildError::Standalone(StandaloneError::Loader { place, loader, base }));
        }
        let missing = self.missing(&python, &Tree::new())?;
        if let Some(Unmet { soname, needed_by }) = missing.into_iter().next() {
            return Err(BuildError::Standalone(StandaloneError::Unmet { place, needed_by, soname, base }));
        }
        // Where nothing is loaded, no module of a wheel is either: the oldest musl refuses none of them by its tag.
        let libc = python
            .own_glibc()
            .map_or(Libc::Musl { major: 1, minor: 2 }, |minor| Libc::Glibc { major: 2, minor });
        let platform = minke_python::Platform { arch: self.platform().python(), libc };
        let target = Target { python: python.version, platform };
        let skeleton = setup::additions(&Tree::new(), [], self.store);
        let skeleton =
            skeleton.map_err(|error| BuildError::System(crate::system::SystemError::Setup(error)))?;
        let owner = Owner::Base { name: "directories and users".to_owned() };
        let mut parts = vec![Part { owner, tree: skeleton, epoch: Epoch::FIXED }];
        parts.extend(self.python_parts(&python, &place)?);
        let tree = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let bench = self.standalone_bench((&python, &tree), &target, None)?;
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
        Base { title, distribution, target, venv, parts, tree, bench, compiler }
    }

    fn standalone(&self, wish: &StandaloneWish) -> Result<Standalone, BuildError> {
        self.hop(Hop::Fetch, Unit::Bytes, |meter| {
            let outside = (self.client, self.store, meter);
            let archive = standalone::take(outside, wish, &self.request.project);
            let python = archive.and_then(|archive| standalone::open(self.store, archive, &shown(wish)));
            let python = python.map_err(BuildError::Standalone)?;
            python.check_machine(self.platform(), &shown(wish)).map_err(BuildError::Standalone)?;
            Ok(python)
        })
    }

    /// Finds out what the files of a Python miss in a system that has these files.
    fn missing(&self, python: &Standalone, system: &Tree) -> Result<Vec<Unmet>, BuildError> {
        let read = |error| BuildError::Native(native::NativeError::Store(error));
        let mut facted = native::facts(self.store, system).map_err(read)?;
        facted.extend(python.facted.clone());
        // Both have nothing in common but directories.
        let whole = system.join(&python.tree).unwrap_or_else(|_| python.tree.clone());
        Ok(native::missing(&whole, &facted, &python.facted, self.platform().elf()))
    }

    fn python_parts(&self, python: &Standalone, place: &str) -> Result<Vec<Part>, BuildError> {
        let name = format!("Python {} of {place}", python.version);
        let part = |name: String, tree| Part { owner: Owner::Base { name }, tree, epoch: Epoch::FIXED };
        let bill = part(format!("the bill of {name}"), standalone::bill(self.store, python)?);
        Ok(vec![part(name, python.tree.clone()), bill])
    }

    /// Returns the Python itself where it runs here, else the suite's for this machine.
    fn standalone_bench(
        &self,
        (python, tree): (&Standalone, &Tree),
        target: &Target,
        system: Option<&Roots>,
    ) -> Result<Workbench, BuildError> {
        match system {
            _ if here()? == self.platform() => self.bench(tree, target, &python.interpreter),
            Some(_) => self.suite_bench(None),
            None => Err(BuildError::Standalone(StandaloneError::Foreign { platform: self.platform() })),
        }
    }
}

/// Checks that the program finds its loader, and every file a C library that is new enough.
fn check_libc(python: &Standalone, (place, base): (&str, &str), libc: Libc) -> Result<(), BuildError> {
    let (place, base) = (place.to_owned(), base.to_owned());
    if let Some(loader) = python.loader().filter(|loader| !loader.contains("/ld-linux")) {
        let loader = loader.to_owned();
        return Err(BuildError::Standalone(StandaloneError::Loader { place, loader, base }));
    }
    match libc {
        Libc::Glibc { major, minor } if python.needed_glibc() > minor => {
            let (needed, has) = (format!("2.{}", python.needed_glibc()), format!("{major}.{minor}"));
            Err(BuildError::Standalone(StandaloneError::Glibc { place, needed, base, has }))
        }
        _ => Ok(()),
    }
}

/// Returns what messages call an archive: its name, without directories and secrets.
fn shown(wish: &StandaloneWish) -> String {
    let name = wish.place.split(['?', '#']).next().unwrap_or_default();
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_owned()
}
