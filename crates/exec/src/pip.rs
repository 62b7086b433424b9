//! pip as a program: for the one wheel that minke needs before it has uv.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ending, Job, Kill};
use crate::uv::without_secrets;

/// How long one download may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// pip could not fetch something.
#[derive(Debug, thiserror::Error)]
pub enum PipError {
    /// Python doesn't start.
    #[error("cannot start Python")]
    Start(#[source] io::Error),
    /// It gave up.
    #[error("`pip download` failed:\n{stderr}")]
    Failed {
        /// What it said.
        stderr: String,
    },
}

/// Downloads the wheel of one requirement for a platform, without dependencies, into a directory.
///
/// The environment is the user's own, since pip reads its settings there.
///
/// # Errors
/// [`PipError`].
pub fn pip_download(
    python: &Path,
    requirement: &str,
    platform: &str,
    directory: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<(), PipError> {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--platform", platform, "--dest"])
        .arg(directory)
        .arg(requirement)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let job = Job::start(&mut command, LIMIT, Kill::Child).map_err(PipError::Start)?;
    match job.finish().map_err(PipError::Start)? {
        (Ending::Exited(status), _) if status.success() => Ok(()),
        (Ending::Exited(_), stderr) => Err(PipError::Failed { stderr: without_secrets(stderr.trim_end()) }),
        (Ending::TimedOut, _) => Err(PipError::Failed { stderr: "it took more than ten minutes".to_owned() }),
    }
}
