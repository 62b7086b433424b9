//! Who we are to which host, and the `netrc` text that says so.
//!
//! Spec: <https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html>

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

/// What a host wants to hear before it answers; never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and a password.
    Basic {
        /// The user name.
        user: String,
        /// The password, possibly empty.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
}

impl Credentials {
    /// Returns the value of the `Authorization` header.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Basic { user, password } => {
                format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        }
    }

    /// Returns what stands in an address before the `@`, percent-decoded.
    fn in_url(url: &Url) -> Option<(String, Option<String>)> {
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decode(url.username());
        let password = url.password().map(decode);
        (!user.is_empty() || password.is_some()).then_some((user, password))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// All that is known about who we are, asked by address.
pub(crate) struct Keyring {
    hosts: BTreeMap<String, Credentials>,
    netrc: Vec<Machine>,
}

impl Keyring {
    pub(crate) fn new(hosts: BTreeMap<String, Credentials>, netrc: Option<&str>) -> Self {
        Self { hosts, netrc: netrc.map(parse_netrc).unwrap_or_default() }
    }

    /// Finds what to tell the host of an address.
    ///
    /// What stands in the address comes first (its missing password may come from `netrc`), then what was
    /// configured for `host:port` or `host`, then `netrc`.
    pub(crate) fn find(&self, url: &Url) -> Option<Credentials> {
        let host = url.host_str()?;
        if let Some((user, password)) = Credentials::in_url(url) {
            let known = || self.machine(host, Some(&user)).map(|machine| machine.password.clone());
            let password = password.or_else(known).unwrap_or_default();
            return Some(Credentials::Basic { user, password });
        }
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let configured = with_port.and_then(|host| self.hosts.get(&host)).or_else(|| self.hosts.get(host));
        configured.cloned().or_else(|| {
            let Machine { login, password, .. } = self.machine(host, None)?.clone();
            Some(Credentials::Basic { user: login, password })
        })
    }

    fn machine(&self, host: &str, login: Option<&str>) -> Option<&Machine> {
        let fits = |machine: &&Machine| login.is_none_or(|login| machine.login == login);
        let named = self.netrc.iter().find(|machine| machine.name.as_deref() == Some(host) && fits(machine));
        named.or_else(|| self.netrc.iter().find(|machine| machine.name.is_none() && fits(machine)))
    }
}

/// One entry of a `netrc`; without a name it is the `default`.
#[derive(Clone, Default, PartialEq, Eq)]
struct Machine {
    name: Option<String>,
    login: String,
    password: String,
}

/// Reads a `netrc`; what it doesn't understand it skips, as every other reader does.
fn parse_netrc(text: &str) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "default" => machines.push(Machine::default()),
                "machine" => machines.push(Machine { name: words.next(), ..Machine::default() }),
                "macdef" => {
                    // A macro runs to the next empty line.
                    lines.by_ref().find(|line| line.trim().is_empty());
                    break;
                }
                "login" | "user" | "password" | "account" => {
                    let value = words.next().unwrap_or_default();
                    match (machines.last_mut(), word.as_str()) {
                        (Some(machine), "password") => machine.password = value,
                        (Some(machine), "login" | "user") => machine.login = value,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
    machines
}

/// Splits a line at blanks; `"…"` holds blanks together and `\` takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|character| character.is_whitespace()).is_some() {}
        let quoted = match characters.peek() {
            None => return words,
            Some('#') if words.is_empty() => return words,
            Some('"') => characters.next().is_some(),
            Some(_) => false,
        };
        let mut word = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted => break,
                '\\' => word.extend(characters.next()),
                blank if blank.is_whitespace() && !quoted => break,
                other => word.push(other),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    fn find(keyring: &Keyring, url: &str) -> Option<Credentials> {
        keyring.find(&Url::parse(url).unwrap())
    }

    const NETRC: &str = "# ours\nmachine host.test login me password \"two words\"\n\
        macdef init\n machine bad.test login x\n\n machine other.test\n  login you\n  password p\\#1 # no comment\n\
        default login anyone password guest\n";

    #[test]
    fn a_netrc_is_read_with_its_quotes_macros_and_default() {
        let keyring = Keyring::new(BTreeMap::new(), Some(NETRC));
        assert!(find(&keyring, "http://host.test/") == basic("me", "two words"));
        assert!(find(&keyring, "http://other.test/") == basic("you", "p#1"));
        assert!(find(&keyring, "http://bad.test/") == basic("anyone", "guest"));
    }

    #[test]
    fn the_address_comes_first_then_settings_then_netrc() {
        let hosts = BTreeMap::from([("host.test:81".to_owned(), Credentials::Bearer("t".to_owned()))]);
        let keyring = Keyring::new(hosts, Some(NETRC));
        assert!(find(&keyring, "http://a%40b:c%20d@host.test:81/") == basic("a@b", "c d"));
        assert!(find(&keyring, "http://host.test:81/") == Some(Credentials::Bearer("t".to_owned())));
        assert!(find(&keyring, "http://me@host.test/") == basic("me", "two words"));
        assert!(find(&keyring, "http://stranger@host.test/") == basic("stranger", ""));
    }

    #[test]
    fn credentials_do_not_show() {
        assert_eq!(format!("{:?}", basic("me", "secret")), "Some(Credentials(hidden))");
    }
}
