//! `minke wheels`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use minke_build::platform::Platform;
use minke_build::wheelhouse::PackageName;

use super::told;

/// Show, make and share the wheels that were built from source distributions
///
/// Without a command: a table of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke wheels
  minke wheels build -r requirements.txt --no-binary :all:
  minke wheels export wheelhouse
  pip install --no-index --find-links wheelhouse lxml")]
pub(crate) struct WheelsArguments {
    /// What to do with them.
    #[command(subcommand)]
    pub(crate) command: Option<WheelsCommand>,
}

/// What can be done with wheels.
#[derive(Debug, Subcommand)]
pub(crate) enum WheelsCommand {
    /// List them
    #[command(after_help = "\
Example:
  minke wheels list --json")]
    List,
    /// Build every wheel that a project needs and that has only sources, without an image
    ///
    /// What was built before isn't built again, and where one fails the others are built all the same: the exit status
    /// is 3 then, and the same command goes on where it was. Standard output gets a table of what came of each.
    #[command(after_help = "\
Examples:
  minke wheels build
  minke wheels build -r requirements.txt --wheelhouse ../team/wheels
  minke wheels build -r requirements.txt --no-binary :all:")]
    Build {
        /// The project's directory, or a script with inline metadata
        #[arg(default_value = ".")]
        project: PathBuf,
        /// A requirement file to build for, instead of a project
        #[arg(short, long, value_name = "FILE", conflicts_with = "project")]
        requirement: Option<PathBuf>,
        /// A distribution to build though it has a wheel, or `:all:` (repeatable)
        #[arg(long, value_name = "NAME")]
        no_binary: Vec<String>,
        /// A directory of wheels to take in place of building them (repeatable)
        #[arg(long, value_name = "DIR")]
        wheelhouse: Vec<PathBuf>,
        /// What they are for, such as `linux/arm64`; what has native code is built for this machine only
        #[arg(long, value_name = "OS/ARCH", value_parser = told::<Platform>)]
        platform: Option<Platform>,
    },
    /// Write them into a directory, with their hashes
    #[command(after_help = "\
Example:
  minke wheels export wheelhouse && (cd wheelhouse && sha256sum -c SHA256SUMS)")]
    Export {
        /// Where to; it is made where it is missing
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Take in the wheels of a directory, to be used where their sources would be built
    #[command(after_help = "\
Example:
  minke wheels import wheelhouse")]
    Import {
        /// Where from
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Forget wheels
    ///
    /// Their bytes go when `minke cache gc` finds them unused for long.
    #[command(after_help = "\
Examples:
  minke wheels gc --keep-days 90
  minke wheels gc lxml psycopg2")]
    Gc {
        /// Keep what was used in so many days [default: 0]
        #[arg(long, value_name = "N")]
        keep_days: Option<u32>,
        /// Of which distributions [default: of all]
        #[arg(value_name = "NAME", value_parser = told::<PackageName>)]
        names: Vec<PackageName>,
    },
}
