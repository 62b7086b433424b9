//! Runs an image here, as a container runtime would: `minke run`.
//!
//! As root it runs with the image's own owners; as an ordinary user in a user namespace that maps one user,
//! the image's, to the caller. There every file looks as if it were that user's, so that the image is
//! mounted read-only and only the directories that its user may write to, by the tree's modes and owners,
//! lie below a throw-away layer; a single writable file in a directory that isn't is read-only too.
//!
//! Limits: no seccomp filter, no cgroup, no ports to publish. Nothing that is written survives, except
//! through a bind.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use minke_cas::{ImagePath, Scratch, Store, StoreError, Tree};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::caller::{Caller, candidates, strings};
use crate::furnish::{self, Furniture, Given, Ids, Mounted, Upper, Writable};
use crate::refusal::{Unavailable, is_refusal};
use crate::sandbox::{self, Launch, LaunchError, Point, Program, Signals, Vector, Write};
use crate::terminal::{self, Pty};

/// What runtimes leave the superuser of a container, but for making devices: no cgroup here refuses to open
/// them.
const CAPABILITIES: CapabilitySet = CapabilitySet::from_bits_retain(
    CapabilitySet::CHOWN.bits()
        | CapabilitySet::DAC_OVERRIDE.bits()
        | CapabilitySet::FOWNER.bits()
        | CapabilitySet::FSETID.bits()
        | CapabilitySet::KILL.bits()
        | CapabilitySet::SETGID.bits()
        | CapabilitySet::SETUID.bits()
        | CapabilitySet::SETPCAP.bits()
        | CapabilitySet::SETFCAP.bits()
        | CapabilitySet::NET_BIND_SERVICE.bits()
        | CapabilitySet::NET_RAW.bits()
        | CapabilitySet::SYS_CHROOT.bits()
        | CapabilitySet::AUDIT_WRITE.bits(),
);

/// What `PATH` is where an image doesn't say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that is to be run, and how.
#[derive(Clone, Debug)]
pub struct Container {
    /// The image's files.
    pub root: Tree,
    /// The program and its arguments; a name without a slash is looked for in `PATH`, inside.
    pub argv: Vec<String>,
    /// The environment. `PATH`, `HOME`, `HOSTNAME` and, with a terminal, `TERM` are set where they are missing.
    pub env: BTreeMap<String, String>,
    /// Where the program starts; made if the image hasn't got it.
    pub workdir: ImagePath,
    /// Whom it runs as.
    pub user: User,
    /// The host name inside.
    pub hostname: String,
    /// What of the host's is mounted.
    pub binds: Vec<Bind>,
    /// What may be written.
    pub root_access: RootAccess,
    /// Which network it has.
    pub network: Network,
    /// What its stdin, stdout and stderr are.
    pub terminal: Terminal,
}

/// The user that a container runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The user's id inside.
    pub uid: u32,
    /// The group's id inside.
    pub gid: u32,
    /// What `HOME` is.
    pub home: String,
}

/// A file or directory of the host's inside a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bind {
    /// Where it is here.
    pub host: PathBuf,
    /// Where it is inside.
    pub image: ImagePath,
    /// What may be done with it.
    pub access: Access,
}

/// What may be done with a bind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// What may be written in a container's root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootAccess {
    /// Nothing, not even below `/tmp`.
    ReadOnly,
    /// Only what lies below `/tmp`, a gigabyte at most; it is thrown away.
    Temporary,
    /// What the image's user may write; it is thrown away.
    Writable,
}

/// Which network a container has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// This machine's.
    Host,
    /// None but a loopback interface of its own.
    None,
}

/// What a container's stdin, stdout and stderr are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terminal {
    /// A terminal of its own in place of those that are one of ours: for when stdin is a terminal.
    Attached,
    /// The caller's, as they are.
    Plain,
}

/// How a container ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit {
    code: u8,
}

