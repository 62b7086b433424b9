//! What the environment says of the world outside: proxies, certificates, passwords, package indexes.
//!
//! pip's settings count as well as uv's: uv ignores pip's, so they are translated for it. Values may hold
//! passwords: nothing here is printed, logged, or made part of a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minke_net::{
    AskKeyring, Client, ClientError, ClientOptions, Credentials, Left, ProxySettings, Retries, Timeouts,
};

use crate::event::Reporter;
use crate::request::{Host, Request};
use crate::{mirrors, project, secrets};

/// Makes the client that everything is fetched with; it knows the mirrors, and the passwords that a project's
/// files hold, and tells which mirrors it leaves.
///
/// # Errors
/// [`ClientError`] if certificates or a proxy's address cannot be used.
pub(crate) fn client(request: &Request, reporter: &Reporter) -> Result<Client, ClientError> {
    let host = &request.host;
    let owned = |name| host.variable(name).map(str::to_owned);
    let proxies = ProxySettings {
        // Only in lower case: HTTP_PROXY can be a request's `Proxy:` header under CGI.
        http_proxy: host.variables.get("http_proxy").cloned(),
        https_proxy: owned("HTTPS_PROXY"),
        all_proxy: owned("ALL_PROXY"),
        no_proxy: owned("NO_PROXY"),
    };
    let (timeouts, retries) = patience(host, reporter);
    // Where none can be found the first who needs one says so.
    let archives = mirrors::find(&request.settings, host).ok();
    let heard = reporter.clone();
    Client::new(ClientOptions {
        ca_bundle: certificates(host).map(PathBuf::from),
        proxies,
        netrc: host.netrc.clone(),
        credentials: credentials(host, &project::texts_with_addresses(&request.project)),
        ask_keyring: keyring(host),
        mirrors: archives.into_iter().flat_map(|found| [found.main, found.security]).collect(),
        notice: Some(Box::new(move |left| heard.warn(farewell(left)))),
        timeouts,
        retries,
        ..ClientOptions::default()
    })
}

fn farewell(left: &Left<'_>) -> String {
    let causes = std::iter::successors(std::error::Error::source(left.error), |error| error.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    let (mirror, next) = (left.mirror, &left.next.base);
    format!(
        "the mirror {} that {} names has failed, {next} is asked instead: {}{causes}",
        mirror.base, mirror.named_by, left.error
    )
}

/// Reads how long servers are waited for and how often they are asked again: uv's variables, then pip's settings.
fn patience(host: &Host, reporter: &Reporter) -> (Timeouts, Retries) {
    let (mut timeouts, mut retries) = (Timeouts::default(), Retries::default());
    let read = |names: &[&'static str], what: &str| {
        let (name, text) = names.iter().find_map(|name| Some((*name, host.variable(name)?)))?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            reporter.warn(format!("`{name}` is `{text}`, which is no number of {what}, and doesn't count"));
        }
        number
    };
    let of_pip = |key| pip_value(host, key).and_then(|text| text.parse::<f64>().ok());
    let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX);
    let pips_timeout = of_pip("default-timeout").or_else(|| of_pip("timeout"));
    let idle = read(&["UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT"], "seconds");
    if let Some(number) = idle.or(pips_timeout).filter(|number| *number > 0.0) {
        timeouts.idle = seconds(number);
    }
    let connect = read(&["UV_HTTP_CONNECT_TIMEOUT"], "seconds");
    if let Some(number) = connect.or(pips_timeout).filter(|number| *number > 0.0) {
        timeouts.connect = seconds(number);
    }
    if let Some(number) = read(&["UV_HTTP_RETRIES"], "retries").or_else(|| of_pip("retries")) {
        retries.count = number as u32;
    }
    (timeouts, retries)
}

/// Tells whether passwords are to be asked for with the `keyring` program.
fn keyring_is_wanted(host: &Host) -> bool {
    let said = host.variable("UV_KEYRING_PROVIDER").map(str::to_owned);
    said.or_else(|| pip_value(host, "keyring-provider")).is_some_and(|provider| provider == "subprocess")
}

/// Asks the `keyring` program, for an index by its address and for any host by its name, as pip and uv do.
fn keyring(host: &Host) -> Option<AskKeyring> {
    let program = crate::uv::on_path(host, "keyring").filter(|_| keyring_is_wanted(host))?;
    let Indexes { default, extra, .. } = indexes(host);
    let indexes: Vec<String> = default
        .into_iter()
        .chain(extra)
        .map(|entry| secrets::without(named(&entry).map_or(entry.as_str(), |(_, url)| url)))
        .collect();
    let environment = host.variables.clone();
    Some(Box::new(move |host, user| {
        let of_host = |index: &&String| authority(index).is_some_and(|authority| authority == host);
        let services = indexes.iter().filter(of_host).map(String::as_str).chain([host]);
        let mut answers =
            services.filter_map(|service| minke_exec::ask_keyring(&program, service, user, &environment));
        answers.next()
    }))
}

/// Returns an address's `host` or `host:port`.
fn authority(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", url.host_str()?))
}

