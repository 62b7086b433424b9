//! The images in minke's own store.

use minke_cas::{Digest, Store, StoreError};
use minke_oci::{Image, ImageError, Reference, ReferenceError};
use serde::Serialize;

use crate::slim::{LEDGER, SlimLedger};

/// What a list says of an image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageLine {
    /// Its name and tag.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of its layers as they are stored and sent.
    pub size: u64,
    /// How many layers it has.
    pub layers: u64,
    /// What it runs on, such as `linux/amd64`.
    pub platform: String,
}

/// An image of the store cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A text is no image name.
    #[error("`{name}` is not an image name")]
    Name {
        /// What was given.
        name: String,
        /// Why not.
        source: ReferenceError,
    },
    /// No image is called that.
    #[error("there is no image `{name}`{}", nearest(known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// An image's manifest or config cannot be read.
    #[error("cannot read the image `{name}`")]
    Image {
        /// Its name.
        name: String,
        /// Why not.
        source: ImageError,
    },
    /// The store failed.
    #[error("cannot read minke's store of images")]
    Store(#[from] StoreError),
}

/// How many images an error lists; who has more would have to search for what else it says.
const LISTED: usize = 5;

fn nearest(known: &[String]) -> String {
    match known {
        [] => "; none has been built yet".to_owned(),
        [only] => format!("; there is {only}"),
        known if known.len() <= LISTED => format!("; there are {}", known.join(", ")),
        known => format!("; there are {} others", known.len()),
    }
}

/// Lists all images in name order.
///
/// # Errors
/// [`ImagesError`] if one cannot be read.
pub fn list(store: &Store) -> Result<Vec<ImageLine>, ImagesError> {
    let records = minke_oci::images::list(store)?;
    let line = |record: minke_oci::ImageRecord| {
        let name = record.name.tagged();
        let image = Image::load(store, &record.manifest)
            .map_err(|source| ImagesError::Image { name: name.clone(), source })?;
        Ok(ImageLine {
            name,
            digest: image.manifest,
            size: image.layers.iter().map(|layer| layer.descriptor.size).sum(),
            layers: image.layers.len() as u64,
            platform: format!("{}/{}", image.settings.platform.os, image.settings.platform.architecture),
        })
    };
    records.into_iter().map(line).collect()
}

/// Finds an image by name, `NAME[:TAG]`, or by the reference that `minke build` printed, `NAME@sha256:…`.
///
/// # Errors
/// [`ImagesError::Unknown`] names the images that there are.
pub fn find(store: &Store, name: &str) -> Result<Image, ImagesError> {
    let reference: Reference =
        name.parse().map_err(|source| ImagesError::Name { name: name.to_owned(), source })?;
    let records = minke_oci::images::list(store)?;
    let wanted = reference.tagged();
    let found = records.iter().find(|record| match reference.digest() {
        Some(digest) => record.manifest == *digest,
        None => record.name.tagged() == wanted,
    });
    let Some(record) = found else {
        let known = records.iter().map(|record| record.name.tagged()).collect();
        return Err(ImagesError::Unknown { name: name.to_owned(), known });
    };
    Image::load(store, &record.manifest)
        .map_err(|source| ImagesError::Image { name: name.to_owned(), source })
}

/// Takes an image's name away; its bytes stay in the cache.
///
/// # Errors
/// [`ImagesError::Unknown`] if there is none of that name.
pub fn remove(store: &Store, name: &str) -> Result<(), ImagesError> {
    find(store, name)?;
    let reference: Reference =
        name.parse().map_err(|source| ImagesError::Name { name: name.to_owned(), source })?;
    minke_oci::images::remove(store, &reference)?;
    Ok(())
}

/// Returns what slimming took away from an image; none if nothing says so.
///
/// # Errors
/// As [`find`]; [`StoreError::Damaged`] if the ledger beside it is none.
pub fn ledger(store: &Store, name: &str) -> Result<Option<SlimLedger>, ImagesError> {
    let image = find(store, name)?;
    let Some(bytes) = minke_oci::attached(store, &image.manifest, LEDGER)? else { return Ok(None) };
    let damaged = |_| StoreError::Damaged { path: store.blob_path(&image.manifest) };
    Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
}

/// Returns all that is known of an image, for a person or a program to read.
///
/// # Errors
/// As [`find`].
pub fn inspect(store: &Store, name: &str) -> Result<serde_json::Value, ImagesError> {
    let image = find(store, name)?;
    let read = |digest: &Digest| -> Result<serde_json::Value, ImagesError> {
        let bytes = store.read_blob(digest)?;
        serde_json::from_slice(&bytes)
            .map_err(|_| StoreError::Damaged { path: store.blob_path(digest) }.into())
    };
    let (manifest, config) = (read(&image.manifest)?, read(&image.config)?);
    Ok(serde_json::json!({ "name": name, "digest": image.manifest, "manifest": manifest, "config": config }))
}
