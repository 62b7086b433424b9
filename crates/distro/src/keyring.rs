//! The keys whose signature on an archive is believed.
//!
//! A key counts once its own bindings are proved: a primary key by a self-signature, a subkey by the primary
//! key's and by its own back signature. What is revoked or may not sign is kept only to say so in an error.
//! The web of trust plays no part: whoever is in the keyring is trusted, as in apt.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9580.html>

use std::io::{self, BufRead, BufReader};

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag};

/// The keys that may sign an archive.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// Bytes are not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// They are no OpenPGP keys, neither armored nor binary.
    #[error("these bytes are not OpenPGP keys")]
    Unreadable(#[source] pgp::errors::Error),
    /// There are more bytes than any keyring has.
    #[error("a keyring of more than {limit} bytes is not read")]
    TooLarge {
        /// How many are read.
        limit: usize,
    },
    /// There are keys, but none that may sign.
    #[error("there is no key in this keyring that may sign")]
    NoSigner,
}

/// One key that may sign, primary or subkey.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) material: Material,
    pub(crate) fingerprint: String,
    pub(crate) created_secs: u64,
    pub(crate) expires_secs: Option<u64>,
    pub(crate) is_revoked: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Material {
    Primary(Box<PublicKey>),
    Subkey(Box<PublicSubkey>),
}

/// A whole distribution's keyring, removed keys and all, is a tenth of it.
const LONGEST_KEYRING: usize = 4 << 20;

/// The archive's keys as Debian ships them in `debian-archive-keyring`.
const DEBIAN: [&[u8]; 6] = [
    include_bytes!("../keys/debian-archive-bookworm-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bookworm-security-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bookworm-stable.gpg"),
    include_bytes!("../keys/debian-archive-trixie-automatic.gpg"),
    include_bytes!("../keys/debian-archive-trixie-security-automatic.gpg"),
    include_bytes!("../keys/debian-archive-trixie-stable.gpg"),
];

impl Keyring {
    /// Returns the keys that Debian signs bookworm and trixie with.
    pub fn debian() -> Self {
        let keys =
            DEBIAN.into_iter().flat_map(|file| Self::parse(file).expect("a shipped key is whole").keys);
        Self { keys: keys.collect() }
    }

    /// Reads the keys of a file, armored or binary, such as `signed-by` names.
    ///
    /// # Errors
    /// [`KeyringError::Unreadable`] for anything but OpenPGP keys; [`KeyringError::NoSigner`] if none of them
    /// has a proved right to sign.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > LONGEST_KEYRING {
            return Err(KeyringError::TooLarge { limit: LONGEST_KEYRING });
        }
        let mut keys = Vec::new();
        for certificate in certificates(bytes).map_err(KeyringError::Unreadable)? {
            keys.extend(signers(&certificate));
        }
        if keys.is_empty() { Err(KeyringError::NoSigner) } else { Ok(Self { keys }) }
    }

    /// Returns these keys and another keyring's.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Returns the fingerprints of the keys that may sign, subkeys' included.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(|key| !key.is_revoked).map(|key| key.fingerprint.as_str())
    }

    /// Returns the keys that a signature may be by, going by what it says of its issuer.
    pub(crate) fn candidates<'keyring>(
        &'keyring self,
        signature: &'keyring Signature,
    ) -> impl Iterator<Item = &'keyring Key> {
        self.keys.iter().filter(|key| key.is_named_by(signature))
    }
}

impl Key {
    fn is_named_by(&self, signature: &Signature) -> bool {
        let (id, fingerprint) = match &self.material {
            Material::Primary(key) => (key.legacy_key_id(), key.fingerprint()),
            Material::Subkey(key) => (key.legacy_key_id(), key.fingerprint()),
        };
        let fingerprints = signature.issuer_fingerprint();
        if fingerprints.is_empty() {
            signature.issuer_key_id().contains(&&id)
        } else {
            fingerprints.contains(&&fingerprint)
        }
    }

    /// Tells whether the signature of these bytes is mathematically this key's.
    pub(crate) fn made(&self, signature: &Signature, bytes: &[u8]) -> bool {
        match &self.material {
            Material::Primary(key) => signature.verify(key.as_ref(), bytes).is_ok(),
            Material::Subkey(key) => signature.verify(key.as_ref(), bytes).is_ok(),
        }
    }
}

/// Tells whether a signature's hash still resists collisions; apt refuses the same ones.
pub(crate) fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha224
                | HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

