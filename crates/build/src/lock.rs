//! What the project needs, pinned: read from its lock, or resolved once and kept as `pylock.toml`.

mod compile;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minke_cas::{Digest, Store, StoreError};
use minke_exec::{
    Builds, CompileRequest, ExportRequest, Extras, Groups, Inputs, Libc as UvLibc, Machine, UvError,
};
use minke_python::{
    Arch, Distribution, FromSources, Groups as LockGroups, Libc, Lock, LockError, NameError, SelectError,
    Selection, Target, WheelFileName,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::event::Reporter;
use crate::project::{
    self, Asked, Freshness, Previous, Project, ProjectError, Requirements, Source, Unresolved,
};
use crate::pylock::{Pylock, PylockError};
use crate::request::{LockPolicy, Upgrade};
use crate::secrets;
use crate::settings::Settings;
use crate::uv::{FindUvError, Resolver};
use crate::workshop::BackendError;
use compile::Compiled;

pub use compile::MetadataOf;

/// What the project needs cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum LockStepError {
    /// The lock is missing and may not be written.
    #[error("there is no `{lock}`, and `--locked` forbids to make one")]
    Missing {
        /// The lock.
        lock: String,
    },
    /// The lock is outgrown and may not be written.
    #[error("`{lock}` was not made from this `{file}`, and `--locked` forbids to change it")]
    Outgrown {
        /// The lock.
        lock: String,
        /// The file with the requirements.
        file: String,
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
        file: String,
        /// For whom.
        target: Target,
        /// What uv said.
        source: UvError,
    },
    /// What something needs is known only when it is built, and nothing may be.
    #[error("what `{what}` needs is known only when it is built")]
    Unbuilt {
        /// Its name and version.
        what: String,
    },
    /// What something needs is known only when it is built, and it cannot be.
    #[error("cannot find out what `{what}` needs")]
    Metadata {
        /// Its name and version.
        what: String,
        /// Why it cannot be built.
        source: Box<BackendError>,
    },
    /// A temporary directory cannot be used.
    #[error("cannot write a file for uv")]
    Scratch(#[source] std::io::Error),
    /// The lock cannot be read.
    #[error("`{file}` is not right")]
    Lock {
        /// Which file.
        file: String,
        /// Where and why.
        source: LockError,
    },
    /// The lock has nothing for the target.
    #[error("nothing in the lock can be installed for this image")]
    Select(#[source] SelectError),
    /// An extra or group has a name that is none.
    #[error("an extra or dependency group that was asked for has no name that could be one")]
    Name(#[source] NameError),
    /// What is to be built from sources has a name that is none.
    #[error("`no-binary` has a name that is none")]
    NoBinary(#[source] NameError),
    /// What uv resolved is not what was asked for.
    #[error("cannot use what uv resolved")]
    Pylock(#[source] PylockError),
    /// What the lock was made from cannot be read.
    #[error("cannot read what the lock is made from")]
    Read(#[source] ProjectError),
    /// The cache failed.
    #[error("cannot keep what uv answered")]
    Remember(#[source] StoreError),
    /// The lock cannot be kept.
    #[error("cannot keep the lock")]
    Keep(#[source] ProjectError),
}

impl LockStepError {
    /// Tells whether no versions go together, or there are none.
    pub(crate) fn is_unsatisfiable(&self) -> bool {
        matches!(self, Self::Resolve { source, .. } if source.is_unsatisfiable())
    }
}

/// What resolving takes besides the project.
pub struct Means<'build, F> {
    /// Finds what resolves, which is needed only where there is no lock.
    pub resolver: F,
    /// The project's own wheel, where only that tells what is needed.
    pub own_wheel: Option<&'build Path>,
    /// Builds what says its needs only then; nobody, where nothing may be built.
    pub metadata_of: Option<&'build MetadataOf<'build>>,
    /// Where what uv read from its own lock is remembered.
    pub store: &'build Store,
    /// Hears the version of the uv that has resolved.
    pub note_uv: &'build dyn Fn(String),
}

/// What may become of locks.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'build> {
    /// Whether they may be written.
    pub locks: LockPolicy,
    /// What moves on.
    pub upgrade: &'build Upgrade,
}

/// Returns the distributions that the project needs on a target, in the lock's order.
///
/// A resolution is written to the project's `pylock.toml`.
///
/// # Errors
/// [`LockStepError`].
pub fn distributions<F: FnOnce() -> Result<Resolver, FindUvError>>(
    project: &Project,
    (settings, policy): (&Settings, Policy<'_>),
    target: &Target,
    means: Means<'_, F>,
    reporter: &Reporter,
) -> Result<Vec<Distribution>, LockStepError> {
    if *policy.upgrade != Upgrade::Nothing
        && let Some((file, command)) = users_own(&project.requirements)
    {
        reporter.note(format!("`{file}` stays as it is: `{command}` moves it on"));
    }
    let (file, text, selection) = match &project.requirements {
        Requirements::Nothing => return Ok(Vec::new()),
        Requirements::Pylock(text) => ("pylock.toml", text.clone(), chosen(settings)?),
        Requirements::UvLock => ("uv.lock", exported(project, settings, means)?, from_sources(settings)?),
        Requirements::Resolve(
            unresolved @ Unresolved { previous: Some(Previous { text, state: Freshness::Current }), .. },
        ) if *policy.upgrade == Upgrade::Nothing => {
            (lock_of(unresolved), text.clone(), from_sources(settings)?)
        }
        Requirements::Resolve(unresolved) => {
            if let Some((file, export)) = project.unread_lock() {
                reporter.warn(format!(
                    "`{file}` is not read, so other versions may be chosen; `{export}` writes what is read"
                ));
            }
            let (text, untold) = resolve(project, unresolved, (settings, policy), target, means)?;
            let lock = unresolved.lock.as_ref().filter(|_| policy.locks == LockPolicy::Update);
            if !untold.is_empty() {
                reporter.warn(format!(
                    "nothing is locked, and what {} needs is not built: that is known only once it is built itself",
                    untold.join(" and ")
                ));
            } else if let Some(lock) = lock {
                keep(&project.root.join(lock), &text, reporter)?;
            }
            (lock_of(unresolved), text, from_sources(settings)?)
        }
    };
    let wrong = |source| LockStepError::Lock { file: file.to_owned(), source };
    // Judged as it stands in the file first: it may be the user's own.
    let mut lock = Lock::parse(&text).map_err(wrong)?;
    // A large lock takes milliseconds each time; with an escape in it, an address is not what it looks like.
    if secrets::are_in(&text) || text.contains('\\') {
        let mut pylock = Pylock::read(&text).map_err(LockStepError::Pylock)?;
        pylock.hide_secrets();
        lock = Lock::parse(&pylock.text()).map_err(wrong)?;
    }
    lock.select(target, &selection).map_err(LockStepError::Select)
}

/// Returns what the lock of requirements is called, also where it isn't kept.
fn lock_of(unresolved: &Unresolved) -> &str {
    unresolved.lock.as_deref().unwrap_or("pylock.toml")
}

/// Returns the lock that minke reads and never writes, and the command that moves it on.
fn users_own(requirements: &Requirements) -> Option<(&'static str, &'static str)> {
    match requirements {
        Requirements::UvLock => Some(("uv.lock", "uv lock --upgrade")),
        Requirements::Pylock(_) => Some(("pylock.toml", "the program that wrote it")),
        Requirements::Resolve(_) | Requirements::Nothing => None,
    }
}

/// Returns the version of each distribution that minke's own lock of before has; none if there isn't any such lock.
pub fn locked_versions(project: &Project) -> Option<BTreeMap<String, String>> {
    let Requirements::Resolve(unresolved) = &project.requirements else { return None };
    let text = unresolved.previous.as_ref().map_or("", |previous| previous.text.as_str());
    let table: toml::Table = text.parse().unwrap_or_default();
    let packages = table.get("packages").and_then(toml::Value::as_array).into_iter().flatten();
    let version = |package: &toml::Value| {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        Some((text("name")?, text("version").unwrap_or_default()))
    };
    Some(packages.filter_map(version).collect())
}

/// What uv's answer depends on: its lock, and what that is checked against.
#[derive(Serialize)]
struct ExportKey<'key> {
    texts: Vec<(String, Option<Digest>)>,
    extras: &'key [String],
    groups: &'key [String],
    member: Option<&'key str>,
}

#[derive(Serialize, Deserialize)]
struct Exported {
    pylock: String,
}

/// Returns what uv reads from `uv.lock`, which it is asked once for.
fn exported<F: FnOnce() -> Result<Resolver, FindUvError>>(
    project: &Project,
    settings: &Settings,
    means: Means<'_, F>,
) -> Result<String, LockStepError> {
    let key = ExportKey {
        texts: project::uv_lock_texts(&project.lock_root).map_err(LockStepError::Read)?,
        extras: &settings.extras,
        groups: &settings.groups,
        member: project.member.as_deref(),
    };
    if let Some(Exported { pylock }) = means.store.recall("uv-export-1", &key) {
        return Ok(pylock);
    }
    let Resolver { uv, python, root: _ } = (means.resolver)().map_err(LockStepError::Uv)?;
    let request = ExportRequest {
        project: project.lock_root.clone(),
        python,
        extras: extras(settings),
        groups: groups(settings),
        package: project.member.clone(),
    };
    let answer = uv.export(&request).map_err(LockStepError::Export)?;
    // An address may have a password, which belongs into no cache.
    if !secrets::are_in(&answer.pylock) {
        let exported = Exported { pylock: answer.pylock.clone() };
        means.store.remember("uv-export-1", &key, &exported).map_err(LockStepError::Remember)?;
    }
    Ok(answer.pylock)
}

/// Resolves what no lock pins; returns the text of the lock to keep, and what needs more than it says.
fn resolve<F: FnOnce() -> Result<Resolver, FindUvError>>(
    project: &Project,
    unresolved: &Unresolved,
    (settings, policy): (&Settings, Policy<'_>),
    target: &Target,
    means: Means<'_, F>,
) -> Result<(String, Vec<String>), LockStepError> {
    let file = || unresolved.name.clone();
    let lock = || lock_of(unresolved).to_owned();
    match (policy.locks, &unresolved.previous) {
        (LockPolicy::Locked, None) => return Err(LockStepError::Missing { lock: lock() }),
        (LockPolicy::Locked, Some(_)) => {
            return Err(LockStepError::Outgrown { lock: lock(), file: file() });
        }
        (LockPolicy::Update | LockPolicy::Show, _) => {}
    }
    let Resolver { uv, python, root: _ } = (means.resolver)().map_err(LockStepError::Uv)?;
    let mut request = request(project, settings, target, &python);
    let previous = unresolved.previous.as_ref().filter(|_| *policy.upgrade != Upgrade::All);
    request.preferences = previous.map(|previous| previous.text.clone());
    if let Upgrade::Names(names) = policy.upgrade {
        // Some of them may be packages of the distribution: uv takes a name that nothing has.
        request.upgrade = names.iter().cloned().collect();
    }
    request.inputs = match (&unresolved.source, means.own_wheel) {
        (Source::Lines(lines), _) => Inputs::Lines(lines.clone()),
        (Source::Backend, Some(wheel)) => {
            // The wheel brings its extras along.
            request.extras = Extras::None;
            Inputs::Lines(vec![as_requirement(wheel, &settings.extras)])
        }
        // uv refuses a pyproject.toml without this table, and reads its groups all the same.
        (Source::File, _) if unresolved.name == "pyproject.toml" && !has_project_table(project) => {
            Inputs::Files(Vec::new())
        }
        // uv would build it here, with nothing between its code and this machine.
        (Source::Backend, None) => return Err(LockStepError::Unbuilt { what: file() }),
        (Source::File, _) => Inputs::Files(vec![file().into()]),
    };
    let Compiled { mut pylock, untold } =
        compile::compile((&uv, means.store), request, (target, &file()), means.metadata_of)?;
    uv.version().into_iter().for_each(means.note_uv);
    if let Some(wheel) = means.own_wheel.and_then(wheel_name) {
        pylock.remove(&wheel.name().to_string());
    }
    let unread = LockStepError::Read;
    pylock.keep_hashed(&unresolved.hashes(&project.root).map_err(unread)?).map_err(LockStepError::Pylock)?;
    pylock.hide_secrets();
    let root = project.root.canonicalize().unwrap_or_else(|_| project.root.clone());
    pylock.make_relative(&root);
    let text = pylock.text();
    let fingerprint =
        unresolved.fingerprint(&project.root, &asked(settings, Some(target)), &text).map_err(unread)?;
    Ok((project::marked(&text, &fingerprint, target), untold))
}

/// Returns what of the settings a lock depends on.
pub(crate) fn asked<'settings>(
    settings: &'settings Settings,
    target: Option<&'settings Target>,
) -> Asked<'settings> {
    Asked {
        target,
        extras: &settings.extras,
        groups: &settings.groups,
        package: settings.package.as_ref().map(|said| said.value.as_str()),
    }
}

fn has_project_table(project: &Project) -> bool {
    project.pyproject.as_ref().is_some_and(|pyproject| pyproject.project.is_some())
}

fn wheel_name(path: &Path) -> Option<WheelFileName> {
    path.file_name()?.to_str()?.parse().ok()
}

/// Writes a wheel on this machine as a requirement, with extras.
fn as_requirement(wheel: &Path, extras: &[String]) -> String {
    let name = wheel_name(wheel).expect("a wheel that was built has a wheel's name");
    let url = Url::from_file_path(wheel).expect("a scratch directory's path is absolute");
    format!("{}[{}] @ {url}", name.name(), extras.join(","))
}

/// Resolves requirement lines, such as a build system's, without writing anything.
///
/// # Errors
/// [`LockStepError::Resolve`]; those of reading what uv answers.
pub fn resolve_lines(
    Resolver { uv, python, root: _ }: &Resolver,
    (lines, newest): (Vec<String>, Option<&str>),
    (project, target, store): (&Project, &Target, &Store),
    metadata_of: &MetadataOf<'_>,
) -> Result<Vec<Distribution>, LockStepError> {
    let mut request = request(project, &Settings::default(), target, python);
    request.inputs = Inputs::Lines(lines);
    request.newest = newest.map(str::to_owned);
    let file = "build-system.requires";
    let Compiled { mut pylock, untold: _ } =
        compile::compile((uv, store), request, (target, file), Some(metadata_of))?;
    pylock.hide_secrets();
    let lock = Lock::parse(&pylock.text())
        .map_err(|source| LockStepError::Lock { file: file.to_owned(), source })?;
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
        builds: Builds::Blocked,
        newest: None,
        find_links: Vec::new(),
    }
}

/// A project on a read-only file system is built all the same; the next build resolves again.
pub(crate) fn keep(lock: &Path, text: &str, reporter: &Reporter) -> Result<(), LockStepError> {
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    match project::write_lock(lock, text) {
        Ok(()) => {
            reporter.note(format!("what was chosen is kept in the project as `{name}`"));
            Ok(())
        }
        Err(ProjectError::Io { source, .. })
            if matches!(
                source.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            reporter.note(format!("the project's directory is not writable: `{name}` was not kept"));
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
        ..from_sources(settings)?
    })
}

/// The name that stands for all.
const ALL: &str = ":all:";

/// Selects what a lock says, and the sources of what is not to come as a wheel.
fn from_sources(settings: &Settings) -> Result<Selection, LockStepError> {
    let names = &settings.no_binary;
    let from_sources = if names.iter().any(|name| name == ALL) {
        FromSources::All
    } else if names.is_empty() {
        FromSources::Nothing
    } else {
        let names: Result<BTreeSet<_>, _> = names.iter().map(|name| name.parse()).collect();
        FromSources::Only(names.map_err(LockStepError::NoBinary)?)
    };
    Ok(Selection { from_sources, ..Selection::default() })
}
