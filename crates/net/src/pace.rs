//! Notices a body that drips.
//!
//! A read time-out alone is satisfied by one byte now and then, for ever.

use std::time::{Duration, Instant};

use crate::Timeouts;

/// Watches how much comes in each stretch of time.
pub(crate) struct Pace {
    stretch: Duration,
    least: u64,
    began: Instant,
    brought: u64,
}

impl Pace {
    pub(crate) fn new(timeouts: &Timeouts) -> Self {
        let least = timeouts.idle.as_secs_f64() * timeouts.slowest_bytes_per_second as f64;
        Self { stretch: timeouts.idle, least: least as u64, began: Instant::now(), brought: 0 }
    }

    /// Counts what came and tells whether it is enough so far.
    pub(crate) fn keeps_up(&mut self, count: usize) -> bool {
        self.brought += count as u64;
        if self.began.elapsed() < self.stretch {
            return true;
        }
        let enough = self.brought >= self.least;
        (self.began, self.brought) = (Instant::now(), 0);
        enough
    }
}
