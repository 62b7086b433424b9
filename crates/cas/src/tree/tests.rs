use proptest::prelude::*;

use super::*;

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

fn file(content: &str) -> Entry {
    File::new(Digest::of(content.as_bytes()), content.len() as u64, Mode::REGULAR).into()
}

fn tree(entries: &[(&str, Entry)]) -> Tree {
    let mut tree = Tree::new();
    for (at, entry) in entries {
        tree.insert(&path(at), entry.clone()).unwrap();
    }
    tree
}

#[test]
fn inserting_makes_the_directories_above() {
    insta::assert_snapshot!(format!("{:?}", tree(&[("/a/b/c", file("x")), ("/a/l", Entry::symlink("b/c"))])), @r"
    /a/ dir 0755
    /a/b/ dir 0755
    /a/b/c file 0644 2d711642
    /a/l link b/c
    ");
}

#[test]
fn nothing_is_placed_below_a_symlink_or_a_file() {
    let mut tree = tree(&[("/lib", Entry::symlink("usr/lib")), ("/f", file("x"))]);
    for (at, ancestor) in [("/lib/x", "/lib"), ("/f/x", "/f")] {
        let refused = TreeError::NotADirectory { path: path(at), ancestor: path(ancestor) };
        assert_eq!(tree.insert(&path(at), file("y")), Err(refused));
    }
}

#[test]
fn a_second_different_file_at_a_path_is_refused() {
    let mut tree = tree(&[("/f", file("x"))]);
    assert_eq!(tree.insert(&path("/f"), file("x")), Ok(()));
    assert_eq!(tree.insert(&path("/f"), file("y")), Err(TreeError::Occupied { path: path("/f") }));
}

#[test]
fn links_are_followed_inside_the_root_and_never_out_of_it() {
    let tree = tree(&[
        ("/usr/lib/libz.so.1.3", file("z")),
        ("/usr/lib/libz.so.1", Entry::symlink("libz.so.1.3")),
        ("/lib", Entry::symlink("usr/lib")),
        ("/out", Entry::symlink("../../../usr")),
        ("/loop", Entry::symlink("loop")),
    ]);
    assert_eq!(tree.resolve(&path("/lib/libz.so.1")), Some(path("/usr/lib/libz.so.1.3")));
    assert_eq!(tree.resolve(&path("/out/lib")), Some(path("/usr/lib")));
    assert_eq!(tree.resolve(&path("/loop")), None);
    assert_eq!(tree.resolve(&path("/usr/lib/libz.so.1.3/x")), None);
}

#[test]
fn an_edit_changes_the_digest_and_undoing_it_brings_it_back() {
    let before = tree(&[("/a/b", file("x"))]);
    let mut after = before.clone();
    let digest = before.digest();
    after.insert(&path("/a/c"), file("y")).unwrap();
    assert_ne!(after.digest(), digest);
    after.remove(&path("/a/c"));
    assert_eq!(after.digest(), digest);
    assert_eq!(before.digest(), digest);
}

#[test]
fn filtering_drops_directories_that_become_empty() {
    let all = tree(&[("/a/b", file("x")), ("/c/d", file("y")), ("/e", Entry::directory())]);
    let kept = all.filter(|path, _| path.starts_with(&"/c".parse().unwrap()));
    assert_eq!(kept, tree(&[("/c/d", file("y"))]));
}

#[test]
fn directories_join_and_the_one_with_its_own_mode_decides() {
    let mut tmp = Tree::new();
    tmp.set_directory(&path("/tmp"), Mode::from_bits(0o1777), Owner::default()).unwrap();
    let plain = tree(&[("/tmp/x", file("x"))]);
    assert_eq!(tmp.join(&plain), plain.join(&tmp));
    let joined = tmp.join(&plain).unwrap();
    assert_eq!(joined.directory(&path("/tmp")).unwrap().mode(), Mode::from_bits(0o1777));
}

#[test]
fn a_conflict_names_the_path() {
    let conflict = tree(&[("/a/f", file("x"))]).join(&tree(&[("/a/f", file("y"))])).unwrap_err();
    assert_eq!(conflict.to_string(), "`/a/f` is a file in one tree and a file in the other");
}

fn arbitrary_tree() -> impl Strategy<Value = Tree> {
    let names = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    let entries = prop::collection::vec((names, prop::sample::select(vec!["1", "2"])), 0..8);
    entries.prop_map(|entries| {
        let mut tree = Tree::new();
        for (names, content) in entries {
            // A name that is a file already can't hold others: such a draw is left out.
            let _ = tree.insert(&path(&format!("/{}", names.join("/"))), file(content));
        }
        tree
    })
}

proptest! {
    /// Reading a tree that was written gives the same tree.
    #[test]
    fn a_tree_survives_being_stored(tree in arbitrary_tree()) {
        let text = serde_json::to_string(&tree).unwrap();
        prop_assert_eq!(serde_json::from_str::<Tree>(&text).unwrap(), tree);
    }

    /// Joining is independent of the order, in what it makes and in whether it can be made.
    #[test]
    fn join_is_independent_of_order(one in arbitrary_tree(), other in arbitrary_tree()) {
        prop_assert_eq!(one.join(&other).ok(), other.join(&one).ok());
    }

    /// Two trees are equal exactly if they list the same entries.
    #[test]
    fn equal_digests_mean_equal_listings(one in arbitrary_tree(), other in arbitrary_tree()) {
        prop_assert_eq!(one.digest() == other.digest(), format!("{one:?}") == format!("{other:?}"));
    }

    /// A filter and its opposite part the files between them.
    #[test]
    fn filter_partitions(tree in arbitrary_tree()) {
        let ends_with_a = |path: &ImagePath, _: &Entry| path.name() == Some("a");
        let (yes, no) = (tree.filter(ends_with_a), tree.filter(|path, entry| !ends_with_a(path, entry)));
        prop_assert_eq!(yes.files().count() + no.files().count(), tree.files().count());
        prop_assert_eq!(yes.join(&no).unwrap(), tree);
    }
}
