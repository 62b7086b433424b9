//! An archive's signed list of indexes: `InRelease`.
//!
//! What is parsed is exactly the text that was signed: dash escapes undone, blanks at line ends gone, nothing
//! from before or after the signed part. One good signature by a trusted key is enough, as in apt.
//!
//! Spec: <https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files>

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minke_cas::Digest;
use pgp::composed::CleartextSignedMessage;
use pgp::packet::{Signature, SignatureType};

use crate::compression::Compression;
use crate::keyring::{Key, Keyring, is_strong};
use crate::name::{Arch, Suite};
use crate::stanza;

/// What a verified `InRelease` vouches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// The suite, such as `stable`, where one is named.
    pub suite: Option<Suite>,
    /// The codename, such as `trixie-updates`, where one is named.
    pub codename: Option<Suite>,
    /// When the archive wrote it.
    pub date: Timestamp,
    /// Until when it may be believed; Debian's main archive doesn't say.
    pub valid_until: Option<Timestamp>,
    /// Whether indexes can be fetched by their digest, so that an update in between does no harm.
    pub by_hash: ByHash,
    /// The components, by the directories that they lie in (`main`).
    pub components: Vec<String>,
    /// The fingerprint of the key whose signature was believed.
    pub signed_by: String,
    files: BTreeMap<String, (Digest, u64)>,
}

/// Whether an archive offers its indexes by digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByHash {
    /// It does.
    Offered,
    /// It doesn't.
    NotOffered,
}

/// Which packages a list of files is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ContentsArch {
    /// Those that are for all machines.
    All,
    /// Those for one architecture.
    Native(Arch),
}

impl ContentsArch {
    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Native(arch) => arch.as_str(),
        }
    }
}

/// One file that an [`Release`] vouches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexFile {
    /// Where it lies, relative to the directory of the `InRelease`: by its digest, where that is offered.
    pub path: String,
    /// Where it lies by its name, relative to the same, if the archive isn't being updated.
    pub name: String,
    /// What its bytes hash to, compressed as they are.
    pub digest: Digest,
    /// How many there are.
    pub size_bytes: u64,
    /// How they are compressed.
    pub compression: Compression,
}

/// An `InRelease` cannot be believed or read.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It isn't a clear-signed message, or there is something before or after it.
    #[error("this is not a clear-signed message")]
    NotSigned(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No signature is a good one by a key that is trusted.
    #[error("no signature can be trusted: {}", listed(signatures))]
    Untrusted {
        /// Each signature and what is wrong with it.
        signatures: Vec<RefusedSignature>,
    },
    /// It is too old to be believed: what it lists may have known holes.
    #[error("it expired on {}", valid_until.to_zoned(TimeZone::UTC).date())]
    Expired {
        /// Until when it was good.
        valid_until: Timestamp,
    },
    /// It is dated in the future.
    #[error("it is dated {}, which is in the future", date.to_zoned(TimeZone::UTC).date())]
    NotYetValid {
        /// Its date.
        date: Timestamp,
    },
    /// It is signed, but for another suite: a mirror may not serve an old suite for a new one.
    #[error("it is for {found}, not for {wanted}")]
    OtherSuite {
        /// The suite that was asked for.
        wanted: Suite,
        /// What it says of itself.
        found: String,
    },
    /// A field is missing or cannot be read.
    #[error("its field `{field}` is missing or cannot be read")]
    Field {
        /// Which one.
        field: &'static str,
    },
}

/// A signature and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedSignature {
    /// The fingerprint or the id of the key that it says it is by.
    pub key: String,
    /// What is wrong.
    pub refusal: Refusal,
}

/// Why a signature isn't believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The key isn't in the keyring, or may not sign.
    UnknownKey,
    /// The text isn't what was signed.
    Mismatch,
    /// The key or the signature has expired.
    Expired {
        /// When.
        on: Date,
    },
    /// The key was revoked.
    Revoked,
    /// It is older than its key, or from the future.
    Untimely,
    /// Its hash can be forged, or it isn't a signature of text.
    Weak,
}

fn listed(signatures: &[RefusedSignature]) -> String {
    if signatures.is_empty() {
        return "there is none".to_owned();
    }
    signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for RefusedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match self.refusal {
            Refusal::UnknownKey => write!(f, "key {key} is not in the keyring"),
            Refusal::Mismatch => write!(f, "the text is not what key {key} signed"),
            Refusal::Expired { on } => write!(f, "key {key} or its signature expired on {on}"),
            Refusal::Revoked => write!(f, "key {key} was revoked"),
            Refusal::Untimely => write!(f, "the signature by key {key} has an impossible date"),
            Refusal::Weak => write!(f, "the signature by key {key} is of a kind that can be forged"),
        }
    }
}

