use std::sync::atomic::{AtomicUsize, Ordering};

use minke_cas::{Entry, ImagePath};

use super::super::{Kind, Needing, What};
use super::*;
use crate::slim::{Effect, Removal, Taken};

/// An image of toy distributions, each with a file for each rule; modules need files, said or unsaid.
struct Toy {
    /// Module, what it needs, and whether it says so when that is missing.
    modules: Vec<(&'static str, &'static str, bool)>,
    library_needs: Option<&'static str>,
    asked: AtomicUsize,
}

const OWNERS: [&str; 4] = ["a", "b", "c", "d"];
const RULES: [&str; 4] = ["docs", "samples", "stubs", "tests"];

fn path(owner: &str, rule: &str) -> ImagePath {
    format!("/site-packages/{owner}/{rule}.txt").parse().unwrap()
}

fn tree(stays: impl Fn(&str, &str) -> bool) -> Tree {
    let mut tree = Tree::new();
    for (owner, rule) in OWNERS.iter().flat_map(|owner| RULES.map(|rule| (owner, rule))) {
        if stays(owner, rule) {
            tree.insert(&path(owner, rule), Entry::symlink("x")).unwrap();
        }
    }
    tree
}

impl Patient for Toy {
    type Error = Incurable;

    fn slim(&self, lifts: &Lifts) -> Result<(Tree, SlimLedger), Incurable> {
        let is_lifted = |owner: &str, rule: &str| lifts.get(owner).is_some_and(|rules| rules.contains(rule));
        let taken = OWNERS.map(|owner| Taken {
            owner: owner.to_owned(),
            title: owner.to_owned(),
            removals: RULES
                .iter()
                .filter(|rule| !is_lifted(owner, rule))
                .map(|rule| Removal {
                    path: path(owner, rule),
                    rule: (*rule).to_owned(),
                    bytes: 1,
                    effect: Effect::Gone,
                })
                .collect(),
        });
        Ok((tree(is_lifted), SlimLedger { taken: taken.into(), ..SlimLedger::default() }))
    }

    fn ask(&self, tree: &Tree, questions: Questions) -> Result<Found, Incurable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let tried = self.modules.iter().map(|(module, needs, says)| {
            let ok = tree.get(&needs.parse().unwrap()).is_some();
            Tried {
                of: module.split('.').next().unwrap_or_default().to_owned(),
                what: What::Module,
                name: (*module).to_owned(),
                kind: Kind::Top,
                ok,
                seconds: 0.0,
                how: "Error".to_owned(),
                message: "no".to_owned(),
                module: None,
                file: (!ok && *says).then(|| (*needs).to_owned()),
                at: None,
                absent: None,
            }
        });
        let is_wanted = |tried: &Tried| match &questions {
            Questions::All(_) => true,
            Questions::Only(only) => only.contains(&tried.item()),
        };
        Ok(Found { tried: tried.filter(is_wanted).collect(), ..Found::default() })
    }

    fn open_ends(&self, tree: &Tree) -> Result<BTreeSet<OpenEnd>, Incurable> {
        let needed = self.library_needs.map(|name| format!("/site-packages/{name}").parse().unwrap());
        let needed = needed.filter(|needed: &ImagePath| tree.get(needed).is_none());
        let end = |needed: ImagePath| OpenEnd {
            needed_by: "/m.so".parse().unwrap(),
            name: needed.name().unwrap().to_owned(),
            what: Needing::Library,
        };
        Ok(needed.into_iter().map(end).collect())
    }
}

fn healed(modules: &[(&'static str, &'static str, bool)], library_needs: Option<&'static str>) -> String {
    let toy = Toy { modules: modules.to_vec(), library_needs, asked: AtomicUsize::new(0) };
    let outcome = match heal(&toy, &tree(|_, _| true), Lifts::new()) {
        Ok(Healed { lifts, put_back, ailing }) => {
            let line = |PutBack { owner, rule, bytes, broken, why }: &PutBack| {
                format!("{rule} of {owner} ({bytes}) for {broken}: {why}\n")
            };
            let ill =
                |tried: &Tried| format!("{} of {} is ill: {}\n", tried.name, tried.of, check::why(tried));
            let told = put_back.iter().map(line).chain(ailing.iter().map(ill));
            format!("{}{lifts:?}", told.collect::<String>())
        }
        Err(error) => error.to_string(),
    };
    format!("{outcome}, asked {} times", toy.asked.load(Ordering::Relaxed))
}

#[test]
fn what_names_what_it_misses_costs_one_round() {
    let modules = [("a", "/site-packages/a/tests.txt", true), ("b", "/site-packages/c/stubs.txt", true)];
    insta::assert_snapshot!(healed(&modules, None), @r#"
    tests of a (1) for a: Error: no
    stubs of c (1) for b: Error: no
    {"a": {"tests"}, "c": {"stubs"}}, asked 3 times
    "#);
}

#[test]
fn what_names_nothing_is_searched_for_in_few_tries() {
    let modules = [("d", "/site-packages/b/samples.txt", false), ("a", "/site-packages/a/docs.txt", false)];
    insta::assert_snapshot!(healed(&modules, None), @r#"
        samples of b (1) for d: Error: no
        docs of a (1) for a: Error: no
        {"a": {"docs"}, "b": {"samples"}}, asked 20 times
    "#);
}

#[test]
fn what_failed_before_may_fail_and_what_is_whole_is_left_alone() {
    assert_eq!(healed(&[("a", "/nowhere", false)], None), "a of a is ill: Error: no\n{}, asked 2 times");
    assert_eq!(healed(&[], None), "{}, asked 1 times");
}

#[test]
fn a_library_that_nobody_finds_any_more_comes_back() {
    insta::assert_snapshot!(healed(&[], Some("a/docs.txt")), @r#"
    docs of a (1) for /m.so: it does not find `docs.txt`
    {"a": {"docs"}}, asked 2 times
    "#);
}

#[test]
fn the_bytecode_of_what_is_the_same_is_lent_to_the_image_from_before() {
    let tree = |files: &[(&str, &str)]| {
        let mut tree = Tree::new();
        for (path, text) in files {
            tree.insert(&path.parse().unwrap(), Entry::symlink(*text)).unwrap();
        }
        tree
    };
    let before = tree(&[("/a.py", "a"), ("/b.py", "b")]);
    let mut after = tree(&[("/a.py", "a"), ("/b.py", "another")]);
    for path in ["/__pycache__/a.cpython-313.pyc", "/__pycache__/b.cpython-313.pyc"] {
        let file = minke_cas::File::new(minke_cas::Digest::of(b""), 0, minke_cas::Mode::REGULAR);
        after.insert(&path.parse().unwrap(), file.into()).unwrap();
    }
    let paths: Vec<String> =
        with_bytecode(&before, &after).files().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/__pycache__/a.cpython-313.pyc"]);
}
