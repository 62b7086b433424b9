//! Results that are computed once: a key of all inputs, and what came of them.
//!
//! A result is kept beside the list of all blobs and packs that it speaks of, and is believed only while those
//! are there and as long as they were: whoever takes something from the cache need not know who needs it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::references::Needs;
use super::{Access, Store, StoreError, shard};
use crate::Digest;

/// A result as it is kept.
#[derive(Deserialize)]
struct Kept<V> {
    needs: Needs,
    value: V,
}

impl Store {
    /// Returns what was computed for this key before, or computes and keeps it.
    ///
    /// `kind` names the computation with its version, such as `wheel-1`: a change of what is computed needs
    /// a new one. `key` is a struct of *all* inputs and no host fact. What another thread or process is
    /// computing is waited for, so this is not to be called by a thread that others count on to do their work,
    /// such as rayon's.
    ///
    /// # Errors
    /// Those of `compute`; a result that cannot be kept is [`StoreError::Io`].
    pub fn memo<K, V, E>(&self, kind: &str, key: &K, compute: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Serialize,
        V: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        if let Some(value) = self.recall(kind, key) {
            return Ok(value);
        }
        let turn = self.turn(kind, &digest(key))?;
        // Whoever had the turn before has most likely made it.
        if turn.is_some()
            && let Some(value) = self.recall(kind, key)
        {
            return Ok(value);
        }
        let value = compute()?;
        self.remember(kind, key, &value)?;
        Ok(value)
    }

    /// Returns what was kept for this key, if anything was, can still be read, and has all that it speaks of.
    pub fn recall<K: Serialize, V: DeserializeOwned>(&self, kind: &str, key: &K) -> Option<V> {
        let place = memo_place(kind, &digest(key));
        let (path, _) = self.find(&place)?;
        let own = self.read_kept(&path);
        // What is here may have lost what it needs, when what is below has not.
        let below = self.inner.also.iter().map(|root| root.join(&place));
        own.or_else(|| below.filter(|below| *below != path).find_map(|path| self.read_kept(&path)))
    }

    fn read_kept<V: DeserializeOwned>(&self, path: &Path) -> Option<V> {
        let bytes = fs::read(path).ok()?;
        let kept: Kept<V> = serde_json::from_slice(&bytes).ok()?;
        self.are_there(&kept.needs).then_some(kept.value)
    }

    /// Keeps a result for this key, in place of any that was kept before.
    ///
    /// A read-only cache keeps nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remember<K: Serialize, V: Serialize>(
        &self,
        kind: &str,
        key: &K,
        value: &V,
    ) -> Result<(), StoreError> {
        if self.inner.access == Access::Read {
            return Ok(());
        }
        let value = serde_json::to_vec(value).expect("a remembered value has text keys");
        let needs = serde_json::to_vec(&self.needs_of(&value)).expect("a list of digests is JSON");
        let bytes = [b"{\"needs\":", needs.as_slice(), b",\"value\":", &value, b"}"].concat();
        let (path, mut file) = self.inner.scratch.file()?;
        std::io::Write::write_all(&mut file, &bytes).map_err(StoreError::io("write", &path))?;
        self.settle(&path, &self.inner.root.join(memo_place(kind, &digest(key))))
    }
}

/// Reads what a kept result needs; none for one that isn't right.
pub(super) fn needs_in(path: &Path) -> Option<Needs> {
    let kept: Kept<serde::de::IgnoredAny> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(kept.needs)
}

fn digest<K: Serialize>(key: &K) -> Digest {
    Digest::of(&serde_json::to_vec(key).expect("a memo key has text keys"))
}

fn memo_place(kind: &str, key: &Digest) -> PathBuf {
    Path::new("memo").join(kind).join(shard(&key.hex()))
}
