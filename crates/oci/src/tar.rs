//! The tar format, as far as layers need it: writing the same bytes every time, and reading foreign ones.
//!
//! Spec: POSIX.1-2024 `pax`, "ustar Interchange Format" and "pax Extended Header".

mod read;
mod write;

pub use read::TarError;
pub(crate) use read::{Header, Kind, TarReader};
pub(crate) use write::{END, Member, MemberKind, header, padding};

/// What everything in a tar is a multiple of.
const BLOCK: usize = 512;

/// Where a header keeps its fields.
mod field {
    use std::ops::Range;

    pub(super) const NAME: Range<usize> = 0..100;
    pub(super) const MODE: Range<usize> = 100..108;
    pub(super) const UID: Range<usize> = 108..116;
    pub(super) const GID: Range<usize> = 116..124;
    pub(super) const SIZE: Range<usize> = 124..136;
    pub(super) const MTIME: Range<usize> = 136..148;
    pub(super) const CHECKSUM: Range<usize> = 148..156;
    pub(super) const TYPE: usize = 156;
    pub(super) const LINK: Range<usize> = 157..257;
    pub(super) const MAGIC: Range<usize> = 257..265;
    pub(super) const DEVICE_MAJOR: Range<usize> = 329..337;
    pub(super) const DEVICE_MINOR: Range<usize> = 337..345;
    pub(super) const PREFIX: Range<usize> = 345..500;
}

/// What POSIX tars have where GNU's have `ustar  \0`.
const USTAR: &[u8; 8] = b"ustar\x0000";

/// Adds up a header's bytes, its checksum field taken for blanks.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let blanks = field::CHECKSUM.len() as u64 * u64::from(b' ');
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&block[..field::CHECKSUM.start]) + blanks + sum(&block[field::CHECKSUM.end..])
}
