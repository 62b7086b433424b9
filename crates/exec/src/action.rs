//! One fully described command, and what it makes of a tree.
//!
//! An [`Action`] is the unit of the Remote Execution API: no network, no clock, no host. Its root holds only
//! what can be carried to another machine, so that modes are `0644` or `0755` and owners are the builder's,
//! whatever the tree says. Here it runs in a sealed room; where a machine refuses one, best effort is made in
//! a private copy, started through its own loader as [`Interpreter`](crate::Interpreter) is.
//!
//! Spec: <https://github.com/bazelbuild/remote-apis/blob/v2.12.0/build/bazel/remote/execution/v2/remote_execution.proto>

use std::collections::BTreeMap;
use std::ffi::NulError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use minke_cas::{Digest, ImagePath, Mode, Owner, Ownership, Scratch, Store, StoreError, Tree, TreeError};
use rustix::io::Errno;
use serde::Serialize;

use crate::furnish::Upper;
use crate::jobs::Share;
use crate::loader::{Loaded, LoaderError};
use crate::outputs::{self, OutputError};
use crate::process::{Ending, Job, Kill};
use crate::refusal::Unavailable;
use crate::sealed::sealed;

/// Who a builder is: nobody, everywhere.
pub(crate) const BUILDER: Owner = Owner { uid: 65534, gid: 65534 };

/// One command with all that it reads.
///
/// There is no network in it, and no field to ask for one.
#[derive(Clone, Debug)]
pub struct Action {
    /// All files that the command can see, apart from `/proc`, `/sys` and `/dev`.
    pub root: Tree,
    /// The program, absolute, and its arguments. Paths in them that begin at the working directory work
    /// unsealed too.
    pub argv: Vec<String>,
    /// The whole environment, but for what [`Host`] adds. The directories that `HOME` and `TMPDIR` name are made.
    pub env: BTreeMap<String, String>,
    /// Where the command starts. The directory below `/` that holds it is the action's own; what lies
    /// elsewhere is kept between actions, written out once.
    pub workdir: ImagePath,
    /// The files and directories that are wanted. None may be there before; the directories above are made.
    /// One that isn't there afterwards is just missing.
    pub outputs: Vec<ImagePath>,
    /// What the command may use.
    pub limits: Limits,
}

/// What a command may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Limits {
    /// How long it may take.
    pub wall: Duration,
    /// How much memory its processes may have together; never more than seven eighths of the machine's. In a
    /// sealed room only, as are the two that follow.
    pub memory_bytes: u64,
    /// How much it may write at a time, wherever it lies.
    pub disk_bytes: u64,
    /// How many threads all its processes may have.
    pub processes: u64,
    /// How large one of its files, and all of its outputs together, may be.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// Four hours, as some builds take one on a fast machine; 16 GiB of memory, 16 GiB of disk, 4096 threads, 4 GiB
    /// of outputs.
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(4 * 60 * 60),
            memory_bytes: 16 << 30,
            disk_bytes: 16 << 30,
            processes: 4096,
            output_bytes: 4 << 30,
        }
    }
}

/// Whether a command can see anything but its action.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Seal {
    /// It cannot.
    Sealed,
    /// It can: it runs as the caller, and only what it finds relative to itself is the action's. Not for
    /// strangers' code.
    Unsealed,
}

/// This machine's part in an action: what may be different each time, and decides nothing that is made.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// What the command can see.
    pub seal: Seal,
    /// The cores that it may use: all of them, where none are shared out.
    pub share: Option<&'a Share<'a>>,
}

impl From<Seal> for Host<'_> {
    fn from(seal: Seal) -> Self {
        Self { seal, share: None }
    }
}

impl Host<'_> {
    /// Returns a command's environment here: what it says itself wins over what the machine says.
    pub(crate) fn environment(&self, action: &Action) -> BTreeMap<String, String> {
        let mut environment: BTreeMap<_, _> = self.share.into_iter().flat_map(Share::environment).collect();
        environment.extend(action.env.clone());
        environment
    }
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// By itself, with this exit code, or with 128 and the number of the signal that ended it.
    Exited(u8),
    /// It was killed with all that it had started, because it took more than it may; it has no outputs.
    Stopped(Limit),
}

/// What a command took too much of, and how much it might have taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Time.
    Wall(Duration),
    /// Memory of all its processes.
    Memory {
        /// As much as it might have, here.
        bytes: u64,
    },
    /// Room on the disk.
    Disk {
        /// As much as it might have.
        bytes: u64,
    },
    /// Processes and threads.
    Processes {
        /// As many as it might have.
        count: u64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wall(wall) => write!(f, "took longer than {} s", wall.as_secs()),
            Self::Memory { bytes } => write!(f, "used more than {} MiB of memory", bytes >> 20),
            Self::Disk { bytes } => write!(f, "wrote more than {} MiB", bytes >> 20),
            Self::Processes { count } => write!(f, "ran {count} processes and threads at a time"),
        }
    }
}

/// What came of an action; a command that fails is no error.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The end of what it said on stdout and stderr, at most 64 KiB.
    pub log: String,
    /// What of its outputs is there: plain files, executables, directories and symlinks, all root's. Of a
    /// command that was stopped there are none.
    pub outputs: Tree,
}

