//! Where trees meet: who put each path there, and who wins where two want one.
//!
//! A [`Part`] is what one owner brings: a distribution package, a wheel, the project, what minke writes
//! itself. [`settle`] gives every file to exactly one part, so that parts can become segments of layers
//! without a path twice, and writes down in the [`Ledger`] who asked for what.

use std::collections::BTreeMap;

use minke_cas::{Digest, Directory, Entry, Epoch, ImagePath, Tree, TreeError};

/// What one owner brings into the image.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose it is.
    pub owner: Owner,
    /// Its files, where they will lie.
    pub tree: Tree,
    /// The time its files carry.
    pub epoch: Epoch,
}

impl Part {
    /// Cuts a part into pieces of some sixty files each, so that an edit compresses and compiles one of them.
    ///
    /// A piece begins at a file whose path's own digest says so: a file that comes or goes moves no other border.
    pub fn pieces(self) -> Vec<Self> {
        let mut trees = vec![Tree::new()];
        for (path, entry) in self.tree.walk() {
            let tree = match entry {
                Entry::File(_) | Entry::Symlink(_) if begins_piece(&path) => {
                    trees.push(Tree::new());
                    trees.last_mut()
                }
                _ => trees.last_mut(),
            };
            let tree = tree.expect("there is one from the beginning");
            tree.insert(&path, own_attributes(entry)).expect("a piece has each path once");
        }
        trees.retain(|tree| !tree.is_empty());
        let piece = |tree| Self { owner: self.owner.clone(), tree, epoch: self.epoch };
        trees.into_iter().map(piece).collect()
    }
}

/// Tells whether a file of this path begins a piece.
pub fn begins_piece(path: &ImagePath) -> bool {
    Digest::of(path.as_str().as_bytes()).as_bytes()[0] < 4
}

/// Who brings files into an image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// A distribution package that the interpreter needs, or that every image has.
    Base {
        /// `NAME VERSION`, or what minke writes in place of maintainer scripts.
        name: String,
    },
    /// An image that is the base, layers and all.
    Image {
        /// What messages call it.
        name: String,
    },
    /// A distribution package that this project needs.
    System {
        /// `NAME VERSION`.
        name: String,
    },
    /// A distribution from a wheel.
    Distribution {
        /// Its normalised name.
        name: String,
        /// Its version.
        version: String,
        /// The size of its wheel in bytes, from which layers are planned.
        wheel_size: u64,
    },
    /// The project itself.
    Project {
        /// What the project is called.
        name: String,
    },
    /// What minke writes itself, such as the venv's own files.
    Minke {
        /// What it is for.
        name: String,
    },
}

impl Owner {
    /// Returns the name that messages and layers show.
    pub fn name(&self) -> String {
        match self {
            Self::Base { name }
            | Self::Image { name }
            | Self::System { name }
            | Self::Project { name }
            | Self::Minke { name } => name.clone(),
            Self::Distribution { name, version, .. } => format!("{name} {version}"),
        }
    }
}

/// Who put each path there: a lookup, from which `minke explain` will answer.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Each part with the files that are its.
    brought: Vec<(Owner, Tree)>,
    /// The parts that brought the same to a path that is another's.
    also: BTreeMap<ImagePath, Vec<usize>>,
}

/// Two distributions brought different files to one path, and the later one's is in the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overruled {
    /// The path.
    pub path: ImagePath,
    /// Whose file isn't in the image.
    pub loser: Owner,
    /// Whose file is.
    pub winner: Owner,
}

/// What to do where two distributions bring different files to one path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strictness {
    /// The later one wins and a warning says so.
    LaterWins,
    /// It is an error.
    Refuse,
}

