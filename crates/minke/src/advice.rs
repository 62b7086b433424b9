//! What to do about each error, and with which status minke exits.
//!
//! One `match` over every variant, without `_`: a new error doesn't compile until someone has written its
//! advice. This is the only place that knows exit codes, and the only one that tells the user what to type.

mod causes;
mod foreman;

use std::collections::BTreeSet;
use std::process::ExitCode;

use minke_build::audit::Obstacle;
use minke_cas::StoreError;

use crate::failure::Failure;
use crate::foreman::{AuditError, WheelhouseError};
use crate::settings::SurroundingsError;
use crate::task::UsageError;

/// How a command ended, as the process's exit status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// The project or its inputs are at fault.
    Project,
    /// The command line is wrong.
    Usage,
    /// A build from source failed.
    SourceBuild,
    /// An image doesn't work.
    Proof,
    /// The network, an index, a mirror, a registry or a daemon.
    Network,
    /// A bug in minke.
    Bug,
    /// What was to run in a container cannot be executed; the status that shells and Docker give.
    NotExecutable,
    /// What was to run in a container isn't there; the status that shells and Docker give.
    NotFound,
}

impl Exit {
    /// Returns the status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Project => 1,
            Self::Usage => 2,
            Self::SourceBuild => 3,
            Self::Proof => 4,
            Self::Network => 5,
            Self::Bug => 70,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What to do about an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Advice {
    /// With which status minke exits.
    pub(crate) exit: Exit,
    /// What the user can do.
    pub(crate) help: String,
}

/// What to do about what cannot happen.
const BUG: &str = "this is a bug in minke: please report it with what `--verbose` says";

/// Advises on a failure.
pub(crate) fn advise(failure: &Failure) -> Advice {
    match failure {
        Failure::Usage(error) => usage(error),
        Failure::Surroundings(error) => surroundings(error),
        Failure::Cache(StoreError::Io { .. }) => {
            Exit::Project.help("`--cache-dir` or MINKE_CACHE choose another place")
        }
        Failure::Cache(error) => store(error),
        Failure::Upkeep(error) => store(error),
        Failure::Output(_) => {
            Exit::Project.help("see that whoever reads the output stays, and that its disk isn't full")
        }
        Failure::Timings(_) => {
            Exit::Project.help("the image is built; give `--timings` a place that can be written")
        }
        Failure::Signals(_) => Exit::Bug.help(BUG),
        Failure::Project(error) => foreman::project(error),
        Failure::Images(error) => foreman::images(error),
        Failure::Wheelhouse(error) => wheelhouse(error),
        Failure::Check(error) => foreman::check(error),
        Failure::Broken { .. } => Exit::Proof.help("what is broken stands above, with what it says itself"),
        Failure::Audit(error) => audit(error),
        Failure::Build(error) => causes::cache_below(error).map_or_else(|| foreman::build(error), store),
    }
}

fn wheelhouse(error: &WheelhouseError) -> Advice {
    match error {
        WheelhouseError::Io { .. } => {
            Exit::Project.help("see that the directory is there and may be written")
        }
        WheelhouseError::Name { .. } => Exit::Project.help("call it as the wheel's builder did"),
        WheelhouseError::Store(error) => store(error),
    }
}

fn audit(error: &AuditError) -> Advice {
    match error {
        AuditError::Io { .. } => Exit::Project.help("see that it is there, and may be read or written"),
        AuditError::Name { .. } => Exit::Project.help("call it as the wheel's builder did"),
        AuditError::Wheel { .. } => {
            Exit::Project.help("get or build the wheel again: it isn't as wheels are made")
        }
        AuditError::Processor { .. } => {
            Exit::Project.help("only x86_64, aarch64 and their like have such tags")
        }
        AuditError::Tag { .. } => {
            Exit::Usage.help("give a tag such as `manylinux_2_28` or `musllinux_1_2`, or leave `--plat` away")
        }
        AuditError::Pure { .. } => Exit::Project.help("it works everywhere as it is"),
        AuditError::Impossible { because, .. } => Exit::Project.help(impossible(because)),
        AuditError::NotFound { soname, .. } => Exit::Project
            .help(format!("install what has {soname}, or name the directory that has it with `--lib`")),
        AuditError::Edit { source, .. } => Exit::Project.help(match source {
            minke_build::audit::EditError::Program => {
                "build the program without shared libraries, or leave it out of the wheel"
            }
            _ => "link it in the usual way, with `-Wl,-z,separate-code` and without packers",
        }),
        AuditError::Overwrites { .. } => Exit::Usage.help("choose another directory with `--output`"),
    }
}

fn impossible(because: &BTreeSet<Obstacle>) -> &'static str {
    match because.iter().any(|obstacle| matches!(obstacle, Obstacle::Version { .. })) {
        true => {
            "build it on an older system, or ask for a newer tag with `--plat`; `minke wheel show` says which fits"
        }
        false => "`minke wheel show` says all that stands against it",
    }
}

fn usage(error: &UsageError) -> Advice {
    match error {
        UsageError::Conflict { first, .. } => Exit::Usage.help(format!("leave {first} away")),
        UsageError::Surroundings(error) => surroundings(error),
        UsageError::Image { .. } => Exit::Usage.help("`minke images` lists all images"),
        UsageError::NoTerminal => {
            Exit::Usage.help("leave `--tty` away: a terminal is attached where there is one")
        }
    }
}

fn surroundings(error: &SurroundingsError) -> Advice {
    match error {
        SurroundingsError::Directory(_) => Exit::Usage.help("change to a directory that exists"),
        SurroundingsError::Variable { name, .. } => Exit::Usage.help(format!("set or unset {name}")),
        SurroundingsError::NoCache => Exit::Usage.help("say it with `--cache-dir` or MINKE_CACHE"),
    }
}

fn store(error: &StoreError) -> Advice {
    match error {
        StoreError::Io { .. } | StoreError::Input(_) => Exit::Project.help(
            "see that the disk isn't full and the cache can be written; `--cache-dir` or MINKE_CACHE choose \
             another place for it",
        ),
        StoreError::Mismatch { .. } => Exit::Network.help("try again; the file was damaged on its way"),
        StoreError::Missing { .. } | StoreError::Damaged { .. } => {
            Exit::Project.help("`minke cache verify` drops what is damaged; it is fetched and built again")
        }
        StoreError::Newer { .. } => Exit::Project
            .help("use the minke that made it; `--cache-dir` or MINKE_CACHE choose another place"),
        StoreError::ReadOnly { .. } => Exit::Project.help(
            "choose a place that can be written with `--cache-dir` or MINKE_CACHE, and name this one in \
                 MINKE_CACHE_ALSO",
        ),
    }
}

impl Exit {
    fn help(self, help: impl Into<String>) -> Advice {
        Advice { exit: self, help: help.into() }
    }
}
