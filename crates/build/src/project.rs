//! placeholder
pub mod ignore;
pub mod sources;
