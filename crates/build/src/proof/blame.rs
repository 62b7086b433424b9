//! Which removal is to blame for what doesn't work any more.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{ImagePath, Tree};

use super::{Absent, Kind, Needing, OpenEnd, Tried, What};
use crate::slim::{self, Effect, How, Lifts, Removal, Rules, SlimLedger};

/// A rule and whose files it took: what can be lifted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Suspect {
    /// Whose files, as the ledger names them.
    pub owner: String,
    /// The rule.
    pub rule: String,
}

/// Tells whether something doesn't work because a rule took the thing itself: then it is meant.
///
/// A part of the standard library may go, or what lies below a distribution's top; a module that others import by the
/// distribution's name may not, unless it is called as what nobody imports, nobody does import it, or the settings say so.
pub fn is_meant(tried: &Tried, ledger: &SlimLedger) -> bool {
    if tried.what != What::Module {
        // Who isn't imported isn't started either, unless somebody says so.
        let is_started = matches!(tried.what, What::Entry | What::Script) && tried.kind != Kind::Named;
        let suspect = named(tried, ledger).filter(|_| is_started);
        return suspect.is_some_and(|suspect| suspect.owner == tried.of && is_unneeded(&suspect.rule));
    }
    let may_go = tried.kind != Kind::Top || IDLE.contains(&tried.name.as_str());
    let files = files_of(&tried.name);
    let gone = |path: &ImagePath| files.iter().any(|file| is_file_of(path, file));
    removals(ledger).any(|(_, removal)| {
        removal.effect == Effect::Gone
            && (may_go || removal.rule == slim::DROP || is_unneeded(&removal.rule))
            && removal.rule != slim::MODULE_SOURCES
            && gone(&removal.path)
    })
}

/// Tells whether a rule takes whole modules, where nothing imports them.
fn is_unneeded(rule: &str) -> bool {
    Rules::shipped().get(rule).is_some_and(|rule| rule.how == How::Unneeded)
}

/// Tells whether something fails for want of a module or library that nobody took: then it never worked.
pub fn is_elsewhere(tried: &Tried, ledger: &SlimLedger) -> bool {
    let library = tried.file.as_ref().is_some_and(|file| !file.contains('/') && file.contains(".so"));
    // "You need hub to use this": a package's own words for another one that isn't there.
    let is_own_words = !tried.message.starts_with("cannot import name")
        && tried.file.is_none()
        && tried.absent == Some(Absent::Distribution);
    let misses = (tried.how == "ModuleNotFoundError" && tried.module.is_some())
        || (tried.how == "ImportError" && (library || is_own_words));
    misses && named(tried, ledger).is_none()
}

/// Returns what a failure itself names: the rule that took the file or the module that wasn't found.
pub fn named(tried: &Tried, ledger: &SlimLedger) -> Option<Suspect> {
    let path = tried.file.as_ref().and_then(|file| file.parse::<ImagePath>().ok());
    let by_file = || {
        let (taken, removal) = ledger.at(&path?)?;
        Some(Suspect { owner: taken.owner.clone(), rule: removal.rule.clone() })
    };
    let by = |is_it: &dyn Fn(&ImagePath) -> bool| of_path(ledger, is_it);
    let by_module = || of_module(tried.module.as_ref()?, ledger);
    // A library is asked for by its name alone.
    let by_name = || {
        let name = tried.file.as_deref().filter(|file| !file.contains('/') && !file.is_empty())?;
        by(&|path| path.name() == Some(name))
    };
    let by_message = || by(&|path| tried.message.contains(path.as_str()));
    by_file().or_else(by_module).or_else(by_name).or_else(by_message)
}

/// Returns the rule that took a module, by its dotted name.
pub fn of_module(module: &str, ledger: &SlimLedger) -> Option<Suspect> {
    let files = files_of(module);
    let by_file = of_path(ledger, &|path| files.iter().any(|file| is_file_of(path, file)));
    // A directory is a module of its own, as long as anything is in it.
    let directory = format!("/site-packages/{}/", module.replace('.', "/"));
    let is_within = |path: &ImagePath| module.contains('.') && path.as_str().contains(&directory);
    by_file.or_else(|| of_path(ledger, &is_within))
}

/// Tells whether a tree has a module, by its dotted name.
pub fn is_there(module: &str, tree: &Tree) -> bool {
    let files = files_of(module);
    tree.files().any(|(path, _)| files.iter().any(|file| is_file_of(&path, file)))
}

/// Returns the rule that took a file, or put a link in its place.
fn of_path(ledger: &SlimLedger, is_it: &dyn Fn(&ImagePath) -> bool) -> Option<Suspect> {
    let mut gone = removals(ledger).filter(|(_, removal)| removal.effect != Effect::Smaller);
    let (owner, removal) = gone.find(|(_, removal)| is_it(&removal.path))?;
    Some(Suspect { owner: owner.to_owned(), rule: removal.rule.clone() })
}

