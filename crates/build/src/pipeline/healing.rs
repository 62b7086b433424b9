//! Slimming that is proved: what worked before works after, or the rule that took what it needs is lifted.
//!
//! The base and the standard library are proved by themselves, once for all projects that have them; then all that lies
//! below the app's layer. Of the user's own nothing is tried, so that an edit of it proves nothing again.
//!
//! What is lifted stands in `minke.lock`, and is lifted from the beginning where it does: also by who can prove nothing.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, ImagePath, Tree};
use minke_exec::User;
use serde::Serialize;

use super::base::Base;
use super::proving::ProofError;
use super::ready::Ready;
use super::slimming::{SlimKey, add_sources};
use super::{BuildError, Foreman};
use crate::bytecode::Compiler;
use crate::check;
use crate::event::{Hop, Unit};
use crate::likely::Names;
use crate::parts::{Owner, Part, Settled};
use crate::proof::{
    self, Asked, Depth, Found, Healed, Kind, OpenEnd, Patient, Questions, Scripts, Stage, Standard, Tried,
};
use crate::slim::{self, Lifts, PutBack, Rules, SlimLedger};
use crate::system_lock::LockedLift;

/// What compiles the parts of an image.
#[derive(Clone, Copy)]
pub(super) struct Means<'build> {
    pub(super) base: &'build Base,
    /// The tree that the interpreter which works here lies in, and where.
    pub(super) bench: &'build (Digest, ImagePath),
    /// None where there is no interpreter for the image.
    pub(super) compiler: Option<&'build Compiler>,
}

/// Some parts of an image, and what slims, compiles and starts them.
struct Ward<'ward, 'request> {
    foreman: &'ward Foreman<'request>,
    means: Means<'ward>,
    parts: Vec<Part>,
    /// All that is in the image, where links lead to where they lead.
    whole: &'ward Tree,
    python: ImagePath,
    standard: Standard,
    scripts: &'ward Scripts,
    /// What is slimmed and compiled already, if that is more than these parts.
    ready: Option<&'ward Ready>,
}

/// All that healing depends on: what is tried, and what is taken from it.
#[derive(Serialize)]
struct Key<'key> {
    minke: &'static str,
    parts: Vec<(String, Digest)>,
    /// What was slimmed before: of a base less is taken where the project needs more of it.
    ready: Option<Vec<(String, Digest)>>,
    slim: SlimKey,
    compiler: Option<&'key Compiler>,
    python: &'key ImagePath,
    standard: Standard,
    #[serde(skip_serializing_if = "Scripts::is_none")]
    scripts: &'key Scripts,
    lifts: &'key Lifts,
}

const KIND: &str = "healed-5";

/// Of how many distributions it is told that they don't work.
const TOLD: usize = 3;

