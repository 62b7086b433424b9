//! Chooses the distribution's packages: as `minke.lock` says, else from the archive.
//!
//! What a lock answers is answered without asking the archive anything, so that a build with a complete one reads
//! no index. What it doesn't is chosen from the archive as it is today; what is locked stays where it can.

mod likely;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use minke_cas::{Source, Store};
use minke_distro::sonames::package_for_soname;
use minke_distro::{ClosureOptions, Listed, PackageName, setup};
use minke_net::Client;

use crate::contents::{Missing, Supplier};
use crate::debian::{self, Debian, DebianError, Kept, Pick, Roots};
use crate::event::Reporter;
use crate::interpreter::InterpreterPin;
use crate::needs::Weight;

use crate::platform::Platform;
use crate::request::{Host, LockPolicy, Upgrade};
use crate::settings::Settings;
use crate::system_lock::{BuildKey, LockedLayer, LockedLift, LockedPlatform, LockedWheel, SystemLock};

/// The reason of what every image with a Python has.
pub(crate) const INTERPRETER: &str = "interpreter";

/// How many bytes of package files are added at most for a library that only plugins need.
///
/// The plugin by which Qt shows windows needs half a megabyte; those for a desktop's file dialogs or a browser, which
/// lie beside it, need a hundred times as much, and most programs use none of them.
pub(crate) const FOR_PLUGINS: u64 = 1 << 20;

/// The reason of what every image has.
const EVERY_IMAGE: &str = "every image";

/// The distribution's packages cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// The archive doesn't give them.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// There is no lock, and none may be written.
    #[error("there is no `minke.lock` for {platform}, and `--locked` forbids to make one")]
    Missing {
        /// For which platform.
        platform: Platform,
    },
    /// The lock has something else than is needed, and may not be written.
    #[error("`minke.lock` {what}, and `--locked` forbids to change it")]
    Outgrown {
        /// What is different, such as "lacks `libgomp1` for linux/amd64".
        what: String,
    },
    /// What is needed has moved the base, which must be chosen again.
    #[error("the base moves with what the project needs")]
    Moved,
}

/// Whom to ask, and what is known already.
pub struct Supply<'build> {
    outside: (&'build Client, &'build Store),
    wishes: (&'build Settings, &'build Host),
    reporter: &'build Reporter,
    locks: LockPolicy,
    upgrade: Upgrade,
    before: SystemLock,
    now: Mutex<SystemLock>,
    /// The builds that took part, all others of the same Python being outgrown.
    built: Mutex<BTreeSet<BuildKey>>,
    /// The rooms and recipes that took part.
    asked: Mutex<rooms::Asked>,
    /// The platforms whose base was asked for, with the interpreter where that isn't the suite's own.
    based: Mutex<BTreeMap<Platform, Option<InterpreterPin>>>,
    debian: Mutex<Option<Arc<Debian>>>,
}

impl<'build> Supply<'build> {
    /// Starts from a lock, which may be empty; nothing is asked of anybody.
    pub fn new(
        outside: (&'build Client, &'build Store),
        wishes: (&'build Settings, &'build Host),
        reporter: &'build Reporter,
        (locks, upgrade): (LockPolicy, &Upgrade),
        before: SystemLock,
    ) -> Self {
        let mut now = before.clone();
        let is_upgraded = |wheel: &LockedWheel| upgrade.covers(wheel.title().0);
        now.builds.retain(|_, wheels| !wheels.iter().any(is_upgraded));
        rooms::forget_upgraded(&mut now, upgrade);
        Self {
            outside,
            wishes,
            reporter,
            locks,
            upgrade: upgrade.clone(),
            before,
            now: Mutex::new(now),
            built: Mutex::default(),
            asked: Mutex::default(),
            based: Mutex::default(),
            debian: Mutex::default(),
        }
    }

    /// Returns the lock as it is now.
    ///
    /// Builds that were not asked for, of the Pythons that some were asked for with, are left out.
    pub fn lock(&self) -> SystemLock {
        let mut lock = self.now().clone();
        let built = self.built.lock().expect(UNPOISONED);
        let targets: BTreeSet<&str> = built.iter().map(|key| key.target.as_str()).collect();
        for (platform, interpreter) in self.based.lock().expect(UNPOISONED).iter() {
            if let Some(locked) = lock.platforms.get_mut(platform) {
                locked.interpreter.clone_from(interpreter);
            }
        }
        lock.builds.retain(|key, _| built.contains(key) || !targets.contains(key.target.as_str()));
        self.forget_unasked(&mut lock);
        lock
    }

