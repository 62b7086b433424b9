//! A mirror's indexes, and an apt-get that knows nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use minke_cas::{Digest, SourceUrl};
use minke_distro::{Arch, Archive, Compression, Keyring, Release, ReleaseError, Suite, sources};

/// The indexes of a suite, its updates and its security updates.
pub(crate) struct Mirror {
    pub(crate) archives: Vec<Copied>,
}

/// One archive's index of packages.
pub(crate) struct Copied {
    pub(crate) archive: Arc<Archive>,
    pub(crate) packages: String,
}

impl Mirror {
    /// Fetches the indexes of a suite.
    pub(crate) fn copy(suite: &Suite) -> Result<Self, &'static str> {
        let mirrors = mirrors().ok_or("apt's sources name no Debian mirror")?;
        let unreachable = "the mirror cannot be reached";
        let mut archives = Vec::new();
        for archive in mirrors.archives(suite).expect("a codename has archives") {
            let in_release = fetch(&archive.in_release().expect("an address")).ok_or(unreachable)?;
            let release = match Release::verify(&in_release, &Keyring::debian(), today()) {
                Err(ReleaseError::Expired { .. }) => return Err("the mirror is out of date"),
                release => release.expect("the archive is signed"),
            };
            let files = release.index("main", Arch::Amd64);
            let file = files.into_iter().find(|file| file.compression == Compression::Xz);
            let file = file.ok_or("the mirror has no index that is compressed with xz")?;
            let bytes = fetch(&archive.index(&file).expect("an address").url).ok_or(unreachable)?;
            assert_eq!(Digest::of(&bytes), file.digest, "{}", archive.suite);
            let mut packages = String::new();
            let mut decoder = liblzma::read::XzDecoder::new(&bytes[..]);
            decoder.read_to_string(&mut packages).expect("an index is text");
            archives.push(Copied { archive: Arc::new(archive), packages });
        }
        Ok(Self { archives })
    }

    /// Returns the stanzas of all packages that could take part in a closure of these, whatever is chosen.
    ///
    /// apt takes a second to think of a whole distribution, whatever it is asked.
    fn reachable(&self, roots: &BTreeSet<String>) -> String {
        let stanzas: Vec<&str> = self
            .archives
            .iter()
            .flat_map(|copied| copied.packages.split("\n\n"))
            .filter(|text| !text.is_empty())
            .collect();
        let mut bearers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, stanza) in stanzas.iter().enumerate() {
            for name in mentioned(stanza, &["Package", "Provides"]) {
                bearers.entry(name).or_default().push(number);
            }
        }
        let mut reached = BTreeSet::new();
        let mut names: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(name) = names.pop() {
            for number in bearers.get(name).into_iter().flatten().filter(|number| reached.insert(**number)) {
                names.extend(mentioned(stanzas[*number], &["Pre-Depends", "Depends"]));
            }
        }
        reached.into_iter().map(|number| format!("{}\n\n", stanzas[number].trim())).collect()
    }
}

/// Returns the names in some fields, without versions and architectures.
fn mentioned<'text>(stanza: &'text str, fields: &[&str]) -> Vec<&'text str> {
    let values =
        stanza.lines().filter_map(|line| line.split_once(": ")).filter(|(field, _)| fields.contains(field));
    let groups = values.flat_map(|(_, value)| value.split([',', '|']));
    groups.map(|group| group.trim().split([' ', '(', ':']).next().unwrap_or_default()).collect()
}

fn fetch(url: &SourceUrl) -> Option<Vec<u8>> {
    let arguments = ["-sSf", "--max-time", "60", url.with_secrets().as_str()];
    let output = Command::new("curl").args(arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn today() -> jiff::civil::Date {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = jiff::Timestamp::from_second(now.as_secs().cast_signed()).expect("before 9999");
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn mirrors() -> Option<sources::Mirrors> {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut known = sources::parse_list(&text(Path::new("/etc/apt/sources.list")));
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        let path = entry.path();
        known.extend(match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources::parse_deb822(&text(&path)),
            Some("list") => sources::parse_list(&text(&path)),
            _ => Vec::new(),
        });
    }
    sources::Mirrors::find(&known)
}

/// An apt-get with a state, a cache and sources of its own, in which nothing is installed.
pub(crate) struct Apt {
    directory: tempfile::TempDir,
}

impl Apt {
    /// Lets apt read what could take part in closures of these packages; none without apt-get.
    pub(crate) fn reading(mirror: &Mirror, roots: &BTreeSet<String>) -> Option<Self> {
        Command::new("apt-get").arg("--version").output().ok()?;
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let root = directory.path();
        let at = root.display();
        for place in ["state/lists/partial", "cache/archives/partial", "etc", "archive"] {
            fs::create_dir_all(root.join(place)).expect("a temporary directory is writable");
        }
        let config = format!(
            "Dir::State \"{at}/state\";\nDir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
             Dir::Etc \"{at}/etc\";\nDir::Etc::sourcelist \"{at}/sources.list\";\nDir::Log \"{at}\";\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Immediate-Configure \"false\";\n"
        );
        // Signatures were checked; what is compared here is what follows from the indexes.
        let sources = format!("deb [trusted=yes arch=amd64] file:{at}/archive ./\n");
        let packages = mirror.reachable(roots);
        for (name, text) in [
            ("status", ""),
            ("sources.list", &sources),
            ("apt.conf", &config),
            ("archive/Packages", &packages),
        ] {
            fs::write(root.join(name), text).expect("a temporary directory is writable");
        }
        let apt = Self { directory };
        let updated = apt.run(&["update"]);
        assert!(updated.status.success(), "{}", String::from_utf8_lossy(&updated.stderr));
        Some(apt)
    }

    /// Returns what apt would install for one package; none if it says that it cannot.
    pub(crate) fn closure(&self, root: &str) -> Option<BTreeSet<String>> {
        let output = self.run(&["-s", "--no-install-recommends", "install", root]);
        let text = String::from_utf8_lossy(&output.stdout);
        let named = |line: &str| Some(line.strip_prefix("Inst ")?.split([' ', ':']).next()?.to_owned());
        output.status.success().then(|| text.lines().filter_map(named).collect())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let root = self.directory.path();
        Command::new("apt-get")
            .args(arguments)
            .current_dir(root)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("APT_CONFIG", root.join("apt.conf"))
            .env("LC_ALL", "C")
            .output()
            .expect("apt-get starts")
    }
}