impl Foreman<'_> {
    /// Returns the lifts with which all works that works unslimmed, pins and says them; those that the lock has where
    /// nothing is to be proved, or can be.
    pub(super) fn healed(
        &self,
        means: Means<'_>,
        settled: &Settled,
        ready: &Ready,
    ) -> Result<Healed, BuildError> {
        let Some(slim) = self.slim_key() else { return Ok(Healed::default()) };
        let titles = titles(settled);
        let mut lifts = self.locked_lifts();
        lifts.retain(|lift| !is_outgrown(lift, &titles));
        let known = of_titles(&lifts, &titles);
        let healed = match self.is_provable() {
            true => self.healed_by_proof(means, (settled, ready), (&slim, known))?,
            false => Healed { lifts: known, ..Healed::default() },
        };
        self.warn_of(&healed.ailing, settled)?;
        let lift = |PutBack { owner, rule, bytes: _, broken, why }: &PutBack| {
            let (_, version) = titles.iter().find(|(name, _)| name == owner).copied().unwrap_or_default();
            let (name, version) = (owner.clone(), version.to_owned());
            LockedLift {
                name,
                version,
                broken: broken.clone(),
                why: why.replace('\n', " "),
                rule: rule.clone(),
            }
        };
        lifts.extend(healed.put_back.iter().map(lift));
        self.supply.keep_lifts(&lifts)?;
        let applies = |lift: &&LockedLift| titles.contains(&(lift.name.as_str(), lift.version.as_str()));
        for LockedLift { name, version: _, broken, why, rule } in lifts.iter().filter(applies) {
            self.reporter.note(format!(
                "the rule `{rule}` is lifted for {name}, for without what it takes `{broken}` fails ({why})"
            ));
        }
        Ok(healed)
    }

    /// Returns what is lifted from the beginning, for the lock says so.
    pub(super) fn known_lifts(&self, settled: &Settled) -> Lifts {
        of_titles(&self.locked_lifts(), &titles(settled))
    }

    /// Finds out what the lock has to lift.
    pub(super) fn pin_lifts(&self, base: &Base, parts: Vec<Part>) -> Result<(), BuildError> {
        if !slim::is_wanted(&self.request.settings) {
            return Ok(());
        }
        let made = self.made(base)?;
        let bench = (made.bench.tree.digest(), made.bench.program.clone());
        let means = Means { base, bench: &bench, compiler: made.compiler.as_ref() };
        let settled = self.settle(parts)?;
        let ready = self.ready(means, &settled, &self.known_lifts(&settled))?;
        self.healed(means, &settled, &ready).map(drop)
    }

    /// Returns what the lock lifts, but for what is to be found out again.
    pub(super) fn locked_lifts(&self) -> BTreeSet<LockedLift> {
        if !slim::is_wanted(&self.request.settings) {
            return BTreeSet::new();
        }
        let is_upgraded = |lift: &LockedLift| self.request.upgrade.covers(&lift.name) && self.is_provable();
        let is_rule = |lift: &LockedLift| Rules::shipped().get(&lift.rule).is_some();
        let stays = |lift: &&LockedLift| is_rule(lift) && !is_upgraded(lift);
        self.supply.lifts().iter().filter(stays).cloned().collect()
    }

    fn healed_by_proof(
        &self,
        means: Means<'_>,
        (settled, ready): (&Settled, &Ready),
        (slim, lifts): (&SlimKey, Lifts),
    ) -> Result<Healed, BuildError> {
        let venv = &means.base.venv;
        let of_owner = |of: fn(&Owner) -> bool| -> Vec<Part> {
            settled.parts.iter().filter(|part| of(&part.owner)).cloned().collect()
        };
        let whole = &settled.tree;
        let base = Ward {
            foreman: self,
            means,
            parts: of_owner(|owner| matches!(owner, Owner::Base { .. })),
            whole,
            python: venv.interpreter.clone(),
            standard: Standard::Tried,
            // A base is proved for all projects, and has no distributions.
            scripts: &Scripts::None,
            ready: None,
        };
        // An image that is the base is not slimmed.
        let of_base = if base.parts.is_empty() {
            Healed::default()
        } else {
            let is_base = |name: &String| base.parts.iter().any(|part| slim::owner_key(&part.owner) == name);
            let of_base = lifts.iter().filter(|(name, _)| is_base(name));
            let of_base = of_base.map(|(name, rules)| (name.clone(), rules.clone())).collect();
            self.remembered(&base, slim, of_base)?
        };
        let below = Ward {
            parts: of_owner(is_below),
            python: venv.program(),
            standard: Standard::Trusted,
            scripts: &self.request.settings.check_scripts,
            ready: Some(ready),
            ..base
        };
        let known = lifts.into_iter().chain(of_base.lifts).collect();
        let of_below = self.remembered(&below, slim, known)?;
        let put_back = [of_base.put_back, of_below.put_back].concat();
        Ok(Healed { put_back, ..of_below })
    }

    /// Says what doesn't work though nothing is taken from it, and was asked for by name, or seems to load a library by
    /// name that isn't there.
    fn warn_of(&self, ailing: &[Tried], settled: &Settled) -> Result<(), BuildError> {
        let mut told = BTreeSet::new();
        for tried in ailing {
            let (owner, name, why) = (&tried.of, &tried.name, check::why(tried));
            if tried.kind == Kind::Named {
                self.reporter.warn(format!("`{name}` of {owner} fails, slimmed or not ({why})"));
                continue;
            }
            if told.len() == TOLD || !told.insert(owner) {
                continue;
            }
            let is_owners = |part: &&Part| slim::owner_key(&part.owner) == owner;
            let own: Vec<Part> = settled.parts.iter().filter(is_owners).cloned().collect();
            let by_name = self.loaded_by_name(&settled.tree, &own)?;
            if let Some(wanted) = by_name.keys().flat_map(Names::wanted).next() {
                let library = wanted.beginning();
                let library = library.trim_end_matches('.');
                self.reporter.warn(format!(
                    "`{name}` of {owner} does not work, slimmed or not ({why}): it seems to load `{library}`, which \
                     isn't there; `likely-libraries` adds what has it"
                ));
            }
        }
        Ok(())
    }

    fn remembered(&self, ward: &Ward<'_, '_>, slim: &SlimKey, lifts: Lifts) -> Result<Healed, BuildError> {
        let key = Key {
            minke: env!("CARGO_PKG_VERSION"),
            parts: digests(&ward.parts),
            ready: ward.ready.map(|ready| digests(ready.below.iter().filter(|part| is_below(&part.owner)))),
            slim: slim.clone(),
            compiler: ward.means.compiler,
            python: &ward.python,
            standard: ward.standard,
            scripts: ward.scripts,
            lifts: &lifts,
        };
        self.store.memo(KIND, &key, || proof::heal(ward, &joined(&ward.parts), lifts.clone()))
    }
}

impl Patient for Ward<'_, '_> {
    type Error = BuildError;

