//! What a wheel's file name says.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PackageName, Tag};

/// A wheel's file name: `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`.
///
/// It is shown as it was read, since an index may know the file by no other spelling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WheelFileName {
    text: String,
    name: PackageName,
    version: Version,
    build: Option<(u64, String)>,
    pythons: Vec<String>,
    abis: Vec<String>,
    platforms: Vec<String>,
}

/// A text is not the file name of a wheel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the file name of a wheel: {reason}")]
pub struct WheelFileNameError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// More tags than this in one name are refused: the longest known have some thirty.
const MAX_TAGS: usize = 4096;

impl WheelFileName {
    /// Returns the distribution's name.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// Returns the distribution's version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Returns the build tag: a number and what follows it.
    pub fn build(&self) -> Option<(u64, &str)> {
        self.build.as_ref().map(|(number, rest)| (*number, rest.as_str()))
    }

    /// Returns the file name as it was read.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns every tag that the compressed sets stand for.
    pub fn tags(&self) -> impl Iterator<Item = Tag> {
        self.pythons.iter().flat_map(move |python| {
            self.abis.iter().flat_map(move |abi| {
                self.platforms.iter().map(move |platform| Tag {
                    python: python.clone(),
                    abi: abi.clone(),
                    platform: platform.clone(),
                })
            })
        })
    }

    /// Returns the name of the same wheel for other platforms, which stand in their order.
    pub fn on(&self, platforms: &BTreeSet<String>) -> Self {
        let stem = self.text.trim_end_matches(".whl");
        let rest = stem.rsplit_once('-').map_or(stem, |(rest, _)| rest);
        let platforms: Vec<String> = platforms.iter().cloned().collect();
        Self { text: format!("{rest}-{}.whl", platforms.join(".")), platforms, ..self.clone() }
    }

    /// Compares build tags: a wheel with one is newer than a wheel without.
    pub fn cmp_build(&self, other: &Self) -> Ordering {
        self.build.cmp(&other.build)
    }
}

impl FromStr for WheelFileName {
    type Err = WheelFileNameError;

    fn from_str(text: &str) -> Result<Self, WheelFileNameError> {
        let refused = |reason| WheelFileNameError { text: text.to_owned(), reason };
        let stem = text.strip_suffix(".whl").ok_or_else(|| refused("it doesn't end in `.whl`"))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => {
                (name, version, Some(build), [python, abi, platform])
            }
            _ => return Err(refused("it doesn't have five or six parts between dashes")),
        };
        let [pythons, abis, platforms] = tags.map(|set| compressed(set).ok_or(()));
        let unreadable = |()| refused("a tag is empty or holds an odd character");
        let (pythons, abis, platforms) =
            (pythons.map_err(unreadable)?, abis.map_err(unreadable)?, platforms.map_err(unreadable)?);
        if pythons.len() * abis.len() * platforms.len() > MAX_TAGS {
            return Err(refused("it has thousands of tags"));
        }
        Ok(Self {
            name: name.parse().map_err(|_| refused("the part before the first dash is no name"))?,
            version: version.parse().map_err(|_| refused("its second part is no version"))?,
            build: build.map(build_tag).transpose().map_err(refused)?,
            text: text.to_owned(),
            pythons,
            abis,
            platforms,
        })
    }
}

fn compressed(set: &str) -> Option<Vec<String>> {
    set.split('.')
        .map(|tag| {
            let plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (plain && !tag.is_empty()).then(|| tag.to_ascii_lowercase())
        })
        .collect()
}

fn build_tag(text: &str) -> Result<(u64, String), &'static str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().map_err(|_| "its build tag doesn't start with a number")?;
    Ok((number, text[end..].to_owned()))
}

impl fmt::Display for WheelFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for WheelFileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for WheelFileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> WheelFileName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_taken_apart() {
        let wheel = read("Scikit_Learn-1.9.1+cpu-12abc-cp313.py3-none-manylinux_2_27_x86_64.any.whl");
        assert_eq!(wheel.name().as_str(), "scikit-learn");
        assert_eq!(wheel.version().to_string(), "1.9.1+cpu");
        assert_eq!(wheel.build(), Some((12, "abc")));
        assert_eq!(
            wheel.tags().map(|tag| tag.to_string()).collect::<Vec<_>>(),
            [
                "cp313-none-manylinux_2_27_x86_64",
                "cp313-none-any",
                "py3-none-manylinux_2_27_x86_64",
                "py3-none-any"
            ]
        );
    }

    #[test]
    fn build_tags_count_as_numbers_and_any_is_newer_than_none() {
        let builds = ["a-1-py3-none-any.whl", "a-1-2-py3-none-any.whl", "a-1-10-py3-none-any.whl"].map(read);
        assert!(builds.is_sorted_by(|one, other| one.cmp_build(other).is_lt()));
    }

    #[test]
    fn what_is_no_wheel_is_refused_with_the_reason() {
        let reason = |text: &str| text.parse::<WheelFileName>().unwrap_err().reason;
        insta::assert_debug_snapshot!(
            [
                "numpy-2.0.tar.gz",
                "numpy-2.0-py3-none.whl",
                "../numpy-2.0-py3-none-any.whl",
                "numpy-two-py3-none-any.whl",
                "numpy-2.0-x-py3-none-any.whl",
                "numpy-2.0-py3-none-a/b.whl",
                "numpy-2.0-py3--any.whl",
            ]
            .map(reason),
            @r#"
        [
            "it doesn't end in `.whl`",
            "it doesn't have five or six parts between dashes",
            "the part before the first dash is no name",
            "its second part is no version",
            "its build tag doesn't start with a number",
            "a tag is empty or holds an odd character",
            "a tag is empty or holds an odd character",
        ]
        "#
        );
    }

    proptest! {
        /// No text makes the parser panic, and what it accepts it shows unchanged.
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9._+-]{0,40}(\\.whl)?") {
            if let Ok(wheel) = text.parse::<WheelFileName>() {
                prop_assert_eq!(wheel.to_string(), text);
            }
        }
    }
}
