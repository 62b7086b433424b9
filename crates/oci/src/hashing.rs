//! The hash of a layer's tar, with one thread that brings the bytes ahead of the one that hashes them.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use minke_cas::{DiffId, Hasher};

use crate::LayerError;
use crate::tar::END;

/// How much tar is handed over at once, and how often before who brings it waits for who hashes.
pub(crate) const PIECE: usize = 256 * 1024;
const AHEAD: usize = 8;

/// Takes the bytes of a tar, in order.
pub(crate) struct Pieces {
    full: SyncSender<Handed>,
    hashed: Receiver<Vec<u8>>,
}

enum Handed {
    Bytes(Vec<u8>),
    /// How far the hash is by now is wanted.
    Border,
}

/// A tar that is hashed as far as this.
pub(crate) struct Hashed {
    pub(crate) hasher: Hasher,
    /// In bytes.
    pub(crate) size: u64,
}

impl Hashed {
    /// Begins a layer with its directories.
    pub(crate) fn head(head: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(head);
        Self { hasher, size: head.len() as u64 }
    }
}

impl Pieces {
    /// Hands bytes over, as soon as they are wanted.
    pub(crate) fn put(&self, piece: Vec<u8>) {
        // Who hashes goes away only when it panics, and then its panic is what is heard.
        let _ = self.full.send(Handed::Bytes(piece));
    }

    /// Asks for the state of the hash after all that was handed over.
    pub(crate) fn border(&self) {
        let _ = self.full.send(Handed::Border);
    }

    /// Returns an empty buffer of [`PIECE`] bytes, one that was hashed if there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.hashed.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE))
    }
}

/// Hashes and measures a layer's tar: what was hashed, what `bring` brings, the end marker. Returns the states at the
/// borders, too.
///
/// # Errors
/// Those of `bring`.
pub(crate) fn hash(
    Hashed { mut hasher, mut size }: Hashed,
    bring: impl FnOnce(&Pieces) -> Result<(), LayerError> + Send,
) -> Result<((DiffId, u64), Vec<Hasher>), LayerError> {
    let mut borders = Vec::new();
    let (full, handed) = sync_channel::<Handed>(AHEAD);
    let (spent, hashed) = channel();
    thread::scope(|scope| {
        let brought = scope.spawn(move || bring(&Pieces { full, hashed }));
        for handed in handed {
            match handed {
                Handed::Bytes(mut piece) => {
                    hasher.update(&piece);
                    size += piece.len() as u64;
                    piece.clear();
                    // Who brings may have brought all by now.
                    let _ = spent.send(piece);
                }
                Handed::Border => borders.push(hasher.clone()),
            }
        }
        brought.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    hasher.update(&END);
    size += END.len() as u64;
    Ok(((DiffId::of_uncompressed(hasher.finish()), size), borders))
}
