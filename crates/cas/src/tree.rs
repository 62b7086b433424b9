//! File trees as values: ordered, shared, digested like a Merkle tree.
//!
//! There is no time in a tree; the layer writer stamps an [`Epoch`](crate::Epoch). A tree never holds an
//! entry below a symlink, so that writing one out cannot leave the root.

mod edit;
mod listing;
mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use self::edit::{below, descend, filter, join};
use crate::{Digest, Hasher, ImagePath, Name, PackId};

pub use self::walk::Walk;

/// The permission bits of an entry, set-id and sticky bits included (`0o7777`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mode(u16);

/// The numeric owner of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Owner {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

/// A regular file: its bytes lie in the store, in the pack that `pack` names.
///
/// The pack says where the bytes are, not what they are: two files that differ in it alone are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct File {
    /// The sha256 of the content.
    pub content: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// The pack that holds the content; none for a blob of its own.
    pub pack: Option<PackId>,
    /// The permission bits.
    pub mode: Mode,
    /// Whose it is.
    pub owner: Owner,
}

/// A symbolic link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Symlink {
    /// What it points to, as it is written; it may dangle and may be relative.
    pub target: String,
    /// Whose it is.
    pub owner: Owner,
}

/// What a directory's name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A directory and all below it.
    Directory(Arc<Directory>),
    /// A regular file.
    File(File),
    /// A symbolic link.
    Symlink(Symlink),
}

/// A directory: its own attributes and its entries in name order.
#[derive(Clone)]
pub struct Directory {
    mode: Mode,
    owner: Owner,
    entries: BTreeMap<Name, Entry>,
    digest: OnceLock<Digest>,
}

/// A file tree with a root; cloning shares, an edit copies only the directories on its path.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tree {
    root: Arc<Directory>,
}

/// An entry cannot be put at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Something on the way to the path is a file or a symlink.
    #[error("`{path}` cannot be placed: `{ancestor}` is not a directory")]
    NotADirectory {
        /// What was to be placed.
        path: ImagePath,
        /// What is in the way.
        ancestor: ImagePath,
    },
    /// Another entry is there already.
    #[error("`{path}` is there twice, with different content")]
    Occupied {
        /// Where both want to be.
        path: ImagePath,
    },
}

/// Two trees put different entries at one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is {} in one tree and {} in the other", kind(first), kind(second))]
pub struct Conflict {
    /// The path.
    pub path: ImagePath,
    /// What the first tree has there.
    pub first: Entry,
    /// What the second tree has there.
    pub second: Entry,
}

fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Directory(_) => "a directory",
        Entry::File(_) => "a file",
        Entry::Symlink(_) => "a symlink",
    }
}

impl Mode {
    /// `rwxr-xr-x`, of directories and programs.
    pub const EXECUTABLE: Self = Self(0o755);
    /// `rw-r--r--`, of everything else.
    pub const REGULAR: Self = Self(0o644);

    /// Keeps the twelve permission bits of a mode and drops the file type.
    pub const fn from_bits(bits: u32) -> Self {
        Self((bits & 0o7777) as u16)
    }

    /// Returns the twelve permission bits.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Tells whether the owner may execute it.
    pub const fn is_executable(self) -> bool {
        self.0 & 0o100 != 0
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl File {
    /// Describes a file of root's with the mode of a program or of plain data.
    pub fn new(content: Digest, size: u64, mode: Mode) -> Self {
        Self { content, size, pack: None, mode, owner: Owner::default() }
    }
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        (self.content, self.size, self.mode, self.owner)
            == (other.content, other.size, other.mode, other.owner)
    }
}

impl Eq for File {}

impl Symlink {
    /// Describes a symlink of root's.
    pub fn new(target: impl Into<String>) -> Self {
        Self { target: target.into(), owner: Owner::default() }
    }
}

impl Default for Directory {
    /// An empty `rwxr-xr-x` directory of root's.
    fn default() -> Self {
        Self::new(Mode::EXECUTABLE, Owner::default())
    }
}

impl Directory {
    /// Makes an empty directory.
    pub fn new(mode: Mode, owner: Owner) -> Self {
        Self { mode, owner, entries: BTreeMap::new(), digest: OnceLock::new() }
    }

