//! `minke slim`.

use clap::Args;

/// Show what images do without, and by which rules
///
/// A profile is chosen with `minke build --profile` or `profile` in `[tool.minke.slim]`; single rules are switched off
/// and on there by name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke slim
  minke slim --rules
  minke slim --json")]
pub(crate) struct SlimArguments {
    /// Show all that each rule says: why nothing misses what it takes, what that is, and whom it spares
    #[arg(long)]
    pub(crate) rules: bool,
}
