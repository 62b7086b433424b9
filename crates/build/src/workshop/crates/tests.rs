use minke_cas::Digest;

use super::*;

fn tree(files: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for file in files {
        let content = File::new(Digest::of(file.as_bytes()), 1, Mode::REGULAR);
        tree.insert(&format!("/{file}").parse().unwrap(), content.into()).unwrap();
    }
    tree
}

fn found(files: &[&str]) -> String {
    let tree = tree(files);
    outermost(&tree, "Cargo.lock").iter().map(|(path, _)| path.relative()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_outermost_locks_count() {
    insta::assert_snapshot!(found(&["src/rust/Cargo.lock", "setup.py"]), @"src/rust/Cargo.lock");
    insta::assert_snapshot!(found(&["Cargo.lock", "crates/a/Cargo.lock", "Cargo.toml"]), @"Cargo.lock");
    insta::assert_snapshot!(found(&["a/Cargo.lock", "b/Cargo.lock", "b/fuzz/Cargo.lock", "ab/Cargo.lock"]), @"a/Cargo.lock ab/Cargo.lock b/Cargo.lock");
}

#[test]
fn sources_that_bring_their_crates_have_none_to_fetch() {
    let own = ["Cargo.lock", ".cargo/config.toml", "vendor/a/.cargo-checksum.json"];
    assert!(bring_crates(&tree(&own)));
    assert!(!bring_crates(&tree(&own[..2])));
}

#[test]
fn each_registry_is_replaced() {
    let registries =
        BTreeSet::from(["registry+https://host.test/toy.test-index", "sparse+http://host.test/\"/"]);
    insta::assert_snapshot!(config(&registries), @r#"
        [source.minke]
        directory = "/build/cargo/vendor"

        [source."toy-test"]
        replace-with = "minke"

        [source.'sparse+http://host.test/"/']
        registry = 'sparse+http://host.test/"/'
        replace-with = "minke"
    "#);
}
