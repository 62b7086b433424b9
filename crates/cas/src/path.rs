//! Names and paths inside an image: absolute, normalised, never `..`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of one directory entry: not empty, not `.` or `..`, without `/` and NUL, at most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// An absolute, normalised path inside an image, ordered entry by entry as a tree is walked.
///
/// `/` is the root. No component is empty, `.` or `..`, so that a path cannot leave the root.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImagePath(String);

/// A text cannot be a name or a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A component is empty, `.`, `..`, too long, or holds a NUL or a slash.
    #[error("`{text}` has a component that no directory entry can have")]
    Component {
        /// What was given.
        text: String,
    },
    /// The text doesn't start with `/`.
    #[error("`{text}` is not an absolute path")]
    Relative {
        /// What was given.
        text: String,
    },
}

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let refused = matches!(text, "" | "." | "..") || text.len() > 255 || text.contains(['/', '\0']);
        if refused {
            return Err(PathError::Component { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ImagePath {
    /// Returns `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads what an archive calls a member: a leading `/` or `./` and a trailing `/` mean nothing there.
    ///
    /// # Errors
    /// [`PathError::Component`] for `..` and all that [`Name`] refuses; an absolute name is *not* refused,
    /// since a caller that must refuse it can see the first byte.
    pub fn from_archive(member: &str) -> Result<Self, PathError> {
        let mut path = String::with_capacity(member.len() + 1);
        for component in member.split('/').filter(|component| !matches!(*component, "" | ".")) {
            let name: Name = component.parse()?;
            path.push('/');
            path.push_str(name.as_str());
        }
        Ok(if path.is_empty() { Self::root() } else { Self(path) })
    }

    /// Returns the path of an entry of this directory.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let base = if self.is_root() { "" } else { &self.0 };
        Self(format!("{base}/{name}"))
    }

    /// Appends a relative path of one or more normal components, such as `lib/python3.13`.
    ///
    /// # Errors
    /// [`PathError`] if a component is refused by [`Name`].
    pub fn join_str(&self, relative: &str) -> Result<Self, PathError> {
        relative.split('/').try_fold(self.clone(), |path, component| Ok(path.join(&component.parse()?)))
    }

    /// Returns the directory that holds this entry, none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let (parent, _) = self.0.rsplit_once('/').expect("an absolute path has a slash");
        Some(if parent.is_empty() { Self::root() } else { Self(parent.to_owned()) })
    }

    /// Returns the last component, none for the root.
    pub fn name(&self) -> Option<&str> {
        (!self.is_root()).then(|| self.0.rsplit_once('/').expect("an absolute path has a slash").1)
    }

    /// Returns the components from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// Returns the path as text, with its leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path without its leading `/`, as archives want it; empty for the root.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Tells whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Tells whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self.0.strip_prefix(&ancestor.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for ImagePath {
    type Err = PathError;

    /// Reads an absolute path that is already normal.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let relative = text.strip_prefix('/').ok_or_else(|| PathError::Relative { text: text.to_owned() })?;
        if relative.is_empty() { Ok(Self::root()) } else { Self::root().join_str(relative) }
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // As the components' order, without taking them apart: a slash is below all that a name can hold.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        let differing = self.0.bytes().zip(other.0.bytes()).find(|(one, other)| one != other);
        differing.map_or_else(|| self.0.len().cmp(&other.0.len()), |(one, other)| rank(one).cmp(&rank(other)))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Name);
serde_as_text!(ImagePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_the_root_is_refused() {
        for text in ["/a/../b", "/./a", "/a//b", "/a/", "a", ""] {
            assert!(text.parse::<ImagePath>().is_err(), "{text}");
        }
        assert!(ImagePath::from_archive("./a/../../etc").is_err());
    }

    #[test]
    fn archive_names_are_normalised() {
        let normal = |member| ImagePath::from_archive(member).unwrap().to_string();
        assert_eq!(normal("./usr/lib/"), "/usr/lib");
        assert_eq!(normal("/usr/lib"), "/usr/lib");
        assert_eq!(normal("./"), "/");
    }

    #[test]
    fn paths_sort_as_a_tree_is_walked() {
        let mut paths: Vec<ImagePath> =
            ["/a.b", "/a/b", "/a"].into_iter().map(|text| text.parse().unwrap()).collect();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(ImagePath::as_str).collect();
        assert_eq!(sorted, ["/a", "/a/b", "/a.b"]);
    }

    #[test]
    fn paths_compare_as_their_components_do() {
        let texts = [
            "/", "/a", "/a/b", "/a/b/c", "/a!", "/a!/b", "/a.b", "/aa", "/b", "/b/\u{1}", "/\u{1}", "/ä/b",
            "/ä",
        ];
        let paths = texts.map(|text| text.parse::<ImagePath>().unwrap());
        for (one, other) in paths.iter().flat_map(|one| paths.iter().map(move |other| (one, other))) {
            assert_eq!(one.cmp(other), one.components().cmp(other.components()), "{one} {other}");
        }
    }

    #[test]
    fn ancestors_are_told_by_whole_components() {
        let path: ImagePath = "/usr/lib".parse().unwrap();
        assert!(path.starts_with(&"/usr".parse().unwrap()));
        assert!(path.starts_with(&ImagePath::root()));
        assert!(!path.starts_with(&"/us".parse().unwrap()));
    }
}
