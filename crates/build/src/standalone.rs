//! A Python from an archive: a relocatable install tree, placed into an image and asked what it is.
//!
//! The layout is python-build-standalone's: `python/bin/python3.12`, `python/lib/python3.12`, and `include` and
//! `share` beside. What it is comes from the tree itself, never from the archive's name: the version from its
//! `patchlevel.h`, the ABI from its `_sysconfigdata`, the C library from the program's loader. The parts that
//! Debian packages apart from its Python, too, are left out.
//!
//! Spec: <https://gregoryszorc.com/docs/python-build-standalone/main/distributions.html>

mod bill;
mod layout;

use std::path::PathBuf;

use minke_cas::{Digest, ImagePath, Meter, Source, SourceUrlError, Store, StoreError, Tree};
use minke_elf::{Facts, Machine, Unmet};
use minke_net::{Client, FetchError};
use minke_oci::{Bounds, UnpackError};
use minke_python::{Libc, PythonVersion};
use serde::{Deserialize, Serialize};

pub use bill::bill;

use crate::native::{self, Facted};
use crate::platform::Platform;
use crate::settings::StandaloneWish;

/// Where the tree lies in an image: beside the distribution's own, as locally installed software does.
pub const PREFIX: &str = "/usr/local";

/// The largest of python-build-standalone's has a tenth of it, with debug information.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, entries: 200_000 };

/// A Python that was unpacked.
#[derive(Clone, Debug)]
pub struct Standalone {
    /// What messages call the archive: its name, without directories and secrets.
    pub place: String,
    /// Its files, where they lie in an image.
    pub tree: Tree,
    /// Its version.
    pub version: PythonVersion,
    /// Its program.
    pub interpreter: ImagePath,
    /// The archive.
    pub archive: Digest,
    /// The facts of its ELF files.
    pub facted: Facted,
}

/// What an archive unpacks to: what is remembered of it.
#[derive(Serialize, Deserialize)]
struct Unpacked {
    tree: Tree,
    version: PythonVersion,
}

