//! **The X-ray:** what a shared object needs, provides and carries; what of it can go, and goes.
//!
//! [`Facts`] is what one file says, [`Symbols`] what it offers and wants; [`Resolver`] follows the needs of many through a tree, as the loader
//! would; [`ldcache`] writes the list in which the loader looks names up; [`compact()`] takes out what no loader
//! reads, and [`edit()`] changes names and needs; [`Policy`] is what a platform tag of wheels promises. Bytes and values in, values and bytes out: nothing here opens a file.

mod compact;
mod dynamic;
mod edit;
mod facts;
pub mod ldcache;
mod policy;
mod read;
mod resolve;
mod symbols;

pub use compact::{Kept, Recipe, Strip, View, compact, plan};
pub use edit::{Edit, EditError, Search, edit};
pub use facts::{AbiTag, Class, Endian, Facts, Kind, Machine, Segment, SegmentKind, Stack, X86Level};
pub use policy::{Family, PROCESSORS, Policy, is_loader, processor};
pub use read::{ElfError, is_elf};
pub use resolve::{Loader, MissingVersion, Process, Resolution, Resolver, Unbound, Unmet};
pub use symbols::{Binding, Defined, Symbols, Undefined};
