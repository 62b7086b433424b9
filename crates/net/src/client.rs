//! The client: who it says it is, whom it trusts, how long it waits, and through what it goes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Proxy, ProxyProtocol};
use url::Url;

use crate::credentials::{AskKeyring, Keyring};
use crate::mirrors::{Mirror, Mirrors, Notice};
use crate::names::Names;
use crate::{Credentials, ProxySettings, Retries, forward, roots};

/// Everything that the environment and the user say about the network.
pub struct ClientOptions {
    /// The certificates to trust, in PEM form, instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The proxies to go through.
    pub proxies: ProxySettings,
    /// The text of the user's `netrc` file.
    pub netrc: Option<String>,
    /// Who we are to a `host` or `host:port`; an address's own user name comes first, `netrc` last.
    pub credentials: BTreeMap<String, Credentials>,
    /// Whom to ask for a password that nothing else has.
    pub ask_keyring: Option<AskKeyring>,
    /// Addresses that serve the same files, in the order in which they are asked.
    pub mirrors: Vec<Vec<Mirror>>,
    /// Who hears of a mirror that is left.
    pub notice: Option<Notice>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How often to try again.
    pub retries: Retries,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Default for ClientOptions {
    /// The system's certificates, no proxy, no credentials, no mirrors, default time-outs and retries, `minke/VERSION`.
    fn default() -> Self {
        Self {
            ca_bundle: None,
            proxies: ProxySettings::default(),
            netrc: None,
            credentials: BTreeMap::new(),
            ask_keyring: None,
            mirrors: Vec::new(),
            notice: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            user_agent: concat!("minke/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How long a silent or slow server is waited for; a transfer that moves may take for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a name to be resolved, and again for a connection, its TLS and its proxy.
    pub connect: Duration,
    /// For an answer's headers, once the request is sent; and for more of the body to come.
    pub idle: Duration,
    /// What a body must bring on average, over any stretch as long as `idle`.
    pub slowest_bytes_per_second: u64,
}

impl Default for Timeouts {
    /// 20 s to connect, 45 s of silence, 512 bytes a second.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(45),
            slowest_bytes_per_second: 512,
        }
    }
}

/// The settings for the network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificates to trust cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    ReadBundle {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file with the certificates to trust has none.
    #[error("`{}` has no certificate in PEM form", path.display())]
    EmptyBundle {
        /// Which file.
        path: PathBuf,
    },
    /// A proxy's address is none; it isn't shown, for it may hold a password.
    #[error("the proxy for {scheme} addresses is no http, https or socks address")]
    Proxy {
        /// Which proxy.
        scheme: &'static str,
    },
}

/// Fetches over http and https, and local files; shared by any number of threads.
///
/// Connections are kept and used again. Every function blocks until it is done or has failed.
pub struct Client {
    direct: Agent,
    https: Option<Agent>,
    http: Option<HttpProxy>,
    proxies: ProxySettings,
    pub(crate) keyring: Keyring,
    pub(crate) mirrors: Mirrors,
    pub(crate) timeouts: Timeouts,
    pub(crate) retries: Retries,
}

/// How http addresses are reached through a proxy.
struct HttpProxy {
    agent: Agent,
    /// What the proxy wants to hear with each request.
    authorization: Option<String>,
}

/// Through what a request goes.
pub(crate) struct Route<'client> {
    pub(crate) agent: &'client Agent,
    pub(crate) proxy_authorization: Option<&'client str>,
}

impl Client {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError`] if the certificates or a proxy's address cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let ClientOptions { ca_bundle, proxies, netrc, credentials, ask_keyring, .. } = options;
        let ClientOptions { mirrors, notice, timeouts, retries, user_agent, .. } = options;
        let tls = TlsConfig::builder().root_certs(roots::load(ca_bundle.as_deref())?).build();
        let config = |proxy: Option<Proxy>| {
            Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .user_agent(user_agent.as_str())
                .http_status_as_error(false)
                // Redirects are followed in `request`, where credentials are chosen host by host.
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections(64)
                .max_idle_connections_per_host(64)
                .timeout_resolve(Some(timeouts.connect))
                .timeout_connect(Some(timeouts.connect))
                .timeout_send_request(Some(timeouts.idle))
                .timeout_recv_response(Some(timeouts.idle))
                .timeout_per_read(Some(timeouts.idle))
                .timeout_per_write(Some(timeouts.idle))
                .build()
        };
        let https = proxies.for_https().map(|text| proxy_at(text, "https")).transpose()?;
        let http = proxies.for_http().map(|text| proxy_at(text, "http")).transpose()?;
        Ok(Self {
            direct: agent(config(None)),
            https: https.map(|proxy| agent(config(Some(proxy)))),
            http: http.map(|proxy| http_proxy(proxy, config)),
            proxies,
            keyring: Keyring::new(credentials, netrc.as_deref(), ask_keyring),
            mirrors: Mirrors::new(mirrors, notice),
            timeouts,
            retries,
        })
    }

    /// Chooses through what a request for an address goes.
    pub(crate) fn route(&self, url: &Url) -> Route<'_> {
        let direct = Route { agent: &self.direct, proxy_authorization: None };
        if self.proxies.exempts(url) {
            return direct;
        }
        match (url.scheme(), &self.https, &self.http) {
            ("https", Some(agent), _) => Route { agent, proxy_authorization: None },
            ("http", _, Some(HttpProxy { agent, authorization })) => {
                Route { agent, proxy_authorization: authorization.as_deref() }
            }
            _ => direct,
        }
    }
}

fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default(), <Names>::default())
}

fn proxy_at(text: &str, scheme: &'static str) -> Result<Proxy, ClientError> {
    Proxy::new(text.trim_end_matches('/')).map_err(|_| ClientError::Proxy { scheme })
}

fn http_proxy(proxy: Proxy, config: impl Fn(Option<Proxy>) -> Config) -> HttpProxy {
    if proxy.protocol() != ProxyProtocol::Http {
        return HttpProxy { agent: agent(config(Some(proxy))), authorization: None };
    }
    let basic = |user: &str| Credentials::Basic {
        user: user.to_owned(),
        password: proxy.password().unwrap_or_default().to_owned(),
    };
    let authorization = proxy.username().map(|user| basic(user).header());
    let at: Uri =
        format!("http://{}:{}/", proxy.host(), proxy.port()).parse().unwrap_or_else(|_| proxy.uri().clone());
    HttpProxy { agent: forward::agent(config(None), at), authorization }
}
