//! Where an archive lies, and which archives this machine's own apt knows.
//!
//! minke has no built-in address: it takes the machine's sources and asks the same mirror for the suite that it
//! wants. Both of apt's formats are read, as text; options that don't matter here are skipped.
//!
//! Spec: <https://manpages.debian.org/trixie/apt/sources.list.5.en.html>

use minke_cas::{Source, SourceUrl, SourceUrlError};

use crate::name::Suite;
use crate::release::IndexFile;
use crate::stanza;

/// One suite of one archive: where to ask for its `InRelease`, its indexes and its packages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Archive {
    /// The directory that holds `dists` and `pool`.
    pub base: SourceUrl,
    /// What is asked for below `dists`.
    pub suite: Suite,
}

/// One entry of apt's sources, for binary packages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AptSource {
    /// The directory that holds `dists` and `pool`.
    pub base: SourceUrl,
    /// The suites that it is asked for.
    pub suites: Vec<Suite>,
    /// The components, such as `main`.
    pub components: Vec<String>,
    /// The keyring's file, or its armored text, where the entry names one.
    pub signed_by: Option<SignedBy>,
}

/// What an entry of apt's sources says of its keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SignedBy {
    /// A keyring's file.
    File(String),
    /// The key itself, armored.
    Key(String),
}

/// Which of Debian's archives an entry of apt's sources names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// That of the suites and their updates.
    Main,
    /// That of the security updates.
    Security,
}

/// The two archives of Debian's that a suite is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirrors {
    /// The archive of the suite and its updates.
    pub main: SourceUrl,
    /// The archive of its security updates, which often lies elsewhere.
    pub security: Option<SourceUrl>,
}

impl Archive {
    /// Returns where the signed list of indexes lies.
    ///
    /// It is no [`Source`]: nothing pins it, only its signature is checked.
    ///
    /// # Errors
    /// [`SourceUrlError`] if the base cannot have anything below it.
    pub fn in_release(&self) -> Result<SourceUrl, SourceUrlError> {
        self.base.join(&format!("dists/{}/InRelease", self.suite))
    }

    /// Returns one of the indexes that a release of this archive vouches for.
    ///
    /// # Errors
    /// As [`Archive::in_release`].
    pub fn index(&self, file: &IndexFile) -> Result<Source, SourceUrlError> {
        let url = self.base.join(&format!("dists/{}/{}", self.suite, file.path))?;
        Ok(Source { url, digest: file.digest, size: Some(file.size_bytes) })
    }

    /// Returns where an index lies under its name, whichever that is at the moment.
    ///
    /// # Errors
    /// As [`Archive::in_release`].
    pub fn named(&self, file: &IndexFile) -> Result<SourceUrl, SourceUrlError> {
        self.base.join(&format!("dists/{}/{}", self.suite, file.name))
    }
}

impl Mirrors {
    /// Returns the first of each of Debian's archives that apt knows, none if it knows no Debian.
    pub fn find(sources: &[AptSource]) -> Option<Self> {
        let first = |serves| {
            let found = sources.iter().find(|source| source.serves() == Some(serves));
            found.map(|source| source.base.clone())
        };
        Some(Self { main: first(Serves::Main)?, security: first(Serves::Security) })
    }

    /// Returns the archives that make up a codename: itself, its updates and its security updates.
    ///
    /// # Errors
    /// Never for a codename; [`crate::NameError`] if it is too long to have a suffix.
    pub fn archives(&self, codename: &Suite) -> Result<Vec<Archive>, crate::NameError> {
        let archive = |base: &SourceUrl, suffix: &str| {
            Ok(Archive { base: base.clone(), suite: format!("{codename}{suffix}").parse()? })
        };
        let security = self.security.iter().map(|base| archive(base, "-security"));
        [archive(&self.main, ""), archive(&self.main, "-updates")].into_iter().chain(security).collect()
    }
}

impl AptSource {
    /// Tells which of Debian's archives it is, none if it is none of them.
    ///
    /// It is the main archive if its path ends in `debian` and the security archive if it ends in
    /// `debian-security`; where a path says neither, the suite's name does (`bookworm-security`).
    pub fn serves(&self) -> Option<Serves> {
        let last = self.base.with_secrets().path().trim_end_matches('/').rsplit('/').next();
        match last {
            Some("debian") => Some(Serves::Main),
            Some("debian-security") => Some(Serves::Security),
            _ => {
                let by_suite = self.suites.iter().any(|suite| suite.as_str().ends_with("-security"));
                by_suite.then_some(Serves::Security)
            }
        }
    }
}

