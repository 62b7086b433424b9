//! **The foreman:** reads the project, makes the plan, calls the specialists in order, keeps the ledger of why.
//!
//! [`build`] is the way from a project's directory to an image, hop by hop; every hop is a module of its own
//! that takes values and the store, and returns values.

pub mod audit;
pub mod bytecode;
pub mod check;
mod config;
pub mod contents;
pub mod debian;
pub mod deliver;
pub mod entry;
mod epoch;
mod error;
mod event;
mod fetch;
pub mod images;
pub mod interpreter;
pub mod layers;
pub mod libs;
mod likely;
pub mod lock;
mod mirrors;
pub mod native;
mod nearest;
pub mod needs;
mod outside;
pub mod parts;
mod pipeline;
pub mod plan;
pub mod platform;
pub mod project;
pub mod proof;
pub mod pylock;
mod request;
pub mod run;
mod secrets;
pub mod settings;
pub mod slim;
pub mod standalone;
mod supply;
pub mod system;
pub mod system_lock;
pub mod uv;
pub mod wheelhouse;
pub mod wheels;
pub mod why;
pub mod workshop;

pub use config::SettingError;
pub use error::BuildError;
pub use event::{Event, Hop, Reporter, Unit};
pub use minke_distro::ReleaseError;
pub use minke_exec::{GitError, RunError, UvError};
pub use minke_net::{CredentialsUse, FetchError};
pub use minke_oci::{Destination, LayerError, OutputError, Reference};
pub use pipeline::base::ImageBaseError;
pub use pipeline::making::Made;
pub use pipeline::proving::ProofError;
pub use pipeline::{build, lock as pin, make_wheels, plan as intend};
pub use request::{Built, BuiltLayer, Entry, Host, LockPolicy, Request, Twin, Upgrade};
pub use supply::SupplyError;