/// The parts don't make one tree.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Two owners bring different things to one path.
    #[error("`{path}` comes from {} and, different, from {}", first.name(), second.name())]
    Conflict {
        /// The path.
        path: ImagePath,
        /// Who brought it first.
        first: Owner,
        /// Who brought it then.
        second: Owner,
    },
    /// Two of the extra files want one place.
    #[error("two of the `files` in [tool.minke] want one place")]
    Extra(#[source] Box<minke_cas::Conflict>),
    /// What one brings lies below a file or symlink of another.
    #[error("what {} brings cannot be placed", owner.name())]
    Place {
        /// Who brings it.
        owner: Owner,
        /// Where, and what is in the way.
        source: TreeError,
    },
}

/// Parts of which each file belongs to exactly one.
pub struct Settled {
    /// The parts in the order they were given, each with the files that are its.
    pub parts: Vec<Part>,
    /// All of them together.
    pub tree: Tree,
    /// Who wanted what.
    pub ledger: Ledger,
    /// Where a later distribution won.
    pub overruled: Vec<Overruled>,
}

impl Settled {
    /// Tells whether each of the project's own files lies where nobody else wants one, and no other of its parts.
    pub fn is_apart(&self) -> bool {
        let is_own = |owner: &Owner| matches!(owner, Owner::Project { .. });
        let overrules = |overruled: &Overruled| is_own(&overruled.loser) || is_own(&overruled.winner);
        !self.ledger.also.keys().any(|path| self.ledger.owners(path).any(is_own))
            && !self.overruled.iter().any(overrules)
    }
}

impl Ledger {
    /// Returns who brought a path, the one whose file it is first.
    pub fn owners(&self, path: &ImagePath) -> impl Iterator<Item = &Owner> {
        let first = self.brought.iter().find(|(_, tree)| has_file(tree, path)).map(|(owner, _)| owner);
        let also = self.also.get(path).into_iter().flatten();
        first.into_iter().chain(also.map(|&index| &self.brought[index].0))
    }
}

/// Gives every file to one part; directories belong to nobody.
///
/// Equal files belong to the first part that has them, and the ledger names all.
///
/// # Errors
/// [`SettleError`] if parts other than two distributions disagree, or any with [`Strictness::Refuse`].
pub fn settle(mut parts: Vec<Part>, strictness: Strictness) -> Result<Settled, SettleError> {
    let _span = tracing::info_span!("settle", parts = parts.len()).entered();
    let mut tree = Tree::new();
    let mut also: BTreeMap<ImagePath, Vec<usize>> = BTreeMap::new();
    let mut overruled = Vec::new();
    for index in 0..parts.len() {
        let (earlier, rest) = parts.split_at_mut(index);
        let part = &mut rest[0];
        // Most parts lie among the others without a path in common: their directories are shared, not copied.
        if is_apart(tree.root(), part.tree.root()) {
            tree = tree.join(&part.tree).expect("they have nothing but equal directories in common");
            continue;
        }
        let entries: Vec<_> = part.tree.walk().map(|(path, entry)| (path, own_attributes(entry))).collect();
        for (path, entry) in entries {
            match tree.get(&path) {
                Some(Entry::Directory(_)) | None if matches!(entry, Entry::Directory(_)) => {}
                Some(there) if *there == entry => {
                    part.tree.remove(&path);
                    also.entry(path).or_default().push(index);
                    continue;
                }
                Some(_) => {
                    let loser = overrule(&mut tree, earlier, (&path, part), strictness)?;
                    also.remove(&path);
                    overruled.push(Overruled { path: path.clone(), loser, winner: part.owner.clone() });
                }
                None => {}
            }
            tree.insert(&path, entry)
                .map_err(|source| SettleError::Place { owner: part.owner.clone(), source })?;
        }
    }
    let brought = parts.iter().map(|part| (part.owner.clone(), part.tree.clone())).collect();
    Ok(Settled { parts, tree, ledger: Ledger { brought, also }, overruled })
}

