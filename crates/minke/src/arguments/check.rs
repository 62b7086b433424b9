//! `minke check`.

use clap::Args;

/// Try whether what is installed in an image works
///
/// In a sealed room without a network, on a read-only root and as an ordinary user, the image's own Python imports each
/// distribution's modules, loads every entry point and every shared library; and every library that a file needs is
/// looked for as the loader would. `--scripts` has it start programs, too. Any image will do, whoever built it. Exits with 4 if
/// something fails that the image promises: a distribution's own module, a program of one, the standard library, a library that one
/// of them needs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke check data-science
  minke check --every-module oci:layout:latest
  minke check --scripts=httpx,uvicorn shop
  docker save shop | minke check docker-archive:/dev/stdin --json")]
pub(crate) struct CheckArguments {
    /// Which image: `NAME[:TAG]`, `NAME@DIGEST`, or where it lies: `oci:DIR[:TAG]`, `oci-archive:FILE`,
    /// `docker-archive:FILE`
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Import every module, not only packages and what lies at the top
    #[arg(long)]
    pub(crate) every_module: bool,
    /// Start programs of distributions with `--help`: these, or all
    #[arg(long, value_name = "NAME,…", num_args = 0.., require_equals = true, value_delimiter = ',')]
    pub(crate) scripts: Option<Vec<String>>,
}
