//! Which part goes into which layer.
//!
//! **base** (what every project on this suite shares) · **system** (what this project's ELF files ask for)
//! · one layer for each **heavy** distribution · **rest** · **app**: a source edit rewrites the last one, a
//! new requirement one more, and two projects with the same torch share its layer. What is heavy is decided
//! from the sizes of the wheels alone, so that it doesn't change with the machine.

use minke_cas::{Entry, ImagePath, Tree};

use crate::parts::{Owner, Part};
use crate::settings::LayerPolicy;

/// A wheel of at least this many bytes gets a layer of its own.
const HEAVY: u64 = 8 * 1024 * 1024;

/// The layers that aren't a distribution's: base, system, rest, app.
const OTHERS: usize = 4;

/// The layer of an image that has one.
const ALL: &str = "all";

/// One layer to be: its name and its parts, in order.
#[derive(Debug)]
pub struct Cut {
    /// The layer's name.
    pub name: String,
    /// What goes in.
    pub parts: Vec<Part>,
}

/// Cuts settled parts into layers, lowest first; layers without files are left out.
pub fn cut(parts: Vec<Part>, policy: LayerPolicy) -> Vec<Cut> {
    let heavy = heavy(parts.iter().map(|part| &part.owner), policy);
    let mut cuts: Vec<Cut> = Vec::new();
    let mut ordered: Vec<(usize, String, Part)> = parts
        .into_iter()
        .map(|part| {
            let (rank, name) = match policy {
                LayerPolicy::Single => (0, ALL.to_owned()),
                LayerPolicy::Shared { .. } => place(&part.owner, &heavy),
            };
            (rank, name, part)
        })
        .collect();
    // Stable, so that parts keep their order within a layer.
    ordered
        .sort_by(|(rank, name, _), (other_rank, other_name, _)| (rank, name).cmp(&(other_rank, other_name)));
    let mut last = None;
    for (rank, name, part) in ordered.into_iter().filter(|(_, _, part)| !part.tree.is_empty()) {
        match cuts.last_mut() {
            // A distribution may be called `system`, too: the rank tells the two layers apart.
            Some(cut) if last == Some(rank) && cut.name == name => cut.parts.push(part),
            _ => cuts.push(Cut { name, parts: vec![part] }),
        }
        last = Some(rank);
    }
    cuts
}

/// Returns the directories that a layer must have: those of its own files, with the whole image's modes.
pub fn directories(cut: &Cut, whole: &Tree) -> Tree {
    let mut directories = Tree::new();
    for part in &cut.parts {
        for (path, entry) in part.tree.walk() {
            if let Entry::Directory(_) = entry {
                add_directory(&mut directories, &path, whole);
            }
        }
    }
    let root = whole.root();
    directories
        .set_directory(&ImagePath::root(), root.mode(), root.owner())
        .expect("the root is a directory");
    directories
}

fn add_directory(directories: &mut Tree, path: &ImagePath, whole: &Tree) {
    if let Some(directory) = whole.directory(path) {
        directories
            .set_directory(path, directory.mode(), directory.owner())
            .expect("a tree of directories has nothing else in the way");
    }
}

/// Returns the layer that each owner's files go into, in the owners' order.
pub fn places(owners: &[Owner], policy: LayerPolicy) -> Vec<String> {
    let heavy = heavy(owners, policy);
    let layer = |owner: &Owner| match policy {
        LayerPolicy::Single => ALL.to_owned(),
        LayerPolicy::Shared { .. } => place(owner, &heavy).1,
    };
    owners.iter().map(layer).collect()
}

fn heavy<'owner>(owners: impl IntoIterator<Item = &'owner Owner>, policy: LayerPolicy) -> Vec<String> {
    let LayerPolicy::Shared { budget } = policy else { return Vec::new() };
    let most = usize::from(budget).saturating_sub(OTHERS);
    let mut sizes: Vec<(u64, &str)> = owners
        .into_iter()
        .filter_map(|owner| match owner {
            Owner::Distribution { name, wheel_size, .. } if *wheel_size >= HEAVY => {
                Some((*wheel_size, name.as_str()))
            }
            _ => None,
        })
        .collect();
    sizes.sort_by(|(size, name), (other_size, other_name)| other_size.cmp(size).then(name.cmp(other_name)));
    sizes.into_iter().take(most).map(|(_, name)| name.to_owned()).collect()
}

