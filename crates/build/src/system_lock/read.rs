//! A `minke.lock` is read as if a stranger had written it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minke_cas::{Digest, DigestError, SourceUrl};
use minke_distro::PackageName;
use minke_python::WheelFileName;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{
    BuildKey, LockedArchive, LockedBuilder, LockedLayer, LockedLift, LockedPlatform, LockedWheel, Recipe,
    RecipeKey, SystemLock, VERSION, WheelPlace,
};
use crate::debian::Pick;
use crate::interpreter::InterpreterPin;
use crate::platform::Platform;
use crate::workshop::recipe::Tools;

/// A `minke.lock` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SystemLockError {
    /// Two versions of it were merged, and nobody has chosen.
    #[error("line {line} is a conflict marker of a merge")]
    Merge {
        /// Which line, counted from 1.
        line: usize,
    },
    /// It isn't TOML, or a value is none of those that can stand there.
    #[error("it is not a lock that minke has written")]
    Syntax(#[source] toml::de::Error),
    /// It is of a later format.
    #[error("line {line}: its format is version {found}, and this minke knows {VERSION}")]
    Newer {
        /// Which line.
        line: usize,
        /// Its version.
        found: u32,
    },
    /// It hasn't as many entries as it says: its end is missing, or a merge has lost or doubled some.
    #[error("line {line}: it says {said} {what}, and has {found}")]
    Count {
        /// The line that says how many.
        line: usize,
        /// Of what.
        what: &'static str,
        /// How many there should be.
        said: usize,
        /// How many there are.
        found: usize,
    },
    /// A platform, package or build stands there twice.
    #[error("line {line}: `{name}` is there twice")]
    Twice {
        /// The line of the second.
        line: usize,
        /// Which.
        name: String,
    },
}

