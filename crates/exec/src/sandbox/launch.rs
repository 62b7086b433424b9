//! Starts a room and waits for its end.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Resource, Signal, WaitId, WaitIdOptions};
use rustix::thread::{CapabilitySet, CpuSet};

use super::child;
use super::copies::Copies;
use super::filter::Filter;
use super::raw::{self, Cloned, Vector};
use super::signals::Forwarding;
use super::steps::{Carried, Planned};

/// Which network a room has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Network {
    /// The caller's.
    Host,
    /// One of its own with nothing in it but a loopback interface.
    Own,
}

/// Which namespaces a room has; mounts, processes, IPC, host name and what is seen of control groups are always
/// its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Namespaces {
    /// The users are the caller's: needs `CAP_SYS_ADMIN`.
    OfCaller { network: Network },
    /// A user namespace too: what an ordinary user can make.
    WithUsers { network: Network },
}

/// Who the program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// Becomes these ids.
    Numbered { uid: u32, gid: u32 },
    /// Is this one already, by the user namespace's map.
    Mapped { uid: u32 },
}

/// The program of a room, as the room sees it.
pub(crate) struct Program {
    /// Paths to try, in order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) arguments: Vector,
    pub(crate) environment: Vector,
    pub(crate) workdir: CString,
    /// What stdin, stdout and stderr become; what isn't given is inherited.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// What becomes the controlling terminal.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) identity: Identity,
    /// What the superuser keeps; others have none but could gain no more than these.
    pub(crate) capabilities: CapabilitySet,
    /// What it and what it starts may have, at most; less where this process may have less.
    pub(crate) limits: Vec<(Resource, u64)>,
    /// What it does to be itself in a user namespace of its own, where the kernel counts its processes and not
    /// those of other rooms; nothing if it needs none.
    pub(crate) own_users: Vec<Planned>,
    /// Which cores it starts on: all that this process may use, or these.
    pub(crate) cpus: Option<CpuSet>,
    /// Which system calls it may make: all, or what the filter lets through.
    pub(crate) filter: Option<Filter>,
}

/// All that is needed to start a room.
pub(crate) struct Launch {
    pub(crate) namespaces: Namespaces,
    pub(crate) steps: Vec<Planned>,
    pub(crate) program: Program,
}

/// A room did not get as far as executing its program.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// The namespaces were refused.
    Refused(Errno),
    /// A step failed; the text is what it does.
    Step { what: String, errno: Errno },
    /// The program's system calls cannot be filtered.
    Unfiltered(Errno),
    /// The working directory cannot be entered.
    Workdir(Errno),
    /// The program cannot be executed.
    Execute(Errno),
    /// The program's own interpreter, the loader or what its first line names, is missing.
    Interpreter,
}

/// What a child was doing when it gave up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Prepare,
    Terminal,
    Rights,
    Workdir,
    Execute,
    Interpreter,
    Filter,
    Step(usize),
}

/// What a child writes into the pipe when it gives up.
pub(super) struct Report {
    pub(super) stage: Stage,
    pub(super) errno: Errno,
}

impl Program {
    /// Tells whether the program is the room's user 0.
    pub(super) fn superuser(&self) -> bool {
        matches!(self.identity, Identity::Numbered { uid: 0, .. } | Identity::Mapped { uid: 0 })
    }
}

impl Vector {
    /// Copies strings for `execve`.
    pub(crate) fn of(strings: impl IntoIterator<Item = CString>) -> Self {
        Self::new(strings.into_iter().collect())
    }
}

impl Namespaces {
    fn flags(self) -> libc::c_int {
        let always = libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        let (users, network) = match self {
            Self::OfCaller { network } => (0, network),
            Self::WithUsers { network } => (libc::CLONE_NEWUSER, network),
        };
        let network = match network {
            Network::Host => 0,
            Network::Own => libc::CLONE_NEWNET,
        };
        always | users | network
    }
}

impl Report {
    const SIZE: usize = 8;
    const FIRST_STEP: u32 = 16;

