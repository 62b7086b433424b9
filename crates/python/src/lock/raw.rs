//! A lock file as it is written, before its parts are put together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minke_cas::{Digest, SourceUrl};
use pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{Kind, Lock, LockError, LockedFile, LockedPackage, VcsLocation};
use crate::{ExtraName, GroupName, Marker, PackageName, Position, WheelFileName};

pub(super) fn parse(text: &str) -> Result<Lock, LockError> {
    let malformed = |error: toml::de::Error| LockError::Malformed {
        position: Position::of_span(text, error.span()),
        message: error.message().to_owned(),
    };
    let known = |version: &str| version == "1" || version.starts_with("1.");
    let raw = match toml::from_str::<RawLock>(text) {
        Ok(raw) if known(&raw.lock_version) => raw,
        Ok(raw) => return Err(LockError::Version { version: raw.lock_version }),
        Err(error) => {
            // Of another version, the rest may be anything.
            let Versioned { lock_version } = toml::from_str(text).map_err(malformed)?;
            return Err(match known(&lock_version) {
                true => malformed(error),
                false => LockError::Version { version: lock_version },
            });
        }
    };
    let (packages, environments) =
        entries(raw.packages, raw.environments).map_err(|Refusal { span, message }| {
            LockError::Malformed { position: Position::of_span(text, Some(span)), message }
        })?;
    Ok(Lock {
        requires_python: raw.requires_python.map(|Specifiers(range)| range),
        environments,
        extras: raw.extras,
        groups: raw.dependency_groups,
        default_groups: raw.default_groups,
        packages,
    })
}

/// What TOML allows and the specification doesn't, and where it stands.
///
/// Serde's own errors know no better place than the key above, which for a long list is far away.
struct Refusal {
    span: Range<usize>,
    message: String,
}

impl Refusal {
    fn at(span: Range<usize>) -> impl FnOnce(String) -> Self {
        move |message| Self { span, message }
    }
}

