use super::*;

fn tree(store: &Store, files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (path, text) in files {
        let file = File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, Mode::REGULAR);
        tree.insert(&path.parse().unwrap(), file.into()).unwrap();
    }
    tree
}

/// Each file and its text after a diff, or why it cannot be applied.
fn after(files: &[(&str, &str)], diff: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let tree = match patched(&store, &tree(&store, files), diff) {
        Ok(tree) => tree,
        Err(error) => return error.to_string(),
    };
    let text = |file: &File| String::from_utf8(store.read_file(file).unwrap()).unwrap();
    tree.files().map(|(path, file)| format!("{path}: {:?}\n", text(file))).collect()
}

const SETUP: &str = "import os\n\none\ntwo\nthree\nfour\n";

#[test]
fn a_diff_changes_makes_and_takes_away_files() {
    let diff = "Say why here.\n\ndiff -Naur a/setup.py b/setup.py\n--- a/setup.py\t2026-01-01\n+++ b/setup.py\t2026-01-02\n\
                @@ -2,3 +2,3 @@ def x:\n\n one\n-two\n+2\n@@ -6 +6,2 @@\n four\n+five\n\
                --- /dev/null\n+++ b/new/x.h\n@@ -0,0 +1 @@\n+int x;\n\
                --- a/old.h\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n";
    insta::assert_snapshot!(after(&[("/setup.py", SETUP), ("/old.h", "gone\n")], diff), @r#"
    /new/x.h: "int x;\n"
    /setup.py: "import os\n\none\n2\nthree\nfour\nfive\n"
    "#);
}

#[test]
fn lines_may_have_moved_but_must_be_the_same() {
    let diff = |line: &str| format!("--- a/setup.py\n+++ b/setup.py\n@@ -40,2 +40,1 @@\n {line}\n-two\n");
    insta::assert_snapshot!(after(&[("/setup.py", SETUP)], &diff("one")), @r#"/setup.py: "import os\n\none\nthree\nfour\n""#);
    insta::assert_snapshot!(after(&[("/setup.py", SETUP)], &diff("uno")), @"`/setup.py` has not the lines that it changes at line 40");
    insta::assert_snapshot!(after(&[], &diff("one")), @"there is no `/setup.py`");
}

#[test]
fn the_end_of_a_line_that_has_none_is_minded() {
    let unended = "\\ No newline at end of file\n";
    let cut = format!("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n{unended}");
    insta::assert_snapshot!(after(&[("/x", "one\n")], &cut), @r#"/x: "two""#);
    let ended = format!("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n{unended}+one\n");
    insta::assert_snapshot!(after(&[("/x", "one")], &ended), @r#"/x: "one\n""#);
    let kept = format!("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-one\n+two\n end\n{unended}");
    insta::assert_snapshot!(after(&[("/x", "one\nend")], &kept), @r#"/x: "two\nend""#);
}

#[test]
fn what_is_no_diff_is_refused() {
    let said = |diff: &str| after(&[("/x", "one\n")], diff);
    insta::assert_snapshot!(said("There she blows\n"), @"it is empty, or no unified diff");
    insta::assert_snapshot!(said("--- a/x\n+++ b/x\n"), @"line 1 is not of a unified diff");
    insta::assert_snapshot!(said("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n*two\n"), @"line 5 is not of a unified diff");
    insta::assert_snapshot!(said("--- a/x\n+++ b/x\n@@ -1,9 +1 @@\n-one\n"), @"line 1 is not of a unified diff");
    insta::assert_snapshot!(said("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-one\n+two\n"), @"`a/../x` is no file's name");
}
