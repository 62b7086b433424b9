//! What is said of an image beside it: artifacts that name it as their subject, as a registry's referrers do.
//!
//! One for each type lies beside an image in the store; what is written anew takes the place of the last.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage>

use minke_cas::{Digest, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::json::{MANIFEST, to_bytes};
use crate::{Descriptor, Image};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Descriptor,
}

/// Puts a blob of the store beside an image, as an artifact of one layer; returns the artifact's manifest.
///
/// `kind` is a media type, the artifact's and the layer's.
///
/// # Errors
/// [`StoreError::Missing`] if the blob isn't in the store; [`StoreError::Io`].
pub fn attach(store: &Store, image: &Image, kind: &str, blob: &Digest) -> Result<Digest, StoreError> {
    let size = store.blob_size(blob).ok_or_else(|| StoreError::Missing { what: blob.to_string() })?;
    let described = |media_type: &str, digest: Digest, size: u64| Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
    };
    let artifact = to_bytes(&Artifact {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: kind.to_owned(),
        config: described(EMPTY, store.put(b"{}")?, 2),
        layers: vec![described(kind, *blob, size)],
        subject: described(MANIFEST, image.manifest, image.manifest_size),
    });
    let artifact = store.put(&artifact)?;
    store.set_beside(&image.manifest, kind, &artifact)?;
    Ok(artifact)
}

/// Returns the bytes of what of a kind lies beside an image, if anything does.
///
/// # Errors
/// [`StoreError::Damaged`] if what lies there is no artifact of this image; [`StoreError::Missing`] if its blob is gone.
pub fn attached(store: &Store, image: &Digest, kind: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(manifest) = store.beside(image, kind)? else { return Ok(None) };
    let artifact = serde_json::from_slice::<Artifact>(&store.read_blob(&manifest)?).ok();
    let layer = artifact
        .filter(|artifact| artifact.subject.digest == *image && artifact.artifact_type == kind)
        .and_then(|artifact| artifact.layers.into_iter().next());
    let layer = layer.ok_or_else(|| StoreError::Damaged { path: store.blob_path(&manifest) })?;
    store.read_blob(&layer.digest).map(Some)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ImageConfig, write_image};

    const KIND: &str = "application/vnd.test+json";

    #[test]
    fn what_is_attached_names_its_image_and_is_found_by_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let image = |tag: &str| {
            let annotations = BTreeMap::from([("tag".to_owned(), tag.to_owned())]);
            write_image(&store, &[], &ImageConfig::default(), annotations).unwrap()
        };
        let (one, two) = (image("one"), image("two"));
        let manifest = attach(&store, &one, KIND, &store.put(b"[1]").unwrap()).unwrap();
        assert_eq!(attached(&store, &one.manifest, KIND).unwrap().as_deref(), Some(b"[1]".as_slice()));
        assert_eq!(attached(&store, &two.manifest, KIND).unwrap(), None);
        let text: serde_json::Value = serde_json::from_slice(&store.read_blob(&manifest).unwrap()).unwrap();
        assert_eq!(text["artifactType"], KIND);
        assert_eq!(text["subject"]["digest"], one.manifest.to_string());
        assert_eq!(text["config"]["mediaType"], EMPTY);
        assert_eq!(text["layers"][0]["size"], 3);
        // What is another image's isn't taken for this one's.
        store.set_beside(&two.manifest, KIND, &manifest).unwrap();
        assert!(matches!(attached(&store, &two.manifest, KIND), Err(StoreError::Damaged { .. })));
    }
}
