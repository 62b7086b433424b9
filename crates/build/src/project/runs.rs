//! A listing in runs of some sixty files each, so that an edit concerns one of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use minke_cas::{Digest, File, ImagePath, Store, Tree};

use super::sources::{Listing, SourcesTreeError, What, digest};
use crate::native;

/// Some of a listing's files, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Run<'listing> {
    listing: &'listing Listing,
    entries: &'listing [(String, What)],
}

impl Listing {
    /// Cuts the files, which go to `at`, where `begins` says that a path begins a run.
    ///
    /// The more files a directory of the project has, the earlier its runs come: what is before an edited file needn't be
    /// hashed again, and what people edit is rarely among the thousands.
    pub fn runs(&self, at: &ImagePath, begins: impl Fn(&ImagePath) -> bool) -> Vec<Run<'_>> {
        let mut runs = self.whole().cut(at, begins);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for directory in self.entries.iter().filter_map(|(relative, _)| top(relative)) {
            *counts.entry(directory).or_default() += 1;
        }
        let files = |run: &Run<'_>| run.top().map_or(1, |directory| counts[directory]);
        runs.sort_by_cached_key(|run| Reverse(files(run)));
        runs
    }

    /// Cuts the files by the project's directory that they lie in.
    pub fn directories(&self) -> Vec<Run<'_>> {
        let of_one = |one: &(String, What), other: &(String, What)| top(&one.0) == top(&other.0);
        self.entries.chunk_by(of_one).map(|entries| Run { listing: self, entries }).collect()
    }

    /// Returns the files' paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(relative, _)| relative.as_str())
    }

    fn whole(&self) -> Run<'_> {
        Run { listing: self, entries: &self.entries }
    }

    /// Returns a digest of all that others can depend on in files that go to `at`: their paths, what they are, where
    /// links lead, and the bytes of those that may be ELF files.
    pub fn shape(&self, at: &ImagePath) -> Digest {
        let is_elf = |relative: &str, what: &What| match what {
            What::File(file) => {
                let name = relative.rsplit('/').next().filter(|name| !name.is_empty());
                native::may_be_elf(name.or_else(|| at.name()).unwrap_or_default(), file)
            }
            What::Symlink(_) => false,
        };
        let entries = self.entries.iter().map(|(relative, what)| {
            let seen = match what {
                What::File(file) if !is_elf(relative, what) => {
                    What::File(File { content: Digest::of(b""), ..file.clone() })
                }
                What::File(_) | What::Symlink(_) => what.clone(),
            };
            (relative.as_str(), seen)
        });
        digest(entries)
    }

    /// Tells whether a regular file of it goes to `path`, where all of it goes to `at`.
    pub fn has_file(&self, at: &ImagePath, path: &ImagePath) -> bool {
        let is_it = |(relative, what): &(String, What)| {
            matches!(what, What::File(_))
                && path.as_str().ends_with(relative.as_str())
                && place(at, relative) == *path
        };
        self.entries.iter().any(is_it)
    }

    /// Returns where each file goes, and what it is, for people.
    pub fn lines(&self, at: &ImagePath) -> impl ExactSizeIterator<Item = (ImagePath, String)> {
        self.entries.iter().map(move |(relative, what)| {
            let said = match what {
                What::File(file) => file.content.hex()[..12].to_owned(),
                What::Symlink(target) => format!("link to {target}"),
            };
            (place(at, relative), said)
        })
    }
}

impl<'listing> Run<'listing> {
    /// Cuts the files, which go to `at`, where `begins` says that a path begins a run; in their order.
    pub fn cut(&self, at: &ImagePath, begins: impl Fn(&ImagePath) -> bool) -> Vec<Run<'listing>> {
        let mut runs = Vec::new();
        let mut from = 0;
        for to in 1..=self.entries.len() {
            let is_border = self.entries.get(to).is_none_or(|(relative, _)| begins(&place(at, relative)));
            if is_border {
                runs.push(Run { listing: self.listing, entries: &self.entries[from..to] });
                from = to;
            }
        }
        runs
    }

    /// Returns a digest of all that the run's tree depends on besides its place.
    pub fn digest(&self) -> Digest {
        digest(self.entries.iter().map(|(relative, what)| (relative.as_str(), what)))
    }

    /// Returns the project's directory that the first file lies in.
    fn top(&self) -> Option<&str> {
        self.entries.first().and_then(|(relative, _)| top(relative))
    }

    /// Tells whether there are symlinks, whose targets may be in other runs.
    pub fn has_links(&self) -> bool {
        self.entries.iter().any(|(_, what)| matches!(what, What::Symlink(_)))
    }

    /// Returns the files as a tree below `at`, their bytes being in the store.
    ///
    /// # Errors
    /// As [`Listing::tree`].
    pub fn tree(&self, store: &Store, at: &ImagePath) -> Result<Tree, SourcesTreeError> {
        self.listing.tree_of(self.entries, store, at)
    }
}