/// Finds out who we are to which host: from the project's files, then the settings, then uv's variables for
/// indexes that have a name. A later place wins.
fn credentials(host: &Host, texts: &[(PathBuf, String)]) -> BTreeMap<String, Credentials> {
    let variable = |name: &str| host.variables.get(name).map(String::as_str);
    let mut found = BTreeMap::new();
    for (_, text) in texts {
        found.extend(secrets::in_text(&secrets::expanded(text, variable)));
    }
    let of_uv = [
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_PYTHON_DOWNLOADS_JSON_URL",
        "UV_PYTHON_INSTALL_MIRROR",
    ];
    let of_uv = of_uv.into_iter().filter_map(|name| host.variable(name)).map(str::to_owned);
    let of_pip =
        ["index-url", "extra-index-url", "find-links"].into_iter().filter_map(|key| pip_value(host, key));
    for text in of_pip.chain(of_uv) {
        found.extend(secrets::in_text(&text));
    }
    found.extend(named_indexes(host, texts).into_iter().filter_map(|(name, host_and_port)| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let of_index = |what: &str| variable(&format!("UV_INDEX_{}_{what}", name.to_uppercase()));
        let (user, password) = (of_index("USERNAME"), of_index("PASSWORD"));
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (user.is_some() || password.is_some())
            .then(|| (host_and_port, Credentials::Basic { user: owned(user), password: owned(password) }))
    }));
    found
}

/// Returns the indexes that have a name, by which uv finds their credentials, with `host` or `host:port` of each.
fn named_indexes(host: &Host, texts: &[(PathBuf, String)]) -> Vec<(String, String)> {
    let of_settings =
        indexes(host).extra.into_iter().chain(host.variable("UV_DEFAULT_INDEX").map(str::to_owned));
    let of_settings = of_settings.filter_map(|entry| {
        let (name, url) = named(&entry)?;
        Some((name.to_owned(), url.to_owned()))
    });
    let tables = texts.iter().filter_map(|(_, text)| text.parse::<toml::Table>().ok());
    let of_files = tables.flat_map(|table| {
        let own = table.get("index").cloned();
        let of_tool = || table.get("tool")?.get("uv")?.get("index").cloned();
        let entries =
            own.or_else(of_tool).and_then(|entries| entries.as_array().cloned()).unwrap_or_default();
        let text = |entry: &toml::Value, key: &str| Some(entry.get(key)?.as_str()?.to_owned());
        entries.into_iter().filter_map(move |entry| Some((text(&entry, "name")?, text(&entry, "url")?)))
    });
    of_settings.chain(of_files).filter_map(|(name, url)| Some((name, authority(&url)?))).collect()
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
        default: first(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"], "index-url").map(|entry| match named(&entry) {
            Some((_, url)) => url.to_owned(),
            None => entry,
        }),
        extra: list(&["UV_INDEX", "UV_EXTRA_INDEX_URL"], "extra-index-url"),
        find_links: list(&["UV_FIND_LINKS"], "find-links"),
        trusted_hosts: list(&["UV_INSECURE_HOST"], "trusted-host"),
    }
}

/// Splits uv's `NAME=ADDRESS`; none where the index has no name.
fn named(entry: &str) -> Option<(&str, &str)> {
    entry.split_once('=').filter(|(name, _)| !name.contains([':', '/']))
}

/// Returns the environment that uv is started with: what it reads itself, and pip's settings in its words.
pub(crate) fn uv_environment(host: &Host, cache: &std::path::Path) -> BTreeMap<String, String> {
    let passed = |name: &str| {
        let lower = name.to_lowercase();
        name.starts_with("UV_")
            || name.starts_with("XDG_")
            || ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].contains(&lower.as_str())
            || [
                "PATH",
                "HOME",
                "NETRC",
                "SSL_CERT_FILE",
                "SSL_CERT_DIR",
                "SSL_CLIENT_CERT",
                "LANG",
                "HTTP_TIMEOUT",
            ]
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
        // uv's own variable is there already, and with it the index's name.
        set("UV_DEFAULT_INDEX", indexes.default);
    }
    if host.variable("UV_EXTRA_INDEX_URL").is_none() {
        set("UV_INDEX", Some(indexes.extra.join(" ")));
    }
    set("UV_FIND_LINKS", Some(indexes.find_links.join(",")));
    set("UV_INSECURE_HOST", Some(indexes.trusted_hosts.join(" ")));
    set("SSL_CERT_FILE", certificates(host));
    let whole =
        |key| pip_value(host, key).and_then(|text| Some(format!("{:.0}", text.parse::<f64>().ok()?.ceil())));
    if ["UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT"].iter().all(|name| host.variable(name).is_none()) {
        set("UV_HTTP_TIMEOUT", whole("default-timeout").or_else(|| whole("timeout")));
    }
    set("UV_HTTP_RETRIES", whole("retries"));
    if keyring_is_wanted(host) {
        set("UV_KEYRING_PROVIDER", Some("subprocess".to_owned()));
        // By these the program finds where passwords are kept.
        for name in ["DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND"] {
            set(name, host.variable(name).map(str::to_owned));
        }
    }
    if host.home.is_none() {
        set("UV_CACHE_DIR", cache.join("uv").to_str().map(str::to_owned));
    }
    set("UV_NO_PROGRESS", Some("1".to_owned()));
    environment
}

