//! Processes with namespaces and a root of their own: the one place that has `unsafe`.
//!
//! ```text
//! this process ──clone──▶ init, PID 1 of the room ──fork──▶ the program
//!      forwards signals       runs the steps, reaps            lowers its rights, executes
//! ```
//!
//! This process may have other threads, so between `clone` and `execve` a child makes system calls and
//! nothing else: all memory is made before (the steps, every path, the argument vectors), and neither a lock
//! nor the allocator is touched afterwards. What a child cannot do, it reports as a number through a pipe.
//!
//! What the room looks like inside is decided by [`crate::furnish`]; here a step is only executed.

mod child;
mod copies;
mod filter;
mod launch;
pub(crate) mod raw;
mod signals;
mod steps;

pub(crate) use filter::Filter;
pub(crate) use launch::{
    Identity, Launch, LaunchError, Namespaces, Network, Program, Running, Signals, launch,
};
pub(crate) use raw::{Vector, die_with_caller};
pub(crate) use signals::WindowSize;
pub(crate) use steps::{Need, Planned, Point, Reach, Slot, Step, Write};
