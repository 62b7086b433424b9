//! The list in which the loader looks names up: which files are on it, and `/etc/ld.so.cache` itself.
//!
//! [`list()`] decides as `ldconfig` does, and [`write()`] writes what `ldconfig -c new` writes, so that an image gets
//! its cache without running anything. Missing soname links, which `ldconfig` would make, are only reported:
//! trees are for the caller to change. Not done: libraries of other operating systems, and `ldconfig`'s own
//! subdirectories for processor features from before glibc 2.33.
//!
//! Spec: there is none but glibc's `elf/dl-cache.h` and ldconfig(8), <https://man7.org/linux/man-pages/man8/ldconfig.8.html>

mod list;
mod order;
mod write;

use minke_cas::ImagePath;

use crate::facts::{Class, Facts, Machine};

pub use list::{Link, Listing, list};
pub use write::write;

/// One line of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name that is looked up.
    pub soname: String,
    /// The file that is opened.
    pub path: ImagePath,
    /// The loader it is for.
    pub abi: Abi,
    /// The subdirectory of `glibc-hwcaps` that it is in: only for processors that can do what it says.
    pub hwcaps: Option<String>,
}

/// The loader that an entry is for, as the cache numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(i32);

/// glibc 2, of whatever processor.
const GLIBC: i32 = 0x0003;

impl Abi {
    /// Returns the loader that a library is for; none if the cache has no number for it here.
    pub fn of(facts: &Facts) -> Option<Self> {
        let processor = match (facts.machine, facts.class) {
            (Machine::Amd64, Class::Bits64) => 0x0300,
            (Machine::Amd64, Class::Bits32) => 0x0800,
            (Machine::Arm64, Class::Bits64) => 0x0a00,
            (Machine::X86, Class::Bits32) => 0,
            _ => return None,
        };
        Some(Self(processor | GLIBC))
    }
}
