//! The images that the user has names for.

use minke_cas::{Digest, Store, StoreError};

use crate::Reference;

const KIND: &str = "images";

/// A name and the image that it stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageRecord {
    /// The name, with its tag.
    pub name: Reference,
    /// The image's manifest.
    pub manifest: Digest,
}

/// Gives an image a name, in place of the image that had it before.
///
/// # Errors
/// [`StoreError::Io`].
pub fn set(store: &Store, name: &Reference, manifest: &Digest) -> Result<(), StoreError> {
    store.set_name(KIND, &name.tagged(), &manifest.to_string())
}

/// Returns the image of this name, if there is one; a digest in `name` is not looked at.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Missing`] if what is kept for the name is no digest.
pub fn get(store: &Store, name: &Reference) -> Result<Option<ImageRecord>, StoreError> {
    let name = name.tagged();
    store.name(KIND, &name)?.map(|text| record(&name, &text)).transpose()
}

/// Returns all named images in name order.
///
/// # Errors
/// As [`get`].
pub fn list(store: &Store) -> Result<Vec<ImageRecord>, StoreError> {
    store.names(KIND)?.iter().map(|(name, text)| record(name, text)).collect()
}

/// Takes a name away, and tells whether there was one; the image's blobs stay.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove(store: &Store, name: &Reference) -> Result<bool, StoreError> {
    store.forget_name(KIND, &name.tagged())
}

fn record(name: &str, text: &str) -> Result<ImageRecord, StoreError> {
    let damaged = || StoreError::Missing { what: format!("the digest of image `{name}`") };
    let (name, manifest) = (name.parse().map_err(|_| damaged())?, text.parse().map_err(|_| damaged())?);
    Ok(ImageRecord { name, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_image_that_had_it_last() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let name = |text: &str| text.parse::<Reference>().unwrap();
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        set(&store, &name("host.test:5000/b/app:2"), &one).unwrap();
        set(&store, &name("app"), &one).unwrap();
        set(&store, &name("app:latest"), &two).unwrap();
        let records = [
            ImageRecord { name: name("app"), manifest: two },
            ImageRecord { name: name("host.test:5000/b/app:2"), manifest: one },
        ];
        assert_eq!(list(&store).unwrap(), records);
        assert_eq!(get(&store, &name("app")).unwrap(), Some(records[0].clone()));
        assert!(remove(&store, &name("app")).unwrap());
        assert!(!remove(&store, &name("app")).unwrap());
        assert_eq!(get(&store, &name("app")).unwrap(), None);
    }
}
