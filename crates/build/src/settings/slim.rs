//! `[tool.minke.slim]`: what the image does without.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use minke_python::PackageName;
use serde::{Deserialize, Serialize};

/// How much an image does without; each has what the ones before it have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Nothing: everything stays as it was packaged.
    None,
    /// What no running program can miss.
    Safe,
    /// What no program that isn't a developer's tool misses.
    Lean,
    /// What most programs don't miss.
    Smallest,
}

impl Profile {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self::Lean;

    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Safe => "safe",
            Self::Lean => "lean",
            Self::Smallest => "smallest",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::None, Self::Safe, Self::Lean, Self::Smallest];
        let found = all.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| format!("`{text}` is none of `none`, `safe`, `lean` and `smallest`"))
    }
}

/// What the image does without.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct SlimTable {
    /// Which rules apply where nothing else is said.
    pub profile: Option<Profile>,
    /// Globs of paths in the image that stay, whatever rules say; one that doesn't begin with `/` may match anywhere.
    pub keep: Vec<String>,
    /// Globs of paths that go, too.
    pub drop: Vec<String>,
    /// Rules that are switched off or, though the profile hasn't got them, on.
    pub rules: BTreeMap<String, bool>,
    /// The same for single distributions and distribution packages, by name.
    pub package: BTreeMap<PackageName, SlimWishes>,
}

/// What slimming spares and takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct SlimWishes {
    /// As [`SlimTable::keep`], for one package.
    pub keep: Vec<String>,
    /// As [`SlimTable::drop`], for one package.
    pub drop: Vec<String>,
    /// As [`SlimTable::rules`], for one package.
    pub rules: BTreeMap<String, bool>,
}
