//! The room that something is built in: the image's base, and upon it compilers and what else it takes.
//!
//! The packages are chosen, pinned and unpacked as the base's are, and none of them goes into an image.

use std::collections::BTreeSet;

use minke_cas::{Digest, Epoch, Meter, StoreError, Tree};
use minke_distro::setup;

use super::Workshop;
use super::recipe::{Recipe, Tools};
use crate::debian::{Pick, Roots};
use crate::fetch::Fetcher;
use crate::parts::{Owner, Part, SettleError, Strictness, settle};
use crate::platform::Platform;
use crate::supply::SupplyError;
use crate::system::{self, SystemError};

/// The distribution that furnishes rooms.
#[derive(Clone, Copy)]
pub struct Yard<'build> {
    /// This machine: what is built here is built for it.
    pub platform: Platform,
    /// What the base was chosen for.
    pub base: &'build Roots,
}

/// The packages of a room cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The base is of no distribution that has compilers.
    #[error("the image's base is of no distribution that has compilers")]
    NoDistribution,
    /// The archive doesn't give them, or they may not be pinned.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// They cannot be fetched or unpacked.
    #[error(transparent)]
    System(#[from] SystemError),
    /// They don't go together.
    #[error("its packages don't go together")]
    Settle(#[from] SettleError),
    /// What their scripts would have done cannot be done.
    #[error("cannot do what its packages' scripts would have done")]
    Setup(#[from] setup::SetupError),
    /// The cache failed.
    #[error("cannot keep a package")]
    Store(#[from] StoreError),
}

/// Why compilers are there.
const WHY: &str = "compiling";

/// What is chosen for a recipe, and what decides all of the room.
pub(super) struct Furnished {
    pub(super) picks: Vec<Pick>,
    pub(super) identity: Digest,
}

impl Workshop<'_> {
    /// Chooses the packages that a recipe lays upon the base.
    pub(super) fn furnish(&self, recipe: &Recipe) -> Result<Furnished, RoomError> {
        if recipe.tools == Tools::Python && recipe.system.is_empty() {
            return Ok(Furnished { picks: Vec::new(), identity: self.root });
        }
        let yard = self.yard.as_ref().ok_or(RoomError::NoDistribution)?;
        let mut roots = match recipe.tools {
            Tools::Python => Roots::new(),
            Tools::Compilers => tool_roots(yard.base),
        };
        for (name, why) in &recipe.system {
            // What isn't a name was never an answer of the archive's.
            if let Ok(name) = name.parse() {
                roots.entry(name).or_default().extend(why.iter().cloned());
            }
        }
        let picks = self.supply.room(yard.platform, yard.base, &roots)?;
        let digests: Vec<Digest> = picks.iter().map(|pick| pick.digest).collect();
        let identity = serde_json::to_vec(&(self.root, digests)).expect("digests are JSON");
        Ok(Furnished { picks, identity: Digest::of(&identity) })
    }

    /// Unpacks a room's packages upon the base.
    pub(super) fn lay(&self, base: &Tree, picks: &[Pick]) -> Result<Tree, RoomError> {
        if picks.is_empty() {
            return Ok(base.clone());
        }
        let meter = Meter::default();
        let fetcher = Fetcher { client: self.client, store: self.store, meter: &meter, jobs: self.jobs };
        let packages = system::unpack_all(fetcher, self.supply, picks)?;
        let part = |name: &str, tree: Tree| Part {
            owner: Owner::Base { name: name.to_owned() },
            tree,
            epoch: Epoch::FIXED,
        };
        let mut parts = vec![part("the base", base.clone())];
        parts.extend(system::parts(&packages, |name| Owner::System { name }));
        let joined = settle(parts.clone(), Strictness::LaterWins)?.tree;
        // Nobody is told of scripts that nobody knows: what they do is for machines that stay.
        let controls = packages.iter().map(|package| &package.control);
        parts.push(part("scripts", setup::additions(&joined, controls, self.store)?));
        Ok(settle(parts, Strictness::LaterWins)?.tree)
    }
}

/// Returns what compiling takes on a base with an interpreter of the suite's, or without.
///
/// No more than what compilers, `make` and `configure` scripts run, and what is essential in Debian, so that programs of
/// other packages need it without a word. What else is needed is found out for each.
pub(super) fn tool_roots(base: &Roots) -> Roots {
    let programs = [
        "bash",
        "coreutils",
        "dash",
        "debianutils",
        "diffutils",
        "findutils",
        "g++",
        "gcc",
        "grep",
        "gzip",
        "libc6-dev",
        "make",
        "mawk",
        "patch",
        "perl-base",
        "pkgconf",
        "sed",
        "tar",
    ];
    let interpreter = base.keys().find_map(|name| {
        let version = name.as_str().strip_prefix("python")?.strip_suffix("-minimal")?;
        Some(format!("libpython{version}-dev"))
    });
    let names = programs.map(str::to_owned).into_iter().chain(interpreter);
    names.map(|name| (name.parse().expect("a package's name"), BTreeSet::from([WHY.to_owned()]))).collect()
}
