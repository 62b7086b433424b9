//! What nothing in an image imports: parts of the standard library, with the libraries that only those need, and
//! installers.
//!
//! Imports are followed backwards: from what a rule would take to the modules of the standard library that import it, and
//! those that import these. If none of them is named outside of the standard library, by whatever stays, the rule takes
//! what it is there to take. The user's own files count as well; a rule whose outcome depends on them begins with
//! `smallest`, where layers are for one image anyway.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, File, ImagePath, Store, StoreError, Tree};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::imports;
use super::modules::{dotted, in_library, in_site, package};
use super::rules::{Active, How, Rule, Rules};
use super::{Lifts, Sibling};

/// Programs larger than this aren't read as Python.
const MOST_BYTES: u64 = 1 << 20;

/// Modules by which each rule's own are reached.
type Ways = BTreeMap<String, BTreeSet<String>>;

/// What the sources that a rule would take name, and under the empty name the others.
type Named = BTreeMap<String, BTreeSet<String>>;

/// Returns the names of the rules whose modules nobody needs.
///
/// # Errors
/// [`StoreError`] if a source isn't in the store.
pub fn unneeded(
    store: &Store,
    rules: &Rules,
    parts: &[Sibling<'_>],
    lifts: &Lifts,
) -> Result<BTreeSet<String>, StoreError> {
    let is_lifted = |rule: &str| lifts.values().any(|lifted| lifted.contains(rule));
    let is_asked = |rule: &&Rule| {
        let is_ordered =
            |(_, orders): &Sibling<'_>| orders.is_some_and(|orders| orders.rules.contains(&rule.name));
        rule.how == How::Unneeded && !is_lifted(&rule.name) && parts.iter().any(is_ordered)
    };
    let asked: Vec<String> = rules.iter().filter(is_asked).map(|rule| rule.name.clone()).collect();
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let _span = tracing::info_span!("look for what nobody imports").entered();
    let ways = ways(store, rules.active(&asked, ""), parts)?;
    let namers = parts.par_iter().map(|(tree, orders)| {
        let own = orders.map(|orders| rules.active(&orders.rules, &orders.owner)).unwrap_or_default();
        named(store, tree, (rules, &own), &ways)
    });
    let namers: Vec<Named> = namers.collect::<Result<_, _>>()?;
    let mut idle: BTreeSet<String> = asked.into_iter().collect();
    loop {
        let stays = |taker: &str| !idle.contains(taker);
        let needed: BTreeSet<&String> =
            namers.iter().flatten().filter(|(taker, _)| stays(taker)).flat_map(|(_, names)| names).collect();
        let still: BTreeSet<String> =
            idle.iter().filter(|rule| !ways[*rule].iter().any(|way| needed.contains(way))).cloned().collect();
        if still.len() == idle.len() {
            return Ok(idle);
        }
        idle = still;
    }
}

/// Returns what a part's files name that may decide which rules' modules somebody needs.
///
/// # Errors
/// [`StoreError`] if a source isn't in the store.
pub fn imported(store: &Store, rules: &Rules, tree: &Tree) -> Result<BTreeSet<String>, StoreError> {
    #[derive(Serialize)]
    struct Key {
        tree: Digest,
        rules: Digest,
    }
    store.memo("imported-1", &Key { tree: tree.digest(), rules: rules.digest() }, || {
        let modules: BTreeSet<&String> = rules.iter().flat_map(|rule| &rule.modules).collect();
        let mut all = BTreeSet::new();
        for (path, file) in tree.files().filter(|(path, file)| is_code(path, file)) {
            let bytes = store.read_file(file)?;
            let words = modules.iter().filter(|module| has_word(&bytes, module));
            all.extend(words.map(|word| (*word).clone()));
            if !path.as_str().ends_with(".so") {
                let package = in_site(&path).map(package).unwrap_or_default();
                all.extend(imports::named(&String::from_utf8_lossy(&bytes), &package, &BTreeSet::new()));
            }
        }
        Ok(all)
    })
}

/// Returns by which modules of the standard library the rules' own are reached, those included.
fn ways(store: &Store, asked: Vec<Active<'_>>, parts: &[Sibling<'_>]) -> Result<Ways, StoreError> {
    #[derive(Serialize)]
    struct Key<'key> {
        parts: Vec<Digest>,
        rules: Vec<&'key Rule>,
    }
    let has_library = |tree: &&Tree| tree.files().any(|(path, _)| in_library(&path).is_some());
    let trees: Vec<&Tree> = parts.iter().map(|(tree, _)| *tree).filter(has_library).collect();
    let rules = asked.iter().map(|active| active.rule).collect();
    let key = Key { parts: trees.iter().map(|tree| tree.digest()).collect(), rules };
    store.memo("ways-2", &key, || {
        let files = trees.iter().flat_map(|tree| tree.files());
        let sources: Vec<(String, ImagePath, &File)> = files
            .filter_map(|(path, file)| Some((in_library(&path)?.to_owned(), path, file)))
            .filter(|(place, ..)| place.ends_with(".py") && !place.ends_with("__main__.py"))
            .collect();
        let mut named = Vec::new();
        for (place, path, file) in sources {
            let Some(module) = dotted(&place) else { continue };
            let text = store.read_file(file)?;
            // A package's own strings count, for there are tables of names that all of them have once had.
            let tops = BTreeSet::from([module.split('.').next().unwrap_or_default().to_owned()]);
            let names = imports::named(&String::from_utf8_lossy(&text), &package(&place), &tops);
            named.push((module, path, names));
        }
        let of = |active: &Active<'_>| {
            let mut reached: BTreeSet<String> = active.rule.modules.iter().cloned().collect();
            loop {
                let is_new = |(module, path, names): &&(String, ImagePath, BTreeSet<String>)| {
                    !reached.contains(module)
                        && !active.does_without(path)
                        && names.iter().any(|name| way(name, &reached).is_some())
                };
                let new: Vec<String> =
                    named.iter().filter(is_new).map(|(module, ..)| module.clone()).collect();
                if new.is_empty() {
                    return reached;
                }
                reached.extend(new);
            }
        };
        Ok(asked.iter().map(|active| (active.rule.name.clone(), of(active))).collect())
    })
}

