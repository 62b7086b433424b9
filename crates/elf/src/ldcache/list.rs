//! Which files of the library directories the loader can find by name.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Directory, Entry as TreeEntry, File, ImagePath, Tree};

use super::order::{compare_entries, compare_names};
use super::{Abi, Entry};
use crate::facts::{Facts, Kind};

/// What `ldconfig` makes of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The lines of the cache, in its order.
    pub entries: Vec<Entry>,
    /// The links that entries lead through and that the tree has not, or has pointing elsewhere.
    pub links: Vec<Link>,
}

/// A symlink from a soname to the file that has it, beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where the link should be.
    pub path: ImagePath,
    /// The file's name, which is the link's target.
    pub target: String,
}

/// Lists the libraries of some directories, as `ldconfig` does.
///
/// A file counts if its name is like `lib….so…` or `ld-….so…` and it is a shared object; it is listed by its
/// soname. Of several with one soname the greatest version counts, and a file before a link. A directory that
/// is another one under a second name (`/usr/lib` after `/lib`) is left out; one that doesn't exist is no matter.
///
/// `facts` gives what is known of a file, and none where it isn't ELF.
pub fn list<'facts>(
    tree: &Tree,
    facts: impl Fn(&File) -> Option<&'facts Facts>,
    directories: &[ImagePath],
) -> Listing {
    let mut listing = Listing::default();
    let mut seen = BTreeSet::new();
    for path in directories {
        let Some((place, directory)) = resolved(tree, path) else { continue };
        if !seen.insert(place.clone()) {
            continue;
        }
        let search = Search { tree, facts: &facts, shown: path, place: &place, directory };
        search.plain(&mut listing);
        let Some((place, levels)) = path.join_str("glibc-hwcaps").ok().and_then(|path| resolved(tree, &path))
        else {
            continue;
        };
        for (level, _) in levels.entries().filter(|(name, _)| !name.as_str().starts_with('.')) {
            let Some((place, directory)) = resolved(tree, &place.join(level)) else { continue };
            let shown = path.join_str("glibc-hwcaps").expect("it was joined before").join(level);
            let search = Search { tree, facts: &facts, shown: &shown, place: &place, directory };
            search.special(level.as_str(), &mut listing);
        }
    }
    listing.entries.sort_by(compare_entries);
    listing
}

fn resolved<'tree>(tree: &'tree Tree, path: &ImagePath) -> Option<(ImagePath, &'tree Directory)> {
    let place = tree.resolve(path)?;
    let directory = tree.directory(&place)?;
    Some((place, directory))
}

/// One library directory.
struct Search<'a, Find> {
    tree: &'a Tree,
    facts: &'a Find,
    /// What the directory is called.
    shown: &'a ImagePath,
    /// Where it really is.
    place: &'a ImagePath,
    directory: &'a Directory,
}

/// The file that stands for a soname so far.
struct Library {
    name: String,
    abi: Abi,
    is_link: bool,
}

impl<'facts, Find: Fn(&File) -> Option<&'facts Facts>> Search<'_, Find> {
    /// Lists a plain directory: by soname, which must lead to the file.
    fn plain(&self, listing: &mut Listing) {
        for (soname, library) in self.libraries() {
            // A soname that no file could have as its name cannot be opened either.
            let Ok(path) = self.shown.join_str(&soname) else { continue };
            if !library.is_link && !self.leads(&soname, &library.name) {
                listing.links.push(Link { path: path.clone(), target: library.name });
            }
            listing.entries.push(Entry { soname, path, abi: library.abi, hwcaps: None });
        }
    }

    /// Lists a directory below `glibc-hwcaps`: there the entry names the file itself.
    fn special(&self, level: &str, listing: &mut Listing) {
        listing.entries.extend(self.libraries().into_iter().filter_map(|(soname, library)| {
            let path = self.shown.join_str(&library.name).ok()?;
            Some(Entry { soname, path, abi: library.abi, hwcaps: Some(level.to_owned()) })
        }));
    }

    fn libraries(&self) -> BTreeMap<String, Library> {
        let mut libraries: BTreeMap<String, Library> = BTreeMap::new();
        for (name, entry) in self.directory.entries().filter(|(name, _)| is_library_name(name.as_str())) {
            let name = name.as_str();
            let Some((facts, abi)) = self.library(name) else { continue };
            let own = facts.soname.as_deref().unwrap_or(name);
            // `libx.so -> …` beside a soname of `libx.so.1` is for compilers. Any other link that isn't
            // called as the soname is as good as a file.
            let for_compiler = name.ends_with(".so") && own.starts_with(name);
            let is_link = matches!(entry, TreeEntry::Symlink(_)) && (name == own || for_compiler);
            let soname = if is_link { name } else { own };
            let new = Library { name: name.to_owned(), abi, is_link };
            match libraries.get_mut(soname) {
                None => {
                    libraries.insert(soname.to_owned(), new);
                }
                Some(there) if replaces(&new, there) => {
                    // As `ldconfig` does it: the first one's processor stays, whoever comes after.
                    *there = Library { abi: there.abi, ..new };
                }
                Some(_) => {}
            }
        }
        libraries
    }

    /// Returns what a name leads to, if that is a library.
    fn library(&self, name: &str) -> Option<(&'facts Facts, Abi)> {
        let path = self.place.join_str(name).ok()?;
        let facts = (self.facts)(self.tree.resolve_file(&path)?)?;
        (facts.kind == Kind::SharedObject && facts.is_dynamic()).then_some(())?;
        Some((facts, Abi::of(facts)?))
    }

    /// Tells whether two names of this directory are the same file; a true file is never linked over.
    fn leads(&self, soname: &str, name: &str) -> bool {
        let place = |name: &str| self.place.join_str(name).ok().and_then(|path| self.tree.resolve(&path));
        match self.directory.entry(soname) {
            None => false,
            Some(TreeEntry::Symlink(_)) => place(soname) == place(name),
            Some(TreeEntry::File(_) | TreeEntry::Directory(_)) => true,
        }
    }
}

fn replaces(new: &Library, there: &Library) -> bool {
    (!new.is_link && there.is_link)
        || (new.is_link == there.is_link && compare_names(&there.name, &new.name).is_lt())
}

fn is_library_name(name: &str) -> bool {
    let looks = (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so");
    // What package managers and prelink leave for a moment, and scripts for debuggers.
    let passing = name.ends_with(".#prelink#") || name.ends_with(".dpkg-new") || name.ends_with(".dpkg-tmp");
    looks && !passing && !name.ends_with("-gdb.py")
}
