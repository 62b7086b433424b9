//! The two processes of a room: its init, and the program before it is executed.
//!
//! Only system calls from here on; see [`crate::sandbox`].

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Rlimit, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::copies::Copies;
use super::launch::{Identity, Launch, Namespaces, Report, Stage};
use super::raw::{self, Cloned};
use super::steps::{self, Carried, Need};

/// The kernel has 41 capabilities; what it doesn't know, it refuses to drop, which does no harm.
const CAPABILITIES: u32 = 64;

/// Why a child gave up: what it was doing, and what the system said.
type Failed = (Stage, Errno);

/// Is the room's PID 1: furnishes it, starts the program, and ends with its exit code.
pub(super) fn init(
    launch: &Launch,
    carried: &Carried,
    copies: Copies,
    (report, listener): (&OwnedFd, OwnedFd),
) -> ! {
    drop(listener);
    let program =
        furnish(launch, carried, report.as_fd()).and_then(|()| start(launch, carried, report.as_fd()));
    match program {
        Ok(program) => {
            // Whoever reads our output must see its end when the program closes it.
            raw::close_from(0, 0);
            lower_init(launch);
            // The last that lies on the heap was what it is launched with.
            copies.forget();
            reap(program)
        }
        Err(failed) => give_up(report.as_fd(), failed),
    }
}

