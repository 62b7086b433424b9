//! Which archive has a Python that the suite hasn't: uv's managed interpreters, by its own settings.
//!
//! Where a list is named (`UV_PYTHON_DOWNLOADS_JSON_URL`), it is read here, since it says what each archive hashes to.
//! Else uv is asked, whose answer says only where archives lie; the release that an archive belongs to says in
//! its `SHA256SUMS` what it hashes to. The answer is a [`InterpreterPin`]: who keeps it need not ask again.
//!
//! Spec: <https://docs.astral.sh/uv/reference/environment/>

use std::collections::BTreeMap;
use std::fmt;

use minke_cas::{Digest, SourceUrl, SourceUrlError};
use minke_exec::{Uv, UvError};
use minke_net::{Client, FetchError, UnpinnedOptions};
use minke_python::{Arch, PythonVersion};
use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::request::Host;
use crate::settings::StandaloneWish;
use crate::uv::FindUvError;

/// The address of the list that uv reads in place of its own.
const LIST: &str = "UV_PYTHON_DOWNLOADS_JSON_URL";

/// What uv fetches its Pythons from in place of where they are released.
const MIRROR: &str = "UV_PYTHON_INSTALL_MIRROR";

/// uv's own list has two megabytes.
const LONGEST_LIST: u64 = 64 << 20;

/// A Python that was chosen: all that it takes to have the same again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterpreterPin {
    /// Its version, such as `3.12.16`.
    pub version: String,
    /// Where its archive was released, without secrets and before any mirror.
    pub url: String,
    /// What its archive hashes to.
    pub sha256: Digest,
}

/// No archive has the Python that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// uv cannot be had.
    #[error("cannot ask uv for its Pythons")]
    FindUv(#[source] FindUvError),
    /// uv does not answer.
    #[error("cannot ask uv for its Pythons")]
    Uv(#[source] UvError),
    /// An address cannot be used.
    #[error("`{what}` is no address that can be used")]
    Address {
        /// The variable, or what lists it.
        what: String,
        /// Why not.
        source: SourceUrlError,
    },
    /// The list cannot be fetched.
    #[error("cannot fetch the list of Pythons")]
    List(#[source] FetchError),
    /// The list isn't one.
    #[error("the list of Pythons cannot be read")]
    Syntax(#[source] serde_json::Error),
    /// The list has none that fits.
    #[error("uv knows no Python {wanted} for {platform}")]
    NotListed {
        /// What was asked for.
        wanted: PythonVersion,
        /// For what.
        platform: Platform,
    },
    /// Nothing says what the archive hashes to.
    #[error("nothing says what `{url}` hashes to")]
    Unpinned {
        /// The archive, without secrets.
        url: String,
        /// What happened to the release's sums, if they could not be fetched.
        #[source]
        source: Option<FetchError>,
    },
}

impl fmt::Display for InterpreterPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.version, self.url)
    }
}

impl InterpreterPin {
    /// Returns the archive as one that was wished for, fetched from where the settings say.
    pub fn wish(&self, host: &Host) -> StandaloneWish {
        StandaloneWish { place: mirrored(&self.url, host), sha256: Some(self.sha256) }
    }
}

/// Finds the newest release of a version for a platform, and pins it.
///
/// # Errors
/// [`InterpreterError`] says what to set.
pub fn resolve(
    (client, host): (&Client, &Host),
    wanted: &PythonVersion,
    platform: Platform,
    uv: impl FnOnce() -> Result<Uv, FindUvError>,
) -> Result<InterpreterPin, InterpreterError> {
    let listed = match host.variable(LIST) {
        Some(place) => read_list(client, host, place)?,
        None => {
            let uv = uv().map_err(InterpreterError::FindUv)?;
            let answer = uv.python_downloads(&wanted.to_string()).map_err(InterpreterError::Uv)?;
            serde_json::from_str::<Vec<Answered>>(&answer)
                .map_err(InterpreterError::Syntax)?
                .into_iter()
                .map(Listed::from)
                .collect()
        }
    };
    let newest = newest(listed, wanted, platform);
    let (version, found) = newest.ok_or(InterpreterError::NotListed { wanted: *wanted, platform })?;
    let address = |text: &str| {
        let parsed: Result<SourceUrl, _> = text.parse();
        parsed.map_err(|source| InterpreterError::Address {
            what: "a Python's place in the list".to_owned(),
            source,
        })
    };
    let url = address(&found.url)?;
    let sha256 = match found.sha256 {
        Some(sha256) => sha256,
        None => sum(client, &address(&mirrored(&found.url, host))?)?,
    };
    Ok(InterpreterPin { version: version.to_string(), url: url.to_string(), sha256 })
}

