//! `update-ca-certificates`, and the links by which OpenSSL finds what it makes.
//!
//! `/etc/ssl/certs/ca-certificates.crt` is all certificates in one file, `NAME.pem` a link to each, and
//! `HASH.N` a link to that, by which OpenSSL looks a certificate up in the directory.
//!
//! Spec: <https://manpages.debian.org/trixie/ca-certificates/update-ca-certificates.8.en.html>

use std::collections::BTreeMap;

use minke_cas::{File, ImagePath, Owner};

use super::subject_hash::subject_hash;
use super::{Additions, SetupError};

/// What the package `openssl` would bring; Debian's own file says the same in four hundred lines.
const OPENSSL_CNF: &str = "\
# The defaults of OpenSSL; see config(5ssl).
openssl_conf = openssl_init

[openssl_init]
providers = provider_sect

[provider_sect]
default = default_sect

[default_sect]
";

const ROOT: Owner = Owner { uid: 0, gid: 0 };

pub(super) fn add(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    let certificates = certificates(additions);
    if certificates.is_empty() {
        return Ok(());
    }
    let mut bundle = String::new();
    let mut hashes: BTreeMap<String, u32> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for (path, file) in &certificates {
        let broken = || SetupError::Certificate { path: path.clone() };
        let text = additions.store.read_file(file).map_err(SetupError::Store)?;
        let text = String::from_utf8(text).map_err(|_| broken())?;
        bundle.push_str(text.trim_end());
        bundle.push('\n');
        links.insert(link_name(path), path.to_string());
    }
    // `openssl rehash` numbers equal hashes in the order of the links' names.
    let by_target: BTreeMap<String, &File> =
        certificates.iter().map(|(path, file)| (path.to_string(), file)).collect();
    for (name, target) in &links {
        let text = additions.store.read_file(by_target[target]).map_err(SetupError::Store)?;
        let hash =
            subject_hash(&text).ok_or_else(|| SetupError::Certificate { path: Additions::path(target) })?;
        let number = hashes.entry(hash.clone()).or_default();
        additions.link(&format!("/etc/ssl/certs/{hash}.{number}"), name)?;
        additions.link(&format!("/etc/ssl/certs/{name}"), target)?;
        *number += 1;
    }
    additions.text("/etc/ssl/certs/ca-certificates.crt", &bundle)?;
    openssl(additions)
}

fn openssl(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    additions.text("/etc/ssl/openssl.cnf", OPENSSL_CNF)?;
    additions.directory("/etc/ssl/private", 0o700, ROOT)?;
    additions.link("/usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")?;
    for name in ["certs", "openssl.cnf", "private"] {
        additions.link(&format!("/usr/lib/ssl/{name}"), &format!("/etc/ssl/{name}"))?;
    }
    Ok(())
}

/// Returns the distribution's certificates in path order, then those that were added locally.
fn certificates(additions: &Additions<'_>) -> Vec<(ImagePath, File)> {
    let below = |directory: &'static str| {
        let directory = Additions::path(directory);
        let files = additions.base.files().filter(move |(path, _)| path.starts_with(&directory));
        files.filter(|(path, _)| path.as_str().ends_with(".crt")).map(|(path, file)| (path, file.clone()))
    };
    below("/usr/share/ca-certificates").chain(below("/usr/local/share/ca-certificates")).collect()
}

fn link_name(certificate: &ImagePath) -> String {
    let name = certificate.name().expect("a file is not the root").trim_end_matches(".crt");
    let plain = |letter| match letter {
        ' ' | ',' => '_',
        '(' | ')' => '=',
        letter => letter,
    };
    format!("{}.pem", name.chars().map(plain).collect::<String>())
}
