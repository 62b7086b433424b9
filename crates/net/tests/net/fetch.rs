//! Fetching what is pinned, from servers that don't make it easy.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::support::{Server, answer, client, content, header, send, source, stall, store};
use minke_cas::{Digest, Meter, Source, Store};
use minke_net::{Client, CredentialsUse, FetchError, Phase, RefusedTarget};

fn fetch(source: &Source) -> (Result<(), FetchError>, Store, u64) {
    let (directory, store) = store();
    let meter = Meter::default();
    let result = client().fetch(source, &store, &meter);
    assert_eq!(result.is_ok(), store.has(&source.digest));
    if let Ok(()) = result {
        assert_eq!(Digest::of(&store.read_blob(&source.digest).unwrap()), source.digest);
    }
    drop(directory);
    (result, store, meter.reading().0)
}

#[test]
fn a_file_is_fetched_once_and_metered_by_the_byte() {
    let body = content(300_000);
    let server = Server::saying(answer("200 OK", "", &body));
    let source = source(server.url("/a.whl"), &body);
    let (_directory, store) = store();
    let meter = Meter::default();
    client().fetch(&source, &store, &meter).unwrap();
    client().fetch(&source, &store, &meter).unwrap();
    assert_eq!((store.read_blob(&source.digest).unwrap() == body, meter.reading()), (true, (300_000, 0)));
    assert_eq!(server.headers("accept-encoding"), [Some("identity".to_owned())]);
    assert_eq!(server.headers("user-agent"), [Some(format!("minke/{}", env!("CARGO_PKG_VERSION")))]);
}

#[test]
fn an_empty_file_and_one_of_unknown_size_are_files_too() {
    for body in [content(0), content(70_000)] {
        let server = Server::saying([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat());
        let source = Source { size: None, ..source(server.url("/"), &body) };
        fetch(&source).0.unwrap();
    }
}

#[test]
fn a_local_file_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a file");
    fs::write(&path, b"bytes").unwrap();
    let url = |name: &str| format!("file://{}/{name}", directory.path().display()).parse().unwrap();
    fetch(&source(url("a%20file"), b"bytes")).0.unwrap();
    assert!(matches!(fetch(&source(url("b"), b"bytes")).0, Err(FetchError::NotFound { .. })));
    assert!(matches!(
        fetch(&source(url("a%20file"), b"others")).0,
        Err(FetchError::WrongSize { actual: 5, .. })
    ));
    assert!(matches!(fetch(&source(url("a%20file"), b"other")).0, Err(FetchError::WrongDigest { .. })));
}

