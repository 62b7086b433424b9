//! Reads requests and writes responses.

use std::io::{self, BufRead, Read as _, Write};

use crate::sha256_hex;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// What follows the host, without the query, still percent-encoded: `/simple/toy/`.
    pub path: String,
    /// What follows the question mark, or nothing.
    pub query: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of a name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What a handler answers; length, ranges and validators are added on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status: 200.
    pub status: u16,
    /// Headers beside those that the server writes itself.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// Answers 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Response {
        Response { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// Answers with a status and a body that repeats it.
    pub fn status(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: format!("{status}\n").into_bytes() }
    }

    /// Answers 302 and sends the client elsewhere.
    pub fn redirect(location: &str) -> Response {
        Response::status(302).header("Location", location)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads the next request; nothing where the peer leaves or doesn't speak HTTP.
pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request =
        Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
    request.body = read_body(reader, &request)?;
    Some(request)
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

fn read_body(reader: &mut impl BufRead, request: &Request) -> Option<Vec<u8>> {
    if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return read_chunks(reader);
    }
    let length: u64 = request.header("content-length").map_or(Some(0), |text| text.parse().ok())?;
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    (body.len() as u64 == length).then_some(body)
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Some(body);
        }
        reader.take(size).read_to_end(&mut body).ok()?;
        read_line(reader)?;
    }
}

/// Writes a response, cut down to the range that was asked for.
pub(crate) fn write_response(out: impl Write, request: &Request, response: &Response) -> io::Result<()> {
    let response = conditional(request, response);
    write_raw(out, request, &response, &response.body)
}

/// Writes a head that belongs to `response` and then `body`, which may be something else.
pub(crate) fn write_raw(
    mut out: impl Write,
    request: &Request,
    response: &Response,
    body: &[u8],
) -> io::Result<()> {
    out.write_all(&head(response))?;
    if request.method != "HEAD" {
        out.write_all(body)?;
    }
    out.flush()
}

pub(crate) fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Toy\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if response.status != 304 && response.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    (head + "\r\n").into_bytes()
}

/// Adds the validator, and answers `Range`, `If-Range` and `If-None-Match` for a 200 to `GET`.
pub(crate) fn conditional(request: &Request, response: &Response) -> Response {
    if response.status != 200 || !matches!(request.method.as_str(), "GET" | "HEAD") {
        return response.clone();
    }
    let tag = format!("\"{}\"", &sha256_hex(&response.body)[..16]);
    let full = response.clone().header("ETag", &tag).header("Accept-Ranges", "bytes");
    if request.header("if-none-match") == Some(&tag) {
        return Response { status: 304, body: Vec::new(), ..full };
    }
    if request.header("if-range").is_some_and(|wanted| wanted != tag) {
        return full;
    }
    let size = response.body.len();
    match request.header("range").and_then(|range| parse_range(range, size)) {
        None => full,
        Some(None) => Response { status: 416, body: Vec::new(), ..full }
            .header("Content-Range", &format!("bytes */{size}")),
        Some(Some((first, last))) => {
            let body = full.body[first..=last].to_vec();
            Response { status: 206, body, ..full }
                .header("Content-Range", &format!("bytes {first}-{last}/{size}"))
        }
    }
}

/// Understands one range; `Some(None)` is one that can't be satisfied, `None` one that is to be ignored.
fn parse_range(header: &str, size: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        return Some((suffix > 0 && size > 0).then(|| (size.saturating_sub(suffix), size - 1)));
    }
    let first: usize = first.parse().ok()?;
    let last: usize = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    Some((first < size && first <= last).then(|| (first, last.min(size - 1))))
}

pub(crate) fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
