//! Puts one layer's changes upon a tree.

use std::sync::Arc;

use minke_cas::{Digest, Directory, Entry, ImagePath, Name, Tree};

use super::{Change, Changes, FlattenError};

/// Linux gives up after as many.
const MAX_LINKS: usize = 40;

/// Applies the changes: first what they delete, which only lower layers can have, then what they bring.
pub(super) fn apply(tree: &mut Tree, changes: Changes, layer: &Digest) -> Result<(), FlattenError> {
    let (deletions, additions): (Changes, Changes) =
        changes.into_iter().partition(|(_, change)| matches!(change, Change::Whiteout | Change::Opaque));
    for (path, change) in deletions {
        let place = place(tree, &path, layer)?;
        match change {
            Change::Opaque => {
                let emptied = tree.directory(&place).map(|there| Directory::new(there.mode(), there.owner()));
                if let Some(emptied) = emptied {
                    put(tree, &place, Entry::Directory(Arc::new(emptied)), layer)?;
                }
            }
            _ => drop(tree.remove(&place)),
        }
    }
    for (path, change) in additions {
        let place = place(tree, &path, layer)?;
        match change {
            Change::Directory(mode, owner) => {
                if tree.directory(&place).is_none() {
                    put(tree, &place, Entry::directory(), layer)?;
                }
                tree.set_directory(&place, mode, owner)
                    .map_err(|source| FlattenError::Place { layer: *layer, source })?;
            }
            Change::File(file) => put(tree, &place, Entry::File(file), layer)?,
            Change::Symlink(link) => put(tree, &place, Entry::Symlink(link), layer)?,
            Change::HardLink(target) => {
                let target = self::place(tree, &target, layer)?;
                match tree.get(&target) {
                    Some(entry @ (Entry::File(_) | Entry::Symlink(_))) => {
                        let entry = entry.clone();
                        put(tree, &place, entry, layer)?;
                    }
                    Some(Entry::Directory(_)) | None => {
                        return Err(FlattenError::Link { layer: *layer, path, target });
                    }
                }
            }
            Change::Whiteout | Change::Opaque => unreachable!("deletions were taken out"),
        }
    }
    Ok(())
}

fn put(tree: &mut Tree, place: &ImagePath, entry: Entry, layer: &Digest) -> Result<(), FlattenError> {
    tree.replace(place, entry).map_err(|source| FlattenError::Place { layer: *layer, source })
}

/// Linux takes no longer path; here it bounds how deep a tree can get.
const MAX_PATH: usize = 4096;

/// Follows the symlinks in all but the path's last component, inside the root; what is missing is taken for
/// a directory that will be made.
fn place(tree: &Tree, path: &ImagePath, layer: &Digest) -> Result<ImagePath, FlattenError> {
    let mut pending: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut at = ImagePath::root();
    let mut links = 0;
    // The way back from a link's target may be long, but its end is the path's last component.
    while let Some(component) = pending.pop() {
        let name: Name = match component.as_str() {
            "" | "." => continue,
            ".." => {
                at = at.parent().unwrap_or(at);
                continue;
            }
            component => component.parse().map_err(|source| FlattenError::Path { layer: *layer, source })?,
        };
        let next = at.join(&name);
        match tree.get(&next) {
            Some(Entry::Symlink(link)) if !pending.is_empty() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(FlattenError::Loop { layer: *layer, path: path.clone() });
                }
                if link.target.starts_with('/') {
                    at = ImagePath::root();
                }
                pending.extend(link.target.rsplit('/').map(str::to_owned));
            }
            _ => at = next,
        }
    }
    if at.as_str().len() > MAX_PATH {
        return Err(FlattenError::Long { layer: *layer });
    }
    Ok(at)
}
