//! Images as one tar: an OCI layout, for Docker with the few lines that `docker load` reads beside.
//!
//! Members have a fixed order, time and owner, so that the same image is the same archive. Layers pass
//! from the store to the writer without being held.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>;
//! <https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format>

use std::io::Write;
use std::path::Path;

use minke_cas::{Digest, Epoch, Mode, Owner, Store};

use crate::json::{CONTAINERD_NAME, DockerImage, Index, IndexEntry, LAYOUT, REF_NAME, to_bytes};
use crate::layout::index_entry;
use crate::output::{OutputError, copy_blob, replace};
use crate::tar::{END, Member, MemberKind, header, padding};
use crate::{Compression, Image, RefName, Reference};

/// Writes an image as a tar of an OCI layout, in which it is the only one.
///
/// # Errors
/// [`OutputError::Stream`] if `out` fails; [`OutputError::Store`] and [`OutputError::Size`].
pub fn write_oci_archive(
    store: &Store,
    image: &Image,
    name: Option<&RefName>,
    out: impl Write,
) -> Result<(), OutputError> {
    let mut archive = Archive { out };
    archive.layout(&index_entry(image, name.map(|name| (REF_NAME, name.as_str()))))?;
    archive.finish(store, image)
}

/// Writes an image as one tar that is an OCI layout and what `docker save` writes.
///
/// Every Docker since 1.10 loads it, by either of its stores, and so does podman.
///
/// # Errors
/// [`OutputError::Zstd`] if a layer is compressed with zstd; else as [`write_oci_archive`].
pub fn write_docker_archive(
    store: &Store,
    image: &Image,
    name: &Reference,
    out: impl Write,
) -> Result<(), OutputError> {
    let is_zstd = |media_type: &str| Compression::of_media_type(media_type) == Some(Compression::Zstd);
    if let Some(layer) = image.layers.iter().find(|layer| is_zstd(&layer.descriptor.media_type)) {
        return Err(OutputError::Zstd { layer: layer.name.clone() });
    }
    let mut archive = Archive { out };
    let tag = name.tag().unwrap_or("latest");
    let full = full_name(name);
    archive.layout(&index_entry(image, [(CONTAINERD_NAME, full.as_str()), (REF_NAME, tag)]))?;
    archive.file(
        "manifest.json",
        &to_bytes(&[DockerImage {
            config: blob_path(&image.config),
            repo_tags: Some(vec![name.tagged()]),
            layers: image.layers.iter().map(|layer| blob_path(&layer.descriptor.digest)).collect(),
        }]),
    )?;
    archive.finish(store, image)
}

/// Writes a file as [`write_oci_archive`] does; another file of that name is replaced when the new one is whole.
///
/// # Errors
/// [`OutputError::Io`] if the file cannot be written; else as [`write_oci_archive`].
pub fn save_oci_archive(
    store: &Store,
    image: &Image,
    name: Option<&RefName>,
    file: &Path,
) -> Result<(), OutputError> {
    replace(file, |out| write_oci_archive(store, image, name, out))
}

/// Writes a file as [`write_docker_archive`] does; another file of that name is replaced when the new one is whole.
///
/// # Errors
/// [`OutputError::Io`] if the file cannot be written; else as [`write_docker_archive`].
pub fn save_docker_archive(
    store: &Store,
    image: &Image,
    name: &Reference,
    file: &Path,
) -> Result<(), OutputError> {
    replace(file, |out| write_docker_archive(store, image, name, out))
}

/// Returns the name in the form under which Docker looks images up.
///
/// Its containerd store keeps what an archive says as it is, but asks for the full form: an image that was
/// loaded as `app:latest` is listed and cannot be found (bazel-contrib/rules_img#716). Nothing is ever
/// fetched from the host that a name without one gets here.
fn full_name(name: &Reference) -> String {
    match name.host() {
        Some(_) => name.tagged(),
        None if name.path().contains('/') => format!("docker.io/{}", name.tagged()),
        None => format!("docker.io/library/{}", name.tagged()),
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

struct Archive<W> {
    out: W,
}

impl<W: Write> Archive<W> {
    /// The small files come first: who reads the archive as a stream then knows what the blobs are.
    fn layout(&mut self, entry: &IndexEntry) -> Result<(), OutputError> {
        self.file("oci-layout", LAYOUT.as_bytes())?;
        self.file("index.json", &to_bytes(&Index::new(vec![entry.clone()])))
    }

    fn finish(mut self, store: &Store, image: &Image) -> Result<(), OutputError> {
        self.header("blobs", MemberKind::Directory, Mode::EXECUTABLE)?;
        self.header("blobs/sha256", MemberKind::Directory, Mode::EXECUTABLE)?;
        for (digest, size) in image.blobs() {
            self.header(&blob_path(&digest), MemberKind::File { size }, Mode::REGULAR)?;
            copy_blob(store, (&digest, size), &mut self.out)?;
            self.pad(size)?;
        }
        self.write(&END)?;
        self.out.flush().map_err(OutputError::Stream)
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let size = bytes.len() as u64;
        self.header(path, MemberKind::File { size }, Mode::REGULAR)?;
        self.write(bytes)?;
        self.pad(size)
    }

    fn header(&mut self, path: &str, kind: MemberKind<'_>, mode: Mode) -> Result<(), OutputError> {
        self.write(&header(&Member { path, kind, mode, owner: Owner::default(), epoch: Epoch::FIXED }))
    }

    fn pad(&mut self, size: u64) -> Result<(), OutputError> {
        self.write(&END[..padding(size) as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.out.write_all(bytes).map_err(OutputError::Stream)
    }
}

#[cfg(test)]
mod tests;
