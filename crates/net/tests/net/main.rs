//! The door, tried on loopback servers that behave and on some that don't.

mod docker;
mod fetch;
mod proxies;
mod resume;
mod support;
mod tls;
mod unpinned;