#[derive(Deserialize)]
struct Version {
    version: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: u32,
    uv: Option<String>,
    #[serde(default, rename = "platform")]
    platforms: Vec<Spanned<PlatformTable>>,
    #[serde(default, rename = "build")]
    builds: Vec<Spanned<BuildTable>>,
    #[serde(default)]
    sources: Vec<Spanned<SourcesTable>>,
    #[serde(default, rename = "lift")]
    lifts: Vec<Spanned<LockedLift>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformTable {
    name: Platform,
    suite: String,
    packages: Spanned<usize>,
    base: Vec<String>,
    system: Option<Vec<String>>,
    debug: Option<Vec<String>>,
    #[serde(default)]
    lacking: Vec<String>,
    interpreter: Option<InterpreterPin>,
    #[serde(default, rename = "archive")]
    archives: Vec<ArchiveTable>,
    #[serde(default, rename = "package")]
    all: Vec<Spanned<PackageTable>>,
    #[serde(default, rename = "room")]
    rooms: Vec<RoomTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomTable {
    roots: BTreeSet<String>,
    packages: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcesTable {
    name: String,
    #[serde(default, deserialize_with = "some_hex")]
    sha256: Option<Digest>,
    #[serde(rename = "for")]
    target: String,
    tools: Tools,
    #[serde(default)]
    system: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    requires: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ArchiveTable {
    suite: String,
    date: String,
    in_release: Digest,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Layer {
    Base,
    System,
    Debug,
    Builder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageTable {
    #[serde(deserialize_with = "package_name")]
    name: String,
    version: String,
    architecture: String,
    layer: Layer,
    why: Vec<String>,
    suite: String,
    #[serde(deserialize_with = "path_below")]
    path: String,
    size: u64,
    #[serde(deserialize_with = "hex")]
    sha256: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildTable {
    requires: Vec<String>,
    #[serde(rename = "for")]
    target: String,
    wheels: Spanned<usize>,
    #[serde(default, rename = "wheel")]
    all: Vec<WheelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WheelTable {
    name: String,
    #[serde(flatten)]
    place: PlaceField,
    size: Option<u64>,
    #[serde(default, deserialize_with = "some_hex")]
    sha256: Option<Digest>,
    commit: Option<String>,
    subdirectory: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlaceField {
    Url(#[serde(deserialize_with = "address")] SourceUrl),
    Path(String),
    Git(String),
}

/// A [`WheelTable`] that has what its place asks for.
#[derive(Deserialize)]
#[serde(try_from = "WheelTable")]
struct WheelEntry(LockedWheel);

pub(super) fn parse(text: &str) -> Result<SystemLock, SystemLockError> {
    let is_marker =
        |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") || line == "=======";
    if let Some(index) = text.lines().position(is_marker) {
        return Err(SystemLockError::Merge { line: index + 1 });
    }
    // The version first, for a later format may have anything else.
    let Version { version } = toml::from_str(text).map_err(SystemLockError::Syntax)?;
    let at = |span: Range<usize>| text[..span.start].lines().count().max(1);
    if *version.get_ref() != VERSION {
        return Err(SystemLockError::Newer { line: at(version.span()), found: version.into_inner() });
    }
    let File { _version, uv, platforms, builds, sources, lifts } =
        toml::from_str(text).map_err(SystemLockError::Syntax)?;
    let mut lock = SystemLock { uv, ..SystemLock::default() };
    for table in platforms {
        let line = at(table.span());
        let table = table.into_inner();
        let name = table.name;
        if lock.platforms.insert(name, platform(table, &at)?).is_some() {
            return Err(SystemLockError::Twice { line, name: name.to_string() });
        }
    }
    for table in builds {
        let line = at(table.span());
        let BuildTable { requires, target, wheels, all } = table.into_inner();
        count("wheels", (&wheels, all.len()), &at)?;
        let key = BuildKey { requires, target };
        let name = key.requires.join(", ");
        if lock.builds.insert(key, all.into_iter().map(|WheelEntry(wheel)| wheel).collect()).is_some() {
            return Err(SystemLockError::Twice { line, name });
        }
    }
    for table in lifts {
        let (line, lift) = (at(table.span()), table.into_inner());
        if lock.lifts.iter().any(|there| there.is_same(&lift)) {
            let name = format!("{} of {} {}", lift.rule, lift.name, lift.version);
            return Err(SystemLockError::Twice { line, name });
        }
        lock.lifts.insert(lift);
    }
    for table in sources {
        let line = at(table.span());
        let SourcesTable { name, sha256, target, tools, system, requires } = table.into_inner();
        let key = RecipeKey { name: name.clone(), digest: sha256, target };
        if lock.recipes.insert(key, Recipe { tools, system, requires }).is_some() {
            return Err(SystemLockError::Twice { line, name });
        }
    }
    Ok(lock)
}

fn platform(
    table: PlatformTable,
    at: &impl Fn(Range<usize>) -> usize,
) -> Result<LockedPlatform, SystemLockError> {
    let PlatformTable {
        name: _,
        suite,
        packages,
        base,
        system,
        debug,
        lacking,
        interpreter,
        archives,
        all,
        rooms,
    } = table;
    count("packages", (&packages, all.len()), at)?;
    let layer = |roots: Vec<String>| LockedLayer { roots: roots.into_iter().collect(), packages: Vec::new() };
    let (mut base, mut system, mut debug) = (layer(base), system.map(layer), debug.map(layer));
    let rooms = rooms.into_iter().map(|RoomTable { roots, packages }| (roots, packages)).collect();
    let mut builder = LockedBuilder { rooms, packages: Vec::new() };
    let mut names = BTreeSet::new();
    for table in all {
        let line = at(table.span());
        let (layer, pick) = package(table.into_inner());
        // What is built with may also be in the image.
        if !names.insert((layer == Layer::Builder, pick.name.clone())) {
            return Err(SystemLockError::Twice { line, name: pick.name });
        }
        match layer {
            Layer::Base => base.packages.push(pick),
            Layer::System => system.get_or_insert_default().packages.push(pick),
            Layer::Debug => debug.get_or_insert_default().packages.push(pick),
            Layer::Builder => builder.packages.push(pick),
        }
    }
    let archives = archives.into_iter().map(|ArchiveTable { suite, date, in_release }| LockedArchive {
        suite,
        date,
        in_release,
    });
    let (archives, lacking) = (archives.collect(), lacking.into_iter().collect());
    Ok(LockedPlatform { suite, interpreter, archives, base, system, debug, lacking, builder })
}

fn package(table: PackageTable) -> (Layer, Pick) {
    let PackageTable { name, version, architecture, layer, why, suite, path, size, sha256 } = table;
    let pick = Pick { name, version, architecture, filename: path, digest: sha256, size, why, suite };
    (layer, pick)
}

impl TryFrom<WheelTable> for WheelEntry {
    type Error = String;

    fn try_from(table: WheelTable) -> Result<Self, String> {
        let WheelTable { name, place, size, sha256, commit, subdirectory, version } = table;
        let missing = |field: &str| format!("missing field `{field}`");
        let digest = sha256.ok_or_else(|| missing("sha256"));
        let strays = match &place {
            PlaceField::Git(_) => [("size", size.is_some()), ("sha256", sha256.is_some()), ("", false)],
            PlaceField::Url(_) | PlaceField::Path(_) => [
                ("commit", commit.is_some()),
                ("subdirectory", subdirectory.is_some()),
                ("version", version.is_some()),
            ],
        };
        if let Some((field, _)) = strays.iter().find(|(_, is_there)| *is_there) {
            return Err(format!("`{field}` says nothing of what lies there"));
        }
        let place = match place {
            PlaceField::Url(url) => WheelPlace::Url { url, digest: digest?, size },
            PlaceField::Path(path) => WheelPlace::Path { path, digest: digest? },
            PlaceField::Git(repository) => {
                let commit = commit.ok_or_else(|| missing("commit"))?;
                if !minke_exec::is_full(&commit) {
                    return Err(format!("`{commit}` is no commit in full"));
                }
                WheelPlace::Commit { repository, commit, subdirectory, version }
            }
        };
        // What has no wheel stands there by its sources.
        let is_named = match &place {
            WheelPlace::Commit { .. } => {
                name.parse::<minke_python::PackageName>().map(drop).map_err(|e| e.to_string())
            }
            _ if crate::wheels::sources_name(&name).is_some() => Ok(()),
            _ => name.parse::<WheelFileName>().map(drop).map_err(|error| error.to_string()),
        };
        is_named.map(|()| Self(LockedWheel { name, place }))
    }
}

fn count(
    what: &'static str,
    (said, found): (&Spanned<usize>, usize),
    at: &impl Fn(Range<usize>) -> usize,
) -> Result<(), SystemLockError> {
    let (line, said) = (at(said.span()), *said.get_ref());
    if said == found { Ok(()) } else { Err(SystemLockError::Count { line, what, said, found }) }
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    format!("sha256:{text}").parse().map_err(|error: DigestError| de::Error::custom(error))
}

fn some_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    hex(deserializer).map(Some)
}

fn package_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<PackageName>().map(|name| name.to_string()).map_err(de::Error::custom)
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SourceUrl, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// A package's file lies below the archive's address, and nowhere else.
fn path_below<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_normal = text.split('/').all(|name| !matches!(name, "" | "." | ".."));
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._+~-%".contains(c));
    if is_normal && is_plain {
        return Ok(text);
    }
    Err(de::Error::custom(format!("`{text}` is no path of a package's file below an archive")))
}
