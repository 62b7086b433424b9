//! Something to fetch, pinned by digest, and an address whose secrets never show.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::Digest;

/// Something to fetch whose bytes are known beforehand by their digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// Where it lies.
    pub url: SourceUrl,
    /// What its bytes must hash to.
    pub digest: Digest,
    /// How long it is in bytes, where the index says so.
    pub size: Option<u64>,
}

/// An address to fetch from; `Display` and `Debug` leave its user name and password out.
///
/// It is not serialisable on purpose: a memo key that holds an address would hold its password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceUrl(Url);

/// A text is not an address that minke can fetch from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not an http, https or file address: {reason}")]
pub struct SourceUrlError {
    /// What is wrong with it; never the text itself, which may hold a password.
    pub reason: String,
}

impl SourceUrl {
    /// Returns the whole address, secrets included: for the one who sends the request, and for nobody else.
    pub fn with_secrets(&self) -> &Url {
        &self.0
    }

    /// Returns the address of something below this one, which is taken as a directory.
    ///
    /// # Errors
    /// [`SourceUrlError`] if `relative` cannot be part of an address.
    pub fn join(&self, relative: &str) -> Result<Self, SourceUrlError> {
        let mut base = self.0.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", self.0.path()));
        }
        let joined = base.join(relative).map_err(|error| SourceUrlError { reason: error.to_string() })?;
        Ok(Self(joined))
    }

    /// Returns the last component of the path, percent-decoded by nobody.
    pub fn file_name(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }

    /// Returns the host's name and port as a message may show them, empty for a file.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl FromStr for SourceUrl {
    type Err = SourceUrlError;

    fn from_str(text: &str) -> Result<Self, SourceUrlError> {
        let url = Url::parse(text).map_err(|error| SourceUrlError { reason: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https" | "file") {
            return Err(SourceUrlError { reason: format!("its scheme is `{}`", url.scheme()) });
        }
        Ok(Self(url))
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // Both setters refuse only addresses that cannot have credentials in the first place.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let url: SourceUrl = "https://me:secret@host.test:81/simple/?token=secret".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://host.test:81/simple/ https://host.test:81/simple/");
        assert_eq!(url.host(), "host.test:81");
    }

    #[test]
    fn joining_keeps_the_directory() {
        let url: SourceUrl = "http://host.test/debian".parse().unwrap();
        assert_eq!(url.join("dists/trixie").unwrap().to_string(), "http://host.test/debian/dists/trixie");
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!("ftp://host.test/".parse::<SourceUrl>().is_err());
        assert!("pool/main".parse::<SourceUrl>().is_err());
    }
}