    fn slim(&self, lifts: &Lifts) -> Result<(Tree, SlimLedger), BuildError> {
        if let Some(Ready { sources, below, ledger: Some(ledger), .. }) = self.ready
            && ledger.lifts == *lifts
        {
            let mut ledger = ledger.clone();
            add_sources(&mut ledger, sources, below);
            let images = self.parts.iter().filter(|part| matches!(part.owner, Owner::Image { .. }));
            let parts = images.chain(below.iter().filter(|part| is_below(&part.owner)));
            return Ok((joined(parts), ledger));
        }
        let slimmed = self.foreman.slimmed(self.parts.clone(), self.whole, lifts)?;
        let is_images = |part: &Part| matches!(part.owner, Owner::Image { .. });
        let (images, ours): (Vec<Part>, Vec<Part>) = slimmed.parts.into_iter().partition(is_images);
        let compiled = self.foreman.compile(self.means, &ours, &slimmed.tree, lifts)?;
        let mut ledger = slimmed.ledger.unwrap_or_default();
        add_sources(&mut ledger, &ours, &compiled);
        Ok((joined(images.iter().chain(&compiled)), ledger))
    }

    fn ask(&self, tree: &Tree, questions: Questions) -> Result<Found, BuildError> {
        let (gone, only) = match questions {
            Questions::All(gone) => (gone, None),
            Questions::Only(only) => (BTreeMap::new(), Some(only)),
        };
        // Not the image's own: what lies below the app doesn't depend on what only the app is told.
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.means.base.venv.bin());
        // Without a place for its cache, numba refuses to import what wants one, and nothing behind that would be tried.
        let env = [("PATH", path.as_str()), ("LANG", "C.UTF-8"), ("NUMBA_CACHE_DIR", "/tmp")];
        let env: BTreeMap<String, String> =
            env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let user = User { uid: 65532, gid: 65532, home: "/nonexistent".to_owned() };
        let asked = Asked {
            stage: Stage { tree: tree.clone(), env, user, workdir: ImagePath::root() },
            python: self.python.clone(),
            depth: Depth::Packages,
            standard: self.standard,
            scripts: self.scripts.clone(),
            only,
            gone,
        };
        let Foreman { request, store, .. } = self.foreman;
        let found =
            self.foreman.hop(Hop::Proof, Unit::Pieces, |_| Ok(asked.try_all(store, request.host.jobs)))?;
        let found = found.map_err(|error| BuildError::Proof(ProofError::Import(error)))?;
        self.scripts.are_in([&found]).map_err(|error| BuildError::Proof(ProofError::Script(error)))?;
        Ok(found)
    }

    fn open_ends(&self, tree: &Tree) -> Result<BTreeSet<OpenEnd>, BuildError> {
        let _span = tracing::info_span!("look for open ends").entered();
        let ends = proof::closure::open_ends(self.foreman.store, tree, &self.python);
        ends.map_err(|error| BuildError::Proof(ProofError::Closure(error)))
    }
}

/// Returns what a ground depends on of lifts: all but their reasons.
pub(super) fn keys(lifts: &BTreeSet<LockedLift>) -> Vec<[String; 3]> {
    let key = |lift: &LockedLift| [lift.name.clone(), lift.version.clone(), lift.rule.clone()];
    lifts.iter().map(key).collect()
}

/// Returns the lifts that are for what is in an image.
fn of_titles(lifts: &BTreeSet<LockedLift>, titles: &BTreeSet<(&str, &str)>) -> Lifts {
    let mut known = Lifts::new();
    for LockedLift { name, version, rule, .. } in lifts {
        if titles.contains(&(name.as_str(), version.as_str())) {
            known.entry(name.clone()).or_default().insert(rule.clone());
        }
    }
    known
}

/// Tells whether a lift is for another version than the image has. What the image doesn't have at all, another
/// platform's or group's may.
fn is_outgrown(lift: &LockedLift, titles: &BTreeSet<(&str, &str)>) -> bool {
    !titles.contains(&(lift.name.as_str(), lift.version.as_str()))
        && titles.iter().any(|(name, _)| *name == lift.name)
}

/// Returns the names and versions of what is in an image.
fn titles(settled: &Settled) -> BTreeSet<(&str, &str)> {
    settled.parts.iter().map(|part| title(&part.owner)).collect()
}

/// Returns an owner's name and version.
fn title(owner: &Owner) -> (&str, &str) {
    (slim::owner_key(owner), slim::owner_version(owner))
}

/// Joins settled parts, of which no two have one path.
fn joined<'part>(parts: impl IntoIterator<Item = &'part Part>) -> Tree {
    let join = |tree: Tree, part: &Part| tree.join(&part.tree).expect("settled parts don't overlap");
    parts.into_iter().fold(Tree::new(), join)
}

/// Tells whether something lies below the app's layer.
fn is_below(owner: &Owner) -> bool {
    !matches!(owner, Owner::Project { .. })
}

fn digests<'part>(parts: impl IntoIterator<Item = &'part Part>) -> Vec<(String, Digest)> {
    parts.into_iter().map(|part| (part.owner.name(), part.tree.digest())).collect()
}
