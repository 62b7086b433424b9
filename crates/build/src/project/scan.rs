//! Walks through a project's directory.
//!
//! The files of each directory are looked at by other threads as soon as it is judged which of them are wanted, while the
//! walk goes on.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use minke_cas::Digest;
use rayon::Scope;
use rustix::fs::{AtFlags, statat};

use super::ignore::{self, Kind, Rules};
use super::notes::{EntryKind, NotedDirectory, NotedEntry, Notes};
use super::sources::{Found, FoundKind, Seen, SourcesError, read_optional};

/// How many files of a directory one thread looks at before another may take over.
const AT_ONCE: usize = 256;

/// A walk, and what it has found.
pub(super) struct Scan<'scan> {
    root: &'scan Path,
    rules: Rules,
    notes: &'scan Notes,
    looks: Sender<(usize, Seen)>,
    pub(super) files: Vec<Found>,
    pub(super) directories: Vec<NotedDirectory>,
    pub(super) left_out: Vec<(&'static str, PathBuf)>,
}

type Names = Vec<(OsString, EntryKind)>;

/// Returns the entries of a directory in name order.
fn names(place: &Path) -> Result<Names, SourcesError> {
    let io = |source| SourcesError::Io { path: place.to_owned(), source };
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = match () {
            () if kind.is_dir() => EntryKind::Directory,
            () if kind.is_file() => EntryKind::File,
            () if kind.is_symlink() => EntryKind::Symlink,
            () => EntryKind::Special,
        };
        Ok((entry.file_name(), kind))
    };
    let mut names: Names =
        fs::read_dir(place).map_err(io)?.map(entry).collect::<Result<_, _>>().map_err(io)?;
    names.sort_by(|(name, _), (other, _)| name.cmp(other));
    Ok(names)
}

/// Walks through a directory.
///
/// # Errors
/// [`SourcesError`] names the file.
pub(super) fn all<'scan>(
    root: &'scan Path,
    rules: Rules,
    notes: &'scan Notes,
) -> Result<Scan<'scan>, SourcesError> {
    let (looks, seen) = channel();
    let (files, directories, left_out) = (Vec::new(), Vec::new(), Vec::new());
    let mut scan = Scan { root, rules, notes, looks, files, directories, left_out };
    let entries = names(root)?;
    rayon::in_place_scope(|scope| scan.directory(scope, Path::new(""), entries, None))?;
    for (index, seen) in seen.try_iter() {
        scan.files[index].seen = Some(seen);
    }
    Ok(scan)
}

impl<'scan> Scan<'scan> {
    fn directory(
        &mut self,
        scope: &Scope<'scan>,
        relative: &Path,
        names: Names,
        inherited: Option<&'static str>,
    ) -> Result<(), SourcesError> {
        let has_gitignore = names.iter().any(|(name, _)| name == ".gitignore");
        let gitignore = match has_gitignore {
            true => read_optional(&self.root.join(relative).join(".gitignore"))?,
            false => None,
        };
        if let Some(text) = &gitignore {
            self.rules.enter(relative, text);
        }
        let rules = *self.rules.digest(inherited).as_bytes();
        let noted = relative.to_str().and_then(|relative| self.notes.directory(relative, &rules));
        let place = self.directories.len();
        let is_noted = relative.to_str().is_some() && names.iter().all(|(name, _)| name.to_str().is_some());
        if let Some(relative) = relative.to_str().filter(|_| is_noted) {
            let relative = relative.to_owned();
            self.directories.push(NotedDirectory {
                relative,
                rules,
                entries: Vec::with_capacity(names.len()),
            });
        }
        let mut wanted = Vec::new();
        for (index, (name, kind)) in names.into_iter().enumerate() {
            let path = relative.join(&name);
            let known = name.to_str().and_then(|name| noted?.entry(index, name));
            let known = known.filter(|known| known.kind == kind);
            let reason = match known {
                Some(known) => known.reason.and_then(ignore::numbered),
                None => {
                    let is_directory = kind == EntryKind::Directory;
                    let kind = if is_directory { Kind::Directory } else { Kind::Other };
                    self.rules.reason(&path, kind, inherited)
                }
            };
            if let (true, Some(name)) = (is_noted, name.to_str()) {
                let (name, reason) = (name.to_owned(), reason.and_then(ignore::number));
                self.directories[place].entries.push(NotedEntry { name, kind, reason, file: None });
            }
            if kind == EntryKind::Directory {
                self.below(scope, &path, reason)?;
            } else {
                let noted = is_noted.then_some((place, index));
                if self.entry(&path, (kind, reason), (known, noted))? && kind == EntryKind::File {
                    wanted.push((self.files.len() - 1, name));
                }
            }
        }
        self.look_at(scope, relative, wanted);
        if gitignore.is_some() {
            self.rules.leave();
        }
        Ok(())
    }

