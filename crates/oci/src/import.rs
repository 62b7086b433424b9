//! Images that others wrote, from layouts and archives into the store.
//!
//! Every blob is checked against its digest on the way in. Of an index for several platforms, the wanted
//! one is taken. A `docker-archive:` has no manifest: one is made for it, so that its digest is minke's.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

mod blobs;

use std::path::{Path, PathBuf};

use minke_cas::{Digest, Store, StoreError};

use crate::json::{
    self, CONFIG, CONTAINERD_NAME, DOCKER_INDEX, DOCKER_MANIFEST, DockerImage, INDEX, Index, IndexEntry,
    MANIFEST, REF_NAME, to_bytes,
};
use crate::{
    Compression, Descriptor, Destination, Image, ImageError, Platform, RefName, Reference, TarError,
};
use blobs::Blobs;

/// How deep indexes may lie in indexes.
const MAX_DEPTH: usize = 4;

/// An image cannot be read from where it is.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store cannot keep the image, or a blob isn't what its digest says.
    #[error("the image in `{}` cannot be taken into the cache", path.display())]
    Store {
        /// The layout or archive.
        path: PathBuf,
        /// What is wrong.
        source: StoreError,
    },
    /// The operating system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The archive is damaged.
    #[error("`{}` is not a tar that can be read", path.display())]
    Tar {
        /// Which archive.
        path: PathBuf,
        /// What is wrong.
        source: TarError,
    },
    /// A file that the format asks for isn't there.
    #[error("`{}` has no `{member}`", path.display())]
    Missing {
        /// The layout or archive.
        path: PathBuf,
        /// What it should have.
        member: String,
    },
    /// A document is too large.
    #[error("`{member}` in `{}` is too large", path.display())]
    TooLarge {
        /// The layout or archive.
        path: PathBuf,
        /// Which part of it.
        member: String,
    },
    /// A document is not what it should be.
    #[error("`{member}` in `{}` is not what it should be", path.display())]
    Json {
        /// The layout or archive.
        path: PathBuf,
        /// Which part of it.
        member: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No image has the name, or, without a name, there are several.
    #[error("`{}` has no single image that fits; it has {}", path.display(), found.join(", "))]
    Name {
        /// The layout or archive.
        path: PathBuf,
        /// What the images there are called.
        found: Vec<String>,
    },
    /// An index has no image for the platform.
    #[error("`{}` has no image for {platform}", path.display())]
    Platform {
        /// The layout or archive.
        path: PathBuf,
        /// What was wanted.
        platform: Platform,
    },
    /// What was taken in is no image.
    #[error("`{}` holds no image that can be used", path.display())]
    Image {
        /// The layout or archive.
        path: PathBuf,
        /// What is wrong.
        source: ImageError,
    },
}

/// Where an image comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `oci:DIR[:TAG]`.
    OciLayout {
        /// The layout's directory.
        directory: PathBuf,
        /// What the index calls the image; not needed where there is only one.
        name: Option<RefName>,
    },
    /// `oci-archive:FILE[:TAG]`.
    OciArchive {
        /// The tar.
        file: PathBuf,
        /// What the index calls the image; not needed where there is only one.
        name: Option<RefName>,
    },
    /// `docker-archive:FILE[:NAME[:TAG]]`.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// What the image is called; not needed where there is only one.
        name: Option<Reference>,
    },
}

/// A destination is no place that images can be read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image cannot be read from the Docker daemon; save `{name}` to a file first")]
pub struct OriginError {
    /// The image in the daemon.
    pub name: Reference,
}

impl TryFrom<Destination> for Origin {
    type Error = OriginError;

    fn try_from(destination: Destination) -> Result<Self, OriginError> {
        match destination {
            Destination::OciLayout { directory, name } => Ok(Self::OciLayout { directory, name }),
            Destination::OciArchive { file, name } => Ok(Self::OciArchive { file, name }),
            Destination::DockerArchive { file, name } => Ok(Self::DockerArchive { file, name }),
            Destination::DockerDaemon { name } => Err(OriginError { name }),
        }
    }
}

/// Takes an image into the store.
///
/// # Errors
/// Any [`ImportError`].
pub fn import(store: &Store, origin: &Origin, platform: &Platform) -> Result<Image, ImportError> {
    let (path, mut blobs) = match origin {
        Origin::OciLayout { directory, .. } => (directory, Blobs::layout(directory)),
        Origin::OciArchive { file, .. } | Origin::DockerArchive { file, .. } => (file, Blobs::archive(file)?),
    };
    let manifest = match origin {
        Origin::OciLayout { name, .. } | Origin::OciArchive { name, .. } => {
            import_layout(store, &mut blobs, name.as_ref(), platform)?
        }
        Origin::DockerArchive { name, .. } => import_docker(store, &mut blobs, name.as_ref())?,
    };
    Image::load(store, &manifest).map_err(|source| ImportError::Image { path: path.clone(), source })
}

