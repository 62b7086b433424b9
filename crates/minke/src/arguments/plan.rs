//! `minke plan`.

use std::path::PathBuf;

use clap::Args;

use super::{PythonArguments, SystemArguments};

/// Show what would be built, and why
///
/// Nothing is written, and nothing but indexes is fetched. What a build would find out only from the wheels
/// themselves is named as unknown, unless `minke.lock` has it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke plan
  minke plan ~/src/shop --group prod
  minke plan --json")]
pub(crate) struct PlanArguments {
    /// The project's directory, or a script with inline metadata
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// Build what a requirement asks for, instead of a project
    #[arg(long, value_name = "REQUIREMENT", conflicts_with = "project")]
    pub(crate) from: Option<String>,
    /// What of Python goes in.
    #[command(flatten)]
    pub(crate) python: PythonArguments,
    /// What else goes in.
    #[command(flatten)]
    pub(crate) system: SystemArguments,
}
