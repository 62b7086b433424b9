//! Rooms: a tree written out as loose files, once, for processes that need a directory.
//!
//! Beside each lies the tree it was made from, by which it can be checked. A room that differs little from another
//! shares its files: the rooms in which wheels are built are half a gigabyte each, and most of that is one compiler.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use super::spread::spread;
use super::{Access, Store, StoreError, format};
use crate::{Digest, Entry, File, ImagePath, Mode, Owner, Tree};

/// How much of a file is in memory while it is copied.
const COPIED_AT_ONCE: usize = 256 << 10;

/// Whose the files of a room are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Everything is the caller's: what an ordinary user can make.
    Caller,
    /// Everything is its owner's in the tree: needs root.
    Tree,
    /// Everything is this owner's, which needs root, or the caller's; modes are `0644` and `0755`, whatever the
    /// tree says: what can be carried to any machine.
    Plain(Option<Owner>),
}

fn room_name(tree: &Digest, ownership: Ownership) -> String {
    let suffix = match ownership {
        Ownership::Caller => String::new(),
        Ownership::Tree => "-owned".to_owned(),
        Ownership::Plain(None) => "-plain".to_owned(),
        Ownership::Plain(Some(Owner { uid, gid })) => format!("-plain-{uid}-{gid}"),
    };
    format!("{}{suffix}", tree.hex())
}

impl Store {
    /// Returns the directory that holds the tree of this digest, if that was made.
    pub fn room_of(&self, tree: &Digest, ownership: Ownership) -> Option<PathBuf> {
        let name = room_name(tree, ownership);
        let caches = std::iter::once(&self.inner.root).chain(&self.inner.also);
        for place in caches.map(|root| root.join("rooms").join(&name)) {
            if let Some(metadata) = fs::metadata(&place).ok().filter(fs::Metadata::is_dir) {
                if self.inner.access == Access::Write && place.starts_with(&self.inner.root) {
                    format::mark_used(&place, &metadata);
                }
                self.occupy(&place);
                return Some(place);
            }
        }
        None
    }

    /// Returns a directory that holds this tree, and makes it where it is missing; it is not to be written to.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if a content isn't in the store; [`StoreError::Io`].
    pub fn room(&self, tree: &Tree, ownership: Ownership) -> Result<PathBuf, StoreError> {
        let name = room_name(&tree.digest(), ownership);
        if let Some(place) = self.room_of(&tree.digest(), ownership) {
            return Ok(place);
        }
        let place = match self.inner.access {
            Access::Write => self.inner.root.join("rooms").join(&name),
            // As long as this process lasts.
            Access::Read => self.inner.scratch.place(&name),
        };
        if place.is_dir() {
            return Ok(place);
        }
        let _turn = self.turn("room", &tree.digest())?;
        if place.is_dir() {
            self.occupy(&place);
            return Ok(place);
        }
        let scratch = self.scratch()?;
        let made = scratch.path().join("room");
        let like = self.room_like(&name);
        write(self, (tree, like.as_ref()), &made, ownership)?;
        // Before the room, so that every room has one.
        let (listing, mut file) = self.inner.scratch.file()?;
        let text = serde_json::to_vec(tree).expect("a tree is JSON");
        file.write_all(&text).map_err(StoreError::io("write", &listing))?;
        let beside = place.with_extension("tree");
        // One that is there is the same, and may be locked by who uses the room.
        if !beside.exists() {
            fs::rename(&listing, &beside).map_err(StoreError::io("write", &beside))?;
        }
        match fs::rename(&made, &place) {
            Ok(()) => {}
            // Another process was faster and has made the same.
            Err(_) if place.is_dir() => {}
            Err(error) => return Err(StoreError::io("make", place)(error)),
        }
        self.occupy(&place);
        Ok(place)
    }

    /// Returns the room with the same kind of owners that was used last.
    fn room_like(&self, name: &str) -> Option<Like> {
        let owners = |name: &str| name.split_once('-').map(|(_, owners)| owners.to_owned());
        let rooms = fs::read_dir(self.inner.root.join("rooms")).ok()?.flatten();
        let alike = rooms.filter(|entry| {
            let other = entry.file_name();
            entry.path().is_dir() && other.to_str().is_some_and(|other| owners(other) == owners(name))
        });
        let used = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let room = alike.max_by_key(used)?.path();
        let listed = fs::read(room.with_extension("tree")).ok()?;
        Some(Like { tree: serde_json::from_slice(&listed).ok()?, room })
    }

    fn occupy(&self, place: &Path) {
        let mut in_use = self.inner.in_use.lock().expect("no thread panics with this lock");
        in_use.occupy(&place.with_extension("tree"));
    }

