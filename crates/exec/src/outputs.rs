//! Takes what an action made out of its room.
//!
//! What lies there was written by a stranger: symlinks are never followed, special files and whiteouts of the
//! overlay are no outputs, and there is a limit to the bytes.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use minke_cas::{Entry, File, ImagePath, Mode, Owner, Store, StoreError, Tree, TreeError};

/// An action's output cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name is no text, or one that no tree can have.
    #[error("`{}` has a name that no image can have", path.display())]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// There is too much of it.
    #[error("the outputs are larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// How much is allowed.
        limit: u64,
    },
    /// There are too many of them.
    #[error("the outputs are more than {limit} files and directories")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
    /// Two outputs lie in each other.
    #[error("the outputs do not fit together")]
    Tree(#[from] TreeError),
    /// It cannot be kept.
    #[error("cannot keep an output")]
    Store(#[from] StoreError),
}

/// An installed compiler has a tenth of that.
const MOST_ENTRIES: usize = 200_000;

struct Collector<'a> {
    store: &'a Store,
    tree: Tree,
    left: u64,
    limit: u64,
    entries_left: usize,
}

/// Collects the wanted files and directories that are there below `made`.
pub(crate) fn collect(
    store: &Store,
    made: &Path,
    (wanted, limit): (&[ImagePath], u64),
) -> Result<Tree, OutputError> {
    let mut collector =
        Collector { store, tree: Tree::new(), left: limit, limit, entries_left: MOST_ENTRIES };
    for path in wanted {
        if lies_in_directories(made, path) {
            collector.take(made.join(path.relative()), path.clone())?;
        }
    }
    Ok(collector.tree)
}

/// Tells whether every directory above is one, and no symlink.
fn lies_in_directories(made: &Path, path: &ImagePath) -> bool {
    std::iter::successors(path.parent(), ImagePath::parent).all(|ancestor| {
        fs::symlink_metadata(made.join(ancestor.relative())).is_ok_and(|metadata| metadata.is_dir())
    })
}

impl Collector<'_> {
    fn take(&mut self, place: PathBuf, path: ImagePath) -> Result<(), OutputError> {
        // Not by calling itself: how deep it goes is the stranger's choice.
        let mut pending = vec![(place, path)];
        while let Some((place, path)) = pending.pop() {
            self.entries_left =
                self.entries_left.checked_sub(1).ok_or(OutputError::TooMany { limit: MOST_ENTRIES })?;
            let failed = |source| OutputError::Io { path: place.clone(), source };
            let metadata = match fs::symlink_metadata(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(failed)?,
            };
            let kind = metadata.file_type();
            if kind.is_dir() {
                self.tree.set_directory(&path, Mode::EXECUTABLE, Owner::default())?;
                for entry in fs::read_dir(&place).map_err(failed)? {
                    let place = entry.map_err(failed)?.path();
                    let name = place.file_name().and_then(|name| name.to_str());
                    let below = name.and_then(|name| path.join_str(name).ok());
                    let below = below.ok_or_else(|| OutputError::Name { path: place.clone() })?;
                    pending.push((place, below));
                }
            } else if kind.is_symlink() {
                let target = fs::read_link(&place).map_err(failed)?;
                let target = target.to_str().ok_or_else(|| OutputError::Name { path: place.clone() })?;
                self.tree.insert(&path, Entry::symlink(target))?;
            } else if kind.is_file() {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                let file = self.file(&place, if executable { Mode::EXECUTABLE } else { Mode::REGULAR })?;
                self.tree.insert(&path, file.into())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, place: &Path, mode: Mode) -> Result<File, OutputError> {
        let failed = |source| OutputError::Io { path: place.to_owned(), source };
        let mut blob = self.store.blob_writer()?;
        let mut reader = fs::File::open(place).map_err(failed)?.take(self.left.saturating_add(1));
        let size = io::copy(&mut reader, &mut blob).map_err(failed)?;
        self.left = self.left.checked_sub(size).ok_or(OutputError::TooLarge { limit: self.limit })?;
        let (content, size) = blob.finish()?;
        Ok(File::new(content, size, mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let out = directory.path().join("out");
        fs::create_dir(&out).unwrap();
        for name in ["a", "b"] {
            fs::write(out.join(name), "").unwrap();
        }
        let path: ImagePath = "/out".parse().unwrap();
        let take = |entries_left| {
            let tree = Tree::new();
            let mut collector = Collector { store: &store, tree, left: 9, limit: 9, entries_left };
            collector.take(out.clone(), path.clone()).map(|()| collector.tree.walk().count())
        };
        assert_eq!(take(3).unwrap(), 3);
        assert!(matches!(take(2), Err(OutputError::TooMany { .. })));
    }
}
