//! Files outside the store: they appear in their place when they are whole.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Store, StoreError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};

/// How the names of files start that aren't in their place yet; what a killed process leaves may be deleted.
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

/// Writes a file that gets its name when it is whole, in place of any other of that name.
///
/// Until then it has no name at all, where the file system can do that, so that even a killed process leaves
/// nothing; elsewhere it has another one beside.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let unwritten = || OutputError::io("write", path);
    let fill = |file: &fs::File| {
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        write(&mut out).map_err(|error| match error {
            OutputError::Stream(source) => unwritten()(source),
            other => other,
        })?;
        out.flush().map_err(unwritten())
    };
    // What has no name yet is the file that was asked for.
    let unmade = |error| unwritten()(without_path(error));
    let mut builder = tempfile::Builder::new();
    // The process's umask takes away from it, as it does for any new file.
    builder.prefix(UNFINISHED).permissions(fs::Permissions::from_mode(0o666));
    let whole = match nameless(directory) {
        Some((file, link)) => {
            fill(&file)?;
            let name = |path: &Path| Ok(linkat(CWD, &link, CWD, path, AtFlags::SYMLINK_FOLLOW)?);
            builder.make_in(directory, name).map_err(unmade)?.into_temp_path()
        }
        None => {
            let file = builder.tempfile_in(directory).map_err(unmade)?;
            fill(file.as_file())?;
            file.into_temp_path()
        }
    };
    whole.persist(path).map_err(|error| unwritten()(error.error))
}

/// Returns what the system said, without the temporary name that `tempfile` adds to it.
fn without_path(error: io::Error) -> io::Error {
    let said = error.to_string();
    match said.split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said.to_owned()),
        None => error,
    }
}

/// Opens a file without a name, and says through which link it can be given one.
fn nameless(directory: &Path) -> Option<(fs::File, String)> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(directory, flags, Mode::from_raw_mode(0o666)).ok()?);
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::exists(&link).is_ok_and(|there| there).then_some((file, link))
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
