//! Fetching what another process has begun, is fetching, or has left wrong.

use std::thread;
use std::time::Duration;

use crate::support::{Server, answer, client, content, header, options, send, source, store};
use minke_cas::{Meter, Source, Store};
use minke_net::{Client, FetchError, Retries};

/// Answers as a server with ranges does; what it says of its file is `tag`.
fn serve(body: Vec<u8>, tag: &'static str, cut: impl Fn(usize) -> usize + Send + Sync + 'static) -> Server {
    Server::start(move |number, head, stream| {
        let fresh =
            header(head, "if-range").is_none_or(|tag_of_client| format!("ETag: {tag_of_client}\r\n") == tag);
        let from = header(head, "range").filter(|_| fresh).map_or(0, |range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        });
        let (status, part) =
            if from == 0 { ("200 OK", &body[..]) } else { ("206 Partial Content", &body[from..]) };
        let range = format!("{tag}Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
        let mut answer = answer(status, &range, part);
        answer.truncate(answer.len() - part.len() + part.len().min(cut(number)));
        send(stream, &answer);
    })
}

/// A process that has no patience, and the store of one that comes after it.
fn hasty() -> Client {
    Client::new(minke_net::ClientOptions { retries: Retries { count: 0, ..options().retries }, ..options() })
        .unwrap()
}

fn fetch_with(client: &Client, source: &Source, store: &Store) -> (Result<(), FetchError>, u64) {
    let meter = Meter::default();
    let result = client.fetch(source, store, &meter);
    (result, meter.reading().0)
}

const TAG: &str = "ETag: \"1\"\r\n";

#[test]
fn a_later_process_goes_on_where_an_earlier_one_stopped() {
    let body = content(200_000);
    let server = serve(body.clone(), TAG, |number| if number == 0 { 150_000 } else { usize::MAX });
    let source = source(server.url("/a.whl"), &body);
    let (directory, first) = store();
    let (result, metered) = fetch_with(&hasty(), &source, &first);
    assert!(matches!(result, Err(FetchError::Truncated { have: 150_000, .. })), "{result:?}");
    assert_eq!(metered, 150_000);
    let second = Store::open(directory.path()).unwrap();
    let (result, metered) = fetch_with(&client(), &source, &second);
    result.unwrap();
    assert_eq!((metered, second.read_blob(&source.digest).unwrap() == body), (200_000, true));
    assert_eq!(server.headers("range"), [None, Some("bytes=150000-".to_owned())]);
    assert_eq!(server.headers("if-range"), [None, Some("\"1\"".to_owned())]);
}

#[test]
fn a_file_that_has_changed_since_comes_whole() {
    let (old, new) = (content(100_000), content(100_001)[1..].to_vec());
    let before = serve(old, TAG, |_| 60_000);
    let (_directory, store) = store();
    let wanted = source(before.url("/a.whl"), &new);
    fetch_with(&hasty(), &wanted, &store).0.unwrap_err();
    // The same address, but for its port: its server says at once that what we have is of another file.
    let after = serve(new.clone(), "ETag: \"2\"\r\n", |_| usize::MAX);
    let elsewhere = source(after.url("/a.whl"), &new);
    let (result, metered) = fetch_with(&client(), &elsewhere, &store);
    result.unwrap();
    assert_eq!(metered, 100_000);
    assert_eq!(store.read_blob(&wanted.digest).unwrap(), new);
    // Of another server's tag nothing can be concluded: the digest tells, and the file is fetched whole.
    assert_eq!(after.headers("range"), [Some("bytes=60000-".to_owned()), None]);
    assert_eq!(after.headers("if-range"), [None, None]);
}

#[test]
fn a_server_that_says_that_its_file_has_changed_is_asked_once() {
    let body = content(100_000);
    let server = Server::start({
        let body = body.clone();
        move |number, head, stream| match number {
            0 => send(stream, &answer("200 OK", TAG, &content(100_001)[1..])[..50_000]),
            _ => {
                assert_eq!(header(head, "if-range").as_deref(), Some("\"1\""));
                send(stream, &answer("200 OK", "ETag: \"2\"\r\n", &body));
            }
        }
    });
    let (_directory, store) = store();
    let source = source(server.url("/"), &body);
    fetch_with(&hasty(), &source, &store).0.unwrap_err();
    fetch_with(&hasty(), &source, &store).0.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_was_whole_when_its_process_died_is_not_asked_for() {
    let body = content(1000);
    let server = Server::saying("");
    let source = source(server.url("/"), &body);
    let (_directory, store) = store();
    let partial = store.root().join("partial").join(source.digest.hex());
    std::fs::write(partial, &body).unwrap();
    fetch_with(&client(), &source, &store).0.unwrap();
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_blob_that_was_cut_short_is_fetched_again() {
    let body = content(1000);
    let server = Server::saying(answer("200 OK", "", &body));
    let source = source(server.url("/"), &body);
    let (_directory, store) = store();
    store.put(&body).unwrap();
    std::fs::write(store.blob_path(&source.digest), &body[..500]).unwrap();
    fetch_with(&client(), &source, &store).0.unwrap();
    assert_eq!(store.read_blob(&source.digest).unwrap(), body);
}

#[test]
fn one_fetches_while_the_others_wait() {
    let body = content(100_000);
    let whole = answer("200 OK", "", &body);
    let server = Server::start(move |_, _, stream| {
        let (first, second) = whole.split_at(50_000);
        send(stream, first);
        thread::sleep(Duration::from_millis(100));
        send(stream, second);
    });
    let source = source(server.url("/"), &body);
    let (directory, _) = store();
    let metered: Vec<u64> = thread::scope(|scope| {
        let fetchers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let store = Store::open(directory.path()).unwrap();
                    let (result, metered) = fetch_with(&client(), &source, &store);
                    result.unwrap();
                    metered
                })
            })
            .collect();
        fetchers.into_iter().map(|fetcher| fetcher.join().unwrap()).collect()
    });
    assert_eq!(server.requests().len(), 1);
    // Whoever comes when it is there already has nothing to count.
    assert!(metered.iter().all(|&bytes| bytes == 100_000 || bytes == 0), "{metered:?}");
}

#[test]
fn another_goes_on_when_the_one_who_fetches_fails() {
    let body = content(100_000);
    let server = serve(body.clone(), "", |number| if number == 0 { 50_000 } else { usize::MAX });
    let source = source(server.url("/"), &body);
    let (directory, _) = store();
    let failed: usize = thread::scope(|scope| {
        let fetch = || {
            let store = Store::open(directory.path()).unwrap();
            usize::from(fetch_with(&hasty(), &source, &store).0.is_err())
        };
        let fetchers: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        fetchers.into_iter().map(|fetcher| fetcher.join().unwrap()).sum()
    });
    assert_eq!((failed, server.requests().len()), (1, 2));
}