/// An archive that a list names.
struct Listed {
    version: String,
    implementation: String,
    platform: [String; 3],
    variant: String,
    url: String,
    sha256: Option<Digest>,
}

/// An entry of `uv python list --output-format json`.
#[derive(Deserialize)]
struct Answered {
    version: String,
    implementation: String,
    os: String,
    arch: String,
    libc: String,
    #[serde(default)]
    variant: Option<String>,
    url: Option<String>,
}

/// An entry of the lists that uv reads.
#[derive(Deserialize)]
struct Entry {
    name: String,
    arch: Machine,
    os: String,
    libc: String,
    major: u8,
    minor: u8,
    patch: u8,
    #[serde(default)]
    prerelease: String,
    url: String,
    #[serde(default)]
    sha256: Option<Digest>,
    #[serde(default)]
    variant: Option<String>,
}

/// The architecture; one that has a variant is for some processors only.
#[derive(Deserialize)]
struct Machine {
    family: String,
    #[serde(default)]
    variant: Option<String>,
}

impl From<Answered> for Listed {
    fn from(answered: Answered) -> Self {
        Self {
            version: answered.version,
            implementation: answered.implementation,
            platform: [answered.os, answered.arch, answered.libc],
            variant: answered.variant.unwrap_or_default(),
            url: answered.url.unwrap_or_default(),
            sha256: None,
        }
    }
}

impl From<Entry> for Listed {
    fn from(entry: Entry) -> Self {
        let Entry { name, arch, os, libc, major, minor, patch, prerelease, url, sha256, variant } = entry;
        let arch = match arch.variant {
            Some(variant) => format!("{}_{variant}", arch.family),
            None => arch.family,
        };
        Self {
            version: format!("{major}.{minor}.{patch}{prerelease}"),
            implementation: name,
            platform: [os, arch, libc],
            variant: variant.unwrap_or_default(),
            url,
            sha256,
        }
    }
}

fn read_list(client: &Client, host: &Host, place: &str) -> Result<Vec<Listed>, InterpreterError> {
    let place = match place.contains("://") {
        true => place.to_owned(),
        false => format!("file://{}", host.directory.join(place).display()),
    };
    let url: SourceUrl =
        place.parse().map_err(|source| InterpreterError::Address { what: LIST.to_owned(), source })?;
    let options = UnpinnedOptions { limit_bytes: LONGEST_LIST, ..UnpinnedOptions::default() };
    let bytes = client.get_unpinned(&url, &options).map_err(InterpreterError::List)?;
    // An entry that isn't understood is for somebody else.
    let entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(InterpreterError::Syntax)?;
    let read = |entry| serde_json::from_value::<Entry>(entry).ok().map(Listed::from);
    Ok(entries.into_values().filter_map(read).collect())
}

/// Chooses the newest final release of plain CPython that fits; of equal ones the last by address, so that the order of a list
/// doesn't matter.
fn newest(
    listed: Vec<Listed>,
    wanted: &PythonVersion,
    platform: Platform,
) -> Option<(PythonVersion, Listed)> {
    let arch = match platform.python() {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "aarch64",
    };
    let fits = |version: &PythonVersion| {
        (version.major, version.minor) == (wanted.major, wanted.minor)
            && (wanted.patch.is_none() || wanted.patch == version.patch)
    };
    listed
        .into_iter()
        .filter(|listed| {
            listed.implementation == "cpython" && matches!(listed.variant.as_str(), "" | "default")
        })
        .filter(|listed| listed.platform.each_ref().map(String::as_str) == ["linux", arch, "gnu"])
        .filter_map(|listed| Some((listed.version.parse::<PythonVersion>().ok()?, listed)))
        .filter(|(version, _)| fits(version))
        .max_by(|(one, first), (other, second)| (one, &first.url).cmp(&(other, &second.url)))
}

