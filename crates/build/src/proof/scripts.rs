//! Which programs of distributions are started, with `--help` and nothing to read.
//!
//! That this is harmless cannot be known of a stranger's program, even in a sealed room: so somebody has to say it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Found;
use crate::nearest::{nearest, suggestion};

/// The programs that are started with `--help`: those of the installed distributions, by their names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Raw", into = "Raw")]
pub enum Scripts {
    /// None of them.
    #[default]
    None,
    /// All.
    All,
    /// These, of which each must be there.
    Named(BTreeSet<String>),
}

/// As settings, and what tries, write it.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`true`, `false` or a list of names was expected")]
enum Raw {
    Whether(bool),
    Names(BTreeSet<String>),
}

impl From<Raw> for Scripts {
    fn from(raw: Raw) -> Self {
        match raw {
            Raw::Whether(true) => Self::All,
            Raw::Whether(false) => Self::None,
            Raw::Names(names) if names.is_empty() => Self::None,
            Raw::Names(names) => Self::Named(names),
        }
    }
}

impl From<Scripts> for Raw {
    fn from(scripts: Scripts) -> Self {
        match scripts {
            Scripts::None => Self::Whether(false),
            Scripts::All => Self::Whether(true),
            Scripts::Named(names) => Self::Names(names),
        }
    }
}

/// Somebody wishes to have a program started that no installed distribution has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no installed distribution has a console script `{name}`{}", suggestion(nearest.as_slice()))]
pub struct NoScript {
    /// What it is called.
    pub name: String,
    /// What is called nearly the same.
    pub nearest: Option<String>,
}

impl Scripts {
    /// Tells whether none is started.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Adds what a later place wishes: names to names; else its word is the last.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Named(names), Self::Named(more)) => Self::Named(names.into_iter().chain(more).collect()),
            (_, later) => later,
        }
    }

    /// Sees that each that is named is a program of one of some images' distributions.
    ///
    /// # Errors
    /// [`NoScript`] for the first that is none.
    pub fn are_in<'found>(&self, found: impl IntoIterator<Item = &'found Found>) -> Result<(), NoScript> {
        let Self::Named(names) = self else { return Ok(()) };
        let there: BTreeSet<&String> = found.into_iter().flat_map(|found| &found.scripts).collect();
        names.iter().find(|name| !there.contains(name)).map_or(Ok(()), |name| {
            let nearest = nearest(name, there.iter().map(|other| other.as_str())).next();
            Err(NoScript { name: name.clone(), nearest })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Scripts {
        Scripts::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_name_that_no_distribution_has_names_the_nearest_one() {
        let scripts = ["httpx", "uvicorn"].map(str::to_owned).into();
        let found = Found { scripts, ..Found::default() };
        assert_eq!(named(&["httpx"]).are_in([&found, &Found::default()]), Ok(()));
        assert_eq!(Scripts::All.are_in([&Found::default()]), Ok(()));
        let error = |name: &str| named(&["httpx", name]).are_in([&found]).unwrap_err().to_string();
        insta::assert_snapshot!(error("uvicron"), @"no installed distribution has a console script `uvicron`; did you mean `uvicorn`?");
        insta::assert_snapshot!(error("zzzzzzz"), @"no installed distribution has a console script `zzzzzzz`");
    }

    #[test]
    fn names_add_to_names_and_else_the_later_word_is_the_last() {
        assert_eq!(named(&["a"]).and(named(&["b"])), named(&["a", "b"]));
        assert_eq!(Scripts::All.and(named(&["b"])), named(&["b"]));
        assert_eq!(named(&["a"]).and(Scripts::All), Scripts::All);
        assert_eq!(named(&["a"]).and(Scripts::None), Scripts::None);
    }
}