/// An action could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// This machine refuses sealed rooms.
    #[error("cannot seal a room")]
    Unavailable(#[from] Unavailable),
    /// An output is among the inputs.
    #[error("`{path}` is there before the action that is to make it")]
    OutputExists {
        /// Which.
        path: ImagePath,
    },
    /// The working directory, or the directory of an output, is a file.
    #[error("the action's directories cannot be made")]
    Directory(#[from] TreeError),
    /// A text holds a NUL.
    #[error("a program's arguments and environment cannot hold a NUL byte")]
    Nul(#[source] NulError),
    /// The program cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program cannot be started without a room.
    #[error("cannot start the program without a room")]
    Loader(#[from] LoaderError),
    /// The room could not be furnished.
    #[error("cannot {what}")]
    Setup {
        /// An infinitive and its object.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// What the command made cannot be taken.
    #[error("cannot take what the action made")]
    Output(#[from] OutputError),
    /// The inputs cannot be put in place.
    #[error("cannot put the action's inputs in place")]
    Store(#[from] StoreError),
}

impl Action {
    /// Returns a digest of all that the action is: equal actions may share a result.
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Key<'a> {
            root: Digest,
            argv: &'a [String],
            env: &'a BTreeMap<String, String>,
            workdir: &'a ImagePath,
            outputs: &'a [ImagePath],
            limits: Limits,
        }
        let Self { root, argv, env, workdir, outputs, limits } = self;
        let key = Key { root: root.digest(), argv, env, workdir, outputs, limits: *limits };
        Digest::of(&serde_json::to_vec(&key).expect("an action is made of texts and numbers"))
    }

    /// Makes the directories that the command relies on.
    fn prepared(&self) -> Result<Prepared, ActionError> {
        let mut prepared = Prepared { root: self.root.clone(), made: Vec::new() };
        for output in &self.outputs {
            if self.root.get(output).is_some() {
                return Err(ActionError::OutputExists { path: output.clone() });
            }
        }
        let above = self.outputs.iter().filter_map(ImagePath::parent);
        let temporary = "/tmp".parse().expect("a literal path is one");
        let named = ["HOME", "TMPDIR"].into_iter().filter_map(|name| self.env.get(name)?.parse().ok());
        for wanted in above.chain(named).chain([self.workdir.clone(), temporary]) {
            let missing = std::iter::successors(Some(wanted), ImagePath::parent);
            for path in missing.filter(|path| prepared.root.directory(path).is_none()).collect::<Vec<_>>() {
                prepared.root.set_directory(&path, Mode::EXECUTABLE, BUILDER)?;
                prepared.made.push(path);
            }
        }
        Ok(prepared)
    }
}

/// An action's root with a place for everything.
pub(crate) struct Prepared {
    pub(crate) root: Tree,
    /// The directories of it that the action's own root hasn't got.
    pub(crate) made: Vec<ImagePath>,
}

/// Runs an action here.
///
/// It is killed when the calling thread ends. A [`Seal`] alone is a host too.
///
/// # Errors
/// [`ActionError`]; a command that fails or takes too long is no error.
pub fn run_action<'a>(
    action: &Action,
    store: &Store,
    host: impl Into<Host<'a>>,
) -> Result<Outcome, ActionError> {
    let host = host.into();
    let prepared = action.prepared()?;
    match host.seal {
        Seal::Unsealed => unsealed(action, store, (&prepared.root, host)),
        Seal::Sealed => match sealed(action, store, (&prepared, Upper::Disk), host) {
            // Where the cache itself lies on an overlay (in a container), there can be no other on it.
            Err(ActionError::Setup { source, .. }) if Errno::from_io_error(&source) == Some(Errno::INVAL) => {
                sealed(action, store, (&prepared, Upper::Copy), host)
            }
            result => result,
        },
    }
}

fn unsealed(action: &Action, store: &Store, (root, host): (&Tree, Host<'_>)) -> Result<Outcome, ActionError> {
    let scratch: Scratch = store.scratch()?;
    let room = scratch.path().join("root");
    store.write_tree(root, &room, Ownership::Plain(None))?;
    let name = action.argv.first().cloned().unwrap_or_default();
    let missing = || LoaderError::Missing { room: room.clone(), path: ImagePath::root() };
    let program: ImagePath = name.parse().map_err(|_| missing())?;
    let mut command = Loaded::in_room(&room, &program)?.command();
    command.args(action.argv.iter().skip(1)).envs(host.environment(action)).stdin(Stdio::null());
    command.current_dir(room.join(action.workdir.relative()));
    let start = |source| ActionError::Start { program: name.clone(), source };
    let job = Job::merged(command, action.limits.wall, Kill::Group).map_err(start)?;
    let (ending, log) = job.finish().map_err(start)?;
    let status = match ending {
        Ending::TimedOut => Status::Stopped(Limit::Wall(action.limits.wall)),
        Ending::Exited(status) => Status::Exited(exit_code(status)),
    };
    outcome(action, store, (&room, status, log.into_bytes()))
}

fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(125);
    u8::try_from(code & 0xff).expect("masked to eight bits")
}

pub(crate) fn outcome(
    action: &Action,
    store: &Store,
    (made, status, log): (&PathBuf, Status, Vec<u8>),
) -> Result<Outcome, ActionError> {
    let outputs = match status {
        Status::Exited(_) => outputs::collect(store, made, (&action.outputs, action.limits.output_bytes))?,
        Status::Stopped(_) => Tree::new(),
    };
    Ok(Outcome { status, log: String::from_utf8_lossy(&log).into_owned(), outputs })
}
