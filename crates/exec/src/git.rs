//! git as a program: for the time of the commit that a clean work tree is at.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ending, Job, Kill};

const LIMIT: Duration = Duration::from_secs(20);

/// Returns the commit time, in seconds since 1970, of a directory that is a clean part of a work tree.
///
/// None where it isn't in a work tree, differs from the commit, or git isn't there or refuses.
pub fn clean_commit_time(directory: &Path, environment: &BTreeMap<String, String>) -> Option<u64> {
    let changes =
        git(directory, environment, &["status", "--porcelain", "--untracked-files=normal", "--", "."])?;
    if !changes.trim().is_empty() {
        return None;
    }
    // A directory that is ignored as a whole is clean, too, but no commit speaks of it.
    let tracked = git(directory, environment, &["ls-files", "--", "."])?;
    if tracked.trim().is_empty() {
        return None;
    }
    git(directory, environment, &["log", "-1", "--format=%ct"])?.trim().parse().ok()
}

fn git(directory: &Path, environment: &BTreeMap<String, String>, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let kept = ["PATH", "HOME"].into_iter().filter_map(|name| environment.get_key_value(name));
    command
        .args(["-c", "core.fsmonitor=false", "--no-optional-locks"])
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut job = Job::start(&mut command, LIMIT, Kill::Child).ok()?;
    let mut answer = String::new();
    let stdout = job.child().stdout.take().expect("stdout was asked for");
    let read = stdout.take(64 << 20).read_to_string(&mut answer);
    match job.finish().ok()? {
        (Ending::Exited(status), _) if status.success() && read.is_ok() => Some(answer),
        _ => None,
    }
}
