//! OpenPGP keys that sign archives: good ones, expired ones, revoked ones, and ones whose subkey is stolen.
//!
//! Ed25519 in the version 4 format that gpgv reads since 2.1. A seed makes a key: the same seed, the same key,
//! byte for byte; keys are made a year before [`FIXTURE_TIME`], when they sign.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9580>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::composed::{ArmorOptions, KeyType, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait as _, PubKeyInner, PublicKey, PublicSubkey, RevocationCode, SecretKey,
    SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    Duration, KeyDetails, KeyVersion, Password, SecretParams, SignedUser, SigningKey as Signs, Tag, Timestamp,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::FIXTURE_TIME;

const KEY_TIME: u64 = FIXTURE_TIME - 365 * 86_400;

/// What becomes of a key after it was made. Times are in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It is valid for ever.
    Good,
    /// The primary key, and with it the whole key, expires.
    Expires(u64),
    /// The signing subkey expires.
    SubkeyExpires(u64),
    /// The primary key is revoked.
    Revoked,
    /// The signing subkey is revoked.
    SubkeyRevoked,
    /// The subkey's binding is by another primary key: it isn't this key's subkey at all.
    SubkeyBoundByStranger,
    /// The subkey never agreed to be one (it has no back signature), so it may be someone else's.
    SubkeyWithoutBackSignature,
    /// The subkey may encrypt, but its flags don't let it sign.
    SubkeyMayNotSign,
}

/// Which part of a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The primary key itself.
    Primary,
    /// The signing subkey, as archives do.
    Subkey,
}

/// A key pair with a primary key and a signing subkey.
#[derive(Debug, Clone)]
pub struct SigningKey {
    primary: SecretKey,
    subkey: SecretSubkey,
    public: SignedPublicKey,
}

impl SigningKey {
    /// Makes the good key of a seed.
    pub fn new(seed: u64) -> SigningKey {
        SigningKey::with_state(seed, KeyState::Good)
    }

    /// Makes the key of a seed, in some state. Its key material and its fingerprint depend on the seed alone.
    pub fn with_state(seed: u64, state: KeyState) -> SigningKey {
        let mut rng = StdRng::seed_from_u64(seed);
        let (inner, secret) = key_pair(&mut rng);
        let primary = PublicKey::from_inner(inner).and_then(|public| SecretKey::new(public, secret));
        let (inner, secret) = key_pair(&mut rng);
        let subkey = PublicSubkey::from_inner(inner).and_then(|public| SecretSubkey::new(public, secret));
        let (primary, subkey) = (primary.expect("a new key"), subkey.expect("a new key"));
        let binder = match state {
            KeyState::SubkeyBoundByStranger => SigningKey::new(seed.wrapping_add(1_000_000)).primary,
            _ => primary.clone(),
        };
        let details = SignedKeyDetails::new(
            if state == KeyState::Revoked { vec![revocation(&primary)] } else { vec![] },
            vec![],
            vec![user(seed, &primary, state)],
            vec![],
        );
        let mut bindings = vec![binding(&binder, &subkey, state)];
        if state == KeyState::SubkeyRevoked {
            bindings.push(subkey_revocation(&primary, &subkey));
        }
        let public_subkey = SignedPublicSubKey::new(subkey.public_key().clone(), bindings);
        let public = SignedPublicKey::new(primary.public_key().clone(), details, vec![public_subkey]);
        SigningKey { primary, subkey, public }
    }

    /// The public key as text (`-----BEGIN PGP PUBLIC KEY BLOCK-----`), as `signed-by` takes it.
    pub fn public_armored(&self) -> String {
        self.public.to_armored_string(ArmorOptions::default()).expect("a key can be written")
    }

    /// The public key as bytes, as gpgv's `--keyring` takes it.
    pub fn public_bytes(&self) -> Vec<u8> {
        self.public.to_bytes().expect("a key can be written")
    }

    /// The primary key's fingerprint, in lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.primary.fingerprint().as_bytes())
    }

    /// The subkey's fingerprint.
    pub fn subkey_fingerprint(&self) -> String {
        hex::encode(self.subkey.fingerprint().as_bytes())
    }

    /// Signs a text in the clear with the subkey.
    pub fn clearsign(&self, text: &str) -> String {
        clearsign(text, &[(self, SignedBy::Subkey)])
    }

    fn sign(&self, by: SignedBy, text: &str) -> Signature {
        match by {
            SignedBy::Primary => signature_by(&self.primary, text),
            SignedBy::Subkey => signature_by(&self.subkey, text),
        }
    }
}

