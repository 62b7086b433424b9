//! The memory of this process that the init of a room, a copy of it, would keep.
//!
//! What this process frees or writes anew while the room exists would stay in memory for init alone: buffers of the layers that
//! are compressed meanwhile, of which it never reads a byte.

use std::fs;
use std::ptr::from_ref;

use super::raw;

/// From how many bytes on a piece of memory is worth a system call.
const LARGE: usize = 1 << 20;

/// How many pieces are remembered, the largest first: on the stack, since the heap is among them.
const MOST: usize = 64;

/// Where large pieces of this process's memory lie that its copy has no use for: address and length in bytes.
#[derive(Clone, Copy)]
pub(super) struct Copies([(usize, usize); MOST]);

impl Copies {
    /// Lists them: what is private, writable and no file's, but for what the calling thread stands on.
    ///
    /// Other threads may change the list until the copy is made. It stays right: this thread's stack and variables and what
    /// was loaded of files stay where they are, and that is all that the copy goes on with. Variables of libraries that are
    /// zero at first are no file's either; should they lie beside a large piece, they are zero again, which the four system
    /// calls of an init don't mind.
    pub(super) fn of_process() -> Self {
        let here = 0_u8;
        let needed = [from_ref(&here).addr(), raw::thread_variable().addr()];
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut found: Vec<_> = maps.lines().filter_map(large).collect();
        found.retain(|(start, length)| !needed.iter().any(|at| (*start..start + length).contains(at)));
        found.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        let mut copies = [(0, 0); MOST];
        for (place, piece) in copies.iter_mut().zip(found) {
            *place = piece;
        }
        Self(copies)
    }

    /// Returns them, and places for more.
    pub(super) fn pieces(&self) -> &[(usize, usize)] {
        &self.0
    }

    /// Gives them back; in the copy only, and only once it needs nothing from the heap any more.
    pub(super) fn forget(self) {
        raw::forget_memory(&self);
    }
}

/// Reads a line of `/proc/PID/maps` (proc(5)): `START-END rw-p OFFSET DEVICE INODE NAME`.
fn large(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let is_private = fields.next()? == "rw-p";
    let is_plain = fields.nth(2)? == "0" && matches!(fields.next(), None | Some("[heap]"));
    (is_private && is_plain && end - start >= LARGE).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use rustix::process::{Pid, Signal, WaitOptions};

    use super::super::raw::Cloned;
    use super::*;
    use crate::memory::held;

    #[test]
    fn lines_of_maps_are_read() {
        let anonymous = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 ";
        assert_eq!(large(anonymous), Some((0x7f00_0000_0000, 0x20_0000)));
        assert!(large("55d0c0000000-55d0c0200000 rw-p 00000000 00:00 0    [heap]").is_some());
        for other in [
            "7ffc00000000-7ffc00200000 rw-p 00000000 00:00 0    [stack]",
            "7f0000000000-7f0000200000 rw-s 00000000 00:00 0 ",
            "7f0000000000-7f0000200000 r--p 00000000 00:00 0 ",
            "7f0000000000-7f0000200000 rw-p 00000000 fe:01 42    /usr/lib/libtoy.so.1",
            "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ",
            "nonsense",
        ] {
            assert_eq!(large(other), None, "{other}");
        }
    }

    #[test]
    fn a_copy_keeps_none_of_the_buffers_and_goes_on() {
        const BYTES: usize = 64 << 20;
        let buffer = vec![1_u8; BYTES];
        let copies = Copies::of_process();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let pid = match raw::clone(0).unwrap() {
            Cloned::Child => {
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                copies.forget();
                let _ = rustix::io::write(&writer, b"!");
                loop {
                    raw::next_signal();
                }
            }
            Cloned::Parent(pid) => pid,
        };
        drop(writer);
        let mut said = [0];
        File::from(reader).read_exact(&mut said).unwrap();
        let kept = held(pid.unsigned_abs());
        let child = Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(child, Signal::KILL).unwrap();
        rustix::process::waitpid(Some(child), WaitOptions::empty()).unwrap();
        assert!(kept < BYTES as u64 / 4, "{kept}");
        assert!(buffer.iter().all(|byte| *byte == 1));
    }
}
