//! What lies beside a blob: it isn't part of it, and stays as long as it does.

use super::{Store, StoreError};
use crate::Digest;

/// The kind of names under which it is kept; they keep nothing by themselves.
pub(super) const BESIDE: &str = "beside";

impl Store {
    /// Puts a blob beside another one, in place of what of this kind lay there before.
    ///
    /// [`Store::gc`] keeps it, and what it refers to, as long as a name stands for the other one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set_beside(&self, subject: &Digest, kind: &str, blob: &Digest) -> Result<(), StoreError> {
        self.set_name(BESIDE, &name(subject, kind), &blob.to_string())
    }

    /// Returns what of a kind lies beside a blob.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn beside(&self, subject: &Digest, kind: &str) -> Result<Option<Digest>, StoreError> {
        Ok(self.name(BESIDE, &name(subject, kind))?.and_then(|text| text.parse().ok()))
    }

    /// Forgets what lay beside blobs that are gone.
    pub(super) fn forget_strays(&self) -> Result<(), StoreError> {
        for (name, _) in self.names(BESIDE)? {
            if subject(&name).is_none_or(|subject| self.blob_size(&subject).is_none()) {
                self.forget_name(BESIDE, &name)?;
            }
        }
        Ok(())
    }
}

/// Returns what a name says that something lies beside.
pub(super) fn subject(name: &str) -> Option<Digest> {
    name.split_once(' ')?.0.parse().ok()
}

fn name(subject: &Digest, kind: &str) -> String {
    format!("{subject} {kind}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Digest, Keep, Store};

    #[test]
    fn what_lies_beside_a_blob_stays_as_long_as_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let subject = store.put(b"an image").unwrap();
        let ledger = store.put(b"what was taken").unwrap();
        // It names its subject, and must not keep it.
        let text = format!(r#"{{"subject":{{"digest":"{subject}"}},"layers":[{{"digest":"{ledger}"}}]}}"#);
        let artifact = store.put(text.as_bytes()).unwrap();
        store.set_beside(&subject, "ledger", &artifact).unwrap();
        store.set_name("images", "a:b", &subject.to_string()).unwrap();
        let all =
            |store: &Store| [subject, ledger, artifact].map(|digest| store.blob_size(&digest).is_some());
        let nothing = Keep { used_within: Some(Duration::ZERO), most_bytes: Some(0) };
        store.gc(nothing).unwrap();
        assert_eq!(all(&store), [true; 3]);
        assert_eq!(store.beside(&subject, "ledger").unwrap(), Some(artifact));
        store.forget_name("images", "a:b").unwrap();
        store.gc(nothing).unwrap();
        assert_eq!(all(&store), [false; 3]);
        assert_eq!(store.beside(&subject, "ledger").unwrap(), None);
        assert_eq!(store.beside(&Digest::of(b"another"), "ledger").unwrap(), None);
    }
}