    /// Writes a tree into a directory, which is made and must not be there yet.
    ///
    /// # Errors
    /// As [`Store::room`].
    pub fn write_tree(&self, tree: &Tree, directory: &Path, ownership: Ownership) -> Result<(), StoreError> {
        write(self, (tree, None), directory, ownership)
    }
}

/// A room from which another one takes the files that are the same.
struct Like {
    tree: Tree,
    room: PathBuf,
}

impl Like {
    /// Gives a file or symlink of the other room one more name, if it is the one that is wanted; tells whether it did.
    fn link(&self, path: &ImagePath, entry: &Entry, place: &Path) -> bool {
        let from = self.room.join(path.relative());
        let is_there = match (self.tree.get(path), entry) {
            (Some(Entry::File(there)), Entry::File(file)) => {
                let is_whole = |found: fs::Metadata| found.is_file() && found.len() == file.size;
                (there.content, there.mode, there.owner) == (file.content, file.mode, file.owner)
                    && fs::symlink_metadata(&from).is_ok_and(is_whole)
            }
            (Some(Entry::Symlink(there)), Entry::Symlink(link)) => there == link,
            _ => false,
        };
        // A file system without links, one name too many, a room that somebody takes away: then it is copied.
        is_there && fs::hard_link(&from, place).is_ok()
    }
}

fn write(
    store: &Store,
    (tree, like): (&Tree, Option<&Like>),
    directory: &Path,
    ownership: Ownership,
) -> Result<(), StoreError> {
    fs::create_dir(directory).map_err(StoreError::io("make", directory))?;
    let mut files = Vec::new();
    for (path, entry) in tree.walk() {
        let place = directory.join(path.relative());
        match entry {
            Entry::Directory(_) => fs::create_dir(&place).map_err(StoreError::io("make", &place))?,
            Entry::File(_) | Entry::Symlink(_)
                if like.is_some_and(|like| like.link(&path, entry, &place)) => {}
            Entry::Symlink(link) => {
                symlink(&link.target, &place).map_err(StoreError::io("make", &place))?;
                own(&place, link.owner, ownership)?;
            }
            Entry::File(file) => files.push((place, file)),
        }
    }
    copy_all(store, &files, ownership)?;
    // Last, children first: a directory that isn't writable could not be filled.
    let directories: Vec<_> = tree.walk().filter(|(_, entry)| matches!(entry, Entry::Directory(_))).collect();
    for (path, entry) in directories.into_iter().rev() {
        let Entry::Directory(below) = entry else { continue };
        let place = directory.join(path.relative());
        own(&place, below.owner(), ownership)?;
        mark(&place, below.mode(), ownership)?;
    }
    let root = tree.directory(&ImagePath::root()).expect("a tree has a root");
    own(directory, root.owner(), ownership)?;
    mark(directory, root.mode(), ownership)
}

/// Copies files out of the store, on all cores: most of them are small, and the kernel takes longer than we do.
fn copy_all(store: &Store, files: &[(PathBuf, &File)], ownership: Ownership) -> Result<(), StoreError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    spread(files, cores, |(place, file)| copy(store, file, place, ownership))
}

fn copy(store: &Store, file: &File, place: &Path, ownership: Ownership) -> Result<(), StoreError> {
    let out = fs::File::create_new(place).map_err(StoreError::io("write", place))?;
    let mut content = store.content(file)?;
    let length = usize::try_from(file.size).unwrap_or(usize::MAX).min(COPIED_AT_ONCE);
    let mut out = io::BufWriter::with_capacity(length, out);
    io::copy(&mut content, &mut out).and_then(|_| out.flush()).map_err(StoreError::io("write", place))?;
    own(place, file.owner, ownership)?;
    mark(place, file.mode, ownership)
}

fn own(place: &Path, owner: Owner, ownership: Ownership) -> Result<(), StoreError> {
    let owner = match ownership {
        Ownership::Caller | Ownership::Plain(None) => return Ok(()),
        Ownership::Tree => owner,
        Ownership::Plain(Some(owner)) => owner,
    };
    lchown(place, Some(owner.uid), Some(owner.gid)).map_err(StoreError::io("change the owner of", place))
}

fn mark(place: &Path, mode: Mode, ownership: Ownership) -> Result<(), StoreError> {
    let mode = match ownership {
        Ownership::Caller | Ownership::Tree => mode,
        Ownership::Plain(_) if place.is_dir() || mode.is_executable() => Mode::EXECUTABLE,
        Ownership::Plain(_) => Mode::REGULAR,
    };
    fs::set_permissions(place, fs::Permissions::from_mode(mode.bits()))
        .map_err(StoreError::io("set the mode of", place))
}