    /// Returns the version of the suite's own Python.
    ///
    /// # Errors
    /// [`SupplyError`].
    pub fn python(&self, platform: Platform) -> Result<String, SupplyError> {
        let locked = self.usable(platform).and_then(|locked| debian::python(&locked.base.packages));
        match locked.filter(|_| self.upgrade == Upgrade::Nothing) {
            Some(python) => Ok(python),
            None => {
                self.may_ask(platform)?;
                Ok(self.archive(platform)?.facts(self.outside.0, self.outside.1)?.python)
            }
        }
    }

    /// Returns the interpreter that a platform is locked to, if there is one and it fits.
    pub fn interpreter(&self, platform: Platform, fits: impl Fn(&str) -> bool) -> Option<InterpreterPin> {
        let locked = self.usable(platform).filter(|_| self.upgrade == Upgrade::Nothing)?.interpreter?;
        fits(&locked.version).then_some(locked)
    }

    /// Pins the interpreter of a platform whose base is asked for next.
    ///
    /// # Errors
    /// [`SupplyError::Outgrown`] if the lock has another one, or none, and may not be changed.
    pub fn keep_interpreter(&self, platform: Platform, pin: InterpreterPin) -> Result<(), SupplyError> {
        let locked = self.before.platforms.get(&platform).and_then(|locked| locked.interpreter.as_ref());
        if self.locks == LockPolicy::Locked && locked != Some(&pin) {
            return Err(SupplyError::Outgrown {
                what: format!("lacks Python {} for {platform}", pin.version),
            });
        }
        self.based.lock().expect(UNPOISONED).insert(platform, Some(pin));
        Ok(())
    }

    /// Returns a base as it is locked, if that was chosen for some packages and maybe others.
    pub fn locked_base(&self, platform: Platform, least: &Roots) -> Option<(Roots, Vec<Pick>)> {
        self.based.lock().expect(UNPOISONED).entry(platform).or_default();
        let locked = self.usable(platform).filter(|_| self.upgrade == Upgrade::Nothing)?;
        let base = Some(locked.base).filter(|base| base.roots.is_superset(&names(least)))?;
        let root = |name: &String| Some((name.parse().ok()?, BTreeSet::from([INTERPRETER.to_owned()])));
        let mut roots: Roots = base.roots.iter().filter_map(root).collect();
        roots.extend(least.clone());
        Some((roots, base.packages))
    }

    /// Chooses the packages of a base.
    ///
    /// # Errors
    /// [`SupplyError`].
    pub fn base(&self, platform: Platform, roots: &Roots) -> Result<Vec<Pick>, SupplyError> {
        self.based.lock().expect(UNPOISONED).entry(platform).or_default();
        let names = names(roots);
        let locked = self.usable(platform);
        if let Some(locked) = &locked
            && locked.base.roots == names
            && self.upgrade == Upgrade::Nothing
        {
            return Ok(locked.base.packages.clone());
        }
        match &locked {
            Some(locked) => self.may_change(platform, (&locked.base.roots, &names))?,
            None => self.may_ask(platform)?,
        }
        let archive = self.archive(platform)?;
        let before = locked.iter().flat_map(LockedPlatform::packages).collect();
        let picks = self.choose(&archive, roots, before)?;
        let base = LockedLayer { roots: names, packages: picks.clone() };
        let platforms = &mut self.now().platforms;
        let suite = debian::suite(self.wishes.0).value;
        let archives = archive.believed();
        let builder = platforms.get(&platform).map(|now| now.builder.clone()).unwrap_or_default();
        let (system, debug, lacking) =
            locked.map_or_else(Default::default, |locked| (locked.system, locked.debug, locked.lacking));
        let interpreter = None;
        platforms.insert(
            platform,
            LockedPlatform { suite, interpreter, archives, base, system, debug, lacking, builder },
        );
        Ok(picks)
    }

