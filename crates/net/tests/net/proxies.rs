//! Going through proxies, and past them.

use std::net::TcpStream;

use minke_net::{Client, ClientError, ClientOptions, ProxySettings, UnpinnedOptions};

use crate::support::{Server, answer, options, send, splice};

fn through(proxies: ProxySettings) -> Client {
    Client::new(ClientOptions { proxies, ..options() }).unwrap()
}

fn proxy_for_http(server: &Server) -> ProxySettings {
    ProxySettings {
        http_proxy: Some(format!("http://me:secret@{}", server.address)),
        ..ProxySettings::default()
    }
}

#[test]
fn an_http_proxy_is_asked_for_the_whole_address() {
    let proxy = Server::saying(answer("200 OK", "", b"from the proxy"));
    let client = through(proxy_for_http(&proxy));
    let url = "http://host.test:81/a?b=c#d".parse().unwrap();
    assert_eq!(client.get_unpinned(&url, &UnpinnedOptions::default()).unwrap(), b"from the proxy");
    let [request] = &proxy.requests()[..] else { panic!("one request was expected") };
    assert_eq!(request.lines().next(), Some("GET http://host.test:81/a?b=c HTTP/1.1"));
    assert_eq!(proxy.headers("host"), [Some("host.test:81".to_owned())]);
    assert_eq!(proxy.headers("proxy-authorization"), [Some("Basic bWU6c2VjcmV0".to_owned())]);
}

#[test]
fn a_connection_to_a_proxy_is_used_again() {
    let proxy = Server::start(|_, _, stream| {
        for body in ["one", "two"] {
            let length = body.len();
            send(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
            let mut next = [0; 4096];
            let count = std::io::Read::read(stream, &mut next).unwrap();
            if body == "one" {
                assert!(next[..count].starts_with(b"GET http://host.test/2 HTTP/1.1\r\n"));
            }
        }
    });
    let client = through(proxy_for_http(&proxy));
    let read = |path: &str| {
        client
            .get_unpinned(&format!("http://host.test{path}").parse().unwrap(), &UnpinnedOptions::default())
            .unwrap()
    };
    assert_eq!([read("/1"), read("/2")], [b"one", b"two"]);
}

#[test]
fn what_no_proxy_names_is_reached_directly() {
    let proxy = Server::saying(answer("502 Bad Gateway", "", b""));
    let server = Server::saying(answer("200 OK", "", b"direct"));
    let client =
        through(ProxySettings { no_proxy: Some("127.0.0.0/8".to_owned()), ..proxy_for_http(&proxy) });
    assert_eq!(client.get_unpinned(&server.url("/"), &UnpinnedOptions::default()).unwrap(), b"direct");
    assert_eq!((proxy.requests().len(), server.headers("proxy-authorization")), (0, vec![None]));
}

#[test]
fn an_https_address_goes_through_a_tunnel() {
    let server = crate::tls::server();
    let address = server.address;
    let proxy = Server::start(move |_, head, stream| {
        assert!(head.starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")), "{head}");
        send(stream, b"HTTP/1.1 200 Connection established\r\n\r\n");
        splice(stream, &TcpStream::connect(address).unwrap());
    });
    let proxies =
        ProxySettings { all_proxy: Some(format!("http://{}", proxy.address)), ..ProxySettings::default() };
    let client =
        Client::new(ClientOptions { proxies, ca_bundle: Some(crate::tls::bundle()), ..options() }).unwrap();
    let page = client.get_unpinned(&server.url(), &UnpinnedOptions::default()).unwrap();
    assert_eq!((page, proxy.requests().len()), (b"over TLS".to_vec(), 1));
}

#[test]
fn a_proxy_that_is_none_is_an_error_that_hides_it() {
    let proxies = ProxySettings {
        https_proxy: Some("gopher://me:secret@host.test".to_owned()),
        ..ProxySettings::default()
    };
    let shown = format!("{proxies:?}");
    let error = Client::new(ClientOptions { proxies, ..options() }).err().unwrap();
    assert!(matches!(error, ClientError::Proxy { scheme: "https" }));
    assert!(!format!("{error} {error:?} {shown}").contains("secret"));
}
