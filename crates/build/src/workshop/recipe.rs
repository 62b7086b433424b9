//! What it takes to build something from its sources, as it was found out.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::Digest;
use serde::{Deserialize, Serialize};

/// What is built, and for which Python.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct RecipeKey {
    /// A source distribution's file name, or a directory.
    pub name: String,
    /// What the source distribution hashes to; none for a directory, whose recipe outlives its edits.
    pub digest: Option<Digest>,
    /// The Python and platform that it is built on, in words.
    pub target: String,
}

/// What it takes besides what it asks for itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// What the room has beside a Python.
    pub tools: Tools,
    /// Distribution packages, each with what was missing without it.
    pub system: BTreeMap<String, BTreeSet<String>>,
    /// Requirement lines, each with what was missing without it.
    pub requires: BTreeMap<String, BTreeSet<String>>,
}

/// What a room has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tools {
    /// What the image's base has: enough where nothing is compiled.
    #[default]
    Python,
    /// Compilers, the interpreter's headers, and the programs that a `configure` script runs.
    Compilers,
}

impl Tools {
    /// Returns the word that locks have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Compilers => "compilers",
        }
    }
}