/// Debian's own is 140 kB.
const LONGEST_RELEASE: usize = 16 << 20;

/// A `Date` may be this far ahead of `today`, since days don't begin everywhere at once.
const AHEAD_SECS: i64 = 2 * 86_400;

impl Release {
    /// Checks the signatures on an `InRelease` file and returns what it vouches for.
    ///
    /// One good signature from `keyring` is enough, as in apt. Expiry is judged against `today` because this
    /// crate has no clock. Whether it is the suite that was asked for is [`Release::expect_suite`]'s.
    ///
    /// # Errors
    /// [`ReleaseError::Untrusted`] if no signature is a good one; [`ReleaseError::Expired`] if `Valid-Until`
    /// is before `today`; [`ReleaseError::NotSigned`], [`ReleaseError::NotYetValid`], [`ReleaseError::Field`].
    ///
    /// Spec: <https://www.rfc-editor.org/rfc/rfc9580.html#name-cleartext-signature-framewo>
    pub fn verify(inrelease: &[u8], keyring: &Keyring, today: Date) -> Result<Self, ReleaseError> {
        if inrelease.len() > LONGEST_RELEASE {
            return Err(ReleaseError::NotSigned("it is too long".into()));
        }
        let text = std::str::from_utf8(inrelease).map_err(|error| ReleaseError::NotSigned(error.into()))?;
        let (message, _) = CleartextSignedMessage::from_string(text)
            .map_err(|error| ReleaseError::NotSigned(error.into()))?;
        let signed = message.signed_text();
        let mut refused = Vec::new();
        for signature in message.signatures() {
            match judge(signature, signed.as_bytes(), keyring, today) {
                Ok(key) => return parse(&signed, &key.fingerprint, today),
                Err(refusal) => refused.push(RefusedSignature { key: issuer(signature), refusal }),
            }
        }
        Err(ReleaseError::Untrusted { signatures: refused })
    }

    /// Checks that this is the suite or codename that was asked for.
    ///
    /// # Errors
    /// [`ReleaseError::OtherSuite`] if it isn't.
    pub fn expect_suite(&self, wanted: &Suite) -> Result<(), ReleaseError> {
        let own = || self.suite.iter().chain(&self.codename);
        if own().any(|suite| suite == wanted) {
            return Ok(());
        }
        let found = own().map(Suite::as_str).collect::<Vec<_>>().join(", ");
        Err(ReleaseError::OtherSuite { wanted: wanted.clone(), found })
    }

    /// Returns where a component's index of packages can be had, the best first.
    ///
    /// Empty if the archive has no such component or architecture.
    pub fn index(&self, component: &str, arch: Arch) -> Vec<IndexFile> {
        self.indexes(&format!("{component}/binary-{arch}"), "Packages")
    }

    /// Returns where the list of all files of a component's packages can be had, the best first.
    ///
    /// Packages for one architecture are in its own list, those for all in another. Empty if the archive has none.
    pub fn contents(&self, component: &str, arch: ContentsArch) -> Vec<IndexFile> {
        self.indexes(component, &format!("Contents-{}", arch.as_str()))
    }

    fn indexes(&self, directory: &str, name: &str) -> Vec<IndexFile> {
        let best_first = [Compression::Xz, Compression::Gzip, Compression::None];
        best_first
            .into_iter()
            .filter_map(|compression| {
                let name = format!("{directory}/{name}{}", compression.suffix());
                let &(digest, size_bytes) = self.files.get(&name)?;
                let path = match self.by_hash {
                    ByHash::Offered => format!("{directory}/by-hash/SHA256/{}", digest.hex()),
                    ByHash::NotOffered => name.clone(),
                };
                Some(IndexFile { path, name, digest, size_bytes, compression })
            })
            .collect()
    }
}

fn judge<'keyring>(
    signature: &'keyring Signature,
    text: &[u8],
    keyring: &'keyring Keyring,
    today: Date,
) -> Result<&'keyring Key, Refusal> {
    if !is_strong(signature) || signature.typ() != Some(SignatureType::Text) {
        return Err(Refusal::Weak);
    }
    let mut refusal = Refusal::UnknownKey;
    for key in keyring.candidates(signature) {
        match judge_by(key, signature, text, today) {
            Ok(()) => return Ok(key),
            Err(found) => refusal = found,
        }
    }
    Err(refusal)
}