    pub(super) fn to_bytes(&self) -> [u8; Self::SIZE] {
        let stage = match self.stage {
            Stage::Prepare => 0,
            Stage::Terminal => 1,
            Stage::Rights => 2,
            Stage::Workdir => 3,
            Stage::Execute => 4,
            Stage::Interpreter => 5,
            Stage::Filter => 6,
            Stage::Step(index) => Self::FIRST_STEP + index as u32,
        };
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&stage.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.errno.raw_os_error().to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [stage, errno] = [0, 4]
            .map(|at| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes")));
        let stage = match stage {
            0 => Stage::Prepare,
            1 => Stage::Terminal,
            2 => Stage::Rights,
            3 => Stage::Workdir,
            4 => Stage::Execute,
            5 => Stage::Interpreter,
            6 => Stage::Filter,
            step => Stage::Step((step - Self::FIRST_STEP) as usize),
        };
        Self { stage, errno: Errno::from_raw_os_error(errno as i32) }
    }

    fn into_error(self, steps: &[Planned]) -> LaunchError {
        let errno = self.errno;
        let step = |what: &str| LaunchError::Step { what: what.to_owned(), errno };
        match self.stage {
            Stage::Prepare => step("prepare the room's first process"),
            Stage::Terminal => step("give the program its terminal"),
            Stage::Rights => step("lower the program's rights"),
            Stage::Workdir => LaunchError::Workdir(errno),
            Stage::Execute => LaunchError::Execute(errno),
            Stage::Interpreter => LaunchError::Interpreter,
            Stage::Filter => LaunchError::Unfiltered(errno),
            Stage::Step(index) => step(steps.get(index).map_or("furnish the room", |step| &step.what)),
        }
    }
}

/// A room whose program runs; dropped before [`Running::wait`], it is killed with all that is in it.
pub(crate) struct Running {
    pid: Pid,
    reaped: bool,
    _forwarding: Option<Forwarding>,
}

/// Whether this process's signals go to a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signals {
    /// They do, as if they had been sent to the program.
    Forwarded,
    /// They don't; the room dies with the thread that started it.
    Kept,
}

/// Starts a room and returns when its program is executed.
///
/// The room is killed when the calling thread ends.
pub(crate) fn launch(launch: Launch, signals: Signals) -> Result<Running, LaunchError> {
    let pipe = |errno| LaunchError::Step { what: "make a pipe".to_owned(), errno };
    let (listener, report) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(pipe)?;
    let carried = Carried::room_for(&launch.steps);
    let copies = Copies::of_process();
    // The child inherits the mask, so that no handler of this process ever runs in it.
    let mask = raw::block_signals();
    let cloned = raw::clone(launch.namespaces.flags());
    let pid = match cloned {
        Ok(Cloned::Child) => child::init(&launch, &carried, copies, (&report, listener)),
        Ok(Cloned::Parent(pid)) => Pid::from_raw(pid).expect("a child's pid isn't 0"),
        Err(errno) => {
            raw::restore_signals(mask);
            return Err(LaunchError::Refused(errno));
        }
    };
    let forwarding = (signals == Signals::Forwarded).then(|| Forwarding::to(pid));
    raw::restore_signals(mask);
    let running = Running { pid, reaped: false, _forwarding: forwarding };
    drop(report);
    let mut bytes = [0; Report::SIZE];
    match std::fs::File::from(listener).read_exact(&mut bytes) {
        Ok(()) => Err(Report::from_bytes(bytes).into_error(&launch.steps)),
        // The pipe was closed by `execve`.
        Err(_) => Ok(running),
    }
}

impl Running {
    /// Waits until the room's init has ended; returns its exit code, or 128 and the number of a signal.
    pub(crate) fn wait(mut self) -> u8 {
        self.reap()
    }

    /// Returns the process id of the room's init, as this process sees it.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the room's init has ended, but not longer than this; tells whether it has.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        // Where it cannot be watched, waiting for it is all that can be done.
        self.poll(limit).unwrap_or(true)
    }

    /// Returns a descriptor that can be read when the room has ended.
    pub(crate) fn watched(&self) -> Result<OwnedFd, Errno> {
        rustix::process::pidfd_open(self.pid, PidfdFlags::empty())
    }

    fn poll(&self, limit: Duration) -> Result<bool, Errno> {
        let watched = self.watched()?;
        let end = std::time::Instant::now() + limit;
        loop {
            let rest = end.saturating_duration_since(std::time::Instant::now());
            let rest = Timespec::try_from(rest).map_err(|_| Errno::INVAL)?;
            match rustix::event::poll(
                &mut [PollFd::from_borrowed_fd(watched.as_fd(), PollFlags::IN)],
                Some(&rest),
            ) {
                Err(Errno::INTR) => {}
                polled => return polled.map(|count| count > 0),
            }
        }
    }

    fn reap(&mut self) -> u8 {
        self.reaped = true;
        let wait = || rustix::process::waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED);
        let status = rustix::io::retry_on_intr(wait).ok().flatten();
        let code = status.map_or(125, |status| {
            status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(125)
        });
        u8::try_from(code & 0xff).expect("masked to eight bits")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(self.pid, Signal::KILL);
            self.reap();
        }
    }
}
