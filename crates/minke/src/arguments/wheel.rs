//! `minke wheel`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Look into single wheels, and make them work on more systems
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  minke wheel show lxml-6.0.0-cp313-cp313-linux_x86_64.whl
  minke wheel repair lxml-6.0.0-cp313-cp313-linux_x86_64.whl -o dist"
)]
pub(crate) struct WheelArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: WheelCommand,
}

/// What can be done with one wheel.
#[derive(Debug, Subcommand)]
pub(crate) enum WheelCommand {
    /// Say on which systems a wheel works, and what it needs of them
    ///
    /// The platform tag is that of the oldest systems which have everything that the wheel's native code asks for:
    /// libraries, versions of symbols, instructions. Standard output also says what stands against the next older
    /// ones; `--json` says it of all.
    #[command(after_help = "\
Examples:
  minke wheel show wheelhouse/*.whl
  minke wheel show --json numpy-2.3.1-cp313-cp313-manylinux_2_28_x86_64.whl")]
    Show {
        /// Wheels
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// A directory in which libraries are looked for before this machine's own (repeatable)
        #[arg(long = "lib", value_name = "DIR")]
        libraries: Vec<PathBuf>,
    },
    /// Copy the libraries that a wheel needs into it, and give it the tag that it may then have
    ///
    /// They go into `NAME.libs/` under names of their own; what was copied, and of which package it is, stands in the new
    /// wheel's `dist-info/sboms/minke.cdx.json`. The same wheel and libraries give the same bytes. The wheel itself is
    /// left as it is.
    #[command(after_help = "\
Examples:
  minke wheel repair lxml-6.0.0-cp313-cp313-linux_x86_64.whl
  minke wheel repair --plat manylinux_2_36 --lib ./lib -o dist build/*.whl")]
    Repair {
        /// Wheels
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// For which systems, such as `manylinux_2_28` [default: the oldest that need the fewest libraries copied]
        #[arg(long = "plat", value_name = "TAG")]
        platform: Option<String>,
        /// A directory in which libraries are looked for before this machine's own (repeatable)
        #[arg(long = "lib", value_name = "DIR")]
        libraries: Vec<PathBuf>,
        /// Where the new wheels go
        #[arg(short, long, value_name = "DIR", default_value = "wheelhouse")]
        output: PathBuf,
        /// What goes out of the wheel's ELF files and what is copied: everything that the loader doesn't read, debug
        /// information, or nothing
        #[arg(long, value_name = "WHAT", default_value = "all")]
        strip: Stripping,
    },
}

/// What goes out of ELF files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Stripping {
    /// Everything that the loader doesn't read.
    All,
    /// Debug information.
    Debug,
    /// Nothing.
    None,
}
