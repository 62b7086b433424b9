//! Lifts rules until what worked before slimming works after it.
//!
//! What slims, and who tries, comes from the caller: here is only the order in which they are asked.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{ImagePath, Tree};
use serde::{Deserialize, Serialize};

use super::blame::{self, Suspect};
use super::import::Item;
use super::{Found, Kind, OpenEnd, Tried};
use crate::bytecode::bytecode_stem;
use crate::check;
use crate::fetch::at_once;
use crate::slim::{Lifts, PutBack, SlimLedger};

/// How often slimming starts again. Each time at least one more rule is lifted.
const ROUNDS: usize = 12;

/// How much of what is broken is told.
const TOLD: usize = 3;

/// What an image is slimmed and asked by.
///
/// Closure and import are asked for at once.
pub trait Patient: Sync {
    /// Why one of these could not be done.
    type Error: From<Incurable> + Send;

    /// Slims, but for what is lifted; returns what is left, and what was taken.
    ///
    /// # Errors
    /// As it says itself, like the others.
    fn slim(&self, lifts: &Lifts) -> Result<(Tree, SlimLedger), Self::Error>;

    /// Tries something in a tree.
    ///
    /// # Errors
    /// See [`Patient::slim`].
    fn ask(&self, tree: &Tree, questions: Questions) -> Result<Found, Self::Error>;

    /// Finds what files of a tree need and don't find.
    ///
    /// # Errors
    /// See [`Patient::slim`].
    fn open_ends(&self, tree: &Tree) -> Result<BTreeSet<OpenEnd>, Self::Error>;
}

/// What is to be tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Questions {
    /// Everything, and these modules that distributions speak of no longer.
    All(BTreeMap<String, BTreeSet<String>>),
    /// These things.
    Only(BTreeSet<Item>),
}

/// What was done so that all works that worked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Healed {
    /// The rules that are lifted.
    pub lifts: Lifts,
    /// What that puts back, in the order in which it was found.
    pub put_back: Vec<PutBack>,
    /// What distributions promise, and what works neither before slimming nor after.
    pub ailing: Vec<Tried>,
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
/// `lifts` are lifted from the beginning.
///
/// # Errors
/// [`Incurable`], and what the patient's own say.
pub fn heal<P: Patient>(patient: &P, before: &Tree, lifts: Lifts) -> Result<Healed, P::Error> {
    let mut healed = Healed { lifts, ..Healed::default() };
    // What doesn't work though nothing is taken any more.
    let mut innocent: BTreeSet<Item> = BTreeSet::new();
    for _ in 0..ROUNDS {
        let (after, ledger) = patient.slim(&healed.lifts)?;
        if ledger.taken.is_empty() {
            return Ok(healed);
        }
        let (ends, broken) = at_once(
            || loose_ends(patient, (before, &after), &ledger),
            || broken(patient, (before, &after), &ledger),
        );
        let (mut guilty, (mut broken, ailing)) = (ends?, broken?);
        healed.ailing = ailing;
        broken.retain(|tried| !innocent.contains(&tried.item()));
        let mut unnamed = Vec::new();
        for tried in &broken {
            match blame::named(tried, &ledger) {
                Some(suspect) => guilty.push((suspect, tried.name.clone(), check::why(tried))),
                None => unnamed.push(tried),
            }
        }
        // Most of what is broken is so for one reason: one search a round will do.
        if guilty.is_empty() && !unnamed.is_empty() {
            innocent.extend(others_fault(patient, &healed.lifts, (&unnamed, &ledger))?);
            unnamed.retain(|tried| !innocent.contains(&tried.item()));
            if let Some(tried) = unnamed.first() {
                let found = searched(patient, &healed.lifts, (tried, &ledger))?;
                let because = |suspect| (suspect, tried.name.clone(), check::why(tried));
                guilty.extend(found.into_iter().map(because));
            }
        }
        broken.retain(|tried| !innocent.contains(&tried.item()));
        if !lift(&mut healed, &ledger, guilty) {
            let line = |tried: &Tried| format!("`{}` of {}: {}", tried.name, tried.of, check::why(tried));
            return match broken.is_empty() {
                true => Ok(healed),
                false => Err(Incurable { broken: broken.iter().take(TOLD).map(line).collect() }.into()),
            };
        }
    }
    Err(Incurable { broken: vec![format!("something {ROUNDS} times")] }.into())
}

/// Lifts what is guilty, for what each broke and how; tells whether any of it is new.
fn lift(healed: &mut Healed, ledger: &SlimLedger, guilty: Vec<(Suspect, String, String)>) -> bool {
    let mut is_new = false;
    for (suspect, broken, why) in guilty {
        if blame::lift(&mut healed.lifts, std::slice::from_ref(&suspect)) {
            is_new = true;
            healed.put_back.push(put_back(suspect, ledger, (broken, why)));
        }
    }
    is_new
}

