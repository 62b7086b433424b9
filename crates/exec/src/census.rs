//! Counts the processes of a room, and their memory, from outside.
//!
//! Memory is what a process alone keeps: anonymous and shared pages, what of them is swapped out, and the tables
//! that lead to them; files that are mapped can be dropped by the kernel at any time. What many share is counted
//! for each at first, and in parts only where the sum matters, because that is dear.
//!
//! Spec: <https://www.kernel.org/doc/html/v6.12/filesystems/proc.html>

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::process::Pid;

/// What the processes of a room use together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Census {
    /// Its processes, without its init, whose memory is a copy of ours.
    pub(crate) processes: Vec<u32>,
    /// How many threads they have.
    pub(crate) threads: u64,
    /// At most this many bytes.
    pub(crate) memory_bytes: u64,
}

impl Census {
    /// Counts the processes below a room's init; what ends meanwhile isn't counted.
    ///
    /// Of more than `most` it counts no further, and no memory: among thousands that want the processor as much
    /// as we do, every look at one costs.
    pub(crate) fn below(init: Pid, most: u64) -> Self {
        let mut census = Self { processes: descendants(init, most), ..Self::default() };
        if census.processes.len() as u64 > most {
            census.threads = census.processes.len() as u64;
            return census;
        }
        for status in census.processes.iter().filter_map(|pid| read(*pid, "status")) {
            census.threads += field(&status, "Threads:");
            census.memory_bytes += kept(&status);
        }
        census
    }

    /// Counts the memory again, what is shared only once.
    pub(crate) fn shared_memory_bytes(&self) -> u64 {
        let process = |pid: &u32| {
            let status = read(*pid, "status")?;
            let tables = kibibytes(&status, &["VmPTE:"]);
            match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
                Ok(rollup) => Some(tables + kibibytes(&rollup, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"])),
                // What may not be looked into counts as a whole; what is gone has no memory.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(kept(&status)),
                Err(_) => None,
            }
        };
        self.processes.iter().filter_map(process).sum()
    }
}

/// Returns how much memory this machine has.
pub(crate) fn machine_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(kibibytes(&text, &["MemTotal:"])).filter(|bytes| *bytes > 0)
}

fn kept(status: &str) -> u64 {
    kibibytes(status, &["RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:"])
}

fn kibibytes(text: &str, names: &[&str]) -> u64 {
    names.iter().map(|name| field(text, name)).sum::<u64>().saturating_mul(1024)
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn read(pid: u32, name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}")).ok()
}

/// Returns the processes below a room's init, or some more than `most` of them.
pub(crate) fn descendants(init: Pid, most: u64) -> Vec<u32> {
    let init = init.as_raw_nonzero().get().cast_unsigned();
    // A kernel built without the lists of children has parents only.
    if fs::exists(format!("/proc/{init}/task/{init}/children")).unwrap_or(false) {
        closure(init, most, children)
    } else {
        let parents = parents();
        closure(init, most, |pid| parents.get(&pid).cloned().unwrap_or_default())
    }
}

fn closure(init: u32, most: u64, children: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
    let mut found = children(init);
    let mut looked_at = 0;
    while found.len() as u64 <= most {
        let Some(pid) = found.get(looked_at) else { break };
        let below = children(*pid);
        found.extend(below);
        looked_at += 1;
    }
    found
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// All processes that can be seen, by their parents.
fn parents() -> BTreeMap<u32, Vec<u32>> {
    let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return parents };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let stat = read(pid, "stat").unwrap_or_default();
        // The name of the program, in parentheses, may hold anything.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            parents.entry(parent).or_default().push(pid);
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn tree() -> Child {
        let script = "sleep 60 & (sleep 60 & wait) & echo; wait";
        let mut command = Command::new("/bin/sh");
        let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        child
    }

    #[test]
    fn both_ways_find_the_same_processes() {
        let mut child = tree();
        // The subshell forks once more after the line is written.
        let found = loop {
            let mut found = closure(child.id(), 9, children);
            let by_parents = parents();
            let mut other = closure(child.id(), 9, |pid| by_parents.get(&pid).cloned().unwrap_or_default());
            found.sort_unstable();
            other.sort_unstable();
            if found.len() == 3 {
                break (found, other);
            }
        };
        let census = Census::below(Pid::from_child(&child), 9);
        let few = Census::below(Pid::from_child(&child), 1);
        let _ = child.kill();
        for pid in &found.0 {
            let pid = Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
        assert_eq!(found.0, found.1);
        assert_eq!((census.processes.len(), census.threads), (3, 3));
        assert!(census.memory_bytes > 0);
        assert!(few.threads > 1 && few.memory_bytes == 0, "{few:?}");
    }

    #[test]
    fn what_is_shared_counts_once_at_a_second_look() {
        let pid = std::process::id();
        let census = Census { processes: vec![pid], ..Census::default() };
        let status = read(pid, "status").unwrap();
        assert!(census.shared_memory_bytes() > 0);
        assert!(census.shared_memory_bytes() <= kept(&status) + (16 << 20));
        assert!(machine_memory_bytes().unwrap() > kept(&status));
    }
}
