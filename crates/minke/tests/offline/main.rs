//! `minke` from outside, from a project's directory to a container that runs, without a network.
//!
//! The toy town supplies the world: a signed archive of this machine's own Debian packages and an index of made
//! wheels, both on the loopback ([`town`]). The binary gets an environment that was made from nothing. Where this
//! machine isn't a Debian 12 with its own Python, the tests say so and are skipped.

mod again;
mod caching;
mod check;
mod crates;
mod damaged;
mod debs;
mod economy;
mod faults;
mod findings;
mod image;
mod interrupted;
mod killed;
mod libraries;
mod locking;
mod mirrors;
mod outputs;
mod packages;
mod places;
mod plain;
mod private;
mod projects;
mod proof;
mod refusals;
mod repositories;
mod reproducible;
mod resolving;
mod running;
mod scripts;
mod sharing;
mod slim;
mod sources;
mod standalone;
mod surroundings;
mod tools;
mod town;
mod twin;
mod upon;