/// Returns an address on the mirror that is set, if it is one of a release's files: `…/releases/download/TAG/FILE`.
fn mirrored(url: &str, host: &Host) -> String {
    const RELEASES: &str = "/releases/download/";
    match (host.variable(MIRROR), url.split_once(RELEASES)) {
        (Some(mirror), Some((_, file))) => format!("{}/{file}", mirror.trim_end_matches('/')),
        _ => url.to_owned(),
    }
}

/// Reads what a release says that one of its files hashes to.
fn sum(client: &Client, archive: &SourceUrl) -> Result<Digest, InterpreterError> {
    let unpinned = |source| InterpreterError::Unpinned { url: archive.to_string(), source };
    let mut sums = archive.with_secrets().clone();
    let name = percent_encoding::percent_decode_str(archive.file_name()).decode_utf8_lossy().into_owned();
    if let Ok(mut path) = sums.path_segments_mut() {
        path.pop().push("SHA256SUMS");
    }
    let sums: SourceUrl = sums.as_str().parse().map_err(|_| unpinned(None))?;
    let bytes = client.get_unpinned(&sums, &UnpinnedOptions::default());
    let text = bytes.map_err(|error| unpinned(Some(error)))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let of_file = |line: &str| {
        let (sum, file) = line.split_once(char::is_whitespace)?;
        (file.trim_start().trim_start_matches('*').trim_end() == name).then(|| sum.parse().ok()).flatten()
    };
    text.lines().find_map(of_file).ok_or_else(|| unpinned(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(version: &str, arch: &str, variant: &str) -> Listed {
        Listed {
            version: version.to_owned(),
            implementation: "cpython".to_owned(),
            platform: ["linux".to_owned(), arch.to_owned(), "gnu".to_owned()],
            variant: variant.to_owned(),
            url: format!("https://host.test/{version}-{arch}-{variant}"),
            sha256: None,
        }
    }

    fn chosen(wanted: &str) -> Option<String> {
        let mut listed = vec![
            listed("3.12.9", "x86_64", ""),
            listed("3.12.16", "x86_64", "default"),
            listed("3.12.17", "aarch64", ""),
            listed("3.12.18", "x86_64_v3", ""),
            listed("3.12.19", "x86_64", "freethreaded"),
            listed("3.12.20rc1", "x86_64", ""),
            listed("3.13.1", "x86_64", ""),
        ];
        let pypy = Listed { implementation: "pypy".to_owned(), ..self::listed("3.12.30", "x86_64", "") };
        listed.push(pypy);
        let newest = newest(listed, &wanted.parse().unwrap(), Platform::Amd64);
        newest.map(|(version, _)| version.to_string())
    }

    #[test]
    fn the_newest_final_release_of_plain_cpython_is_taken() {
        assert_eq!(chosen("3.12").as_deref(), Some("3.12.16"));
        assert_eq!(chosen("3.12.9").as_deref(), Some("3.12.9"));
        assert_eq!(chosen("3.13").as_deref(), Some("3.13.1"));
        assert_eq!(chosen("3.14"), None);
    }

    #[test]
    fn a_mirror_has_what_is_released() {
        let host = |mirror: &str| Host {
            variables: BTreeMap::from([(MIRROR.to_owned(), mirror.to_owned())]),
            ..Host::default()
        };
        let released = "https://host.test/x/releases/download/2026/p%2B1.tar.gz";
        assert_eq!(
            mirrored(released, &host("http://mirror.test/p/")),
            "http://mirror.test/p/2026/p%2B1.tar.gz"
        );
        assert_eq!(mirrored(released, &Host::default()), released);
        assert_eq!(
            mirrored("https://host.test/p.tar.gz", &host("http://mirror.test")),
            "https://host.test/p.tar.gz"
        );
    }

    #[test]
    fn a_pin_is_kept_as_text() {
        let pin = InterpreterPin {
            version: "3.12.16".to_owned(),
            url: "https://host.test/p.tar.gz".to_owned(),
            sha256: Digest::of(b""),
        };
        let text = toml::to_string(&pin).unwrap();
        assert_eq!(toml::from_str::<InterpreterPin>(&text).unwrap(), pin);
        insta::assert_snapshot!(text, @r#"
        version = "3.12.16"
        url = "https://host.test/p.tar.gz"
        sha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        "#);
    }
}
