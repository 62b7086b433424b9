//! What would be built, decided before anything but indexes is fetched.

use serde::Serialize;

/// All decisions for one image.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// What the image would be called.
    pub name: String,
    /// Its platform, such as `linux/amd64`.
    pub platform: String,
    /// Its Python and what that runs on, in words.
    pub target: String,
    /// What it is made upon, in words.
    pub base: String,
    /// What goes in, layer by layer, the lowest first.
    pub items: Vec<Item>,
    /// Libraries that wheels seem to load by name, and that the image hasn't got.
    pub likely: Vec<Likely>,
    /// What cannot be known before more is fetched, and how it would be.
    pub unknown: Vec<String>,
}

/// A library that a distribution seems to load by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Likely {
    /// Its soname.
    pub library: String,
    /// The package that has it.
    pub package: String,
    /// The distribution: `soundfile 0.13.1`.
    pub by: String,
}

/// Something that goes into an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Item {
    /// The layer.
    pub layer: String,
    /// What it is: `package`, `wheel`, `build`, `files`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: String,
    /// The bytes of its file, where that is known.
    pub size: Option<u64>,
    /// Why it is there.
    pub why: String,
}
