//! The distribution's side: which packages, from which signed archive, and why.
//!
//! What an `InRelease` says is the one thing that cannot be pinned; everything after it is. The answer to
//! "which packages do these need" is remembered by the digests of the `InRelease` files, so that the long
//! indexes are read only when the archive has changed.

mod error;
mod lists;
mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::{Arc, OnceLock};

use minke_cas::{Digest, Meter, Source, Store};
use minke_distro::sources::Mirrors;
use minke_distro::{
    Arch, Archive, Chosen, Closure, ClosureError, ClosureOptions, Keyring, NameError, PackageArch,
    PackageIndex, PackageName, Release, Suite, Why, closure, staying,
};
use minke_net::{Client, FetchError, UnpinnedOptions};
use serde::{Deserialize, Serialize};

pub use error::{DebianError, KeyringProblem};

use crate::event::Reporter;
use crate::mirrors;
use crate::nearest::nearest;
use crate::request::Host;
use crate::settings::{Origin, Said, Settings};
use crate::system_lock::LockedArchive;

/// The suite whose packages make the base where nothing else is said.
pub const DEFAULT_SUITE: &str = "trixie";

/// A suite's archives, whose signatures were checked.
pub struct Debian {
    arch: Arch,
    archives: Arc<Vec<Opened>>,
    index: OnceLock<PackageIndex>,
    lists: lists::Lists,
    reporter: Reporter,
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
    /// The architecture that it is for: the image's, or `all`.
    pub architecture: String,
    /// What its file hashes to.
    pub digest: Digest,
    /// How long its file is, in bytes.
    pub size: u64,
    /// Why it is there: what asked for it by name, else which package needs it.
    pub why: Vec<String>,
    /// The suite that offers it.
    pub suite: String,
}

/// What is asked for by name, with the reasons.
pub type Roots = BTreeMap<PackageName, BTreeSet<String>>;

/// A choice of packages, of which some stay as they were locked.
pub struct Kept<'locked> {
    /// What was locked.
    pub picks: Vec<&'locked Pick>,
    /// What needn't stay.
    pub free: BTreeSet<PackageName>,
}

/// What a suite's packages say about the base that they make.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuiteFacts {
    /// The full version of its Python, such as `3.13.5`.
    pub python: String,
    /// The version of its C library, such as `2.41`.
    pub glibc: String,
}

#[derive(Serialize)]
struct Key<'key> {
    arch: &'static str,
    releases: Vec<(&'key str, Digest)>,
    roots: &'key Roots,
    left_out: &'key BTreeMap<PackageName, String>,
}

/// Returns the version of the interpreter among packages that were chosen, if there is one.
pub fn python(picks: &[Pick]) -> Option<String> {
    let is_interpreter = |pick: &&Pick| {
        let minor = pick.name.strip_prefix("python3.").and_then(|rest| rest.strip_suffix("-minimal"));
        minor.is_some_and(|minor| minor.parse::<u8>().is_ok())
    };
    picks.iter().find(is_interpreter).map(|pick| upstream(&pick.version))
}

