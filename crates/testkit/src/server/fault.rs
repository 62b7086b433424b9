//! How a server misbehaves.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::Shared;
use super::http::{Request, Response, conditional, head, write_raw, write_response};

/// What a server does instead of answering properly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and no content worth having.
    Status(u16),
    /// Answers 503 with `Retry-After` in these seconds.
    RetryAfter(u64),
    /// Answers 401 and asks for credentials.
    Unauthorized,
    /// Promises the whole body and hangs up after so many bytes of it.
    TruncateAfter(usize),
    /// Sends so many bytes of the body and then nothing, until the client leaves or the server ends.
    StallAfter(usize),
    /// Accepts the request and never answers.
    StallBeforeHead,
    /// Sends the body with every byte of it changed, of the same length.
    WrongBytes,
    /// Sends this body with status 200 instead of the right one.
    Body(Vec<u8>),
    /// Sends the client to the same path again and again.
    RedirectLoop,
    /// Sends the client to another address.
    RedirectTo(String),
    /// Sends the right body in so many bytes at a time, with a pause after each.
    Drip(usize, Duration),
    /// Hangs up without a word.
    HangUp,
    /// Answers with something that isn't HTTP.
    NotHttp,
    /// Ignores `Range` and sends everything with status 200, as some servers do.
    NoRanges,
}

impl Fault {
    /// Answers a request; an error ends the connection.
    pub(super) fn act(&self, stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
        let right = || conditional(request, &shared.handle(request));
        match self {
            Fault::Status(status) => write_response(stream, request, &Response::status(*status)),
            Fault::RetryAfter(seconds) => {
                let response = Response::status(503).header("Retry-After", &seconds.to_string());
                write_response(stream, request, &response)
            }
            Fault::Unauthorized => {
                let response = Response::status(401).header("WWW-Authenticate", "Basic realm=\"toys\"");
                write_response(stream, request, &response)
            }
            Fault::TruncateAfter(keep) => {
                let response = right();
                let end = response.body.len().min(*keep);
                write_raw(stream, request, &response, &response.body[..end])?;
                Err(hang_up())
            }
            Fault::StallAfter(keep) => {
                let response = right();
                let end = response.body.len().min(*keep);
                write_raw(stream, request, &response, &response.body[..end])?;
                wait_for_the_end(stream, shared)
            }
            Fault::StallBeforeHead => wait_for_the_end(stream, shared),
            Fault::WrongBytes => {
                let response = right();
                let body: Vec<u8> = response.body.iter().map(|byte| byte ^ 0x55).collect();
                write_raw(stream, request, &response, &body)
            }
            Fault::Body(body) => write_response(stream, request, &Response::ok(body.clone())),
            Fault::RedirectLoop => write_response(stream, request, &Response::redirect(&request.path)),
            Fault::RedirectTo(address) => write_response(stream, request, &Response::redirect(address)),
            Fault::Drip(bytes, pause) => drip(stream, &right(), *bytes, *pause),
            Fault::HangUp => Err(hang_up()),
            Fault::NotHttp => {
                (&*stream).write_all(b"220 host.test ready\r\n")?;
                Err(hang_up())
            }
            Fault::NoRanges => {
                let response = shared.handle(request);
                write_raw(stream, request, &response, &response.body)
            }
        }
    }
}

fn drip(mut stream: &TcpStream, response: &Response, bytes: usize, pause: Duration) -> io::Result<()> {
    stream.write_all(&head(response))?;
    for drop in response.body.chunks(bytes.max(1)) {
        stream.write_all(drop)?;
        stream.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Returns once the client has left, or the server ends and shuts the connection down.
fn wait_for_the_end(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut byte = [0];
    while !shared.stopping() && stream.peek(&mut byte)? > 0 {
        // The client pipelines; what it says can't be answered, so that only time helps.
        thread::sleep(Duration::from_millis(20));
    }
    Err(hang_up())
}

fn hang_up() -> io::Error {
    io::Error::other("the fault says to hang up")
}
