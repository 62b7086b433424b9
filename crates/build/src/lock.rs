//! What the project needs, pinned: read from its lock, or resolved once and kept as `pylock.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use minke_exec::{
    Builds, CompileRequest, ExportRequest, Extras, Groups, Inputs, Libc as UvLibc, Machine, Uv, UvError,
};
use minke_python::{
    Arch, Distribution, Groups as LockGroups, Libc, Lock, LockError, NameError, SelectError, Selection,
    Target,
};

use crate::event::Reporter;
use crate::project::{self, Freshness, Previous, Project, ProjectError, Requirements};
use crate::request::LockPolicy;
use crate::settings::Settings;
use crate::uv::FindUvError;

/// What the project needs cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum LockStepError {
    /// The lock is missing and may not be written.
    #[error("there is no `pylock.toml`, and `--locked` forbids to make one")]
    Missing,
    /// The lock is outgrown and may not be written.
    #[error("`pylock.toml` was not made from this `{file}`, and `--locked` forbids to change it")]
    Outgrown {
        /// The file with the requirements.
        file: &'static str,
    },
    /// uv cannot be had.
    #[error("cannot resolve without uv")]
    Uv(#[source] FindUvError),
    /// uv could not read `uv.lock`.
    #[error("cannot read `uv.lock`")]
    Export(#[source] UvError),
    /// uv found no solution.
    #[error("cannot resolve `{file}` for {target}")]
    Resolve {
        /// The file with the requirements.
        file: &'static str,
        /// For whom.
        target: Target,
        /// What uv said.
        source: UvError,
    },
    /// The lock cannot be read.
    #[error("`{file}` is not right")]
    Lock {
        /// Which file.
        file: &'static str,
        /// Where and why.
        source: LockError,
    },
    /// The lock has nothing for the target.
    #[error("nothing in the lock can be installed for this image")]
    Select(#[source] SelectError),
    /// An extra or group has a name that is none.
    #[error("an extra or dependency group that was asked for has no name that could be one")]
    Name(#[source] NameError),
    /// The lock cannot be kept.
    #[error("cannot keep the lock")]
    Keep(#[source] ProjectError),
}

/// Returns the distributions that the project needs on a target, in the lock's order.
///
/// `python` is any interpreter, for uv. A resolution is written to the project's `pylock.toml`.
///
/// # Errors
/// [`LockStepError`].
pub fn distributions(
    project: &Project,
    (settings, policy): (&Settings, LockPolicy),
    target: &Target,
    (uv, python): (impl FnOnce() -> Result<Uv, FindUvError>, &Path),
    reporter: &Reporter,
) -> Result<Vec<Distribution>, LockStepError> {
    let (file, text, selection) = match &project.requirements {
        Requirements::Nothing => return Ok(Vec::new()),
        Requirements::Pylock(text) => ("pylock.toml", text.clone(), chosen(settings)?),
        Requirements::UvLock => {
            let uv = uv().map_err(LockStepError::Uv)?;
            let request = ExportRequest {
                project: project.root.clone(),
                python: python.to_owned(),
                extras: extras(settings),
                groups: groups(settings),
                package: settings.package.as_ref().map(|said| said.value.clone()),
            };
            let answer = uv.export(&request).map_err(LockStepError::Export)?;
            ("uv.lock", answer.pylock, Selection::default())
        }
        Requirements::Resolve { previous: Some(Previous { text, state: Freshness::Current }), .. } => {
            ("pylock.toml", text.clone(), Selection::default())
        }
        Requirements::Resolve { file, previous, fingerprint } => {
            match (policy, previous) {
                (LockPolicy::Locked, None) => return Err(LockStepError::Missing),
                (LockPolicy::Locked, Some(_)) => return Err(LockStepError::Outgrown { file }),
                (LockPolicy::Update, _) => {}
            }
            let uv = uv().map_err(LockStepError::Uv)?;
            let mut request = request(project, settings, target, python);
            request.inputs = Inputs::Files(vec![file.into()]);
            request.preferences = previous.as_ref().map(|previous| previous.text.clone());
            let failed = |source| LockStepError::Resolve { file, target: *target, source };
            let answer = uv.compile(&request).map_err(failed)?;
            let text = project::marked(&answer.pylock, fingerprint);
            keep(project, &text, reporter)?;
            ("pylock.toml", text, Selection::default())
        }
    };
    let lock = Lock::parse(&text).map_err(|source| LockStepError::Lock { file, source })?;
    lock.select(target, &selection).map_err(LockStepError::Select)
}

/// Resolves requirement lines, such as a build system's, without writing anything.
///
/// # Errors
/// [`LockStepError::Resolve`]; those of reading what uv answers.
pub fn resolve_lines(
    uv: &Uv,
    lines: Vec<String>,
    (project, target, python): (&Project, &Target, &Path),
) -> Result<Vec<Distribution>, LockStepError> {
    let mut request = request(project, &Settings::default(), target, python);
    request.inputs = Inputs::Lines(lines);
    let file = "build-system.requires";
    let failed = |source| LockStepError::Resolve { file, target: *target, source };
    let answer = uv.compile(&request).map_err(failed)?;
    let lock = Lock::parse(&answer.pylock).map_err(|source| LockStepError::Lock { file, source })?;
    lock.select(target, &Selection::default()).map_err(LockStepError::Select)
}

fn request(project: &Project, settings: &Settings, target: &Target, python: &Path) -> CompileRequest {
    CompileRequest {
        directory: project.root.clone(),
        inputs: Inputs::Lines(Vec::new()),
        python: python.to_owned(),
        python_version: target.python.short(),
        machine: match target.platform.arch {
            Arch::X86_64 => Machine::X86_64,
            Arch::Aarch64 => Machine::Aarch64,
        },
        libc: match target.platform.libc {
            Libc::Glibc { minor, .. } => UvLibc::Glibc { minor: minor.into() },
            Libc::Musl { .. } => UvLibc::Musl,
        },
        extras: extras(settings),
        groups: groups(settings),
        preferences: None,
        upgrade: Vec::new(),
        builds: Builds::Refused,
    }
}

/// A project on a read-only file system is built all the same; the next build resolves again.
fn keep(project: &Project, text: &str, reporter: &Reporter) -> Result<(), LockStepError> {
    match project::write_pylock(&project.root, text) {
        Ok(()) => Ok(()),
        Err(ProjectError::Io { source, .. })
            if matches!(
                source.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            reporter.warn("the project's directory is not writable: `pylock.toml` was not kept");
            Ok(())
        }
        Err(error) => Err(LockStepError::Keep(error)),
    }
}

fn extras(settings: &Settings) -> Extras {
    if settings.extras.is_empty() { Extras::None } else { Extras::Only(settings.extras.clone()) }
}

fn groups(settings: &Settings) -> Groups {
    if settings.groups.is_empty() { Groups::None } else { Groups::Only(settings.groups.clone()) }
}

fn chosen(settings: &Settings) -> Result<Selection, LockStepError> {
    let extras: Result<BTreeSet<_>, _> = settings.extras.iter().map(|name| name.parse()).collect();
    let groups: Result<BTreeSet<_>, _> = settings.groups.iter().map(|name| name.parse()).collect();
    let groups = groups.map_err(LockStepError::Name)?;
    Ok(Selection {
        extras: extras.map_err(LockStepError::Name)?,
        groups: if groups.is_empty() { LockGroups::Default } else { LockGroups::Only(groups) },
    })
}