/// Signs a text in the clear, as an `InRelease` file is, by every given key in turn.
///
/// The framework is written by hand, so that a slip in rPGP's own (blanks at the ends of lines and the last line's
/// end aren't signed) can't be shared with what reads it.
pub fn clearsign(text: &str, signers: &[(&SigningKey, SignedBy)]) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches([' ', '\t'])).collect();
    let signed = lines.join("\r\n");
    let signatures: Vec<Signature> = signers.iter().map(|(key, by)| key.sign(*by, &signed)).collect();
    let mut packets = Vec::new();
    for signature in &signatures {
        signature.to_writer_with_header(&mut packets).expect("a Vec takes everything");
    }
    let shown: String = text
        .lines()
        .map(|line| if line.starts_with('-') { format!("- {line}\n") } else { format!("{line}\n") })
        .collect();
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{shown}-----BEGIN PGP SIGNATURE-----\n\n{}\
         -----END PGP SIGNATURE-----\n",
        base64_lines(&packets)
    )
}

fn base64_lines(bytes: &[u8]) -> String {
    bytes.chunks(48).map(|line| STANDARD.encode(line) + "\n").collect()
}

fn key_pair(rng: &mut StdRng) -> (PubKeyInner, SecretParams) {
    let (public, secret) =
        KeyType::Ed25519Legacy.generate(rng).expect("Ed25519 keys are made of any numbers");
    let created = timestamp(KEY_TIME);
    let inner = PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, created, None, public);
    (inner.expect("a new key"), secret)
}

fn user(seed: u64, primary: &SecretKey, state: KeyState) -> SignedUser {
    let id = UserId::from_str(Default::default(), format!("Toy Archive {seed} <toys-{seed}@host.test>"));
    let id = id.expect("a short user id");
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut more = vec![SubpacketData::KeyFlags(flags), SubpacketData::IsPrimary(true)];
    if let KeyState::Expires(at) = state {
        more.push(SubpacketData::KeyExpirationTime(lifetime(at)));
    }
    let config = config(primary, SignatureType::CertPositive, KEY_TIME, more);
    let signature =
        config.sign_certification(primary, primary.public_key(), &Password::empty(), Tag::UserId, &id);
    SignedUser::new(id, vec![signature.expect("a key can sign itself")])
}

fn binding(primary: &SecretKey, subkey: &SecretSubkey, state: KeyState) -> Signature {
    let mut flags = KeyFlags::default();
    if state == KeyState::SubkeyMayNotSign {
        flags.set_encrypt_comms(true);
    } else {
        flags.set_sign(true);
    }
    let mut more = vec![SubpacketData::KeyFlags(flags)];
    if state != KeyState::SubkeyWithoutBackSignature {
        let back = config(subkey, SignatureType::KeyBinding, KEY_TIME, vec![])
            .sign_primary_key_binding(subkey, subkey.public_key(), &Password::empty(), primary.public_key())
            .expect("a subkey can sign");
        more.push(SubpacketData::EmbeddedSignature(Box::new(back)));
    }
    if let KeyState::SubkeyExpires(at) = state {
        more.push(SubpacketData::KeyExpirationTime(lifetime(at)));
    }
    config(primary, SignatureType::SubkeyBinding, KEY_TIME, more)
        .sign_subkey_binding(primary, primary.public_key(), &Password::empty(), subkey.public_key())
        .expect("a key can sign its subkey")
}

fn revocation(primary: &SecretKey) -> Signature {
    config(primary, SignatureType::KeyRevocation, FIXTURE_TIME + 86_400, vec![compromised()])
        .sign_key(primary, &Password::empty(), primary.public_key())
        .expect("a key can revoke itself")
}

fn subkey_revocation(primary: &SecretKey, subkey: &SecretSubkey) -> Signature {
    config(primary, SignatureType::SubkeyRevocation, FIXTURE_TIME + 86_400, vec![compromised()])
        .sign_subkey_binding(primary, primary.public_key(), &Password::empty(), subkey.public_key())
        .expect("a key can revoke its subkey")
}

fn compromised() -> SubpacketData {
    SubpacketData::RevocationReason(RevocationCode::KeyCompromised, "stolen".into())
}

fn signature_by(key: &impl Signs, text: &str) -> Signature {
    config(key, SignatureType::Text, FIXTURE_TIME, vec![])
        .sign(key, &Password::empty(), text.as_bytes())
        .expect("a key can sign")
}

