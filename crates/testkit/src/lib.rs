//! **The toy town:** debs, wheels, ELF objects, signed archives, a web server and an index, made in code.
//!
//! Imports no minke crate, so that fixtures can't share a bug with what they test; formats are written by hand
//! wherever a test wants them broken. The same calls always make the same bytes. Whatever goes wrong here is a
//! bug in a test: functions panic rather than return errors.

mod archive;
mod compress;
mod crates;
mod deb;
mod digest;
mod dump;
mod elf;
mod index;
mod installed;
mod judge;
mod key;
mod numbers;
mod sdist;
mod server;
mod standalone;
mod tar;
mod wheel;
mod zip;

pub use archive::{ArchiveFault, DebianArchive};
pub use compress::{Compression, compress, gunzip};
pub use crates::{Crate, crate_registry};
pub use deb::{Deb, DebFault};
pub use digest::{md5_hex, sha256_hex, sha256_urlsafe};
pub use dump::{list_tar, tree_dump};
pub use elf::{ElfObject, Machine, elf_shared_object};
pub use index::{Index, IndexStyle};
pub use installed::{installed_debs, toy_python_debs};
pub use judge::{program, python_with_pip, skip};
pub use key::{KeyState, SignedBy, SigningKey, clearsign};
pub use numbers::Numbers;
pub use sdist::Sdist;
pub use server::{Fault, Request, Response, Server};
pub use standalone::{standalone_archive, standalone_entries, standalone_python, static_python};
pub use tar::{TarEntry, TarKind, tar};
pub use wheel::{Wheel, WheelFault};
pub use zip::{ZipEntry, ZipLie, zip};

/// The time in everything that carries one: 2020-01-01T00:00:00Z, in seconds since 1970.
pub const FIXTURE_TIME: u64 = 1_577_836_800;
