//! The distribution's side: which packages, from which signed archive, and why.
//!
//! What an `InRelease` says is the one thing that cannot be pinned; everything after it is. The answer to
//! "which packages do these need" is remembered by the digests of the `InRelease` files, so that the long
//! indexes are read only when the archive has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use minke_cas::{Digest, Meter, Source, SourceUrl, SourceUrlError, Store, StoreError};
use minke_distro::sources::{self, Mirrors};
use minke_distro::{
    Arch, Archive, ClosureError, ClosureOptions, IndexError, Keyring, KeyringError, NameError, PackageIndex,
    PackageName, Release, ReleaseError, Suite, Why, closure,
};
use minke_net::{Client, FetchError, UnpinnedOptions};
use serde::{Deserialize, Serialize};

use crate::event::Reporter;
use crate::request::Host;
use crate::settings::{Origin, Said, Settings};

/// The suite whose packages make the base where nothing else is said.
pub const DEFAULT_SUITE: &str = "trixie";

/// A suite's archives, whose signatures were checked.
pub struct Debian {
    arch: Arch,
    archives: Arc<Vec<Opened>>,
    index: OnceLock<PackageIndex>,
}

struct Opened {
    archive: Arc<Archive>,
    release: Release,
    in_release: Digest,
}

/// A package to fetch, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Pick {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its file lies below the archive's base.
    pub filename: String,
    /// What its file hashes to.
    pub digest: Digest,
    /// How long its file is, in bytes.
    pub size: u64,
    /// What it says to take when it is unpacked, in KiB.
    pub installed_kib: Option<u64>,
    /// Who wanted it.
    pub why: String,
    /// The suite that offers it.
    suite: String,
}

/// What a suite's packages say about the base that they make.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuiteFacts {
    /// The full version of its Python, such as `3.13.5`.
    pub python: String,
    /// The version of its C library, such as `2.41`.
    pub glibc: String,
}

