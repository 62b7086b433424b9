//! Lifts rules until what worked before slimming works after it.
//!
//! What slims, and who tries, comes from the caller: here is only the order in which they are asked.

use std::collections::BTreeSet;

use minke_cas::Tree;

use super::blame::{self, Suspect};
use super::import::Item;
use super::{Found, OpenEnd, Tried};
use crate::check;
use crate::slim::{Lifts, SlimLedger};

/// How often slimming starts again. Each time at least one more rule is lifted.
const ROUNDS: usize = 12;

/// How much of what is broken is told.
const TOLD: usize = 3;

/// What an image is slimmed and asked by.
pub trait Patient {
    /// Why one of these could not be done.
    type Error: From<Incurable>;

    /// Slims, but for what is lifted; returns what is left, and what was taken.
    ///
    /// # Errors
    /// As it says itself, like the others.
    fn slim(&self, lifts: &Lifts) -> Result<(Tree, SlimLedger), Self::Error>;

    /// Tries everything in a tree, or only some things.
    ///
    /// # Errors
    /// See [`Patient::slim`].
    fn ask(&self, tree: &Tree, only: Option<BTreeSet<Item>>) -> Result<Found, Self::Error>;

    /// Finds what files of a tree need and don't find.
    ///
    /// # Errors
    /// See [`Patient::slim`].
    fn open_ends(&self, tree: &Tree) -> Result<BTreeSet<OpenEnd>, Self::Error>;

    /// Tells that a rule is lifted, and because of what: its name, and how it failed.
    fn say(&self, lifted: &Suspect, name: &str, why: &str);
}

/// Something doesn't work after slimming, and no rule that could be lifted is to blame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("slimming broke {}", broken.join("; "))]
pub struct Incurable {
    /// What, and how it fails.
    pub broken: Vec<String>,
}

/// Returns the fewest lifts that could be found with which all works that works in `before`, the image unslimmed.
///
/// # Errors
/// [`Incurable`], and what the patient's own say.
pub fn heal<P: Patient>(patient: &P, before: &Tree) -> Result<Lifts, P::Error> {
    let mut lifts = Lifts::new();
    for _ in 0..ROUNDS {
        let (after, ledger) = patient.slim(&lifts)?;
        let mut guilty = loose_ends(patient, (before, &after), &ledger)?;
        let broken = broken(patient, (before, &after), &ledger)?;
        for tried in &broken {
            let found = match blame::named(tried, &ledger) {
                Some(suspect) => vec![suspect],
                // Most of what is broken is so for one reason: one search a round will do.
                None if guilty.is_empty() => searched(patient, &lifts, (tried, &ledger))?,
                None => Vec::new(),
            };
            for suspect in found {
                if !guilty.contains(&suspect) {
                    patient.say(&suspect, &tried.name, &check::why(tried));
                    guilty.push(suspect);
                }
            }
        }
        if !blame::lift(&mut lifts, &guilty) {
            let line = |tried: &Tried| format!("`{}` of {}: {}", tried.name, tried.of, check::why(tried));
            return match broken.is_empty() {
                true => Ok(lifts),
                false => Err(Incurable { broken: broken.iter().take(TOLD).map(line).collect() }.into()),
            };
        }
    }
    Err(Incurable { broken: vec![format!("something {ROUNDS} times")] }.into())
}

/// Finds by halving which rules are to blame for what names none.
fn searched<P: Patient>(
    patient: &P,
    lifts: &Lifts,
    (tried, ledger): (&Tried, &SlimLedger),
) -> Result<Vec<Suspect>, P::Error> {
    blame::narrow(&blame::suspects(tried, ledger), |lifted| {
        let mut lifts = lifts.clone();
        blame::lift(&mut lifts, lifted);
        let (tree, _) = patient.slim(&lifts)?;
        let found = patient.ask(&tree, Some(BTreeSet::from([tried.item()])))?;
        Ok(found.tried.iter().all(|tried| tried.ok))
    })
}

/// Returns what worked before and doesn't any more; of what fails after, it is asked whether it worked.
fn broken<P: Patient>(
    patient: &P,
    (before, after): (&Tree, &Tree),
    ledger: &SlimLedger,
) -> Result<Vec<Tried>, P::Error> {
    let fails = |tried: &Tried| !tried.ok && tried.how != "untried" && !blame::is_meant(tried, ledger);
    let failing: Vec<Tried> = patient.ask(after, None)?.tried.into_iter().filter(fails).collect();
    if failing.is_empty() {
        return Ok(failing);
    }
    let before = patient.ask(before, Some(failing.iter().map(Tried::item).collect()))?;
    let worked: BTreeSet<Item> = before.tried.iter().filter(|tried| tried.ok).map(Tried::item).collect();
    Ok(failing.into_iter().filter(|tried| worked.contains(&tried.item())).collect())
}

/// Returns the rules that took a library, or a symbol in one, that some file finds only before slimming.
fn loose_ends<P: Patient>(
    patient: &P,
    (before, after): (&Tree, &Tree),
    ledger: &SlimLedger,
) -> Result<Vec<Suspect>, P::Error> {
    let after = patient.open_ends(after)?;
    if after.is_empty() {
        return Ok(Vec::new());
    }
    let before = patient.open_ends(before)?;
    let mut guilty = Vec::new();
    for end in after.difference(&before) {
        let suspect = blame::of_end(end, ledger).ok_or_else(|| Incurable {
            broken: vec![format!("`{}`, which does not find `{}`", end.needed_by, end.name)],
        })?;
        if !guilty.contains(&suspect) {
            patient.say(&suspect, end.needed_by.as_str(), &format!("it does not find `{}`", end.name));
            guilty.push(suspect);
        }
    }
    Ok(guilty)
}

#[cfg(test)]
mod tests;
