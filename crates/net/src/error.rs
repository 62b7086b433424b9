//! Why something could not be fetched, as facts.
//!
//! [`Client::fetch`](crate::Client::fetch) and [`Client::get_unpinned`](crate::Client::get_unpinned) fail in
//! the same ways, so they share this enum. An address in it never shows its secrets; it is boxed because an
//! error travels through every `Result`.

use std::fmt;
use std::io;
use std::time::Duration;

use minke_cas::{Digest, SourceUrl, StoreError};

/// Something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server says that there is nothing at this address (404 or 410), or no such file exists.
    #[error("there is nothing at {url}")]
    NotFound {
        /// What was asked for.
        url: Box<SourceUrl>,
    },
    /// The server wants to know who asks, or doesn't like who does (401 or 403).
    #[error("{url} is not open to us ({status}, {credentials})")]
    Unauthorized {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What the server answered.
        status: u16,
        /// Whether it was told a name and password.
        credentials: CredentialsUse,
    },
    /// The server answered with another status that is no success.
    #[error("{url} answers with status {status}")]
    Status {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What the server answered.
        status: u16,
    },
    /// The server took too long.
    #[error("{url} took too long: {phase} within {limit:?}")]
    Timeout {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What didn't happen.
        phase: Phase,
        /// How long was waited for it.
        limit: Duration,
    },
    /// The host's name means nothing to the resolver.
    #[error("the host of {url} cannot be found")]
    HostNotFound {
        /// What was asked for.
        url: Box<SourceUrl>,
    },
    /// There is no connection, or it broke before an answer came.
    #[error("no connection for {url}")]
    Connection {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What the system or the proxy said.
        source: io::Error,
    },
    /// The server's certificate isn't trusted, or it doesn't speak TLS as we do.
    #[error("no trusted connection to {url}")]
    Tls {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What is wrong.
        source: io::Error,
    },
    /// The server's answer isn't HTTP.
    #[error("{url} does not answer in HTTP")]
    Protocol {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What is wrong with the answer.
        source: io::Error,
    },
    /// The address has a character that no request can hold.
    #[error("{url} cannot be asked for")]
    Address {
        /// What was to be asked for.
        url: Box<SourceUrl>,
    },
    /// There is more than was to be read.
    #[error("{url} has more than {limit_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// How much would have been read.
        limit_bytes: u64,
    },
    /// The bytes stop before their end, again and again.
    #[error("{url} is cut short after {have} bytes")]
    Truncated {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// How many bytes came.
        have: u64,
        /// How many there should be, where that is known.
        want: Option<u64>,
    },
    /// The server has something else than what was pinned.
    #[error("{url} is a different file than was expected (expected {expected}, got {actual})")]
    WrongDigest {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What the bytes should hash to.
        expected: Digest,
        /// What they hash to.
        actual: Digest,
        /// How many there were.
        size: u64,
    },
    /// The server has something of another length than what was pinned.
    #[error("{url} is a different file than was expected (expected {expected} bytes, got {actual})")]
    WrongSize {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// How long it should be.
        expected: u64,
        /// How long it is, or how much of it had come when it became too long.
        actual: u64,
    },
    /// The redirects lead in a circle.
    #[error("{url} is redirected in a circle")]
    RedirectLoop {
        /// What was asked for first.
        url: Box<SourceUrl>,
    },
    /// The redirects lead on and on.
    #[error("{url} is redirected more than {limit} times")]
    TooManyRedirects {
        /// What was asked for first.
        url: Box<SourceUrl>,
        /// How many redirects are followed.
        limit: usize,
    },
    /// A redirect leads where we don't go: nowhere, to a file, or from https to http.
    #[error("{url} is redirected to {target}")]
    Redirect {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// Where it would lead.
        target: RefusedTarget,
    },
    /// A compressed answer isn't what it says.
    #[error("the answer of {url} cannot be decompressed")]
    Encoding {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A local file cannot be read.
    #[error("cannot read {url}")]
    File {
        /// Which file.
        url: Box<SourceUrl>,
        /// What the system said.
        source: io::Error,
    },
    /// What was asked for lies below a mirror.
    #[error("the mirror that {named_by} names cannot be used")]
    Mirror {
        /// Who named the mirror.
        named_by: String,
        /// What happened.
        source: Box<FetchError>,
    },
    /// What was fetched cannot be kept.
    #[error("cannot keep what {url} sent")]
    Store {
        /// What was asked for.
        url: Box<SourceUrl>,
        /// What the store said.
        source: StoreError,
    },
}

/// Whether a server was told who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsUse {
    /// A name and password, or a token, went with the request.
    Sent,
    /// None are known for this host.
    NoneKnown,
}

impl fmt::Display for CredentialsUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "the credentials that were sent do not suffice",
            Self::NoneKnown => "no credentials are known for this host",
        })
    }
}

/// What a server did not do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Take the connection.
    Connect,
    /// Start to answer.
    Answer,
    /// Send more of the body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Answer => "no answer",
            Self::Body => "next to nothing more of the body",
        })
    }
}

/// Where a redirect leads that is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedTarget {
    /// The answer doesn't say where, or something that is no address.
    Nowhere,
    /// To something that isn't on the web.
    NotHttp,
    /// From https to http, where anybody on the way could answer.
    Unencrypted,
}

impl fmt::Display for RefusedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nowhere => "no address",
            Self::NotHttp => "something that is neither http nor https",
            Self::Unencrypted => "an unencrypted address",
        })
    }
}

impl FetchError {
    /// Tells whether the same request may well succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::HostNotFound { .. }
            | Self::Connection { .. }
            | Self::Protocol { .. }
            | Self::Truncated { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Tls { .. }
            | Self::Address { .. }
            | Self::TooLarge { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::RedirectLoop { .. }
            | Self::TooManyRedirects { .. }
            | Self::Redirect { .. }
            | Self::Encoding { .. }
            | Self::File { .. }
            | Self::Store { .. } => false,
            Self::Mirror { source, .. } => source.is_transient(),
        }
    }

    /// Tells whether another server may do better; what this machine cannot do it cannot do for any.
    pub(crate) fn is_the_servers(&self) -> bool {
        !matches!(self, Self::Store { .. })
    }

    /// Returns what happened to the one address that was asked for, without whose address it is.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Mirror { source, .. } => source.cause(),
            own => own,
        }
    }
}
