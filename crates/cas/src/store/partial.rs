//! Downloads on their way: one process fetches a blob while the others wait, and what a killed one had is gone on
//! with.
//!
//! A partial file lies under the digest that it will have and is locked by who writes it. Beside it may lie a
//! note of what the server said of it, for who goes on with it to ask whether it is still the same. The digest
//! decides in the end, so that no partial file has to be believed.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::blob::blob_place;
use super::{Store, StoreError, locks};
use crate::{Digest, Hasher, Source};

/// What nobody has gone on with for so long is swept away.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Notes are a few lines; more is none of ours.
const LONGEST_NOTE: u64 = 16 * 1024;

/// Who fetches a blob.
pub enum Claim {
    /// It is there.
    There,
    /// We do: this is what there is of it.
    Ours(Partial),
}

/// A blob that is being fetched; dropped before [`Partial::finish`], it stays for the next try.
pub struct Partial {
    store: Store,
    digest: Digest,
    path: PathBuf,
    file: fs::File,
    hasher: Hasher,
    size: u64,
    finished: bool,
}

impl Store {
    /// Claims a blob that is to be fetched; while another thread or process fetches it, waits.
    ///
    /// `what` is what the listener hears of the wait, and `progress` is called again and again during it with
    /// how many bytes there are by now.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`]; [`StoreError::Io`].
    pub fn claim(
        &self,
        source: &Source,
        what: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<Claim, StoreError> {
        self.writable()?;
        let digest = &source.digest;
        let path = self.inner.root.join("partial").join(digest.hex());
        let mut open = None;
        locks::wait(&self.inner.listener, what, || {
            if self.has_source(source) {
                return Ok(Some(Claim::There));
            }
            let file = match open.take() {
                Some(file) => file,
                None => open_partial(&path)?,
            };
            if !locks::have(file.try_lock(), &path)? {
                progress(file.metadata().map_or(0, |metadata| metadata.len()));
                open = Some(file);
                return Ok(None);
            }
            // Who had it before may have put it in its place, or dropped it.
            if !locks::is_at(&file, &path) || self.has_source(source) {
                return Ok(None);
            }
            Partial::resume(self, digest, &path, file).map(|partial| Some(Claim::Ours(partial)))
        })
    }
}

fn open_partial(path: &Path) -> Result<fs::File, StoreError> {
    let file = fs::File::options().read(true).append(true).create(true).open(path);
    file.map_err(StoreError::io("write", path))
}

impl Partial {
    fn resume(store: &Store, digest: &Digest, path: &Path, mut file: fs::File) -> Result<Self, StoreError> {
        let mut hasher = Hasher::new();
        let size = io::copy(&mut file, &mut hasher).map_err(StoreError::io("read", path))?;
        let (store, path, digest) = (store.clone(), path.to_owned(), *digest);
        Ok(Self { store, digest, path, file, hasher, size, finished: false })
    }

    /// Returns how many bytes there are.
    pub fn have(&self) -> u64 {
        self.size
    }

    /// Returns where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what was noted when the first of these bytes came.
    pub fn note(&self) -> Option<String> {
        let file = fs::File::open(self.note_path()).ok().filter(|_| self.size > 0)?;
        let mut text = String::new();
        file.take(LONGEST_NOTE).read_to_string(&mut text).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Drops what there is and notes where the next bytes come from.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn restart(&mut self, note: &str) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(StoreError::io("write", &self.path))?;
        self.hasher = Hasher::new();
        self.size = 0;
        // Written before any byte that it speaks of; a half one speaks of no byte.
        fs::write(self.note_path(), note).map_err(StoreError::io("write", self.note_path()))
    }

    /// Puts the blob in its place if it is what it should be, and drops it if not.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`]; [`StoreError::Io`].
    pub fn finish(&mut self) -> Result<(), StoreError> {
        let actual = self.hasher.clone().finish();
        if actual != self.digest {
            let (expected, size) = (self.digest, self.size);
            self.restart("")?;
            return Err(StoreError::Mismatch { expected, actual, size });
        }
        let place = self.store.inner.root.join(blob_place(&self.digest));
        self.store.settle(&self.path, &place)?;
        self.finished = true;
        let _ = fs::remove_file(self.note_path());
        Ok(())
    }

    fn note_path(&self) -> PathBuf {
        self.path.with_extension("from")
    }
}

impl Write for Partial {
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

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished && self.size == 0 {
            // Nothing is lost with it; what cannot be removed now is swept away later.
            let _ = fs::remove_file(self.note_path());
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what nobody has gone on with for a week.
pub(super) fn sweep(root: &Path) {
    for entry in fs::read_dir(root.join("partial")).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|written| written.elapsed());
        let is_old = age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED));
        let free = || fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_old && free() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
