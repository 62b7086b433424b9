//! Names of packages, extras and dependency groups, normalised so that equal names are equal texts.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/name-normalization/>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text cannot be the name of a package, an extra or a dependency group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")]
pub struct NameError {
    /// What was given.
    pub text: String,
}

macro_rules! normalised_name {
    ($(#[$docs:meta])* $type:ident) => {
        $(#[$docs])*
        ///
        /// Reading one normalises it: lower case, and a run of `-`, `_` and `.` becomes one `-`.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Returns the normalised name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                normalise(text).map(Self).ok_or_else(|| NameError { text: text.to_owned() })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

normalised_name! {
    /// The name of a distribution, such as `scikit-learn`.
    PackageName
}
normalised_name! {
    /// The name of an extra, an optional part of a distribution's requirements.
    ExtraName
}
normalised_name! {
    /// The name of a dependency group of a project.
    GroupName
}

impl PackageName {
    /// Returns the name as file names hold it: with `_` for `-`.
    pub fn in_file_names(&self) -> String {
        self.0.replace('-', "_")
    }
}

fn normalise(text: &str) -> Option<String> {
    let alphanumeric_ends = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !alphanumeric_ends || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return None;
    }
    let words = text.split(['-', '_', '.']).filter(|word| !word.is_empty());
    Some(words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        let names: Vec<PackageName> =
            ["Friendly-Bard", "FRIENDLY.bard", "friendly__bard", "FrIeNdLy-._.-bArD"]
                .into_iter()
                .map(|text| text.parse().unwrap())
                .collect();
        assert!(names.iter().all(|name| name.as_str() == "friendly-bard"));
        assert_eq!(names[0].in_file_names(), "friendly_bard");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "-", "a-", ".a", "a b", "a/b", "é", "a\n"] {
            assert_eq!(text.parse::<PackageName>(), Err(NameError { text: text.to_owned() }));
        }
    }

    proptest! {
        /// Normalising twice is normalising once.
        #[test]
        fn normalising_is_idempotent(text in "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,12}[a-zA-Z0-9])?") {
            let once: PackageName = text.parse().unwrap();
            prop_assert_eq!(once.as_str().parse::<PackageName>(), Ok(once.clone()));
        }
    }
}