/// Returns the rule that took a library which a file doesn't find any more, or that changed the file itself.
pub fn of_end(end: &OpenEnd, ledger: &SlimLedger) -> Option<Suspect> {
    let taken = removals(ledger).find(|(_, removal)| removal.path.name() == Some(&end.name));
    let changed = || ledger.at(&end.needed_by).map(|(taken, removal)| (taken.owner.as_str(), removal));
    // What stands in a library's place may lack a symbol; the linked ones are few.
    let is_linked = |removal: &Removal| end.what != Needing::Library && removal.effect == Effect::Linked;
    let linked = || removals(ledger).find(|(_, removal)| is_linked(removal));
    let (owner, removal) = taken.or_else(changed).or_else(linked)?;
    Some(Suspect { owner: owner.to_owned(), rule: removal.rule.clone() })
}

/// Returns all that could be to blame, the nearest first: a distribution's own rules, then all others'.
pub fn suspects(tried: &Tried, ledger: &SlimLedger) -> Vec<Suspect> {
    let all: BTreeSet<Suspect> = removals(ledger)
        .map(|(owner, removal)| Suspect { owner: owner.to_owned(), rule: removal.rule.clone() })
        .collect();
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|suspect| suspect.owner == tried.of);
    [own, others].concat()
}

/// Finds few of some suspects that heal when they are lifted, by halving; nothing if all of them don't.
///
/// The earlier ones are preferred. Each that is returned is needed beside the others, if lifting one more never
/// breaks anything.
///
/// # Errors
/// Whatever trying gives.
pub fn narrow<E>(
    suspects: &[Suspect],
    mut heals: impl FnMut(&[Suspect]) -> Result<bool, E>,
) -> Result<Vec<Suspect>, E> {
    if !heals(suspects)? {
        return Ok(Vec::new());
    }
    let mut found: Vec<Suspect> = Vec::new();
    let mut left = suspects;
    loop {
        // The shortest beginning of what is left that heals, together with what was found.
        let (mut fails, mut works) = (None, left.len());
        while works > fails.map_or(0, |fails: usize| fails + 1) {
            let middle = fails.map_or(0, |fails| fails + 1).midpoint(works - 1);
            if heals(&[&found, &left[..middle]].concat())? { works = middle } else { fails = Some(middle) }
        }
        let Some(last) = works.checked_sub(1) else { return Ok(found) };
        found.push(left[last].clone());
        left = &left[..last];
    }
}

/// Adds suspects to what is lifted; false if all of them were.
pub fn lift(lifts: &mut Lifts, suspects: &[Suspect]) -> bool {
    let mut is_new = false;
    for Suspect { owner, rule } in suspects {
        is_new |= lifts.entry(owner.clone()).or_default().insert(rule.clone());
    }
    is_new
}

/// Returns the modules at distributions' tops of which `RECORD` speaks no longer, by distribution.
pub fn gone(ledger: &SlimLedger) -> BTreeMap<String, BTreeSet<String>> {
    let mut gone: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (owner, removal) in removals(ledger).filter(|(_, removal)| removal.effect == Effect::Gone) {
        let Some((_, name)) = removal.path.as_str().split_once("/site-packages/") else { continue };
        let is_code = [".py", ".so"].iter().any(|suffix| name.ends_with(suffix));
        if is_code
            && (!name.contains('/') || name.ends_with("/__init__.py") && name.matches('/').count() == 1)
        {
            gone.entry(owner.to_owned()).or_default().insert(name.to_owned());
        }
    }
    gone
}

fn removals(ledger: &SlimLedger) -> impl Iterator<Item = (&str, &Removal)> {
    ledger.taken.iter().flat_map(|taken| taken.removals.iter().map(|removal| (taken.owner.as_str(), removal)))
}

/// What is at some distributions' top by mistake, and imported by nobody.
const IDLE: [&str; 6] = ["benchmarks", "demo", "demos", "docs", "example", "examples"];

/// What directories of modules are called, besides `python3.13` and the like.
const ROOTS: [&str; 3] = ["site-packages", "dist-packages", "lib-dynload"];

/// Returns how a module's file can end: `/a/b.py`, `/a/b/__init__.py` and so on, without the suffix.
fn files_of(module: &str) -> [String; 2] {
    let path = module.replace('.', "/");
    [format!("/{path}"), format!("/{path}/__init__")]
}

/// Tells whether a path is a module's file, whatever its suffix.
fn is_file_of(path: &ImagePath, file: &str) -> bool {
    let name = path.name().unwrap_or_default();
    let Some((stem, _)) = name.split_once('.') else { return false };
    let is_code = [".py", ".pyc", ".so"].iter().any(|suffix| name.ends_with(suffix));
    let whole = path.as_str();
    let above = whole[..whole.len() - name.len() + stem.len()].strip_suffix(file);
    let is_root = |above: &str| {
        let directory = above.rsplit('/').next().unwrap_or_default();
        ROOTS.contains(&directory) || directory.starts_with("python3")
    };
    is_code && above.is_some_and(is_root)
}

#[cfg(test)]
mod tests;
