//! Fetches what is pinned into the store, and believes nothing but its digest.
//!
//! Of several threads and processes that want a file, one fetches it and the others wait. Bytes go straight to a
//! partial file of the store and are hashed on the way; a body that breaks is taken up where it broke, if the
//! server can do that, also by a later process. Since the digest decides in the end, the server need not
//! promise that the file is still the same; across processes it is asked to say so, which saves the bytes. A
//! wrong file is asked for once more from its start, past all caches.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110#section-14>

use std::fs;
use std::io::{self, Read, Write};

use minke_cas::{Claim, Digest, Meter, Partial, Source, SourceUrl, Store, StoreError};

use crate::request::{Answer, Failure};
use crate::retry::Tries;
use crate::{Client, FetchError};

/// Where no size is known, this is too much.
const LARGEST_BYTES: u64 = 32 << 30;

/// A try that brought this much counts as a success when retries are counted: the server is slow and shaky, but there.
const PROGRESS_BYTES: u64 = 1 << 20;

const BUFFER_BYTES: usize = 128 * 1024;

impl Client {
    /// Puts something into the store from the very place that is named; see [`Client::fetch`].
    pub(crate) fn fetch_from(&self, source: &Source, store: &Store, meter: &Meter) -> Result<(), FetchError> {
        if store.has_source(source) {
            return Ok(());
        }
        let mut metered = Metered { meter, seen: 0 };
        let what = format!("another minke, which is fetching {}", source.url);
        let claim = store.claim(source, &what, |size| metered.reach(size));
        let partial = match claim.map_err(kept(&source.url))? {
            Claim::There => {
                metered.reach(source.size.unwrap_or(0));
                return Ok(());
            }
            Claim::Ours(partial) => partial,
        };
        let resume = if partial.have() > 0 { Resume::Earlier } else { Resume::Now };
        let download = Download { client: self, source, partial, metered, resume, again: false };
        if source.url.with_secrets().scheme() == "file" { download.copy() } else { download.run() }
    }
}

/// A meter that sees each byte of a file once.
struct Metered<'a> {
    meter: &'a Meter,
    seen: u64,
}

impl Metered<'_> {
    fn reach(&mut self, size: u64) {
        self.meter.advance(size.saturating_sub(self.seen));
        self.seen = self.seen.max(size);
    }
}

/// Who has brought the bytes that there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// An earlier process, or another one that gave up.
    Earlier,
    /// We.
    Now,
}

/// One file on its way into the store.
struct Download<'a> {
    client: &'a Client,
    source: &'a Source,
    partial: Partial,
    metered: Metered<'a>,
    resume: Resume,
    /// Whether a wrong file has come once, so that caches are to be passed by.
    again: bool,
}

