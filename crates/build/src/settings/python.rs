//! Which Python the image is to have: a version, or an archive that has one.

use std::str::FromStr;

use minke_cas::{Digest, DigestError};
use serde::Deserialize;

/// The Python that is wished for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "Raw")]
pub enum PythonWish {
    /// A version such as `3.13` or `3.13.5`.
    Version(String),
    /// An archive of a relocatable install tree.
    Standalone(StandaloneWish),
}

/// An archive of a relocatable install tree, as python-build-standalone's `install_only` ones are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandaloneWish {
    /// Its path, relative to the project or absolute, or its address.
    pub place: String,
    /// What it hashes to; an address needs it.
    pub sha256: Option<Digest>,
}

impl StandaloneWish {
    /// Tells whether the archive is to be fetched.
    pub fn is_address(&self) -> bool {
        self.place.contains("://")
    }
}

impl FromStr for StandaloneWish {
    type Err = DigestError;

    /// Reads `PLACE` or `PLACE#sha256=HEX`, as package indexes write links.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (place, sha256) = match text.rsplit_once("#sha256=") {
            Some((place, digest)) => (place, Some(digest.parse()?)),
            None => (text, None),
        };
        Ok(Self { place: place.to_owned(), sha256 })
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a version such as `\"3.13\"` or a table such as `{ standalone = \"python.tar.gz\" }` was expected"
)]
enum Raw {
    Version(String),
    Standalone {
        standalone: String,
        #[serde(default)]
        sha256: Option<String>,
    },
}

impl TryFrom<Raw> for PythonWish {
    type Error = DigestError;

    fn try_from(raw: Raw) -> Result<Self, DigestError> {
        Ok(match raw {
            Raw::Version(version) => Self::Version(version),
            Raw::Standalone { standalone: place, sha256 } => {
                let sha256 = sha256.map(|text| text.parse()).transpose()?;
                Self::Standalone(StandaloneWish { place, sha256 })
            }
        })
    }
}
