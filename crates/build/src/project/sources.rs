//! The project's own files, under the ignore rules, in a fixed order.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Entry, File, Hasher, ImagePath, Mode, Store, StoreError, Tree};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rustix::fs::{AtFlags, CWD, statat};

use super::ignore::{PatternError, Purpose, Rules};
use super::left_out::{self, LeftOut};
use super::notes::{NotedDirectory, Notes, Stat};
use super::scan::{self, Scan};

/// The files of a directory that are wanted, and what was left out.
#[derive(Debug)]
pub struct Sources {
    root: PathBuf,
    files: Vec<Found>,
    /// Texts that stand in for files' own, by their paths.
    texts: BTreeMap<String, String>,
    notes: Notes,
    directories: Vec<NotedDirectory>,
    /// What was left out, by the rule that says so.
    pub left_out: BTreeMap<&'static str, LeftOut>,
}

/// The files of a directory with what they hold.
#[derive(Debug)]
pub struct Listing {
    root: PathBuf,
    pub(super) entries: Vec<(String, What)>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    File(File),
    Symlink(String),
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) relative: String,
    pub(super) kind: FoundKind,
    /// In which directory and where in it this is noted.
    pub(super) noted: Option<(usize, usize)>,
    /// How it looks now, if that could be seen.
    pub(super) seen: Option<Seen>,
}

/// How a file looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    stat: Stat,
    mode: Mode,
}

#[derive(Debug)]
pub(super) enum FoundKind {
    File {
        /// How it looked last, and what it held.
        known: Option<(Stat, Digest)>,
    },
    Symlink {
        target: String,
    },
}

impl Seen {
    pub(super) fn of(seen: &rustix::fs::Stat) -> Self {
        Self { stat: Stat::of(seen), mode: mode(seen.st_mode) }
    }
}

/// A project's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The operating system refused something.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symlink points out of the project.
    #[error("`{}` is a symlink to `{}`, which is not in the project", path.display(), target.display())]
    Outside {
        /// The symlink.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// A name isn't UTF-8.
    #[error("the name of `{}` is not UTF-8", path.display())]
    Name {
        /// The file, with what isn't UTF-8 replaced.
        path: PathBuf,
    },
    /// An ignore rule cannot be read.
    #[error("cannot read the ignore rules")]
    Pattern(#[source] PatternError),
    /// A single file was to be the image's root.
    #[error("`{}` is a file, and `/` is a directory", path.display())]
    FileAsRoot {
        /// Which.
        path: PathBuf,
    },
    /// A file was edited between two looks at it.
    #[error("`{}` has changed while it was read", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A file that isn't one: a socket, a device.
    #[error("`{}` is neither a file, a directory nor a symlink", path.display())]
    Special {
        /// Which.
        path: PathBuf,
    },
}

impl Sources {
    /// Finds the files of a directory that are wanted; what was noted of it in the store spares looking closely.
    ///
    /// # Errors
    /// [`SourcesError`] names the file.
    pub fn scan(
        root: &Path,
        ignore: &[String],
        purpose: Purpose,
        store: &Store,
    ) -> Result<Self, SourcesError> {
        let _span = tracing::info_span!("list files").entered();
        let docker = read_optional(&root.join(".dockerignore"))?;
        let rules = Rules::read(docker.as_deref(), ignore, purpose).map_err(SourcesError::Pattern)?;
        let notes = Notes::of(store, root);
        let Scan { files, directories, left_out, .. } = scan::all(root, rules, &notes)?;
        let left_out = left_out::sum((store, notes.key()), notes.began(), &left_out);
        Ok(Self { root: root.to_owned(), files, texts: BTreeMap::new(), notes, directories, left_out })
    }

    /// Puts texts in place of some files' own, where those are wanted: their paths are relative to the project.
    pub fn with_texts(mut self, texts: BTreeMap<String, String>) -> Self {
        self.texts = texts;
        self
    }

    /// Returns the paths of the regular files, relative to the project, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|found| found.relative.as_str())
    }

    /// Finds out what the files hold; one that is as it was when it was stored last is not read.
    ///
    /// # Errors
    /// [`SourcesError::Io`] if one cannot be read; a [`StoreError`] inside it if it cannot be stored.
    pub fn list(mut self, store: &Store) -> Result<Listing, SourcesTreeError> {
        let _span = tracing::info_span!("look at files", files = self.files.len()).entered();
        let taken: Vec<Taken> =
            self.files.par_iter().map(|found| self.take(found, store)).collect::<Result<_, _>>()?;
        let mut entries = Vec::with_capacity(self.files.len());
        for (found, taken) in self.files.into_iter().zip(taken) {
            if let (Some((directory, entry)), Some(stat), What::File(file)) =
                (found.noted, taken.stat, &taken.what)
            {
                self.directories[directory].entries[entry].file = Some((stat, *file.content.as_bytes()));
            }
            entries.push((found.relative, taken.what));
        }
        self.notes.note(store, self.directories);
        Ok(Listing { root: self.root, entries })
    }

    fn take(&self, found: &Found, store: &Store) -> Result<Taken, SourcesTreeError> {
        let known = match &found.kind {
            FoundKind::Symlink { target } => {
                return Ok(Taken { what: What::Symlink(target.clone()), stat: None });
            }
            FoundKind::File { known } => known,
        };
        let place = || self.root.join(&found.relative);
        let look = || {
            let looked = statat(CWD, place(), AtFlags::SYMLINK_NOFOLLOW);
            let looked = looked.map_err(|error| SourcesError::Io { path: place(), source: error.into() });
            looked.map(|seen| Seen::of(&seen))
        };
        let Seen { stat, mode } = found.seen.map_or_else(look, Ok)?;
        if let Some(text) = self.texts.get(&found.relative) {
            let file = File::new(store.put(text.as_bytes())?, text.len() as u64, mode);
            return Ok(Taken { what: What::File(file), stat: None });
        }
        if let Some((_, digest)) = known.filter(|(noted, _)| *noted == stat) {
            return Ok(Taken { what: What::File(File::new(digest, stat.size, mode)), stat: Some(stat) });
        }
        let file = stored(&place(), mode, store)?;
        // One that has changed since it was looked at is read again the next time.
        let is_same = look()?.stat == stat && file.size == stat.size;
        Ok(Taken { what: What::File(file), stat: is_same.then_some(stat) })
    }
}

