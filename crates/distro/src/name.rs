//! The names that Debian's archives use: packages, suites, architectures, versions.
//!
//! Spec: <https://www.debian.org/doc/debian-policy/ch-controlfields.html>

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a package, such as `libssl3t64`: two or more letters, digits and `+-._`, first a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Arc<str>);

/// The name of a suite or codename, such as `trixie-updates`: what stands below `dists/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suite(Arc<str>);

/// A machine architecture that minke builds for, by Debian's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// The version of a package, ordered as dpkg orders it.
///
/// Two versions that dpkg takes for the same (`1.0` and `1.0-0`) are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(debversion::Version);

/// A text isn't the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}")]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What it should be, with its article.
    pub kind: &'static str,
}

/// No version in the archive is a tenth as long; longer ones only cost time to compare.
const LONGEST_VERSION: usize = 512;

impl PackageName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // Policy allows lower case only, but dpkg reads more and third parties' archives use it.
        let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !starts || !(2..=255).contains(&text.len()) || !text.bytes().all(lawful) {
            return Err(NameError { text: text.to_owned(), kind: "a package's name" });
        }
        Ok(Self(text.into()))
    }
}

impl Suite {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Suite {
    type Err = NameError;

    /// Takes a name of letters, digits and `-._`, in components that `/` parts (`bookworm/updates`).
    fn from_str(text: &str) -> Result<Self, NameError> {
        let lawful = |component: &str| {
            let bytes = || component.bytes();
            component.starts_with(|first: char| first.is_ascii_alphanumeric())
                && bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        if text.len() > 255 || !text.split('/').all(lawful) {
            return Err(NameError { text: text.to_owned(), kind: "a suite's name" });
        }
        Ok(Self(text.into()))
    }
}

impl Arch {
    /// Returns Debian's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the name of the directory that its libraries lie in, such as `x86_64-linux-gnu`.
    pub fn multiarch_directory(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }
}

impl FromStr for Arch {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        [Self::Amd64, Self::Arm64]
            .into_iter()
            .find(|arch| arch.as_str() == text)
            .ok_or_else(|| NameError { text: text.to_owned(), kind: "`amd64` or `arm64`" })
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError { text: text.to_owned(), kind: "a Debian version" };
        if text.len() > LONGEST_VERSION || !text.is_ascii() {
            return Err(refused());
        }
        text.parse().map(Self).map_err(|_| refused())
    }
}

impl Borrow<str> for PackageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(PackageName);
as_text!(Suite);
as_text!(Version);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_order_as_in_the_policy() {
        let ordered = ["1.0~rc1", "1.0", "1.0-1~deb13u1", "1.0-1", "1.0-1+b1", "1.0+dfsg-1", "1.10", "1:0.1"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.0"), version("1.0-0"));
        assert_eq!(version("0:1.00"), version("1.0"));
    }

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for text in ["", "..", "trixie/../x", "/trixie", "trixie/", "a b"] {
            assert!(text.parse::<Suite>().is_err(), "{text}");
        }
        for text in ["a", "-ab", "a/b", "ab\n", ".."] {
            assert!(text.parse::<PackageName>().is_err(), "{text}");
        }
    }

    proptest! {
        // Any text either is refused or reads back as it is written, and comparing two never panics.
        #[test]
        fn no_version_text_panics(first in "[0-9a-z:~+.-]{0,12}", second in "\\PC{0,8}") {
            if let (Ok(first), Ok(second)) = (first.parse::<Version>(), second.parse::<Version>()) {
                prop_assert_eq!(first.cmp(&second), second.cmp(&first).reverse());
                prop_assert_eq!(&first.to_string().parse::<Version>().unwrap(), &first);
            }
        }

        // The order is transitive.
        #[test]
        fn the_order_is_total(mut texts in prop::collection::vec("[0-9]{1,3}[a~+.]{0,2}[0-9]{0,2}", 3)) {
            texts.sort_by_key(|text| version(text));
            prop_assert!(version(&texts[0]) <= version(&texts[2]));
        }
    }
}
