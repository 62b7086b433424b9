//! Numbers for tests that damage things in many ways, the same ways each time.

/// Numbers that are the same everywhere, from a seed: Marsaglia's xorshift.
///
/// Spec: <https://doi.org/10.18637/jss.v008.i14>
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins with a seed, which must not be 0, or every number is.
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number, from 0 to below `limit`.
    ///
    /// # Panics
    /// If nothing is below the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