fn judge_by(key: &Key, signature: &Signature, text: &[u8], today: Date) -> Result<(), Refusal> {
    if !key.made(signature, text) {
        return Err(Refusal::Mismatch);
    }
    if key.is_revoked {
        return Err(Refusal::Revoked);
    }
    let now = start_of(today).as_second();
    let created = signature.created().map(|created| i64::from(created.as_secs())).ok_or(Refusal::Untimely)?;
    if created < key.created_secs.cast_signed() || created > now + AHEAD_SECS {
        return Err(Refusal::Untimely);
    }
    let own_end = signature
        .signature_expiration_time()
        .map(|valid| i64::from(valid.as_secs()))
        .filter(|secs| *secs > 0)
        .map(|secs| created + secs);
    let end = key.expires_secs.map(u64::cast_signed).into_iter().chain(own_end).min();
    match end.filter(|end| *end <= now) {
        Some(end) => Err(Refusal::Expired { on: date_of(end) }),
        None => Ok(()),
    }
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(id).unwrap_or_else(|| "(none)".to_owned()).to_uppercase()
}

fn start_of(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

fn date_of(secs: i64) -> Date {
    Timestamp::from_second(secs).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

fn parse(signed: &str, signed_by: &str, today: Date) -> Result<Release, ReleaseError> {
    let text = signed.replace('\r', "");
    let mut stanzas = stanza::stanzas(&text);
    let (Some(stanza), None) = (stanzas.next(), stanzas.next()) else {
        return Err(ReleaseError::Field { field: "Date" });
    };
    let field = |name| stanza::field(stanza, name);
    let suite = |name: &'static str| {
        field(name).map(str::parse).transpose().map_err(|_| ReleaseError::Field { field: name })
    };
    let date = field("Date").and_then(timestamp).ok_or(ReleaseError::Field { field: "Date" })?;
    if date.as_second() > start_of(today).as_second() + AHEAD_SECS {
        return Err(ReleaseError::NotYetValid { date });
    }
    let valid_until = field("Valid-Until")
        .map(|value| timestamp(value).ok_or(ReleaseError::Field { field: "Valid-Until" }))
        .transpose()?;
    if let Some(valid_until) = valid_until.filter(|end| end.to_zoned(TimeZone::UTC).date() < today) {
        return Err(ReleaseError::Expired { valid_until });
    }
    let offers_by_hash = field("Acquire-By-Hash").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    Ok(Release {
        suite: suite("Suite")?,
        codename: suite("Codename")?,
        date,
        valid_until,
        by_hash: if offers_by_hash { ByHash::Offered } else { ByHash::NotOffered },
        components: field("Components").unwrap_or_default().split_whitespace().map(component).collect(),
        signed_by: signed_by.to_owned(),
        files: files(field("SHA256").ok_or(ReleaseError::Field { field: "SHA256" })?)?,
    })
}

/// The security archive lists `updates/main`, but its indexes lie below `main`.
fn component(listed: &str) -> String {
    listed.rsplit('/').next().unwrap_or(listed).to_owned()
}

/// Reads `Sat, 12 Sep 2026 07:52:18 UTC`, which RFC 2822 would write with `GMT`.
fn timestamp(value: &str) -> Option<Timestamp> {
    let value = value.strip_suffix("UTC").map_or_else(|| value.to_owned(), |rest| format!("{rest}GMT"));
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(&value).ok()
}

fn files(listing: &str) -> Result<BTreeMap<String, (Digest, u64)>, ReleaseError> {
    let mut files = BTreeMap::new();
    for line in listing.lines().filter(|line| !line.trim().is_empty()) {
        let (path, file) = file(line).ok_or(ReleaseError::Field { field: "SHA256" })?;
        if files.insert(path, file).is_some_and(|earlier| earlier != file) {
            return Err(ReleaseError::Field { field: "SHA256" });
        }
    }
    Ok(files)
}

fn file(line: &str) -> Option<(String, (Digest, u64))> {
    let mut words = line.split_whitespace();
    let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
    let is_complete = words.next().is_none();
    let stays_inside = !path.split('/').any(|component| matches!(component, "" | "." | ".."));
    (is_complete && stays_inside).then_some(())?;
    Some((path.to_owned(), (digest.parse().ok()?, size.parse().ok()?)))
}

#[cfg(test)]
mod tests;
