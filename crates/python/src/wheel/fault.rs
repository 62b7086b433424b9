//! What can be wrong with a wheel.

use std::io;

use minke_cas::{Digest, ImagePath, StoreError, TreeError};
use pep440_rs::Version;

use crate::{EntryPointsError, MetadataError, PackageName, RecordError, WheelFileName};

/// A wheel cannot be installed.
#[derive(Debug, thiserror::Error)]
#[error("`{wheel}` cannot be installed")]
pub struct WheelError {
    /// Which wheel.
    pub wheel: Box<WheelFileName>,
    /// What is wrong with it.
    #[source]
    pub fault: Box<WheelFault>,
}

/// What is wrong with a wheel.
#[derive(Debug, thiserror::Error)]
pub enum WheelFault {
    /// It isn't a zip file, is cut short, or its headers contradict each other.
    #[error("it is not a sound zip file")]
    Archive(#[source] io::Error),
    /// A name is listed twice.
    #[error("its zip directory lists a name twice")]
    DuplicateNames,
    /// It has more members than any wheel has.
    #[error("it has {count} members, more than {limit}")]
    TooManyMembers {
        /// How many it has.
        count: usize,
        /// How many are taken.
        limit: usize,
    },
    /// It would unpack to far more than it is.
    #[error("its {packed} bytes would unpack to {unpacked}, which no wheel does")]
    Bomb {
        /// Its own size in bytes.
        packed: u64,
        /// What its members say they unpack to, in bytes.
        unpacked: u64,
    },
    /// A member's name isn't one that a file can safely have.
    #[error("its member `{member}` has a name that {reason}")]
    Name {
        /// Which member.
        member: String,
        /// What is wrong with the name.
        reason: &'static str,
    },
    /// A member is a symlink, a device or a pipe.
    #[error("its member `{member}` is neither a file nor a directory (mode {mode:o})")]
    Kind {
        /// Which member.
        member: String,
        /// The mode that it says it has.
        mode: u32,
    },
    /// A member is encrypted.
    #[error("its member `{member}` is encrypted")]
    Encrypted {
        /// Which member.
        member: String,
    },
    /// A member cannot be unpacked: its data is damaged or compressed in an unknown way.
    #[error("its member `{member}` cannot be unpacked")]
    Damaged {
        /// Which member.
        member: String,
        /// Why.
        source: io::Error,
    },
    /// A member is of another size than the zip directory or `RECORD` says.
    #[error("its member `{member}` has {actual} bytes, not {expected}")]
    Size {
        /// Which member.
        member: String,
        /// How many it should have.
        expected: u64,
        /// How many it has.
        actual: u64,
    },
    /// A member that has to be read as a whole is too large for that.
    #[error("its member `{member}` has {size} bytes, more than {limit}")]
    TooLarge {
        /// Which member.
        member: String,
        /// How many it has.
        size: u64,
        /// How many are taken.
        limit: u64,
    },
    /// A member that should be text is not UTF-8.
    #[error("its member `{member}` is not UTF-8")]
    NotText {
        /// Which member.
        member: String,
    },
    /// It has no `.dist-info` directory of its own name, or more than one in all.
    #[error("it needs exactly one `.dist-info` directory, named like itself; it has {}", listed(found))]
    DistInfo {
        /// Those that it has.
        found: Vec<String>,
    },
    /// `RECORD`, `WHEEL` or `METADATA` is missing.
    #[error("it has no `{path}`")]
    Missing {
        /// Which.
        path: String,
    },
    /// `WHEEL` lacks something.
    #[error("its WHEEL cannot be used")]
    WheelFile(#[source] MetadataError),
    /// `METADATA` lacks something.
    #[error("its METADATA cannot be used")]
    Metadata(#[source] MetadataError),
    /// `METADATA` is another distribution's.
    #[error("its METADATA is that of `{name}` {version}")]
    Identity {
        /// Whose.
        name: PackageName,
        /// Of which version.
        version: Version,
    },
    /// It is of a version of the format that isn't known.
    #[error("its `Wheel-Version` is `{version}`; only 1.x is known")]
    Format {
        /// What it says.
        version: String,
    },
    /// `RECORD` cannot be read.
    #[error("its RECORD cannot be used")]
    Record(#[source] RecordError),
    /// `RECORD` doesn't list a member, or lists it without a hash.
    #[error("its RECORD has no hash of `{member}`")]
    Unlisted {
        /// Which member.
        member: String,
    },
    /// A member isn't what `RECORD` says.
    #[error("its member `{member}` is not what RECORD says; it is {actual}")]
    Hash {
        /// Which member.
        member: String,
        /// What it is.
        actual: Digest,
    },
    /// A member lies in its `.data` directory, but in no scheme that is known.
    #[error("its member `{member}` is in no known scheme (purelib, platlib, headers, scripts, data)")]
    Scheme {
        /// Which member.
        member: String,
    },
    /// A member would replace a part of the environment itself.
    #[error("its member `{member}` would replace `{path}`")]
    Reserved {
        /// Which member, or which program.
        member: String,
        /// What it would replace.
        path: ImagePath,
    },
    /// Two members go to one place.
    #[error("two of its members go to `{path}`")]
    Collision {
        /// Where.
        path: ImagePath,
    },
    /// A member lies below what another member says is a file.
    #[error("its members don't form a tree")]
    Placement(#[source] TreeError),
    /// `entry_points.txt` cannot be read.
    #[error("its entry_points.txt cannot be used")]
    EntryPoints(#[source] EntryPointsError),
    /// A program cannot be called so, or refers to no function.
    #[error("its program `{name}` cannot be made from `{value}`")]
    Script {
        /// What it should be called.
        name: String,
        /// What it should run.
        value: String,
    },
    /// The store failed: the wheel may be sound.
    #[error("its files cannot be stored")]
    Store(#[source] StoreError),
}

fn listed(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

impl From<StoreError> for WheelFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
