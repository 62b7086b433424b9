//! What the environment says of the world outside: proxies, certificates, passwords, package indexes.
//!
//! pip's settings count as well as uv's: uv ignores pip's, so they are translated for it. Values may hold
//! passwords: nothing here is printed, logged, or made part of a key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minke_net::{Client, ClientError, ClientOptions, ProxySettings};

use crate::request::Host;

/// Makes the client that everything is fetched with.
///
/// # Errors
/// [`ClientError`] if certificates or a proxy's address cannot be used.
pub(crate) fn client(host: &Host) -> Result<Client, ClientError> {
    let owned = |name| host.variable(name).map(str::to_owned);
    let proxies = ProxySettings {
        // Only in lower case: HTTP_PROXY can be a request's `Proxy:` header under CGI.
        http_proxy: host.variables.get("http_proxy").cloned(),
        https_proxy: owned("HTTPS_PROXY"),
        all_proxy: owned("ALL_PROXY"),
        no_proxy: owned("NO_PROXY"),
    };
    let ca_bundle = certificates(host).map(PathBuf::from);
    Client::new(ClientOptions { ca_bundle, proxies, netrc: host.netrc.clone(), ..ClientOptions::default() })
}

fn certificates(host: &Host) -> Option<String> {
    let variable = |name| host.variable(name).map(str::to_owned);
    variable("SSL_CERT_FILE").or_else(|| variable("PIP_CERT")).or_else(|| pip_setting(host, "cert"))
}

/// The package indexes that the user's settings name.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    /// The one in place of the installer's default.
    pub(crate) default: Option<String>,
    /// Those besides it.
    pub(crate) extra: Vec<String>,
    /// Pages and directories with links to files.
    pub(crate) find_links: Vec<String>,
    /// Hosts whose certificates don't matter.
    pub(crate) trusted_hosts: Vec<String>,
}

