//! Fetches what is pinned into the store, and believes nothing but its digest.
//!
//! Bytes go straight to a scratch file of the store and are hashed on the way; a body that breaks is taken up
//! where it broke, if the server can do that. Since the digest decides in the end, it need not promise
//! that the file is still the same. A wrong file is asked for once more, past all caches.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110#section-14>

use std::fs;
use std::io::{self, Read, Write};

use minke_cas::{BlobWriter, Meter, Source, SourceUrl, Store, StoreError};

use crate::request::{Answer, Failure};
use crate::retry::Tries;
use crate::{Client, FetchError};

/// Where no size is known, this is too much.
const LARGEST_BYTES: u64 = 32 << 30;

/// A try that brought this much counts as a success when retries are counted: the server is slow and shaky, but there.
const PROGRESS_BYTES: u64 = 1 << 20;

const BUFFER_BYTES: usize = 128 * 1024;

impl Client {
    /// Puts something into the store, unless it is there already.
    ///
    /// `meter` advances by each byte once, however often it had to be sent; nothing is announced on it, and
    /// what was in the store doesn't count.
    ///
    /// # Errors
    /// [`FetchError::WrongDigest`] and [`FetchError::WrongSize`] if the server insists on other bytes; all
    /// other variants as they say, after as many tries as make sense.
    pub fn fetch(&self, source: &Source, store: &Store, meter: &Meter) -> Result<(), FetchError> {
        if store.has(&source.digest) {
            return Ok(());
        }
        let download =
            Download { client: self, source, store, meter, blob: None, have: 0, metered: 0, again: false };
        if source.url.with_secrets().scheme() == "file" { download.copy() } else { download.run() }
    }
}

/// One file on its way into the store.
struct Download<'a> {
    client: &'a Client,
    source: &'a Source,
    store: &'a Store,
    meter: &'a Meter,
    blob: Option<BlobWriter>,
    /// How many bytes the blob has.
    have: u64,
    /// How many bytes the meter has seen.
    metered: u64,
    /// Whether a wrong file has come once, so that caches are to be passed by.
    again: bool,
}

impl Download<'_> {
    fn run(mut self) -> Result<(), FetchError> {
        let mut tries = Tries::new(self.client.retries);
        loop {
            let metered = self.metered;
            let Err(Failure { error, retry_after }) = self.attempt().and_then(|()| Ok(self.finish()?)) else {
                return Ok(());
            };
            if self.metered - metered >= PROGRESS_BYTES {
                tries.progressed();
            }
            let wrong = matches!(error, FetchError::WrongDigest { .. } | FetchError::WrongSize { .. });
            if wrong && !self.again {
                self.again = true;
                self.start_over();
            } else if !error.is_transient() || !tries.wait(retry_after) {
                return Err(error);
            }
        }
    }

    /// Reads a local file.
    fn copy(mut self) -> Result<(), FetchError> {
        let mut file = open_file(&self.source.url)?;
        self.pour(|buffer, _| read_file(&self.source.url, &mut file, buffer))?;
        self.finish()
    }

    /// Asks once for what is missing and takes what comes.
    fn attempt(&mut self) -> Result<(), Failure> {
        let mut headers = vec![("accept-encoding", "identity".to_owned())];
        if self.have > 0 {
            headers.push(("range", format!("bytes={}-", self.have)));
        }
        if self.again {
            headers.push(("cache-control", "no-cache".to_owned()));
        }
        let mut answer = match self.client.send(&self.source.url, &headers) {
            // There is nothing after what we have, so it is all there is.
            Err(Failure { error: FetchError::Status { status: 416, .. }, .. }) if self.have > 0 => {
                return Ok(());
            }
            answer => answer?,
        };
        let length = self.place(&answer)?;
        let want = length.map(|length| self.have + length);
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

    /// Decides where an answer's body goes: behind what we have, or in its place; returns its length.
    fn place(&mut self, answer: &Answer) -> Result<Option<u64>, FetchError> {
        match (answer.status, self.have) {
            (206, have) if have > 0 => {
                let starts = answer.header("content-range").and_then(range_start);
                if starts != Some(have) {
                    self.start_over();
                    return Err(FetchError::Truncated {
                        url: Box::new(self.source.url.clone()),
                        have: 0,
                        want: self.source.size,
                    });
                }
            }
            (200, _) => self.start_over(),
            (status, _) => return Err(FetchError::Status { url: Box::new(self.source.url.clone()), status }),
        }
        Ok(answer.length())
    }

    fn start_over(&mut self) {
        self.blob = None;
        self.have = 0;
    }

    /// Writes all that `read` gives, until it gives nothing.
    fn pour(
        &mut self,
        mut read: impl FnMut(&mut [u8], u64) -> Result<usize, FetchError>,
    ) -> Result<(), FetchError> {
        let url = &self.source.url;
        let mut blob = match self.blob.take() {
            Some(blob) => blob,
            None => self.store.blob_writer().map_err(kept(url))?,
        };
        let mut buffer = vec![0; BUFFER_BYTES];
        let end = loop {
            let count = match read(&mut buffer, self.have) {
                Ok(0) => break Ok(()),
                Ok(count) => count,
                Err(error) => break Err(error),
            };
            let have = self.have + count as u64;
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
            let path = || self.store.blob_path(&self.source.digest);
            blob.write_all(&buffer[..count])
                .map_err(|source| kept(url)(StoreError::Io { action: "write", path: path(), source }))?;
            self.have = have;
            self.meter.advance(have.saturating_sub(self.metered));
            self.metered = self.metered.max(have);
        };
        self.blob = Some(blob);
        end
    }

    /// Checks what came and puts it in its place.
    fn finish(&mut self) -> Result<(), FetchError> {
        let url = &self.source.url;
        if let Some(expected) = self.source.size.filter(|size| *size != self.have) {
            return Err(if self.have < expected && url.with_secrets().scheme() != "file" {
                FetchError::Truncated { url: Box::new(url.clone()), have: self.have, want: Some(expected) }
            } else {
                FetchError::WrongSize { url: Box::new(url.clone()), expected, actual: self.have }
            });
        }
        let blob = self.blob.take().expect("what was read was written");
        self.have = 0;
        match blob.finish_expected(&self.source.digest) {
            Ok(_) => Ok(()),
            Err(StoreError::Mismatch { expected, actual, size }) => {
                Err(FetchError::WrongDigest { url: Box::new(url.clone()), expected, actual, size })
            }
            Err(source) => Err(kept(url)(source)),
        }
    }
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
