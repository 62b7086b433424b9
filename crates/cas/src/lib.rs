//! **The floor:** digests, blobs on disk, memoised results, and the file trees every later room adds to.
//!
//! Nothing here knows what Python, Debian or OCI are. A [`Tree`] describes files, a [`Store`] keeps their
//! bytes and remembers results; every other room turns one into the other.

mod digest;
mod epoch;
mod meter;
mod path;
mod source;
mod store;
mod tree;

pub use digest::{DiffId, Digest, DigestError, Hasher, HashingReader};
pub use epoch::Epoch;
pub use meter::Meter;
pub use path::{ImagePath, Name, PathError};
pub use source::{Source, SourceUrl, SourceUrlError};
pub use store::{
    BlobWriter, Claim, Clean, Content, Dropped, Keep, Kind, Listener, Ownership, PackId, PackWriter, Partial,
    Scratch, Store, StoreError, Swept, Usage, Verified,
};
pub use tree::{Conflict, Directory, Entry, File, Mode, Owner, Symlink, Tree, TreeError, Walk};
