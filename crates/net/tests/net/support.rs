//! A loopback server that misbehaves on demand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use minke_cas::{Digest, Source, SourceUrl, Store};
use minke_net::{Client, ClientOptions, Retries, Timeouts};

/// Answers each request on a connection of its own, and remembers what was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server; the handler gets the request's number from 0, its head, and the connection.
    pub(crate) fn start(handler: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (handler, seen) = (Arc::new(handler), Arc::clone(&requests));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (mut stream, handler, seen) =
                    (connection.unwrap(), Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || {
                    let head = read_head(&mut stream);
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(head.clone());
                        seen.len() - 1
                    };
                    handler(number, &head, &mut stream);
                });
            }
        });
        Self { address, requests }
    }

    /// Answers each request with the same bytes.
    pub(crate) fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, _, stream| send(stream, &answer))
    }

    pub(crate) fn url(&self, path: &str) -> SourceUrl {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// Returns all requests so far, each as its head.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the value that each request so far had for a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<Option<String>> {
        self.requests().iter().map(|head| header(head, name)).collect()
    }
}

/// Finds a header's value in a request's head.
pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Sends bytes; a client that has hung up is no matter.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Makes a whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// Waits until the client hangs up.
pub(crate) fn stall(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}

/// Bytes that no two places of are alike.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size as u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).take(size).collect()
}

pub(crate) fn source(url: SourceUrl, bytes: &[u8]) -> Source {
    Source { url, digest: Digest::of(bytes), size: Some(bytes.len() as u64) }
}

/// Passes bytes both ways until both sides have hung up.
pub(crate) fn splice(stream: &TcpStream, other: &TcpStream) {
    let pump = |mut from: TcpStream, mut to: TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    let (there, back) = (stream.try_clone().unwrap(), other.try_clone().unwrap());
    let back = thread::spawn({
        let stream = stream.try_clone().unwrap();
        move || pump(back, stream)
    });
    pump(there, other.try_clone().unwrap());
    back.join().unwrap();
}

/// Options with pauses and time-outs that a test can wait for.
pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        timeouts: Timeouts {
            idle: Duration::from_millis(300),
            slowest_bytes_per_second: 1000,
            ..Timeouts::default()
        },
        retries: Retries {
            count: 2,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(20),
            ..Retries::default()
        },
        ..ClientOptions::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(options()).unwrap()
}

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}
