//! The one time that an image's files carry.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z that a layer stamps on its entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// 1980-01-01T00:00:01Z, what everything carries that has no better time.
    ///
    /// Not 0: wheels that are built in the workshop are zips, and a zip has no earlier date. Python's
    /// `zipfile` raises `ValueError` instead of clamping.
    pub const FIXED: Self = Self(315_532_801);

    /// Takes seconds since 1970; what lies before [`Epoch::FIXED`] becomes that.
    pub const fn from_secs(secs: u64) -> Self {
        if secs < Self::FIXED.0 { Self::FIXED } else { Self(secs) }
    }

    /// Returns the seconds since 1970.
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}