fn place(owner: &Owner, heavy: &[String]) -> (usize, String) {
    match owner {
        Owner::Base { .. } | Owner::Image { .. } => (0, "base".to_owned()),
        Owner::System { .. } => (1, "system".to_owned()),
        Owner::Distribution { name, .. } if heavy.contains(name) => (2, name.clone()),
        Owner::Distribution { .. } | Owner::Minke { .. } => (3, "rest".to_owned()),
        Owner::Project { .. } => (4, "app".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use minke_cas::{Digest, Epoch, File, Mode};

    use super::*;

    fn part(owner: Owner, path: &str) -> Part {
        let mut tree = Tree::new();
        let file = File::new(Digest::of(path.as_bytes()), 1, Mode::REGULAR);
        tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        Part { owner, tree, epoch: Epoch::FIXED }
    }

    fn wheel(name: &str, megabytes: u64) -> Part {
        let owner = Owner::Distribution {
            name: name.to_owned(),
            version: "1".to_owned(),
            wheel_size: megabytes * 1024 * 1024,
        };
        part(owner, &format!("/app/{name}"))
    }

    fn parts() -> Vec<Part> {
        let mut parts = vec![
            part(Owner::Project { name: "p".to_owned() }, "/app/main.py"),
            wheel("scipy", 35),
            wheel("six", 0),
            wheel("numpy", 20),
            part(Owner::System { name: "libgomp1 14".to_owned() }, "/usr/lib/libgomp.so.1"),
            part(Owner::Base { name: "libc6 2".to_owned() }, "/usr/lib/libc.so.6"),
        ];
        parts.extend((0..8).map(|index| wheel(&format!("big{index}"), 10)));
        parts
    }

    #[test]
    fn layers_go_from_what_is_shared_to_what_is_edited() {
        let names: Vec<_> = cut(parts(), LayerPolicy::SHARED).into_iter().map(|cut| cut.name).collect();
        assert_eq!(
            names,
            ["base", "system", "big0", "big1", "big2", "big3", "numpy", "scipy", "rest", "app"]
        );
    }

    #[test]
    fn a_budget_bounds_the_layers() {
        for budget in [5, 7, 10, 100] {
            let cuts = cut(parts(), LayerPolicy::Shared { budget });
            assert_eq!(cuts.len(), usize::from(budget).min(14), "{budget}");
        }
    }

    /// The layers are disjoint and their union is the whole.
    #[test]
    fn a_cut_partitions() {
        for policy in [LayerPolicy::SHARED, LayerPolicy::Single] {
            let mut paths: Vec<_> = parts()
                .iter()
                .flat_map(|part| part.tree.files().map(|(path, _)| path).collect::<Vec<_>>())
                .collect();
            let mut cut_paths: Vec<_> = cut(parts(), policy)
                .iter()
                .flat_map(|cut| &cut.parts)
                .flat_map(|part| part.tree.files().map(|(path, _)| path).collect::<Vec<_>>())
                .collect();
            paths.sort();
            cut_paths.sort();
            assert_eq!(cut_paths, paths);
        }
    }

    #[test]
    fn a_layer_has_the_directories_of_its_files_with_the_images_modes() {
        let mut whole = part(Owner::Project { name: "p".to_owned() }, "/app/data/x").tree;
        whole
            .set_directory(&"/app/data".parse().unwrap(), Mode::from_bits(0o1777), Default::default())
            .unwrap();
        let cut = Cut {
            name: "app".to_owned(),
            parts: vec![part(Owner::Project { name: "p".to_owned() }, "/app/data/x")],
        };
        insta::assert_snapshot!(format!("{:?}", directories(&cut, &whole)), @r"
        /app/ dir 0755
        /app/data/ dir 1777
        ");
    }
}
