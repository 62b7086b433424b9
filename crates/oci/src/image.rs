//! Images: layers and a config, bound together by a manifest.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>

use std::collections::BTreeMap;

use minke_cas::{DiffId, Digest, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json::{self, CONFIG, MANIFEST, MAX_DOCUMENT, to_bytes};
use crate::{Compression, ImageConfig, Layer};

/// What stands before a layer's name in an image's history.
const CREATED_BY: &str = "minke: ";

/// What Docker's overlay driver can mount; with more, an image builds and doesn't run.
const MAX_LAYERS: usize = 127;

/// Names a blob: what it is, its digest and its size in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Their sha256.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// An image in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The manifest's digest: the image's identity in a registry.
    pub manifest: Digest,
    /// The manifest's size in bytes.
    pub manifest_size: u64,
    /// The config's digest: the image's id in Docker.
    pub config: Digest,
    /// The config's size in bytes.
    pub config_size: u64,
    /// The layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// What the config says.
    pub settings: ImageConfig,
    /// What the manifest says beside.
    pub annotations: BTreeMap<String, String>,
}

/// A layer as an image knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageLayer {
    /// What the image's history calls it; empty where it calls it nothing.
    pub name: String,
    /// Its compressed bytes.
    pub descriptor: Descriptor,
    /// The sha256 of its tar.
    pub diff_id: DiffId,
}

/// An image cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store lacks a part or cannot be written.
    #[error("the image's parts cannot be read or kept")]
    Store(#[from] StoreError),
    /// A manifest or config is larger than any registry takes.
    #[error("{digest} has {size} bytes, which is too much for a manifest or config")]
    TooLarge {
        /// Which document.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A manifest or config is not what it should be.
    #[error("{digest} is not an image's manifest or config")]
    Json {
        /// Which document.
        digest: Digest,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The manifest and the config list different numbers of layers.
    #[error("the manifest {manifest} has {layers} layers, its config {diff_ids}")]
    LayerCount {
        /// Which manifest.
        manifest: Digest,
        /// How many layers it lists.
        layers: usize,
        /// How many the config lists.
        diff_ids: usize,
    },
    /// There are more layers than runtimes can stack.
    #[error("the image has {count} layers; more than {MAX_LAYERS} cannot be stacked")]
    TooManyLayers {
        /// How many there are.
        count: usize,
    },
    /// A layer is not a tar that minke can read.
    #[error("the layer {digest} has the media type `{media_type}`, which is no layer's")]
    MediaType {
        /// Which layer.
        digest: Digest,
        /// What it says it is.
        media_type: String,
    },
}

/// Writes the config and the manifest of an image whose layers are in the store.
///
/// # Errors
/// [`ImageError::Store`]; [`ImageError::TooManyLayers`] for more than 127.
pub fn write_image(
    store: &Store,
    layers: &[Layer],
    settings: &ImageConfig,
    annotations: BTreeMap<String, String>,
) -> Result<Image, ImageError> {
    let layers: Vec<ImageLayer> = layers.iter().map(ImageLayer::from).collect();
    let config = own_config(&layers, settings);
    write(store, layers, &config, (settings, annotations))
}

/// Writes an image that has the layers of another one below its own, as they are, with their history.
///
/// # Errors
/// As [`write_image`]; [`ImageError::MediaType`] if one of the layers below is none.
pub fn write_image_upon(
    store: &Store,
    below: &Image,
    layers: &[Layer],
    (settings, annotations): (&ImageConfig, BTreeMap<String, String>),
) -> Result<Image, ImageError> {
    let layers: Vec<ImageLayer> = layers.iter().map(ImageLayer::from).collect();
    let (was, _): (json::Config, _) = read(store, &below.config)?;
    let config = own_config(&layers, settings).upon(was);
    let mut all = below.layers.clone();
    for layer in &mut all {
        // Docker's types have no place in an OCI manifest; the bytes are the same.
        layer.descriptor.media_type = layer.compression()?.media_type().to_owned();
    }
    all.extend(layers);
    write(store, all, &config, (settings, annotations))
}

fn own_config(layers: &[ImageLayer], settings: &ImageConfig) -> json::Config {
    let history = layers.iter().map(|layer| (format!("{CREATED_BY}{}", layer.name), layer.diff_id));
    json::Config::new(settings, history)
}

fn write(
    store: &Store,
    layers: Vec<ImageLayer>,
    config: &json::Config,
    (settings, annotations): (&ImageConfig, BTreeMap<String, String>),
) -> Result<Image, ImageError> {
    if layers.len() > MAX_LAYERS {
        return Err(ImageError::TooManyLayers { count: layers.len() });
    }
    let config = to_bytes(config);
    let manifest = to_bytes(&json::Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: Descriptor {
            media_type: CONFIG.to_owned(),
            digest: store.put(&config)?,
            size: config.len() as u64,
        },
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: Some(annotations.clone()).filter(|annotations| !annotations.is_empty()),
    });
    Ok(Image {
        manifest: store.put(&manifest)?,
        manifest_size: manifest.len() as u64,
        config: Digest::of(&config),
        config_size: config.len() as u64,
        layers,
        settings: settings.clone(),
        annotations,
    })
}

impl Image {
    /// Reads an image back that was written or imported into this store.
    ///
    /// Whether the layers are there isn't checked.
    ///
    /// # Errors
    /// Any [`ImageError`].
    pub fn load(store: &Store, manifest: &Digest) -> Result<Self, ImageError> {
        let (document, manifest_size): (json::Manifest, _) = read(store, manifest)?;
        let (config, config_size): (json::Config, _) = read(store, &document.config.digest)?;
        let (count, diff_ids) = (document.layers.len(), config.rootfs.diff_ids.clone());
        if count != diff_ids.len() {
            return Err(ImageError::LayerCount {
                manifest: *manifest,
                layers: count,
                diff_ids: diff_ids.len(),
            });
        }
        let history = config.history.iter().flatten().filter(|entry| entry.empty_layer != Some(true));
        let mut names = history.map(|entry| {
            let created_by = entry.created_by.as_deref().unwrap_or_default();
            created_by.strip_prefix(CREATED_BY).unwrap_or(created_by).to_owned()
        });
        let layers = document.layers.into_iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            let name = names.next().unwrap_or_default();
            ImageLayer { name, descriptor, diff_id }
        });
        let layers: Vec<_> = layers.collect();
        Ok(Self {
            manifest: *manifest,
            manifest_size,
            config: document.config.digest,
            config_size,
            layers,
            settings: config.settings(),
            annotations: document.annotations.unwrap_or_default(),
        })
    }

    /// Returns all that the image consists of, each blob once: config, layers, and the manifest last.
    pub fn blobs(&self) -> Vec<(Digest, u64)> {
        let layers = self.layers.iter().map(|layer| (layer.descriptor.digest, layer.descriptor.size));
        let first = std::iter::once((self.config, self.config_size));
        let mut blobs = Vec::new();
        for blob in first.chain(layers).chain([(self.manifest, self.manifest_size)]) {
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        blobs
    }
}