/// A Python from an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// An address was said without the digest of what lies there.
    #[error("`{place}` is an address, and its `sha256` is not said")]
    Unpinned {
        /// The address, without secrets.
        place: String,
    },
    /// The address cannot be used.
    #[error("the address of the Python to take cannot be used")]
    Address(#[source] SourceUrlError),
    /// It cannot be fetched.
    #[error("cannot fetch the Python from `{place}`")]
    Fetch {
        /// The address, without secrets.
        place: String,
        /// What happened.
        source: FetchError,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: StoreError,
    },
    /// The file isn't the one that was meant.
    #[error("`{}` is not what was meant: its sha256 is {actual}, expected {expected}", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
        /// What was said.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// It is broken, hostile or no archive.
    #[error("cannot unpack `{place}`")]
    Unpack {
        /// Which one.
        place: String,
        /// What is wrong.
        source: UnpackError,
    },
    /// There is no CPython in it where one belongs.
    #[error("`{place}` has no `bin/python3.N` with its `lib/python3.N`")]
    NoPython {
        /// Which one.
        place: String,
    },
    /// It has another Python than the list said that names it.
    #[error("`{place}` has Python {has}, where {wanted} was expected")]
    Version {
        /// Which one.
        place: String,
        /// What it has.
        has: PythonVersion,
        /// What was expected.
        wanted: PythonVersion,
    },
    /// Its version is said nowhere.
    #[error("`{place}` doesn't say its version: it has no `{header}` with one")]
    NoVersion {
        /// Which one.
        place: String,
        /// Where it should be said.
        header: String,
    },
    /// It is a free-threaded or a debug build.
    #[error("`{place}` is a build of Python whose ABI is `{flags}`: no wheels that minke knows load on it")]
    Abi {
        /// Which one.
        place: String,
        /// CPython's letters for it.
        flags: String,
    },
    /// Its program is for other machines.
    #[error("`{place}` is a Python for {machine}, and the image is for {platform}")]
    Machine {
        /// Which one.
        place: String,
        /// What it is for.
        machine: String,
        /// What the image is for.
        platform: Platform,
    },
    /// Its program asks for another C library's loader than the base has.
    #[error("`{place}` is a Python for the loader `{loader}`, which {base} hasn't got")]
    Loader {
        /// Which one.
        place: String,
        /// The loader.
        loader: String,
        /// The base.
        base: String,
    },
    /// It needs a newer C library than the base has.
    #[error("`{place}` needs glibc {needed}, and {base} has {has}")]
    Glibc {
        /// Which one.
        place: String,
        /// What it needs at least.
        needed: String,
        /// The base.
        base: String,
        /// What there is.
        has: String,
    },
    /// A library that it needs is in neither the archive nor the base.
    #[error("`{needed_by}` of `{place}` needs `{soname}`, which {base} hasn't got")]
    Unmet {
        /// Which one.
        place: String,
        /// Which of its files.
        needed_by: ImagePath,
        /// What it needs.
        soname: String,
        /// The base.
        base: String,
    },
    /// Nothing runs Python here while the image is made.
    #[error("a Python for {platform} without a distribution doesn't run on this machine")]
    Foreign {
        /// What the image is for.
        platform: Platform,
    },
    /// The cache failed.
    #[error("cannot keep the Python")]
    Store(#[from] StoreError),
}

/// Puts the archive that was wished for into the store.
///
/// # Errors
/// [`StandaloneError`] for an archive that cannot be had or isn't the one that was meant.
pub fn take(
    (client, store, meter): (&Client, &Store, &Meter),
    wish: &StandaloneWish,
    project: &std::path::Path,
) -> Result<Digest, StandaloneError> {
    if wish.is_address() {
        let url: minke_cas::SourceUrl = wish.place.parse().map_err(StandaloneError::Address)?;
        let place = url.to_string();
        let digest = wish.sha256.ok_or_else(|| StandaloneError::Unpinned { place: place.clone() })?;
        let fetched = client.fetch(&Source { url, digest, size: None }, store, meter);
        return fetched.map(|()| digest).map_err(|source| StandaloneError::Fetch { place, source });
    }
    let path = project.join(&wish.place);
    let (actual, _) =
        store.put_file(&path).map_err(|source| StandaloneError::Read { path: path.clone(), source })?;
    match wish.sha256 {
        Some(expected) if expected != actual => Err(StandaloneError::Changed { path, expected, actual }),
        _ => Ok(actual),
    }
}

/// Unpacks an archive that is in the store and finds out what Python it is.
///
/// # Errors
/// [`StandaloneError`] where it isn't a CPython that images can have.
pub fn open(store: &Store, archive: Digest, wish: &StandaloneWish) -> Result<Standalone, StandaloneError> {
    let place = shown(wish);
    let Unpacked { tree, version } = store.memo("standalone-1", &archive, || {
        let failed = |source| StandaloneError::Unpack { place: place.clone(), source };
        let whole = minke_oci::unpack(store, &archive, BOUNDS).map_err(failed)?;
        let (tree, version) = layout::placed(store, &whole, &place)?;
        Ok::<_, StandaloneError>(Unpacked { tree, version })
    })?;
    let facted = native::facts(store, &tree)?;
    let interpreter = format!("{PREFIX}/bin/python{}", version.short()).parse().expect("a path");
    Ok(Standalone { place, tree, version, interpreter, archive, facted })
}

impl Standalone {
    /// Checks that it is of a minor version.
    ///
    /// # Errors
    /// [`StandaloneError::Version`].
    pub fn check_version(&self, wanted: &PythonVersion) -> Result<(), StandaloneError> {
        let has = self.version;
        if (has.major, has.minor) == (wanted.major, wanted.minor) {
            return Ok(());
        }
        Err(StandaloneError::Version { place: self.place.clone(), has, wanted: *wanted })
    }

    /// Returns the facts of its program.
    fn program(&self) -> Option<&Facts> {
        self.facted.get(&self.tree.resolve(&self.interpreter)?)
    }

    /// Returns the loader that its program asks for; none where it is linked statically.
    pub fn loader(&self) -> Option<&str> {
        self.program()?.interpreter.as_deref()
    }

    /// Checks that its program is one for a platform.
    ///
    /// # Errors
    /// [`StandaloneError::Machine`].
    pub fn check_machine(&self, platform: Platform) -> Result<(), StandaloneError> {
        let is = self.program().map(|facts| facts.machine);
        if is == Some(platform.elf()) {
            return Ok(());
        }
        let machine = match is {
            Some(Machine::Amd64) => "x86-64".to_owned(),
            Some(Machine::Arm64) => "64-bit ARM".to_owned(),
            Some(other) => format!("other machines ({other:?})"),
            None => "no machine at all".to_owned(),
        };
        Err(StandaloneError::Machine { place: self.place.clone(), machine, platform })
    }

    /// Checks that the program finds its loader in a base, and every file a C library that is new enough.
    ///
    /// # Errors
    /// [`StandaloneError::Loader`] and [`StandaloneError::Glibc`].
    pub fn check_libc(&self, libc: Libc, base: &str) -> Result<(), StandaloneError> {
        let (place, base) = (self.place.clone(), base.to_owned());
        if let Some(loader) = self.loader().filter(|loader| !loader.contains("/ld-linux")) {
            return Err(StandaloneError::Loader { place, loader: loader.to_owned(), base });
        }
        match libc {
            Libc::Glibc { major, minor } if self.needed_glibc() > minor => {
                let (needed, has) = (format!("2.{}", self.needed_glibc()), format!("{major}.{minor}"));
                Err(StandaloneError::Glibc { place, needed, base, has })
            }
            _ => Ok(()),
        }
    }

    /// Checks that what is missing is missed by modules that need not be imported, and not by the program.
    ///
    /// # Errors
    /// [`StandaloneError::Unmet`].
    pub fn check_unmet(&self, unmet: &[Unmet], base: &str) -> Result<(), StandaloneError> {
        match unmet.iter().find(|unmet| unmet.needed_by == self.interpreter) {
            Some(Unmet { soname, needed_by }) => Err(StandaloneError::Unmet {
                place: self.place.clone(),
                needed_by: needed_by.clone(),
                soname: soname.clone(),
                base: base.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Returns which glibc 2 it brings itself, 41 of 2.41, if it does.
    pub fn own_glibc(&self) -> Option<u16> {
        let libc = self.facted.values().find(|facts| facts.soname.as_deref() == Some("libc.so.6"))?;
        libc.version_definitions.iter().filter_map(|version| minor_of_glibc(version)).max()
    }

    /// Returns the newest version of glibc 2 that one of its files cannot do without: 17 of 2.17.
    pub fn needed_glibc(&self) -> u16 {
        let versions = self.facted.values().flat_map(|facts| facts.version_needs.values().flatten());
        versions.filter_map(|version| minor_of_glibc(version)).max().unwrap_or(0)
    }
}

fn shown(wish: &StandaloneWish) -> String {
    let name = wish.place.split(['?', '#']).next().unwrap_or_default();
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_owned()
}

/// Returns 17 of `GLIBC_2.17`.
pub(crate) fn minor_of_glibc(version: &str) -> Option<u16> {
    version.strip_prefix("GLIBC_2.")?.split('.').next()?.parse().ok()
}
