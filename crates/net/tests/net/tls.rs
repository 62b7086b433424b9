//! Whom we trust.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use minke_cas::SourceUrl;
use minke_net::{Client, ClientError, ClientOptions, FetchError, RefusedTarget, UnpinnedOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::support::{Server, answer, options};

pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
}

impl TlsServer {
    pub(crate) fn url(&self) -> SourceUrl {
        format!("https://{}/", self.address).parse().unwrap()
    }
}

/// The certificate of [`server`], made for 127.0.0.1 and signed by itself.
pub(crate) fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net/certificate.pem")
}

pub(crate) fn server() -> TlsServer {
    serve(answer("200 OK", "", b"over TLS"))
}

fn serve(answer: Vec<u8>) -> TlsServer {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem")).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config, answer) = (stream.unwrap(), Arc::clone(&config), answer.clone());
            thread::spawn(move || {
                let mut connection = ServerConnection::new(config).unwrap();
                let mut tls = Stream::new(&mut connection, &mut stream);
                // A client that doesn't trust us is gone by now; that is what it is there for.
                if tls.read(&mut [0; 4096]).is_ok() {
                    let _ = tls.write_all(&answer);
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    TlsServer { address }
}

fn get(ca_bundle: Option<PathBuf>, url: &SourceUrl) -> Result<Vec<u8>, FetchError> {
    let client = Client::new(ClientOptions { ca_bundle, ..options() }).unwrap();
    client.get_unpinned(url, &UnpinnedOptions::default())
}

#[test]
fn a_server_in_the_bundle_is_trusted_and_no_other() {
    let url = server().url();
    assert_eq!(get(Some(bundle()), &url).unwrap(), b"over TLS");
    let stranger = get(None, &url);
    assert!(matches!(stranger, Err(FetchError::Tls { .. })), "{stranger:?}");
}

#[test]
fn a_server_that_speaks_no_tls_is_an_error() {
    let server = Server::saying("HTTP/1.1 400 Bad Request\r\n\r\n");
    let url = format!("https://{}/", server.address).parse().unwrap();
    let result = get(Some(bundle()), &url);
    assert!(
        matches!(
            result,
            Err(FetchError::Tls { .. } | FetchError::Connection { .. } | FetchError::Timeout { .. })
        ),
        "{result:?}"
    );
}

#[test]
fn a_redirect_does_not_lead_out_of_tls() {
    let url = serve(answer("302 Found", "Location: http://127.0.0.1:1/\r\n", b"")).url();
    let result = get(Some(bundle()), &url);
    assert!(
        matches!(result, Err(FetchError::Redirect { target: RefusedTarget::Unencrypted, .. })),
        "{result:?}"
    );
}

#[test]
fn a_bundle_that_is_missing_or_empty_is_an_error_that_names_it() {
    let open = |path: &Path| {
        Client::new(ClientOptions { ca_bundle: Some(path.to_owned()), ..options() }).err().unwrap()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(open(file.path()), ClientError::EmptyBundle { path } if path == file.path()));
    assert!(
        matches!(open(Path::new("/nonexistent")), ClientError::ReadBundle { path, .. } if path == Path::new("/nonexistent"))
    );
}
