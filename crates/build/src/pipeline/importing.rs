//! What the user's own files import of what rules take: such rules are lifted, as if the proof had found them.
//!
//! The base is one for all projects, so that no rule is lifted for it: there it is only said.

use std::collections::BTreeSet;

use minke_cas::ImagePath;

use super::app::App;
use super::base::Base;
use super::{BuildError, Foreman};
use crate::parts::{Owner, Part, Settled};
use crate::project::Project;
use crate::proof::blame::{self, Suspect};
use crate::proof::heal;
use crate::slim::{self, Class, PutBack, SlimLedger};

/// How it is told.
const WHY: &str = "the project's own files import it";

impl Foreman<'_> {
    /// Returns what the sources of some parts import that may be gone.
    pub(super) fn at_risk<'part>(
        &self,
        parts: impl IntoIterator<Item = &'part Part>,
    ) -> Result<BTreeSet<String>, BuildError> {
        let mut all = BTreeSet::new();
        for part in parts {
            let digest = part.tree.digest();
            all.extend(self.store.memo("at-risk-1", &digest, || slim::at_risk(self.store, &part.tree))?);
        }
        Ok(all)
    }

    /// Returns what of that no module of the user's own stands for.
    pub(super) fn not_own(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
        mut names: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, BuildError> {
        if !names.is_empty() {
            let parts = self.app_parts((project, base), app)?;
            retain_others(&mut names, &parts);
        }
        Ok(names)
    }

    /// Returns the lifts without which the user's own files would miss what they import.
    pub(super) fn imported_in_vain(
        &self,
        settled: &Settled,
        ledger: &SlimLedger,
    ) -> Result<Vec<PutBack>, BuildError> {
        let own: Vec<Part> = settled.parts.iter().filter(|part| is_own(part)).cloned().collect();
        let mut names = self.at_risk(&own)?;
        retain_others(&mut names, &own);
        let mut lifts: Vec<PutBack> = Vec::new();
        for name in names {
            let Some(suspect) = blame::of_module(&name, ledger) else { continue };
            let Suspect { owner, rule } = &suspect;
            // The module is there without its source; what the settings name is meant to go.
            if [slim::MODULE_SOURCES, slim::DROP].contains(&rule.as_str())
                || lifts.iter().any(|lift| lift.owner == *owner && lift.rule == *rule)
            {
                continue;
            }
            let of_base = |part: &&Part| slim::owner_key(&part.owner) == owner;
            let class = settled.parts.iter().find(of_base).and_then(|part| Class::of(&part.owner));
            if class == Some(Class::Distribution) {
                lifts.push(heal::put_back(suspect, ledger, (name, WHY.to_owned())));
            } else if self.request.settings.slim.rules.get(rule) != Some(&true) {
                self.reporter.warn(format!(
                    "the project imports `{name}`, which the rule `{rule}` takes from {owner}: \
                     `slim.rules = {{ {rule} = false }}` keeps it, and with `= true` nothing is said"
                ));
            }
        }
        Ok(lifts)
    }
}

fn is_own(part: &Part) -> bool {
    matches!(part.owner, Owner::Project { .. })
}

/// Leaves the names that none of the parts has a module or package at the beginning of.
fn retain_others(names: &mut BTreeSet<String>, parts: &[Part]) {
    names.retain(|name| {
        let top = name.split('.').next().unwrap_or_default();
        let (module, package) = (format!("/{top}.py"), format!("/{top}/"));
        let is_it =
            |(path, _): (ImagePath, _)| path.as_str().ends_with(&module) || path.as_str().contains(&package);
        !parts.iter().any(|part| part.tree.files().any(is_it))
    });
}