    /// Chooses what a project needs besides its base, which was chosen before.
    ///
    /// # Errors
    /// [`SupplyError::Moved`] if that moves the base: the next choice of it is another one; [`SupplyError`].
    pub fn system(&self, platform: Platform, base: &Roots, more: &Roots) -> Result<Vec<Pick>, SupplyError> {
        let names = names(more);
        let known = self.now().platforms.get(&platform).cloned().expect("the base was chosen before");
        let was = self.usable(platform);
        let is_settled = was.as_ref() == Some(&known) && self.upgrade == Upgrade::Nothing;
        match &known.system {
            Some(system) if is_settled && system.roots == names => return Ok(system.packages.clone()),
            Some(system) if is_settled => self.may_change(platform, (&system.roots, &names))?,
            None if is_settled => self.may_change(platform, (&BTreeSet::new(), &names))?,
            _ => {}
        }
        let mut picks = Vec::new();
        let mut chosen = known.clone();
        if !names.is_empty() {
            let archive = self.archive(platform)?;
            let mut roots = base.clone();
            more.iter().for_each(|(name, why)| roots.entry(name.clone()).or_default().extend(why.clone()));
            let kept =
                if known.archives == archive.believed() { Vec::new() } else { known.packages().collect() };
            let all = self.choose(&archive, &roots, kept)?;
            let is_base = |pick: &Pick| known.base.packages.iter().any(|there| there.name == pick.name);
            let (below, above): (Vec<_>, Vec<_>) = all.into_iter().partition(is_base);
            let moved = below.iter().zip(&known.base.packages).any(|(new, old)| new.digest != old.digest);
            chosen.archives = archive.believed();
            if moved {
                chosen.base.packages = below;
            }
            picks = above;
            chosen.system = Some(LockedLayer { roots: names, packages: picks.clone() });
            self.now().platforms.insert(platform, chosen);
            return if moved { Err(SupplyError::Moved) } else { Ok(picks) };
        }
        chosen.system = Some(LockedLayer { roots: names, packages: Vec::new() });
        self.now().platforms.insert(platform, chosen);
        Ok(picks)
    }

    /// Chooses what is added for who looks into a container, once all else was chosen, which stays as it is.
    ///
    /// # Errors
    /// [`SupplyError`].
    pub fn debug(&self, platform: Platform, base: &Roots, more: &Roots) -> Result<Vec<Pick>, SupplyError> {
        let names = names(more);
        let known = self.now().platforms.get(&platform).cloned().expect("the base was chosen before");
        let locked = known.debug.as_ref().filter(|_| self.upgrade == Upgrade::Nothing);
        if let Some(locked) = locked.filter(|locked| locked.roots == names) {
            return Ok(locked.packages.clone());
        }
        self.may_change(platform, (&BTreeSet::new(), &names))?;
        let archive = self.archive(platform)?;
        let mut roots = base.clone();
        roots.extend(more.clone());
        let all = self.choose(&archive, &roots, known.packages().collect())?;
        let in_image =
            known.base.packages.iter().chain(known.system.iter().flat_map(|layer| &layer.packages));
        let in_image: BTreeSet<&str> = in_image.map(|pick| pick.name.as_str()).collect();
        let picks: Vec<Pick> =
            all.into_iter().filter(|pick| !in_image.contains(pick.name.as_str())).collect();
        let debug = Some(LockedLayer { roots: names, packages: picks.clone() });
        self.now().platforms.insert(platform, LockedPlatform { debug, ..known });
        Ok(picks)
    }

    /// Returns where packages lie.
    ///
    /// # Errors
    /// [`DebianError`] if nothing says where.
    pub fn sources(&self, picks: &[&Pick]) -> Result<Vec<Source>, DebianError> {
        if picks.is_empty() {
            return Ok(Vec::new());
        }
        let archives = debian::archives(self.wishes.0, self.wishes.1)?;
        picks.iter().map(|pick| debian::source(&archives, pick)).collect()
    }

    /// Tells whether the project's lock had a package, by name and version.
    pub fn is_locked(&self, title: &str) -> bool {
        let mut packages = self.before.platforms.values().flat_map(LockedPlatform::packages);
        packages.any(|pick| format!("{} {}", pick.name, pick.version) == title)
    }

    /// Returns the version of a package that the archive has today, as far as that can be found out.
    pub fn offered(&self, platform: Platform, name: &str) -> Option<String> {
        self.archive(platform).ok()?.offered(self.outside, name).ok().flatten()
    }

    /// Returns the packages that have what is missing and can be added to what is there, the best first.
    ///
    /// # Errors
    /// [`SupplyError::Outgrown`] if the lock, which doesn't say who supplies it, may not be changed; [`SupplyError`].
    pub fn suppliers(
        &self,
        platform: Platform,
        missing: &Missing,
        present: &Roots,
    ) -> Result<Vec<Supplier>, SupplyError> {
        if self.locks == LockPolicy::Locked {
            let what = format!("doesn't say what supplies {} for {platform}", missing.what());
            return Err(SupplyError::Outgrown { what });
        }
        let options = ClosureOptions { left_out: setup::left_out() };
        let present = present.keys().cloned().collect();
        Ok(self.archive(platform)?.suppliers(self.outside, missing, &present, &options)?)
    }

