//! Results that are computed once: a key of all inputs, and what came of them.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, StoreError};
use crate::Digest;

impl Store {
    /// Returns what was computed for this key before, or computes and keeps it.
    ///
    /// `kind` names the computation with its version, such as `wheel-1`: a change of what is computed needs
    /// a new one. `key` is a struct of *all* inputs and no host fact.
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
        let value = compute()?;
        self.remember(kind, key, &value)?;
        Ok(value)
    }

    /// Returns what was kept for this key, if anything was and can still be read.
    pub fn recall<K: Serialize, V: DeserializeOwned>(&self, kind: &str, key: &K) -> Option<V> {
        let bytes = fs::read(self.memo_path(kind, key)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a result for this key, in place of any that was kept before.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remember<K: Serialize, V: Serialize>(
        &self,
        kind: &str,
        key: &K,
        value: &V,
    ) -> Result<(), StoreError> {
        let (path, mut file) = self.inner.scratch.file()?;
        let bytes = serde_json::to_vec(value).expect("a remembered value has text keys");
        std::io::Write::write_all(&mut file, &bytes).map_err(StoreError::io("write", &path))?;
        self.settle(&path, &self.memo_path(kind, key))
    }

    fn memo_path<K: Serialize>(&self, kind: &str, key: &K) -> PathBuf {
        let key = serde_json::to_vec(key).expect("a memo key has text keys");
        let hex = Digest::of(&key).hex();
        self.inner.root.join("memo").join(kind).join(&hex[..2]).join(hex)
    }
}
