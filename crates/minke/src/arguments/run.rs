//! `minke run`.

use clap::{Args, ValueEnum};
use minke_build::settings::CommandLine;
use minke_cas::ImagePath;

use super::{Bind, Passed};

/// Run an image here, without a daemon, as root or not
///
/// The image is mounted read-only below a layer that is thrown away at the end. Standard input, output and
/// error are passed on, a terminal where there is one; signals too. The exit status is the program's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke run hello
  minke run hello --help
  minke run -e DEBUG=1 -v ./data:/data:ro hello
  minke run --entrypoint python hello -m http.server
  minke run --read-only --network none hello")]
pub(crate) struct RunArguments {
    /// Which image, `NAME[:TAG]` or `NAME@DIGEST`, and arguments for its entry point in place of its default ones
    // One list, for clap to leave everything alone that follows the image, whatever it looks like.
    #[arg(value_names = ["IMAGE", "ARG"], required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,

    /// What to run in place of the image's entry point, split as a shell does; empty for none
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<CommandLine>,
    /// An environment variable; without a value, the one it has here (repeatable)
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<Passed>,
    /// Show a file or directory of this machine in the container (repeatable)
    #[arg(short, long, value_name = "HOST:PATH[:ro]")]
    pub(crate) volume: Vec<Bind>,
    /// Let nothing be written outside of volumes and /dev/shm
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Which network the container has: this machine's, or none but its own loopback
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    pub(crate) network: NetworkArgument,
    /// Where it starts
    #[arg(short, long, value_name = "PATH")]
    pub(crate) workdir: Option<ImagePath>,
    /// Whom it runs as: a name, UID or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Fail where there is no terminal to attach
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// What fingers type that know another tool.
    #[command(flatten)]
    pub(crate) habits: Habits,
}

/// What fingers type that know another tool: two things that always happen, and one that cannot be had.
#[derive(Debug, Args)]
pub(crate) struct Habits {
    /// Pass standard input on, as is always done
    #[arg(short, long, hide = true)]
    pub(crate) interactive: bool,
    /// Keep nothing, as is always done
    #[arg(long, hide = true)]
    pub(crate) rm: bool,
    /// Refused: minke maps no ports
    #[arg(short, long, hide = true, value_parser = no_ports)]
    pub(crate) publish: Vec<String>,
}

/// The network of a container, as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum NetworkArgument {
    /// This machine's
    Host,
    /// Its own loopback and nothing else
    None,
}

fn no_ports(_: &str) -> Result<String, String> {
    Err("minke maps no ports; with `--network host`, the default, what the container listens on is open \
         on this machine under the same number"
        .to_owned())
}
