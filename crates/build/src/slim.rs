//! What an image does without: rules that take files away from the parts it is made of, and what they took.
//!
//! Slimming is on trees, before bytecode is compiled and layers are cut, so that nothing that is taken away lies in a
//! lower layer.

mod ledger;

pub use ledger::{Effect, Lifts, Removal, SlimLedger, Taken, owner_key};