fn certificates(bytes: &[u8]) -> Result<Vec<SignedPublicKey>, pgp::errors::Error> {
    let mut reader = BufReader::new(bytes);
    // Every OpenPGP packet begins with a byte whose highest bit is set, no armor does.
    let is_binary =
        reader.fill_buf().map_err(pgp::errors::Error::from)?.first().is_some_and(|byte| byte & 0x80 != 0);
    if is_binary {
        return SignedPublicKey::from_bytes_many(reader)?.collect();
    }
    let mut found = Vec::new();
    for block in armored_blocks(bytes) {
        let (certificates, _) = SignedPublicKey::from_armor_many(io::Cursor::new(block))?;
        found.extend(certificates.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

/// A file may hold several armored blocks, one after the other, as bookworm's own `.asc` files do.
fn armored_blocks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let starts: Vec<usize> = bytes
        .windows(BEGIN.len())
        .enumerate()
        .filter(|(_, window)| *window == BEGIN)
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([bytes.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &bytes[start..end])
}

/// Returns the keys of one certificate that may sign, each with how long.
fn signers(certificate: &SignedPublicKey) -> Vec<Key> {
    let primary = &certificate.primary_key;
    let Some(binding) = latest(self_signatures(certificate)) else { return Vec::new() };
    let is_revoked = certificate
        .details
        .revocation_signatures
        .iter()
        .any(|signature| signature.verify_key(primary).is_ok());
    let expires = expiry(primary, binding);
    let mut keys = Vec::new();
    if (binding.key_flags().sign() || !has_flags(binding)) && is_long_enough(primary) {
        let material = Material::Primary(Box::new(primary.clone()));
        keys.push(Key { expires_secs: expires, is_revoked, ..key(material, primary) });
    }
    for subkey in &certificate.public_subkeys {
        let Some(binding) = latest(subkey_bindings(primary, subkey)) else { continue };
        if !binding.key_flags().sign() || !is_long_enough(&subkey.key) {
            continue;
        }
        let own = expiry(&subkey.key, binding);
        let expires = own.into_iter().chain(expires).min();
        let is_revoked = is_revoked || is_subkey_revoked(primary, subkey);
        let material = Material::Subkey(Box::new(subkey.key.clone()));
        keys.push(Key { expires_secs: expires, is_revoked, ..key(material, &subkey.key) });
    }
    keys
}

/// A key that neither expires nor was revoked.
fn key(material: Material, details: &impl KeyDetails) -> Key {
    Key {
        material,
        fingerprint: details.fingerprint().to_string().to_uppercase(),
        created_secs: details.created_at().as_secs().into(),
        expires_secs: None,
        is_revoked: false,
    }
}

/// What the primary key says of itself: certifications of its user ids that stand, and direct signatures.
///
/// Direct signatures that only name revokers, as Debian's keys have them, say nothing of what the key may do.
fn self_signatures(certificate: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key)
            && has_flags(signature)
            && is_strong(signature)
            && signature.verify_key(primary).is_ok()
    });
    let users = certificate.details.users.iter().filter_map(|user| {
        let own = user.signatures.iter().filter(|signature| {
            is_strong(signature) && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        });
        // A user id is worth what was said of it last.
        latest(own).filter(|signature| signature.typ() != Some(SignatureType::CertRevocation))
    });
    direct.chain(users)
}

fn subkey_bindings<'key>(
    primary: &'key PublicKey,
    subkey: &'key SignedPublicSubKey,
) -> impl Iterator<Item = &'key Signature> {
    subkey.signatures.iter().filter(|signature| {
        let is_back_signed = || {
            let back = signature.embedded_signature();
            back.is_some_and(|back| {
                is_strong(back) && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
            })
        };
        signature.typ() == Some(SignatureType::SubkeyBinding)
            && is_strong(signature)
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
            && (!signature.key_flags().sign() || is_back_signed())
    })
}

fn is_subkey_revoked(primary: &PublicKey, subkey: &SignedPublicSubKey) -> bool {
    subkey.signatures.iter().any(|signature| {
        signature.typ() == Some(SignatureType::SubkeyRevocation)
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
    })
}

fn latest<'key>(signatures: impl Iterator<Item = &'key Signature>) -> Option<&'key Signature> {
    signatures.max_by_key(|signature| signature.created())
}

/// Tells whether a signature limits what its key may do; a key without limits may do all.
fn has_flags(signature: &Signature) -> bool {
    let mut subpackets = signature.config().into_iter().flat_map(|config| config.hashed_subpackets());
    subpackets.any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
}

fn expiry(key: &impl KeyDetails, binding: &Signature) -> Option<u64> {
    let valid_secs = u64::from(binding.key_expiration_time()?.as_secs());
    (valid_secs > 0).then(|| u64::from(key.created_at().as_secs()) + valid_secs)
}

/// apt refuses RSA keys of less than 2048 bits and DSA altogether.
fn is_long_enough(key: &impl KeyDetails) -> bool {
    match key.public_params() {
        // A multi-precision integer begins with its length in bits, and the modulus comes first.
        PublicParams::RSA(rsa) => rsa.to_bytes().is_ok_and(|bytes| match bytes[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]) >= 2048,
            _ => false,
        }),
        PublicParams::DSA(_) | PublicParams::Elgamal(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_keys_are_shipped_with_their_subkeys() {
        let fingerprints: Vec<_> = Keyring::debian().fingerprints().map(str::to_owned).collect();
        insta::assert_snapshot!(fingerprints.join("\n"), @r"
        B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8
        4CB50190207B4758A3F73A796ED0E7B82643E131
        05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0
        B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8
        4D64FEC119C2029067D6E791F8D2585B8783D481
        04B54C3CDCA79751B16BC6B5225629DF75B188BD
        B8E5F13176D2A7A75220028078DBA3BC47EF2265
        5E04A1E3223A19A20706E20F9904613D4CCE68C6
        89C87ACEA5DD6B8E6A7068808E9F831205B4BA95
        41587F7DB8C774BCCF131416762F67A0B2C39DE4
        ");
    }

    #[test]
    fn every_shipped_key_expires() {
        let keyring = Keyring::debian();
        let expiries: Vec<_> =
            keyring.keys.iter().map(|key| key.expires_secs.unwrap_or(0) / 31_557_600 + 1970).collect();
        assert_eq!(expiries, [2031, 2031, 2031, 2031, 2031, 2035, 2035, 2035, 2035, 2033]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bytes in [&b""[..], b"nonsense", &[0xff; 64], b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"] {
            assert!(Keyring::parse(bytes).is_err());
        }
    }
}
