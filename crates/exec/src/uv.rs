//! uv as a program: its command line and PEP 751 files are the contract.
//!
//! Nothing is read from this process's environment: indexes, credentials, certificates, proxies and the
//! cache are what the caller's map says (`UV_DEFAULT_INDEX`, `UV_CACHE_DIR`, `SSL_CERT_FILE`, `HOME`, …).
//! uv always wants *some* interpreter, even to resolve for another one; `export` wants one that the
//! project's `requires-python` accepts. The wrapper of the image's own
//! ([`Interpreter::write_wrapper`](crate::Interpreter::write_wrapper)) is both. uv never downloads one here.
//!
//! Spec: <https://peps.python.org/pep-0751/>, <https://docs.astral.sh/uv/reference/cli/>

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ending, Job, Kill};

/// How long one call of uv may take: a cold resolution over a slow index takes minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// No lock file is larger by far; what comes after is an attack or a mistake.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// A uv program, and the environment that it is given.
#[derive(Clone, Debug)]
pub struct Uv {
    program: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

/// What uv answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The PEP 751 file, without the header that names the command. Paths in it are relative to the
    /// directory that the request was made in.
    pub pylock: String,
    /// What uv said meanwhile, warnings included, without secrets.
    pub said: String,
}

/// Which dependency groups take part.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Groups {
    /// Neither the default groups nor any other: what an image wants.
    #[default]
    None,
    /// What the project declares as default groups.
    Default,
    /// These and no default ones.
    Only(Vec<String>),
    /// All that the project has.
    All,
}

/// Which optional dependencies take part.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Extras {
    /// None.
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// All that the project has.
    All,
}

/// What to read from a `uv.lock`.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// Where `uv.lock` and `pyproject.toml` lie; nothing there is changed.
    pub project: PathBuf,
    /// An interpreter that the project accepts.
    pub python: PathBuf,
    /// Optional dependencies.
    pub extras: Extras,
    /// Dependency groups.
    pub groups: Groups,
    /// The workspace member that is wanted; none for the project itself.
    pub package: Option<String>,
}

/// Whose requirements are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Requirement files or a `pyproject.toml`, relative to the directory or absolute.
    Files(Vec<PathBuf>),
    /// Requirement lines, such as a build system's `requires`.
    Lines(Vec<String>),
}

/// Whether uv may run a build backend to learn a source distribution's dependencies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Builds {
    /// It may not: what has no wheel is taken as if it weren't there.
    #[default]
    Refused,
    /// It may not either, but what has no wheel counts: where uv would run a backend it fails, and says for what
    /// (see [`UvError::unbuilt`]). Its Python has no standard library then, so that no line of a stranger's runs.
    Blocked,
}

/// The machine that is resolved for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// The C library that is resolved for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Libc {
    /// glibc 2.`minor`.
    Glibc {
        /// The number after `2.`; uv knows up to 40, a newer glibc takes the wheels of that.
        minor: u32,
    },
    /// musl.
    Musl,
}

/// What to resolve, and for whom.
#[derive(Clone, Debug)]
pub struct CompileRequest {
    /// Where relative paths start and configuration is looked for; nothing there is changed.
    pub directory: PathBuf,
    /// The requirements.
    pub inputs: Inputs,
    /// Some interpreter, of any version.
    pub python: PathBuf,
    /// The version that is resolved for, such as `3.13`.
    pub python_version: String,
    /// The machine that is resolved for.
    pub machine: Machine,
    /// The C library that is resolved for.
    pub libc: Libc,
    /// Optional dependencies of the `pyproject.toml`.
    pub extras: Extras,
    /// Dependency groups of the `pyproject.toml` in the directory; `All` and `Default` mean none here.
    pub groups: Groups,
    /// The text of a lock made before: its versions stay where they can.
    pub preferences: Option<String>,
    /// What may move away from the preferences: names of packages.
    pub upgrade: Vec<String>,
    /// Whether build backends may run.
    pub builds: Builds,
    /// What was published later isn't there; a date as RFC 3339.
    pub newest: Option<String>,
    /// Directories of wheels, besides those that the environment and the project's configuration name.
    pub find_links: Vec<PathBuf>,
}

