//! `[tool.minke.build]`: how what has only sources is built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minke_python::PackageName;
use serde::Deserialize;

/// How distributions are built from their sources.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BuildTable {
    /// What keeps a stranger's code from everything else.
    pub isolation: Option<BuildIsolation>,
    /// What single distributions take.
    #[serde(flatten)]
    pub distributions: BTreeMap<PackageName, BuildWishes>,
}

/// What keeps a stranger's code from everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildIsolation {
    /// A sealed room; where there is none, nothing of strangers is built.
    Room,
    /// Nothing, where there is no room: it runs with the user's rights, and sees what the user sees.
    None,
}

/// What building one distribution takes, besides what is found out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct BuildWishes {
    /// What C and C++ compilers are told after minke's own flags.
    pub cflags: Option<String>,
    /// Environment variables of the build.
    pub env: BTreeMap<String, String>,
    /// What the build backend is told: its `config_settings`.
    pub config_settings: BTreeMap<String, String>,
    /// Unified diffs that change its files, by `patch -p1`; relative to the project.
    pub patch: Vec<PathBuf>,
    /// Python requirements that it doesn't say itself.
    pub requires: Vec<String>,
    /// Distribution packages; with any, there are compilers too.
    pub system: Vec<String>,
}