/// Tells whether two directories have nothing in common but directories that are alike.
fn is_apart(one: &Directory, other: &Directory) -> bool {
    let is_alike = one.mode() == other.mode() && one.owner() == other.owner();
    is_alike
        && other.entries().all(|(name, entry)| match (one.entry(name.as_str()), entry) {
            (None, _) => true,
            (Some(Entry::Directory(one)), Entry::Directory(other)) => is_apart(one, other),
            (Some(_), _) => false,
        })
}

/// Tells whether a tree has anything but a directory at a path.
fn has_file(tree: &Tree, path: &ImagePath) -> bool {
    matches!(tree.get(path), Some(Entry::File(_) | Entry::Symlink(_)))
}

/// A directory without what lies in it, which is placed entry by entry; anything else as it is.
fn own_attributes(entry: &Entry) -> Entry {
    match entry {
        Entry::Directory(directory) => Entry::Directory(std::sync::Arc::new(minke_cas::Directory::new(
            directory.mode(),
            directory.owner(),
        ))),
        entry => entry.clone(),
    }
}

/// Takes a path from the earlier part that has it, if the two are distributions that may overrule.
fn overrule(
    tree: &mut Tree,
    earlier: &mut [Part],
    (path, part): (&ImagePath, &Part),
    strictness: Strictness,
) -> Result<Owner, SettleError> {
    let may_win = |owner: &Owner| matches!(owner, Owner::Distribution { .. } | Owner::Project { .. });
    let may_lose = |owner: &Owner| may_win(owner) || matches!(owner, Owner::Image { .. });
    let Some(first) = earlier.iter_mut().find(|earlier| has_file(&earlier.tree, path)) else {
        let source = TreeError::Occupied { path: path.clone() };
        return Err(SettleError::Place { owner: part.owner.clone(), source });
    };
    let is_image = matches!(first.owner, Owner::Image { .. });
    let is_refused = strictness == Strictness::Refuse && !is_image;
    if is_refused || !may_lose(&first.owner) || !(may_win(&part.owner) || is_image) {
        let (first, second) = (first.owner.clone(), part.owner.clone());
        return Err(SettleError::Conflict { path: path.clone(), first, second });
    }
    first.tree.remove(path);
    tree.remove(path);
    Ok(first.owner.clone())
}

#[cfg(test)]
mod tests {
    use minke_cas::{Digest, File, Mode};

    use super::*;

    fn part(name: &str, files: &[(&str, &str)]) -> Part {
        let owner = Owner::Distribution { name: name.to_owned(), version: "1".to_owned(), wheel_size: 0 };
        let mut tree = Tree::new();
        for (path, content) in files {
            let file = File::new(Digest::of(content.as_bytes()), content.len() as u64, Mode::REGULAR);
            tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        }
        Part { owner, tree, epoch: Epoch::FIXED }
    }