impl ImageLayer {
    /// Tells how the layer is compressed.
    ///
    /// # Errors
    /// [`ImageError::MediaType`].
    pub fn compression(&self) -> Result<Compression, ImageError> {
        let Descriptor { media_type, digest, .. } = &self.descriptor;
        Compression::of_media_type(media_type)
            .ok_or_else(|| ImageError::MediaType { digest: *digest, media_type: media_type.clone() })
    }
}

impl From<&Layer> for ImageLayer {
    fn from(layer: &Layer) -> Self {
        let Layer { name, descriptor, diff_id, tar_size: _, entries: _ } = layer;
        Self { name: name.clone(), descriptor: descriptor.clone(), diff_id: *diff_id }
    }
}

/// Reads a document from the store, and its size in bytes.
pub(crate) fn read<T: DeserializeOwned>(store: &Store, digest: &Digest) -> Result<(T, u64), ImageError> {
    let file = store.open_blob(digest)?;
    let unreadable = |source| StoreError::Io { action: "read", path: store.blob_path(digest), source };
    let size = file.metadata().map_err(unreadable)?.len();
    if size > MAX_DOCUMENT {
        return Err(ImageError::TooLarge { digest: *digest, size });
    }
    let bytes = store.read_blob(digest)?;
    let document =
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json { digest: *digest, source })?;
    Ok((document, size))
}

#[cfg(test)]
mod tests;
