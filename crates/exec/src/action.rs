//! One fully described command, and what it makes of a tree.
//!
//! An [`Action`] is the unit of the Remote Execution API: no network, no clock, no host. Its root holds only
//! what can be carried to another machine, so that modes are `0644` or `0755` and owners are the builder's,
//! whatever the tree says. Here it runs in a sealed room; where a machine refuses one, best effort is made in
//! a private copy, started through its own loader as [`Interpreter`](crate::Interpreter) is.
//!
//! Spec: <https://github.com/bazelbuild/remote-apis/blob/v2.12.0/build/bazel/remote/execution/v2/remote_execution.proto>

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use minke_cas::{
    Digest, Directory, Entry, File, ImagePath, Mode, Owner, Scratch, Store, StoreError, Tree, TreeError,
};
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::thread::CapabilitySet;
use serde::Serialize;

use crate::caller::{Caller, candidates, strings};
use crate::furnish::{self, Furniture, Ids, Upper, Writable};
use crate::loader::{Loaded, LoaderError};
use crate::outputs::{self, OutputError};
use crate::process::{Ending, Job, Kill, tail_of};
use crate::refusal::{Unavailable, is_refusal};
use crate::sandbox::{self, Filter, Launch, LaunchError, Network, Program, Signals, Vector};

/// Who a builder is: nobody, everywhere.
const BUILDER: Owner = Owner { uid: 65534, gid: 65534 };

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
    /// The whole environment.
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
    /// How large one of its files, and all of its outputs together, may be.
    pub output_bytes: u64,
    /// How many processes it and others of the same user may have at a time. The kernel counts in a sealed
    /// room only, and not those of a root that may not change its user id.
    pub processes: u64,
}

impl Default for Limits {
    /// An hour, 4 GiB, 4096 processes.
    fn default() -> Self {
        Self { wall: Duration::from_secs(60 * 60), output_bytes: 4 << 30, processes: 4096 }
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

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// By itself, with this exit code, or with 128 and the number of the signal that ended it.
    Exited(u8),
    /// It was killed when its time was over.
    TimedOut,
}

/// What came of an action; a command that fails is no error.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The end of what it said on stdout and stderr, at most 64 KiB.
    pub log: String,
    /// What of its outputs is there: plain files, executables, directories and symlinks, all root's.
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

    /// The root as it is written out: normal modes, one owner, and a place for everything.
    fn normal_root(&self) -> Result<Tree, ActionError> {
        let mut root = Tree::new();
        let directory =
            |tree: &mut Tree, path: &ImagePath| tree.set_directory(path, Mode::EXECUTABLE, BUILDER);
        directory(&mut root, &ImagePath::root())?;
        for (path, entry) in self.root.walk() {
            match entry {
                Entry::Directory(_) => directory(&mut root, &path)?,
                Entry::File(file) => {
                    let mode = if file.mode.is_executable() { Mode::EXECUTABLE } else { Mode::REGULAR };
                    root.insert(&path, File { mode, owner: BUILDER, ..file.clone() }.into())?;
                }
                Entry::Symlink(link) => {
                    let link = minke_cas::Symlink { owner: BUILDER, ..link.clone() };
                    root.insert(&path, Entry::Symlink(link))?;
                }
            }
        }
        for output in &self.outputs {
            if root.get(output).is_some() {
                return Err(ActionError::OutputExists { path: output.clone() });
            }
        }
        let above = self.outputs.iter().filter_map(ImagePath::parent);
        let temporary = "/tmp".parse().expect("a literal path is one");
        for wanted in above.chain([self.workdir.clone(), temporary]) {
            let missing = std::iter::successors(Some(wanted), ImagePath::parent);
            for path in missing.filter(|path| root.directory(path).is_none()).collect::<Vec<_>>() {
                directory(&mut root, &path)?;
            }
        }
        Ok(root)
    }
}