/// Returns the version of the C library among packages that were chosen, if there is one.
pub fn glibc(picks: &[Pick]) -> Option<String> {
    picks.iter().find(|pick| pick.name == "libc6").map(|pick| upstream(&pick.version))
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
        let base = &suite(settings);
        let codename = named::<Suite>(&base.value, &base.origin, "suite")?;
        let mirrors = mirrors(settings, host)?;
        if mirrors.security.is_none() {
            reporter
                .warn("no archive of security updates is set; see `security-mirror` in [tool.minke.debian]");
        }
        let keyring = keyring(settings)?;
        let archives = archives_of(&mirrors, &codename, base)?;
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
        Ok(Self {
            arch,
            archives: Arc::new(archives),
            index: OnceLock::new(),
            lists: lists::Lists::default(),
            reporter: reporter.clone(),
        })
    }

    /// Returns the architecture whose packages are chosen.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Returns the same archives' packages for another architecture.
    pub fn of_architecture(&self, arch: Arch) -> Self {
        let (index, lists) = (OnceLock::new(), lists::Lists::default());
        let (archives, reporter) = (Arc::clone(&self.archives), self.reporter.clone());
        Self { arch, archives, index, lists, reporter }
    }

    /// Returns what the suite's own Python and C library are.
    ///
    /// # Errors
    /// [`DebianError::NotABase`] if it hasn't got them; those of reading indexes.
    pub fn facts(&self, client: &Client, store: &Store) -> Result<SuiteFacts, DebianError> {
        let (no_roots, nothing_left_out) = (Roots::new(), BTreeMap::new());
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
    /// What was locked stays at its version where it can.
    ///
    /// # Errors
    /// [`DebianError::Closure`] if there is no such set; those of reading indexes.
    pub fn choose(
        &self,
        (client, store): (&Client, &Store),
        roots: &Roots,
        options: &ClosureOptions,
        kept: &Kept<'_>,
    ) -> Result<Vec<Pick>, DebianError> {
        let names: BTreeSet<PackageName> = roots.keys().cloned().collect();
        let closure = || {
            let index = self.index(client, store)?;
            closure(index, &names, options).map_err(|error| match error {
                ClosureError::UnknownRoot { name } => {
                    DebianError::Unknown { nearest: nearest(name.as_str(), index.names()).collect(), name }
                }
                error => DebianError::Closure(error),
            })
        };
        if kept.picks.is_empty() {
            let picks = store.memo("closure-2", &self.key(roots, &options.left_out), || {
                Ok::<_, DebianError>(picks(closure()?, roots))
            });
            return picks;
        }
        let closure = closure()?;
        let version = |pick: &&Pick| Some((pick.name.parse().ok()?, pick.version.parse().ok()?));
        let before = kept.picks.iter().filter_map(version).collect();
        let staying = staying(&closure, &before, &kept.free);
        let mut chosen = picks(closure, roots);
        for pick in &mut chosen {
            let locked = kept.picks.iter().find(|locked| locked.name == pick.name);
            let stays = staying.iter().any(|name| name.as_str() == pick.name);
            if let Some(locked) = locked.filter(|_| stays) {
                *pick = Pick { why: std::mem::take(&mut pick.why), ..(*locked).clone() };
            }
        }
        Ok(chosen)
    }

    /// Returns the version of a package that the archives offer, if they have it.
    ///
    /// # Errors
    /// Those of reading indexes.
    pub fn offered(
        &self,
        (client, store): (&Client, &Store),
        name: &str,
    ) -> Result<Option<String>, DebianError> {
        let suite = self.archives[0].archive.suite.clone();
        let found = self.index(client, store)?.find(name);
        let found = found.map_err(|source| DebianError::Index { suite, source })?;
        Ok(found.map(|package| package.version.to_string()))
    }

    /// Returns what was believed: the signed lists, in the order in which they count.
    pub fn believed(&self) -> Vec<LockedArchive> {
        let believed = |opened: &Opened| LockedArchive {
            suite: opened.archive.suite.to_string(),
            date: opened.release.date.to_string(),
            in_release: opened.in_release,
        };
        self.archives.iter().map(believed).collect()
    }

    fn key<'key>(&'key self, roots: &'key Roots, left_out: &'key BTreeMap<PackageName, String>) -> Key<'key> {
        Key { arch: self.arch.as_str(), releases: self.releases(), roots, left_out }
    }

    fn releases(&self) -> Vec<(&str, Digest)> {
        self.archives.iter().map(|opened| (opened.archive.suite.as_str(), opened.in_release)).collect()
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

/// Returns the suite whose packages make the base.
pub fn suite(settings: &Settings) -> Said<String> {
    let default = || Said { value: DEFAULT_SUITE.to_owned(), origin: Origin::Default };
    settings.base.clone().unwrap_or_else(default)
}

/// Returns the archives of the suite that the settings name, without asking them anything.
///
/// # Errors
/// [`DebianError`] says whose setting is at fault.
pub fn archives(settings: &Settings, host: &Host) -> Result<Vec<Archive>, DebianError> {
    let base = suite(settings);
    let codename = named::<Suite>(&base.value, &base.origin, "suite")?;
    archives_of(&mirrors(settings, host)?, &codename, &base)
}

fn archives_of(
    mirrors: &Mirrors,
    codename: &Suite,
    base: &Said<String>,
) -> Result<Vec<Archive>, DebianError> {
    mirrors.archives(codename).map_err(|source| DebianError::Name {
        name: base.value.clone(),
        origin: base.origin.clone(),
        what: "suite",
        source,
    })
}

/// Returns where a package that was chosen lies.
///
/// # Errors
/// [`DebianError::NoSuite`] if no archive is of its suite; [`DebianError::Mirror`] if the archive's address cannot have anything below it.
pub fn source(archives: &[Archive], pick: &Pick) -> Result<Source, DebianError> {
    let archive = archives.iter().find(|archive| archive.suite.as_str() == pick.suite);
    let archive = archive
        .ok_or_else(|| DebianError::NoSuite { suite: pick.suite.clone(), package: pick.name.clone() })?;
    in_pool(archive, &pick.filename, (pick.digest, pick.size))
}

/// Returns where a package's file lies, by its place below the archive's base.
fn in_pool(archive: &Archive, filename: &str, (digest, size): (Digest, u64)) -> Result<Source, DebianError> {
    let url = archive.base.join(filename).map_err(DebianError::address)?;
    Ok(Source { url, digest, size: Some(size) })
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
        let source = self.archive.index(file).map_err(DebianError::address)?;
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
    let url = archive.in_release().map_err(DebianError::address)?;
    let bytes = match client.get_unpinned(&url, &UnpinnedOptions::default()) {
        Ok(bytes) => bytes,
        Err(error)
            if absence == Absence::IsNoError && matches!(error.cause(), FetchError::NotFound { .. }) =>
        {
            return Ok(None);
        }
        Err(source) => return Err(DebianError::FetchRelease { suite, source }),
    };
    let release = Release::verify(&bytes, keyring, today)
        .and_then(|release| release.expect_suite(&suite).map(|()| release))
        .map_err(|source| {
            let named_by = client.named_by(&url).map(str::to_owned);
            DebianError::Release { suite, named_by, url, source }
        })?;
    Ok(Some(Opened { archive: Arc::new(archive), release, in_release: Digest::of(&bytes) }))
}

fn mirrors(settings: &Settings, host: &Host) -> Result<Mirrors, DebianError> {
    let found = mirrors::find(settings, host)?;
    // The client knows the others, and asks them where these fail.
    let first = |mirrors: Vec<minke_net::Mirror>| mirrors.into_iter().next().map(|mirror| mirror.base);
    Ok(Mirrors { main: first(found.main).ok_or(DebianError::NoMirror)?, security: first(found.security) })
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

fn picks(closure: Closure, roots: &Roots) -> Vec<Pick> {
    let pick = |chosen: Chosen| {
        let package = &chosen.package;
        let why = match chosen.why {
            // A root may be called as what the package stands in for.
            Why::Root => roots
                .get(&package.name)
                .map_or_else(|| vec!["asked for".to_owned()], |reasons| reasons.iter().cloned().collect()),
            Why::Needed { by, relation: _ } => vec![format!("{by} needs it")],
        };
        Pick {
            name: package.name.to_string(),
            version: package.version.to_string(),
            filename: package.filename.clone(),
            architecture: match package.architecture {
                PackageArch::All => "all".to_owned(),
                PackageArch::Native(arch) => arch.as_str().to_owned(),
            },
            digest: package.digest,
            size: package.size_bytes,
            why,
            suite: package.archive.suite.to_string(),
        }
    };
    closure.packages.into_values().map(pick).collect()
}

#[cfg(test)]
mod tests;