/// uv could not answer.
#[derive(Debug, thiserror::Error)]
pub enum UvError {
    /// It doesn't start.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It gave up.
    #[error("`uv {command}` failed ({ending}):\n{stderr}")]
    Failed {
        /// The subcommand.
        command: &'static str,
        /// How it ended.
        ending: String,
        /// What it said, without secrets.
        stderr: String,
    },
    /// It took too long.
    #[error("`uv {command}` did not finish within {} minutes", LIMIT.as_secs() / 60)]
    TimedOut {
        /// The subcommand.
        command: &'static str,
    },
    /// It wrote something that is no text, or far too much of it.
    #[error("`uv {command}` answered with something that is not a text")]
    Answer {
        /// The subcommand.
        command: &'static str,
    },
    /// The lock made before could not be shown to it, or its result not be read.
    #[error("cannot use a temporary directory for uv")]
    Scratch(#[source] io::Error),
}

/// Directories and pages of wheels, separated by commas.
const FIND_LINKS: &str = "UV_FIND_LINKS";

impl UvError {
    /// Returns what uv would have had to build to know what it needs: `NAME==VERSION`, or `NAME @ ADDRESS`.
    pub fn unbuilt(&self) -> Option<&str> {
        let Self::Failed { stderr, .. } = self else { return None };
        let (_, after) = stderr.split_once("Failed to build `")?;
        after.split_once('`').map(|(what, _)| what)
    }

    /// Tells whether uv found that no versions go together, or that there are none.
    pub fn is_unsatisfiable(&self) -> bool {
        matches!(self, Self::Failed { stderr, .. } if stderr.contains("No solution found"))
    }
}

impl Uv {
    /// Takes the program; it gets the given environment and nothing else.
    pub fn at(program: &Path, environment: BTreeMap<OsString, OsString>) -> Self {
        Self { program: program.to_owned(), environment }
    }

    /// Returns what `uv --version` says, such as `0.13.9`.
    ///
    /// # Errors
    /// [`UvError`].
    pub fn version(&self) -> Result<String, UvError> {
        let mut command = self.command(Path::new("/"));
        command.arg("--version");
        let (text, _) = self.run("--version", command, "")?;
        Ok(text.split_whitespace().nth(1).ok_or(UvError::Answer { command: "--version" })?.to_owned())
    }

    /// Reads a project's `uv.lock` in its PEP 751 form, and refuses one that the project has outgrown.
    ///
    /// # Errors
    /// [`UvError`].
    pub fn export(&self, request: &ExportRequest) -> Result<Answer, UvError> {
        let mut command = self.command(&request.project);
        command.args(["export", "--locked", "--no-editable", "--no-header", "--format", "pylock.toml"]);
        command.arg("--python").arg(&request.python);
        command.args(extra_flags(&request.extras));
        match &request.groups {
            Groups::None => command.arg("--no-default-groups"),
            Groups::Default => &mut command,
            Groups::Only(groups) => command.arg("--no-default-groups").args(each("--group", groups)),
            Groups::All => command.arg("--all-groups"),
        };
        if let Some(package) = &request.package {
            command.args(["--package", package]);
        }
        let (pylock, said) = self.run("export", command, "")?;
        Ok(Answer { pylock, said })
    }