/// Returns what a project adds to uv's environment: the variables that its requirement files refer to as
/// `${NAME}`, and its directories of wheels beside those of the settings; uv separates them by commas.
pub(crate) fn of_project(host: &Host, root: &Path, find_links: &[PathBuf]) -> BTreeMap<String, String> {
    let texts = project::texts_with_addresses(root);
    let named = texts.iter().flat_map(|(_, text)| secrets::variables(text));
    let known = named.filter_map(|name| Some((name.to_owned(), host.variables.get(name)?.clone())));
    let mut environment: BTreeMap<_, _> = known.collect();
    if !find_links.is_empty() {
        let ours = find_links.iter().map(|path| path.display().to_string());
        let all: Vec<String> = indexes(host).find_links.into_iter().chain(ours).collect();
        environment.insert("UV_FIND_LINKS".to_owned(), all.join(","));
    }
    environment
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
    fn patience_is_what_uvs_variables_say_then_what_pips_say() {
        let said = |variables: &[(&str, &str)], pip: &[&str]| {
            let (sender, heard) = std::sync::mpsc::channel();
            let (timeouts, retries) = patience(&host(variables, pip), &Reporter::to(sender));
            let warnings: Vec<_> = heard
                .try_iter()
                .filter_map(|event| match event {
                    crate::event::Event::Warning(text) => Some(text),
                    _ => None,
                })
                .collect();
            format!("{:?} {:?} {} {warnings:?}", timeouts.connect, timeouts.idle, retries.count)
        };
        let pip = ["[global]\ntimeout = 7\nretries = 1"];
        insta::assert_snapshot!(said(&[], &[]), @"20s 45s 4 []");
        insta::assert_snapshot!(said(&[], &pip), @"7s 7s 1 []");
        insta::assert_snapshot!(said(&[("PIP_DEFAULT_TIMEOUT", "1.5")], &pip), @"1.5s 1.5s 1 []");
        let uv = [("UV_HTTP_TIMEOUT", "3"), ("UV_HTTP_CONNECT_TIMEOUT", "2"), ("UV_HTTP_RETRIES", "many")];
        insta::assert_snapshot!(said(&uv, &pip), @r#"2s 3s 1 ["`UV_HTTP_RETRIES` is `many`, which is no number of retries, and doesn't count"]"#);
    }

    #[test]
    fn the_keyring_of_pips_settings_is_uvs_too() {
        let host = host(
            &[("PIP_KEYRING_PROVIDER", "subprocess"), ("PIP_TIMEOUT", "1.5"), ("PIP_RETRIES", "2")],
            &[],
        );
        let environment = uv_environment(&host, std::path::Path::new("/c"));
        let lines: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            ["UV_HTTP_RETRIES=2", "UV_HTTP_TIMEOUT=2", "UV_KEYRING_PROVIDER=subprocess", "UV_NO_PROGRESS=1"]
        );
    }

    #[test]
    fn the_projects_directories_of_wheels_come_beside_those_of_the_environment() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("requirements.txt"), "--index-url http://${ME}:${GONE}@host.test")
            .unwrap();
        let host = host(&[("UV_FIND_LINKS", "/a"), ("ME", "me"), ("OTHER", "x")], &[]);
        let environment = of_project(&host, root.path(), &["/b".into(), "/c d".into()]);
        let lines: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(lines, ["ME=me", "UV_FIND_LINKS=/a,/b,/c d"]);
    }

    #[test]
    fn passwords_come_from_the_project_and_the_settings() {
        let conf = "[global]\nextra-index-url = http://p:1@pip.test/simple http://p:2@both.test/simple\n";
        let variables = [
            ("UV_INDEX", "mine=http://named.test:81/simple http://u:3@both.test/simple"),
            ("UV_INDEX_MINE_USERNAME", "me"),
            ("UV_INDEX_MINE_PASSWORD", "4"),
            ("UV_INDEX_IN_FILE_PASSWORD", "5"),
            ("TOKEN", "6"),
        ];
        let texts = [
            "-i http://${TOKEN}@requirements.test/simple".to_owned(),
            "[[tool.uv.index]]\nname = 'in-file'\nurl = 'http://file.test/simple'".to_owned(),
        ];
        let found = credentials(&host(&variables, &[conf]), &texts.map(|text| (PathBuf::new(), text)));
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let expected = [
            ("both.test", basic("u", "3")),
            ("file.test", basic("", "5")),
            ("named.test:81", basic("me", "4")),
            ("pip.test", basic("p", "1")),
            ("requirements.test", basic("6", "")),
        ];
        assert!(found == expected.into_iter().map(|(host, who)| (host.to_owned(), who)).collect());
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