/// Returns which of the ways the files of a part name that aren't the standard library's.
fn named(
    store: &Store,
    tree: &Tree,
    (rules, own): (&Rules, &[Active<'_>]),
    ways: &Ways,
) -> Result<Named, StoreError> {
    #[derive(Serialize)]
    struct Key<'key> {
        tree: Digest,
        rules: Digest,
        own: Vec<&'key str>,
        ways: &'key Ways,
    }
    let own: Vec<&Active<'_>> = own.iter().filter(|active| ways.contains_key(&active.rule.name)).collect();
    let key = Key {
        tree: tree.digest(),
        rules: rules.digest(),
        own: own.iter().map(|active| &*active.rule.name).collect(),
        ways,
    };
    store.memo("named-1", &key, || {
        let ways: BTreeSet<String> = ways.values().flatten().cloned().collect();
        let tops = ways.iter().filter_map(|name| Some(name.split('.').next()?.to_owned())).collect();
        let modules = rules.iter().flat_map(|rule| &rule.modules).collect();
        let watch = Watch { ways, tops, modules };
        let mut named = Named::new();
        for (path, file) in
            tree.files().filter(|(path, file)| in_library(path).is_none() && is_code(path, file))
        {
            let bytes = store.read_file(file)?;
            let names = names_in(&path, &bytes, &watch);
            if !names.is_empty() {
                let taker = own.iter().find(|active| active.takes(&path));
                let taker = taker.map(|active| active.rule.name.clone()).unwrap_or_default();
                named.entry(taker).or_default().extend(names);
            }
        }
        Ok(named)
    })
}

/// Tells whether a file may import something: a source, a program without a suffix, an extension module.
pub(super) fn is_code(path: &ImagePath, file: &File) -> bool {
    let name = path.name().unwrap_or_default();
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
    match suffix {
        Some("py" | "pth") => true,
        Some("so") => !name.starts_with("lib"),
        Some(_) => false,
        None => file.mode.is_executable() && file.size <= MOST_BYTES,
    }
}

/// What is looked for in files.
struct Watch<'watch> {
    /// Modules by which the rules' own are reached, those included.
    ways: BTreeSet<String>,
    /// The first components of their names.
    tops: BTreeSet<String>,
    /// The rules' own modules.
    modules: BTreeSet<&'watch String>,
}

fn names_in(path: &ImagePath, bytes: &[u8], watch: &Watch<'_>) -> BTreeSet<String> {
    let Watch { ways, tops, modules } = watch;
    let words: Vec<&String> = tops.iter().filter(|top| has_word(bytes, top)).collect();
    if words.is_empty() {
        return BTreeSet::new();
    }
    let name = path.name().unwrap_or_default();
    if name.ends_with(".so") {
        // Which of a package's modules is meant isn't told by bytes.
        let is_meant = |name: &&String| words.iter().any(|top| name.split('.').next() == Some(top.as_str()));
        return ways.iter().filter(is_meant).cloned().collect();
    }
    let is_python = name.contains('.') || first_line(bytes).contains("python");
    if !is_python {
        return BTreeSet::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let package = in_site(path).map(package).unwrap_or_default();
    let mut named = imports::named(&text, &package, tops);
    // `import_module("sqlite3")`
    let is_text =
        |word: &&&String| ['"', '\''].iter().any(|quote| text.contains(&format!("{quote}{word}{quote}")));
    named.extend(modules.iter().filter(is_text).map(|word| (*word).clone()));
    named.iter().filter_map(|name| way(name, ways)).cloned().collect()
}

/// Returns which of some modules a dotted name is, or is in.
fn way<'ways>(name: &str, ways: &'ways BTreeSet<String>) -> Option<&'ways String> {
    let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
    ends.filter_map(|end| ways.get(&name[..end])).next_back()
}

pub(super) fn has_word(bytes: &[u8], word: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(bytes, word).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_part(before) && !is_part(bytes.get(at + word.len()))
    })
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"#!") { String::from_utf8_lossy(line).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests;
