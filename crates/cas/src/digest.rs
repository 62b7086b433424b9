//! The two hashes of the OCI world, as two types that cannot be swapped.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests>

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

/// The sha256 of some bytes as they are stored, `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The sha256 of an *uncompressed* layer, as image configs list it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(Digest);

/// A text is not a sha256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a sha256 digest (64 lower-case hex digits, with or without `sha256:`)")]
pub struct DigestError {
    /// What was given.
    pub text: String,
}

impl Digest {
    /// Hashes a byte string that is in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes the raw 32 bytes of a sha256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 hex digits without the `sha256:` prefix.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl DiffId {
    /// States that `digest` was taken of an uncompressed layer.
    pub const fn of_uncompressed(digest: Digest) -> Self {
        Self(digest)
    }

    /// Returns the hash itself, for a place that doesn't tell the two apart.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Reads `sha256:<hex>` or the bare hex digits that Debian indexes and wheels' hashes use.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let refused = || DigestError { text: text.to_owned() };
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refused())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Digest`] piece by piece.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with nothing hashed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all that was added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }

    /// Returns how far it is, in hex digits: enough to go on from there in another process.
    pub fn state(&self) -> String {
        hex::encode(self.0.serialize())
    }

    /// Goes on where a hasher was; `None` if that isn't what [`Self::state`] has returned.
    pub fn resume(state: &str) -> Option<Self> {
        let bytes = hex::decode(state).ok()?;
        Sha256::deserialize(bytes.as_slice().try_into().ok()?).ok().map(Self)
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes and counts the bytes that pass through a reader.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps a reader of which nothing has been read that should count.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), size: 0 }
    }

    /// Returns the digest and the size in bytes of what has passed so far.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_is_written() {
        let digest = Digest::of(b"minke");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex().parse(), Ok(digest));
    }

    #[test]
    fn upper_case_short_and_foreign_digests_are_refused() {
        let digest = Digest::of(b"minke");
        for text in [digest.hex().to_uppercase(), digest.hex()[1..].to_owned(), "md5:00".to_owned()] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError { text }));
        }
    }

    #[test]
    fn a_hashing_reader_sees_what_its_caller_sees() {
        let mut reader = HashingReader::new(&b"some bytes"[..]);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(reader.finish(), (Digest::of(&read), 10));
    }
}
