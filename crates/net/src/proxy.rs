//! Which proxy a request takes, by the rules of `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
//!
//! The settings are handed in; the environment is read elsewhere. There is no one specification: the rules
//! are curl's, <https://curl.se/docs/manpage.html#ENVIRONMENT>.

use std::fmt;
use std::net::IpAddr;

use url::Url;

/// The proxies, as the environment variables of the same names give them; empty is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For http addresses.
    pub http_proxy: Option<String>,
    /// For https addresses.
    pub https_proxy: Option<String>,
    /// For those of the two that have none.
    pub all_proxy: Option<String>,
    /// Hosts that are reached without: names, `.domains`, addresses, networks (`10.0.0.0/8`), `*`.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        let shown = |setting: &Option<String>| if setting.is_some() { "set" } else { "not set" };
        f.debug_struct("ProxySettings")
            .field("http_proxy", &shown(&self.http_proxy))
            .field("https_proxy", &shown(&self.https_proxy))
            .field("all_proxy", &shown(&self.all_proxy))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl ProxySettings {
    pub(crate) fn for_http(&self) -> Option<&str> {
        chosen(&self.http_proxy).or_else(|| chosen(&self.all_proxy))
    }

    pub(crate) fn for_https(&self) -> Option<&str> {
        chosen(&self.https_proxy).or_else(|| chosen(&self.all_proxy))
    }

    /// Tells whether `no_proxy` names the host of an address.
    pub(crate) fn exempts(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return true };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.');
        let port = url.port_or_known_default();
        let entries = self.no_proxy.as_deref().unwrap_or_default().split([',', ' ']);
        entries.map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| matches(entry, host, port))
    }
}

fn chosen(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn matches(entry: &str, host: &str, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let bare = entry.trim_matches(['[', ']']);
        return bare.parse() == Ok(address) || in_network(bare, address);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) => (name, digits.parse().ok()),
        None => (entry, port),
    };
    let name =
        name.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
    let below = || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
    wanted == port && (host == name || below())
}

fn in_network(entry: &str, address: IpAddr) -> bool {
    let Some((network, length)) = entry.split_once('/') else { return false };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let same = |a: u128, b: u128, width: u32| {
        length <= width && (a ^ b).checked_shr(width - length).unwrap_or(0) == 0
    };
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_knows_names_domains_ports_addresses_and_networks() {
        let settings = ProxySettings {
            no_proxy: Some("a.test, .b.test,*.c.test,d.test:81,10.0.0.0/8,::1,192.168.1.1".to_owned()),
            ..ProxySettings::default()
        };
        let exempt = |host: &str| settings.exempts(&Url::parse(&format!("http://{host}/")).unwrap());
        let reached: Vec<_> = [
            "a.test",
            "x.a.test",
            "xa.test",
            "b.test",
            "x.b.test",
            "x.c.test",
            "d.test",
            "d.test:81",
            "10.9.8.7",
            "11.0.0.1",
            "[::1]",
            "[::2]",
            "192.168.1.1",
            "192.168.1.2",
        ]
        .into_iter()
        .filter(|host| exempt(host))
        .collect();
        assert_eq!(
            reached,
            [
                "a.test",
                "x.a.test",
                "b.test",
                "x.b.test",
                "x.c.test",
                "d.test:81",
                "10.9.8.7",
                "[::1]",
                "192.168.1.1"
            ]
        );
    }

    #[test]
    fn a_star_exempts_all_and_nothing_exempts_none() {
        let url = Url::parse("http://host.test/").unwrap();
        let with = |text: &str| ProxySettings { no_proxy: Some(text.to_owned()), ..ProxySettings::default() };
        assert!(with("*").exempts(&url));
        assert!(!with("").exempts(&url));
        assert!(!with("0.0.0.0/0,nonsense/99,host.test:x").exempts(&url));
    }
}
