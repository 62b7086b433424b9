//! `minke slim`.

use clap::Args;

use super::told;
use crate::foreman::Reference;

/// Show what images do without, and by which rules
///
/// Of an image in the cache: what was taken away from whom, and which rule said so.
///
/// A profile is chosen with `minke build --profile` or `profile` in `[tool.minke.slim]`; single rules are switched off
/// and on there by name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke slim
  minke slim --rules
  minke slim hello
  minke slim hello --files
  minke slim --json")]
pub(crate) struct SlimArguments {
    /// Which image: `NAME[:TAG]` or `NAME@DIGEST`
    #[arg(value_name = "IMAGE", value_parser = told::<Reference>, conflicts_with = "rules")]
    pub(crate) image: Option<Reference>,
    /// List each file of the image that is gone or smaller
    #[arg(long, requires = "image")]
    pub(crate) files: bool,
    /// Show all that each rule says: why nothing misses what it takes, what that is, and whom it spares
    #[arg(long)]
    pub(crate) rules: bool,
}
