//! The crates that a build in Rust takes: fetched outside as its `Cargo.lock` pins them, laid into the room.
//!
//! No cargo runs out here, so no build script does. Each crate's file is checked by the lock's checksum, unpacked by the
//! rules for strangers' archives, and found in the room by a `config.toml` that puts a directory in the place of each
//! registry; cargo checks again what it compiles. Crates of other operating systems come too: cargo wants to
//! see all that a lock names before it leaves anything out.
//!
//! Spec: <https://doc.rust-lang.org/cargo/reference/source-replacement.html#directory-sources>

mod lock;
mod registries;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Entry, File, ImagePath, Meter, Mode, Source, SourceUrl, StoreError, Tree, TreeError};
use minke_net::{FetchError, UnpinnedOptions};
use minke_oci::{Bounds, UnpackError};
use serde::Deserialize;

pub use lock::CargoLockError;
use lock::LockedCrate;
use registries::Registries;
pub use registries::RegistryError;

use super::Workshop;
use super::recipe::Recipe;
use super::sources::only_directory;
use crate::fetch::{Errand, Fetcher, fetch_each};

/// Where cargo's own directory lies in a room.
const HOME: &str = "/build/cargo";

/// What cargo wants to see in the directory of a crate.
const CHECKSUMS: &str = ".cargo-checksum.json";

/// Far more than the largest crates have.
const BOUNDS: Bounds = Bounds { bytes: 1 << 30, entries: 100_000 };

/// Nobody has a longer lock.
const LONGEST_LOCK: u64 = 16 << 20;

/// Nobody has a longer `config.json`.
const LONGEST_CONFIG: u64 = 1 << 20;

