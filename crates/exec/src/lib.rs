//! **The workshop:** runs one fully described action in a sealed room, here or far away, and returns what it made.
//!
//! The only room that starts processes and uses namespaces, mounts and `unsafe`. It reads nothing from this
//! process's environment: what a child shall see, its caller says.

mod action;
mod bytecode;
mod caller;
mod census;
mod container;
mod furnish;
mod git;
mod interpreter;
mod jobs;
mod keyring;
mod loader;
pub mod memory;
mod observe;
mod outputs;
mod pip;
mod process;
mod refusal;
mod repository;
mod sandbox;
mod sealed;
mod terminal;
mod usage;
mod uv;
mod watch;
mod wheel;

pub use action::{Action, ActionError, Host, Limit, Limits, Outcome, Seal, Status, run_action};
pub use bytecode::{CompileError, Compiled, Isolation};
pub use container::{Access, Bind, Container, Exit, Network, RootAccess, RunError, Terminal, User};
pub use git::clean_commit_time;
pub use interpreter::{AskError, Interpreter};
pub use jobs::{Jobs, Share};
pub use keyring::ask_keyring;
pub use loader::LoaderError;
pub use observe::Observed;
pub use outputs::OutputError;
pub use pip::{PipError, pip_download};
pub use refusal::{Refusal, Unavailable};
pub use repository::{Commit, Fetched, GitError, NamedBy, Submodule, is_full};
pub use sealed::sealing_available;
pub use uv::{
    Answer, Builds, CompileRequest, ExportRequest, Extras, Groups, Inputs, Libc, Machine, Uv, UvError,
};
pub use wheel::{Backend, BuildError, BuiltWheel, WheelBuild};
