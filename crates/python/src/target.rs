//! What the image runs: a Python version on a platform.

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use crate::{Environment, Tags};

/// The version of a CPython interpreter: `3.13`, or `3.13.5` where it is known that well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PythonVersion {
    /// The first number.
    pub major: u8,
    /// The second number, which wheels' tags name.
    pub minor: u8,
    /// The third number.
    pub patch: Option<u8>,
}

/// A text is not the version of a Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Python version such as `3.13` or `3.13.5`")]
pub struct PythonVersionError {
    /// What was given.
    pub text: String,
}

/// A processor architecture that minke makes images for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Arch {
    /// 64-bit x86, OCI's `amd64`.
    X86_64,
    /// 64-bit ARM, OCI's `arm64`.
    Aarch64,
}

/// A C library with the version that the base has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Libc {
    /// The GNU C library, as in Debian.
    Glibc {
        /// The first number, 2 for ever so far.
        major: u16,
        /// The second number.
        minor: u16,
    },
    /// musl, as in Alpine.
    Musl {
        /// The first number.
        major: u16,
        /// The second number.
        minor: u16,
    },
}

/// A Linux on an architecture with a C library.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
    /// The C library.
    pub libc: Libc,
}

/// A CPython, with its global lock, on a platform.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The interpreter's version.
    pub python: PythonVersion,
    /// What it runs on.
    pub platform: Platform,
}

impl PythonVersion {
    /// Returns the version to compare with; a patch that isn't known counts as zero, as in uv.
    pub fn full(&self) -> Version {
        Version::new([u64::from(self.major), u64::from(self.minor), u64::from(self.patch.unwrap_or(0))])
    }

    /// Returns `3.13`, as directories and programs are named.
    pub fn short(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl FromStr for PythonVersion {
    type Err = PythonVersionError;

    fn from_str(text: &str) -> Result<Self, PythonVersionError> {
        let refused = || PythonVersionError { text: text.to_owned() };
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let numbers: Vec<u8> = text
            .split('.')
            .map(|part| part.parse().ok().filter(|_| plain(part)))
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        match numbers[..] {
            [major, minor] => Ok(Self { major, minor, patch: None }),
            [major, minor, patch] => Ok(Self { major, minor, patch: Some(patch) }),
            _ => Err(refused()),
        }
    }
}

impl Arch {
    /// Returns the name that `uname -m`, markers and wheels use.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.machine())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.libc {
            Libc::Glibc { major, minor } => write!(f, "{} with glibc {major}.{minor}", self.arch),
            Libc::Musl { major, minor } => write!(f, "{} with musl {major}.{minor}", self.arch),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {} on {}", self.python, self.platform)
    }
}

impl Target {
    /// Returns every tag that this target's interpreter can load, the best first.
    pub fn tags(&self) -> Tags {
        Tags::of(self)
    }

    /// Returns what markers are judged against, with no extra and no dependency group.
    pub fn environment(&self) -> Environment {
        Environment::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_versions_read_back_as_they_are_written() {
        for text in ["3.13", "3.13.5", "3.9.0"] {
            assert_eq!(text.parse::<PythonVersion>().unwrap().to_string(), text);
        }
        assert_eq!("3.13".parse::<PythonVersion>().unwrap().full().to_string(), "3.13.0");
    }

    #[test]
    fn what_is_no_python_version_is_refused() {
        for text in ["", "3", "3.", "3.13.5.1", "3.x", "3.13rc1", "+3.13", "3.999", ">=3.13"] {
            assert_eq!(text.parse::<PythonVersion>(), Err(PythonVersionError { text: text.to_owned() }));
        }
    }
}
