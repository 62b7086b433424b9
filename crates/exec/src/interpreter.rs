//! The image's own Python, started through the image's own loader.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use minke_cas::ImagePath;

use crate::loader::{Loaded, LoaderError};
use crate::process::{Ending, Job, Kill};

/// Far longer than an interpreter takes to start.
const LIMIT: Duration = Duration::from_secs(60);

/// More than any answer that is asked for.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// An interpreter does not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It doesn't start.
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    /// It crashed or gave up.
    #[error("it failed ({ending}): {stderr}")]
    Failed {
        /// How it ended.
        ending: String,
        /// The end of what it said.
        stderr: String,
    },
    /// It took longer than a minute.
    #[error("it did not answer within {} seconds", LIMIT.as_secs())]
    TimedOut,
}

/// A Python interpreter that lies in a room and runs without a namespace, for any user in any container.
///
/// It runs with an empty environment, without `site`, writes no bytecode, and takes its standard library
/// from the room: Python finds it relative to its own program.
#[derive(Clone, Debug)]
pub struct Interpreter {
    loaded: Loaded,
}

impl Interpreter {
    /// Takes the interpreter `executable`, such as `/usr/bin/python3.13`, of a room that
    /// [`Store::room`](minke_cas::Store::room) has made.
    ///
    /// # Errors
    /// [`LoaderError::Missing`] if it or its loader isn't there; [`LoaderError::NotNative`] if it isn't a
    /// program for this machine.
    pub fn in_room(room: &Path, executable: &ImagePath) -> Result<Self, LoaderError> {
        Ok(Self { loaded: Loaded::in_room(room, executable)? })
    }

    /// Writes a shell script into `directory` that starts the interpreter, and returns its path.
    ///
    /// For programs that want the path of a Python, as uv does; it needs the host's `/bin/sh`.
    ///
    /// # Errors
    /// What the system says of writing the file.
    pub fn write_wrapper(&self, directory: &Path) -> io::Result<PathBuf> {
        let words = self.loaded.words();
        let words: Vec<String> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
        let name = self.loaded.program().file_name().unwrap_or("python".as_ref());
        let path = directory.join(name);
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o755).open(&path)?;
        io::Write::write_all(&mut file, script.as_bytes())?;
        Ok(path)
    }

    /// Runs a short script and returns what it writes to its standard output.
    ///
    /// # Errors
    /// [`AskError`] if it doesn't end well, within a minute.
    pub fn ask(&self, script: &str) -> Result<String, AskError> {
        let mut command = self.script(script);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).current_dir("/");
        let mut job = Job::start(&mut command, LIMIT, Kill::Group).map_err(AskError::Start)?;
        let stdout = job.child().stdout.take().expect("stdout was asked for");
        let mut answer = String::new();
        // A pipe that breaks means a process that fails, which its status tells.
        let _ = stdout.take(LONGEST_ANSWER).read_to_string(&mut answer);
        match job.finish().map_err(AskError::Start)? {
            (Ending::TimedOut, _) => Err(AskError::TimedOut),
            (Ending::Exited(status), _) if status.success() => Ok(answer),
            (Ending::Exited(status), stderr) => {
                let stderr = stderr.trim_end().to_owned();
                Err(AskError::Failed { ending: status.to_string(), stderr })
            }
        }
    }

    /// Returns the command that runs `script` with nothing of the host's in its environment.
    ///
    /// Not `-I`: that ignores these variables too, and there are no others. Without `PYTHONHOME` a room
    /// that has no standard library would borrow the host's. The locale is the one that needs no file.
    pub(crate) fn script(&self, script: &str) -> Command {
        let mut command = self.loaded.command();
        command.args(["-s", "-S", "-B", "-X", "utf8", "-c", script]);
        let program = self.loaded.program();
        if let Some(home) = program.parent().and_then(Path::parent) {
            command.env("PYTHONHOME", home);
        }
        command.env("PYTHONHASHSEED", "0").env("PYTHONSAFEPATH", "1").env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
