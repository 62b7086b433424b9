//! Files outside the store: written beside their place, then moved there whole.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Store, StoreError};

/// How files that aren't finished are called; what a killed process leaves of them may be deleted.
pub(crate) const UNFINISHED: &str = ".minke-";

/// An image cannot be written to where it should go.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The store lacks a part of the image.
    #[error("the image's parts cannot be read")]
    Store(#[from] StoreError),
    /// The operating system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The stream that the image goes to takes no more.
    #[error("the image cannot be sent on")]
    Stream(#[source] io::Error),
    /// A part of the image has another size than its manifest says.
    #[error("{digest} in the cache has {actual} bytes where the image says {expected}")]
    Size {
        /// Which part.
        digest: Digest,
        /// What the manifest says.
        expected: u64,
        /// What the store has.
        actual: u64,
    },
    /// A layer is compressed with zstd, which Docker's own archives don't have.
    #[error("the layer `{layer}` is compressed with zstd, which an archive for `docker load` cannot hold")]
    Zstd {
        /// Which layer.
        layer: String,
    },
    /// The directory has files in it and is no OCI layout.
    #[error("`{}` is not empty and not an OCI layout", directory.display())]
    NotALayout {
        /// Which directory.
        directory: PathBuf,
    },
    /// The layout that is there already has an index that cannot be read.
    #[error("`{}` is not an OCI layout's index", path.display())]
    Index {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl OutputError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Writes a file under another name in its directory, and moves it to its place when it is whole.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        // The process's umask takes away from it, as it does for any new file.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(OutputError::io("write", path))?;
    let mut file = BufWriter::with_capacity(256 * 1024, unfinished.as_file());
    write(&mut file)?;
    file.flush().map_err(OutputError::io("write", path))?;
    drop(file);
    unfinished.persist(path).map_err(|error| OutputError::io("write", path)(error.error))?;
    Ok(())
}

/// Copies a blob out of the store and checks its size.
pub(crate) fn copy_blob(
    store: &Store,
    (digest, expected): (&Digest, u64),
    out: &mut impl Write,
) -> Result<(), OutputError> {
    let blob = store.open_blob(digest)?;
    let unread = |source| StoreError::Io { action: "read", path: store.blob_path(digest), source };
    let actual = blob.metadata().map_err(unread)?.len();
    if actual != expected {
        return Err(OutputError::Size { digest: *digest, expected, actual });
    }
    let mut blob = io::BufReader::with_capacity(256 * 1024, blob);
    io::copy(&mut blob, out).map_err(OutputError::Stream)?;
    Ok(())
}
