//! This machine's cores, divided between actions that run at the same time.
//!
//! An action gets cores for as long as it runs: it is told their number in the variables that build tools read,
//! and runs on no others, since most tools count by themselves (ninja, cargo, `nproc`) the cores that they may run on. So two
//! cores are never asked for twenty jobs, and what an action had is free again however it ended. What a share
//! has is decided when it is taken: it doesn't grow when others end.
//!
//! Not make's jobserver: its pipe doesn't survive Python's `subprocess`, by which nearly all build backends start
//! make; make before 4.4 doesn't understand it as a named pipe, and ninja before 1.13 in no form.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::thread::CpuSet;

/// What build tools read.
const NUMBERS: [&str; 5] =
    ["CARGO_BUILD_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS", "NPY_NUM_BUILD_JOBS", "PYTHON_CPU_COUNT"];

/// The cores that may be asked for work.
#[derive(Debug)]
pub struct Jobs {
    cores: Mutex<Cores>,
    freed: Condvar,
    kept_to: Cpus,
}

/// Whether it matters which cores a share has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cpus {
    /// An action runs on its own and on no others.
    Own,
    /// It runs wherever the kernel likes.
    Any,
}

#[derive(Debug)]
struct Cores {
    free: BTreeSet<usize>,
    waiting: usize,
}

/// Some cores for one action; they go back when it is dropped.
#[derive(Debug)]
pub struct Share<'a> {
    of: &'a Jobs,
    cores: BTreeSet<usize>,
}

impl Jobs {
    /// Returns the cores that this process may use, but not more than `most`.
    ///
    /// Where a control group allows less time than the cores have, there are as many, and none in particular.
    pub fn of_machine(most: NonZeroUsize) -> Self {
        let set = rustix::thread::sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let cores: BTreeSet<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        let allowed = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if allowed < cores.len() || cores.is_empty() {
            Self::of((0..allowed.min(most.get())).collect(), Cpus::Any)
        } else {
            // From the end: what isn't told where to run begins with the first.
            Self::of(cores.into_iter().rev().take(most.get()).collect(), Cpus::Own)
        }
    }

    fn of(free: BTreeSet<usize>, kept_to: Cpus) -> Self {
        Self { cores: Mutex::new(Cores { free, waiting: 0 }), freed: Condvar::new(), kept_to }
    }

    /// Waits until a core is free and takes it, and more if there are more than others wait for, up to `most`.
    ///
    /// A caller that knows how much else is to be done says so by `most`.
    pub fn share(&self, most: NonZeroUsize) -> Share<'_> {
        let mut cores = self.cores.lock().unwrap_or_else(PoisonError::into_inner);
        cores.waiting += 1;
        while cores.free.is_empty() {
            cores = self.freed.wait(cores).unwrap_or_else(PoisonError::into_inner);
        }
        let count = (cores.free.len() / cores.waiting).clamp(1, most.get());
        cores.waiting -= 1;
        let taken = std::iter::from_fn(|| cores.free.pop_first()).take(count).collect();
        Share { of: self, cores: taken }
    }
}

impl Share<'_> {
    /// Returns how many cores there are.
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// Returns the variables that tell build tools how much to do at once.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, String)> {
        let count = self.count();
        let numbers = NUMBERS.map(|name| (name.to_owned(), count.to_string()));
        numbers.into_iter().chain([("MAKEFLAGS".to_owned(), format!("-j{count}"))])
    }

    /// Returns the cores to keep to, if it matters which.
    pub(crate) fn cpus(&self) -> Option<CpuSet> {
        let mut set = CpuSet::new();
        self.cores.iter().for_each(|core| set.set(*core));
        (self.of.kept_to == Cpus::Own).then_some(set)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut cores = self.of.cores.lock().unwrap_or_else(PoisonError::into_inner);
        cores.free.append(&mut self.cores);
        self.of.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn who_is_alone_gets_all_and_who_says_less_gets_less() {
        let jobs = Jobs::of((0..4).collect(), Cpus::Own);
        assert_eq!(jobs.share(most(9)).count(), 4);
        let first = jobs.share(most(1));
        assert_eq!((first.count(), jobs.share(most(9)).count()), (1, 3));
    }

    #[test]
    fn who_comes_later_waits_and_gets_what_is_given_back() {
        let jobs = Jobs::of((0..2).collect(), Cpus::Own);
        let all = jobs.share(most(9));
        std::thread::scope(|scope| {
            let others = [0; 2].map(|_| scope.spawn(|| jobs.share(most(9))));
            while jobs.cores.lock().unwrap().waiting < 2 {
                std::thread::yield_now();
            }
            drop(all);
            let shares = others.map(|other| other.join().unwrap());
            assert_eq!(shares.each_ref().map(Share::count), [1, 1]);
            assert!(shares[0].cores.is_disjoint(&shares[1].cores));
        });
        assert_eq!(jobs.share(most(9)).count(), 2);
    }

    #[test]
    fn a_machine_has_as_many_as_are_allowed() {
        assert_eq!(Jobs::of_machine(most(1)).share(most(9)).count(), 1);
        let all = std::thread::available_parallelism().unwrap();
        assert_eq!(Jobs::of_machine(most(usize::MAX)).share(most(usize::MAX)).count(), all.get());
    }
}
