//! The project's own checks: commands that must end well in the image.

use minke_cas::Store;
use minke_exec::{RunError, Status};

use super::stage::{self, Stage};

/// A check of the project's failed.
#[derive(Debug, thiserror::Error)]
pub enum SmokeError {
    /// It doesn't start.
    #[error("`{command}` does not start")]
    Run {
        /// The command.
        command: String,
        /// What happened.
        source: RunError,
    },
    /// It doesn't end well.
    #[error("`{command}` {ending}{}", told(said))]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        ending: String,
        /// The end of what it said.
        said: String,
    },
}

/// How many lines of what a command said are shown.
const LINES: usize = 12;

/// How much of them is kept.
const SAID: usize = 16 * 1024;

fn told(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() { String::new() } else { format!(":\n{}", last.join("\n")) }
}

/// Runs a command in an image.
///
/// # Errors
/// [`SmokeError`] if it doesn't end with status 0.
pub fn smoke(store: &Store, stage: &Stage, command: &[String]) -> Result<(), SmokeError> {
    let name = || shlex::try_join(command.iter().map(String::as_str)).unwrap_or_else(|_| command.join(" "));
    let observed = stage.container(command.to_vec()).observe(store, Vec::new(), &stage::LIMITS);
    let observed = observed.map_err(|source| SmokeError::Run { command: name(), source })?;
    if observed.status != Status::Exited(0) {
        let end = &observed.output[observed.output.len().saturating_sub(SAID)..];
        let said = format!("{}\n{}", String::from_utf8_lossy(end), observed.log);
        return Err(SmokeError::Failed { command: name(), ending: stage::ending(observed.status), said });
    }
    Ok(())
}
