//! What lies in the place of a list of files that a mirror hasn't got as it was signed, and what is believed of it.
//!
//! Mirrors are updated in steps: the signed list of indexes may be there before the lists of files that it names, for
//! days. What lies under such a list's name meanwhile, most often the one before it, is signed by nobody. It only
//! ever leads to packages, and those are signed: each answer is held against the files of the package itself.

use std::io::BufReader;

use minke_cas::{Digest, ImagePath, Meter, Store};
use minke_distro::{Contents, IndexFile, deb};
use minke_net::{Client, FetchError, UnpinnedOptions};
use serde::{Deserialize, Serialize};

use super::lists::contents_of;
use super::{Debian, DebianError, Opened, in_pool};
use crate::contents::Supplier;

#[derive(Serialize)]
struct Named {
    signed: Digest,
}

/// What a memo says of a list that was fetched by name.
#[derive(Serialize, Deserialize)]
struct Found {
    list: Digest,
}

#[derive(Serialize)]
struct Held<'question> {
    package: Digest,
    path: &'question ImagePath,
}

/// How much longer a list may be than the one whose place it takes.
const LONGER: u64 = 2;

/// Tells whether a mirror hasn't got a list, or has another one than was signed.
pub(super) fn is_outdated(error: &FetchError) -> bool {
    matches!(
        error.cause(),
        FetchError::NotFound { .. } | FetchError::WrongDigest { .. } | FetchError::WrongSize { .. }
    )
}

impl Opened {
    /// Returns the index of what lies at the mirror under a list's name and what that hashes to, none if that cannot be
    /// used either.
    ///
    /// It is fetched once for each signed list.
    pub(super) fn stand_in(
        &self,
        (client, store): (&Client, &Store),
        file: &IndexFile,
    ) -> Result<Option<(Contents, Digest)>, DebianError> {
        let named = Named { signed: file.digest };
        let known = store.recall("stand-in-1", &named);
        let list = match &known {
            Some(Found { list }) => *list,
            None => {
                let url = self.archive.named(file).map_err(DebianError::address)?;
                let limit_bytes = file.size_bytes.saturating_mul(LONGER).saturating_add(1 << 20);
                let options = UnpinnedOptions { limit_bytes, ..UnpinnedOptions::default() };
                let Ok(bytes) = client.get_unpinned(&url, &options) else { return Ok(None) };
                store.put(&bytes)?
            }
        };
        match contents_of(store, (list, file.compression), &self.archive.suite, || Ok(())) {
            Ok(contents) => {
                if known.is_none() {
                    store.remember("stand-in-1", &named, &Found { list })?;
                }
                Ok(Some((contents, list)))
            }
            Err(DebianError::List { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Debian {
    /// Returns those suppliers whose packages really have the file, by the packages' own word.
    ///
    /// # Errors
    /// [`DebianError::FetchPackage`]; those of reading indexes.
    pub(super) fn held(
        &self,
        outside: (&Client, &Store),
        suppliers: Vec<Supplier>,
    ) -> Result<Vec<Supplier>, DebianError> {
        let mut held = Vec::new();
        for supplier in suppliers {
            if self.has(outside, &supplier)? {
                held.push(supplier);
            }
        }
        Ok(held)
    }

    fn has(&self, (client, store): (&Client, &Store), supplier: &Supplier) -> Result<bool, DebianError> {
        let Supplier { package: name, path, .. } = supplier;
        let suite = || self.archives[0].archive.suite.clone();
        let found = self.index(client, store)?.find(name.as_str());
        let found = found.map_err(|source| DebianError::Index { suite: suite(), source })?;
        let Some(package) = found else { return Ok(false) };
        store.memo("held-1", &Held { package: package.digest, path }, || {
            let file = (package.digest, package.size_bytes);
            let source = in_pool(&package.archive, &package.filename, file)?;
            let fetched = client.fetch(&source, store, &Meter::default());
            let failed = |source| DebianError::FetchPackage { package: name.clone(), source };
            fetched.map_err(failed)?;
            let file = BufReader::new(store.open_blob(&package.digest)?);
            let unpacked = deb::unpack(file, store, deb::pack_id(&package.digest));
            // What cannot be unpacked supplies nothing.
            Ok(unpacked.is_ok_and(|unpacked| unpacked.tree.get(path).is_some()))
        })
    }
}
