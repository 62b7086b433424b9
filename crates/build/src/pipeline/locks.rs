//! The project's `minke.lock` as a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::BuildError;
use crate::event::Reporter;
use crate::lock;
use crate::project::{self, Project, Shape};
use crate::request::LockPolicy;
use crate::system_lock::{Change, SystemLock};
use crate::wheels::{Belongs, Wheel};

/// Returns where a project keeps its lock; none for one that has no place of its own.
pub(super) fn place(project: &Project) -> Option<PathBuf> {
    match &project.shape {
        Shape::Package | Shape::Files => Some(project.root.join("minke.lock")),
        Shape::Script(name) => {
            let stem = name.strip_suffix(".py").unwrap_or(name);
            Some(project.root.join(format!("minke.{stem}.lock")))
        }
        Shape::Requirement(_) => None,
    }
}

/// Reads a lock; an empty one where there is none.
pub(super) fn read(place: Option<&Path>) -> Result<SystemLock, BuildError> {
    let Some(place) = place else { return Ok(SystemLock::default()) };
    let text = project::optional(place).map_err(BuildError::Project)?;
    let file = || place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parse = |text: String| SystemLock::parse(&text);
    let lock =
        text.map(parse).transpose().map_err(|source| BuildError::SystemLock { file: file(), source })?;
    Ok(lock.unwrap_or_default())
}

/// Writes a lock that has changed, if it may be.
pub(super) fn keep(
    place: Option<&Path>,
    (before, now): (&SystemLock, &SystemLock),
    (policy, reporter): (LockPolicy, &Reporter),
) -> Result<(), BuildError> {
    match place {
        Some(place) if before != now && policy == LockPolicy::Update => {
            lock::keep(place, &now.text(), reporter).map_err(BuildError::Lock)
        }
        _ => Ok(()),
    }
}

/// Returns what is different in the lock that minke makes of Python's side.
pub(super) fn python_changes(project: &Project, wheels: &[Wheel]) -> Vec<Change> {
    let Some(before) = lock::locked_versions(project) else { return Vec::new() };
    let theirs = wheels.iter().filter(|wheel| wheel.part == Belongs::Others);
    let after: BTreeMap<String, String> =
        theirs.map(|wheel| (wheel.name.name().to_string(), wheel.name.version().to_string())).collect();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| Change {
        of: "python".to_owned(),
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
        why: String::new(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}