impl Download<'_> {
    fn run(mut self) -> Result<(), FetchError> {
        let mut tries = Tries::new(self.client.retries);
        loop {
            let seen = self.metered.seen;
            let Err(Failure { error, retry_after }) = self.attempt().and_then(|()| Ok(self.finish()?)) else {
                return Ok(());
            };
            if self.metered.seen - seen >= PROGRESS_BYTES {
                tries.progressed();
            }
            let wrong = matches!(error, FetchError::WrongDigest { .. } | FetchError::WrongSize { .. });
            if wrong && self.resume == Resume::Earlier {
                // The server's file may be right, and only ours not the beginning of it.
                self.start_over("")?;
            } else if wrong && !self.again {
                self.again = true;
                self.start_over("")?;
            } else if !error.is_transient() || !tries.wait(retry_after) {
                return Err(error);
            }
        }
    }

    /// Reads a local file.
    fn copy(mut self) -> Result<(), FetchError> {
        let mut file = open_file(&self.source.url)?;
        self.start_over("")?;
        self.pour(|buffer, _| read_file(&self.source.url, &mut file, buffer))?;
        self.finish()
    }

    /// Asks once for what is missing and takes what comes.
    fn attempt(&mut self) -> Result<(), Failure> {
        let have = self.partial.have();
        self.metered.reach(have);
        match self.source.size {
            // Its process was killed before it could be put in its place.
            Some(size) if have == size && have > 0 => return Ok(()),
            Some(size) if have > size => self.start_over("")?,
            _ => {}
        }
        let headers = self.headers();
        let have = self.partial.have();
        let mut answer = match self.client.send(&self.source.url, &headers) {
            // There is nothing after what we have, so it is all there is.
            Err(Failure { error: FetchError::Status { status: 416, .. }, .. }) if have > 0 => return Ok(()),
            answer => answer?,
        };
        let length = self.place(&answer)?;
        let want = length.map(|length| self.partial.have() + length);
        if let (Some(expected), Some(actual)) = (self.source.size, want)
            && expected != actual
        {
            return Err(
                FetchError::WrongSize { url: Box::new(self.source.url.clone()), expected, actual }.into()
            );
        }
        self.pour(|buffer, have| answer.body.read(buffer, have)).map_err(|error| match error {
            FetchError::Truncated { url, have, .. } => {
                FetchError::Truncated { url, have, want: want.or(self.source.size) }
            }
            error => error,
        })?;
        Ok(())
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept-encoding", "identity".to_owned())];
        let have = self.partial.have();
        if have > 0 {
            headers.push(("range", format!("bytes={have}-")));
            let note = self.partial.note().filter(|_| self.resume == Resume::Earlier);
            if let Some(validator) = note.and_then(|note| same_address(&note, &self.source.url)) {
                headers.push(("if-range", validator));
            }
        }
        if self.again {
            headers.push(("cache-control", "no-cache".to_owned()));
        }
        headers
    }

    /// Decides where an answer's body goes: behind what we have, or in its place; returns its length.
    fn place(&mut self, answer: &Answer) -> Result<Option<u64>, FetchError> {
        match (answer.status, self.partial.have()) {
            (206, have) if have > 0 => {
                let starts = answer.header("content-range").and_then(range_start);
                if starts != Some(have) {
                    self.start_over("")?;
                    return Err(FetchError::Truncated {
                        url: Box::new(self.source.url.clone()),
                        have: 0,
                        want: self.source.size,
                    });
                }
            }
            (200, _) => self.start_over(&note(&self.source.url, answer))?,
            (status, _) => return Err(FetchError::Status { url: Box::new(self.source.url.clone()), status }),
        }
        Ok(answer.length())
    }

    fn start_over(&mut self, note: &str) -> Result<(), FetchError> {
        self.resume = Resume::Now;
        self.partial.restart(note).map_err(kept(&self.source.url))
    }

    /// Writes all that `read` gives, until it gives nothing.
    fn pour(
        &mut self,
        mut read: impl FnMut(&mut [u8], u64) -> Result<usize, FetchError>,
    ) -> Result<(), FetchError> {
        let url = &self.source.url;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match read(&mut buffer, self.partial.have())? {
                0 => return Ok(()),
                count => count,
            };
            let have = self.partial.have() + count as u64;
            match self.source.size {
                Some(expected) if have > expected => {
                    return Err(FetchError::WrongSize { url: Box::new(url.clone()), expected, actual: have });
                }
                None if have > LARGEST_BYTES => {
                    return Err(FetchError::TooLarge {
                        url: Box::new(url.clone()),
                        limit_bytes: LARGEST_BYTES,
                    });
                }
                _ => {}
            }
            let path = self.partial.path().to_owned();
            self.partial
                .write_all(&buffer[..count])
                .map_err(|source| kept(url)(StoreError::Io { action: "write", path, source }))?;
            self.metered.reach(have);
        }
    }

    /// Checks what came and puts it in its place.
    fn finish(&mut self) -> Result<(), FetchError> {
        let url = &self.source.url;
        let have = self.partial.have();
        if let Some(expected) = self.source.size.filter(|size| *size != have) {
            return Err(if have < expected && url.with_secrets().scheme() != "file" {
                FetchError::Truncated { url: Box::new(url.clone()), have, want: Some(expected) }
            } else {
                FetchError::WrongSize { url: Box::new(url.clone()), expected, actual: have }
            });
        }
        match self.partial.finish() {
            Ok(()) => Ok(()),
            Err(StoreError::Mismatch { expected, actual, size }) => {
                Err(FetchError::WrongDigest { url: Box::new(url.clone()), expected, actual, size })
            }
            Err(source) => Err(kept(url)(source)),
        }
    }
}

/// Says where bytes come from, and by what the server tells its file from a changed one.
///
/// A weak tag won't do for parts. The address is hashed: it may hold a token.
fn note(url: &SourceUrl, answer: &Answer) -> String {
    let tag = answer.header("etag").filter(|tag| tag.starts_with('"'));
    let validator = tag.or_else(|| answer.header("last-modified")).unwrap_or_default();
    format!("{}\n{}", address(url), validator.trim())
}

/// Returns a note's validator, if it speaks of the same address.
fn same_address(note: &str, url: &SourceUrl) -> Option<String> {
    let (from, validator) = note.split_once('\n')?;
    let is_header = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (from == address(url) && is_header(validator)).then(|| validator.to_owned())
}

fn address(url: &SourceUrl) -> String {
    Digest::of(url.to_string().as_bytes()).hex()
}

fn kept(url: &SourceUrl) -> impl Fn(StoreError) -> FetchError {
    let url = Box::new(url.clone());
    move |source| FetchError::Store { url: url.clone(), source }
}

/// Reads where a `Content-Range: bytes 5-9/10` starts.
fn range_start(text: &str) -> Option<u64> {
    text.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}

/// Opens the file of a `file:` address.
pub(crate) fn open_file(url: &SourceUrl) -> Result<fs::File, FetchError> {
    let path =
        url.with_secrets().to_file_path().map_err(|()| FetchError::Address { url: Box::new(url.clone()) })?;
    fs::File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FetchError::NotFound { url: Box::new(url.clone()) },
        _ => FetchError::File { url: Box::new(url.clone()), source },
    })
}

/// Reads some of a local file; 0 is its end.
pub(crate) fn read_file(
    url: &SourceUrl,
    file: &mut fs::File,
    buffer: &mut [u8],
) -> Result<usize, FetchError> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(|source| FetchError::File { url: Box::new(url.clone()), source }),
        }
    }
}
