//! Command lines as they are typed; what is meant by one is [`crate::task`]'s to say.
//!
//! Whatever can be refused by its form alone is refused here, before any work. Nothing here reads the
//! environment, the home or the current directory.

mod build;
mod cache;
mod check;
mod libs;
mod lock;
mod plan;
mod run;
mod slim;
mod text;
mod wheel;
mod wheels;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use build::{
    BuildArguments, ContainerArguments, Cutting, ImageArguments, Proving, PythonArguments, Squeezing,
    SystemArguments,
};
pub(crate) use cache::{CacheArguments, CacheCommand};
pub(crate) use check::CheckArguments;
pub(crate) use libs::LibsArguments;
pub(crate) use lock::LockArguments;
pub(crate) use plan::PlanArguments;
pub(crate) use run::{Habits, NetworkArgument, RunArguments};
pub(crate) use slim::SlimArguments;
pub(crate) use text::{Bind, FormError, Passed, Variable, told};
pub(crate) use wheel::{Stripping, WheelArguments, WheelCommand};
pub(crate) use wheels::{WheelsArguments, WheelsCommand};

use text::{destination, new_name};

use crate::foreman::Reference;

/// Builds the smallest correct container image for a Python project.
///
/// No daemon, no Dockerfile, no root. Progress and reports go to standard error, results to standard output.
#[derive(Debug, Parser)]
#[command(
    name = "minke",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  minke build
  minke run hello

Exit status: 0 done, 1 the project or its inputs are at fault, 2 usage, \
3 a wheel cannot be built, 4 what an image promises doesn't work, 5 network, mirror, index or daemon, 70 a bug in minke, \
126 and 127 a program that cannot run, 130 interrupted. \
`minke run` exits as the container's program does."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Say more: one line for each step that is done
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Say less: only warnings, errors and the result
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Write events to standard error and the result to standard output, as JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to colour what is written; `auto` heeds NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Where downloads, intermediate results and images are kept [default: $MINKE_CACHE, else
    /// $XDG_CACHE_HOME/minke, else ~/.cache/minke]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Another cache to look into before anything is fetched or made; never written (repeatable)
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_also: Vec<PathBuf>,
}

/// When to colour what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that isn't dumb, where NO_COLOR isn't set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Box<BuildArguments>),
    Plan(Box<PlanArguments>),
    Lock(Box<LockArguments>),
    Libs(Box<LibsArguments>),
    Slim(SlimArguments),
    Run(Box<RunArguments>),
    Check(CheckArguments),
    /// List the images that minke keeps
    #[command(after_help = "\
Examples:
  minke images
  minke images --json")]
    Images,
    /// Forget images by name
    ///
    /// What no other image needs stays in the cache until `minke cache gc` finds it unused for long.
    #[command(after_help = "\
Examples:
  minke rmi hello
  minke rmi hello:1.0 data-science")]
    Rmi {
        /// Which images: `NAME[:TAG]` or `NAME@DIGEST`
        #[arg(value_name = "IMAGE", required = true, value_parser = told::<Reference>)]
        names: Vec<Reference>,
    },
    /// Show an image's manifest and config as JSON
    #[command(after_help = "\
Example:
  minke inspect hello")]
    Inspect {
        /// Which image: `NAME[:TAG]` or `NAME@DIGEST`
        #[arg(value_name = "IMAGE", value_parser = told::<Reference>)]
        image: Reference,
    },
    Wheel(WheelArguments),
    Wheels(WheelsArguments),
    Cache(CacheArguments),
}

#[cfg(test)]
mod tests;