fn furnish(launch: &Launch, carried: &Carried, report: BorrowedFd<'_>) -> Result<(), Failed> {
    let prepare = |result: Result<(), Errno>| result.map_err(|errno| (Stage::Prepare, errno));
    prepare(rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
    // The parent may have died before that: then nobody holds the other end of the pipe.
    let mut ends = [PollFd::new(&report, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    prepare(rustix::event::poll(&mut ends, Some(&now)).map(|_| ()))?;
    if ends[0].revents().contains(PollFlags::ERR) {
        raw::exit(1);
    }
    prepare(rustix::process::setsid().map(|_| ()))?;
    for (index, planned) in launch.steps.iter().enumerate() {
        match (steps::execute(&planned.step, carried), planned.need) {
            (Ok(()), _) | (Err(_), Need::May) => {}
            (Err(errno), Need::Must) => return Err((Stage::Step(index), errno)),
        }
    }
    Ok(())
}

/// Forks the program off and returns its process id in the room.
fn start(launch: &Launch, carried: &Carried, report: BorrowedFd<'_>) -> Result<i32, Failed> {
    match raw::clone(0) {
        Ok(Cloned::Parent(pid)) => Ok(pid),
        Ok(Cloned::Child) => {
            let failed = become_program(launch, carried);
            give_up(report, failed)
        }
        Err(errno) => Err((Stage::Prepare, errno)),
    }
}

fn become_program(launch: &Launch, carried: &Carried) -> Failed {
    let program = &launch.program;
    if let Err(errno) = attach_terminal(launch) {
        return (Stage::Terminal, errno);
    }
    if let Err(errno) = lower_program(launch, carried) {
        return (Stage::Rights, errno);
    }
    if let Err(errno) = rustix::process::chdir(&program.workdir) {
        return (Stage::Workdir, errno);
    }
    // The environment of the room begins here: neither descriptors nor handlers nor a mask of ours.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    raw::close_from(3, libc::CLOSE_RANGE_CLOEXEC);
    raw::default_signals();
    if let Some(filter) = &program.filter
        && let Err(errno) = raw::filter_calls(filter.code())
    {
        return (Stage::Filter, errno);
    }
    let mut denied = None;
    for candidate in &program.candidates {
        let errno = raw::execute(candidate, &program.arguments, &program.environment);
        match errno {
            Errno::NOENT | Errno::NOTDIR => {
                // A program whose own interpreter is missing is there, but looks as if it weren't.
                if rustix::fs::access(candidate, rustix::fs::Access::EXISTS).is_ok() {
                    return (Stage::Interpreter, errno);
                }
            }
            Errno::ACCESS => denied = Some(errno),
            errno => return (Stage::Execute, errno),
        }
    }
    (Stage::Execute, denied.unwrap_or(Errno::NOENT))
}

fn attach_terminal(launch: &Launch) -> Result<(), Errno> {
    let program = &launch.program;
    rustix::process::setsid()?;
    if let Some(terminal) = &program.terminal {
        rustix::process::ioctl_tiocsctty(terminal)?;
    }
    for (place, replaced) in (0..).zip(&program.stdio) {
        if let Some(fd) = replaced {
            raw::duplicate_to(fd.as_raw_fd(), place)?;
        }
    }
    Ok(())
}

fn lower_program(launch: &Launch, carried: &Carried) -> Result<(), Errno> {
    let program = &launch.program;
    raw::own_keyring();
    drop_bounding(program.capabilities);
    if let Identity::Numbered { uid, gid } = program.identity {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::thread::set_thread_groups(&[gid])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    if !program.own_users.is_empty() && raw::new_users().is_ok() {
        own_users(launch, carried)?;
    }
    // After that, so that they are the room's and not what all processes of this user may have together.
    for (resource, most) in &program.limits {
        let most = rustix::process::getrlimit(*resource).maximum.map_or(*most, |there| there.min(*most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(*resource, limit)?;
    }
    if let Some(cpus) = &program.cpus {
        // A core may have been switched off meanwhile, and then any will do.
        let _ = rustix::thread::sched_setaffinity(None, cpus);
    }
    // Not to be had any more once the user id has left 0, and then there is nothing to lower.
    if program.superuser() || matches!(program.identity, Identity::Mapped { .. }) {
        let kept = if program.superuser() { program.capabilities } else { CapabilitySet::empty() };
        hold(kept)?;
    }
    rustix::thread::set_no_new_privs(true)
}

/// Becomes the only user of the namespace that was just made, with no rights in it.
fn own_users(launch: &Launch, carried: &Carried) -> Result<(), Errno> {
    // What isn't dumpable belongs to root in `/proc`; nobody else is in the room yet.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    for planned in &launch.program.own_users {
        match (steps::execute(&planned.step, carried), planned.need) {
            (Ok(()), _) | (Err(_), Need::May) => {}
            (Err(errno), Need::Must) => return Err(errno),
        }
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    drop_bounding(launch.program.capabilities);
    hold(CapabilitySet::empty())
}

fn drop_bounding(kept: CapabilitySet) {
    for capability in (0..CAPABILITIES).filter(|bit| kept.bits() & (1 << bit) == 0) {
        raw::drop_bounding(capability);
    }
}

/// Leaves init with what it needs to pass signals on, and hides its memory, a copy of ours, from the room.
fn lower_init(launch: &Launch) {
    let kept = match launch.namespaces {
        Namespaces::OfCaller { .. } => CapabilitySet::KILL,
        Namespaces::WithUsers { .. } => CapabilitySet::empty(),
    };
    // Both fail nowhere that is known; and a room whose init can do too much is still a room.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = hold(kept);
}

fn hold(kept: CapabilitySet) -> Result<(), Errno> {
    let inheritable = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
}

/// Waits for everything that ends in the room, and ends with the program, which ends the room.
fn reap(program: i32) -> ! {
    loop {
        match raw::next_signal() {
            libc::SIGCHLD => {}
            signal => {
                raw::send_signal(program, signal);
                continue;
            }
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() != program {
                continue;
            }
            let by_signal = || status.terminating_signal().map_or(125, |signal| 128 + signal);
            raw::exit(status.exit_status().unwrap_or_else(by_signal));
        }
    }
}

fn give_up(report: BorrowedFd<'_>, (stage, errno): Failed) -> ! {
    // If nobody listens any more, nobody needs to know.
    let _ = rustix::io::write(report, &Report { stage, errno }.to_bytes());
    raw::exit(125)
}