/// The crates that a build takes cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CratesError {
    /// A lock cannot be used.
    #[error("its `{path}` cannot be used")]
    Lock {
        /// Which.
        path: String,
        /// Why not.
        source: CargoLockError,
    },
    /// There is no lock, and crates are asked for.
    #[error("its `{manifest}` asks for crates, and no `Cargo.lock` pins them")]
    Unlocked {
        /// What asks for them.
        manifest: String,
    },
    /// Nobody knows where a registry is.
    #[error("cannot tell where the crate {krate} is")]
    Registry {
        /// One of its crates.
        krate: String,
        /// Why not.
        source: RegistryError,
    },
    /// The settings of a registry cannot be read.
    #[error("cannot ask the registry of crates at {index}")]
    Index {
        /// Where its index is.
        index: SourceUrl,
        /// What happened.
        source: Box<FetchError>,
    },
    /// The settings of a registry are none.
    #[error("`{index}` is no index of a registry of crates: its `config.json` names no address")]
    Config {
        /// Where its index is.
        index: SourceUrl,
    },
    /// A crate cannot be fetched.
    #[error("cannot fetch the crate {krate}")]
    Fetch {
        /// Which.
        krate: String,
        /// What happened.
        source: Box<FetchError>,
    },
    /// A crate cannot be unpacked.
    #[error("cannot unpack the crate {krate}")]
    Unpack {
        /// Which.
        krate: String,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// The crates' files don't go together.
    #[error("the crates cannot be placed")]
    Place(#[from] TreeError),
    /// The cache failed.
    #[error("cannot keep a crate")]
    Store(#[from] StoreError),
}

/// What the `config.json` of an index says.
#[derive(Deserialize)]
struct IndexConfig {
    dl: String,
}

/// Returns what tells cargo where it finds its crates.
pub(super) fn environment() -> BTreeMap<String, String> {
    let said = [("CARGO_HOME", HOME), ("CARGO_NET_OFFLINE", "true"), ("CARGO_TERM_COLOR", "never")];
    said.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Tells whether a recipe has Rust's compiler in the room.
pub(super) fn is_wanted(recipe: &Recipe) -> bool {
    let is_rust = |name: &String| ["cargo", "rustc"].iter().any(|start| name.starts_with(start));
    recipe.system.keys().any(is_rust)
}

impl Workshop<'_> {
    /// Lays the crates that the locks in some sources pin, and where cargo finds them, into a room.
    pub(super) fn lay_crates(&self, root: &Tree, sources: &Tree) -> Result<Tree, CratesError> {
        let crates = match bring_crates(sources) {
            true => Vec::new(),
            false => self.locked_crates(sources)?,
        };
        let mut home = Tree::new();
        let registries: BTreeSet<&str> = crates.iter().map(|krate| krate.registry.as_str()).collect();
        let config = config(&registries);
        home.insert(&at("config.toml"), self.text(config.as_bytes())?)?;
        for (krate, tree) in crates.iter().zip(self.crates(&crates)?) {
            let directory = at("vendor").join_str(&title(krate).replace(' ', "-"));
            let directory = directory.expect("a crate's name and version were checked");
            home.insert(&directory, Entry::Directory(tree.root().clone()))?;
            let checksum = serde_json::json!({ "files": {}, "package": krate.checksum.hex() }).to_string();
            let file = directory.join_str(CHECKSUMS).expect("a literal name is one");
            home.replace(&file, self.text(checksum.as_bytes())?)?;
        }
        let mut root = root.clone();
        root.insert(&HOME.parse().expect("a literal path is one"), Entry::Directory(home.root().clone()))?;
        Ok(root)
    }

    fn text(&self, bytes: &[u8]) -> Result<Entry, StoreError> {
        Ok(File::new(self.store.put(bytes)?, bytes.len() as u64, Mode::REGULAR).into())
    }

    /// Returns all crates that the locks in some sources pin, each once.
    fn locked_crates(&self, sources: &Tree) -> Result<Vec<LockedCrate>, CratesError> {
        let locks = outermost(sources, "Cargo.lock");
        if let Some(manifest) = self.unlocked(sources)?.filter(|_| locks.is_empty()) {
            return Err(CratesError::Unlocked { manifest });
        }
        let mut all: BTreeMap<(String, String), LockedCrate> = BTreeMap::new();
        for (path, file) in locks {
            let failed = |source| CratesError::Lock { path: path.relative().to_owned(), source };
            if file.size > LONGEST_LOCK {
                let why = format!("it is {} bytes long", file.size);
                return Err(failed(CargoLockError::Syntax { why }));
            }
            let text = String::from_utf8_lossy(&self.store.read_file(file)?).into_owned();
            for krate in lock::read(&text).map_err(failed)? {
                all.entry((krate.name.clone(), krate.version.clone())).or_insert(krate);
            }
        }
        Ok(all.into_values().collect())
    }

    /// Returns a manifest that asks for crates of a registry's.
    fn unlocked(&self, sources: &Tree) -> Result<Option<String>, CratesError> {
        for (path, file) in outermost(sources, "Cargo.toml") {
            let text = self.store.read_file(file)?;
            if file.size <= LONGEST_LOCK && lock::asks_for_crates(&String::from_utf8_lossy(&text)) {
                return Ok(Some(path.relative().to_owned()));
            }
        }
        Ok(None)
    }

    /// Fetches crates and returns their files, in their order.
    fn crates(&self, crates: &[LockedCrate]) -> Result<Vec<Tree>, CratesError> {
        let registries = Registries::of(self.host);
        let mut templates = BTreeMap::new();
        let mut errands = Vec::new();
        for krate in crates {
            // Who has all crates asks no registry.
            let source = match self.store.has(&krate.checksum) {
                true => None,
                false => Some(self.place(krate, &registries, &mut templates)?),
            };
            errands.push(Errand { source, subject: krate });
        }
        let meter = Meter::default();
        let fetcher = Fetcher { client: self.client, store: self.store, meter: &meter, jobs: self.jobs };
        let failed = |krate: &&LockedCrate, source| CratesError::Fetch {
            krate: title(krate),
            source: Box::new(source),
        };
        fetch_each(fetcher, errands, failed, |krate| self.unpacked_crate(krate))
    }

    /// Returns where a crate is to be fetched, having asked its registry once.
    fn place(
        &self,
        krate: &LockedCrate,
        registries: &Registries<'_>,
        templates: &mut BTreeMap<String, String>,
    ) -> Result<Source, CratesError> {
        let unknown = |source| CratesError::Registry { krate: title(krate), source };
        if !templates.contains_key(&krate.registry) {
            let index = registries.index(&krate.registry).map_err(unknown)?;
            templates.insert(krate.registry.clone(), self.template(&index)?);
        }
        let address = registries::download(&templates[&krate.registry], krate);
        let url =
            address.parse().map_err(|_| unknown(RegistryError::Address { registry: address.clone() }))?;
        Ok(Source { url, digest: krate.checksum, size: None })
    }

    fn template(&self, index: &SourceUrl) -> Result<String, CratesError> {
        let none = || CratesError::Config { index: index.clone() };
        let options = UnpinnedOptions { limit_bytes: LONGEST_CONFIG, ..UnpinnedOptions::default() };
        let url = index.join("config.json").map_err(|_| none())?;
        let bytes = self.client.get_unpinned(&url, &options);
        let bytes =
            bytes.map_err(|source| CratesError::Index { index: index.clone(), source: Box::new(source) })?;
        let config: IndexConfig = serde_json::from_slice(&bytes).map_err(|_| none())?;
        Ok(config.dl)
    }

    fn unpacked_crate(&self, krate: &LockedCrate) -> Result<Tree, CratesError> {
        self.store.memo("crate-1", &krate.checksum, || {
            let failed = |source| CratesError::Unpack { krate: title(krate), source };
            let whole = minke_oci::unpack(self.store, &krate.checksum, BOUNDS).map_err(failed)?;
            let top = whole.directory(&only_directory(&whole)).cloned();
            let mut tree = Tree::new();
            for (name, entry) in top.iter().flat_map(|top| top.entries()) {
                tree.insert(&ImagePath::root().join(name), entry.clone())?;
            }
            Ok(tree)
        })
    }
}

fn title(krate: &LockedCrate) -> String {
    format!("{} {}", krate.name, krate.version)
}

fn at(name: &str) -> ImagePath {
    ImagePath::root().join_str(name).expect("a literal name is one")
}

/// Tells whether sources bring their crates themselves, and say so.
fn bring_crates(sources: &Tree) -> bool {
    let is_setting = |path: &ImagePath| {
        let directory = path.parent();
        let is_cargos = directory.as_ref().and_then(ImagePath::name) == Some(".cargo");
        is_cargos && matches!(path.name(), Some("config" | "config.toml"))
    };
    let has = |is_it: &dyn Fn(&ImagePath) -> bool| sources.files().any(|(path, _)| is_it(&path));
    has(&is_setting) && has(&|path| path.name() == Some(CHECKSUMS))
}

/// Returns the files of some name that cargo will read: the outermost, those below being of others' crates.
fn outermost<'tree>(sources: &'tree Tree, name: &str) -> Vec<(ImagePath, &'tree File)> {
    let mut all: Vec<_> = sources.files().filter(|(path, _)| path.name() == Some(name)).collect();
    all.sort_by_key(|(path, _)| (path.components().count(), path.clone()));
    let mut outermost: Vec<(ImagePath, &File)> = Vec::new();
    for (path, file) in all {
        let is_above = |(above, _): &(ImagePath, &File)| {
            above.parent().is_some_and(|directory| path.starts_with(&directory))
        };
        if !outermost.iter().any(is_above) {
            outermost.push((path, file));
        }
    }
    outermost
}

/// Returns cargo's settings: in the place of each registry, the directory.
fn config(registries: &BTreeSet<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!("[source.minke]\ndirectory = \"{HOME}/vendor\"\n");
    for registry in registries {
        text += &match registries::name_of(registry) {
            Some(name) => format!("\n[source.{}]\nreplace-with = \"minke\"\n", quoted(&name)),
            None => {
                let address = registry.strip_prefix("registry+").unwrap_or(registry);
                let (name, address) = (quoted(registry), quoted(address));
                format!("\n[source.{name}]\nregistry = {address}\nreplace-with = \"minke\"\n")
            }
        };
    }
    text
}

#[cfg(test)]
mod tests;
