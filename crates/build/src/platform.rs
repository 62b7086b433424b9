//! The kinds of machines that images are for, and what each is called in every room.

use std::fmt;
use std::str::FromStr;

use minke_distro::Arch as DebArch;
use minke_elf::Machine;
use minke_python::Arch;
use serde::Deserialize;

/// A Linux on an architecture, as container tools write it: `linux/amd64`.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md>
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Platform {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// A text is not a platform that minke makes images for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform that images can be built for: those are `linux/amd64` and `linux/arm64`")]
pub struct PlatformError {
    /// What was given.
    pub text: String,
}

impl Platform {
    /// Returns this machine's own; none if no images are made for it.
    pub fn here() -> Option<Self> {
        std::env::consts::ARCH.parse().ok()
    }

    /// Returns what OCI and Go call the architecture.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns whose packages make the base.
    pub fn debian(self) -> DebArch {
        match self {
            Self::Amd64 => DebArch::Amd64,
            Self::Arm64 => DebArch::Arm64,
        }
    }

    /// Returns what wheels' tags and markers name.
    pub fn python(self) -> Arch {
        match self {
            Self::Amd64 => Arch::X86_64,
            Self::Arm64 => Arch::Aarch64,
        }
    }

    /// Returns what ELF files name.
    pub fn elf(self) -> Machine {
        match self {
            Self::Amd64 => Machine::Amd64,
            Self::Arm64 => Machine::Arm64,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Takes `linux/arm64`, with `/v8` or without `linux/` too, and the names that `uname -m` prints.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        match text.strip_prefix("linux/").unwrap_or(text) {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "arm64/v8" | "aarch64" => Ok(Self::Arm64),
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_read_back_as_they_are_written() {
        for platform in [Platform::Amd64, Platform::Arm64] {
            assert_eq!(platform.to_string().parse(), Ok(platform));
            assert_eq!(platform.architecture().parse(), Ok(platform));
            assert_eq!(platform.debian().as_str(), platform.architecture());
            assert_eq!(platform.python().machine().parse(), Ok(platform));
        }
    }

    #[test]
    fn what_other_tools_write_is_understood_and_other_machines_are_refused() {
        assert_eq!("linux/arm64/v8".parse(), Ok(Platform::Arm64));
        for text in ["", "linux/", "linux/arm/v7", "windows/amd64", "linux/amd64/v3", "riscv64"] {
            assert_eq!(text.parse::<Platform>(), Err(PlatformError { text: text.to_owned() }));
        }
    }
}
