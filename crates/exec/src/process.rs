//! Children that cannot run for ever and cannot fill the memory with what they say.
//!
//! Every process that is not in a room of its own ([`crate::sandbox`]) is started here.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::sandbox::die_with_caller;

/// How much of what a child says on stderr is kept: its end.
const TAIL_BYTES: usize = 64 * 1024;

/// How long stderr is waited for when the child itself is gone but something it started holds it open.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// Who is killed when the time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kill {
    /// The child alone; it stays in our process group, where the terminal's Ctrl-C reaches it.
    Child,
    /// The child and all that it forked, in a process group of their own.
    Group,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed when its time was over.
    TimedOut,
}

/// A child under a time limit, whose stderr is being read; dropped before [`Job::finish`], it is killed.
///
/// It doesn't outlive the thread that has started it, not even where this process is killed: that thread must be
/// the one to finish it.
pub(crate) struct Job {
    child: Child,
    pid: Pid,
    kill: Kill,
    stderr: Receiver<Vec<u8>>,
    watchdog: Option<Watchdog>,
}

struct Watchdog {
    stop: Sender<()>,
    /// Returns whether it had to kill.
    thread: JoinHandle<bool>,
}

impl Job {
    /// Starts a command; stdin and stdout are as the caller has set them.
    pub(crate) fn start(command: &mut Command, limit: Duration, kill: Kill) -> io::Result<Self> {
        if kill == Kill::Group {
            command.process_group(0);
        }
        die_with_caller(command);
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = tail_of(child.stderr.take().expect("stderr was asked for"));
        Ok(Self::watched(child, stderr, (limit, kill)))
    }

    /// Starts a command whose stdout is kept with its stderr, in the order in which it is said.
    pub(crate) fn merged(mut command: Command, limit: Duration, kill: Kill) -> io::Result<Self> {
        if kill == Kill::Group {
            command.process_group(0);
        }
        die_with_caller(&mut command);
        let (reader, writer) = io::pipe()?;
        let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        // It holds the writing ends, and as long as they are open the end isn't reached.
        drop(command);
        Ok(Self::watched(child, tail_of(reader), (limit, kill)))
    }

    fn watched(child: Child, stderr: Receiver<Vec<u8>>, (limit, kill): (Duration, Kill)) -> Self {
        let pid = Pid::from_child(&child);
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || watch(pid, kill, limit, &stopped));
        Self { child, pid, kill, stderr, watchdog: Some(Watchdog { stop, thread }) }
    }

    /// Returns the child, for its stdin and stdout.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end; returns it with the end of what was said on stderr.
    pub(crate) fn finish(mut self) -> io::Result<(Ending, String)> {
        let (fired, status) = self.reap()?;
        let tail = self.stderr.recv_timeout(STDERR_GRACE).unwrap_or_default();
        let ending = if fired { Ending::TimedOut } else { Ending::Exited(status) };
        Ok((ending, String::from_utf8_lossy(&tail).into_owned()))
    }

    fn reap(&mut self) -> io::Result<(bool, ExitStatus)> {
        // Looked at and not reaped yet: while the watchdog may kill, the pid must remain the child's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(self.pid), options))?;
        let fired = self.watchdog.take().is_some_and(|watchdog| {
            // It may have ended already.
            let _ = watchdog.stop.send(());
            watchdog.thread.join().expect("the watchdog doesn't panic")
        });
        Ok((fired, self.child.wait()?))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.watchdog.is_some() {
            end(self.pid, self.kill);
            // There is nobody left to tell.
            let _ = self.reap();
        }
    }
}

fn watch(pid: Pid, kill: Kill, limit: Duration, stopped: &Receiver<()>) -> bool {
    let late = stopped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
    if late {
        end(pid, kill);
    }
    late
}

fn end(pid: Pid, kill: Kill) {
    // What is gone already cannot be killed, which is no fault.
    let _ = match kill {
        Kill::Child => rustix::process::kill_process(pid, Signal::KILL),
        Kill::Group => rustix::process::kill_process_group(pid, Signal::KILL),
    };
}

/// Reads to the end and keeps the last [`TAIL_BYTES`].
pub(crate) fn tail_of(mut reader: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut tail = Vec::new();
        let mut buffer = [0; 8 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => tail.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            }
            if tail.len() > 2 * TAIL_BYTES {
                tail.drain(..tail.len() - TAIL_BYTES);
            }
        }
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
        // Whoever asked may have stopped waiting.
        let _ = sender.send(tail);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    #[test]
    fn the_end_of_stderr_comes_back_with_the_exit_code() {
        let mut command = shell("echo first >&2; echo last >&2; exit 3");
        let job = Job::start(&mut command, Duration::from_secs(60), Kill::Child).unwrap();
        let (ending, stderr) = job.finish().unwrap();
        let Ending::Exited(status) = ending else { panic!("{ending:?}") };
        assert_eq!((status.code(), stderr.as_str()), (Some(3), "first\nlast\n"));
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed_with_all_that_it_started() {
        let start = Instant::now();
        let mut command = shell("sleep 600 & sleep 600");
        let job = Job::start(&mut command, Duration::from_millis(50), Kill::Group).unwrap();
        assert_eq!(job.finish().unwrap().0, Ending::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn what_is_kept_of_a_flood_is_its_end() {
        let mut command = shell("yes 0123456789 | head -c 1000000 >&2; printf end >&2");
        let job = Job::start(&mut command, Duration::from_secs(60), Kill::Child).unwrap();
        let (_, stderr) = job.finish().unwrap();
        assert_eq!((stderr.len(), stderr.ends_with("end")), (TAIL_BYTES, true));
    }
}