    fn names<'ledger>(owners: impl Iterator<Item = &'ledger Owner>) -> Vec<String> {
        owners.map(Owner::name).collect()
    }

    #[test]
    fn pieces_are_the_whole_and_one_more_file_changes_one_of_them() {
        let names: Vec<String> =
            (0..2000).map(|number| format!("/app/pkg{}/m{number}.py", number % 7)).collect();
        let files = |names: &[String]| -> Vec<Part> {
            let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
            part("a", &files).pieces()
        };
        let pieces = files(&names);
        assert!((16..=60).contains(&pieces.len()), "{} pieces", pieces.len());
        let whole = pieces.iter().fold(Tree::new(), |tree, piece| tree.join(&piece.tree).unwrap());
        let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        assert_eq!(whole, part("a", &all).tree);
        let one_more = files(&[names, vec!["/app/pkg3/new.py".to_owned()]].concat());
        let digests =
            |pieces: &[Part]| -> Vec<Digest> { pieces.iter().map(|piece| piece.tree.digest()).collect() };
        let (before, after) = (digests(&pieces), digests(&one_more));
        let new: Vec<_> = after.iter().filter(|digest| !before.contains(digest)).collect();
        assert!(new.len() <= 2, "{new:?}");
    }

    /// A part that lies apart from the others is joined as a whole, another one path by path.
    #[test]
    fn parts_become_the_same_tree_whether_they_lie_apart_or_not() {
        let mut odd = part("c", &[]);
        odd.tree.insert(&"/lib".parse().unwrap(), directory(0o700)).unwrap();
        odd.tree.insert(&"/lib/c".parse().unwrap(), directory(0o755)).unwrap();
        let parts = [
            part("a", &[("/lib/a/x", "a"), ("/lib/y", "a")]),
            part("b", &[("/lib/b/x", "b"), ("/bin/b", "b")]),
            odd,
            part("d", &[("/lib/b/x", "b"), ("/lib/d", "d")]),
        ];
        let settled = settle(parts.to_vec(), Strictness::Refuse).unwrap();
        let mut tree = Tree::new();
        for part in &parts {
            for (path, entry) in part.tree.walk() {
                tree.insert(&path, own_attributes(entry)).unwrap();
            }
        }
        assert_eq!(settled.tree, tree);
        let owners = |path: &str| names(settled.ledger.owners(&path.parse().unwrap()));
        assert_eq!(
            (owners("/lib/a/x"), owners("/lib/b/x")),
            (vec!["a 1".into()], vec!["b 1".into(), "d 1".into()])
        );
        assert!(owners("/lib").is_empty() && owners("/none").is_empty(), "directories belong to nobody");
    }

    fn directory(mode: u32) -> Entry {
        let owner = minke_cas::Owner { uid: 0, gid: 0 };
        Entry::Directory(std::sync::Arc::new(Directory::new(Mode::from_bits(mode), owner)))
    }

    #[test]
    fn equal_files_belong_to_both_and_lie_in_the_first() {
        let parts = vec![part("a", &[("/x", "same")]), part("b", &[("/x", "same"), ("/y", "")])];
        let settled = settle(parts, Strictness::Refuse).unwrap();
        assert_eq!(names(settled.ledger.owners(&"/x".parse().unwrap())), ["a 1", "b 1"]);
        assert_eq!(settled.parts[0].tree, part("a", &[("/x", "same")]).tree);
        assert_eq!(settled.parts[1].tree, part("b", &[("/y", "")]).tree);
        assert!(settled.overruled.is_empty());
    }

    #[test]
    fn of_two_different_files_the_later_wins_and_both_are_named() {
        let parts = vec![part("a", &[("/x", "one")]), part("b", &[("/x", "two")])];
        let settled = settle(parts, Strictness::LaterWins).unwrap();
        assert_eq!(settled.tree, part("b", &[("/x", "two")]).tree);
        assert!(settled.parts[0].tree.is_empty());
        assert_eq!(names(settled.ledger.owners(&"/x".parse().unwrap())), ["b 1"]);
        let [overruled] = &settled.overruled[..] else { panic!("one path is in question") };
        assert_eq!((overruled.loser.name(), overruled.winner.name()), ("a 1".to_owned(), "b 1".to_owned()));
    }

    #[test]
    fn two_different_files_are_refused_where_that_was_asked_for() {
        let parts = vec![part("a", &[("/x", "one")]), part("b", &[("/x", "two")])];
        let error = settle(parts, Strictness::Refuse).err().unwrap();
        assert_eq!(error.to_string(), "`/x` comes from a 1 and, different, from b 1");
    }

    #[test]
    fn a_wheel_never_overrules_the_system() {
        let system = Part { owner: Owner::Base { name: "libc6 2".to_owned() }, ..part("", &[("/x", "one")]) };
        let error = settle(vec![system, part("b", &[("/x", "two")])], Strictness::LaterWins).err().unwrap();
        assert_eq!(error.to_string(), "`/x` comes from libc6 2 and, different, from b 1");
    }
}
