//! One request and where its redirects lead.
//!
//! At each hop the credentials are chosen anew, so that a password is told to nobody but the host it is
//! for. Nothing is retried here.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110#section-15.4>

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::time::Duration;

use minke_cas::SourceUrl;
use ureq::BodyReader;
use ureq::http::{HeaderMap, Uri};
use url::Url;

use crate::error::{CredentialsUse, Phase, RefusedTarget};
use crate::pace::Pace;
use crate::retry::retry_after;
use crate::{Client, Credentials, FetchError, Timeouts};

/// More redirects than this are taken for a loop, as browsers do with twice as many.
const MOST_REDIRECTS: usize = 10;

/// A request that failed, and when the server wants to see the next one.
pub(crate) struct Failure {
    pub(crate) error: FetchError,
    pub(crate) retry_after: Option<Duration>,
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self { error, retry_after: None }
    }
}

/// A successful answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Body,
}

impl Answer {
    /// Returns a header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns how many bytes the server says it will send.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }
}

/// A header that a request carries besides the usual ones.
pub(crate) type Header = (&'static str, String);

impl Client {
    /// Sends a GET and follows redirects; an error status is an error.
    pub(crate) fn send(&self, url: &SourceUrl, headers: &[Header]) -> Result<Answer, Failure> {
        let first = url.with_secrets();
        let at_first = self.keyring.find(first);
        let mut seen = BTreeSet::new();
        let (mut at, mut credentials) = (first.clone(), at_first.clone());
        loop {
            let answer = self.ask(url, &at, credentials.as_ref(), headers)?;
            match answer.status().as_u16() {
                200..=299 => {
                    let status = answer.status().as_u16();
                    let (parts, body) = answer.into_parts();
                    let reader = body.into_with_config().limit(u64::MAX).reader();
                    let body = Body::new(reader, url.clone(), self.timeouts);
                    return Ok(Answer { status, headers: parts.headers, body });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let next = redirect(url, &at, answer.headers())?;
                    seen.insert(at);
                    let limit = MOST_REDIRECTS;
                    if seen.contains(&next) {
                        return Err(FetchError::RedirectLoop { url: Box::new(url.clone()) }.into());
                    } else if seen.len() > limit {
                        return Err(FetchError::TooManyRedirects { url: Box::new(url.clone()), limit }.into());
                    }
                    at = next;
                    let own =
                        at.username().is_empty() && at.password().is_none() && at.origin() == first.origin();
                    credentials = if own { at_first.clone() } else { self.keyring.find(&at) };
                }
                401 | 403 if self.keyring.can_learn(&at, &mut credentials) => {}
                status => {
                    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                    let error = refusal(url, status, credentials.as_ref());
                    return Err(Failure { error, retry_after: wait.and_then(retry_after) });
                }
            }
        }
    }

    /// Sends one request to one host.
    fn ask(
        &self,
        url: &SourceUrl,
        at: &Url,
        credentials: Option<&Credentials>,
        headers: &[Header],
    ) -> Result<ureq::http::Response<ureq::Body>, FetchError> {
        let uri = without_secrets(at).ok_or_else(|| FetchError::Address { url: Box::new(url.clone()) })?;
        let route = self.route(at);
        let mut request = route.agent.get(uri);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials.header());
        }
        if let Some(authorization) = route.proxy_authorization {
            request = request.header("proxy-authorization", authorization);
        }
        request.call().map_err(|error| failed(url, error, &self.timeouts, Phase::Answer))
    }
}

/// Turns an address into what a request line can hold; credentials and fragment don't belong there.
fn without_secrets(url: &Url) -> Option<Uri> {
    let mut bare = url.clone();
    bare.set_username("").ok()?;
    bare.set_password(None).ok()?;
    bare.set_fragment(None);
    bare.as_str().parse().ok()
}

fn redirect(url: &SourceUrl, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
    let refused = |target| FetchError::Redirect { url: Box::new(url.clone()), target };
    let location = headers.get("location").and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let next = location.and_then(|location| from.join(location).ok());
    let next = next.ok_or_else(|| refused(RefusedTarget::Nowhere))?;
    match (from.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        (_, "http") => Err(refused(RefusedTarget::Unencrypted)),
        _ => Err(refused(RefusedTarget::NotHttp)),
    }
}

fn refusal(url: &SourceUrl, status: u16, credentials: Option<&Credentials>) -> FetchError {
    let url = Box::new(url.clone());
    match status {
        404 | 410 => FetchError::NotFound { url },
        401 | 403 => {
            let sent = if credentials.is_some() { CredentialsUse::Sent } else { CredentialsUse::NoneKnown };
            FetchError::Unauthorized { url, status, credentials: sent }
        }
        status => FetchError::Status { url, status },
    }
}

/// Says in our terms what `ureq` ran into; `phase` is what was waited for when it was silent.
fn failed(url: &SourceUrl, error: ureq::Error, timeouts: &Timeouts, phase: Phase) -> FetchError {
    let url = Box::new(url.clone());
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            FetchError::Timeout { url, phase: Phase::Connect, limit: timeouts.connect }
        }
        ureq::Error::Timeout(_) => FetchError::Timeout { url, phase, limit: timeouts.idle },
        ureq::Error::HostNotFound => FetchError::HostNotFound { url },
        ureq::Error::BadUri(_) => FetchError::Address { url },
        // This is how `rustls` says through an I/O trait that it doesn't like the other side.
        ureq::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            FetchError::Tls { url, source }
        }
        error @ (ureq::Error::Rustls(_) | ureq::Error::Tls(_)) => {
            FetchError::Tls { url, source: error.into_io() }
        }
        error @ (ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) | ureq::Error::Http(_)) => {
            FetchError::Protocol { url, source: error.into_io() }
        }
        error => FetchError::Connection { url, source: error.into_io() },
    }
}

/// A body that ends in an error when the server falls silent or drips.
pub(crate) struct Body {
    reader: BodyReader<'static>,
    url: SourceUrl,
    timeouts: Timeouts,
    pace: Pace,
}

impl Body {
    fn new(reader: BodyReader<'static>, url: SourceUrl, timeouts: Timeouts) -> Self {
        Self { reader, url, timeouts, pace: Pace::new(&timeouts) }
    }

    /// Reads some of the body; 0 is its end, `have` is how much of it came before.
    pub(crate) fn read(&mut self, buffer: &mut [u8], have: u64) -> Result<usize, FetchError> {
        match self.reader.read(buffer) {
            Ok(count) if count == 0 || self.pace.keeps_up(count) => Ok(count),
            Ok(_) => {
                let (url, limit) = (Box::new(self.url.clone()), self.timeouts.idle);
                Err(FetchError::Timeout { url, phase: Phase::Body, limit })
            }
            Err(error) => Err(match ureq::Error::from(error) {
                ureq::Error::Io(_) => {
                    FetchError::Truncated { url: Box::new(self.url.clone()), have, want: None }
                }
                error => failed(&self.url, error, &self.timeouts, Phase::Body),
            }),
        }
    }
}
