//! `minke lock`.

use std::path::PathBuf;

use clap::Args;

use super::{PythonArguments, SystemArguments};

/// Pin what a project's image is made of
///
/// Writes `minke.lock` (the distribution's packages, the interpreter, what build backends need) and, where the
/// project has no lock of its own, `pylock.toml`. Without `--upgrade` only what is missing or outgrown is written.
/// Standard output gets a table of what has changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke lock
  minke lock --upgrade
  minke lock ~/src/shop --upgrade openssl numpy --dry-run
  minke lock --locked")]
pub(crate) struct LockArguments {
    /// The project's directory, or a script with inline metadata
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// Take what is offered today: of these packages and distributions, or of all
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "locked")]
    pub(crate) upgrade: Option<Vec<String>>,
    /// Write nothing, and show what would change
    #[arg(long, conflicts_with = "locked")]
    pub(crate) dry_run: bool,
    /// What of Python goes in.
    #[command(flatten)]
    pub(crate) python: PythonArguments,
    /// What else goes in.
    #[command(flatten)]
    pub(crate) system: SystemArguments,
}
