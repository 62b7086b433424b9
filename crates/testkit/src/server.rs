//! A web server on the loopback, with a memory and a temper.
//!
//! Every request is remembered, so that a test can say "nothing was fetched twice"; every path can be made to
//! misbehave, always or for its next few requests. One thread a connection, HTTP/1.1 with connections kept, and
//! `Content-Length`, `ETag`, `Range` and `If-Range` as real servers have them.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110>

mod fault;
mod http;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

pub use fault::Fault;
pub use http::{Request, Response};

type Handler = Box<dyn Fn(&Request) -> Response + Send + Sync>;

/// A server that lives as long as the value does.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    handler: Handler,
    state: Mutex<State>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    log: Vec<Request>,
    always: BTreeMap<String, Fault>,
    next: BTreeMap<String, VecDeque<Fault>>,
    authorization: Option<String>,
    streams: Vec<TcpStream>,
}

impl Server {
    /// Serves the files below a directory; what isn't there is a 404. Directories have no listing, but a path that
    /// ends in a slash serves the `index.html` in it.
    pub fn serve_dir(root: impl Into<PathBuf>) -> Server {
        let root = root.into();
        Server::new(move |request| file_below(&root, request))
    }

    /// Serves what a function makes of each request that no fault takes away.
    ///
    /// # Panics
    /// If the loopback has no free port.
    pub fn new(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let for_listener = Arc::clone(&shared);
        let listener = thread::spawn(move || listen(&listener, &for_listener));
        Server { shared, address, listener: Some(listener) }
    }

    /// Its address without a slash at the end: `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a path on it; the path begins with a slash.
    pub fn url_of(&self, path: &str) -> String {
        self.url() + path
    }

    /// Its address with credentials in it: `http://USER:PASSWORD@127.0.0.1:40123`.
    pub fn url_with_credentials(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@{}", self.address)
    }

    /// Its host and port: `127.0.0.1:40123`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Makes every request for a path fail.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.state().always.insert(path.to_owned(), fault);
    }

    /// Makes the next request for a path fail; further calls queue up behind it.
    pub fn fault_once(&self, path: &str, fault: Fault) {
        self.state().next.entry(path.to_owned()).or_default().push_back(fault);
    }

    /// Makes a path behave again.
    pub fn heal(&self, path: &str) {
        let mut state = self.state();
        state.always.remove(path);
        state.next.remove(path);
    }

    /// From now on answers 401 to who doesn't send these credentials.
    pub fn require_basic_auth(&self, user: &str, password: &str) {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.state().authorization = Some(expected);
    }

    /// How many requests for a path came so far, whatever became of them; the query doesn't count.
    pub fn requests(&self, path: &str) -> usize {
        self.state().log.iter().filter(|request| request.path == path).count()
    }

    /// How many requests came so far, by path.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.state().log {
            *counts.entry(request.path.clone()).or_default() += 1;
        }
        counts
    }

    /// Every request so far, in the order of arrival.
    pub fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state().log.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for stream in self.state().streams.drain(..) {
            // A connection that is closed already needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which waits in `accept`.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the server panics with the state in hand")
    }

    pub(crate) fn handle(&self, request: &Request) -> Response {
        (self.handler)(request)
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Remembers a request and decides what becomes of it.
    fn admit(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        state.log.push(request.clone());
        if let Some(expected) = &state.authorization
            && request.header("authorization") != Some(expected)
        {
            return Some(Fault::Unauthorized);
        }
        let next = state.next.get_mut(&request.path).and_then(VecDeque::pop_front);
        next.or_else(|| state.always.get(&request.path).cloned())
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping() {
            return;
        }
        let Ok(stream) = stream else { continue };
        if let Ok(handle) = stream.try_clone() {
            shared.state().streams.push(handle);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || converse(&stream, &shared));
    }
}

/// Answers requests until the peer leaves, an answer ends the connection, or the server stops.
fn converse(stream: &TcpStream, shared: &Shared) {
    let mut reader = std::io::BufReader::new(stream);
    while let Some(request) = http::read_request(&mut reader) {
        let fault = shared.admit(&request);
        let answered = match fault {
            None => http::write_response(stream, &request, &shared.handle(&request)),
            Some(fault) => fault.act(stream, &request, shared),
        };
        if answered.is_err() || shared.stopping() {
            break;
        }
    }
    // The peer may be gone already.
    let _ = stream.shutdown(Shutdown::Both);
}

fn file_below(root: &Path, request: &Request) -> Response {
    let path = http::percent_decoded(&request.path);
    let relative = path.trim_start_matches('/');
    if relative.split('/').any(|part| part == "..") {
        return Response::status(400);
    }
    let file = if path.ends_with('/') { root.join(relative).join("index.html") } else { root.join(relative) };
    match fs::read(&file) {
        Ok(body) => Response::ok(body),
        Err(_) => Response::status(404),
    }
}

#[cfg(test)]
mod tests;
