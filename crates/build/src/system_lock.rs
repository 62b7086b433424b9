//! `minke.lock`: what of the system goes into the image, pinned, with the reason of each package.
//!
//! The file is TOML that is made to be read in a diff: platforms, packages and build requirements stand in a
//! fixed order, one field a line. A lock that is complete answers everything that the distribution's indexes
//! would, so that a build with one reads none and judges no `Valid-Until`: that was done when it was locked.
//!
//! What stands in it is checked as if a stranger had written it, for merges and editors do.

mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, SourceUrl};
use serde::{Deserialize, Serialize};

use crate::debian::Pick;
use crate::interpreter::InterpreterPin;
use crate::likely::Wanted;
use crate::platform::Platform;
use crate::workshop::recipe::{Recipe, RecipeKey};

pub use read::SystemLockError;

/// The version of the format that is written; a lock of a later one is refused.
pub const VERSION: u32 = 1;

/// Everything that `minke.lock` says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SystemLock {
    /// The version of uv that resolved last.
    pub uv: Option<String>,
    /// What each platform's image has.
    pub platforms: BTreeMap<Platform, LockedPlatform>,
    /// What the build backends of the user's directories need, by what they ask for.
    pub builds: BTreeMap<BuildKey, Vec<LockedWheel>>,
    /// What building from sources was found to take.
    pub recipes: BTreeMap<RecipeKey, Recipe>,
    /// The rules that the proof lifted, on whatever platform it was.
    pub lifts: BTreeSet<LockedLift>,
}

/// A rule of slimming that is left out for a distribution or a package, because something breaks with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLift {
    /// The distribution or package, as [`owner_key`](crate::slim::owner_key) names it.
    pub name: String,
    /// Its version: another one may do without the lift.
    pub version: String,
    /// What broke: a module, an entry point, a file.
    pub broken: String,
    /// How it broke.
    pub why: String,
    /// The rule.
    pub rule: String,
}

impl LockedLift {
    /// Tells whether it lifts the same as another, for whatever reason.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.version, &self.rule) == (&other.name, &other.version, &other.rule)
    }
}

/// What one platform's image has of the distribution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockedPlatform {
    /// The suite, such as `trixie`.
    pub suite: String,
    /// The interpreter, where it isn't the suite's own.
    pub interpreter: Option<InterpreterPin>,
    /// The signed lists that the choice was made from, in the order in which they count.
    pub archives: Vec<LockedArchive>,
    /// The interpreter and what every image has.
    pub base: LockedLayer,
    /// What this project needs besides; none before it was ever found out.
    pub system: Option<LockedLayer>,
    /// What `--debug` adds; none where it was never asked for.
    pub debug: Option<LockedLayer>,
    /// The libraries that wheels ask for and no package has.
    pub lacking: BTreeSet<String>,
    /// What things are built with; nothing of it is in the image.
    pub builder: LockedBuilder,
}

/// The packages that rooms have besides the base.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LockedBuilder {
    /// Each room: what was asked for by name, and the names of all that this took.
    pub rooms: BTreeMap<BTreeSet<String>, BTreeSet<String>>,
    /// The packages of all rooms, in name order.
    pub packages: Vec<Pick>,
}

/// A signed list of an archive, as it was when it was believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockedArchive {
    /// The suite, such as `trixie-security`.
    pub suite: String,
    /// When it was signed, as RFC 3339 in UTC.
    pub date: String,
    /// The digest of the `InRelease`.
    pub in_release: Digest,
}

/// The packages of a layer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LockedLayer {
    /// What was asked for by name.
    pub roots: BTreeSet<String>,
    /// What that took, in name order.
    pub packages: Vec<Pick>,
}

/// What a build backend asks for, and for which Python.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BuildKey {
    /// The requirement lines, in the backend's order.
    pub requires: Vec<String>,
    /// The Python and platform that the backend runs on, in words.
    pub target: String,
}

/// A wheel that a backend needs, or the sources of one that has to be built first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockedWheel {
    /// Its file name; of a commit, the name of the project.
    pub name: String,
    /// Where it lies.
    pub place: WheelPlace,
}

/// Where a wheel lies, or what it is made from, and how it is known again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WheelPlace {
    /// At an address, without user name and password.
    Url {
        /// Which.
        url: SourceUrl,
        /// What its bytes hash to.
        digest: Digest,
        /// How many those are, where that is known.
        size: Option<u64>,
    },
    /// On this machine.
    Path {
        /// Relative to the project, or absolute.
        path: String,
        /// What its bytes hash to.
        digest: Digest,
    },
    /// In a repository of git's.
    Commit {
        /// Its address, without user name and password.
        repository: String,
        /// The commit, in full.
        commit: String,
        /// Where in it the project is.
        subdirectory: Option<String>,
        /// Its version, where that is known without building it.
        version: Option<String>,
    },
}

/// One line of the difference between two locks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Change {
    /// The platform, such as `linux/amd64`, or what else it is of.
    pub of: String,
    /// The package.
    pub name: String,
    /// Its version before; none where it is new.
    pub before: Option<String>,
    /// Its version after; none where it is gone.
    pub after: Option<String>,
    /// Why it is there.
    pub why: String,
}