fn config(key: &impl Signs, kind: SignatureType, at: u64, more: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::EdDSALegacy, HashAlgorithm::Sha256);
    let mut hashed = vec![
        SubpacketData::SignatureCreationTime(timestamp(at)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    hashed.extend(more);
    let regular = |data| Subpacket::regular(data).expect("a short subpacket");
    config.hashed_subpackets = hashed.into_iter().map(regular).collect();
    config.unhashed_subpackets = vec![regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))];
    config
}

fn timestamp(seconds: u64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(seconds).expect("a time before 2106"))
}

/// Keys carry how long they live, not until when.
fn lifetime(until: u64) -> Duration {
    let seconds = until.checked_sub(KEY_TIME).expect("keys expire after they are made, at the start of 2019");
    Duration::from_secs(u32::try_from(seconds).expect("a time before 2106"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::program;

    const TEXT: &str = "Suite: trixie\n- dashed\nSHA256:\n abc 1 x  \n";

    /// gpgv's status lines, without the times and numbers that follow the first word; its exit code.
    fn judged(key: &SigningKey, signed: &str) -> Option<String> {
        let gpgv = program("gpgv")?;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("keys.gpg"), key.public_bytes()).unwrap();
        fs::write(dir.path().join("InRelease"), signed).unwrap();
        let output = Command::new(gpgv)
            .current_dir(dir.path())
            .args(["--status-fd", "1", "--keyring", "./keys.gpg", "InRelease"])
            .output()
            .unwrap();
        let verdicts = ["GOODSIG", "BADSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG", "NO_PUBKEY", "VALIDSIG"];
        let words: Vec<String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|word| verdicts.contains(word))
            .map(str::to_owned)
            .collect();
        Some(format!("{}: {}", output.status.code().unwrap(), words.join(" ")))
    }

    #[test]
    fn gpgv_judges_every_state_of_a_key_as_it_is_described() {
        let states = [
            KeyState::Good,
            KeyState::Expires(FIXTURE_TIME + 1),
            KeyState::SubkeyExpires(FIXTURE_TIME + 1),
            KeyState::Revoked,
            KeyState::SubkeyRevoked,
            KeyState::SubkeyBoundByStranger,
            KeyState::SubkeyWithoutBackSignature,
            KeyState::SubkeyMayNotSign,
        ];
        let mut report = String::new();
        for state in states {
            let key = SigningKey::with_state(1, state);
            let Some(verdict) = judged(&key, &key.clearsign(TEXT)) else { return };
            report.push_str(&format!("{state:?}: {verdict}\n"));
        }
        insta::assert_snapshot!(report, @r"
        Good: 0: GOODSIG VALIDSIG
        Expires(1577836801): 0: EXPKEYSIG VALIDSIG
        SubkeyExpires(1577836801): 0: EXPKEYSIG VALIDSIG
        Revoked: 0: REVKEYSIG VALIDSIG
        SubkeyRevoked: 0: REVKEYSIG VALIDSIG
        SubkeyBoundByStranger: 2: ERRSIG
        SubkeyWithoutBackSignature: 2: ERRSIG
        SubkeyMayNotSign: 2: ERRSIG
        ");
    }

    #[test]
    fn gpgv_accepts_a_primary_key_and_one_good_signature_among_several() {
        let (key, stranger) = (SigningKey::new(1), SigningKey::new(2));
        let Some(verdict) = judged(&key, &clearsign(TEXT, &[(&key, SignedBy::Primary)])) else { return };
        assert_eq!(verdict, "0: GOODSIG VALIDSIG");
        let two = clearsign(TEXT, &[(&stranger, SignedBy::Subkey), (&key, SignedBy::Subkey)]);
        assert_eq!(judged(&key, &two).unwrap(), "2: ERRSIG NO_PUBKEY GOODSIG VALIDSIG");
        assert_eq!(judged(&key, &key.clearsign(TEXT).replace("trixie", "sid")).unwrap(), "1: BADSIG");
    }

    #[test]
    fn a_seed_always_makes_the_same_key_and_signature() {
        let (first, second) = (SigningKey::new(7), SigningKey::new(7));
        assert_eq!(first.public_armored(), second.public_armored());
        assert_eq!(first.clearsign(TEXT), second.clearsign(TEXT));
        assert_ne!(first.fingerprint(), SigningKey::new(8).fingerprint());
    }
}
