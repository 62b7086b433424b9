//! **The foreman:** reads the project, makes the plan, calls the specialists in order, keeps the ledger of why.

mod event;
pub mod project;
pub mod settings;

mod request;

pub use event::{Event, Hop, Reporter, Unit};
pub use request::{Built, BuiltLayer, Entry, Host, LockPolicy, Request};