    /// Returns the permission bits of the directory itself.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the owner of the directory itself.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Returns the entries in the order of their names' bytes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&Name, &Entry)> {
        self.entries.iter()
    }

    /// Looks an entry up by name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Returns the digest of the directory and all below it; two equal directories have the same.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| {
            let mut hasher = Hasher::new();
            hasher.update(
                format!("directory {} {} {}\n", self.mode, self.owner.uid, self.owner.gid).as_bytes(),
            );
            for (name, entry) in &self.entries {
                hasher.update(entry.line(name).as_bytes());
            }
            hasher.finish()
        })
    }

    fn edit(&mut self) -> &mut BTreeMap<Name, Entry> {
        self.digest.take();
        &mut self.entries
    }
}

impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for Directory {}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("mode", &self.mode)
            .field("owner", &self.owner)
            .field("entries", &self.entries)
            .finish()
    }
}

impl Entry {
    /// Makes an empty `rwxr-xr-x` directory of root's.
    pub fn directory() -> Self {
        Self::Directory(Arc::default())
    }

    /// Makes a symlink of root's.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::Symlink(Symlink::new(target))
    }

    /// One line that says everything about the entry; a name cannot hold NUL, so it ends at one.
    fn line(&self, name: &Name) -> String {
        match self {
            Self::Directory(directory) => format!("d {name}\0{}\n", directory.digest()),
            Self::File(file) => {
                let Owner { uid, gid } = file.owner;
                format!("f {name}\0{} {} {} {uid} {gid}\n", file.content, file.size, file.mode)
            }
            Self::Symlink(link) => {
                let Owner { uid, gid } = link.owner;
                format!("l {name}\0{uid} {gid} {}\0\n", link.target)
            }
        }
    }
}

impl From<File> for Entry {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}

impl Tree {
    /// Makes a tree that has only a `rwxr-xr-x` root of root's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the root directory.
    pub fn root(&self) -> &Arc<Directory> {
        &self.root
    }

    /// Returns the digest of the whole tree, equal for equal trees.
    pub fn digest(&self) -> Digest {
        self.root.digest()
    }

    /// Tells whether there is nothing below the root.
    pub fn is_empty(&self) -> bool {
        self.root.entries.is_empty()
    }

