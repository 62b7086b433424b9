//! Shared libraries that are there more than once: one stays, and links to it stand for the others.
//!
//! Unlike all other rules most of these look at several distributions. What they do not look at is the user's own files,
//! so that an edit of these moves no layer. A library keeps its name and place, as a symlink: whoever needs it finds it
//! where it was, and the loader, which knows files by their inodes, loads what both lead to once.

mod kin;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{File, ImagePath, Store, StoreError, Tree};
use minke_elf::Facts;

use self::kin::Kin;
use self::sharing::Sharing;
use super::part::{Orders, Slimmed};
use super::rules::{Active, How, Rules, set};
use crate::native::{self, Facted};

/// How many bytes a library has that is worth a link.
const LEAST: u64 = 4096;

/// A slimmed part, and what the settings say of it if a rule may look at it.
pub type Sibling<'part> = (&'part Tree, Option<&'part Orders>);

/// Puts links in the place of libraries that are there once more, or for which another build can stand, and returns the
/// parts that this changes.
///
/// # Errors
/// [`StoreError`] if a file isn't in the store, or a `RECORD` cannot be kept.
///
/// # Panics
/// If a glob of the orders is none: `slim::check` says so before.
pub fn share(
    store: &Store,
    rules: &Rules,
    parts: &[Sibling<'_>],
) -> Result<BTreeMap<usize, Slimmed>, StoreError> {
    let scope = scope(rules, parts);
    if scope.is_empty() {
        return Ok(BTreeMap::new());
    }
    let facts = |(part, (tree, _)): (usize, &Sibling<'_>)| match scope.contains(&part) {
        true => native::facts(store, tree),
        false => Ok(Facted::new()),
    };
    let facted = parts.iter().enumerate().map(facts).collect::<Result<Vec<_>, _>>()?;
    let mut sharing = Sharing { store, parts, libraries: libraries(rules, parts, &facted), facted: &facted };
    sharing.link_equal();
    sharing.link_compatible()?;
    sharing.drop_orphans();
    sharing.changed()
}

/// Returns the parts whose ELF files are to be looked at, by the names of their libraries: most have nothing twice.
fn scope(rules: &Rules, parts: &[Sibling<'_>]) -> BTreeSet<usize> {
    let (mut asked, mut within) = (BTreeSet::new(), BTreeSet::new());
    let mut first: BTreeMap<(String, Option<u64>), usize> = BTreeMap::new();
    let mut is_across = false;
    for (part, (tree, orders)) in parts.iter().enumerate() {
        let Some(orders) = *orders else { continue };
        asked.insert(part);
        let hows: Vec<How> =
            rules.active(&orders.rules, &orders.owner).iter().map(|active| active.rule.how).collect();
        if !hows.iter().any(|how| is_sharing(*how)) {
            continue;
        }
        let mut own = BTreeSet::new();
        for (path, _) in tree.files().filter(|(path, file)| is_place(path, file)) {
            let kin = Kin::of(path.name().unwrap_or_default());
            let kind = (kin.stem.to_owned(), kin.major);
            is_across |= *first.entry(kind.clone()).or_insert(part) != part
                && hows.iter().any(|how| matches!(how, How::Equal | How::Compatible));
            if !own.insert(kind) && hows.contains(&How::Doubled) {
                within.insert(part);
            }
        }
    }
    if is_across { asked } else { within }
}

fn is_sharing(how: How) -> bool {
    matches!(how, How::Equal | How::Compatible | How::Doubled)
}

/// A library that others load, and lies among a distribution's files.
struct Library<'part> {
    part: usize,
    owner: &'part str,
    path: ImagePath,
    file: &'part File,
    facts: &'part Facts,
    /// The rules by which a link may stand for it.
    rules: Vec<(How, &'part str)>,
    fate: Fate<'part>,
}

/// What becomes of a library, and by which rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate<'part> {
    Stays,
    /// A link to this one takes its place.
    Linked(usize, &'part str),
    /// Only what a link took the place of needed it.
    Gone(&'part str),
}

impl<'part> Library<'part> {
    fn rule(&self, how: How) -> Option<&'part str> {
        self.rules.iter().find(|(other, _)| *other == how).map(|(_, name)| *name)
    }

    fn name(&self) -> &str {
        self.path.name().unwrap_or_default()
    }
}

/// Lists the libraries of all parts that are looked at.
fn libraries<'part>(
    rules: &'part Rules,
    parts: &[Sibling<'part>],
    facted: &'part [Facted],
) -> Vec<Library<'part>> {
    let mut libraries = Vec::new();
    for (part, ((tree, orders), facted)) in parts.iter().zip(facted).enumerate() {
        let Some(orders) = *orders else { continue };
        let active = rules.active(&orders.rules, &orders.owner);
        let keep = set(&orders.keep).expect("globs of settings were checked");
        let files = tree.files().filter(|(path, file)| is_place(path, file));
        for (path, file) in files {
            let Some(facts) = facted.get(&path).filter(|facts| is_library(facts)) else { continue };
            let takes = |active: &&Active<'_>| is_sharing(active.rule.how) && !active.spares(&path);
            let rules = match keep.is_match(path.as_str()) {
                true => Vec::new(),
                false => active.iter().filter(takes).map(|one| (one.rule.how, &*one.rule.name)).collect(),
            };
            libraries.push(Library {
                part,
                owner: &orders.owner,
                path,
                file,
                facts,
                rules,
                fate: Fate::Stays,
            });
        }
    }
    libraries.sort_by(|one, other| (one.owner, &one.path).cmp(&(other.owner, &other.path)));
    libraries
}

/// Tells whether a library that is worth a link may lie here.
fn is_place(path: &ImagePath, file: &File) -> bool {
    let is_name = |name: &str| name.starts_with("lib") && name.contains(".so");
    file.size >= LEAST && path.as_str().contains("/site-packages/") && path.name().is_some_and(is_name)
}

fn is_library(facts: &Facts) -> bool {
    facts.is_dynamic() && facts.interpreter.is_none() && !native::is_python_module(facts)
}

#[cfg(test)]
mod tests;
