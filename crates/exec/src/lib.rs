//! **The workshop:** runs one fully described action in a sealed room, here or far away, and returns what it made.
//!
//! The only room that starts processes and uses namespaces, mounts and `unsafe`. It reads nothing from this
//! process's environment: what a child shall see, its caller says.

mod bytecode;
mod interpreter;
mod loader;
mod process;
mod uv;

pub use bytecode::{CompileError, Compiled, Isolation};
pub use interpreter::Interpreter;
pub use loader::LoaderError;
pub use uv::{
    Answer, Builds, CompileRequest, ExportRequest, Extras, Groups, Inputs, Libc, Machine, Uv, UvError,
};
