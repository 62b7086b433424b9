//! The project's own files, under the ignore rules, in a fixed order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use minke_cas::{Entry, File, ImagePath, Mode, Store, StoreError, Tree};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::ignore::{Kind, PatternError, Purpose, Rules};
use super::seen::{Seen, Stat};

/// The files of a directory that are wanted, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    root: PathBuf,
    files: Vec<Found>,
    /// Texts that stand in for files' own, by their paths.
    texts: BTreeMap<String, String>,
    /// What was left out, by the rule that says so.
    pub left_out: BTreeMap<&'static str, LeftOut>,
}

/// How much a rule left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct LeftOut {
    /// How many files.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    relative: String,
    kind: FoundKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FoundKind {
    File,
    Symlink { target: String },
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
    /// A file that isn't one: a socket, a device.
    #[error("`{}` is neither a file, a directory nor a symlink", path.display())]
    Special {
        /// Which.
        path: PathBuf,
    },
}

impl Sources {
    /// Finds the files of a directory that are wanted.
    ///
    /// # Errors
    /// [`SourcesError`] names the file.
    pub fn scan(root: &Path, ignore: &[String], purpose: Purpose) -> Result<Self, SourcesError> {
        let docker = read_optional(&root.join(".dockerignore"))?;
        let rules = Rules::read(docker.as_deref(), ignore, purpose).map_err(SourcesError::Pattern)?;
        let sources = Self {
            root: root.to_owned(),
            files: Vec::new(),
            texts: BTreeMap::new(),
            left_out: BTreeMap::new(),
        };
        let mut scan = Scan { sources, rules };
        scan.directory(Path::new(""), None)?;
        Ok(scan.sources)
    }

    /// Stores a file, or all of a directory but droppings, as a tree at `at`: for `files` in the settings.
    ///
    /// # Errors
    /// As [`Sources::scan`] and [`Sources::tree`].
    pub fn extra(from: &Path, at: &ImagePath, store: &Store) -> Result<Tree, SourcesTreeError> {
        let io = |source| SourcesError::Io { path: from.to_owned(), source };
        let metadata = fs::metadata(from).map_err(io)?;
        if metadata.is_dir() {
            return Self::scan(from, &[], Purpose::Build)?.tree(store, at);
        }
        if at.is_root() {
            return Err(SourcesError::FileAsRoot { path: from.to_owned() }.into());
        }
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let mode = if executable { Mode::EXECUTABLE } else { Mode::REGULAR };
        let mut tree = Tree::new();
        tree.insert(at, stored(from, mode, store)?.into()).expect("an empty tree has room");
        Ok(tree)
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

    /// Stores the files' bytes and returns them as a tree below `at`.
    ///
    /// A file that is as it was when it was stored last is not read.
    ///
    /// # Errors
    /// [`SourcesError::Io`] if one cannot be read; a [`StoreError`] inside it if it cannot be stored.
    pub fn tree(&self, store: &Store, at: &ImagePath) -> Result<Tree, SourcesTreeError> {
        let seen = Seen::of(store, &self.root);
        let taken: Vec<Taken> =
            self.files.par_iter().map(|found| self.take(found, store, &seen)).collect::<Result<_, _>>()?;
        let mut tree = Tree::new();
        let mut files = Vec::new();
        for (found, taken) in self.files.iter().zip(taken) {
            let path = at.join_str(&found.relative).expect("a file name that was read is a name");
            if let (Entry::File(file), Some(stat)) = (&taken.entry, taken.stat) {
                files.push((found.relative.clone(), stat, file.content));
            }
            tree.insert(&path, taken.entry).expect("a directory has no two entries of a name");
        }
        seen.note(store, files);
        Ok(tree)
    }

    fn take(&self, found: &Found, store: &Store, seen: &Seen) -> Result<Taken, SourcesTreeError> {
        if let FoundKind::Symlink { target } = &found.kind {
            return Ok(Taken { entry: Entry::symlink(target.clone()), stat: None });
        }
        let place = self.root.join(&found.relative);
        let look = || {
            fs::symlink_metadata(&place).map_err(|source| SourcesError::Io { path: place.clone(), source })
        };
        let metadata = look()?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let mode = if executable { Mode::EXECUTABLE } else { Mode::REGULAR };
        if let Some(text) = self.texts.get(&found.relative) {
            let file = File::new(store.put(text.as_bytes())?, text.len() as u64, mode);
            return Ok(Taken { entry: file.into(), stat: None });
        }
        let stat = Stat::of(&metadata);
        if let Some(digest) = seen.digest(&found.relative, &stat).filter(|digest| store.has(digest)) {
            return Ok(Taken { entry: File::new(digest, metadata.len(), mode).into(), stat: Some(stat) });
        }
        let file = stored(&place, mode, store)?;
        // One that has changed while it was read is read again the next time.
        let is_same = Stat::of(&look()?) == stat && file.size == metadata.len();
        Ok(Taken { entry: file.into(), stat: is_same.then_some(stat) })
    }
}

/// A file as it goes into a tree, and how it looked if that can be relied on.
struct Taken {
    entry: Entry,
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

struct Scan {
    sources: Sources,
    rules: Rules,
}

impl Scan {
    fn directory(&mut self, relative: &Path, inherited: Option<&'static str>) -> Result<(), SourcesError> {
        let place = self.sources.root.join(relative);
        let io = |source| SourcesError::Io { path: place.clone(), source };
        let gitignore = read_optional(&place.join(".gitignore"))?;
        if let Some(text) = &gitignore {
            self.rules.enter(relative, text);
        }
        let mut entries: Vec<_> = fs::read_dir(&place).and_then(Iterator::collect).map_err(io)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            self.entry(&relative.join(entry.file_name()), &entry, inherited)?;
        }
        if gitignore.is_some() {
            self.rules.leave();
        }
        Ok(())
    }

