//! Modules as bytecode alone: `x.pyc` in place of `x.py`, where an interpreter looks that finds no source.
//!
//! Spec: <https://peps.python.org/pep-3147/#case-4-legacy-pyc-files-and-source-less-imports>

use std::collections::BTreeMap;

use minke_cas::{Entry, File, ImagePath, Mode, Store, StoreError, Tree};

use super::part::{Orders, Slimmed};
use super::rules::{Rules, set};
use super::{Effect, MODULE_SOURCES, Removal, records};

/// Takes the sources of those modules that have bytecode, if the orders say so; `compiled` is a part with its bytecode.
///
/// What isn't valid Python for this interpreter has no bytecode, and stays.
///
/// # Errors
/// [`StoreError`] if a `RECORD` cannot be read or kept.
pub fn without_sources(
    store: &Store,
    rules: &Rules,
    orders: &Orders,
    compiled: &Tree,
) -> Result<Slimmed, StoreError> {
    let active = rules.active(&orders.rules, &orders.owner);
    let Some(active) = active.iter().find(|active| active.rule.name == MODULE_SOURCES) else {
        return Ok(Slimmed { tree: compiled.clone(), removals: Vec::new() });
    };
    let keep = set(&orders.keep).expect("globs of settings were checked");
    let mut removals = Vec::new();
    let mut moved: BTreeMap<ImagePath, File> = BTreeMap::new();
    let mut gone = std::collections::BTreeSet::new();
    let mut renamed = BTreeMap::new();
    for (cached, bytecode) in compiled.files() {
        let Some((source, place)) = source_of(&cached) else { continue };
        let Some(Entry::File(file)) = compiled.get(&source) else { continue };
        let is_taken = active.takes(&source) && !keep.is_match(source.as_str());
        if is_taken && compiled.get(&place).is_none() {
            let rule = active.rule.name.clone();
            removals.push(Removal { path: source.clone(), rule, bytes: file.size, effect: Effect::Gone });
            moved.insert(place.clone(), bytecode.clone());
            renamed.insert(source.clone(), place);
            gone.extend([source, cached]);
        }
    }
    let mut tree = compiled.filter(|path, _| !gone.contains(path));
    for (place, file) in moved {
        tree.replace(&place, file.into()).expect("a module lies in a directory");
    }
    for (path, text) in records::outdated(store, (compiled, &tree), &renamed)? {
        let file = File::new(store.put(text.as_bytes())?, text.len() as u64, Mode::REGULAR);
        tree.replace(&path, file.into()).expect("a file is replaced by one");
    }
    removals.sort();
    Ok(Slimmed { tree, removals })
}

/// Returns where the source of cached bytecode lies, and where its bytecode lies without it.
fn source_of(cached: &ImagePath) -> Option<(ImagePath, ImagePath)> {
    let (stem, tag) = cached.name()?.strip_suffix(".pyc")?.rsplit_once('.')?;
    let cache = cached.parent()?;
    let is_cache = cache.name() == Some("__pycache__") && tag.starts_with("cpython-");
    let directory = cache.parent().filter(|_| is_cache)?;
    Some((directory.join_str(&format!("{stem}.py")).ok()?, directory.join_str(&format!("{stem}.pyc")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for path in paths {
            let file = File::new(minke_cas::Digest::of(path.as_bytes()), 1, Mode::REGULAR);
            tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        }
        tree
    }

    fn left(owner: &str, paths: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let rules = vec!["module-sources".to_owned()];
        let orders = Orders { owner: owner.to_owned(), rules, ..Orders::default() };
        let slimmed = without_sources(&store, Rules::shipped(), &orders, &tree(paths)).unwrap();
        slimmed.tree.files().map(|(path, _)| path.to_string()).collect()
    }

    const MODULE: [&str; 3] = [
        "/app/.venv/lib/python3.13/site-packages/a/__pycache__/x.y.cpython-313.pyc",
        "/app/.venv/lib/python3.13/site-packages/a/template.py",
        "/app/.venv/lib/python3.13/site-packages/a/x.y.py",
    ];

    #[test]
    fn a_source_with_bytecode_goes_and_its_bytecode_takes_its_place() {
        assert_eq!(left("a", &MODULE), [MODULE[1], "/app/.venv/lib/python3.13/site-packages/a/x.y.pyc"]);
    }

    #[test]
    fn who_reads_sources_while_it_runs_keeps_them() {
        assert_eq!(left("torch", &MODULE), MODULE);
    }

    #[test]
    fn a_record_lists_bytecode_in_the_place_of_its_source() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let site = "/app/.venv/lib/python3.13/site-packages";
        let mut tree = tree(
            &["/x/a/__pycache__/m.cpython-313.pyc", "/x/a/m.py", "/x/a/n.txt"]
                .map(|path| path.replace("/x", site))
                .each_ref()
                .map(String::as_str),
        );
        let text = b"a-1.dist-info/RECORD,,\na/m.py,,\na/n.txt,,\n";
        let record: ImagePath = format!("{site}/a-1.dist-info/RECORD").parse().unwrap();
        let file = File::new(store.put(text).unwrap(), text.len() as u64, Mode::REGULAR);
        tree.insert(&record, file.into()).unwrap();
        let rules = vec!["module-sources".to_owned()];
        let orders = Orders { owner: "a".to_owned(), rules, ..Orders::default() };
        let slimmed = without_sources(&store, Rules::shipped(), &orders, &tree).unwrap();
        let written = store.read_file(slimmed.tree.resolve_file(&record).unwrap()).unwrap();
        let written = String::from_utf8(written.to_vec()).unwrap();
        let names: Vec<&str> = written.lines().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(names, ["a-1.dist-info/RECORD", "a/m.pyc", "a/n.txt"]);
        assert!(written.contains("a/m.pyc,sha256="), "{written}");
    }
}