/// Reads which indexes the settings name: uv's variables first, then pip's, then pip's files.
pub(crate) fn indexes(host: &Host) -> Indexes {
    let first = |uv: &[&str], pip: &str| {
        let from_uv = uv.iter().find_map(|name| host.variable(name));
        from_uv.map(str::to_owned).or_else(|| pip_value(host, pip))
    };
    let list = |uv: &[&str], pip: &str| {
        let text = first(uv, pip).unwrap_or_default();
        text.split([' ', '\n', ','])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    Indexes {
        default: first(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"], "index-url"),
        extra: list(&["UV_INDEX", "UV_EXTRA_INDEX_URL"], "extra-index-url"),
        find_links: list(&["UV_FIND_LINKS"], "find-links"),
        trusted_hosts: list(&["UV_INSECURE_HOST"], "trusted-host"),
    }
}

/// Returns the environment that uv is started with: what it reads itself, and pip's settings in its words.
pub(crate) fn uv_environment(host: &Host, cache: &std::path::Path) -> BTreeMap<String, String> {
    let passed = |name: &str| {
        let lower = name.to_lowercase();
        name.starts_with("UV_")
            || name.starts_with("XDG_")
            || ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].contains(&lower.as_str())
            || ["PATH", "HOME", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "LANG"]
                .contains(&name)
    };
    let mut environment: BTreeMap<String, String> = host
        .variables
        .iter()
        .filter(|(name, _)| passed(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let indexes = indexes(host);
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            environment.entry(name.to_owned()).or_insert(value);
        }
    };
    if host.variable("UV_INDEX_URL").is_none() {
        set("UV_DEFAULT_INDEX", indexes.default);
    }
    if host.variable("UV_EXTRA_INDEX_URL").is_none() {
        set("UV_INDEX", Some(indexes.extra.join(" ")));
    }
    set("UV_FIND_LINKS", Some(indexes.find_links.join(",")));
    set("UV_INSECURE_HOST", Some(indexes.trusted_hosts.join(" ")));
    set("SSL_CERT_FILE", certificates(host));
    if host.home.is_none() {
        set("UV_CACHE_DIR", cache.join("uv").to_str().map(str::to_owned));
    }
    set("UV_NO_PROGRESS", Some("1".to_owned()));
    environment
}

/// Adds directories of wheels to those that uv looks into; uv separates them by commas.
pub(crate) fn add_find_links(environment: &mut BTreeMap<String, String>, directories: &[PathBuf]) {
    if directories.is_empty() {
        return;
    }
    let said = environment.remove("UV_FIND_LINKS").into_iter();
    let all: Vec<String> = said.chain(directories.iter().map(|path| path.display().to_string())).collect();
    environment.insert("UV_FIND_LINKS".to_owned(), all.join(","));
}

fn pip_value(host: &Host, key: &str) -> Option<String> {
    let variable = format!("PIP_{}", key.to_uppercase().replace('-', "_"));
    host.variable(&variable).map(str::to_owned).or_else(|| pip_setting(host, key))
}

/// Reads a key of `[global]` or `[install]` from pip's files; a later file wins.
///
/// Spec: <https://pip.pypa.io/en/stable/topics/configuration/>
fn pip_setting(host: &Host, key: &str) -> Option<String> {
    host.pip_config.iter().rev().find_map(|(_, text)| {
        let values = ini(text);
        ["install", "global"]
            .into_iter()
            .find_map(|section| values.get(&(section.to_owned(), key.to_owned())).cloned())
    })
}

/// Reads an ini file as Python's configparser does, as far as pip's files need: sections, `=` or `:`,
/// comments, and values that go on in indented lines.
fn ini(text: &str) -> BTreeMap<(String, String), String> {
    let mut values: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let (true, Some(key)) = (line.starts_with([' ', '\t']), &last) {
            let value = values.entry(key.clone()).or_default();
            value.push(' ');
            value.push_str(trimmed);
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (section, last) = (name.to_lowercase(), None);
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            let key = (section.clone(), key.trim().to_lowercase().replace('_', "-"));
            values.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        }
    }
    values.retain(|_, value| {
        *value = value.trim().to_owned();
        !value.is_empty()
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)], pip: &[&str]) -> Host {
        Host {
            variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            pip_config: pip.iter().map(|&text| ("pip.conf".into(), text.to_owned())).collect(),
            home: Some("/home/me".into()),
            ..Host::default()
        }
    }

    #[test]
    fn pips_settings_become_uvs() {
        let conf = "[global]\nindex-url = http://a.test/simple\ntrusted-host =\n    a.test\n    b.test\n[install]\nfind_links: /w\n";
        let host = host(
            &[("PIP_EXTRA_INDEX_URL", "http://c.test http://d.test"), ("PATH", "/bin"), ("SECRET", "x")],
            &[conf],
        );
        let environment = uv_environment(&host, std::path::Path::new("/c"));
        let lines: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        PATH=/bin
        UV_DEFAULT_INDEX=http://a.test/simple
        UV_FIND_LINKS=/w
        UV_INDEX=http://c.test http://d.test
        UV_INSECURE_HOST=a.test b.test
        UV_NO_PROGRESS=1
        ");
    }

    #[test]
    fn the_projects_directories_of_wheels_come_beside_those_of_the_environment() {
        let mut environment = BTreeMap::from([("UV_FIND_LINKS".to_owned(), "/a".to_owned())]);
        add_find_links(&mut environment, &["/b".into(), "/c d".into()]);
        assert_eq!(environment["UV_FIND_LINKS"], "/a,/b,/c d");
    }

    #[test]
    fn uvs_own_settings_come_first_and_later_files_win() {
        let files = ["[global]\nindex-url = http://a.test", "[global]\nindex-url = http://b.test"];
        assert_eq!(indexes(&host(&[], &files)).default.as_deref(), Some("http://b.test"));
        let with_uv = host(&[("UV_DEFAULT_INDEX", "http://u.test")], &files);
        assert_eq!(indexes(&with_uv).default.as_deref(), Some("http://u.test"));
        let with_old = host(&[("UV_INDEX_URL", "http://u.test")], &files);
        assert!(!uv_environment(&with_old, std::path::Path::new("/c")).contains_key("UV_DEFAULT_INDEX"));
    }
}
