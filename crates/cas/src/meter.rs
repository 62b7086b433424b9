//! How far a long piece of work has come.

use std::sync::atomic::{AtomicU64, Ordering};

/// Two counters that a low room adds to and the front desk draws.
///
/// The unit (bytes, files) is said by whoever announces the work.
#[derive(Debug, Default)]
pub struct Meter {
    done: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    /// Counts work that is behind us.
    pub fn advance(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts work that is known to lie ahead.
    pub fn expect(&self, amount: u64) {
        self.total.fetch_add(amount, Ordering::Relaxed);
    }

    /// Returns what is done and what is known to be there in all.
    pub fn reading(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}
