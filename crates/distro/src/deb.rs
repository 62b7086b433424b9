//! Unpacks a Debian package file into a [`Tree`] whose contents lie in one pack of the store.
//!
//! The bytes are a stranger's. A name may not leave the root, nothing lies below a symlink, a hard link leads to a
//! file of the same package, there are no device nodes, and no name comes twice; what is unpacked is held
//! against the package's own `Installed-Size`, with a generous margin. Owners and modes are kept, set-id bits too;
//! times, group names and extended attributes are not. Directories that merged `/usr` made into symlinks (`/lib`)
//! are rewritten to where those lead. Maintainer scripts don't run: see [`crate::setup`].
//!
//! Spec: <https://manpages.debian.org/trixie/dpkg-dev/deb.5.en.html>

mod ar;
mod control;
mod data;
mod members;

use std::io::{self, Read};

use minke_cas::{Digest, ImagePath, PackId, PathError, Store, StoreError, Tree, TreeError};
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use ar::Ar;

pub use control::{Control, Script};
pub(crate) use data::merged;

/// What a package file holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unpacked {
    /// Its files, on a merged `/usr`.
    pub tree: Tree,
    /// What its control member says.
    pub control: Control,
}

/// A package file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It doesn't begin as a package file does, or not with a format that is known.
    #[error("this is not a Debian package of format 2")]
    NotADeb,
    /// It ends before one of its members does.
    #[error("it is cut short: {member} has {have} of {want} bytes")]
    Truncated {
        /// Which one.
        member: String,
        /// How many bytes there are.
        have: u64,
        /// How many there should be.
        want: u64,
    },
    /// It has no such member, where one belongs.
    #[error("it has no {member} where one belongs")]
    Missing {
        /// What is missing, such as `control.tar`.
        member: &'static str,
    },
    /// A member is compressed in a way that isn't known.
    #[error("its member `{member}` is not compressed with xz, gzip or zstd")]
    Compression {
        /// Which one.
        member: String,
    },
    /// A member cannot be decompressed, or isn't a tar archive.
    #[error("its member {member} is damaged")]
    Damaged {
        /// Which one.
        member: &'static str,
        /// What was found.
        source: io::Error,
    },
    /// Its control file says nothing of the package's name or version.
    #[error("its control file has no usable field `{field}`")]
    Control {
        /// Which field.
        field: &'static str,
    },
    /// An entry has a name that cannot be unpacked.
    #[error("the entry `{name}` cannot be unpacked")]
    Name {
        /// The name, as far as it can be shown.
        name: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// An entry has a name that isn't UTF-8 or is too long.
    #[error("the entry `{name}` has a name that is no UTF-8 text of at most 4096 bytes")]
    NameText {
        /// The name, as far as it can be shown.
        name: String,
    },
    /// An entry lies below a file or a symlink.
    #[error("an entry cannot be unpacked where it wants to be")]
    Place(#[source] TreeError),
    /// Two entries have one name.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The name.
        path: ImagePath,
    },
    /// An entry is neither file, directory nor link.
    #[error("`{path}` is {kind}, which no package may bring")]
    Special {
        /// Which one.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A symlink leads out of the root.
    #[error("the symlink `{path}` leads to `{target}`, outside the root")]
    LeavesRoot {
        /// The link.
        path: ImagePath,
        /// What it points to.
        target: String,
    },
    /// A hard link leads to what isn't a file of the same package.
    #[error("the hard link `{path}` leads to `{target}`, which is no file that came before it")]
    HardLink {
        /// The link.
        path: ImagePath,
        /// What it points to.
        target: ImagePath,
    },
    /// It unpacks to more than it may.
    #[error("it unpacks to more than {limit_bytes} bytes, far more than it declares")]
    TooLarge {
        /// How much it may.
        limit_bytes: u64,
    },
    /// It has more entries than any package.
    #[error("it has more than {limit} entries")]
    TooMany {
        /// How many it may have.
        limit: usize,
    },
    /// The cache cannot take it.
    #[error("cannot keep what it unpacks to")]
    Store(#[source] StoreError),
}

/// Returns the pack that a package file, known by its digest, unpacks to.
pub fn pack_id(file: &Digest) -> PackId {
    PackId::of("deb-1", file)
}

/// Unpacks a package file.
///
/// Whether the bytes are those that the index promised is for the caller to check beforehand; `id` is
/// [`pack_id`] of their digest. Hard links become equal files.
///
/// # Errors
/// One of [`DebError`] for each way in which a package can be broken or hostile; nothing is kept then.
pub fn unpack(file: impl Read, store: &Store, id: PackId) -> Result<Unpacked, DebError> {
    let mut ar = Ar::open(file)?;
    let version =
        ar.next_member()?.filter(|member| member.name == "debian-binary").ok_or(DebError::NotADeb)?;
    let mut format = Vec::new();
    ar.by_ref().take(64).read_to_end(&mut format).map_err(|error| ar.failure("debian-binary", error))?;
    if version.size > 64 || !format.starts_with(b"2.") {
        return Err(DebError::NotADeb);
    }
    let (compression, _) = tar_member(&mut ar, "control.tar")?;
    let control = control::read(&mut ar, compression)?;
    let (compression, _) = tar_member(&mut ar, "data.tar")?;
    let tree = data::unpack(&mut ar, compression, &control, store, id)?;
    Ok(Unpacked { tree, control })
}

/// Goes on to the next member that counts, which must be this tar archive; members with `_` may be skipped.
fn tar_member<R: Read>(ar: &mut Ar<R>, stem: &'static str) -> Result<(Compression, u64), DebError> {
    loop {
        let member = ar.next_member()?.ok_or(DebError::Missing { member: stem })?;
        if member.name.starts_with('_') {
            continue;
        }
        let Some(suffix) = member.name.strip_prefix(stem) else {
            return Err(DebError::Missing { member: stem });
        };
        let compression = Compression::from_suffix(suffix)
            .ok_or_else(|| DebError::Compression { member: member.name.clone() })?;
        return Ok((compression, member.size));
    }
}

#[cfg(test)]
mod tests;