fn import_layout(
    store: &Store,
    blobs: &mut Blobs,
    name: Option<&RefName>,
    platform: &Platform,
) -> Result<Digest, ImportError> {
    let index: Index = blobs.document("index.json")?;
    let entry = choose(&index.manifests, name, blobs.path())?;
    let digest = descend(blobs, entry, platform)?;
    let manifest: json::Manifest = blobs.document(&member(&digest))?;
    for descriptor in manifest.layers.iter().chain([&manifest.config]) {
        take(store, blobs, &descriptor.digest)?;
    }
    take(store, blobs, &digest)?;
    Ok(digest)
}

/// Takes the one that has the name; without a name, the only one there is.
fn choose<'a>(
    entries: &'a [IndexEntry],
    name: Option<&RefName>,
    path: &Path,
) -> Result<&'a IndexEntry, ImportError> {
    let called = |entry: &&IndexEntry| match name {
        None => true,
        Some(name) => {
            [REF_NAME, CONTAINERD_NAME].iter().any(|key| entry.annotation(key) == Some(name.as_str()))
        }
    };
    let mut fitting = entries.iter().filter(called);
    match (fitting.next(), fitting.next()) {
        (Some(entry), None) => Ok(entry),
        _ => {
            let found = entries
                .iter()
                .map(|entry| entry.annotation(REF_NAME).unwrap_or("one without a name").to_owned());
            Err(ImportError::Name { path: path.to_owned(), found: found.collect() })
        }
    }
}

/// Follows indexes to the manifest for the platform.
fn descend(blobs: &mut Blobs, entry: &IndexEntry, platform: &Platform) -> Result<Digest, ImportError> {
    let mut entry = entry.clone();
    let unsuitable =
        |blobs: &Blobs| ImportError::Platform { path: blobs.path().to_owned(), platform: platform.clone() };
    for _ in 0..MAX_DEPTH {
        match entry.media_type.as_str() {
            MANIFEST | DOCKER_MANIFEST => return Ok(entry.digest),
            INDEX | DOCKER_INDEX => {}
            _ => break,
        }
        let index: Index = blobs.document(&member(&entry.digest))?;
        let fits = |entry: &IndexEntry| {
            entry.platform.as_ref().is_some_and(|there| {
                (&there.os, &there.architecture) == (&platform.os, &platform.architecture)
                    && (platform.variant.is_none() || there.variant == platform.variant)
            })
        };
        entry = index.manifests.into_iter().find(fits).ok_or_else(|| unsuitable(blobs))?;
    }
    Err(unsuitable(blobs))
}

fn import_docker(store: &Store, blobs: &mut Blobs, name: Option<&Reference>) -> Result<Digest, ImportError> {
    let images: Vec<DockerImage> = blobs.document("manifest.json")?;
    let called = |image: &&DockerImage| match name {
        None => true,
        Some(name) => image.repo_tags.iter().flatten().any(|tag| *tag == name.tagged()),
    };
    let mut fitting = images.iter().filter(called);
    let (Some(image), None) = (fitting.next(), fitting.next()) else {
        let found = images.iter().flat_map(|image| image.repo_tags.clone().unwrap_or_default()).collect();
        return Err(ImportError::Name { path: blobs.path().to_owned(), found });
    };
    let (digest, size) = blobs.store(store, &image.config)?;
    let config = Descriptor { media_type: CONFIG.to_owned(), digest, size };
    let mut layers = Vec::new();
    for layer in &image.layers {
        let (digest, size) = blobs.store(store, layer)?;
        let compression = sniff(store, &digest).map_err(|source| failed(blobs, source))?;
        layers.push(Descriptor { media_type: compression.media_type().to_owned(), digest, size });
    }
    let media_type = Some(MANIFEST.to_owned());
    let manifest = json::Manifest { schema_version: 2, media_type, config, layers, annotations: None };
    store.put(&to_bytes(&manifest)).map_err(|source| failed(blobs, source))
}

/// Tells the compression by the first bytes: archives for Docker don't say it.
fn sniff(store: &Store, digest: &Digest) -> Result<Compression, StoreError> {
    use std::io::Read;
    let mut magic = Vec::new();
    let unread = |source| StoreError::Io { action: "read", path: store.blob_path(digest), source };
    store.open_blob(digest)?.take(4).read_to_end(&mut magic).map_err(unread)?;
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    })
}

fn take(store: &Store, blobs: &mut Blobs, digest: &Digest) -> Result<(), ImportError> {
    if store.has(digest) {
        return Ok(());
    }
    let reader = blobs.open(&member(digest))?;
    store.put_expected(reader, digest).map_err(|source| failed(blobs, source))?;
    Ok(())
}

fn failed(blobs: &Blobs, source: StoreError) -> ImportError {
    ImportError::Store { path: blobs.path().to_owned(), source }
}

fn member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[cfg(test)]
mod tests;