/// The distribution's packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// Nothing says where an archive is.
    #[error("nothing says where a Debian archive is")]
    NoMirror,
    /// An address cannot be used.
    #[error("the archive's address that was set {origin} cannot be used")]
    Mirror {
        /// Where it was said.
        origin: Origin,
        /// What is wrong with it.
        source: SourceUrlError,
    },
    /// A suite's or package's name is none.
    #[error("`{name}`, which was named {origin}, is not the name of a {what}")]
    Name {
        /// What was given.
        name: String,
        /// Where.
        origin: Origin,
        /// What it should be: `suite`, `package`.
        what: &'static str,
        /// Why not.
        source: NameError,
    },
    /// A keyring cannot be used.
    #[error("cannot use the keyring `{}`", path.display())]
    Keyring {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: KeyringProblem,
    },
    /// The signed list of an archive cannot be fetched.
    #[error("cannot fetch the release file of {suite}")]
    FetchRelease {
        /// Of which suite.
        suite: Suite,
        /// What happened.
        source: FetchError,
    },
    /// It isn't signed by whom it should be, or has expired.
    #[error("cannot trust the release file of {suite} at {url}")]
    Release {
        /// Of which suite.
        suite: Suite,
        /// Where it came from.
        url: SourceUrl,
        /// Why not.
        source: ReleaseError,
    },
    /// A release has no packages for an architecture.
    #[error("{suite} has no packages for {arch}")]
    NoIndex {
        /// Which suite.
        suite: Suite,
        /// Which architecture.
        arch: &'static str,
    },
    /// An index cannot be fetched.
    #[error("cannot fetch the package index of {suite}")]
    FetchIndex {
        /// Of which suite.
        suite: Suite,
        /// What happened.
        source: FetchError,
    },
    /// An index cannot be read.
    #[error("cannot read the package index of {suite}")]
    Index {
        /// Of which suite.
        suite: Suite,
        /// Why not.
        source: IndexError,
    },
    /// The packages that are needed cannot be had together.
    #[error("cannot choose the base's packages")]
    Closure(#[source] ClosureError),
    /// A suite hasn't got something that every base needs.
    #[error("{suite} has no `{package}`")]
    NotABase {
        /// Which suite.
        suite: String,
        /// The package that it lacks.
        package: &'static str,
    },
    /// The cache failed.
    #[error("cannot keep what was found in the archive")]
    Store(#[from] StoreError),
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringProblem {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// It isn't one.
    #[error("it is not a keyring")]
    Parse(#[source] KeyringError),
}

#[derive(Serialize)]
struct Key<'key> {
    arch: &'static str,
    releases: Vec<(&'key str, Digest)>,
    roots: &'key BTreeSet<PackageName>,
    left_out: &'key BTreeMap<PackageName, String>,
}

impl Debian {
    /// Fetches and checks the signed lists of a suite, its updates and its security updates.
    ///
    /// # Errors
    /// [`DebianError`] says whose setting is at fault, or which suite.
    pub fn open(
        client: &Client,
        (settings, host): (&Settings, &Host),
        arch: Arch,
        reporter: &Reporter,
    ) -> Result<Self, DebianError> {
        let default = Said { value: DEFAULT_SUITE.to_owned(), origin: Origin::Default };
        let base = settings.base.as_ref().unwrap_or(&default);
        let codename = named::<Suite>(&base.value, &base.origin, "suite")?;
        let mirrors = mirrors(settings, host)?;
        if mirrors.security.is_none() {
            reporter
                .warn("no archive of security updates is set; see `security-mirror` in [tool.minke.debian]");
        }
        let keyring = keyring(settings)?;
        let archives = mirrors.archives(&codename).map_err(|source| DebianError::Name {
            name: base.value.clone(),
            origin: base.origin.clone(),
            what: "suite",
            source,
        })?;
        let (keyring, today) = (&keyring, host.today);
        let opened: Vec<Result<Option<Opened>, DebianError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = archives
                .into_iter()
                .zip([Absence::IsAnError].into_iter().chain(iter::repeat(Absence::IsNoError)))
                .map(|(archive, absence)| {
                    scope.spawn(move || open_archive(client, (archive, absence), keyring, today))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("opening an archive doesn't panic"))
                .collect()
        });
        let mut archives = Vec::new();
        for (index, opened) in opened.into_iter().enumerate() {
            match opened? {
                Some(opened) => archives.push(opened),
                // A suite that was just begun has no updates yet.
                None => reporter.note(format!("{codename} has no archive of updates number {index}")),
            }
        }
        Ok(Self { arch, archives: Arc::new(archives), index: OnceLock::new() })
    }

    /// Returns the same archives' packages for another architecture.
    pub fn of_architecture(&self, arch: Arch) -> Self {
        Self { arch, archives: Arc::clone(&self.archives), index: OnceLock::new() }
    }

    /// Returns what the suite's own Python and C library are.
    ///
    /// # Errors
    /// [`DebianError::NotABase`] if it hasn't got them; those of reading indexes.
    pub fn facts(&self, client: &Client, store: &Store) -> Result<SuiteFacts, DebianError> {
        let (no_roots, nothing_left_out) = (BTreeSet::new(), BTreeMap::new());
        let key = self.key(&no_roots, &nothing_left_out);
        if let Some(facts) = store.recall("suite-1", &key) {
            return Ok(facts);
        }
        let index = self.index(client, store)?;
        let suite = self.archives[0].archive.suite.clone();
        let version = |package: &'static str| {
            let found =
                index.find(package).map_err(|source| DebianError::Index { suite: suite.clone(), source })?;
            let missing = || DebianError::NotABase { suite: suite.to_string(), package };
            found.map(|package| package.version.to_string()).ok_or_else(missing)
        };
        let minor = version("python3")?.split('.').take(2).collect::<Vec<_>>().join(".");
        let interpreter = format!("python{minor}-minimal");
        let exact = index
            .find(&interpreter)
            .map_err(|source| DebianError::Index { suite: suite.clone(), source })?
            .map_or_else(|| minor.clone(), |package| upstream(&package.version.to_string()));
        let facts = SuiteFacts { python: exact, glibc: upstream(&version("libc6")?) };
        store.remember("suite-1", &key, &facts)?;
        Ok(facts)
    }

    /// Chooses the packages that must be there for the roots to work, in name order.
    ///
    /// # Errors
    /// [`DebianError::Closure`] if there is no such set; those of reading indexes.
    pub fn choose(
        &self,
        (client, store): (&Client, &Store),
        roots: &BTreeSet<PackageName>,
        options: &ClosureOptions,
    ) -> Result<Vec<Pick>, DebianError> {
        let key = self.key(roots, &options.left_out);
        if let Some(picks) = store.recall("closure-1", &key) {
            return Ok(picks);
        }
        let closure = closure(self.index(client, store)?, roots, options).map_err(DebianError::Closure)?;
        let picks: Vec<Pick> = closure
            .packages
            .into_values()
            .map(|chosen| Pick {
                name: chosen.package.name.to_string(),
                version: chosen.package.version.to_string(),
                filename: chosen.package.filename.clone(),
                digest: chosen.package.digest,
                size: chosen.package.size_bytes,
                installed_kib: chosen.package.installed_kib,
                why: why(&chosen.why),
                suite: chosen.package.archive.suite.to_string(),
            })
            .collect();
        store.remember("closure-1", &key, &picks)?;
        Ok(picks)
    }

    /// Returns where a package that was chosen lies.
    ///
    /// # Errors
    /// [`DebianError::Mirror`] if the archive's address cannot have anything below it.
    pub fn source(&self, pick: &Pick) -> Result<Source, DebianError> {
        let opened = self.archives.iter().find(|opened| opened.archive.suite.as_str() == pick.suite);
        let base = &opened.expect("a pick comes from one of the archives").archive.base;
        let url = base.join(&pick.filename);
        let url = url.map_err(|source| DebianError::Mirror { origin: Origin::Default, source })?;
        Ok(Source { url, digest: pick.digest, size: Some(pick.size) })
    }

    fn key<'key>(
        &'key self,
        roots: &'key BTreeSet<PackageName>,
        left_out: &'key BTreeMap<PackageName, String>,
    ) -> Key<'key> {
        let releases =
            self.archives.iter().map(|opened| (opened.archive.suite.as_str(), opened.in_release)).collect();
        Key { arch: self.arch.as_str(), releases, roots, left_out }
    }

    fn index(&self, client: &Client, store: &Store) -> Result<&PackageIndex, DebianError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index = PackageIndex::new(self.arch);
        for opened in self.archives.iter() {
            opened.add_to(&mut index, (client, store), self.arch)?;
        }
        Ok(self.index.get_or_init(|| index))
    }
}