    /// Has files of one directory looked at, which is looked up once for all of them.
    fn look_at(&self, scope: &Scope<'scan>, relative: &Path, mut wanted: Vec<(usize, OsString)>) {
        while !wanted.is_empty() {
            let some = wanted.split_off(wanted.len().saturating_sub(AT_ONCE));
            let (place, looks) = (self.root.join(relative), self.looks.clone());
            scope.spawn(move |_| {
                // Who wants one that cannot be seen here finds out why.
                let Ok(directory) = fs::File::open(place) else { return };
                for (index, name) in some {
                    if let Ok(seen) = statat(&directory, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
                        let _ = looks.send((index, Seen::of(&seen)));
                    }
                }
            });
        }
    }

    fn below(
        &mut self,
        scope: &Scope<'scan>,
        relative: &Path,
        reason: Option<&'static str>,
    ) -> Result<(), SourcesError> {
        let place = self.root.join(relative);
        let is_certain = reason.is_some() && !self.rules.can_bring_back();
        let names = match names(&place) {
            // Nothing of it is needed.
            Err(_) if is_certain => Vec::new(),
            names => names?,
        };
        match marker(&place, &names).or(reason.filter(|_| is_certain)) {
            Some(reason) => {
                self.left_out.push((reason, place));
                Ok(())
            }
            None => self.directory(scope, relative, names, reason),
        }
    }

    /// Takes what isn't a directory; tells whether it is wanted.
    fn entry(
        &mut self,
        relative: &Path,
        (kind, reason): (EntryKind, Option<&'static str>),
        (known, noted): (Option<&NotedEntry>, Option<(usize, usize)>),
    ) -> Result<bool, SourcesError> {
        let place = || self.root.join(relative);
        if let Some(reason) = reason {
            self.left_out.push((reason, place()));
            return Ok(false);
        }
        let text = relative.to_str().ok_or_else(|| SourcesError::Name { path: place() })?;
        let kind = match kind {
            EntryKind::Symlink => FoundKind::Symlink { target: self.link_target(&place(), relative)? },
            EntryKind::File => {
                let known = known.and_then(|known| known.file);
                let known = known.map(|(stat, digest)| (stat, Digest::from_bytes(digest)));
                FoundKind::File { known }
            }
            EntryKind::Directory | EntryKind::Special => return Err(SourcesError::Special { path: place() }),
        };
        self.files.push(Found { relative: text.to_owned(), kind, noted, seen: None });
        Ok(true)
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

/// Recognises directories that say themselves what they are, whatever they are called.
fn marker(place: &Path, names: &Names) -> Option<&'static str> {
    [("pyvenv.cfg", "virtual environments"), ("oci-layout", "images"), ("CACHEDIR.TAG", "caches")]
        .into_iter()
        .find(|(marker, _)| names.iter().any(|(name, _)| name == *marker) && place.join(marker).is_file())
        .map(|(_, reason)| reason)
}
