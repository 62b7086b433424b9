//! Image names: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
//!
//! The name stays as it was written: a default host is the registry client's affair, and no name is
//! looked up here.
//!
//! Spec: <https://github.com/distribution/reference/blob/v0.6.0/reference.go>

use std::fmt;
use std::str::FromStr;

use minke_cas::{Digest, DigestError};

/// What an image is called, with a tag, a digest or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference {
    host: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is nothing, or nothing before the tag or digest.
    #[error("`{text}` names no image")]
    Empty {
        /// What was given.
        text: String,
    },
    /// The name is longer than registries take.
    #[error("an image name has at most 255 characters, this one {length}")]
    Long {
        /// How long it is.
        length: usize,
    },
    /// The path has an upper-case letter.
    #[error("`{text}` is not an image name: `{component}` must be lower case")]
    UpperCase {
        /// What was given.
        text: String,
        /// The part with the letter.
        component: String,
    },
    /// A part of the path has other characters than it may have.
    #[error(
        "`{text}` is not an image name: `{component}` must be lower-case letters and digits, with single `.` or `_`, \
         `__` or any number of `-` between them"
    )]
    Component {
        /// What was given.
        text: String,
        /// The part that is wrong.
        component: String,
    },
    /// The part before the first slash is meant as a host and cannot be one.
    #[error("`{text}` is not an image name: `{host}` is not a host with an optional port")]
    Host {
        /// What was given.
        text: String,
        /// The part that is wrong.
        host: String,
    },
    /// The tag has other characters than it may have, or too many.
    #[error(
        "`{tag}` is not a tag: letters, digits, `_`, `.` and `-`, at most 128, not starting with `.` or `-`"
    )]
    Tag {
        /// The tag.
        tag: String,
    },
    /// What follows the `@` is not a digest.
    #[error("`{text}` does not end in a digest")]
    Digest {
        /// What was given.
        text: String,
        /// What is wrong.
        source: DigestError,
    },
}

impl Reference {
    /// Returns the registry's host and port, if the name says one.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Returns the path below the host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the tag; none only where the name has a digest instead.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if the name has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns `[HOST[:PORT]/]PATH`, without tag and digest.
    pub fn repository(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// Returns the repository with the tag, `latest` where none is said, and without the digest.
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.repository(), self.tag.as_deref().unwrap_or(LATEST))
    }
}

const LATEST: &str = "latest";

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a name; where it has neither tag nor digest, the tag is `latest`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digits)) => (rest, Some(read_digest(text, digits)?)),
        };
        // A colon before the last slash is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(read_tag(tag)?)),
            _ => (rest, None),
        };
        if name.is_empty() {
            return Err(ReferenceError::Empty { text: text.to_owned() });
        }
        if name.len() > 255 {
            return Err(ReferenceError::Long { length: name.len() });
        }
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if is_meant_as_host(first) => (Some(read_host(text, first)?), path),
            _ => (None, name),
        };
        path.split('/').try_for_each(|component| check_component(text, component))?;
        let tag = tag.or_else(|| digest.is_none().then(|| LATEST.to_owned()));
        Ok(Self { host, path: path.to_owned(), tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn read_digest(text: &str, digits: &str) -> Result<Digest, ReferenceError> {
    let refused = |source| ReferenceError::Digest { text: text.to_owned(), source };
    if !digits.starts_with("sha256:") {
        return Err(refused(DigestError { text: digits.to_owned() }));
    }
    digits.parse().map_err(refused)
}

fn read_tag(tag: &str) -> Result<String, ReferenceError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let fine = (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-']);
    if fine { Ok(tag.to_owned()) } else { Err(ReferenceError::Tag { tag: tag.to_owned() }) }
}

/// Tells a host from the first part of a path, by Docker's rule.
fn is_meant_as_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn read_host(text: &str, host: &str) -> Result<String, ReferenceError> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, "")) => (host, None),
        Some((_, port)) => {
            (&host[..host.len() - port.len()], Some(port.strip_prefix(':').unwrap_or_default()))
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        allowed && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let address = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let known = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => address(inner),
        None => name.split('.').all(label),
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if known && port.is_none_or(digits) {
        return Ok(host.to_owned());
    }
    Err(ReferenceError::Host { text: text.to_owned(), host: host.to_owned() })
}

fn check_component(text: &str, component: &str) -> Result<(), ReferenceError> {
    let (text, component) = (text.to_owned(), component.to_owned());
    if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase { text, component });
    }
    let is_word = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let separators = component.split(is_word).filter(|between| !between.is_empty());
    let between =
        |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-');
    let framed = component.starts_with(is_word) && component.ends_with(is_word);
    if framed && separators.into_iter().all(between) {
        return Ok(());
    }
    Err(ReferenceError::Component { text, component })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<String>, String) {
        let name: Reference = text.parse().unwrap();
        (name.host.clone(), name.path.clone(), name.tag.clone(), name.to_string())
    }

    #[test]
    fn hosts_ports_paths_and_tags_are_told_apart() {
        let owned = |text: &str| Some(text.to_owned());
        let digest = Digest::of(b"").to_string();
        assert_eq!(parts("app"), (None, "app".into(), owned("latest"), "app:latest".into()));
        assert_eq!(parts("a/b-c__d:V1"), (None, "a/b-c__d".into(), owned("V1"), "a/b-c__d:V1".into()));
        let full = "host.test:5000/a/b:1.0";
        assert_eq!(parts(full), (owned("host.test:5000"), "a/b".into(), owned("1.0"), full.into()));
        let local = "localhost/app:x";
        assert_eq!(parts(local), (owned("localhost"), "app".into(), owned("x"), local.into()));
        let six = "[::1]:5000/app:x";
        assert_eq!(parts(six), (owned("[::1]:5000"), "app".into(), owned("x"), six.into()));
        let by_digest = format!("app@{digest}");
        assert_eq!(parts(&by_digest), (None, "app".into(), None, by_digest.clone()));
        let both = format!("app:1@{digest}");
        assert_eq!(parts(&both), (None, "app".into(), owned("1"), both.clone()));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        insta::assert_snapshot!(
            ["", ":tag", "My_App", "a//b", "-a", "a..b", "a:b c", "a@sha256:12", "host.test:x/a", "HOST-/a", "a:"]
                .map(error)
                .join("\n"),
            @r"
            `` names no image
            `:tag` names no image
            `My_App` is not an image name: `My_App` must be lower case
            `a//b` is not an image name: `` must be lower-case letters and digits, with single `.` or `_`, `__` or any number of `-` between them
            `-a` is not an image name: `-a` must be lower-case letters and digits, with single `.` or `_`, `__` or any number of `-` between them
            `a..b` is not an image name: `a..b` must be lower-case letters and digits, with single `.` or `_`, `__` or any number of `-` between them
            `b c` is not a tag: letters, digits, `_`, `.` and `-`, at most 128, not starting with `.` or `-`
            `a@sha256:12` does not end in a digest
            `host.test:x/a` is not an image name: `host.test:x` is not a host with an optional port
            `HOST-/a` is not an image name: `HOST-` is not a host with an optional port
            `` is not a tag: letters, digits, `_`, `.` and `-`, at most 128, not starting with `.` or `-`
            "
        );
    }

    proptest! {
        /// A name reads back as it is written, and no text makes the reader panic.
        #[test]
        fn names_read_back(text in "[a-zA-Z0-9./:@_\\[\\]-]{0,30}|\\PC{0,20}") {
            if let Ok(name) = text.parse::<Reference>() {
                prop_assert_eq!(name.to_string().parse::<Reference>(), Ok(name));
            }
        }
    }
}