/// Returns what it puts back that a rule is lifted, for what broke and how.
pub fn put_back(
    Suspect { owner, rule }: Suspect,
    ledger: &SlimLedger,
    (broken, why): (String, String),
) -> PutBack {
    let taken = ledger.taken.iter().filter(|taken| taken.owner == owner);
    let removals = taken.flat_map(|taken| &taken.removals).filter(|removal| removal.rule == rule);
    let bytes = removals.map(|removal| removal.bytes).sum();
    PutBack { owner, rule, bytes, broken, why }
}

/// Returns what fails though all is lifted: it is not slimming that broke it.
fn others_fault<P: Patient>(
    patient: &P,
    lifts: &Lifts,
    (broken, ledger): (&[&Tried], &SlimLedger),
) -> Result<Vec<Item>, P::Error> {
    let mut lifts = lifts.clone();
    for tried in broken {
        blame::lift(&mut lifts, &blame::suspects(tried, ledger));
    }
    let (tree, _) = patient.slim(&lifts)?;
    let found = patient.ask(&tree, Questions::Only(broken.iter().map(|tried| tried.item()).collect()))?;
    Ok(found.tried.iter().filter(|tried| !tried.ok).map(Tried::item).collect())
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
        let found = patient.ask(&tree, Questions::Only(BTreeSet::from([tried.item()])))?;
        Ok(found.tried.iter().all(|tried| tried.ok))
    })
}

/// Returns what worked before and doesn't any more, and what never did; of what fails after, it is asked whether it
/// worked.
fn broken<P: Patient>(
    patient: &P,
    (before, after): (&Tree, &Tree),
    ledger: &SlimLedger,
) -> Result<(Vec<Tried>, Vec<Tried>), P::Error> {
    // Nothing that was taken makes anything slower: it is the machine that is busy.
    let is_told = |tried: &Tried| !matches!(tried.how.as_str(), "untried" | "time");
    let is_other = |tried: &Tried| blame::is_meant(tried, ledger) || blame::is_elsewhere(tried, ledger);
    let fails = |tried: &Tried| !tried.ok && is_told(tried) && !is_other(tried);
    let found = patient.ask(after, Questions::All(blame::gone(ledger)))?;
    let failing: Vec<Tried> = found.tried.into_iter().filter(fails).collect();
    if failing.is_empty() {
        return Ok((failing, Vec::new()));
    }
    let before = with_bytecode(before, after);
    let before = patient.ask(&before, Questions::Only(failing.iter().map(Tried::item).collect()))?;
    let worked: BTreeSet<Item> = before.tried.iter().filter(|tried| tried.ok).map(Tried::item).collect();
    let (broken, mut ailing): (Vec<Tried>, Vec<Tried>) =
        failing.into_iter().partition(|tried| worked.contains(&tried.item()));
    ailing.retain(|tried| tried.is_promised() || tried.kind == Kind::Named);
    Ok((broken, ailing))
}

/// Adds the bytecode that another tree has of the same sources, for else all would be compiled while it is imported.
fn with_bytecode(tree: &Tree, other: &Tree) -> Tree {
    let mut whole = tree.clone();
    for (path, file) in other.files() {
        let source = bytecode_stem(&path).and_then(|stem| format!("{stem}.py").parse::<ImagePath>().ok());
        let source =
            source.and_then(|source| tree.get(&source).filter(|entry| other.get(&source) == Some(entry)));
        if source.is_some() && tree.get(&path).is_none() {
            // A file in the place of its directory only means that it is compiled once more.
            let _ = whole.replace(&path, file.clone().into());
        }
    }
    whole
}

/// Returns the rules that took a library, or a symbol in one, that some file finds only before slimming, with the file
/// and what it doesn't find.
fn loose_ends<P: Patient>(
    patient: &P,
    (before, after): (&Tree, &Tree),
    ledger: &SlimLedger,
) -> Result<Vec<(Suspect, String, String)>, P::Error> {
    let after = patient.open_ends(after)?;
    if after.is_empty() {
        return Ok(Vec::new());
    }
    let before = patient.open_ends(before)?;
    let blamed = after.difference(&before).map(|end| {
        let suspect = blame::of_end(end, ledger).ok_or_else(|| Incurable {
            broken: vec![format!("`{}`, which does not find `{}`", end.needed_by, end.name)],
        })?;
        Ok((suspect, end.needed_by.to_string(), format!("it does not find `{}`", end.name)))
    });
    blamed.collect()
}

#[cfg(test)]
mod tests;
