//! What the user's own files import of what rules take: such rules are lifted before anything is proved.
//!
//! What is lifted so follows from the files, and is in no lock. The base is one for all projects, so that no rule is
//! lifted for it: there it is only said.

use std::collections::BTreeSet;

use minke_cas::Digest;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::app::{App, Copied};
use super::base::Base;
use super::healing::Means;
use super::ready::Ready;
use super::{BuildError, Foreman};
use crate::parts::{Owner, Part, Settled, begins_piece};
use crate::project::Project;
use crate::project::runs::Run;
use crate::proof::blame::{self, Suspect};
use crate::proof::heal;
use crate::slim::{self, Class, Lifts, PutBack};

/// All that the names in some files depend on.
#[derive(Serialize)]
struct Key {
    minke: &'static str,
    names: [&'static [&'static str]; 2],
    files: Digest,
}

/// What goes into layers, and what is lifted for the user's own imports.
pub(super) struct Spared {
    pub(super) ready: Ready,
    /// These lifts, and those of the lock.
    pub(super) lifts: Lifts,
    pub(super) put_back: Vec<PutBack>,
}

impl Foreman<'_> {
    /// Returns what the user's own files import that may be gone; of what hasn't changed nothing is read.
    pub(super) fn at_risk(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
    ) -> Result<BTreeSet<String>, BuildError> {
        let mut all = BTreeSet::new();
        if !slim::is_wanted(&self.request.settings) {
            return Ok(all);
        }
        let _span = tracing::info_span!("look for imports").entered();
        for part in &self.own_wheels(base, app)?.parts {
            all.extend(self.names_in(part.tree.digest(), || Ok(slim::at_risk(self.store, &part.tree)?))?);
        }
        for Copied { at, listing, .. } in &app.copied {
            let of_run = |run: &Run<'_>| {
                let tree = || run.tree(self.store, at).map_err(BuildError::Sources);
                self.names_in(run.digest(), || Ok(slim::at_risk(self.store, &tree()?)?))
            };
            // A directory with thousands of files is most often as it was, and else most of its runs are.
            for directory in listing.directories() {
                let runs = || directory.cut(at, begins_piece);
                let read = || runs().par_iter().map(of_run).try_reduce(BTreeSet::new, united);
                all.extend(self.names_in(directory.digest(), read)?);
            }
        }
        if !all.is_empty() {
            let own = self.app_parts((project, base), app)?;
            all.retain(|name| !has_module(&own, name));
        }
        Ok(all)
    }

    fn names_in(
        &self,
        files: Digest,
        read: impl FnOnce() -> Result<BTreeSet<String>, BuildError>,
    ) -> Result<BTreeSet<String>, BuildError> {
        let key = Key { minke: env!("CARGO_PKG_VERSION"), names: slim::AT_RISK, files };
        self.store.memo("at-risk-2", &key, read)
    }

    /// Slims and compiles what goes into the layers below the app's, but for what the lock lifts and what the user's own
    /// files import.
    pub(super) fn spared(
        &self,
        means: Means<'_>,
        settled: &Settled,
        at_risk: &BTreeSet<String>,
    ) -> Result<Spared, BuildError> {
        let (mut lifts, mut put_back) = (self.known_lifts(settled), Vec::new());
        loop {
            let ready = self.ready(means, settled, &lifts)?;
            let missed = missed(settled, &ready, at_risk);
            let (new, of_base): (Vec<_>, Vec<_>) =
                missed.into_iter().partition(|(class, _)| *class == Some(Class::Distribution));
            if new.is_empty() {
                self.warn_of_base(of_base.into_iter().map(|(_, missed)| missed));
                return Ok(Spared { ready, lifts, put_back });
            }
            // What one rule leaves, another may take.
            for (_, missed) in new {
                let PutBack { owner, rule, broken, .. } = &missed;
                self.reporter.note(format!(
                    "the rule `{rule}` is lifted for {owner}, for the project imports `{broken}`"
                ));
                lifts.entry(owner.clone()).or_default().insert(rule.clone());
                put_back.push(missed);
            }
        }
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
fn missed(settled: &Settled, ready: &Ready, at_risk: &BTreeSet<String>) -> Vec<(Option<Class>, PutBack)> {
    let Some(ledger) = &ready.ledger else { return Vec::new() };
    let mut known: BTreeSet<Suspect> = BTreeSet::new();
    let mut missed = Vec::new();
    for name in at_risk {
        let Some(suspect) = blame::of_module(name, ledger) else { continue };
        let is_owners = |part: &&Part| slim::owner_key(&part.owner) == suspect.owner;
        let class = settled.parts.iter().find(is_owners).and_then(|part| Class::of(&part.owner));
        // In the place of a module of the base something stands that says where it is.
        let is_there = class == Some(Class::Distribution) && blame::is_there(name, &ready.whole);
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

/// Tells whether the user's own files have a module at the beginning of a name.
fn has_module(own: &[Part], name: &str) -> bool {
    let top = name.split('.').next().unwrap_or_default();
    let (module, package) = (format!("/{top}.py"), format!("/{top}/"));
    let mut parts = own.iter().filter(|part| matches!(part.owner, Owner::Project { .. }));
    parts.any(|part| {
        part.tree.files().any(|(path, _)| {
            let path = path.as_str();
            path.ends_with(&module) || (path.contains(&package) && path.ends_with(".py"))
        })
    })
}
