//! OCI layouts as directories, that may hold other images beside.
//!
//! Blobs first, the index last, each moved into place whole: a process that is killed leaves the layout as
//! it was, with some blobs that nothing refers to. Blobs that a replaced image leaves are not removed.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use minke_cas::Store;

use crate::json::{Index, IndexEntry, IndexPlatform, LAYOUT, MANIFEST, REF_NAME, to_bytes};
use crate::output::{OutputError, UNFINISHED, copy_blob, replace};
use crate::{Image, RefName};

/// Writes an image into an OCI layout, which is made where it is missing.
///
/// The image replaces one that had the same name, or, without a name, one that had none; all others stay.
///
/// # Errors
/// [`OutputError::NotALayout`] if the directory has other things in it; [`OutputError::Index`] if its index
/// isn't one; [`OutputError::Io`], [`OutputError::Store`] and [`OutputError::Size`].
pub fn write_layout(
    store: &Store,
    image: &Image,
    directory: &Path,
    name: Option<&RefName>,
) -> Result<(), OutputError> {
    let blobs = directory.join("blobs/sha256");
    check_directory(directory)?;
    fs::create_dir_all(&blobs).map_err(OutputError::io("make", &blobs))?;
    // Two processes that write to one layout must not lose each other's names. The lock goes with the file.
    let lock = fs::File::open(directory).map_err(OutputError::io("open", directory))?;
    lock.lock().map_err(OutputError::io("lock", directory))?;

    replace_with(&directory.join("oci-layout"), LAYOUT.as_bytes())?;
    for (digest, size) in image.blobs() {
        let place = blobs.join(digest.hex());
        if !fs::metadata(&place).is_ok_and(|there| there.is_file() && there.len() == size) {
            replace(&place, |out| copy_blob(store, (&digest, size), out))?;
        }
    }
    let path = directory.join("index.json");
    let mut index = read_index(&path)?;
    let entry = index_entry(image, name.map(|name| (REF_NAME, name.as_str())));
    index.manifests.retain(|there| there.annotation(REF_NAME) != entry.annotation(REF_NAME));
    index.manifests.push(entry);
    replace_with(&path, &to_bytes(&index))
}

/// Describes an image in an index, with these annotations.
pub(crate) fn index_entry<'a>(
    image: &Image,
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> IndexEntry {
    let platform = &image.settings.platform;
    let annotations = annotations.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let annotations: BTreeMap<_, _> = annotations.collect();
    IndexEntry {
        media_type: MANIFEST.to_owned(),
        digest: image.manifest,
        size: image.manifest_size,
        platform: Some(IndexPlatform {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            rest: BTreeMap::new(),
        }),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        rest: BTreeMap::new(),
    }
}

/// Refuses a directory in which somebody keeps something else.
fn check_directory(directory: &Path) -> Result<(), OutputError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OutputError::io("read", directory)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<Result<_, _>>().map_err(OutputError::io("read", directory))?;
    // A layout that was never finished has only its blobs.
    let ours = |name: &std::ffi::OsString| name == "blobs" || name.to_string_lossy().starts_with(UNFINISHED);
    if names.iter().any(|name| name == "oci-layout") || names.iter().all(ours) {
        return Ok(());
    }
    Err(OutputError::NotALayout { directory: directory.to_owned() })
}

fn read_index(path: &Path) -> Result<Index, OutputError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| OutputError::Index { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::new(Vec::new())),
        Err(error) => Err(OutputError::io("read", path)(error)),
    }
}

fn replace_with(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    replace(path, |out| out.write_all(bytes).map_err(OutputError::io("write", path)))
}

#[cfg(test)]
mod tests;