    /// Looks an entry up without following symlinks; none for the root itself.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        let mut above = path.components();
        let name = above.next_back()?;
        below(&self.root, above)?.entry(name)
    }

    /// Looks a directory up without following symlinks; the root is one.
    pub fn directory(&self, path: &ImagePath) -> Option<&Arc<Directory>> {
        below(&self.root, path.components())
    }

    /// Follows symlinks, as a process whose root is this tree would, and returns where the path ends.
    ///
    /// None if something on the way is missing, or after forty links, where Linux gives up too.
    pub fn resolve(&self, path: &ImagePath) -> Option<ImagePath> {
        let mut pending: Vec<String> = path.components().rev().map(str::to_owned).collect();
        let mut at = ImagePath::root();
        let mut links = 0;
        while let Some(component) = pending.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    at = at.parent().unwrap_or(at);
                    continue;
                }
                _ => {}
            }
            let next = at.join_str(&component).ok()?;
            match self.get(&next)? {
                Entry::Directory(_) => at = next,
                Entry::File(_) if pending.is_empty() => at = next,
                Entry::File(_) => return None,
                Entry::Symlink(link) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if link.target.starts_with('/') {
                        at = ImagePath::root();
                    }
                    pending.extend(link.target.rsplit('/').map(str::to_owned));
                }
            }
        }
        Some(at)
    }

    /// Follows symlinks and returns the regular file at the end, if that is what the path leads to.
    pub fn resolve_file(&self, path: &ImagePath) -> Option<&File> {
        match self.get(&self.resolve(path)?)? {
            Entry::File(file) => Some(file),
            Entry::Directory(_) | Entry::Symlink(_) => None,
        }
    }

    /// Places an entry and makes the directories above it where they are missing.
    ///
    /// An equal entry that is there already is no error, and two directories become one.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] if the way leads through a file or symlink; [`TreeError::Occupied`] if
    /// something different has the place.
    pub fn insert(&mut self, path: &ImagePath, entry: Entry) -> Result<(), TreeError> {
        let occupied = || TreeError::Occupied { path: path.clone() };
        let Some(name) = path.name() else {
            let Entry::Directory(directory) = entry else { return Err(occupied()) };
            let joined = join(&self.root, &directory, path).map_err(|_| occupied())?;
            self.root = joined;
            return Ok(());
        };
        let parent = self.parent_of(path)?;
        let name: Name = name.parse().expect("a path's component is a name");
        let merged = match (parent.entry(name.as_str()), entry) {
            (None, entry) => entry,
            (Some(Entry::Directory(there)), Entry::Directory(new)) => {
                Entry::Directory(join(there, &new, path).map_err(|_| occupied())?)
            }
            (Some(there), entry) if *there == entry => return Ok(()),
            (Some(_), _) => return Err(occupied()),
        };
        parent.edit().insert(name, merged);
        Ok(())
    }

    /// Places an entry, whatever was there before; what lay below a replaced directory is gone.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] if the way leads through a file or symlink.
    pub fn replace(&mut self, path: &ImagePath, entry: Entry) -> Result<(), TreeError> {
        let Some(name) = path.name() else {
            if let Entry::Directory(directory) = entry {
                self.root = directory;
            }
            return Ok(());
        };
        let name = name.parse().expect("a path's component is a name");
        self.parent_of(path)?.edit().insert(name, entry);
        Ok(())
    }

    /// Sets a directory's own mode and owner, and makes it where it is missing.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] if the path is a file or symlink, or leads through one.
    pub fn set_directory(&mut self, path: &ImagePath, mode: Mode, owner: Owner) -> Result<(), TreeError> {
        let directory = descend(&mut self.root, path, path.components())?;
        directory.digest.take();
        directory.mode = mode;
        directory.owner = owner;
        Ok(())
    }

    /// Takes an entry and all below it away, and returns it; the directories above stay.
    pub fn remove(&mut self, path: &ImagePath) -> Option<Entry> {
        self.get(path)?;
        let name = path.name()?;
        self.parent_of(path).ok()?.edit().remove(name)
    }

    /// Returns everything below the root, parents before children, names in byte order.
    pub fn walk(&self) -> Walk<'_> {
        Walk { stack: vec![(ImagePath::root(), self.root.entries.iter())] }
    }

    /// Returns every regular file with its path, in the order of [`Tree::walk`].
    pub fn files(&self) -> impl Iterator<Item = (ImagePath, &File)> {
        self.walk().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((path, file)),
            Entry::Directory(_) | Entry::Symlink(_) => None,
        })
    }

    /// Keeps the files, symlinks and *empty* directories that `wanted` names, and the directories above them.
    ///
    /// A directory that isn't empty is kept exactly if something below it is.
    #[must_use]
    pub fn filter(&self, wanted: impl Fn(&ImagePath, &Entry) -> bool) -> Self {
        let root = filter(&self.root, &ImagePath::root(), &wanted);
        Self { root: root.unwrap_or_else(|| Arc::new(Directory::new(self.root.mode, self.root.owner))) }
    }

    /// Puts two trees into one.
    ///
    /// Where both have a directory, one that isn't root's `rwxr-xr-x` decides mode and owner, since
    /// archives say `0755` of directories that aren't theirs. Neither order nor grouping matters.
    ///
    /// # Errors
    /// [`Conflict`] at the first path where they differ in anything else.
    pub fn join(&self, other: &Self) -> Result<Self, Box<Conflict>> {
        Ok(Self { root: join(&self.root, &other.root, &ImagePath::root())? })
    }

    fn parent_of(&mut self, path: &ImagePath) -> Result<&mut Directory, TreeError> {
        let count = path.components().count().saturating_sub(1);
        descend(&mut self.root, path, path.components().take(count))
    }
}

#[cfg(test)]
mod tests;