/// Reads a `.sources` file: stanzas of `Types`, `URIs`, `Suites`, `Components`, `Signed-By`.
///
/// An entry that is disabled, for sources only, or not by http(s) or file is skipped, and so is what cannot be
/// read: apt itself will have complained.
pub fn parse_deb822(text: &str) -> Vec<AptSource> {
    stanza::stanzas(text).flat_map(deb822_entry).collect()
}

fn deb822_entry(stanza: &str) -> Vec<AptSource> {
    let words = |name| stanza::field(stanza, name).unwrap_or_default().split_whitespace();
    let is_disabled = stanza::field(stanza, "Enabled").is_some_and(|value| {
        ["no", "false", "off", "without", "disable"].iter().any(|no| value.eq_ignore_ascii_case(no))
    });
    if is_disabled || !words("Types").any(|kind| kind == "deb") {
        return Vec::new();
    }
    let signed_by = stanza::field(stanza, "Signed-By").filter(|value| !value.is_empty()).map(signed_by);
    words("URIs")
        .filter_map(|uri| uri.parse().ok())
        .map(|base| AptSource {
            base,
            suites: words("Suites").filter_map(|suite| suite.parse().ok()).collect(),
            components: words("Components").map(str::to_owned).collect(),
            signed_by: signed_by.clone(),
        })
        .collect()
}

/// Within a stanza, the empty lines of an armored key are written as ` .`.
fn signed_by(value: &str) -> SignedBy {
    if !value.contains("BEGIN PGP") {
        return SignedBy::File(value.to_owned());
    }
    let lines = value.lines().map(|line| match line.trim() {
        "." => "",
        line => line,
    });
    SignedBy::Key(lines.fold(String::new(), |text, line| text + line + "\n"))
}

/// Reads a `.list` file: lines of `deb [options] URI suite component…`, as [`parse_deb822`] does.
pub fn parse_list(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(list_entry).collect()
}

fn list_entry(line: &str) -> Option<AptSource> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (base, suite) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(AptSource {
        base,
        suites: vec![suite],
        components: words.map(str::to_owned).collect(),
        signed_by: keyring.map(|file| SignedBy::File(file.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb deb-src
# a remark
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/debian-security/
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://tools.test/apt cdrom:whatever
Suites: stable
Components: main
Enabled: no
";

    fn trixie(sources: &[AptSource]) -> Vec<String> {
        let archives = Mirrors::find(sources).unwrap().archives(&"trixie".parse().unwrap()).unwrap();
        archives.iter().map(|archive| archive.in_release().unwrap().to_string()).collect()
    }

    #[test]
    fn the_machines_own_mirror_is_asked_for_another_suite() {
        assert_eq!(
            trixie(&parse_deb822(DEB822)),
            [
                "http://mirror.test/debian/dists/trixie/InRelease",
                "http://mirror.test/debian/dists/trixie-updates/InRelease",
                "http://mirror.test/debian-security/dists/trixie-security/InRelease",
            ]
        );
    }

    #[test]
    fn keys_are_read_as_files_and_as_text() {
        let keys: Vec<_> = parse_deb822(DEB822).into_iter().map(|source| source.signed_by).collect();
        let armored = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(
            keys,
            [
                Some(SignedBy::File("/usr/share/keyrings/debian.gpg".into())),
                Some(SignedBy::Key(armored.into()))
            ]
        );
    }

    #[test]
    fn one_line_sources_are_read_too() {
        let text = "# deb http://old.test/debian sid main\n\
            deb-src http://mirror.test/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://tools.test/apt stable main\n\
            deb http://mirror.test/debian bookworm main contrib # ours\n\
            deb http://safe.test bookworm-security main\n";
        let sources = parse_list(text);
        assert_eq!(sources[0].signed_by, Some(SignedBy::File("/k.gpg".into())));
        assert_eq!(sources[1].components, ["main", "contrib"]);
        assert_eq!(trixie(&sources)[2], "http://safe.test/dists/trixie-security/InRelease");
    }

    #[test]
    fn a_machine_without_debian_has_no_mirror() {
        assert_eq!(Mirrors::find(&parse_list("deb http://tools.test/ubuntu noble main")), None);
    }
}
