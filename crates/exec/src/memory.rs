//! What this process keeps of the memory that it has freed.
//!
//! glibc's allocator has eight heaps for each core, and never gives back what lies below anything that is still used; by and by
//! it takes even buffers of many megabytes from these heaps. A build of large wheels held twice of what it used that way.
//!
//! Spec: mallopt(3), <https://man7.org/linux/man-pages/man3/mallopt.3.html>

use std::num::NonZeroUsize;

use crate::sandbox::raw;

/// From how many bytes on a buffer is mapped by itself, and unmapped when it is freed.
const MAPPED: i32 = 256 * 1024;

/// How many freed bytes may lie at the end of a heap.
const AT_END: i32 = 1024 * 1024;

/// Has freed memory go back to the system early, while at most `threads` allocate at once. Does nothing with other
/// allocators than glibc's.
pub fn keep_little(threads: NonZeroUsize) {
    let heaps = i32::try_from(threads.get()).unwrap_or(i32::MAX).max(2);
    raw::tune_allocator([MAPPED, AT_END, heaps]);
}

/// Gives back what is freed by now.
pub fn give_back() {
    raw::trim_heaps();
}

/// Returns the bytes of a process that are in memory and no file's.
#[cfg(test)]
pub(crate) fn held(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    fn held() -> u64 {
        super::held(std::process::id())
    }

    #[test]
    fn what_is_freed_below_something_used_goes_back() {
        const BYTES: usize = 64 << 20;
        keep_little(NonZeroUsize::MIN);
        let before = held();
        let small: Vec<Vec<u8>> = (0..BYTES / 4096).map(|_| vec![1; 4096]).collect();
        assert!(held() > before + BYTES as u64 / 2);
        let above = vec![1_u8; 4096];
        drop(small);
        give_back();
        assert!(held() < before + BYTES as u64 / 4, "{} are held of {BYTES}", held() - before);
        drop(above);
    }
}
