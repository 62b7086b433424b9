//! Wheels for what has none: the user's own directories, and source distributions.
//!
//! PEP 517, with the image's own interpreter, in a sealed room where the machine allows one; a stranger's code runs
//! nowhere else. What a build asks for is resolved and fetched outside; inside there is no network. What is built is
//! remembered, and no compiler goes into an image.
//!
//! Spec: <https://peps.python.org/pep-0517/>, <https://peps.python.org/pep-0518/>

mod better;
mod crates;
mod detect;
mod error;
mod flags;
mod guess;
mod learn;
mod make;
mod needs;
mod of_its_time;
mod own;
mod patch;
pub mod recipe;
mod repository;
mod root;
mod sources;
mod strangers;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use minke_cas::{Digest, Epoch, ImagePath, Store};
use minke_exec::Jobs;
use minke_net::Client;
use minke_python::{PackageName, Target};

use crate::event::Reporter;
use crate::project::Project;
use crate::request::Host;
use crate::settings::{BuildIsolation, BuildWishes};
use crate::supply::Supply;

pub use crates::{CargoLockError, CratesError, RegistryError};
pub use error::{BackendError, Tried};
pub use patch::PatchError;
pub use repository::RepositoryError;
pub(crate) use repository::holds_no_secret;
pub use root::{RoomError, Yard};
pub use sources::{Place, Sources, SourcesError};
pub use strangers::Resolving;

/// What building takes.
pub struct Workshop<'build> {
    /// Where everything is kept.
    pub store: &'build Store,
    /// What the backends' requirements are fetched with.
    pub client: &'build Client,
    /// Who hears what happens.
    pub reporter: &'build Reporter,
    /// What Python runs here, and where that lies in the resolver's root.
    pub bench: (&'build Target, &'build ImagePath),
    /// What decides all of that root.
    pub root: Digest,
    /// What is built for.
    pub target: &'build Target,
    /// The project.
    pub project: &'build Project,
    /// The user's own ignore patterns.
    pub ignore: &'build [String],
    /// What `SOURCE_DATE_EPOCH` is set to.
    pub epoch: Epoch,
    /// How many of the backends' requirements are unpacked at once.
    pub jobs: usize,
    /// The machine's cores, which builds that run at the same time share.
    pub cores: &'build Jobs,
    /// How many builds are yet to end, which decides how many cores each gets.
    pub pending: AtomicUsize,
    /// Where the backends' requirements and the rooms' packages are pinned.
    pub supply: &'build Supply<'build>,
    /// What the settings say of how distributions are built.
    pub wishes: &'build BTreeMap<PackageName, BuildWishes>,
    /// What strangers' code runs in.
    pub isolation: BuildIsolation,
    /// This machine, whose settings say where crates are.
    pub host: &'build Host,
    /// Who has compilers; nobody, where the base is of no distribution.
    pub yard: Option<Yard<'build>>,
}
