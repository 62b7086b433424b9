//! Reads what cannot be pinned: a signed index, a page that lists files.
//!
//! It has its own door, so that nobody fetches unpinned by accident; who uses it must check what comes (a
//! signature), or have reason to trust the host.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use minke_cas::SourceUrl;

use crate::fetch::{open_file, read_file};
use crate::request::{Body, Failure, Header};
use crate::retry::Tries;
use crate::{Client, FetchError};

/// How something unpinned is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpinnedOptions {
    /// More than this is refused, counted after decompression.
    pub limit_bytes: u64,
    /// The `Accept` header, where the server has more than one form.
    pub accept: Option<String>,
}

impl Default for UnpinnedOptions {
    /// At most 32 MiB, in whatever form.
    fn default() -> Self {
        Self { limit_bytes: 32 << 20, accept: None }
    }
}

impl Client {
    /// Reads from the very place that is named; see [`Client::get_unpinned`].
    pub(crate) fn unpinned_from(
        &self,
        url: &SourceUrl,
        options: &UnpinnedOptions,
    ) -> Result<Vec<u8>, FetchError> {
        if url.with_secrets().scheme() == "file" {
            let mut file = open_file(url)?;
            return collect(url, options.limit_bytes, |buffer| read_file(url, &mut file, buffer));
        }
        let mut headers = vec![("accept-encoding", "gzip".to_owned())];
        headers.extend(options.accept.iter().map(|accept| ("accept", accept.clone())));
        let mut tries = Tries::new(self.retries);
        loop {
            match self.read_once(url, options.limit_bytes, &headers) {
                Ok(bytes) => return Ok(bytes),
                Err(Failure { error, retry_after }) => {
                    if !error.is_transient() || !tries.wait(retry_after) {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn read_once(&self, url: &SourceUrl, limit_bytes: u64, headers: &[Header]) -> Result<Vec<u8>, Failure> {
        let mut answer = self.send(url, headers)?;
        if !matches!(answer.status, 200 | 203) {
            return Err(FetchError::Status { url: Box::new(url.clone()), status: answer.status }.into());
        }
        let encoding = answer.header("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
        if matches!(encoding.as_str(), "gzip" | "x-gzip") {
            return Ok(decompressed(url, limit_bytes, answer.body)?);
        }
        let mut have = 0;
        let bytes = collect(url, limit_bytes, |buffer| {
            let count = answer.body.read(buffer, have)?;
            have += count as u64;
            Ok(count)
        });
        Ok(bytes?)
    }
}

/// Reads to the end, but not beyond the limit.
fn collect(
    url: &SourceUrl,
    limit_bytes: u64,
    mut read: impl FnMut(&mut [u8]) -> Result<usize, FetchError>,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if bytes.len() as u64 > limit_bytes {
            return Err(FetchError::TooLarge { url: Box::new(url.clone()), limit_bytes });
        }
    }
}

fn decompressed(url: &SourceUrl, limit_bytes: u64, body: Body) -> Result<Vec<u8>, FetchError> {
    let mut decoder = MultiGzDecoder::new(Compressed { body, have: 0, broken: None });
    collect(url, limit_bytes, |buffer| {
        decoder.read(buffer).map_err(|source| match decoder.get_mut().broken.take() {
            Some(error) => error,
            None => FetchError::Encoding { url: Box::new(url.clone()), source },
        })
    })
}

/// Lets a decoder read a body, and keeps the body's own error for when the decoder stops.
struct Compressed {
    body: Body,
    have: u64,
    broken: Option<FetchError>,
}

impl Read for Compressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer, self.have) {
            Ok(count) => {
                self.have += count as u64;
                Ok(count)
            }
            Err(error) => {
                self.broken = Some(error);
                Err(io::Error::other("the body broke off"))
            }
        }
    }
}
