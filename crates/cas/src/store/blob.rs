//! Blobs: bytes by their sha256.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Store, StoreError, shard};
use crate::{Digest, Hasher, Source};

impl Store {
    /// Returns where a blob lies or would lie: for a process that reads it by name.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let place = blob_place(digest);
        self.find(&place).map_or_else(|| self.inner.root.join(place), |(path, _)| path)
    }

    /// Tells whether a blob is there; an empty file is none, unless the digest is that of nothing.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blob_size(digest).is_some()
    }

    /// Tells whether a blob is there and as long as it should be.
    pub fn has_whole(&self, digest: &Digest, size: u64) -> bool {
        self.blob_size(digest) == Some(size)
    }

    /// Tells whether what is to be fetched is there, as long as it should be where that is known.
    pub fn has_source(&self, source: &Source) -> bool {
        let size = self.blob_size(&source.digest);
        size.is_some_and(|size| source.size.is_none_or(|expected| size == expected))
    }

    /// Returns how long ago a blob of this cache was last used, to within a day; nothing if it isn't there.
    ///
    /// To ask is no use.
    pub fn unused_for(&self, digest: &Digest) -> Option<Duration> {
        let metadata = fs::metadata(self.inner.root.join(blob_place(digest))).ok()?;
        // What was used in the future was used now.
        Some(metadata.modified().ok()?.elapsed().unwrap_or_default())
    }

    /// Returns the length of a blob that is there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let (_, metadata) = self.find(&blob_place(digest))?;
        Some(metadata.len()).filter(|size| *size > 0 || *digest == Digest::of(b""))
    }

    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has_whole(&digest, bytes.len() as u64) {
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
        if self.has_whole(&digest, size) {
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
        self.writable()?;
        let (path, file) = self.inner.scratch.file()?;
        Ok(BlobWriter { store: self.clone(), path, file, hasher: Hasher::new(), size: 0, finished: false })
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it isn't there; [`StoreError::Damaged`] if it is empty and should not be;
    /// [`StoreError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<fs::File, StoreError> {
        let missing = || StoreError::Missing { what: digest.to_string() };
        let (path, metadata) = self.find(&blob_place(digest)).ok_or_else(missing)?;
        if metadata.len() == 0 && *digest != Digest::of(b"") {
            return Err(StoreError::Damaged { path });
        }
        fs::File::open(&path).map_err(StoreError::io("open", path))
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
}

/// Returns where a blob lies, relative to a cache's root.
pub(super) fn blob_place(digest: &Digest) -> PathBuf {
    Path::new("blobs").join(shard(&digest.hex()))
}

/// Hands on all that a reader gives and returns how many bytes that were.
pub(super) fn copy(
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
        self.store.settle(&self.path, &self.store.inner.root.join(blob_place(&digest)))?;
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
