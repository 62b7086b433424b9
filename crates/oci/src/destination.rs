//! Where an image goes and comes from, as containers-transports(5) spells it.
//!
//! As there, a path cannot hold a colon: what follows the first one is the name.
//!
//! Spec: <https://github.com/containers/image/blob/v5.36.0/docs/containers-transports.5.md>

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Reference, ReferenceError};

/// Where an image is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// `oci:DIR[:TAG]`, an OCI layout; other images in it stay.
    OciLayout {
        /// The layout's directory.
        directory: PathBuf,
        /// What the layout's index calls the image.
        name: Option<RefName>,
    },
    /// `oci-archive:FILE[:TAG]`, a tar of an OCI layout.
    OciArchive {
        /// The tar.
        file: PathBuf,
        /// What the layout's index calls the image.
        name: Option<RefName>,
    },
    /// `docker-archive:FILE[:NAME[:TAG]]`, what `docker load` and `podman load` read.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// What the image is called once it is loaded.
        name: Option<Reference>,
    },
    /// `docker-daemon:NAME[:TAG]`, the Docker daemon on this machine.
    DockerDaemon {
        /// What the daemon calls the image.
        name: Reference,
    },
}

/// What an OCI layout's index calls an image: a tag, or any words joined by `-`, `.`, `_`, `:`, `@`, `+` and `/`.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RefName(String);

/// A text names no place for images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The part before the first colon is unknown, or there is no colon.
    #[error("`{text}` does not start with a known transport; {} are known", TRANSPORTS.join(", "))]
    Transport {
        /// What was given.
        text: String,
    },
    /// Nothing follows the transport.
    #[error("`{text}` says how but not where")]
    Empty {
        /// What was given.
        text: String,
    },
    /// The name in a layout's index has characters that it may not have.
    #[error(
        "`{name}` cannot be a name in an OCI layout: words of letters and digits with one of `-._:@+/` between"
    )]
    RefName {
        /// The name.
        name: String,
    },
    /// The image name is none.
    #[error("`{text}` does not end in an image name")]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong.
        source: ReferenceError,
    },
}

const TRANSPORTS: [&str; 4] =
    ["oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME:TAG]", "docker-daemon:NAME:TAG"];

impl RefName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RefName {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        // `--` is the only separator of two characters.
        let joined = text.replace("--", "-");
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if joined.split(['-', '.', '_', ':', '@', '+', '/']).all(word) {
            return Ok(Self(text.to_owned()));
        }
        Err(DestinationError::RefName { name: text.to_owned() })
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let refused = || DestinationError::Transport { text: text.to_owned() };
        let (transport, place) = text.split_once(':').ok_or_else(refused)?;
        let reference = |name: &str| {
            name.parse().map_err(|source| DestinationError::Reference { text: text.to_owned(), source })
        };
        let (path, name) = match place.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (place, None),
        };
        let filled = || match path {
            "" => Err(DestinationError::Empty { text: text.to_owned() }),
            path => Ok(PathBuf::from(path)),
        };
        match transport {
            "oci" => {
                Ok(Self::OciLayout { directory: filled()?, name: name.map(RefName::from_str).transpose()? })
            }
            "oci-archive" => {
                Ok(Self::OciArchive { file: filled()?, name: name.map(RefName::from_str).transpose()? })
            }
            "docker-archive" => {
                Ok(Self::DockerArchive { file: filled()?, name: name.map(reference).transpose()? })
            }
            "docker-daemon" => {
                filled()?;
                Ok(Self::DockerDaemon { name: reference(place)? })
            }
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_is_read() {
        let name = |text: &str| Some(text.parse::<RefName>().unwrap());
        let reference = |text: &str| text.parse::<Reference>().unwrap();
        let read = |text: &str| text.parse::<Destination>().unwrap();
        assert_eq!(read("oci:out/x"), Destination::OciLayout { directory: "out/x".into(), name: None });
        assert_eq!(read("oci:x:1.0"), Destination::OciLayout { directory: "x".into(), name: name("1.0") });
        let tagged = Destination::OciArchive { file: "x.tar".into(), name: name("host.test/a:1") };
        assert_eq!(read("oci-archive:x.tar:host.test/a:1"), tagged);
        let docker = Destination::DockerArchive { file: "/x.tar".into(), name: Some(reference("a/b:1")) };
        assert_eq!(read("docker-archive:/x.tar:a/b:1"), docker);
        let daemon = Destination::DockerDaemon { name: reference("host.test:5000/app:1") };
        assert_eq!(read("docker-daemon:host.test:5000/app:1"), daemon);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |text: &str| text.parse::<Destination>().unwrap_err().to_string();
        let texts =
            ["image.tar", "tar:x", "oci:", "docker-daemon:", "oci:x:", "oci:x:a b", "docker-archive:x:A"];
        insta::assert_snapshot!(texts.map(error).join("\n"), @r"
        `image.tar` does not start with a known transport; oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME:TAG are known
        `tar:x` does not start with a known transport; oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME:TAG are known
        `oci:` says how but not where
        `docker-daemon:` says how but not where
        `` cannot be a name in an OCI layout: words of letters and digits with one of `-._:@+/` between
        `a b` cannot be a name in an OCI layout: words of letters and digits with one of `-._:@+/` between
        `docker-archive:x:A` does not end in an image name
        ");
    }
}
