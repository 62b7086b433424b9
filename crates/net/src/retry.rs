//! When a request that failed is made again.
//!
//! Waiting grows from try to try and is spread at random, so that many clients don't come back at once; a
//! server's own `Retry-After` comes first. Besides the front desk this is the only reader of the clock.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use rand::Rng;

/// How often and after which pauses a failed request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How many more tries there are after the first one that brought nothing.
    pub count: u32,
    /// The longest pause before the second try; doubled for each one after it.
    pub first_pause: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest_pause: Duration,
    /// So long after something last came no new try is begun.
    pub longest_in_all: Duration,
}

impl Default for Retries {
    /// Four more tries, up to 0.5 s, 1 s, 2 s and 4 s apart; a server may ask for 30 s; three minutes in all.
    fn default() -> Self {
        Self {
            count: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_in_all: Duration::from_secs(180),
        }
    }
}

/// How a run of tries stands.
pub(crate) struct Tries {
    retries: Retries,
    failed: u32,
    /// When it began, or something last came.
    since: Instant,
}

impl Tries {
    pub(crate) fn new(retries: Retries) -> Self {
        Self { retries, failed: 0, since: Instant::now() }
    }

    /// Forgets the failures so far, because the last try brought something.
    pub(crate) fn progressed(&mut self) {
        (self.failed, self.since) = (0, Instant::now());
    }

    /// Waits before the next try; false if there is none.
    pub(crate) fn wait(&mut self, asked: Option<Duration>) -> bool {
        if self.failed >= self.retries.count {
            return false;
        }
        let longest = self.retries.longest_pause;
        let doubled = self.retries.first_pause.saturating_mul(1 << self.failed.min(16)).min(longest);
        let pause = asked
            .map_or_else(|| doubled.mul_f64(rand::rng().random_range(0.5..=1.0)), |asked| asked.min(longest));
        if self.since.elapsed() + pause > self.retries.longest_in_all {
            return false;
        }
        self.failed += 1;
        thread::sleep(pause);
        true
    }
}

/// Reads a `Retry-After` header: seconds, or a date.
pub(crate) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    until(text, SystemTime::now())
}

fn until(date: &str, now: SystemTime) -> Option<Duration> {
    let date = DateTimeParser::new().parse_timestamp(date).ok()?;
    let now = Timestamp::try_from(now).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(until("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(77)));
        assert_eq!(until("Sun, 06 Nov 1994 08:40:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn tries_end_when_their_time_is_over() {
        let none = Duration::ZERO;
        let retries =
            Retries { count: 9, first_pause: none, longest_pause: none, longest_in_all: Duration::ZERO };
        let mut tries = Tries::new(retries);
        thread::sleep(Duration::from_millis(1));
        assert!(!tries.wait(None));
    }

    #[test]
    fn tries_end_unless_something_was_gained() {
        let none = Duration::ZERO;
        let mut tries = Tries::new(Retries {
            count: 2,
            first_pause: none,
            longest_pause: none,
            longest_in_all: Duration::from_secs(60),
        });
        let mut taken = vec![tries.wait(None), tries.wait(Some(Duration::from_secs(9))), tries.wait(None)];
        tries.progressed();
        taken.push(tries.wait(None));
        assert_eq!(taken, [true, true, false, true]);
    }
}