fn top(relative: &str) -> Option<&str> {
    relative.split_once('/').map(|(directory, _)| directory)
}

fn place(at: &ImagePath, relative: &str) -> ImagePath {
    match relative {
        "" => at.clone(),
        relative => at.join_str(relative).expect("a file name that was read is a name"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use minke_cas::Entry;

    use super::*;
    use crate::parts::begins_piece;

    fn listing(store: &Store, names: &[String], text: impl Fn(&str) -> String) -> Listing {
        let project = tempfile::tempdir().unwrap();
        for name in names {
            let path = project.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text(name)).unwrap();
        }
        Listing::of_extra(project.path(), store).unwrap()
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("pkg{}/m{number}.py", number % 7)).collect()
    }

    #[test]
    fn runs_are_the_whole_and_an_edit_changes_one_of_them() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let at: ImagePath = "/app".parse().unwrap();
        let before = listing(&store, &names(2000), str::to_owned);
        let edit = |name: &str| if name == "pkg3/m1011.py" { "edited".to_owned() } else { name.to_owned() };
        let after = listing(&store, &names(2000), edit);
        let runs = before.runs(&at, begins_piece);
        assert!((16..=60).contains(&runs.len()), "{} runs", runs.len());
        let trees = runs.iter().map(|run| run.tree(&store, &at).unwrap());
        let whole = trees.fold(Tree::new(), |tree, run| tree.join(&run).unwrap());
        assert_eq!(whole, before.tree(&store, &at).unwrap());
        let edited = after.runs(&at, begins_piece);
        let changed = runs.iter().zip(&edited).filter(|(run, edited)| run.digest() != edited.digest());
        assert_eq!((changed.count(), edited.len()), (1, runs.len()));
        assert_ne!(before.digest(), after.digest());
        assert_eq!(before.shape(&at), after.shape(&at), "nobody else depends on a module's text");
    }

    #[test]
    fn what_has_thousands_of_files_comes_before_what_people_edit() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let at: ImagePath = "/app".parse().unwrap();
        let many = (0..500).map(|number| format!("many/m{number}.py"));
        let few = (0..100).map(|number| format!("few/m{number}.py"));
        let names: Vec<String> = many.chain(few).chain(["app.py".to_owned(), "zoo.py".to_owned()]).collect();
        let listing = listing(&store, &names, str::to_owned);
        let runs = listing.runs(&at, |path| {
            ["/app/few/m0.py", "/app/many/m0.py", "/app/many/m250.py", "/app/zoo.py"].contains(&path.as_str())
        });
        let firsts: Vec<&str> = runs.iter().map(|run| run.entries[0].0.as_str()).collect();
        assert_eq!(firsts, ["many/m0.py", "many/m250.py", "few/m0.py", "app.py", "zoo.py"]);
    }

    /// A listing is in the order of a tree, so that a layer is the same from either.
    #[test]
    fn files_are_in_the_order_of_a_tree() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let at: ImagePath = "/".parse().unwrap();
        let names = ["a.py", "a/b.py", "a-b/c", "a0", "a/B.py", "a/b/c.py"].map(str::to_owned);
        let listing = listing(&store, &names, str::to_owned);
        let listed: Vec<ImagePath> = listing.lines(&at).map(|(path, _)| path).collect();
        let tree = listing.tree(&store, &at).unwrap();
        let walked = tree.walk().filter(|(_, entry)| !matches!(entry, Entry::Directory(_)));
        assert_eq!(listed, walked.map(|(path, _)| path).collect::<Vec<_>>());
    }

    #[test]
    fn the_shape_has_paths_and_what_may_be_native_code() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let at: ImagePath = "/app".parse().unwrap();
        let shape = |names: &[&str], text: &str| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            listing(&store, &names, |_| text.repeat(64)).shape(&at)
        };
        assert_eq!(shape(&["a.py"], "x"), shape(&["a.py"], "y"));
        assert_ne!(shape(&["a.py"], "x"), shape(&["b.py"], "x"));
        assert_ne!(shape(&["a.so"], "x"), shape(&["a.so"], "y"));
        let one = Listing::of_extra(cache.path(), &store).unwrap();
        assert!(!one.has_file(&at, &"/app/none".parse().unwrap()));
        let two = listing(&store, &["pkg/main.py".to_owned()], str::to_owned);
        assert!(two.has_file(&at, &"/app/pkg/main.py".parse().unwrap()));
        assert!(!two.has_file(&at, &"/app/pkg".parse().unwrap()));
    }
}
