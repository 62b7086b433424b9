//! Whom a TLS connection trusts: a given bundle, the system's, or else the built-in one.
//!
//! The system's bundle is looked for where distributions put it. A machine without one (a bare container)
//! gets Mozilla's list as it was when minke was built.

use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use crate::ClientError;

/// Where Linux distributions and macOS keep their bundle.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Loads the roots of trust.
pub(crate) fn load(bundle: Option<&Path>) -> Result<RootCerts, ClientError> {
    if let Some(path) = bundle {
        let bytes =
            fs::read(path).map_err(|source| ClientError::ReadBundle { path: path.to_owned(), source })?;
        let certificates = certificates(&bytes);
        if certificates.is_empty() {
            return Err(ClientError::EmptyBundle { path: path.to_owned() });
        }
        return Ok(RootCerts::new_with_certs(&certificates));
    }
    let system = SYSTEM_BUNDLES
        .iter()
        .map(PathBuf::from)
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| certificates(&bytes))
        .find(|certificates| !certificates.is_empty());
    Ok(system.map_or(RootCerts::WebPki, |certificates| RootCerts::new_with_certs(&certificates)))
}

/// Takes the certificates of a PEM text; what else is in it, or broken, is skipped as OpenSSL does.
fn certificates(bytes: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}