#[test]
fn a_broken_body_is_taken_up_where_it_broke() {
    let body = content(200_000);
    let whole = body.clone();
    let server = Server::start(move |_, head, stream| {
        let from = header(head, "range").map_or(0, |range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        });
        let (status, part) =
            if from == 0 { ("200 OK", &whole[..]) } else { ("206 Partial Content", &whole[from..]) };
        let range = format!("Content-Range: bytes {from}-{}/{}\r\n", whole.len() - 1, whole.len());
        let mut answer = answer(status, &range, part);
        answer.truncate(answer.len() - part.len() + part.len().min(100_000));
        send(stream, &answer);
    });
    let (result, _, metered) = fetch(&source(server.url("/"), &body));
    result.unwrap();
    assert_eq!(metered, 200_000);
    assert_eq!(server.headers("range"), [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn a_broken_body_starts_over_where_the_server_knows_no_ranges() {
    let body = content(200_000);
    let whole = answer("200 OK", "", &body);
    let server = Server::start(move |number, _, stream| {
        send(stream, &whole[..if number == 0 { 150_000 } else { whole.len() }]);
    });
    let (result, _, metered) = fetch(&source(server.url("/"), &body));
    result.unwrap();
    assert_eq!((metered, server.requests().len()), (200_000, 2));
}

#[test]
fn a_range_that_was_not_asked_for_is_not_believed() {
    let body = content(1000);
    let whole = body.clone();
    let server = Server::start(move |number, _, stream| match number {
        0 => send(stream, &answer("200 OK", "", &whole)[..600]),
        1 => send(stream, &answer("206 Partial Content", "Content-Range: bytes 0-9/1000\r\n", &whole[..10])),
        _ => send(stream, &answer("200 OK", "", &whole)),
    });
    fetch(&source(server.url("/"), &body)).0.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_body_that_is_always_cut_short_ends_in_an_error() {
    let body = content(1000);
    let whole = answer("200 OK", "", &body);
    let head = whole.len() - 1000;
    let server = Server::saying(&whole[..head + 400]);
    let (result, ..) = fetch(&source(server.url("/"), &body));
    assert!(matches!(result, Err(FetchError::Truncated { have: 400, want: Some(1000), .. })), "{result:?}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_error_names_what_was_expected_and_what_came() {
    let server = Server::saying(answer("200 OK", "", b"other"));
    let (result, ..) = fetch(&source(server.url("/a?token=secret"), b"bytes"));
    let error = result.unwrap_err().to_string().replace(&server.address.to_string(), "host.test");
    insta::assert_snapshot!(error, @"http://host.test/a is a different file than was expected (expected sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9, got sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa)");
    // The second time it was asked for past the caches; there is no third.
    assert_eq!(server.headers("cache-control"), [None, Some("no-cache".to_owned())]);
}

#[test]
fn a_wrong_answer_from_a_cache_is_got_over() {
    let server = Server::start(|number, _, stream| {
        send(stream, &answer("200 OK", "", if number == 0 { b"stale" } else { b"fresh" }));
    });
    fetch(&source(server.url("/"), b"fresh")).0.unwrap();
}

#[test]
fn a_file_of_another_size_is_refused_before_it_is_read() {
    for announced in [true, false] {
        let server = Server::start(move |_, _, stream| {
            if announced {
                send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n");
                stall(stream);
            } else {
                send(stream, b"HTTP/1.1 200 OK\r\n\r\n");
                send(stream, &content(1_000_000));
            }
        });
        let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
        assert!(matches!(result, Err(FetchError::WrongSize { expected: 5, .. })), "{result:?}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    for busy in ["503 Service Unavailable", "429 Too Many Requests", "408 Request Timeout", "502 Bad Gateway"]
    {
        let server = Server::start(move |number, _, stream| match number {
            // A server that asks for a minute gets as long as the settings allow.
            0 => send(stream, &answer(busy, "Retry-After: 60\r\n", b"")),
            _ => send(stream, &answer("200 OK", "", b"bytes")),
        });
        fetch(&source(server.url("/"), b"bytes")).0.unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_server_that_stays_busy_is_left_alone() {
    let server = Server::saying(answer("503 Service Unavailable", "", b""));
    assert!(matches!(fetch(&source(server.url("/"), b"")).0, Err(FetchError::Status { status: 503, .. })));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_clear_no_is_taken_at_once() {
    let status = |status: &str| {
        let server = Server::saying(answer(status, "", b""));
        let error = fetch(&source(server.url("/"), b"")).0.unwrap_err();
        assert_eq!(server.requests().len(), 1);
        error
    };
    assert!(matches!(status("404 Not Found"), FetchError::NotFound { .. }));
    assert!(matches!(status("410 Gone"), FetchError::NotFound { .. }));
    assert!(matches!(
        status("401 Unauthorized"),
        FetchError::Unauthorized { status: 401, credentials: CredentialsUse::NoneKnown, .. }
    ));
    assert!(matches!(status("400 Bad Request"), FetchError::Status { status: 400, .. }));
    assert!(matches!(status("304 Not Modified"), FetchError::Status { status: 304, .. }));
}

#[test]
fn a_server_that_says_nothing_ends_in_an_error() {
    let server = Server::start(|_, _, stream| stall(stream));
    let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
    assert!(matches!(result, Err(FetchError::Timeout { phase: Phase::Answer, .. })), "{result:?}");
}

#[test]
fn a_server_that_stops_talking_ends_in_an_error() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nby");
        stall(stream);
    });
    let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
    assert!(matches!(result, Err(FetchError::Timeout { phase: Phase::Body, .. })), "{result:?}");
}

#[test]
fn a_body_that_drips_ends_in_an_error() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        // The read is what paces the drops, and what notices that the client is gone.
        while !matches!(stream.read(&mut [0]), Ok(0)) {
            if std::io::Write::write_all(stream, b"x").is_err() {
                break;
            }
        }
    });
    let (result, ..) = fetch(&source(server.url("/"), &content(1_000_000)));
    assert!(matches!(result, Err(FetchError::Timeout { phase: Phase::Body, .. })), "{result:?}");
}

#[test]
fn headers_that_never_end_are_an_error() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\n");
        while std::io::Write::write_all(stream, b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
    assert!(matches!(result, Err(FetchError::Protocol { .. })), "{result:?}");
}

#[test]
fn a_connection_that_is_reset_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    thread::spawn(move || {
        // Closing with the request unread resets the connection.
        let (stream, _) = listener.accept().unwrap();
        stream.peek(&mut [0]).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        send(&mut stream, &answer("200 OK", "", b"bytes"));
        stall(&mut stream);
    });
    fetch(&source(url, b"bytes")).0.unwrap();
}

#[test]
fn a_port_nobody_listens_on_is_a_connection_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://me:secret@{address}/").parse().unwrap();
    let error = fetch(&source(url, b"bytes")).0.unwrap_err();
    assert!(matches!(error, FetchError::Connection { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn what_is_no_http_is_a_protocol_error() {
    let server = Server::saying("SSH-2.0-OpenSSH\r\n\r\n");
    let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
    assert!(matches!(result, Err(FetchError::Protocol { .. })), "{result:?}");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let server = Server::start(|_, head, stream| {
        let path = head.split(' ').nth(1).unwrap();
        let depth: usize = path.trim_start_matches('/').parse().unwrap();
        let next = |location: String| answer("302 Found", &format!("Location: {location}\r\n"), b"");
        send(
            stream,
            &match depth {
                0 => answer("200 OK", "", b"bytes"),
                99 => next("/98".to_owned()),
                98 => next("99".to_owned()),
                depth => next(format!("/{}", depth - 1)),
            },
        );
    });
    fetch(&source(server.url("/3"), b"bytes")).0.unwrap();
    let (circle, ..) = fetch(&source(server.url("/99"), b"bytes"));
    assert!(matches!(circle, Err(FetchError::RedirectLoop { .. })), "{circle:?}");
    let (long, ..) = fetch(&source(server.url("/50"), b"bytes"));
    assert!(matches!(long, Err(FetchError::TooManyRedirects { limit: 10, .. })), "{long:?}");
}

#[test]
fn a_redirect_cannot_lead_to_a_file_or_nowhere() {
    for (location, expected) in [
        ("Location: file:///etc/passwd\r\n", RefusedTarget::NotHttp),
        ("Location: http://[\r\n", RefusedTarget::Nowhere),
        ("", RefusedTarget::Nowhere),
    ] {
        let server = Server::saying(answer("301 Moved Permanently", location, b""));
        let (result, ..) = fetch(&source(server.url("/"), b"bytes"));
        assert!(
            matches!(result, Err(FetchError::Redirect { target, .. }) if target == expected),
            "{result:?}"
        );
    }
}

#[test]
fn a_password_is_told_to_its_own_host_only() {
    let other = Server::saying(answer("200 OK", "", b"bytes"));
    let to = other.url("/there").with_secrets().to_string();
    let server = Server::start(move |number, _, stream| {
        let location = if number == 0 { "/again".to_owned() } else { to.clone() };
        send(stream, &answer("307 Temporary Redirect", &format!("Location: {location}\r\n"), b""));
    });
    let url = format!("http://me:pass%20word@{}/", server.address).parse().unwrap();
    fetch(&source(url, b"bytes")).0.unwrap();
    let sent = Some("Basic bWU6cGFzcyB3b3Jk".to_owned());
    assert_eq!(server.headers("authorization"), [sent.clone(), sent]);
    assert_eq!(other.headers("authorization"), [None]);
}

#[test]
fn one_client_serves_many_threads() {
    let server = Server::start(|_, head, stream| {
        send(stream, &answer("200 OK", "", head.split(' ').nth(1).unwrap().as_bytes()));
    });
    let (_directory, store) = store();
    let (client, meter): (Client, Meter) = (client(), Meter::default());
    thread::scope(|scope| {
        for number in 0..8 {
            let path = format!("/{number}");
            let source = source(server.url(&path), path.as_bytes());
            scope.spawn({
                let (client, store, meter) = (&client, &store, &meter);
                move || client.fetch(&source, store, meter).unwrap()
            });
        }
    });
    assert_eq!(meter.reading().0, 16);
}