/// Runs an action here.
///
/// It is killed when the calling thread ends.
///
/// # Errors
/// [`ActionError`]; a command that fails or takes too long is no error.
pub fn run_action(action: &Action, store: &Store, seal: Seal) -> Result<Outcome, ActionError> {
    let root = action.normal_root()?;
    match seal {
        Seal::Unsealed => unsealed(action, store, &root),
        Seal::Sealed => match sealed(action, store, (&root, Upper::Disk)) {
            // Where the cache itself lies on an overlay (in a container), there can be no other on it.
            Err(ActionError::Setup { source, .. }) if Errno::from_io_error(&source) == Some(Errno::INVAL) => {
                sealed(action, store, (&root, Upper::Copy))
            }
            result => result,
        },
    }
}

/// Tells whether this machine lets a room be sealed, by sealing an empty one.
///
/// # Errors
/// [`Unavailable`] says what is refused and, as far as can be told, by which setting.
pub fn sealing_available() -> Result<(), Unavailable> {
    let refused = |what: &str, error: io::Error| {
        Unavailable::of(what, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let directory = tempfile::tempdir().map_err(|error| refused("a temporary directory", error))?;
    let at = |name: &str| directory.path().join(name);
    for name in ["room", "scratch"] {
        fs::create_dir(at(name)).map_err(|error| refused("a temporary directory", error))?;
    }
    let action = Action {
        root: Tree::new(),
        argv: vec!["/nothing".to_owned()],
        env: BTreeMap::new(),
        workdir: ImagePath::root(),
        outputs: Vec::new(),
        limits: Limits::default(),
    };
    let root = Directory::default();
    match launch(&action, &root, (&at("room"), &at("scratch"), Upper::Memory), [None, None, None]) {
        // As far as looking for a program that isn't there: the room was whole.
        Err(ActionError::Start { .. }) | Ok(_) => Ok(()),
        Err(ActionError::Unavailable(unavailable)) => Err(unavailable),
        Err(ActionError::Setup { what, source }) => Err(refused(&format!("to {what}"), source)),
        Err(_) => Err(Unavailable::of("a sealed room", Errno::INVAL)),
    }
}

fn sealed(action: &Action, store: &Store, (root, upper): (&Tree, Upper)) -> Result<Outcome, ActionError> {
    let caller = Caller::of_process(Network::Own);
    let scratch = store.scratch()?;
    let own = action.workdir.components().next().map(|name| format!("/{name}"));
    let own: ImagePath = own.map_or(Ok(ImagePath::root()), |own| own.parse()).expect("it is a path's first");
    let (shared, written) = match upper {
        Upper::Disk => {
            (root.filter(|path, _| !path.starts_with(&own)), root.filter(|path, _| path.starts_with(&own)))
        }
        Upper::Memory | Upper::Copy => (Tree::new(), root.clone()),
    };
    let room = store.room(&shared, caller.ownership())?;
    let made = scratch.path().join(if upper == Upper::Disk { "upper" } else { "root" });
    store.write_tree(&written, &made, caller.ownership())?;

    let (reader, writer) = io::pipe().map_err(pipe)?;
    let other = writer.try_clone().map_err(pipe)?;
    let null = fs::File::open("/dev/null").map_err(pipe)?;
    let stdio = [Some(null.into()), Some(writer.into()), Some(other.into())];
    let running = launch(action, root.root(), (&room, scratch.path(), upper), stdio)?;
    let log = tail_of(reader);
    let status = running.wait_for(action.limits.wall).map_or(Status::TimedOut, Status::Exited);
    outcome(action, store, (&made, status, log.recv().unwrap_or_default()))
}

fn pipe(source: io::Error) -> ActionError {
    ActionError::Setup { what: "make a pipe".to_owned(), source }
}

fn launch(
    action: &Action,
    root: &Directory,
    (room, scratch, upper): (&Path, &Path, Upper),
    stdio: [Option<std::os::fd::OwnedFd>; 3],
) -> Result<sandbox::Running, ActionError> {
    let caller = Caller::of_process(Network::Own);
    let inside = (BUILDER.uid, BUILDER.gid);
    let furniture = Furniture {
        namespaces: caller.namespaces,
        ids: Ids { inside, outside: caller.ids },
        room,
        root,
        scratch,
        upper,
        writable: Writable::All,
        hostname: "workshop",
        workdir: &action.workdir,
        given: Vec::new(),
        mounted: Vec::new(),
        console: None,
    };
    let steps = furnish::steps(furniture).map_err(ActionError::Nul)?;
    let variables = action.env.iter().map(|(name, value)| format!("{name}={value}"));
    let name = action.argv.first().cloned().unwrap_or_default();
    let path = action.env.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    let program = Program {
        candidates: strings(candidates(&name, path, &action.workdir)).map_err(ActionError::Nul)?,
        arguments: Vector::of(strings(action.argv.clone()).map_err(ActionError::Nul)?),
        environment: Vector::of(strings(variables).map_err(ActionError::Nul)?),
        workdir: CString::new(action.workdir.as_str()).expect("an image path holds no NUL"),
        stdio,
        terminal: None,
        identity: caller.identity(inside.0, inside.1),
        capabilities: CapabilitySet::empty(),
        limits: vec![
            (Resource::Core, 0),
            (Resource::Fsize, action.limits.output_bytes),
            (Resource::Nproc, action.limits.processes),
        ],
        filter: Some(Filter::for_strangers()),
    };
    let launch = Launch { namespaces: caller.namespaces, steps, program };
    sandbox::launch(launch, Signals::Kept).map_err(|error| explained(error, name))
}

fn explained(error: LaunchError, program: String) -> ActionError {
    match error {
        LaunchError::Refused(errno) => Unavailable::of("new namespaces", errno).into(),
        LaunchError::Step { what, errno } if is_refusal(errno) => {
            Unavailable::of(&format!("to {what}"), errno).into()
        }
        LaunchError::Step { what, errno } => ActionError::Setup { what, source: errno.into() },
        LaunchError::Unfiltered(errno) => Unavailable::of("to filter system calls", errno).into(),
        LaunchError::Workdir(errno) => {
            ActionError::Setup { what: "enter the working directory".to_owned(), source: errno.into() }
        }
        LaunchError::Execute(errno) => ActionError::Start { program, source: errno.into() },
        LaunchError::Interpreter => ActionError::Start { program, source: Errno::NOENT.into() },
    }
}

fn unsealed(action: &Action, store: &Store, root: &Tree) -> Result<Outcome, ActionError> {
    let scratch: Scratch = store.scratch()?;
    let room = scratch.path().join("root");
    store.write_tree(root, &room, minke_cas::Ownership::Caller)?;
    let name = action.argv.first().cloned().unwrap_or_default();
    let missing = || LoaderError::Missing { room: room.clone(), path: ImagePath::root() };
    let program: ImagePath = name.parse().map_err(|_| missing())?;
    let mut command = Loaded::in_room(&room, &program)?.command();
    command.args(action.argv.iter().skip(1)).envs(&action.env).stdin(Stdio::null());
    command.current_dir(room.join(action.workdir.relative()));
    let start = |source| ActionError::Start { program: name.clone(), source };
    let job = Job::merged(command, action.limits.wall, Kill::Group).map_err(start)?;
    let (ending, log) = job.finish().map_err(start)?;
    let status = match ending {
        Ending::TimedOut => Status::TimedOut,
        Ending::Exited(status) => Status::Exited(exit_code(status)),
    };
    outcome(action, store, (&room, status, log.into_bytes()))
}

fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(125);
    u8::try_from(code & 0xff).expect("masked to eight bits")
}

fn outcome(
    action: &Action,
    store: &Store,
    (made, status, log): (&PathBuf, Status, Vec<u8>),
) -> Result<Outcome, ActionError> {
    let outputs = outputs::collect(store, made, (&action.outputs, action.limits.output_bytes))?;
    Ok(Outcome { status, log: String::from_utf8_lossy(&log).into_owned(), outputs })
}
