//! The cache: blobs by digest, packs of small files, remembered results, and scratch space.
//!
//! ```text
//! CACHE/v1/blobs/ab/ab12…       bytes by their sha256: downloads, compressed segments, layers, manifests
//! CACHE/v1/packs/ab/ab12…       the contents of one unpacked archive, one after the other
//! CACHE/v1/packs/ab/ab12….json  which content lies where in it
//! CACHE/v1/memo/KIND/ab/ab12…   a remembered result beside the key it was computed from
//! CACHE/v1/rooms/ab12…/         a tree written out as loose files
//! CACHE/v1/names/…              what the user calls things: small texts that may be replaced
//! CACHE/v1/scratch/…            work that isn't finished; whose process is gone is swept away
//! ```
//!
//! Everything is written under a unique temporary name in `scratch` and renamed when it is whole, so that a
//! process that is killed leaves nothing a later one believes. Files are not synced to the disk: after a
//! power failure, what was written last may be empty; sizes are checked on opening, and `minke cache
//! clean` starts anew.
//!
//! This module is the one door to the cache directory.

mod memo;
mod names;
mod pack;
mod room;
mod scratch;

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::{Digest, File, Hasher};

pub use pack::{Content, PackId, PackWriter};
pub use room::Ownership;
pub use scratch::Scratch;

/// The content-addressed cache; cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    packs: Mutex<pack::OpenPacks>,
    scratch: scratch::Home,
}

/// The cache cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {action} `{}` in the cache", path.display())]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what they were said to be.
    #[error("expected {expected}, got {actual} ({size} bytes)")]
    Mismatch {
        /// What the bytes should hash to.
        expected: Digest,
        /// What they hash to.
        actual: Digest,
        /// How many there were.
        size: u64,
    },
    /// A reader from which a blob was to be made failed.
    #[error("cannot read what was to be stored")]
    Input(#[source] io::Error),
    /// Something that should be in the cache is not.
    #[error("{what} is not in the cache; it was deleted or damaged from outside")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// A file in the cache is not what minke writes there.
    #[error("`{}` in the cache is damaged", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

impl StoreError {
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Store {
    /// Opens a cache, makes it where it is missing, and sweeps away what killed processes left.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the directory cannot be made or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::io("find", root))?.join("v1");
        for below in ["blobs", "packs", "memo", "rooms", "names", "scratch"] {
            let directory = root.join(below);
            fs::create_dir_all(&directory).map_err(StoreError::io("make", &directory))?;
        }
        // Backups, and minke itself where the cache lies in a project, pass over a directory that says what it is.
        // Spec: <https://bford.info/cachedir/>
        let tag = root.with_file_name("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(
                &tag,
                "Signature: 8a477f597d28d172789f06886806bc55\n# minke keeps what it can make again here.\n",
            )
            .map_err(StoreError::io("write", &tag))?;
        }
        let scratch = scratch::Home::open(&root.join("scratch"))?;
        Ok(Self { inner: Arc::new(Inner { root, packs: Mutex::default(), scratch }) })
    }

    /// Returns where the cache lies.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Returns where a blob lies or would lie: for a process that reads it by name.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.inner.root.join("blobs").join(&hex[..2]).join(hex)
    }

    /// Tells whether a blob is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let mut blob = self.blob_writer()?;
            blob.write_all(bytes).map_err(StoreError::io("write", self.blob_path(&digest)))?;
            blob.finish()?;
        }
        Ok(digest)
    }

    /// Stores all that a reader gives and refuses it if it isn't what was expected.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] for other bytes, which are dropped; [`StoreError::Input`] if the reader
    /// fails; [`StoreError::Io`].
    pub fn put_expected(&self, mut reader: impl Read, expected: &Digest) -> Result<u64, StoreError> {
        let mut blob = self.blob_writer()?;
        copy(&mut reader, |bytes| {
            blob.write_all(bytes).map_err(StoreError::io("write", self.blob_path(expected)))
        })?;
        blob.finish_expected(expected)
    }

    /// Stores a file of the user's, of which little is in memory at a time; one that is there is only read.
    ///
    /// # Errors
    /// [`StoreError::Input`] if it cannot be read; [`StoreError::Io`].
    pub fn put_file(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        let mut file = fs::File::open(path).map_err(StoreError::Input)?;
        let mut hasher = Hasher::new();
        let size = copy(&mut file, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        let digest = hasher.finish();
        if self.has(&digest) {
            return Ok((digest, size));
        }
        file.rewind().map_err(StoreError::Input)?;
        let mut blob = self.blob_writer()?;
        // It may have changed meanwhile: what counts is what is read now.
        copy(&mut file, |bytes| {
            blob.write_all(bytes).map_err(StoreError::io("write", self.blob_path(&digest)))
        })?;
        blob.finish()
    }

    /// Starts a blob whose digest is known when it is whole.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let (path, file) = self.inner.scratch.file()?;
        Ok(BlobWriter { store: self.clone(), path, file, hasher: Hasher::new(), size: 0, finished: false })
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it isn't there; [`StoreError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<fs::File, StoreError> {
        let path = self.blob_path(digest);
        match fs::File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing { what: digest.to_string() })
            }
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }

    /// Reads a whole blob into memory: for small ones.
    ///
    /// # Errors
    /// As [`Store::open_blob`].
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut file = self.open_blob(digest)?;
        file.read_to_end(&mut bytes).map_err(StoreError::io("read", self.blob_path(digest)))?;
        Ok(bytes)
    }

    /// Reads the whole content of a tree's file into memory.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if its blob or pack isn't there; [`StoreError::Io`].
    pub fn read_file(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::with_capacity(file.size as usize);
        let mut content = self.content(file)?;
        content.read_to_end(&mut bytes).map_err(StoreError::io("read", content.path().to_owned()))?;
        Ok(bytes)
    }

    /// Moves a finished scratch file to its place; whoever came first has written the same.
    fn settle(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let parent = to.parent().expect("a place in the cache has a directory");
        fs::create_dir_all(parent).map_err(StoreError::io("make", parent))?;
        fs::rename(from, to).map_err(StoreError::io("write", to))
    }
}

/// Hands on all that a reader gives and returns how many bytes that were.
fn copy(
    reader: &mut impl Read,
    mut write: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                write(&buffer[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::Input(error)),
        }
    }
}

/// A blob that is being written; dropped before [`BlobWriter::finish`], it is gone.
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    file: fs::File,
    hasher: Hasher,
    size: u64,
    finished: bool,
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Puts the blob in its place and returns its digest and size in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(mut self) -> Result<(Digest, u64), StoreError> {
        let digest = self.hasher.clone().finish();
        self.store.settle(&self.path, &self.store.blob_path(&digest))?;
        self.finished = true;
        Ok((digest, self.size))
    }

    /// Puts the blob in its place if it is what was expected, and drops it if not.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`]; [`StoreError::Io`].
    pub fn finish_expected(self, expected: &Digest) -> Result<u64, StoreError> {
        let actual = self.hasher.clone().finish();
        if actual != *expected {
            return Err(StoreError::Mismatch { expected: *expected, actual, size: self.size });
        }
        Ok(self.finish()?.1)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is swept away with the scratch directory.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
