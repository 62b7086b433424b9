//! **The door to the outside:** fetches what was pinned, checks it, delivers what was built; never interprets what it carries.
//!
//! A [`Client`] blocks and is shared by as many threads as want to fetch. What is pinned goes through
//! [`Client::fetch`] into the store and is checked on the way; what cannot be pinned has its own,
//! longer-named function. [`docker`] is the other way round: it delivers an image.
//!
//! Nothing here reads the environment: proxies, certificates and passwords are handed in.

mod client;
mod credentials;
pub mod docker;
mod error;
mod fetch;
mod forward;
mod mirrors;
mod names;
mod pace;
mod proxy;
mod request;
mod retry;
mod roots;
mod unpinned;

pub use client::{Client, ClientError, ClientOptions, Timeouts};
pub use credentials::{AskKeyring, Credentials};
pub use error::{CredentialsUse, FetchError, Phase, RefusedTarget};
pub use mirrors::{Left, Mirror, Notice};
pub use proxy::ProxySettings;
pub use retry::Retries;
pub use unpinned::UnpinnedOptions;
