//! Who we are to which host, and the `netrc` text that says so.
//!
//! Spec: <https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html>

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

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

/// Finds the name and password for a `host` or `host:port`, the name being known or not; asked once for each.
pub type AskKeyring = Box<dyn Fn(&str, Option<&str>) -> Option<(String, String)> + Send + Sync>;

/// A host, with its port where that is said, and the user where one is known.
type Who = (String, Option<String>);

/// All that is known about who we are, asked by address.
pub(crate) struct Keyring {
    hosts: BTreeMap<String, Credentials>,
    netrc: Vec<Machine>,
    ask: Option<AskKeyring>,
    /// What asking has brought, by host and user.
    learned: Mutex<BTreeMap<Who, Option<Credentials>>>,
}

impl Keyring {
    pub(crate) fn new(
        hosts: BTreeMap<String, Credentials>,
        netrc: Option<&str>,
        ask: Option<AskKeyring>,
    ) -> Self {
        let netrc = netrc.map(parse_netrc).unwrap_or_default();
        Self { hosts, netrc, ask, learned: Mutex::default() }
    }

    /// Asks for what a server wants to hear, where we have told it nothing or no password; false if there is
    /// nothing new to tell.
    pub(crate) fn can_learn(&self, url: &Url, told: &mut Option<Credentials>) -> bool {
        let (Some(ask), Some((host, user))) = (&self.ask, lacking(url, told.as_ref())) else { return false };
        // The lock is held meanwhile: others who want the same wait, so that a user is asked once.
        let mut learned = self.learned.lock().expect(UNBROKEN);
        let known = learned.entry((host.clone(), user.clone())).or_insert_with(|| {
            let (user, password) = ask(&host, user.as_deref())?;
            Some(Credentials::Basic { user, password })
        });
        let Some(known) = known else { return false };
        *told = Some(known.clone());
        true
    }

    /// Finds what to tell the host of an address.
    ///
    /// What stands in the address comes first (its missing password may come from `netrc`), then what was
    /// configured for `host:port` or `host`, then `netrc`, then what asking has brought before.
    pub(crate) fn find(&self, url: &Url) -> Option<Credentials> {
        let told = self.said(url);
        let learned = lacking(url, told.as_ref())
            .and_then(|who| self.learned.lock().expect(UNBROKEN).get(&who).cloned().flatten());
        learned.or(told)
    }

    fn said(&self, url: &Url) -> Option<Credentials> {
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

const UNBROKEN: &str = "no thread panics with this lock";

/// Returns for which host, and which user if one is known, there is no password in what a server is told.
fn lacking(url: &Url, told: Option<&Credentials>) -> Option<Who> {
    let user = match told {
        None => None,
        Some(Credentials::Basic { user, password }) if password.is_empty() => Some(user.clone()),
        Some(_) => return None,
    };
    let host = url.host_str()?;
    Some((url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")), user))
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
        let keyring = Keyring::new(BTreeMap::new(), Some(NETRC), None);
        assert!(find(&keyring, "http://host.test/") == basic("me", "two words"));
        assert!(find(&keyring, "http://other.test/") == basic("you", "p#1"));
        assert!(find(&keyring, "http://bad.test/") == basic("anyone", "guest"));
    }

    #[test]
    fn the_address_comes_first_then_settings_then_netrc() {
        let hosts = BTreeMap::from([("host.test:81".to_owned(), Credentials::Bearer("t".to_owned()))]);
        let keyring = Keyring::new(hosts, Some(NETRC), None);
        assert!(find(&keyring, "http://a%40b:c%20d@host.test:81/") == basic("a@b", "c d"));
        assert!(find(&keyring, "http://host.test:81/") == Some(Credentials::Bearer("t".to_owned())));
        assert!(find(&keyring, "http://me@host.test/") == basic("me", "two words"));
        assert!(find(&keyring, "http://stranger@host.test/") == basic("stranger", ""));
    }

    #[test]
    fn who_is_asked_for_a_password_is_asked_once() {
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&asked);
        let ask: AskKeyring = Box::new(move |host, user| {
            log.lock().unwrap().push(format!("{host} {user:?}"));
            (user == Some("me")).then(|| ("me".to_owned(), "secret".to_owned()))
        });
        let keyring = Keyring::new(BTreeMap::new(), None, Some(ask));
        let learn = |url: &str| {
            let url = Url::parse(url).unwrap();
            let mut told = keyring.find(&url);
            (keyring.can_learn(&url, &mut told), told)
        };
        assert!(learn("http://me@host.test:81/a") == (true, basic("me", "secret")));
        assert!(learn("http://me@host.test:81/b") == (false, basic("me", "secret")));
        for _ in 0..2 {
            assert!(learn("http://host.test/") == (false, None));
        }
        assert!(learn("http://me:wrong@host.test/") == (false, basic("me", "wrong")));
        assert_eq!(*asked.lock().unwrap(), ["host.test:81 Some(\"me\")", "host.test None"]);
    }

    #[test]
    fn credentials_do_not_show() {
        assert_eq!(format!("{:?}", basic("me", "secret")), "Some(Credentials(hidden))");
    }
}