impl Listing {
    /// Lists a file, whose path is empty, or all of a directory but droppings: for `files` in the settings.
    ///
    /// # Errors
    /// As [`Sources::scan`] and [`Sources::list`].
    pub fn of_extra(from: &Path, store: &Store) -> Result<Self, SourcesTreeError> {
        let metadata =
            fs::metadata(from).map_err(|source| SourcesError::Io { path: from.to_owned(), source })?;
        if metadata.is_dir() {
            return Sources::scan(from, &[], Purpose::Build, store)?.list(store);
        }
        let file = stored(from, mode(metadata.mode()), store)?;
        Ok(Self { root: from.to_owned(), entries: vec![(String::new(), What::File(file))] })
    }

    /// Returns a digest of all that the tree depends on.
    pub fn digest(&self) -> Digest {
        digest(self.entries.iter().map(|(relative, what)| (relative.as_str(), what)))
    }

    /// Returns the files as a tree below `at`, their bytes being in the store.
    ///
    /// # Errors
    /// [`SourcesError::Changed`] if a file that has to be read again isn't the one that was listed; those of
    /// reading it.
    pub fn tree(&self, store: &Store, at: &ImagePath) -> Result<Tree, SourcesTreeError> {
        self.tree_of(&self.entries, store, at)
    }

    pub(super) fn tree_of(
        &self,
        entries: &[(String, What)],
        store: &Store,
        at: &ImagePath,
    ) -> Result<Tree, SourcesTreeError> {
        entries.par_iter().try_for_each(|(relative, what)| match what {
            What::File(file) if !store.has(&file.content) => self.store_again(relative, file, store),
            What::File(_) | What::Symlink(_) => Ok(()),
        })?;
        let mut tree = Tree::new();
        for (relative, what) in entries {
            let path = match relative.as_str() {
                "" if at.is_root() => {
                    return Err(SourcesError::FileAsRoot { path: self.root.clone() }.into());
                }
                "" => at.clone(),
                relative => at.join_str(relative).expect("a file name that was read is a name"),
            };
            let entry = match what {
                What::File(file) => file.clone().into(),
                What::Symlink(target) => Entry::symlink(target.clone()),
            };
            tree.insert(&path, entry).expect("a directory has no two entries of a name");
        }
        Ok(tree)
    }

    /// Stores a file that somebody took from the cache.
    fn store_again(&self, relative: &str, file: &File, store: &Store) -> Result<(), SourcesTreeError> {
        let place = if relative.is_empty() { self.root.clone() } else { self.root.join(relative) };
        let now = stored(&place, file.mode, store)?;
        if now.content == file.content { Ok(()) } else { Err(SourcesError::Changed { path: place }.into()) }
    }
}

