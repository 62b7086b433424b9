//! Watches a room until it ends, or ends it when it takes more than it may.
//!
//! The kernel enforces little of this by itself: a limit of address space breaks compilers, which reserve
//! much and use little, and control groups are seldom an ordinary user's. So what a room uses is looked at
//! often, and the room is killed as a whole; between two looks it can take more.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::action::{Limit, Limits, Status};
use crate::census::{Census, descendants, machine_memory_bytes};
use crate::sandbox::Running;
use crate::usage::Usage;

/// How often memory and processes are looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(50);

/// How often the disk is.
const DISK_LOOK: Duration = Duration::from_millis(100);

/// A second look at memory that is too much: a process that is being started shares all with its parent.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// How long a room may have as many processes as it can; what doesn't get one gives up sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until a room ends; kills it when it exceeds a limit.
pub(crate) fn until_end(running: Running, limits: &Limits, directory: &Path) -> Status {
    let over = AtomicBool::new(false);
    let init = running.pid();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let disk = scope.spawn(|| {
            let processes = || descendants(init, limits.processes);
            watch_disk((directory, limits.disk_bytes), processes, (&over, &ended));
        });
        let status = watch_memory(running, limits, &over);
        ended.store(true, Ordering::SeqCst);
        disk.thread().unpark();
        status
    })
}

fn watch_memory(running: Running, limits: &Limits, disk: &AtomicBool) -> Status {
    let start = Instant::now();
    let mut crowded: Option<Instant> = None;
    let memory = memory_limit(limits);
    loop {
        let left = limits.wall.saturating_sub(start.elapsed());
        if running.ends_within(left.min(MEMORY_LOOK)) {
            return Status::Exited(running.wait());
        }
        let census = Census::below(running.pid(), limits.processes);
        crowded = crowded.filter(|_| census.threads >= full(limits));
        let limit = if left.is_zero() {
            Limit::Wall(limits.wall)
        } else if disk.load(Ordering::SeqCst) {
            Limit::Disk { bytes: limits.disk_bytes }
        } else if exceeds(&running, &census, memory) {
            Limit::Memory { bytes: memory }
        } else if census.threads > limits.processes
            || (census.threads >= full(limits)
                && crowded.get_or_insert_with(Instant::now).elapsed() > PATIENCE)
        {
            Limit::Processes { count: limits.processes }
        } else {
            continue;
        };
        // Killed as it is dropped.
        drop(running);
        return Status::Stopped(limit);
    }
}

/// The kernel counts the room's init too, where it is of the same user.
fn full(limits: &Limits) -> u64 {
    limits.processes.saturating_sub(1).max(1)
}

/// What is wanted, or a good part of what there is: the machine is not the room's alone.
fn memory_limit(limits: &Limits) -> u64 {
    let here = machine_memory_bytes().map_or(u64::MAX, |bytes| bytes / 8 * 7);
    limits.memory_bytes.min(here)
}

fn exceeds(running: &Running, census: &Census, limit: u64) -> bool {
    let above = |census: &Census| census.memory_bytes > limit && census.shared_memory_bytes() > limit;
    above(census) && !running.ends_within(SECOND_LOOK) && above(&Census::below(running.pid(), u64::MAX))
}

fn watch_disk(
    (directory, limit): (&Path, u64),
    processes: impl Fn() -> Vec<u32>,
    (over, ended): (&AtomicBool, &AtomicBool),
) {
    // A file system that tells nothing of itself fills up without us.
    let Ok(mut usage) = Usage::of(directory, limit) else { return };
    while !ended.load(Ordering::SeqCst) {
        std::thread::park_timeout(DISK_LOOK);
        if usage.exceeded(&processes, ended).unwrap_or(false) {
            over.store(true, Ordering::SeqCst);
            return;
        }
    }
}