    /// Resolves requirements for a target that needn't be this machine.
    ///
    /// # Errors
    /// [`UvError`].
    pub fn compile(&self, request: &CompileRequest) -> Result<Answer, UvError> {
        let scratch = tempfile::tempdir().map_err(UvError::Scratch)?;
        // The name is a rule of uv's: `pylock.toml` or `pylock.NAME.toml`.
        let kept = scratch.path().join("pylock.toml");
        let mut command = self.command(&request.directory);
        command.args(["pip", "compile", "--no-header", "--no-annotate", "--format", "pylock.toml"]);
        command.arg("--python").arg(&request.python);
        command.args(["--python-version", &request.python_version]);
        command.args(["--python-platform", &platform(request.machine, request.libc)]);
        command.args(extra_flags(&request.extras));
        if let Groups::Only(groups) = &request.groups {
            command.args(each("--group", groups));
        }
        if let Some(newest) = &request.newest {
            command.args(["--exclude-newer", newest]);
        }
        match request.builds {
            Builds::Refused => _ = command.arg("--no-build"),
            // uv asks an interpreter what it is with `-I`, which ignores this, and runs backends without.
            Builds::Blocked => _ = command.env("PYTHONHOME", "/nonexistent"),
        }
        if !request.find_links.is_empty() {
            // In the variable, as an argument would take its place.
            let said = self.environment.get(OsStr::new(FIND_LINKS)).cloned();
            let all: Vec<OsString> =
                said.into_iter().chain(request.find_links.iter().map(|path| path.clone().into())).collect();
            command.env(FIND_LINKS, all.join(OsStr::new(",")));
        }
        if let Some(preferences) = &request.preferences {
            std::fs::write(&kept, preferences).map_err(UvError::Scratch)?;
            command.arg("--output-file").arg(&kept).args(each("--upgrade-package", &request.upgrade));
        }
        let lines = match &request.inputs {
            Inputs::Files(files) => {
                command.args(files);
                String::new()
            }
            Inputs::Lines(lines) => {
                command.arg("-");
                lines.join("\n")
            }
        };
        let (mut pylock, said) = self.run("pip compile", command, &lines)?;
        if request.preferences.is_some() {
            let written = std::fs::read_to_string(&kept).map_err(UvError::Scratch)?;
            let absolute = |path: &Path| path.canonicalize().map_err(UvError::Scratch);
            pylock = moved(&written, &absolute(scratch.path())?, &absolute(&request.directory)?);
        }
        Ok(Answer { pylock, said })
    }

    /// Returns uv's list of the Pythons of a version that it could download, for all platforms, as JSON.
    ///
    /// # Errors
    /// [`UvError`].
    pub fn python_downloads(&self, version: &str) -> Result<String, UvError> {
        let mut command = self.command(Path::new("/"));
        command.args(["python", "list", "--only-downloads", "--all-versions", "--all-platforms"]);
        command.args(["--all-arches", "--output-format", "json", version]);
        self.run("python list", command, "").map(|(list, _)| list)
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(&self.environment).current_dir(directory);
        command.args(["--color", "never", "--no-progress", "--no-python-downloads"]);
        command
    }

    fn run(
        &self,
        name: &'static str,
        mut command: Command,
        stdin: &str,
    ) -> Result<(String, String), UvError> {
        let start = |source| UvError::Start { program: self.program.clone(), source };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut job = Job::start(&mut command, LIMIT, Kill::Child).map_err(start)?;
        let mut pipe = job.child().stdin.take().expect("stdin was asked for");
        let stdout = job.child().stdout.take().expect("stdout was asked for");
        // uv reads its input to the end before it writes. If it doesn't, its stderr says why.
        let _ = pipe.write_all(stdin.as_bytes());
        drop(pipe);
        let mut answer = Vec::new();
        let read = stdout.take(LONGEST_ANSWER).read_to_end(&mut answer);
        let (ending, stderr) = job.finish().map_err(start)?;
        let stderr = without_secrets(stderr.trim_end());
        match ending {
            Ending::TimedOut => Err(UvError::TimedOut { command: name }),
            Ending::Exited(status) if !status.success() => {
                let stderr = without_chatter(&stderr);
                Err(UvError::Failed { command: name, ending: status.to_string(), stderr })
            }
            Ending::Exited(_) => {
                read.map_err(|_| UvError::Answer { command: name })?;
                let text = String::from_utf8(answer).map_err(|_| UvError::Answer { command: name })?;
                Ok((text, stderr))
            }
        }
    }
}

/// Leaves out what uv says while nothing is wrong yet.
fn without_chatter(stderr: &str) -> String {
    let is_chatter = |line: &str| line.starts_with("Using ") || line.starts_with("Resolved ");
    stderr.lines().filter(|line| !is_chatter(line)).collect::<Vec<_>>().join("\n")
}

fn extra_flags(extras: &Extras) -> Vec<&OsStr> {
    match extras {
        Extras::None => Vec::new(),
        Extras::Only(names) => each("--extra", names).collect(),
        Extras::All => vec![OsStr::new("--all-extras")],
    }
}

fn each<'names>(flag: &'static str, names: &'names [String]) -> impl Iterator<Item = &'names OsStr> {
    names.iter().flat_map(move |name| [OsStr::new(flag), OsStr::new(name)])
}

/// Names a target as uv does. It knows a few glibc versions only: the newest that isn't newer is taken.
fn platform(machine: Machine, libc: Libc) -> String {
    let machine = match machine {
        Machine::X86_64 => "x86_64",
        Machine::Aarch64 => "aarch64",
    };
    match libc {
        Libc::Musl => format!("{machine}-unknown-linux-musl"),
        Libc::Glibc { minor } => {
            let known = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];
            let minor = known.into_iter().rev().find(|known| *known <= minor).unwrap_or(17);
            format!("{machine}-manylinux_2_{minor}")
        }
    }
}

