//! What slimming took away, whose it was, and which rule said so.
//!
//! The ledger is kept beside the image, never in it: who looks for a file that is missing finds it here, with
//! the setting that brings it back.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, ImagePath};
use serde::{Deserialize, Serialize};

use crate::parts::Owner;

/// The media type of a ledger, which lies beside its image as an artifact.
pub const LEDGER: &str = "application/vnd.minke.slim-ledger.v1+json";

/// Rules that are left out for some owners, by [`owner_key`]: what the proof lifts, and the project's imports.
pub type Lifts = BTreeMap<String, BTreeSet<String>>;

/// A rule that is left out for an owner, because something broke with it or the project imports what it takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PutBack {
    /// Whose files it would have taken, as [`owner_key`] names it.
    pub owner: String,
    /// The rule.
    pub rule: String,
    /// How many bytes it would have saved.
    pub bytes: u64,
    /// What broke: a module, an entry point, a file.
    pub broken: String,
    /// How it broke.
    pub why: String,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is gone.
    Gone,
    /// It is there, with fewer bytes.
    Smaller,
    /// A link to another file of the image is in its place.
    Linked,
}

/// One file that a rule took away, or made smaller.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Removal {
    /// Where it lies or lay in the image.
    pub path: ImagePath,
    /// The rule's name.
    pub rule: String,
    /// How many bytes that saves.
    pub bytes: u64,
    /// What became of the file.
    pub effect: Effect,
}

/// What was taken from one owner's files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Whose files they were, as [`owner_key`] names it: a distribution's normalised name, a package's name.
    pub owner: String,
    /// The owner as layers and messages show it, with its version.
    pub title: String,
    /// What was taken, by path.
    pub removals: Vec<Removal>,
}

/// All that slimming took away from an image.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SlimLedger {
    /// The profile, as settings write it.
    pub profile: String,
    /// The digest of the rules.
    pub rules: Option<Digest>,
    /// What was taken, in the order of the image's parts.
    pub taken: Vec<Taken>,
    /// Rules that were left out for some owners.
    pub lifts: Lifts,
}

impl SlimLedger {
    /// Writes down what was taken from an owner's files, if anything was.
    pub fn add(&mut self, owner: &Owner, removals: Vec<Removal>) {
        if removals.is_empty() {
            return;
        }
        let title = owner.name();
        match self.taken.iter_mut().find(|taken| taken.title == title) {
            Some(taken) => taken.removals.extend(removals),
            None => self.taken.push(Taken { owner: owner_key(owner).to_owned(), title, removals }),
        }
    }

    /// Returns what was taken at a path, and from whom.
    pub fn at(&self, path: &ImagePath) -> Option<(&Taken, &Removal)> {
        self.taken.iter().find_map(|taken| {
            let removal = taken.removals.iter().find(|removal| removal.path == *path)?;
            Some((taken, removal))
        })
    }

    /// Returns the bytes that each rule saved.
    pub fn by_rule(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for removal in self.taken.iter().flat_map(|taken| &taken.removals) {
            *sums.entry(removal.rule.as_str()).or_insert(0) += removal.bytes;
        }
        sums
    }
}

/// Returns what an owner is called in settings and [`Lifts`]: its name without a version.
pub fn owner_key(owner: &Owner) -> &str {
    match owner {
        Owner::Base { name } | Owner::System { name } => name.split(' ').next().unwrap_or_default(),
        Owner::Distribution { name, .. }
        | Owner::Image { name }
        | Owner::Project { name }
        | Owner::Minke { name } => name,
    }
}

/// Returns the version of what an owner brings; nothing where there is none.
pub fn owner_version(owner: &Owner) -> &str {
    match owner {
        Owner::Base { name } | Owner::System { name } => name.split(' ').nth(1).unwrap_or_default(),
        Owner::Distribution { version, .. } => version,
        Owner::Image { .. } | Owner::Project { .. } | Owner::Minke { .. } => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(path: &str, rule: &str, bytes: u64) -> Removal {
        Removal { path: path.parse().unwrap(), rule: rule.to_owned(), bytes, effect: Effect::Gone }
    }

    #[test]
    fn a_missing_file_leads_to_its_owner_and_rule() {
        let taken =
            |owner: &str, removals| Taken { owner: owner.to_owned(), title: format!("{owner} 1"), removals };
        let ledger = SlimLedger {
            taken: vec![
                taken("a", vec![removal("/a/x", "tests", 1), removal("/a/y", "headers", 2)]),
                taken("b", vec![removal("/b/x", "tests", 4)]),
            ],
            ..SlimLedger::default()
        };
        let (whose, what) = ledger.at(&"/b/x".parse().unwrap()).unwrap();
        assert_eq!((whose.owner.as_str(), what.rule.as_str()), ("b", "tests"));
        assert!(ledger.at(&"/b/y".parse().unwrap()).is_none());
        assert_eq!(ledger.by_rule(), BTreeMap::from([("headers", 2), ("tests", 5)]));
    }

    #[test]
    fn owners_are_called_by_their_name_alone() {
        let libc = Owner::Base { name: "libc6 2.41-12".to_owned() };
        let numpy =
            Owner::Distribution { name: "numpy".to_owned(), version: "2.3".to_owned(), wheel_size: 1 };
        assert_eq!((owner_key(&libc), owner_key(&numpy)), ("libc6", "numpy"));
        assert_eq!((owner_version(&libc), owner_version(&numpy)), ("2.41-12", "2.3"));
    }
}
