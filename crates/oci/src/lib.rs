//! **What a runtime reads:** layers, configs, manifests, layouts, archives; the same tree always gives the same bytes.
//!
//! A [`LayerSpec`] becomes a [`Layer`] by [`write_layer`], layers and an [`ImageConfig`] an [`Image`] by
//! [`write_image`], and an image is written to where a [`Destination`] says, or read back into a tree by
//! [`flatten()`]; [`unpack()`] reads archives that are no images. Only [`layout`](write_layout) and the archives touch files outside the store; nothing here
//! talks to a daemon or a registry.

mod archive;
mod artifact;
mod compression;
mod config;
mod destination;
mod flatten;
mod hashing;
mod image;
pub mod images;
mod import;
mod json;
mod layer;
mod layout;
mod output;
mod packed;
mod reference;
mod segment;
mod tar;
#[cfg(test)]
mod testing;
mod unpack;

pub use archive::{save_docker_archive, save_oci_archive, write_docker_archive, write_oci_archive};
pub use artifact::{attach, attached};
pub use compression::{Compression, CompressionError};
pub use config::{HealthTest, Healthcheck, ImageConfig, Platform, Port, PortError, Protocol};
pub use destination::{Destination, DestinationError, RefName};
pub use flatten::{FlattenError, flatten};
pub use image::{Descriptor, Image, ImageError, ImageLayer, write_image, write_image_upon};
pub use images::ImageRecord;
pub use import::{ImportError, Origin, OriginError, import};
pub use layer::{Layer, LayerSpec, write_layer, write_packed};
pub use layout::write_layout;
pub use output::OutputError;
pub use packed::Packed;
pub use reference::{Reference, ReferenceError};
pub use segment::{LayerError, Segment, SegmentBlob};
pub use tar::TarError;
pub use unpack::{Bounds, UnpackError, unpack};