/// Rewrites the relative paths of a PEP 751 file that was written in one directory for use in another.
///
/// uv writes one `path = "…"` per local source, relative to the file it was told to write.
fn moved(pylock: &str, from: &Path, to: &Path) -> String {
    const KEY: &str = "path = \"";
    let mut text = String::with_capacity(pylock.len());
    let mut rest = pylock;
    while let Some(at) = rest.find(KEY) {
        let (before, after) = rest.split_at(at + KEY.len());
        let (path, after) = after.split_at(after.find('"').unwrap_or(after.len()));
        text.push_str(before);
        match Path::new(path) {
            absolute if absolute.is_absolute() => text.push_str(path),
            relative => text.push_str(&way(to, &normal(&from.join(relative)))),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Takes `..` out of a path whose directories aren't symlinks.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            component => normal.push(component),
        }
        normal
    })
}

/// Returns the relative path that leads from one absolute path to another.
fn way(from: &Path, to: &Path) -> String {
    let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(shared).map(|_| "..".to_owned());
    let down = to.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<_> = up.chain(down).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Blanks out `user:password` in every URL of a text.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end =
            after.find(|c: char| c == '/' || c.is_whitespace() || "`'\"".contains(c)).unwrap_or(after.len());
        let host = after[..end].rfind('@').map_or(0, |sign| sign + 1);
        if host > 0 {
            clean.push_str("****@");
        }
        rest = &after[host..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_blanked_out() {
        let text = "see `https://me:p@ss@host.test/simple`, http://token@host.test and https://host.test/a@b";
        assert_eq!(
            without_secrets(text),
            "see `https://****@host.test/simple`, http://****@host.test and https://host.test/a@b"
        );
    }

    #[test]
    fn what_uv_says_before_it_fails_is_no_part_of_the_error() {
        let said = "Using CPython 3.13.5 interpreter at: /usr/bin/python3\nResolved 31 packages in 455ms\n\
            error: The lockfile at `uv.lock` needs to be updated\n\nhint: run `uv lock`";
        let expected = "error: The lockfile at `uv.lock` needs to be updated\n\nhint: run `uv lock`";
        assert_eq!(without_chatter(said), expected);
    }

    #[test]
    fn local_paths_lead_to_the_same_place_from_elsewhere() {
        let written = "directory = { path = \"../p/lib\" }\ndirectory = { path = \"../p\" }\n\
            archive = { path = \"../q/a.zip\" }\narchive = { path = \"/abs\" }\n";
        let expected = "directory = { path = \"lib\" }\ndirectory = { path = \".\" }\n\
            archive = { path = \"../q/a.zip\" }\narchive = { path = \"/abs\" }\n";
        assert_eq!(moved(written, Path::new("/t/o"), Path::new("/t/p")), expected);
    }

    #[test]
    fn a_target_is_named_by_the_newest_glibc_that_uv_knows() {
        let named = |minor| platform(Machine::X86_64, Libc::Glibc { minor });
        assert_eq!(named(41), "x86_64-manylinux_2_40");
        assert_eq!(named(30), "x86_64-manylinux_2_28");
        assert_eq!(named(5), "x86_64-manylinux_2_17");
        assert_eq!(platform(Machine::Aarch64, Libc::Musl), "aarch64-unknown-linux-musl");
    }
}
