//! The time that the project's own files carry.
//!
//! `SOURCE_DATE_EPOCH`, else the commit's time if the work tree is clean, else the fixed epoch: web frameworks
//! make ETags of time and size, and two releases must not share them.
//!
//! Spec: <https://reproducible-builds.org/specs/source-date-epoch/>

use minke_cas::Epoch;

use crate::project::{Project, Shape};
use crate::request::Host;

/// Returns the time of a project's files.
pub(crate) fn of_project(host: &Host, project: &Project) -> Epoch {
    let stated = host.variables.get("SOURCE_DATE_EPOCH").and_then(|text| text.trim().parse::<u64>().ok());
    let committed = || match project.shape {
        // It has no files, wherever it was asked for.
        Shape::Requirement(_) => None,
        _ => minke_exec::clean_commit_time(&project.root, &host.variables, is_lock),
    };
    stated.or_else(committed).map_or(Epoch::FIXED, Epoch::from_secs)
}

/// Tells whether minke may have written a file of this name into the project: those of scripts and of other machines
/// than the first have one more word in it.
fn is_lock(name: &str) -> bool {
    let within = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end);
    within("pylock.", ".toml") || within("minke.", ".lock")
}
