//! Packs: the contents of one unpacked archive in one file.
//!
//! Eighteen thousand loose files cost 1.5 s to write, one pack 0.17 s; and what reads them later (hashing,
//! compressing, layers) reads them in the order in which they were written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, copy};
use crate::{Digest, File, Hasher};

/// Names a pack by what it was made from, so that the same archive is unpacked once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackId(Digest);

impl PackId {
    /// Derives the id from the kind of unpacking (with its version, such as `wheel-1`) and its input.
    pub fn of(kind: &str, input: &Digest) -> Self {
        Self(Digest::of(format!("{kind}\0{input}").as_bytes()))
    }
}

type Extents = BTreeMap<Digest, (u64, u64)>;

/// So many packs are kept open for the next reader: a process may have 1024 files, and an image has two packs
/// for each of its distributions.
const MOST_OPEN: usize = 128;

pub(super) type OpenPacks = HashMap<PackId, Arc<OpenPack>>;

pub(super) struct OpenPack {
    path: PathBuf,
    file: fs::File,
    extents: Extents,
}

/// Writes a pack; dropped before [`PackWriter::finish`], it is gone.
pub struct PackWriter {
    store: Store,
    id: PackId,
    path: PathBuf,
    file: BufWriter<fs::File>,
    extents: Extents,
    position: u64,
    finished: bool,
}

impl Store {
    pub(super) fn pack_path(&self, id: PackId) -> PathBuf {
        let hex = id.0.hex();
        self.inner.root.join("packs").join(&hex[..2]).join(hex)
    }

    /// Tells whether a pack is there, whole.
    pub fn has_pack(&self, id: PackId) -> bool {
        self.pack_path(id).is_file()
    }

    /// Starts a pack.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn pack_writer(&self, id: PackId) -> Result<PackWriter, StoreError> {
        let (path, file) = self.inner.scratch.file()?;
        let file = BufWriter::with_capacity(256 * 1024, file);
        Ok(PackWriter {
            store: self.clone(),
            id,
            path,
            file,
            extents: Extents::new(),
            position: 0,
            finished: false,
        })
    }

    /// Opens the content of a tree's file for reading.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if its blob or pack isn't there or hasn't got it; [`StoreError::Io`].
    pub fn content(&self, file: &File) -> Result<Content, StoreError> {
        let Some(id) = file.pack else {
            let path = self.blob_path(&file.content);
            let blob = OpenPack { file: self.open_blob(&file.content)?, path, extents: Extents::new() };
            return Ok(Content { pack: Arc::new(blob), position: 0, end: file.size });
        };
        let pack = self.open_pack(id)?;
        let missing = || StoreError::Missing { what: format!("{} of pack {}", file.content, id.0) };
        let (offset, size) = *pack.extents.get(&file.content).ok_or_else(missing)?;
        Ok(Content { pack, position: offset, end: offset + size })
    }

    fn open_pack(&self, id: PackId) -> Result<Arc<OpenPack>, StoreError> {
        if let Some(pack) = self.inner.packs.lock().expect("no thread panics with this lock").get(&id) {
            return Ok(Arc::clone(pack));
        }
        let path = self.pack_path(id);
        let file = fs::File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { what: format!("pack {}", id.0) },
            _ => StoreError::io("open", &path)(error),
        })?;
        let listing = path.with_extension("json");
        let bytes = fs::read(&listing).map_err(StoreError::io("read", &listing))?;
        let extents: Extents =
            serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged { path: listing.clone() })?;
        let size = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if extents.values().any(|(offset, length)| offset + length > size) {
            return Err(StoreError::Damaged { path });
        }
        let pack = Arc::new(OpenPack { path, file, extents });
        let mut packs = self.inner.packs.lock().expect("no thread panics with this lock");
        if packs.len() >= MOST_OPEN {
            // Those that somebody reads from stay open for him.
            packs.clear();
        }
        packs.insert(id, Arc::clone(&pack));
        Ok(pack)
    }
}

impl PackWriter {
    /// Returns the id that the pack will have, for the [`File`]s that lie in it.
    pub fn id(&self) -> PackId {
        self.id
    }

    /// Adds all that a reader gives and returns its digest and size in bytes; equal contents lie there once.
    ///
    /// # Errors
    /// [`StoreError::Input`] if the reader fails, after which the pack cannot be used; [`StoreError::Io`].
    pub fn add(&mut self, mut reader: impl Read) -> Result<(Digest, u64), StoreError> {
        let mut hasher = Hasher::new();
        let size = copy(&mut reader, |bytes| {
            hasher.update(bytes);
            self.file.write_all(bytes).map_err(StoreError::io("write", &self.path))
        })?;
        let digest = hasher.finish();
        // A content that is there already stays a second time in the file, unused: seeking back would cost
        // more than the few bytes are worth.
        self.extents.entry(digest).or_insert((self.position, size));
        self.position += size;
        Ok((digest, size))
    }

    /// Puts the pack in its place.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(mut self) -> Result<PackId, StoreError> {
        self.file.flush().map_err(StoreError::io("write", &self.path))?;
        let place = self.store.pack_path(self.id);
        let (listing, mut file) = self.store.inner.scratch.file()?;
        let bytes = serde_json::to_vec(&self.extents).expect("a map of numbers is JSON");
        file.write_all(&bytes).map_err(StoreError::io("write", &listing))?;
        // The listing first: a pack that is there has one.
        self.store.settle(&listing, &place.with_extension("json"))?;
        self.store.settle(&self.path, &place)?;
        self.finished = true;
        Ok(self.id)
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is swept away with the scratch directory.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The content of one file, read from its pack or blob.
pub struct Content {
    pack: Arc<OpenPack>,
    position: u64,
    end: u64,
}

impl Content {
    /// Returns the file that holds the content, for a process that reads it by name.
    pub fn path(&self) -> &Path {
        &self.pack.path
    }

    /// Returns where in [`Content::path`] the rest of the content lies: offset and length in bytes.
    pub fn extent(&self) -> (u64, u64) {
        (self.position, self.end - self.position)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.end - self.position).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.pack.file.read_at(&mut buffer[..wanted], self.position)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is shorter than was recorded",
            ));
        }
        self.position += count as u64;
        Ok(count)
    }
}
