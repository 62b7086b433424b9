//! A tree as a list of its entries: for tests and messages to show, and for the store to keep.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Directory, Entry, File, Mode, Owner, Symlink, Tree};
use crate::ImagePath;

impl fmt::Debug for Tree {
    /// One line per entry, as tests show trees: path, kind, mode, first eight digits of the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, entry) in self.walk() {
            match entry {
                Entry::Directory(directory) => write!(f, "{path}/ dir {}", directory.mode)?,
                Entry::File(file) => write!(f, "{path} file {} {}", file.mode, &file.content.hex()[..8])?,
                Entry::Symlink(link) => write!(f, "{path} link {}", link.target)?,
            }
            let owner = match entry {
                Entry::Directory(directory) => directory.owner,
                Entry::File(file) => file.owner,
                Entry::Symlink(link) => link.owner,
            };
            match owner {
                Owner { uid: 0, gid: 0 } => writeln!(f)?,
                Owner { uid, gid } => writeln!(f, " {uid}:{gid}")?,
            }
        }
        Ok(())
    }
}

/// A tree is stored as the list of its entries, so that remembering one needs no recursion on reading.
#[derive(Serialize, Deserialize)]
struct Listed {
    root: (Mode, Owner),
    entries: Vec<(ImagePath, ListedEntry)>,
}

#[derive(Serialize, Deserialize)]
enum ListedEntry {
    #[serde(rename = "d")]
    Directory(Mode, Owner),
    #[serde(rename = "f")]
    File(File),
    #[serde(rename = "l")]
    Symlink(Symlink),
}

impl Serialize for Tree {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.walk().map(|(path, entry)| {
            let entry = match entry {
                Entry::Directory(directory) => ListedEntry::Directory(directory.mode, directory.owner),
                Entry::File(file) => ListedEntry::File(file.clone()),
                Entry::Symlink(link) => ListedEntry::Symlink(link.clone()),
            };
            (path, entry)
        });
        Listed { root: (self.root.mode, self.root.owner), entries: entries.collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let listed = Listed::deserialize(deserializer)?;
        let mut tree = Self { root: Arc::new(Directory::new(listed.root.0, listed.root.1)) };
        for (path, entry) in listed.entries {
            let entry = match entry {
                ListedEntry::Directory(mode, owner) => {
                    Entry::Directory(Arc::new(Directory::new(mode, owner)))
                }
                ListedEntry::File(file) => Entry::File(file),
                ListedEntry::Symlink(link) => Entry::Symlink(link),
            };
            tree.insert(&path, entry).map_err(serde::de::Error::custom)?;
        }
        Ok(tree)
    }
}
