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
    full: SyncSender<Vec<u8>>,
    hashed: Receiver<Vec<u8>>,
}

impl Pieces {
    /// Hands bytes over, as soon as they are wanted.
    pub(crate) fn put(&self, piece: Vec<u8>) {
        // Who hashes goes away only when it panics, and then its panic is what is heard.
        let _ = self.full.send(piece);
    }

    /// Returns an empty buffer of [`PIECE`] bytes, one that was hashed if there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.hashed.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE))
    }
}

/// Hashes and measures a layer's tar: its head, what `bring` brings, the end marker.
///
/// # Errors
/// Those of `bring`.
pub(crate) fn hash(
    head: &[u8],
    bring: impl FnOnce(&Pieces) -> Result<(), LayerError> + Send,
) -> Result<(DiffId, u64), LayerError> {
    let mut hasher = Hasher::new();
    hasher.update(head);
    let mut size = (head.len() + END.len()) as u64;
    let (full, pieces) = sync_channel::<Vec<u8>>(AHEAD);
    let (spent, hashed) = channel();
    thread::scope(|scope| {
        let brought = scope.spawn(move || bring(&Pieces { full, hashed }));
        for mut piece in pieces {
            hasher.update(&piece);
            size += piece.len() as u64;
            piece.clear();
            // Who brings may have brought all by now.
            let _ = spent.send(piece);
        }
        brought.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    hasher.update(&END);
    Ok((DiffId::of_uncompressed(hasher.finish()), size))
}
