//! The eight digits by which OpenSSL finds a certificate in a directory.
//!
//! They are the first four bytes, read backwards, of the SHA-1 of the subject's name in a canonical form: every
//! text as UTF-8, in lower case, blanks trimmed and runs of blanks made one.
//!
//! Spec: <https://docs.openssl.org/3.5/man1/openssl-x509/>, `crypto/x509/x_name.c`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;

/// Returns the hash of the only certificate in a PEM file, none if there isn't one that can be read.
pub(super) fn subject_hash(pem: &[u8]) -> Option<String> {
    let subject = subject(&only_certificate(pem)?)?.to_vec();
    let digest = Sha1::digest(canonical(&subject)?);
    let first: [u8; 4] = digest[..4].try_into().expect("a SHA-1 is longer");
    Some(format!("{:08x}", u32::from_le_bytes(first)))
}

fn only_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let (base64, rest) = rest.split_once("-----END CERTIFICATE-----")?;
    if rest.contains(BEGIN) {
        return None;
    }
    let base64: String = base64.split_whitespace().collect();
    STANDARD.decode(base64).ok()
}

/// Returns the content of the subject's `Name`.
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    const EXPLICIT_VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    let (tag, _, after_version) = element(signed)?;
    let rest = if tag == EXPLICIT_VERSION { after_version } else { signed };
    // Serial number, algorithm, issuer and validity come before it.
    let rest = (0..4).try_fold(rest, |rest, _| element(rest).map(|(_, _, rest)| rest))?;
    let (tag, name, _) = element(rest)?;
    (tag == SEQUENCE).then_some(name)
}

/// Returns the sets of a name, each value in canonical form, without the sequence round them.
fn canonical(mut name: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !name.is_empty() {
        let (tag, mut attributes, rest) = element(name)?;
        (tag == SET).then_some(())?;
        let mut encoded = Vec::new();
        while !attributes.is_empty() {
            let (_, attribute, rest) = element(attributes)?;
            let (_, _, value) = element(attribute)?;
            let kind = &attribute[..attribute.len() - value.len()];
            let (tag, content, _) = element(value)?;
            encoded.push(encode(SEQUENCE, &[kind, &canonical_value(tag, content, value)].concat()));
            attributes = rest;
        }
        // DER wants the elements of a set in the order of their bytes.
        encoded.sort();
        bytes.extend(encode(SET, &encoded.concat()));
        name = rest;
    }
    Some(bytes)
}

fn canonical_value(tag: u8, content: &[u8], whole: &[u8]) -> Vec<u8> {
    let latin1 = |content: &[u8]| content.iter().map(|byte| char::from(*byte)).collect::<String>();
    let wide = |size: usize| {
        let units = content
            .chunks(size)
            .map(|unit| unit.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)));
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    let text = match tag {
        // UTF8String, PrintableString, IA5String, VisibleString
        UTF8 | 0x13 | 0x16 | 0x1a => String::from_utf8_lossy(content).into_owned(),
        // T61String is read as Latin-1 by OpenSSL and everybody.
        0x14 => latin1(content),
        // UniversalString, BMPString
        0x1c => wide(4),
        0x1e => wide(2),
        _ => return whole.to_vec(),
    };
    let words: Vec<&str> =
        text.split([' ', '\t', '\n', '\r', '\x0b', '\x0c']).filter(|word| !word.is_empty()).collect();
    encode(UTF8, words.join(" ").to_ascii_lowercase().as_bytes())
}

/// Splits bytes into the first element's tag and content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut bytes = vec![tag];
    if content.len() < 0x80 {
        bytes.push(content.len() as u8);
    } else {
        bytes.push(0x80 | significant.len() as u8);
        bytes.extend(significant);
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "nonsense"] {
            assert_eq!(subject_hash(pem.as_bytes()), None);
        }
    }

    /// What openssl makes of a subject, and what we do; none without openssl.
    fn hashes(arguments: &[&str]) -> Option<(String, String)> {
        let openssl = minke_testkit::program("openssl")?;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.pem");
        let made = Command::new(&openssl)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                "/dev/null",
            ])
            .args(arguments)
            .arg("-out")
            .arg(&path)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let hashed = Command::new(openssl)
            .args(["x509", "-noout", "-subject_hash", "-in"])
            .arg(&path)
            .output()
            .unwrap();
        let theirs = String::from_utf8(hashed.stdout).unwrap().trim().to_owned();
        Some((theirs, subject_hash(&std::fs::read(&path).unwrap()).unwrap()))
    }

    #[test]
    fn odd_subjects_hash_as_in_openssl() {
        let long = format!("/O={}/OU={}", "x ".repeat(30), "y".repeat(64));
        let subjects = [
            "/C=DE/O=Toy Town/CN=Toy Root",
            "/O=  Blanks \t  all   ROUND /CN= a",
            "/CN=x+OU=y+O=z/C=AT",
            "/emailAddress=Toys@HOST.test/DC=test",
            "/O=\u{c4}rger \u{df} \u{130}",
            &long,
        ];
        for subject in subjects {
            for more in [&["-utf8", "-subj", subject][..], &["-subj", subject][..]] {
                let Some((theirs, ours)) = hashes(more) else { return };
                assert_eq!(ours, theirs, "{more:?}");
            }
        }
    }

    #[test]
    fn lengths_are_encoded_as_they_are_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = encode(UTF8, &vec![b'x'; length]);
            let (tag, content, rest) = element(&bytes).unwrap();
            assert_eq!((tag, content.len(), rest.len()), (UTF8, length, 0));
        }
    }
}