    /// Returns the packages that have libraries, by soname; one that nobody has isn't among them.
    ///
    /// What the lock knows, or knows that it isn't added, is asked of nobody else. For what is optional nothing is
    /// added that brings more than a megabyte.
    ///
    /// # Errors
    /// As [`Supply::suppliers`].
    pub fn of_sonames(
        &self,
        platform: Platform,
        sonames: &BTreeMap<String, Weight>,
        present: &Roots,
    ) -> Result<BTreeMap<String, PackageName>, SupplyError> {
        let mut found = BTreeMap::new();
        let mut present = present.clone();
        for weight in [Weight::Required, Weight::Optional] {
            for (soname, _) in sonames.iter().filter(|(_, wanted)| **wanted == weight) {
                if let Some(package) = self.of_soname(platform, (soname, weight), &present)? {
                    found.insert(soname.clone(), package);
                }
            }
            // What is there anyway costs plugins nothing.
            present.extend(found.values().map(|name| (name.clone(), BTreeSet::new())));
        }
        Ok(found)
    }

    fn of_soname(
        &self,
        platform: Platform,
        (soname, weight): (&str, Weight),
        present: &Roots,
    ) -> Result<Option<PackageName>, SupplyError> {
        let locked = self.usable(platform).filter(|_| self.upgrade == Upgrade::Nothing);
        let in_table = || package_for_soname(soname).map(str::to_owned);
        let in_lock = || locked.as_ref().and_then(|locked| locked.supplier_of(soname).map(str::to_owned));
        if let Some(package) = in_table().or_else(in_lock).and_then(|name| name.parse().ok()) {
            return Ok(Some(package));
        }
        if locked.as_ref().is_some_and(|locked| locked.lacking.contains(soname)) {
            return Ok(None);
        }
        let suppliers = self.suppliers(platform, &Missing::Soname(soname.to_owned()), present)?;
        let is_fair = |supplier: &Supplier| weight == Weight::Required || supplier.bytes <= FOR_PLUGINS;
        Ok(suppliers.into_iter().next().filter(is_fair).map(|supplier| supplier.package))
    }

    /// Notes which libraries are asked for and supplied by nobody, so that nobody is asked for them again.
    pub fn keep_lacking(&self, platform: Platform, lacking: &BTreeSet<String>) {
        if self.locks == LockPolicy::Locked {
            return;
        }
        if let Some(locked) = self.now().platforms.get_mut(&platform) {
            locked.lacking.clone_from(lacking);
        }
    }

    /// Returns the first of the archive's files whose names begin so, for who looked in vain for another of them.
    ///
    /// # Errors
    /// [`SupplyError`].
    pub fn alike(&self, platform: Platform, start: &str) -> Result<Vec<Listed>, SupplyError> {
        Ok(self.archive(platform)?.alike(self.outside, start)?)
    }

    /// Returns the wheels that a backend's requirements are pinned to, if they are.
    pub fn build(&self, key: &BuildKey) -> Option<Vec<LockedWheel>> {
        self.built.lock().expect(UNPOISONED).insert(key.clone());
        self.now().builds.get(key).cloned()
    }

    /// Pins a backend's requirements.
    ///
    /// # Errors
    /// [`SupplyError::Outgrown`] if the lock may not be changed.
    pub fn keep_build(&self, key: BuildKey, wheels: Vec<LockedWheel>) -> Result<(), SupplyError> {
        if self.locks == LockPolicy::Locked {
            let what = format!("says nothing of the build requirements {}", key.requires.join(", "));
            return Err(SupplyError::Outgrown { what });
        }
        self.built.lock().expect(UNPOISONED).insert(key.clone());
        self.now().builds.insert(key, wheels);
        Ok(())
    }

    /// Returns the rules that the lock lifts.
    pub fn lifts(&self) -> &BTreeSet<LockedLift> {
        &self.before.lifts
    }