/// A container could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no program to run.
    #[error("neither the image nor the command line says what to run")]
    NoProgram,
    /// A text cannot be passed to a program.
    #[error("a program's arguments, environment and paths cannot hold a NUL byte")]
    Nul(#[source] NulError),
    /// The host's side of a bind isn't there.
    #[error("cannot mount `{}`", host.display())]
    Bind {
        /// The host's side.
        host: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine doesn't let containers be.
    #[error("cannot make a container")]
    Refused(#[from] Unavailable),
    /// A container could not be furnished.
    #[error("cannot make a container: cannot {what}")]
    Setup {
        /// An infinitive and its object.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory `{path}`")]
    Workdir {
        /// Which.
        path: ImagePath,
        /// What the system said.
        source: io::Error,
    },
    /// The program isn't in the image.
    #[error("`{program}` is not in the image")]
    NotFound {
        /// What was asked for.
        program: String,
    },
    /// The program is there, and what runs it isn't: the loader, or what its first line names.
    #[error("`{program}` cannot run in the image: its interpreter is missing there")]
    NoInterpreter {
        /// What was asked for.
        program: String,
    },
    /// The program is there and cannot be executed.
    #[error("`{program}` cannot be executed")]
    NotExecutable {
        /// What was asked for.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The terminal cannot be used.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    /// The image's files cannot be put in place.
    #[error("cannot put the image's files in place")]
    Store(#[from] StoreError),
}

impl From<Network> for sandbox::Network {
    fn from(network: Network) -> Self {
        match network {
            Network::Host => Self::Host,
            Network::None => Self::Own,
        }
    }
}

impl Exit {
    /// Returns the program's exit code, or 128 and the number of the signal that ended it.
    pub fn code(self) -> u8 {
        self.code
    }
}

impl RunError {
    /// Returns the exit code that container runtimes use: 127 for a program that isn't there, 126 for one that
    /// cannot be executed, 125 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } | Self::NoInterpreter { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

impl Container {
    /// Runs the container until its program has ended.
    ///
    /// Signals that reach this process meanwhile are passed on to the program. The container is killed when
    /// the calling thread ends.
    ///
    /// # Errors
    /// [`RunError`]; a program that fails is no error.
    pub fn run(&self, store: &Store) -> Result<Exit, RunError> {
        if self.argv.is_empty() {
            return Err(RunError::NoProgram);
        }
        let caller = Caller::of_process(self.network.into());
        let room = store.room(&self.root, caller.ownership())?;
        let scratch = store.scratch()?;
        let pty = match self.terminal {
            Terminal::Attached => Some(self.pty(&caller).map_err(RunError::Terminal)?),
            Terminal::Plain => None,
        };
        let steps = self.steps(&caller, (&room, &scratch), pty.as_ref())?;
        let (ours, program) = self.program(&caller, pty)?;
        let launch = Launch { namespaces: caller.namespaces, steps, program };
        let running = sandbox::launch(launch, Signals::Forwarded).map_err(|error| self.explained(error))?;
        // It may run for days, and nothing is read from the store any more.
        store.let_go();
        if let Some(ours) = ours {
            terminal::relay(&ours, &running).map_err(RunError::Terminal)?;
        }
        Ok(Exit { code: running.wait() })
    }

    fn pty(&self, caller: &Caller) -> io::Result<Pty> {
        let pty = Pty::open()?;
        if caller.is_superuser() {
            pty.own(self.user.uid, self.user.gid)?;
        }
        Ok(pty)
    }

    pub(crate) fn steps(
        &self,
        caller: &Caller,
        (room, scratch): (&Path, &Scratch),
        pty: Option<&Pty>,
    ) -> Result<Vec<sandbox::Planned>, RunError> {
        let (uid, gid) = (self.user.uid, self.user.gid);
        let writable = match (self.root_access, caller.is_superuser()) {
            (RootAccess::ReadOnly, _) => Writable::Only(Vec::new()),
            (RootAccess::Temporary, _) => {
                Writable::Only(vec!["/tmp".parse().expect("a literal path is one")])
            }
            (RootAccess::Writable, true) => Writable::All,
            (RootAccess::Writable, false) if uid == 0 => Writable::All,
            (RootAccess::Writable, false) => Writable::Only(furnish::writable_by(&self.root, uid, gid)),
        };
        let furniture = Furniture {
            namespaces: caller.namespaces,
            ids: Ids { inside: (uid, gid), outside: caller.ids },
            room,
            root: self.root.root(),
            scratch: scratch.path(),
            upper: Upper::Memory,
            writable,
            hostname: &self.hostname,
            workdir: &self.workdir,
            given: self.given(),
            mounted: self.binds.iter().map(mounted).collect::<Result<_, _>>()?,
            console: pty.map(|pty| pty.path.clone()),
            shared_memory: "",
            layer: if self.root_access == RootAccess::Temporary { "size=1g,nr_inodes=100k" } else { "" },
        };
        furnish::steps(furniture).map_err(RunError::Nul)
    }

    /// What a runtime puts into every container's `/etc`.
    fn given(&self) -> Vec<Given> {
        let own = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let (resolve, hosts) = match self.network {
            Network::Host => (read("/etc/resolv.conf"), read("/etc/hosts").unwrap_or(own)),
            Network::None => (None, own),
        };
        let hosts = format!("{}\n127.0.0.1\t{}\n", hosts.trim_end(), self.hostname);
        vec![
            Given { path: "/etc/resolv.conf", text: resolve.unwrap_or_default() },
            Given { path: "/etc/hosts", text: hosts },
            Given { path: "/etc/hostname", text: format!("{}\n", self.hostname) },
        ]
    }

    /// Returns our end of the terminal, if there is one, and the program.
    pub(crate) fn program(
        &self,
        caller: &Caller,
        pty: Option<Pty>,
    ) -> Result<(Option<OwnedFd>, Program), RunError> {
        let mut environment = self.env.clone();
        let mut preset = |name: &str, value: &str| {
            environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        };
        preset("PATH", DEFAULT_PATH);
        preset("HOME", &self.user.home);
        preset("HOSTNAME", &self.hostname);
        if pty.is_some() {
            preset("TERM", "xterm");
        }
        let candidates = candidates(&self.argv[0], &environment["PATH"], &self.workdir);
        let stdio = pty.as_ref().map_or(Ok([None, None, None]), Pty::stdio).map_err(RunError::Terminal)?;
        let (ours, theirs) =
            pty.map(Pty::split).map_or((None, None), |(ours, theirs)| (Some(ours), Some(theirs)));
        let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let program = Program {
            candidates: strings(candidates).map_err(RunError::Nul)?,
            arguments: Vector::of(strings(self.argv.clone()).map_err(RunError::Nul)?),
            environment: Vector::of(strings(variables).map_err(RunError::Nul)?),
            workdir: CString::new(self.workdir.as_str()).expect("an image path holds no NUL"),
            stdio,
            terminal: theirs,
            identity: caller.identity(self.user.uid, self.user.gid),
            capabilities: CAPABILITIES,
            limits: Vec::new(),
            own_users: Vec::new(),
            cpus: None,
            filter: None,
        };
        Ok((ours, program))
    }

    pub(crate) fn explained(&self, error: LaunchError) -> RunError {
        let program = self.argv[0].clone();
        match error {
            LaunchError::Refused(errno) => Unavailable::of_namespaces(errno).into(),
            LaunchError::Step { what, errno } if is_refusal(errno) => {
                Unavailable::of(&format!("to {what}"), errno).into()
            }
            LaunchError::Step { what, errno } => RunError::Setup { what, source: errno.into() },
            LaunchError::Unfiltered(errno) => Unavailable::of("to filter system calls", errno).into(),
            LaunchError::Workdir(errno) => {
                RunError::Workdir { path: self.workdir.clone(), source: errno.into() }
            }
            LaunchError::Execute(Errno::NOENT) => RunError::NotFound { program },
            LaunchError::Execute(errno) => RunError::NotExecutable { program, source: errno.into() },
            LaunchError::Interpreter => RunError::NoInterpreter { program },
        }
    }
}

fn mounted(bind: &Bind) -> Result<Mounted, RunError> {
    let refused = |source| RunError::Bind { host: bind.host.clone(), source };
    let source = bind.host.canonicalize().map_err(refused)?;
    let kind = if source.is_dir() { Point::Directory } else { Point::File };
    let write = match bind.access {
        Access::ReadOnly => Write::Refused,
        Access::ReadWrite => Write::Allowed,
    };
    Ok(Mounted { source, target: bind.image.clone(), kind, write })
}
