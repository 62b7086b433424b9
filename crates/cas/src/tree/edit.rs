//! Finding, making, filtering and joining directories.

use std::sync::Arc;

use super::{Conflict, Directory, Entry, Mode, Owner, TreeError};
use crate::ImagePath;

/// Walks down without following symlinks.
pub(super) fn below<'tree, 'path>(
    root: &'tree Arc<Directory>,
    mut components: impl Iterator<Item = &'path str>,
) -> Option<&'tree Arc<Directory>> {
    components.try_fold(root, |directory, component| match directory.entry(component)? {
        Entry::Directory(below) => Some(below),
        Entry::File(_) | Entry::Symlink(_) => None,
    })
}

/// Walks down and makes what is missing.
pub(super) fn descend<'tree, 'path>(
    root: &'tree mut Arc<Directory>,
    path: &ImagePath,
    components: impl Iterator<Item = &'path str>,
) -> Result<&'tree mut Directory, TreeError> {
    let mut directory = Arc::make_mut(root);
    for (depth, component) in components.enumerate() {
        let entries = directory.edit();
        // Most are there, and looking needs no name of its own.
        if !entries.contains_key(component) {
            let name = component.parse().expect("a path's component is a name");
            entries.insert(name, Entry::directory());
        }
        match entries.get_mut(component) {
            Some(Entry::Directory(below)) => directory = Arc::make_mut(below),
            _ => {
                let above = path.components().take(depth + 1).map(|component| format!("/{component}"));
                let ancestor = above.collect::<String>().parse().expect("it is a path's beginning");
                return Err(TreeError::NotADirectory { path: path.clone(), ancestor });
            }
        }
    }
    Ok(directory)
}

pub(super) fn filter(
    directory: &Directory,
    path: &ImagePath,
    wanted: &impl Fn(&ImagePath, &Entry) -> bool,
) -> Option<Arc<Directory>> {
    let mut kept = Directory::new(directory.mode, directory.owner);
    for (name, entry) in &directory.entries {
        let path = path.join(name);
        let entry = match entry {
            Entry::Directory(below) if !below.entries.is_empty() => {
                filter(below, &path, wanted).map(Entry::Directory)
            }
            entry => wanted(&path, entry).then(|| entry.clone()),
        };
        kept.entries.extend(entry.map(|entry| (name.clone(), entry)));
    }
    (!kept.entries.is_empty()).then(|| Arc::new(kept))
}

pub(super) fn join(
    first: &Arc<Directory>,
    second: &Arc<Directory>,
    path: &ImagePath,
) -> Result<Arc<Directory>, Box<Conflict>> {
    if Arc::ptr_eq(first, second) {
        return Ok(Arc::clone(first));
    }
    let (mode, owner) = joined_attributes(first, second, path)?;
    let mut joined = Directory::clone(first);
    joined.digest.take();
    (joined.mode, joined.owner) = (mode, owner);
    for (name, entry) in &second.entries {
        let merged = match (joined.entries.get(name.as_str()), entry) {
            (None, entry) => entry.clone(),
            (Some(Entry::Directory(there)), Entry::Directory(new)) => {
                Entry::Directory(join(there, new, &path.join(name))?)
            }
            (Some(there), entry) if there == entry => continue,
            (Some(there), entry) => {
                let (first, second) = (there.clone(), entry.clone());
                return Err(Box::new(Conflict { path: path.join(name), first, second }));
            }
        };
        joined.entries.insert(name.clone(), merged);
    }
    Ok(Arc::new(joined))
}

fn joined_attributes(
    first: &Arc<Directory>,
    second: &Arc<Directory>,
    path: &ImagePath,
) -> Result<(Mode, Owner), Box<Conflict>> {
    let plain = (Mode::EXECUTABLE, Owner::default());
    match ((first.mode, first.owner), (second.mode, second.owner)) {
        (one, other) if one == other || other == plain => Ok(one),
        (one, other) if one == plain => Ok(other),
        _ => Err(Box::new(Conflict {
            path: path.clone(),
            first: Entry::Directory(Arc::clone(first)),
            second: Entry::Directory(Arc::clone(second)),
        })),
    }
}