impl SystemLock {
    /// Reads a lock's text.
    ///
    /// # Errors
    /// [`SystemLockError`] names the line.
    pub fn parse(text: &str) -> Result<Self, SystemLockError> {
        read::parse(text)
    }

    /// Returns the lock's text: the same for the same lock.
    pub fn text(&self) -> String {
        write::text(self)
    }

    /// Returns what is different in a later lock: packages by platform, then the requirements of builds.
    pub fn changes(&self, later: &Self) -> Vec<Change> {
        let (before, after) = (self.versions(), later.versions());
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let change = |key: &(String, String)| {
            let (old, new) = (before.get(key), after.get(key));
            let version = |said: Option<&(String, String)>| said.map(|(version, _)| version.clone());
            let why = new.or(old).map(|(_, why)| why.clone()).unwrap_or_default();
            let (of, name) = key.clone();
            let change = Change { of, name, before: version(old), after: version(new), why };
            (change.before != change.after).then_some(change)
        };
        keys.into_iter().filter_map(change).collect()
    }

    /// Returns each package's version and reason, by platform and name.
    fn versions(&self) -> BTreeMap<(String, String), (String, String)> {
        let packages = self.platforms.iter().flat_map(|(platform, locked)| {
            let entry = |of: String, pick: &Pick| {
                ((of, pick.name.clone()), (pick.version.clone(), pick.why.join(", ")))
            };
            let builder = locked.builder.packages.iter();
            let builder = builder.map(|pick| entry(format!("{platform}, builder"), pick));
            locked.of_image().map(|pick| entry(platform.to_string(), pick)).chain(builder).collect::<Vec<_>>()
        });
        let interpreters = self.platforms.iter().filter_map(|(platform, locked)| {
            let pin = locked.interpreter.as_ref()?;
            let why = "tool.minke.python".to_owned();
            Some(((platform.to_string(), "interpreter".to_owned()), (pin.version.clone(), why)))
        });
        let builds = self.builds.iter().flat_map(|(key, wheels)| {
            let entry = |wheel: &LockedWheel| {
                let (name, version) = wheel.title();
                let why = format!("build-system.requires: {}", key.requires.join(", "));
                ((format!("build, {}", key.target), name.to_owned()), (version.to_owned(), why))
            };
            wheels.iter().map(entry).collect::<Vec<_>>()
        });
        let lifts = self.lifts.iter().map(|lift| {
            let LockedLift { name, version, broken, why, rule } = lift;
            ((format!("slimming, {rule}"), name.clone()), (version.clone(), format!("{broken}: {why}")))
        });
        packages.chain(interpreters).chain(builds).chain(lifts).collect()
    }
}

impl LockedWheel {
    /// Returns what tells it from any other.
    pub fn digest(&self) -> Digest {
        match &self.place {
            WheelPlace::Url { digest, .. } | WheelPlace::Path { digest, .. } => *digest,
            WheelPlace::Commit { repository, commit, subdirectory, version: _ } => {
                let below = subdirectory.as_deref().unwrap_or_default();
                Digest::of(format!("git+{repository}@{commit}#{below}").as_bytes())
            }
        }
    }

    /// Returns the name of its distribution, and its version, or the commit.
    pub fn title(&self) -> (&str, &str) {
        if let WheelPlace::Commit { commit, version, .. } = &self.place {
            return (&self.name, version.as_deref().unwrap_or(commit));
        }
        let mut words = self.name.splitn(3, '-');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

impl LockedPlatform {
    /// Returns the package that was added because it has a library; its reason says so.
    pub fn supplier_of(&self, soname: &str) -> Option<&str> {
        let is_reason = |why: &String| why.rsplit_once(": ").is_some_and(|(_, asked)| asked == soname);
        let mut packages = self.of_image().filter(|pick| pick.why.iter().any(is_reason));
        packages.next().map(|pick| pick.name.as_str())
    }

    /// Returns the library that was added because a name means it, and its package; the reason says so.
    pub(crate) fn supplier_of_likely(&self, wanted: &Wanted) -> Option<(&str, &str)> {
        let is_it = |asked: &str| match wanted {
            Wanted::Soname(soname) => asked == soname,
            Wanted::Stem(_) => asked.starts_with(&wanted.beginning()),
        };
        self.of_image().find_map(|pick| {
            let asked = pick.why.iter().filter_map(|why| Some(why.rsplit_once(": ")?.1));
            Some((asked.into_iter().find(|asked| is_it(asked))?, pick.name.as_str()))
        })
    }

    /// Returns all packages, the base's first, then the image's.
    pub fn packages(&self) -> impl Iterator<Item = &Pick> {
        self.of_image().chain(&self.builder.packages)
    }

    /// Returns the packages that the image and its twin have, the base's first.
    pub fn of_image(&self) -> impl Iterator<Item = &Pick> {
        let others = self.system.iter().chain(&self.debug);
        self.base.packages.iter().chain(others.flat_map(|layer| &layer.packages))
    }
}

#[cfg(test)]
mod tests;
