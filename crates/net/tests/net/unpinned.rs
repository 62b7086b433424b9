//! Reading what cannot be pinned.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use minke_net::{FetchError, UnpinnedOptions};

use crate::support::{Server, answer, client, send, stall};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn limited(limit_bytes: u64) -> UnpinnedOptions {
    UnpinnedOptions { limit_bytes, accept: None }
}

#[test]
fn a_page_is_read_in_the_form_that_was_asked_for() {
    let server = Server::saying(answer("200 OK", "", b"a page"));
    let options = UnpinnedOptions { limit_bytes: 6, accept: Some("text/html;q=0.1".to_owned()) };
    assert_eq!(client().get_unpinned(&server.url("/"), &options).unwrap(), b"a page");
    assert_eq!(server.headers("accept"), [Some("text/html;q=0.1".to_owned())]);
}

#[test]
fn a_compressed_page_is_decompressed() {
    let server = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", &gzip(b"a page")));
    assert_eq!(client().get_unpinned(&server.url("/"), &limited(6)).unwrap(), b"a page");
}

#[test]
fn the_limit_counts_what_a_bomb_becomes() {
    let bomb = gzip(&vec![0; 10_000_000]);
    for server in [
        Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", &bomb)),
        Server::saying(answer("200 OK", "", &bomb)),
    ] {
        let result = client().get_unpinned(&server.url("/"), &limited(1000));
        assert!(matches!(result, Err(FetchError::TooLarge { limit_bytes: 1000, .. })), "{result:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_page_that_is_no_gzip_though_it_says_so_is_an_error() {
    let server = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", b"plain text, honestly"));
    let result = client().get_unpinned(&server.url("/"), &UnpinnedOptions::default());
    assert!(matches!(result, Err(FetchError::Encoding { .. })), "{result:?}");
}

#[test]
fn a_page_that_breaks_off_is_read_again_compressed_or_not() {
    for (encoding, body) in [("", b"a page".to_vec()), ("Content-Encoding: gzip\r\n", gzip(b"a page"))] {
        let whole = answer("200 OK", encoding, &body);
        let server = Server::start(move |number, _, stream| {
            send(stream, &whole[..whole.len() - if number == 0 { 3 } else { 0 }]);
        });
        assert_eq!(client().get_unpinned(&server.url("/"), &limited(6)).unwrap(), b"a page");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_page_that_stalls_ends_in_an_error() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n\x1f\x8b");
        stall(stream);
    });
    let result = client().get_unpinned(&server.url("/"), &UnpinnedOptions::default());
    assert!(matches!(result, Err(FetchError::Timeout { .. })), "{result:?}");
}

#[test]
fn a_local_page_is_read_within_the_limit_too() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("InRelease"), "signed").unwrap();
    let url = format!("file://{}/InRelease", directory.path().display()).parse().unwrap();
    assert_eq!(client().get_unpinned(&url, &limited(6)).unwrap(), b"signed");
    assert!(matches!(client().get_unpinned(&url, &limited(5)), Err(FetchError::TooLarge { .. })));
}
