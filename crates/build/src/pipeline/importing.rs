//! What the user's own files import of what rules take: such rules are lifted after all else is proved.
//!
//! What is lifted so follows from the files and what the proof lifts, and is in no lock; what the proof lifts follows from
//! no file of the user's. The base is one for all projects, so that no rule is lifted for it: there it is only said.

use std::collections::{BTreeSet, HashSet};

use minke_cas::{Digest, ImagePath, Tree};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::app::{App, Copied};
use super::base::Base;
use super::healing::Means;
use super::ready::Ready;
use super::{BuildError, Foreman};
use crate::parts::{Part, Settled, begins_piece};
use crate::project::runs::Run;
use crate::proof::blame::{self, Suspect};
use crate::proof::heal;
use crate::slim::{self, Class, PutBack, SlimLedger};

/// All that the names in some files depend on.
#[derive(Serialize)]
struct Key<'key> {
    minke: &'static str,
    names: [&'static [&'static str]; 2],
    at: &'key ImagePath,
    files: Digest,
}

impl Foreman<'_> {
    /// Returns what the user's own files import that may be gone; of what hasn't changed nothing is read.
    pub(super) fn at_risk(&self, base: &Base, app: &App<'_>) -> Result<BTreeSet<String>, BuildError> {
        if !slim::is_wanted(&self.request.settings) {
            return Ok(BTreeSet::new());
        }
        let _span = tracing::info_span!("look for imports").entered();
        let read = |tree: &Tree| Ok(slim::at_risk(self.store, tree)?);
        let mut all = BTreeSet::new();
        let wheels = &self.own_wheels(base, app)?.parts;
        for part in wheels {
            all.extend(self.names_in("wheel", &ImagePath::root(), part.tree.digest(), || read(&part.tree))?);
        }
        for Copied { at, listing, .. } in &app.copied {
            let of_run = |run: &Run<'_>| {
                let tree = || run.tree(self.store, at).map_err(BuildError::Sources);
                self.names_in("run", at, run.digest(), || read(&tree()?))
            };
            // A directory with thousands of files is most often as it was, and else most of its runs are.
            for directory in listing.directories() {
                let runs = || directory.cut(at, begins_piece);
                let read = || runs().par_iter().map(of_run).try_reduce(BTreeSet::new, united);
                all.extend(self.names_in("directory", at, directory.digest(), read)?);
            }
        }
        if !all.is_empty() {
            let installed: Vec<ImagePath> =
                wheels.iter().flat_map(|part| part.tree.files()).map(|(path, _)| path).collect();
            let installed = installed.iter().map(ImagePath::as_str);
            let own = ends_of(installed.chain(app.copied.iter().flat_map(|copied| copied.listing.paths())));
            all.retain(|name| !is_own(&own, name));
        }
        Ok(all)
    }

    fn names_in(
        &self,
        of: &str,
        at: &ImagePath,
        files: Digest,
        read: impl FnOnce() -> Result<BTreeSet<String>, BuildError>,
    ) -> Result<BTreeSet<String>, BuildError> {
        let key = Key { minke: env!("CARGO_PKG_VERSION"), names: slim::AT_RISK, at, files };
        // One directory may be one run, and who computes a result waits for nobody else's of the same key.
        self.store.memo(&format!("at-risk-{of}-1"), &key, read)
    }

    /// Slims and compiles what goes into the layers below the app's anew as long as rules take what the user's own files
    /// import; returns what that puts back.
    pub(super) fn spare(
        &self,
        means: Means<'_>,
        (settled, at_risk): (&Settled, &BTreeSet<String>),
        ready: &mut Ready,
    ) -> Result<Vec<PutBack>, BuildError> {
        let mut put_back = Vec::new();
        while let Some(ledger) = &ready.ledger {
            let missed = missed(settled, (&ready.whole, ledger), at_risk);
            let (new, of_base): (Vec<_>, Vec<_>) =
                missed.into_iter().partition(|(class, _)| *class == Some(Class::Distribution));
            if new.is_empty() {
                self.warn_of_base(of_base.into_iter().map(|(_, missed)| missed));
                break;
            }
            let mut lifts = ledger.lifts.clone();
            // What one rule leaves, another may take.
            for (_, missed) in new {
                let PutBack { owner, rule, broken, .. } = &missed;
                self.reporter.note(format!(
                    "the rule `{rule}` is lifted for {owner}, for the project imports `{broken}`"
                ));
                lifts.entry(owner.clone()).or_default().insert(rule.clone());
                put_back.push(missed);
            }
            *ready = self.ready(means, settled, &lifts)?;
        }
        Ok(put_back)
    }

    fn warn_of_base(&self, missed: impl Iterator<Item = PutBack>) {
        for PutBack { owner, rule, broken, .. } in missed {
            if self.request.settings.slim.rules.get(&rule) == Some(&true) {
                continue;
            }
            self.reporter.warn(format!(
                "the project imports `{broken}`, which the rule `{rule}` takes from {owner}: \
                 `slim.rules = {{ {rule} = false }}` keeps it, and with `= true` nothing is said"
            ));
        }
    }
}

