//! `minke build`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use minke_build::platform::Platform;
use minke_build::settings::{CommandLine, Port, Profile, StandaloneWish};
use minke_cas::ImagePath;

use super::{Variable, destination, new_name, told};
use crate::foreman::Reference;

/// Build a project's image
///
/// Settings stand in `[tool.minke]` of pyproject.toml or in minke.toml; environment variables (MINKE_PYTHON,
/// MINKE_BASE, …) come over them, and the options below over both. Options that can be repeated add to what
/// the files say.
///
/// The image is kept in minke's own store. Standard output gets one line: its name and digest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke build
  minke build ~/src/shop -t shop:1.4 --load
  minke build report.py
  minke build --why
  minke build --profile smallest
  minke build --debug
  minke build --from 'ipython>=9' -t ipython
  minke build --group prod --env TZ=UTC -o oci-archive:shop.tar
  minke build --platform linux/arm64 -t shop:arm64 -o oci:layout:arm64
  minke build --standalone cpython-3.12-install_only.tar.gz -t shop:py312
  minke build --locked --python 3.13 --compression zstd -o oci:layout:latest")]
pub(crate) struct BuildArguments {
    /// The project's directory, or a script with inline metadata
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// Build what a requirement asks for, instead of a project
    #[arg(long, value_name = "REQUIREMENT", conflicts_with = "project")]
    pub(crate) from: Option<String>,
    /// Say more: one line for each step that is done
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Say of each layer what has changed since the last build of this name
    #[arg(long)]
    pub(crate) why: bool,
    /// Write what took how long to a file, as a trace that Perfetto and browsers show
    #[arg(long, value_name = "FILE")]
    pub(crate) timings: Option<PathBuf>,
    /// What the image is, and where it goes.
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    /// What of Python goes in.
    #[command(flatten)]
    pub(crate) python: PythonArguments,
    /// What else goes in.
    #[command(flatten)]
    pub(crate) system: SystemArguments,
    /// What a container of it does.
    #[command(flatten)]
    pub(crate) container: ContainerArguments,
}

/// What the image is, and where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image")]
pub(crate) struct ImageArguments {
    /// What the image is called [default: the project's name]
    #[arg(short, long, value_name = "NAME[:TAG]", value_parser = new_name)]
    pub(crate) tag: Option<Reference>,
    /// Write the image here too: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME:TAG]`,
    /// `docker-daemon:NAME[:TAG]` (repeatable)
    #[arg(short, long, value_name = "TRANSPORT:PLACE", value_parser = destination)]
    pub(crate) output: Vec<String>,
    /// Build a twin as well, NAME:TAG-debug: the same layers, and one with busybox, a shell and terminals
    #[arg(long)]
    pub(crate) debug: bool,
    /// Hand the image to the Docker daemon under its own name
    #[arg(long)]
    pub(crate) load: bool,
    /// How layers are compressed; zstd is refused by Docker before 23 [default: gzip; gzip-best with the profile smallest]
    #[arg(long, value_name = "HOW")]
    pub(crate) compression: Option<Squeezing>,
    /// How much the image does without: none, safe, lean or smallest; `minke slim --rules` says what [default: lean]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,
    /// How the image is cut into layers [default: shared]
    #[arg(long, value_name = "HOW")]
    pub(crate) layers: Option<Cutting>,
    /// A command that must end well in the image before it is named (repeatable)
    #[arg(long, value_name = "COMMAND")]
    pub(crate) check: Vec<CommandLine>,
    /// Start programs of distributions with `--help`, these or all: what ends well unslimmed must do so in the image
    #[arg(long, value_name = "NAME,…", num_args = 0.., require_equals = true, value_delimiter = ',')]
    pub(crate) check_scripts: Option<Vec<String>>,
    /// Whether what was to be proved must be: `auto` names an image where no room can be made, too [default: auto]
    #[arg(long, value_name = "WHETHER")]
    pub(crate) proof: Option<Proving>,
    /// A label in the image's config (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Variable>,
    /// An annotation on the image's manifest (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<Variable>,
}

/// What of Python goes in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Python")]
pub(crate) struct PythonArguments {
    /// Fail where a lock file would have to be written
    #[arg(long)]
    pub(crate) locked: bool,
    /// The Python to build for, such as 3.13 [default: the base's]
    #[arg(long, value_name = "VERSION")]
    pub(crate) python: Option<String>,
    /// A Python in place of the base's: an archive of an install tree, as python-build-standalone makes them
    #[arg(long, value_name = "PATH|URL#sha256=…", conflicts_with = "python", value_parser = told::<StandaloneWish>)]
    pub(crate) standalone: Option<StandaloneWish>,
    /// A dependency group to install besides the project's dependencies (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Vec<String>,
    /// An extra of the project to install (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) extra: Vec<String>,
    /// The workspace member to build
    #[arg(long, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// A directory of wheels to prefer over the index (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) find_links: Vec<PathBuf>,
    /// A directory of wheels to take in place of building them, such as `minke wheels export` writes (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) wheelhouse: Vec<PathBuf>,
    /// A distribution to build from its sources though it has a wheel, or `:all:` (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) no_binary: Vec<String>,
    /// Fail where two wheels own one file with different contents, and where a plugin lacks a library
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What else goes in.
#[derive(Debug, Args)]
#[command(next_help_heading = "System")]
pub(crate) struct SystemArguments {
    /// What the image is made upon: a Debian suite, an image (`oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`), or
    /// `scratch` with --standalone [default: trixie]
    #[arg(long, value_name = "BASE")]
    pub(crate) base: Option<String>,
    /// What the image is for: linux/amd64 or linux/arm64; nothing is emulated [default: this machine]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Add a shell, /bin/sh, and the programs of coreutils
    #[arg(long)]
    pub(crate) shell: bool,
    /// A distribution package to add (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) system_package: Vec<String>,
    /// A program to have at hand: the name of the distribution package that has it (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Vec<String>,
    /// A library that the project does without, such as libfoo.so.1 or libfoo (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) optional_library: Vec<String>,
    /// Add the libraries that wheels seem to load by name while they run
    #[arg(long)]
    pub(crate) likely_libraries: bool,
    /// A pattern to leave out, as in .dockerignore (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ignore: Vec<String>,
}

/// What a container of it does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Container")]
pub(crate) struct ContainerArguments {
    /// What the container always runs, split as a shell does
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<CommandLine>,
    /// The arguments that it runs with where none are given, split as a shell does
    #[arg(long, value_name = "ARGUMENTS")]
    pub(crate) cmd: Option<CommandLine>,
    /// An environment variable of the container (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<Variable>,
    /// Where the container starts [default: /app]
    #[arg(long, value_name = "PATH")]
    pub(crate) workdir: Option<ImagePath>,
    /// Whom it runs as: a name, UID or UID:GID [default: 65532]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A port that it listens on: 8000 or 53/udp (repeatable)
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Vec<Port>,
    /// A directory that outlives it (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) volume: Vec<ImagePath>,
    /// The signal that ends it
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
}

/// How layers are compressed, as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Squeezing {
    /// What everything reads
    Gzip,
    /// The same, 3 % smaller, at an eighth of the speed
    GzipBest,
    /// Smaller and faster
    Zstd,
    /// Not at all
    None,
}

/// Whether the image must be proved, as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Proving {
    /// It must be
    Require,
    /// It must be where it can be
    Auto,
    /// Nothing is proved
    Off,
}

/// How the image is cut into layers, as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Cutting {
    /// Base, system, each heavy distribution, the rest, the app
    Shared,
    /// Everything in one layer
    Single,
}
