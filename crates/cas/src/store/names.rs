//! What the user calls things: small texts by name, that may be replaced.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::blob::blob_place;
use super::{Store, StoreError};

/// A file's name has at most 255 bytes.
const LONGEST: usize = 200;

/// How the name of a directory ends in which the rest of a long name lies.
const GOES_ON: &str = "+";

impl Store {
    /// Sets what a name of a kind stands for, which isn't nothing; readers see the old text or the new one, never half of one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set_name(&self, kind: &str, name: &str, text: &str) -> Result<(), StoreError> {
        if self.name(kind, name)?.as_deref() == Some(text) {
            return Ok(());
        }
        self.writable()?;
        self.adopt(text)?;
        let (path, mut file) = self.inner.scratch.file()?;
        file.write_all(text.as_bytes()).map_err(StoreError::io("write", &path))?;
        self.settle(&path, &self.name_path(kind, name))
    }

    /// Returns what a name stands for, if it is set.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn name(&self, kind: &str, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.name_path(kind, name);
        match fs::read_to_string(&path) {
            // Empty after a power failure: the name was being set.
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// Forgets a name, and tells whether it was set.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn forget_name(&self, kind: &str, name: &str) -> Result<bool, StoreError> {
        self.writable()?;
        let path = self.name_path(kind, name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    /// Lists the names of a kind with what they stand for, in name order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn names(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        let directory = self.inner.root.join("names").join(kind);
        let mut names = Vec::new();
        let mut pending = vec![(directory, String::new())];
        while let Some((directory, begun)) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("read", directory)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(StoreError::io("read", &directory))?;
                let digits = format!("{begun}{}", entry.file_name().to_string_lossy());
                if let Some(begun) = digits.strip_suffix(GOES_ON) {
                    pending.push((entry.path(), begun.to_owned()));
                    continue;
                }
                let name = hex::decode(digits).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let Some(name) = name else { continue };
                names.extend(self.name(kind, &name)?.map(|text| (name, text)));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Copies what a name is to stand for from the caches below, which may be gone tomorrow.
    fn adopt(&self, text: &str) -> Result<(), StoreError> {
        let Ok(digest) = text.parse() else { return Ok(()) };
        let mut reached = BTreeSet::new();
        if !self.inner.also.is_empty() {
            self.reach(digest, &mut reached);
        }
        for digest in reached {
            let is_below = |path: PathBuf| !path.starts_with(&self.inner.root);
            if self.find(&blob_place(&digest)).is_some_and(|(path, _)| is_below(path)) {
                self.put_expected(self.open_blob(&digest)?, &digest)?;
            }
        }
        Ok(())
    }

    /// Names hold slashes and colons, and may differ in nothing but their case: they are written in hex, and a
    /// long one as a path.
    fn name_path(&self, kind: &str, name: &str) -> PathBuf {
        let mut path = self.inner.root.join("names").join(kind);
        let digits = hex::encode(name);
        let mut rest = digits.as_str();
        while rest.len() > LONGEST {
            let (part, after) = rest.split_at(LONGEST);
            path.push(format!("{part}{GOES_ON}"));
            rest = after;
        }
        path.join(rest)
    }
}