/// Returns which rules took what is imported, each once, with the class of those that they took it from.
fn missed(
    settled: &Settled,
    (whole, ledger): (&Tree, &SlimLedger),
    at_risk: &BTreeSet<String>,
) -> Vec<(Option<Class>, PutBack)> {
    let mut known: BTreeSet<Suspect> = BTreeSet::new();
    let mut missed = Vec::new();
    for name in at_risk {
        let Some(suspect) = blame::of_module(name, ledger) else { continue };
        let is_owners = |part: &&Part| slim::owner_key(&part.owner) == suspect.owner;
        let class = settled.parts.iter().find(is_owners).and_then(|part| Class::of(&part.owner));
        // In the place of a module of the base something stands that says where it is.
        let is_there = class == Some(Class::Distribution) && blame::is_there(name, whole);
        // What the settings name is meant to go.
        if is_there || suspect.rule == slim::DROP || !known.insert(suspect.clone()) {
            continue;
        }
        let because = (name.clone(), "the project imports it".to_owned());
        missed.push((class, heal::put_back(suspect, ledger, because)));
    }
    missed
}

fn united(mut one: BTreeSet<String>, other: BTreeSet<String>) -> Result<BTreeSet<String>, BuildError> {
    one.extend(other);
    Ok(one)
}

/// Returns how paths of modules end, from each of their directories on.
fn ends_of<'path>(paths: impl Iterator<Item = &'path str>) -> HashSet<&'path str> {
    let modules = paths.filter(|path| path.ends_with(".py"));
    let ends = |path: &'path str| {
        let below = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
        std::iter::once(path).chain(below)
    };
    modules.flat_map(ends).collect()
}

/// Tells whether a dotted name is of a module of the user's own, or of something in one.
fn is_own(ends: &HashSet<&str>, name: &str) -> bool {
    let has = |name: &str| {
        let path = name.replace('.', "/");
        ends.contains(format!("{path}.py").as_str()) || ends.contains(format!("{path}/__init__.py").as_str())
    };
    has(name) || name.rsplit_once('.').is_some_and(|(module, _)| has(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_users_own_by_the_path_of_its_module() {
        let own = ends_of(["src/shop/tests/it.py", "company/app/main.py", "docs/pandas/load.py"].into_iter());
        for name in ["shop.tests.it", "shop.tests.it.x"] {
            assert!(is_own(&own, name), "{name}");
        }
        // Part of a namespace, or of a directory that happens to be called so.
        for name in ["company.lib.tests.x", "pandas.tests.x", "hop.tests.it", "shop.tests"] {
            assert!(!is_own(&own, name), "{name}");
        }
    }
}
