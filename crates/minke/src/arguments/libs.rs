//! `minke libs`.

use std::path::PathBuf;

use clap::Args;
use minke_build::platform::Platform;

/// Find the distribution packages that libraries and programs need
///
/// Reads every ELF file of directories and wheels, follows what each needs as the loader would, and looks up who has
/// what none of them brings. Nothing is taken for granted: even the C library is named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke libs .venv
  minke libs wheels/lxml-6.0.0-cp313-cp313-linux_x86_64.whl --base bookworm
  apt-get install $(minke libs --packages .venv)
  minke libs --json /usr/local/bin/uwsgi")]
pub(crate) struct LibsArguments {
    /// Directories, wheels, libraries or programs; of a directory the wheels in it, too
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Print the packages' names alone, one a line
    #[arg(long)]
    pub(crate) packages: bool,
    /// Count those that seem to be loaded by name among the packages
    #[arg(long)]
    pub(crate) likely_libraries: bool,
    /// The Debian suite whose packages are asked [default: the project's here, else trixie]
    #[arg(long, value_name = "SUITE")]
    pub(crate) base: Option<String>,
    /// Whose files count: linux/amd64 or linux/arm64 [default: this machine]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}