fn entries(
    packages: Vec<Spanned<RawPackage>>,
    environments: Vec<Spanned<String>>,
) -> Result<(Vec<LockedPackage>, Vec<Marker>), Refusal> {
    let marker = |text: Spanned<String>| {
        text.get_ref()
            .parse()
            .map_err(|error: crate::MarkerError| Refusal::at(text.span())(error.to_string()))
    };
    let environments = environments.into_iter().map(marker).collect::<Result<_, _>>()?;
    Ok((packages.into_iter().map(package).collect::<Result<_, _>>()?, environments))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Versioned {
    lock_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    lock_version: String,
    requires_python: Option<Specifiers>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    #[serde(default)]
    extras: BTreeSet<ExtraName>,
    #[serde(default)]
    dependency_groups: BTreeSet<GroupName>,
    #[serde(default)]
    default_groups: BTreeSet<GroupName>,
    packages: Vec<Spanned<RawPackage>>,
}

/// A version range whose refusal is one line.
pub(crate) struct Specifiers(pub(crate) VersionSpecifiers);

/// A version whose refusal is one line.
pub(crate) struct Exact(pub(crate) Version);

impl<'de> Deserialize<'de> for Specifiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = |_| de::Error::custom(format!("`{text}` is not a version range such as `>=3.11`"));
        text.parse().map(Self).map_err(refused)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom(format!("`{text}` is not a version")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: PackageName,
    version: Option<Exact>,
    marker: Option<Marker>,
    requires_python: Option<Specifiers>,
    vcs: Option<Spanned<RawVcs>>,
    directory: Option<RawDirectory>,
    archive: Option<Spanned<RawFile>>,
    sdist: Option<Spanned<RawFile>>,
    #[serde(default)]
    wheels: Vec<Spanned<RawFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawVcs {
    r#type: String,
    url: Option<String>,
    path: Option<String>,
    requested_revision: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct RawDirectory {
    path: String,
    #[serde(default)]
    editable: bool,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    upload_time: Option<toml::value::Datetime>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    subdirectory: Option<String>,
}

impl RawFile {
    fn file(self) -> Result<LockedFile, String> {
        let url = self
            .url
            .as_deref()
            .map(str::parse::<SourceUrl>)
            .transpose()
            .map_err(|error| error.to_string())?;
        let last = match (&self.name, &url, &self.path) {
            (Some(name), _, _) => name.clone(),
            (None, Some(url), _) => percent_decoded(url.file_name()),
            (None, None, Some(path)) => path.rsplit('/').next().unwrap_or_default().to_owned(),
            (None, None, None) => return Err("a file needs a `url` or a `path`".to_owned()),
        };
        if url.is_none() && self.path.is_none() {
            return Err("a file needs a `url` or a `path`".to_owned());
        }
        let hashes: BTreeMap<_, _> = self
            .hashes
            .into_iter()
            .map(|(algorithm, digits)| (algorithm.to_ascii_lowercase(), digits.to_ascii_lowercase()))
            .collect();
        if let Some(digits) = hashes.get("sha256") {
            digits.parse::<Digest>().map_err(|error| error.to_string())?;
        }
        // An address can be fetched from anywhere; a path needs this machine.
        let path = if url.is_some() { None } else { self.path };
        let uploaded = self.upload_time.map(|time| time.to_string());
        Ok(LockedFile { name: last, url, path, size: self.size, uploaded, hashes })
    }
}

/// Undoes `%2B` and its like in a file name; what isn't well formed stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &rest[3..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn package(raw: Spanned<RawPackage>) -> Result<LockedPackage, Refusal> {
    let span = raw.span();
    let raw = raw.into_inner();
    let from_index = raw.sdist.is_some() || !raw.wheels.is_empty();
    let kind = match (raw.vcs, raw.directory, raw.archive, from_index) {
        (Some(vcs), None, None, false) => {
            let span = vcs.span();
            vcs.into_inner().kind().map_err(Refusal::at(span))?
        }
        (None, Some(RawDirectory { path, editable, subdirectory }), None, false) => {
            Kind::Directory { path, editable, subdirectory }
        }
        (None, None, Some(archive), false) => {
            let subdirectory = archive.get_ref().subdirectory.clone();
            Kind::Archive { file: file(archive)?, subdirectory }
        }
        (None, None, None, _) => {
            let wheels = raw.wheels.into_iter().map(wheel).collect::<Result<_, _>>()?;
            Kind::Index { wheels, sdist: raw.sdist.map(file).transpose()? }
        }
        _ => {
            let message = format!(
                "`{}` comes from several places: `vcs`, `directory`, `archive` and `sdist` with `wheels` exclude \
                 each other",
                raw.name
            );
            return Err(Refusal { span, message });
        }
    };
    Ok(LockedPackage {
        name: raw.name,
        version: raw.version.map(|Exact(version)| version),
        marker: raw.marker,
        requires_python: raw.requires_python.map(|Specifiers(range)| range),
        kind,
    })
}

fn file(raw: Spanned<RawFile>) -> Result<LockedFile, Refusal> {
    let span = raw.span();
    raw.into_inner().file().map_err(Refusal::at(span))
}

fn wheel(raw: Spanned<RawFile>) -> Result<(WheelFileName, LockedFile), Refusal> {
    let span = raw.span();
    let file = file(raw)?;
    match file.name.parse::<WheelFileName>() {
        Ok(name) => Ok((name, file)),
        Err(error) => Err(Refusal { span, message: error.to_string() }),
    }
}

impl RawVcs {
    fn kind(self) -> Result<Kind, String> {
        let location = match (self.url, self.path) {
            (Some(url), _) => VcsLocation::Url(url),
            (None, Some(path)) => VcsLocation::Path(path),
            (None, None) => return Err("a repository needs a `url` or a `path`".to_owned()),
        };
        Ok(Kind::Vcs {
            vcs: self.r#type,
            location,
            revision: self.requested_revision,
            commit: self.commit_id,
            subdirectory: self.subdirectory,
        })
    }
}
