//! The time that the project's own files carry.
//!
//! `SOURCE_DATE_EPOCH`, else the commit's time if the work tree is clean, else the fixed epoch: web frameworks
//! make ETags of time and size, and two releases must not share them.
//!
//! Spec: <https://reproducible-builds.org/specs/source-date-epoch/>

use std::path::Path;

use minke_cas::Epoch;

use crate::request::Host;

/// Returns the time of a project's files.
pub(crate) fn of_project(host: &Host, root: &Path) -> Epoch {
    let stated = host.variables.get("SOURCE_DATE_EPOCH").and_then(|text| text.trim().parse::<u64>().ok());
    let committed = || minke_exec::clean_commit_time(root, &host.variables);
    stated.or_else(committed).map_or(Epoch::FIXED, Epoch::from_secs)
}
