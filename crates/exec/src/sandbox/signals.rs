//! Passes this process's signals on to the rooms that it waits for.
//!
//! A handler is the process's, not a thread's, so that they are shared: installed with the first room,
//! put back with the last.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use super::raw;

/// How many rooms can have signals passed on at the same time; one is the rule, tests have more.
const ROOMS: usize = 64;

/// What is passed on; SIGKILL and SIGSTOP cannot be, and a stopped `minke` leaves the room running.
const PASSED: [c_int; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

static CHILDREN: [AtomicI32; ROOMS] = [const { AtomicI32::new(0) }; ROOMS];
static USERS: Mutex<Option<Installed>> = Mutex::new(None);

static OUTSIDE: AtomicI32 = AtomicI32::new(-1);
static INSIDE: AtomicI32 = AtomicI32::new(-1);

struct Installed {
    count: usize,
    before: Vec<(c_int, libc::sigaction)>,
}

/// As long as it lives, one room gets this process's signals.
pub(crate) struct Forwarding {
    slot: Option<usize>,
}

impl Forwarding {
    pub(super) fn to(pid: Pid) -> Self {
        let pid = pid.as_raw_nonzero().get();
        let free =
            |slot: &AtomicI32| slot.compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let slot = CHILDREN.iter().position(free);
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = || PASSED.iter().map(|signal| (*signal, raw::handle(*signal, pass))).collect();
        users.get_or_insert_with(|| Installed { count: 0, before: before() }).count += 1;
        Self { slot }
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            CHILDREN[slot].store(0, Ordering::SeqCst);
        }
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(installed) = users.as_mut() else { return };
        installed.count -= 1;
        if installed.count == 0 {
            for (signal, before) in &installed.before {
                raw::unhandle(*signal, before);
            }
            *users = None;
        }
    }
}

extern "C" fn pass(signal: c_int) {
    for pid in CHILDREN.iter().map(|slot| slot.load(Ordering::SeqCst)).filter(|pid| *pid > 0) {
        raw::send_signal(pid, signal);
    }
}

/// As long as it lives, a room's terminal has the window size of ours; there is one such room at a time.
pub(crate) struct WindowSize {
    before: libc::sigaction,
}

impl WindowSize {
    /// Sets the size now and whenever ours changes; both descriptors outlive the value.
    pub(crate) fn follow(outside: BorrowedFd<'_>, inside: BorrowedFd<'_>) -> Self {
        OUTSIDE.store(outside.as_raw_fd(), Ordering::SeqCst);
        INSIDE.store(inside.as_raw_fd(), Ordering::SeqCst);
        let before = raw::handle(libc::SIGWINCH, resize);
        raw::copy_window_size(outside.as_raw_fd(), inside.as_raw_fd());
        Self { before }
    }
}

impl Drop for WindowSize {
    fn drop(&mut self) {
        raw::unhandle(libc::SIGWINCH, &self.before);
        OUTSIDE.store(-1, Ordering::SeqCst);
        INSIDE.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn resize(_: c_int) {
    raw::copy_window_size(OUTSIDE.load(Ordering::SeqCst), INSIDE.load(Ordering::SeqCst));
}