impl Opened {
    fn add_to(
        &self,
        index: &mut PackageIndex,
        (client, store): (&Client, &Store),
        arch: Arch,
    ) -> Result<(), DebianError> {
        let suite = || self.archive.suite.clone();
        let files = self.release.index("main", arch);
        let file =
            files.first().ok_or_else(|| DebianError::NoIndex { suite: suite(), arch: arch.as_str() })?;
        let source = self
            .archive
            .index(file)
            .map_err(|source| DebianError::Mirror { origin: Origin::Default, source })?;
        let fetched = client.fetch(&source, store, &Meter::default());
        fetched.map_err(|source| DebianError::FetchIndex { suite: suite(), source })?;
        let reader = std::io::BufReader::new(store.open_blob(&source.digest)?);
        let added = index.add(&self.archive, file.compression, reader);
        added.map(|_count| ()).map_err(|source| DebianError::Index { suite: suite(), source })
    }
}

/// What it means that an archive isn't there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    IsAnError,
    IsNoError,
}

/// None for an archive that isn't there and needn't be.
fn open_archive(
    client: &Client,
    (archive, absence): (Archive, Absence),
    keyring: &Keyring,
    today: jiff::civil::Date,
) -> Result<Option<Opened>, DebianError> {
    let suite = archive.suite.clone();
    let url =
        archive.in_release().map_err(|source| DebianError::Mirror { origin: Origin::Default, source })?;
    let bytes = match client.get_unpinned(&url, &UnpinnedOptions::default()) {
        Ok(bytes) => bytes,
        Err(FetchError::NotFound { .. }) if absence == Absence::IsNoError => return Ok(None),
        Err(source) => return Err(DebianError::FetchRelease { suite, source }),
    };
    let release = Release::verify(&bytes, keyring, today)
        .and_then(|release| release.expect_suite(&suite).map(|()| release))
        .map_err(|source| DebianError::Release { suite, url, source })?;
    Ok(Some(Opened { archive: Arc::new(archive), release, in_release: Digest::of(&bytes) }))
}

fn mirrors(settings: &Settings, host: &Host) -> Result<Mirrors, DebianError> {
    let address = |said: &Said<String>| {
        let parsed: Result<SourceUrl, _> = said.value.parse();
        parsed.map_err(|source| DebianError::Mirror { origin: said.origin.clone(), source })
    };
    let security = settings.security_mirror.as_ref().map(address).transpose()?;
    if let Some(main) = &settings.mirror {
        return Ok(Mirrors { main: address(main)?, security });
    }
    let entries: Vec<_> = host
        .apt_sources
        .iter()
        .flat_map(|(path, text)| match path.extension().is_some_and(|extension| extension == "sources") {
            true => sources::parse_deb822(text),
            false => sources::parse_list(text),
        })
        .collect();
    let found = Mirrors::find(&entries).ok_or(DebianError::NoMirror)?;
    Ok(Mirrors { security: security.or(found.security), main: found.main })
}

fn keyring(settings: &Settings) -> Result<Keyring, DebianError> {
    let Some(Said { value: path, .. }) = &settings.signed_by else { return Ok(Keyring::debian()) };
    let problem = |source| DebianError::Keyring { path: path.clone(), source };
    let bytes = std::fs::read(path).map_err(|error| problem(KeyringProblem::Read(error)))?;
    Keyring::parse(&bytes).map_err(|error| problem(KeyringProblem::Parse(error)))
}

/// Reads a name that the user gave.
pub fn named<T: std::str::FromStr<Err = NameError>>(
    name: &str,
    origin: &Origin,
    what: &'static str,
) -> Result<T, DebianError> {
    name.parse().map_err(|source| DebianError::Name {
        name: name.to_owned(),
        origin: origin.clone(),
        what,
        source,
    })
}

/// Returns a package version without epoch and Debian revision: `3.13.5` of `3.13.5-2`.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    version.split(['+', '~']).next().unwrap_or(version).to_owned()
}

fn why(why: &Why) -> String {
    match why {
        Why::Root => "asked for".to_owned(),
        Why::Needed { by, .. } => format!("{by} needs it"),
    }
}

#[cfg(test)]
mod tests;
