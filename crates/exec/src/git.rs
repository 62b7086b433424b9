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
/// None where it isn't in a work tree, differs from the commit, or git isn't there or refuses. A file of the name
/// `ours` that no commit has yet makes no difference: it was just written.
pub fn clean_commit_time(
    directory: &Path,
    environment: &BTreeMap<String, String>,
    is_ours: impl Fn(&str) -> bool,
) -> Option<u64> {
    let changes =
        git(directory, environment, &["status", "--porcelain", "--untracked-files=normal", "--", "."])?;
    let is_known = |line: &str| {
        line.strip_prefix("?? ").is_some_and(|path| path.rsplit('/').next().is_some_and(&is_ours))
    };
    if !changes.lines().all(is_known) {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_work_tree_is_clean_until_something_but_our_own_file_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]);
        let run = |arguments: &[&str]| git(root, &environment, arguments);
        if run(&["init", "-q"]).is_none() {
            eprintln!("skipped: there is no git");
            return;
        }
        fs::write(root.join("main.py"), "").unwrap();
        run(&["add", "."]).unwrap();
        let author = ["-c", "user.name=me", "-c", "user.email=me@host.test", "-c", "commit.gpgsign=false"];
        run(&[&author[..], &["commit", "-qm", "x", "--no-verify"]].concat()).unwrap();
        let is_clean = || clean_commit_time(root, &environment, |name| name == "pylock.toml").is_some();
        assert!(is_clean());
        fs::write(root.join("pylock.toml"), "").unwrap();
        assert!(is_clean());
        fs::write(root.join("other.toml"), "").unwrap();
        assert!(!is_clean());
    }
}