/// Returns a digest of files with their paths, kinds and contents.
pub(super) fn digest<'entry>(entries: impl Iterator<Item = (&'entry str, impl Borrow<What>)>) -> Digest {
    let mut hasher = Hasher::new();
    for (relative, what) in entries {
        hasher.update(relative.as_bytes());
        match what.borrow() {
            What::File(file) => {
                hasher.update(if file.mode.is_executable() { b"\0x" } else { b"\0f" });
                hasher.update(file.content.as_bytes());
            }
            What::Symlink(target) => {
                hasher.update(b"\0l");
                hasher.update(target.as_bytes());
                hasher.update(b"\0");
            }
        }
    }
    hasher.finish()
}

fn mode(bits: u32) -> Mode {
    if bits & 0o100 != 0 { Mode::EXECUTABLE } else { Mode::REGULAR }
}

/// What a file is found to hold, and how it looked if that can be relied on.
struct Taken {
    what: What,
    stat: Option<Stat>,
}

/// Stores a file of the project's, however large it is.
fn stored(place: &Path, mode: Mode, store: &Store) -> Result<File, SourcesTreeError> {
    let (content, size) = store.put_file(place).map_err(|error| match error {
        StoreError::Input(source) => SourcesError::Io { path: place.to_owned(), source }.into(),
        error => SourcesTreeError::Store(error),
    })?;
    Ok(File::new(content, size, mode))
}

/// The project's files cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum SourcesTreeError {
    /// One cannot be read.
    #[error(transparent)]
    Read(#[from] SourcesError),
    /// The store refused one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn read_optional(path: &Path) -> Result<Option<String>, SourcesError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
            Ok(None)
        }
        Err(source) => Err(SourcesError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn scan(project: &tempfile::TempDir) -> Result<Sources, SourcesError> {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        Sources::scan(project.path(), &[], Purpose::Application, &store)
    }

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn a_project_is_read_in_order_and_what_is_left_out_is_counted() {
        let project = project(&[
            ("main.py", "print(1)"),
            ("pkg/b.py", ""),
            ("pkg/a.py", ""),
            ("pkg/__pycache__/a.cpython-311.pyc", "12345"),
            ("env/pyvenv.cfg", "home = /usr"),
            ("größe/ü.txt", "ü"),
        ]);
        symlink("main.py", project.path().join("link.py")).unwrap();
        let sources = scan(&project).unwrap();
        assert_eq!(
            sources.paths().collect::<Vec<_>>(),
            ["größe/ü.txt", "link.py", "main.py", "pkg/a.py", "pkg/b.py"]
        );
        let left_out: Vec<_> =
            sources.left_out.iter().map(|(reason, sum)| (*reason, sum.files, sum.bytes)).collect();
        assert_eq!(left_out, [("foreign bytecode", 1, 5), ("virtual environments", 1, 11)]);
    }

    #[test]
    fn what_docker_brings_back_from_a_directory_that_is_left_out_goes_in() {
        let project = project(&[(".dockerignore", "data\n!data/x"), ("data/x", ""), ("data/y", "")]);
        let sources = scan(&project).unwrap();
        assert_eq!(sources.paths().collect::<Vec<_>>(), ["data/x"]);
    }

    #[test]
    fn a_symlink_out_of_the_project_is_refused_by_name() {
        for target in ["../x", "/etc/passwd", "pkg/../../x"] {
            let project = project(&[("pkg/a.py", "")]);
            symlink(target, project.path().join("link")).unwrap();
            let error = scan(&project).unwrap_err();
            let link = project.path().join("link");
            assert_eq!(
                error.to_string(),
                format!("`{}` is a symlink to `{target}`, which is not in the project", link.display())
            );
        }
    }

    #[test]
    fn a_file_cannot_be_the_root_of_the_image() {
        let project = project(&[("x", "")]);
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let path = project.path().join("x");
        let listing = Listing::of_extra(&path, &store).unwrap();
        let error = listing.tree(&store, &ImagePath::root()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` is a file, and `/` is a directory", path.display()));
    }

    #[test]
    fn the_tree_has_two_modes_and_the_files_bytes() {
        let project = project(&[("run.sh", "#!/bin/sh"), ("a/b.py", "x = 1")]);
        fs::set_permissions(project.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let sources = Sources::scan(project.path(), &[], Purpose::Application, &store).unwrap();
        let tree = sources.list(&store).unwrap().tree(&store, &"/app".parse().unwrap()).unwrap();
        insta::assert_snapshot!(format!("{tree:?}"), @r"
        /app/ dir 0755
        /app/a/ dir 0755
        /app/a/b.py file 0644 8ff436de
        /app/run.sh file 0755 3af71adb
        ");
    }
}