    /// Pins which rules are lifted; what was lifted before keeps the reason that the lock has.
    ///
    /// # Errors
    /// [`SupplyError::Outgrown`] if the lock lacks one, and may not be changed.
    pub fn keep_lifts(&self, lifts: &BTreeSet<LockedLift>) -> Result<(), SupplyError> {
        let before = |lift: &LockedLift| self.before.lifts.iter().find(|there| there.is_same(lift));
        let new = lifts.iter().find(|lift| before(lift).is_none());
        match (self.locks, new) {
            (LockPolicy::Locked, Some(LockedLift { name, version, broken, why, rule })) => {
                let what = format!(
                    "doesn't lift the rule `{rule}` for {name} {version}, with which `{broken}` fails ({why})"
                );
                Err(SupplyError::Outgrown { what })
            }
            (LockPolicy::Locked, None) => Ok(()),
            (LockPolicy::Update | LockPolicy::Show, _) => {
                self.now().lifts = lifts.iter().map(|lift| before(lift).unwrap_or(lift).clone()).collect();
                Ok(())
            }
        }
    }

    /// Notes which uv has resolved.
    pub fn note_uv(&self, version: String) {
        self.now().uv = Some(version);
    }

    fn choose(&self, archive: &Debian, roots: &Roots, before: Vec<&Pick>) -> Result<Vec<Pick>, SupplyError> {
        let options = ClosureOptions { left_out: setup::left_out() };
        let (picks, free) = match &self.upgrade {
            Upgrade::Nothing => (before, BTreeSet::new()),
            Upgrade::All => (Vec::new(), BTreeSet::new()),
            Upgrade::Names(names) => (before, names.iter().filter_map(|name| name.parse().ok()).collect()),
        };
        Ok(archive.choose(self.outside, roots, &options, &Kept { picks, free })?)
    }

    /// Returns what is locked of a platform, if that is of the suite that is wanted.
    fn usable(&self, platform: Platform) -> Option<LockedPlatform> {
        let suite = debian::suite(self.wishes.0).value;
        self.before.platforms.get(&platform).filter(|locked| locked.suite == suite).cloned()
    }

    fn may_ask(&self, platform: Platform) -> Result<(), SupplyError> {
        match (self.locks, self.before.platforms.get(&platform)) {
            (LockPolicy::Locked, None) => Err(SupplyError::Missing { platform }),
            (LockPolicy::Locked, Some(locked)) => {
                let wanted = debian::suite(self.wishes.0).value;
                let what = format!("is of {} for {platform}, and {wanted} is wanted", locked.suite);
                Err(SupplyError::Outgrown { what })
            }
            _ => Ok(()),
        }
    }

    fn may_change(
        &self,
        platform: Platform,
        (locked, wanted): (&BTreeSet<String>, &BTreeSet<String>),
    ) -> Result<(), SupplyError> {
        if self.locks != LockPolicy::Locked {
            return Ok(());
        }
        let lacking: Vec<_> = wanted.difference(locked).map(|name| format!("`{name}`")).collect();
        let more: Vec<_> = locked.difference(wanted).map(|name| format!("`{name}`")).collect();
        let what = match (lacking.as_slice(), more.as_slice()) {
            ([], _) => format!("has {} for {platform}, which nothing asks for", more.join(", ")),
            (_, _) => format!("lacks {} for {platform}", lacking.join(", ")),
        };
        Err(SupplyError::Outgrown { what })
    }

    fn archive(&self, platform: Platform) -> Result<Arc<Debian>, DebianError> {
        let mut opened = self.debian.lock().expect(UNPOISONED);
        let arch = platform.debian();
        let debian = match opened.take() {
            Some(debian) if debian.arch() == arch => debian,
            Some(debian) => Arc::new(debian.of_architecture(arch)),
            None => Arc::new(Debian::open(self.outside.0, self.wishes, arch, self.reporter)?),
        };
        *opened = Some(Arc::clone(&debian));
        Ok(debian)
    }

    fn now(&self) -> MutexGuard<'_, SystemLock> {
        self.now.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "no thread panics with this lock";

/// Returns what a base with a Python of Debian's is made from, `minor` being the 13 of 3.13.
pub(crate) fn base_roots(minor: u32) -> Roots {
    let roots = setup::base_roots(minor).into_iter();
    let reason =
        |name: &PackageName| if name.as_str().contains("python") { INTERPRETER } else { EVERY_IMAGE };
    roots.map(|name| (name.clone(), BTreeSet::from([reason(&name).to_owned()]))).collect::<BTreeMap<_, _>>()
}

/// Returns what a base without a Python of Debian's is made from.
pub(crate) fn libc_roots() -> Roots {
    let roots = setup::libc_roots().into_iter();
    roots.map(|name| (name, BTreeSet::from([EVERY_IMAGE.to_owned()]))).collect()
}

fn names(roots: &Roots) -> BTreeSet<String> {
    roots.keys().map(ToString::to_string).collect()
}
