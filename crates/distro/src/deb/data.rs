//! The data member of a package: its files.

use std::collections::BTreeSet;
use std::io::Read;

use minke_cas::{
    Directory, Entry, File, ImagePath, Mode, Owner, PackId, PackWriter, Store, StoreError, Symlink, Tree,
    TreeError,
};

use super::DebError;
use super::ar::Ar;
use super::control::Control;
use super::members::{self, Kind, Member};
use crate::compression::{Compression, is_too_large};

const MEMBER: &str = "data.tar";

/// What a package may unpack to that doesn't say how much it is.
const UNDECLARED_BYTES: u64 = 2 << 30;
/// What any package may unpack to; the largest of Debian's have a tenth of it.
const MOST_BYTES: u64 = 16 << 30;
/// For headers and for estimates that are wrong.
const MARGIN_BYTES: u64 = 64 << 20;

/// Reads the current member of the archive as `data.tar`.
pub(super) fn unpack<R: Read>(
    ar: &mut Ar<R>,
    compression: Compression,
    control: &Control,
    store: &Store,
    id: PackId,
) -> Result<Tree, DebError> {
    let limit_bytes = limit(control.installed_kib());
    let damaged = |source| DebError::Damaged { member: MEMBER, source };
    let mut files = Files {
        tree: Tree::new(),
        taken: BTreeSet::new(),
        pack: store.pack_writer(id).map_err(DebError::Store)?,
    };
    let read = (|| {
        let decoder = compression.decoder(ar.by_ref(), limit_bytes).map_err(damaged)?;
        members::each(decoder, damaged, |member| files.take(member))
    })();
    read.map_err(|error| explain(error, ar, limit_bytes))?;
    files.pack.finish().map_err(DebError::Store)?;
    Ok(files.tree)
}

fn limit(installed_kib: Option<u64>) -> u64 {
    let declared = installed_kib.map(|kib| kib.saturating_mul(2048).saturating_add(MARGIN_BYTES));
    declared.unwrap_or(UNDECLARED_BYTES).min(MOST_BYTES)
}

/// Tells a member that is cut short or too long from one that is damaged.
fn explain<R: Read>(error: DebError, ar: &Ar<R>, limit_bytes: u64) -> DebError {
    match error {
        DebError::Damaged { source, .. } | DebError::Store(StoreError::Input(source)) => {
            if is_too_large(&source) {
                DebError::TooLarge { limit_bytes }
            } else {
                ar.failure(MEMBER, source)
            }
        }
        error => error,
    }
}

struct Files {
    tree: Tree,
    /// The names of all entries but directories.
    taken: BTreeSet<ImagePath>,
    pack: PackWriter,
}

impl Files {
    fn take(&mut self, member: Member<'_>) -> Result<(), DebError> {
        let archived = path(&member.name)?;
        let owner = Owner { uid: member.uid, gid: member.gid };
        let mode = Mode::from_bits(member.mode);
        let path = match member.kind {
            // The merged layout's own link: `/lib` itself, not what lies below it.
            Kind::Symlink(_) if archived.parent().is_some_and(|parent| parent.is_root()) => archived,
            _ => merged(&archived),
        };
        let entry = match member.kind {
            Kind::Directory => return self.directory(&path, mode, owner),
            Kind::File => {
                let (content, size) = self.pack.add(member.content).map_err(DebError::Store)?;
                Entry::File(File { content, size, pack: Some(self.pack.id()), mode, owner })
            }
            Kind::Symlink(target) => {
                if leaves_root(&path, &target) {
                    return Err(DebError::LeavesRoot { path, target });
                }
                Entry::Symlink(Symlink { target, owner })
            }
            Kind::HardLink(target) => self.linked(&path, &target)?,
        };
        if !self.taken.insert(path.clone()) {
            return Err(DebError::Duplicate { path });
        }
        self.tree.insert(&path, entry).map_err(place)
    }

    fn directory(&mut self, path: &ImagePath, mode: Mode, owner: Owner) -> Result<(), DebError> {
        if self.tree.directory(path).is_none() {
            let empty = Entry::Directory(Directory::new(mode, owner).into());
            self.tree.insert(path, empty).map_err(place)?;
        }
        self.tree.set_directory(path, mode, owner).map_err(place)
    }

    fn linked(&self, link: &ImagePath, target: &str) -> Result<Entry, DebError> {
        let target = merged(&path(target)?);
        match self.tree.get(&target) {
            Some(Entry::File(file)) => Ok(Entry::File(file.clone())),
            _ => Err(DebError::HardLink { path: link.clone(), target }),
        }
    }
}

fn path(name: &str) -> Result<ImagePath, DebError> {
    ImagePath::from_archive(name).map_err(|source| DebError::Name { name: name.to_owned(), source })
}

fn place(error: TreeError) -> DebError {
    match error {
        TreeError::Occupied { path } => DebError::Duplicate { path },
        error => DebError::Place(error),
    }
}

/// Returns where a path lies on a system whose `/bin`, `/lib` and so on are symlinks into `/usr`.
pub(crate) fn merged(path: &ImagePath) -> ImagePath {
    const MERGED: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];
    if !path.components().next().is_some_and(|first| MERGED.contains(&first)) {
        return path.clone();
    }
    format!("/usr{path}").parse().expect("a normal path stays one below /usr")
}

/// Tells whether a relative target climbs above the root; an absolute one cannot.
fn leaves_root(link: &ImagePath, target: &str) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut depth = link.components().count() - 1;
    for component in target.split('/') {
        depth = match component {
            "" | "." => depth,
            ".." if depth == 0 => return true,
            ".." => depth - 1,
            _ => depth + 1,
        };
    }
    false
}
