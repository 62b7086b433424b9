//! Texts in arguments that have rules.

use std::error::Error;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use minke_cas::ImagePath;

use crate::foreman::{Destination, Reference};

/// An argument has a form that it must not have: a phrase that says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FormError(String);

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, FormError> {
    Err(FormError(reason.into()))
}

/// Reads an argument by its type's own rules, and says all that is wrong with one that is refused.
pub(crate) fn told<T: FromStr<Err: Error + 'static>>(text: &str) -> Result<T, FormError> {
    text.parse().map_err(|error: T::Err| {
        let chain = successors(Some(&error as &dyn Error), |&error| error.source());
        FormError(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    })
}

/// Reads where an image goes, and returns it as it was typed.
pub(crate) fn destination(text: &str) -> Result<String, FormError> {
    told::<Destination>(text).map(|_| text.to_owned())
}

/// Reads what an image that isn't there yet is to be called: `NAME[:TAG]`.
pub(crate) fn new_name(text: &str) -> Result<Reference, FormError> {
    let name: Reference = told(text)?;
    match name.digest() {
        Some(_) => refuse("a digest cannot be chosen; a name is NAME[:TAG]"),
        None => Ok(name),
    }
}

/// A name and a value: `KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Variable {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => refuse("it must be KEY=VALUE"),
        }
    }
}

/// An environment variable for a container: `KEY=VALUE`, or `KEY` for the value that it has here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

impl FromStr for Passed {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return refuse("it must be KEY=VALUE or KEY");
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

/// A file or directory of this machine that a container sees: `HOST:PATH[:ro]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bind {
    host: PathBuf,
    path: ImagePath,
    access: BindAccess,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BindAccess {
    ReadWrite,
    ReadOnly,
}

impl Bind {
    /// Returns it as text whose host path starts at the root.
    pub(crate) fn below(&self, directory: &Path) -> String {
        let host: PathBuf = directory.join(&self.host).components().collect();
        let suffix = match self.access {
            BindAccess::ReadWrite => "",
            BindAccess::ReadOnly => ":ro",
        };
        format!("{}:{}{suffix}", host.display(), self.path)
    }
}

impl FromStr for Bind {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let (host, rest) = match text.split_once(':') {
            Some((host, rest)) if !host.is_empty() => (host, rest),
            _ => return refuse("it must be HOST:PATH or HOST:PATH:ro"),
        };
        if !host.starts_with(['/', '.']) {
            return refuse(format!("minke has no named volumes; for a directory, write `./{host}`"));
        }
        let (path, access) = match rest.split_once(':') {
            None | Some((_, "rw")) => (rest.trim_end_matches(":rw"), BindAccess::ReadWrite),
            Some((path, "ro")) => (path, BindAccess::ReadOnly),
            Some((_, option)) => {
                return refuse(format!("minke doesn't know the option `{option}`, only `ro`"));
            }
        };
        let path = path.parse::<ImagePath>().map_err(|error| FormError(error.to_string()))?;
        Ok(Self { host: host.into(), path, access })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn refused<T: FromStr<Err = FormError> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn a_refused_argument_says_all_that_is_wrong() {
        let digest = format!("shop@sha256:{}", "00".repeat(32));
        insta::assert_snapshot!(new_name(&digest).unwrap_err(), @"a digest cannot be chosen; a name is NAME[:TAG]");
        insta::assert_snapshot!(new_name("Shop").unwrap_err(), @"`Shop` is not an image name: `Shop` must be lower case");
        insta::assert_snapshot!(destination("docker-daemon:A B").unwrap_err(), @"`docker-daemon:A B` does not end in an image name: `A B` is not an image name: `A B` must be lower case");
        insta::assert_snapshot!(told::<Reference>("shop@sha256:0f").unwrap_err(), @"`shop@sha256:0f` does not end in a digest: `sha256:0f` is not a sha256 digest (64 lower-case hex digits, with or without `sha256:`)");
    }

    #[test]
    fn a_bind_is_made_absolute_and_keeps_its_access() {
        let below = |text: &str| text.parse::<Bind>().unwrap().below(Path::new("/home/u"));
        assert_eq!(below("./data:/data:ro"), "/home/u/data:/data:ro");
        assert_eq!(below(".:/src"), "/home/u:/src");
        assert_eq!(below("/srv:/srv:rw"), "/srv:/srv");
    }

    #[test]
    fn a_bind_that_means_something_else_elsewhere_is_refused() {
        insta::assert_snapshot!(refused::<Bind>("data:/data"), @"minke has no named volumes; for a directory, write `./data`");
        insta::assert_snapshot!(refused::<Bind>("/a:/b:Z"), @"minke doesn't know the option `Z`, only `ro`");
        insta::assert_snapshot!(refused::<Bind>("/a:b"), @"`b` is not an absolute path");
        insta::assert_snapshot!(refused::<Bind>("/a"), @"it must be HOST:PATH or HOST:PATH:ro");
    }
}