    fn entry(
        &mut self,
        relative: &Path,
        entry: &fs::DirEntry,
        inherited: Option<&'static str>,
    ) -> Result<(), SourcesError> {
        let place = entry.path();
        let io = |source| SourcesError::Io { path: place.clone(), source };
        let kind = entry.file_type().map_err(io)?;
        if kind.is_dir() {
            let marked = marked_directory(&place);
            let reason = marked.or_else(|| self.rules.reason(relative, Kind::Directory, inherited));
            return match reason {
                Some(reason) if marked.is_some() || !self.rules.can_bring_back() => {
                    let left_out = measure(&place);
                    let sum = self.sources.left_out.entry(reason).or_default();
                    sum.files += left_out.files;
                    sum.bytes += left_out.bytes;
                    Ok(())
                }
                reason => self.directory(relative, reason),
            };
        }
        if let Some(reason) = self.rules.reason(relative, Kind::Other, inherited) {
            let sum = self.sources.left_out.entry(reason).or_default();
            sum.files += 1;
            sum.bytes += entry.metadata().map_err(io)?.len();
            return Ok(());
        }
        let text = relative.to_str().ok_or_else(|| SourcesError::Name { path: place.clone() })?;
        let kind = if kind.is_symlink() {
            FoundKind::Symlink { target: self.link_target(&place, relative)? }
        } else if kind.is_file() {
            FoundKind::File
        } else {
            return Err(SourcesError::Special { path: place });
        };
        self.sources.files.push(Found { relative: text.to_owned(), kind });
        Ok(())
    }

    /// Reads a symlink, which is kept as it is if what it points to is kept inside the project too.
    fn link_target(&self, place: &Path, relative: &Path) -> Result<String, SourcesError> {
        let target =
            fs::read_link(place).map_err(|source| SourcesError::Io { path: place.to_owned(), source })?;
        let mut depth = relative.components().count().saturating_sub(1);
        for component in target.components() {
            depth = match component {
                Component::Normal(_) => Some(depth + 1),
                Component::CurDir => Some(depth),
                Component::ParentDir => depth.checked_sub(1),
                Component::RootDir | Component::Prefix(_) => None,
            }
            .ok_or_else(|| SourcesError::Outside { path: place.to_owned(), target: target.clone() })?;
        }
        target.to_str().map(str::to_owned).ok_or_else(|| SourcesError::Name { path: place.to_owned() })
    }
}

/// Directories that say themselves what they are, whatever they are called.
fn marked_directory(place: &Path) -> Option<&'static str> {
    [("pyvenv.cfg", "virtual environments"), ("oci-layout", "images"), ("CACHEDIR.TAG", "caches")]
        .into_iter()
        .find_map(|(marker, reason)| place.join(marker).is_file().then_some(reason))
}

/// Counts what is left out, as far as it can be read: nothing of it is needed.
fn measure(directory: &Path) -> LeftOut {
    let mut sum = LeftOut::default();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) => {
                    sum.files += 1;
                    sum.bytes += metadata.len();
                }
                Err(_) => {}
            }
        }
    }
    sum
}

fn read_optional(path: &Path) -> Result<Option<String>, SourcesError> {
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
    use std::os::unix::fs::symlink;

    use super::*;

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
        let sources = Sources::scan(project.path(), &[], Purpose::Application).unwrap();
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
        let sources = Sources::scan(project.path(), &[], Purpose::Application).unwrap();
        assert_eq!(sources.paths().collect::<Vec<_>>(), ["data/x"]);
    }

    #[test]
    fn a_symlink_out_of_the_project_is_refused_by_name() {
        for target in ["../x", "/etc/passwd", "pkg/../../x"] {
            let project = project(&[("pkg/a.py", "")]);
            symlink(target, project.path().join("link")).unwrap();
            let error = Sources::scan(project.path(), &[], Purpose::Application).unwrap_err();
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
        let error = Sources::extra(&path, &ImagePath::root(), &store).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` is a file, and `/` is a directory", path.display()));
    }

    #[test]
    fn the_tree_has_two_modes_and_the_files_bytes() {
        let project = project(&[("run.sh", "#!/bin/sh"), ("a/b.py", "x = 1")]);
        fs::set_permissions(project.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let sources = Sources::scan(project.path(), &[], Purpose::Application).unwrap();
        let tree = sources.tree(&store, &"/app".parse().unwrap()).unwrap();
        insta::assert_snapshot!(format!("{tree:?}"), @r"
        /app/ dir 0755
        /app/a/ dir 0755
        /app/a/b.py file 0644 8ff436de
        /app/run.sh file 0755 3af71adb
        ");
    }
}
