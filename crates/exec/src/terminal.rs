//! A terminal of the room's own, and ours relayed to it.
//!
//! The room doesn't get our terminal itself: a program that has it could type into it what the shell
//! executes afterwards. Ours is raw meanwhile, so that Ctrl-C and Ctrl-Z go to the room's.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, isatty};

use crate::sandbox::{Running, WindowSize};

/// A pair of terminal ends: what is written to one is read from the other.
pub(crate) struct Pty {
    ours: OwnedFd,
    /// The room's end.
    pub(crate) theirs: OwnedFd,
    /// The room's end as the host sees it.
    pub(crate) path: CString,
}

/// Our terminal in raw mode, as long as it lives.
struct Raw<'fd> {
    terminal: BorrowedFd<'fd>,
    before: Termios,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let path = rustix::pty::ptsname(&ours, Vec::new())?;
        let open = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&path, open, rustix::fs::Mode::empty())?;
        rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok(Self { ours, theirs, path })
    }

    /// Gives the room's end to its user, as `login` does.
    pub(crate) fn own(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        Ok(rustix::fs::fchown(&self.theirs, Some(uid), Some(gid))?)
    }

    /// Returns the room's end for each of stdin, stdout and stderr that is a terminal of ours.
    pub(crate) fn stdio(&self) -> io::Result<[Option<OwnedFd>; 3]> {
        let end = |ours: BorrowedFd<'_>| isatty(ours).then(|| self.theirs.try_clone()).transpose();
        Ok([end(rustix::stdio::stdin())?, end(rustix::stdio::stdout())?, end(rustix::stdio::stderr())?])
    }

    /// Splits the pair: our end stays, the room's goes to the room.
    pub(crate) fn split(self) -> (OwnedFd, OwnedFd) {
        (self.ours, self.theirs)
    }
}

/// Relays between our terminal and the room's until the room has ended.
pub(crate) fn relay(ours: &OwnedFd, running: &Running) -> io::Result<()> {
    let watched = running.watched()?;
    let input = rustix::stdio::stdin();
    let ours_too = [rustix::stdio::stdout(), rustix::stdio::stderr()];
    let output = ours_too.into_iter().find(|end| isatty(end)).unwrap_or(input);
    let _size = WindowSize::follow(input, ours.as_fd());
    let _raw = Raw::set(input)?;
    let mut typed = Vec::new();
    let (mut hung_up, mut at_end) = (false, false);
    loop {
        let reading = if typed.is_empty() && !at_end { PollFlags::IN } else { PollFlags::empty() };
        let writing = if typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let mut ends = vec![PollFd::new(&watched, PollFlags::IN)];
        if !hung_up {
            ends.push(PollFd::new(ours, PollFlags::IN | writing));
        }
        if !reading.is_empty() && !hung_up {
            ends.push(PollFd::from_borrowed_fd(input, reading));
        }
        match rustix::event::poll(&mut ends, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let ready: Vec<PollFlags> = ends.iter().map(PollFd::revents).collect();
        if ready.get(1).is_some_and(|flags| !flags.is_empty()) {
            hung_up = pass_output(ours, output)?;
            pass_input(ours, &mut typed)?;
        }
        if !ready[0].is_empty() {
            pass_output(ours, output)?;
            return Ok(());
        }
        if ready.get(2).is_some_and(|flags| !flags.is_empty()) {
            at_end = !read_typed(input, &mut typed)?;
            pass_input(ours, &mut typed)?;
        }
    }
}

/// Shows what the room has written so far; tells whether nobody in it has its terminal open any more.
fn pass_output(ours: &OwnedFd, output: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match rustix::io::read(ours, &mut buffer) {
            Ok(0) | Err(Errno::IO) => return Ok(true),
            Ok(count) => show(output, &buffer[..count])?,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn show(output: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody else has made the terminal non-blocking.
            Err(Errno::AGAIN) => {
                rustix::event::poll(&mut [PollFd::from_borrowed_fd(output, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes what was typed; tells whether more can come.
fn read_typed(input: BorrowedFd<'_>, typed: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    match rustix::io::read(input, &mut buffer) {
        Ok(0) | Err(Errno::IO) => Ok(false),
        Ok(count) => {
            typed.extend_from_slice(&buffer[..count]);
            Ok(true)
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Gives the room as much of what was typed as it takes now.
fn pass_input(ours: &OwnedFd, typed: &mut Vec<u8>) -> io::Result<()> {
    while !typed.is_empty() {
        match rustix::io::write(ours, typed) {
            Ok(count) => drop(typed.drain(..count)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            // Nobody is there to read it.
            Err(Errno::IO) => typed.clear(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl<'fd> Raw<'fd> {
    fn set(terminal: BorrowedFd<'fd>) -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(terminal, OptionalActions::Drain, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}
