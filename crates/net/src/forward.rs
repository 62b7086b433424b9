//! Asks an http proxy for an http address, as a proxy wants to be asked.
//!
//! `ureq` opens a tunnel (`CONNECT`) through every proxy, even for unencrypted addresses. Many proxies refuse
//! tunnels to port 80 (squid as it is installed), and their caches see nothing of a tunnel. So connections go
//! to the proxy here, and the request line is rewritten from `GET /path` to `GET http://host/path`.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

use crate::names::Names;

/// Makes an agent whose every request goes to the proxy at `proxy`, an http address.
///
/// The proxy's password isn't this agent's business: it goes into the request's headers.
pub(crate) fn agent(config: Config, proxy: Uri) -> ureq::Agent {
    let connector = ().chain(TcpConnector::default()).chain(ToProxy);
    ureq::Agent::with_parts(config, connector, AlwaysProxy { proxy, resolver: <Names>::default() })
}

/// Whatever the host is called, the connection goes to the proxy.
#[derive(Debug)]
struct AlwaysProxy {
    proxy: Uri,
    resolver: Names,
}

impl Resolver for AlwaysProxy {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.resolver.resolve(&self.proxy, config, timeout)
    }
}

#[derive(Debug)]
struct ToProxy;

impl<In: Transport> Connector<In> for ToProxy {
    type Out = Forward<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let authority = details.uri.authority().map(ToString::to_string).unwrap_or_default();
        Ok(chained.map(|inner| Forward { inner, origin: format!("http://{authority}"), at_start: true }))
    }
}

/// A connection that rewrites each request's first line; only requests without a body pass here.
#[derive(Debug)]
struct Forward<T> {
    inner: T,
    /// What the path is prefixed with.
    origin: String,
    /// Whether the next bytes sent are a request's first.
    at_start: bool,
}

const BEFORE_PATH: &[u8] = b"GET ";

impl<T: Transport> Transport for Forward<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.inner.buffers().output();
        let mut grown = amount;
        if self.at_start && output[..amount].starts_with(b"GET /") {
            let origin = self.origin.as_bytes();
            grown += origin.len();
            if grown > output.len() {
                return Err(Error::Other("the request is too long for a proxy".into()));
            }
            let path = BEFORE_PATH.len();
            output.copy_within(path..amount, path + origin.len());
            output[path..path + origin.len()].copy_from_slice(origin);
        }
        self.at_start = output[..grown].ends_with(b"\r\n\r\n");
        self.inner.transmit_output(grown, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
