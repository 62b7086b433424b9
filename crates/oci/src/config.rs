//! The image config: how a container of the image is to be started.
//!
//! Written in one way: fields in a fixed order, absent where they say nothing. Reading is lenient, since
//! other tools write `null`, and ports that only they understand.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md>; `Healthcheck` is Docker's,
//! <https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use minke_cas::Epoch;

/// What a container of an image runs, and on what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageConfig {
    /// What the image runs on.
    pub platform: Platform,
    /// When the image says that it was made.
    pub created: Option<Epoch>,
    /// The user, `UID`, `UID:GID` or names; root where none is said.
    pub user: Option<String>,
    /// The environment, in the order in which it is written.
    pub env: Vec<(String, String)>,
    /// The command's first words, which arguments don't replace.
    pub entrypoint: Vec<String>,
    /// The command's further words, which arguments replace.
    pub cmd: Vec<String>,
    /// Where the command starts.
    pub workdir: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The ports that the command listens on.
    pub ports: BTreeSet<Port>,
    /// The directories whose content should outlive a container.
    pub volumes: BTreeSet<String>,
    /// The signal that asks the command to stop.
    pub stop_signal: Option<String>,
    /// How to see whether the command is well.
    pub healthcheck: Option<Healthcheck>,
}

/// What an image runs on, in Go's words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Platform {
    /// The operating system, `linux`.
    pub os: String,
    /// The architecture, such as `amd64` or `arm64`.
    pub architecture: String,
    /// The architecture's variant, such as `v7` of `arm`.
    pub variant: Option<String>,
}

impl Default for Platform {
    /// `linux/amd64`.
    fn default() -> Self {
        Self { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// A port that a container listens on, `8000/tcp`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Port {
    /// The number, not 0.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What is spoken at a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A text names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a port: `NUMBER`, `NUMBER/tcp`, `NUMBER/udp` or `NUMBER/sctp`, from 1 to 65535")]
pub struct PortError {
    /// What was given.
    pub text: String,
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let refused = || PortError { text: text.to_owned() };
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(refused()),
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|number| digits && *number != 0).ok_or_else(refused)?;
        Ok(Self { number, protocol })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// How to see whether a container is well, again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Healthcheck {
    /// What is run.
    pub test: HealthTest,
    /// How long to wait between two tests.
    pub interval: Option<Duration>,
    /// How long a test may take.
    pub timeout: Option<Duration>,
    /// How long failures don't count after the start.
    pub start_period: Option<Duration>,
    /// How many failures in a row it takes to be unwell.
    pub retries: Option<u32>,
}

/// What a health check runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HealthTest {
    /// Nothing, even where the base image has a check.
    Disabled,
    /// A program and its arguments.
    Command(Vec<String>),
    /// A line for the image's shell, which must be there.
    Shell(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_back_as_they_are_written() {
        let ports =
            ["8000", "53/udp", "8000/tcp", "1/sctp"].map(|text| text.parse::<Port>().unwrap().to_string());
        assert_eq!(ports, ["8000/tcp", "53/udp", "8000/tcp", "1/sctp"]);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "0", "65536", "+1", "80/http", "80-90", "/tcp"] {
            assert_eq!(text.parse::<Port>(), Err(PortError { text: text.to_owned() }));
        }
    }
}
