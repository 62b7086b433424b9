//! Whether every ELF file of an image finds its libraries, and in them every symbol, as its loader would.
//!
//! Nothing is started. Files for other processors are passed over. Symbols are looked for as if the image's Python
//! had loaded the file by itself: what only works because another module was imported before is an open end here, too,
//! which is why open ends are compared with those from before, and matter by themselves only where nothing works without.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use minke_cas::{Digest, ImagePath, Store, StoreError, Tree};
use minke_elf::{Facts, Process, Resolver};
use serde::{Deserialize, Serialize};

use crate::native::{self, Facted};
use crate::needs;

/// Something that a file needs and wouldn't find.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OpenEnd {
    /// The file.
    pub needed_by: ImagePath,
    /// A library's name, or a symbol's, with its version behind an `@`.
    pub name: String,
    /// What it is.
    pub what: Needing,
}

/// What a file needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needing {
    /// A library, without which a program or extension module doesn't start.
    Library,
    /// A symbol, for a program or extension module; most are looked for when they are used.
    Symbol,
    /// A library or symbol, for a file that others load if at all; some expect it of who loads them.
    Plugin,
}

/// The files of an image cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the image's libraries")]
pub struct ClosureError(#[from] StoreError);

#[derive(Serialize)]
struct Key<'a> {
    tree: Digest,
    python: &'a ImagePath,
}

const KIND: &str = "proof-closure-2";

/// Finds the open ends of all files of an image, sorted, or returns what was found the last time.
///
/// # Errors
/// [`ClosureError`] if a file isn't in the store.
pub fn open_ends(store: &Store, tree: &Tree, python: &ImagePath) -> Result<BTreeSet<OpenEnd>, ClosureError> {
    let key = Key { tree: tree.digest(), python };
    if let Some(known) = store.recall(KIND, &key) {
        return Ok(known);
    }
    let found = look(store, tree, python)?;
    store.remember(KIND, &key, &found)?;
    Ok(found)
}

fn look(store: &Store, tree: &Tree, python: &ImagePath) -> Result<BTreeSet<OpenEnd>, ClosureError> {
    let facted = native::facts(store, tree)?;
    let program = tree.resolve(python);
    let ours = program.as_ref().and_then(|program| facted.get(program));
    let Some(resolver) = ours.map(|facts| resolver(store, tree, facts)).transpose()? else {
        return Ok(BTreeSet::new());
    };
    let view = |path: &ImagePath| facted.get(&tree.resolve(path)?);
    // What nobody wants is most of what there is, and not kept.
    let wanted = wanted(store, tree, facted.keys())?;
    let is_wanted = |name: &str| wanted.contains(name);
    let tables = RefCell::new(BTreeMap::new());
    let failed = RefCell::new(None);
    let symbols = |path: &ImagePath| {
        let path = tree.resolve(path)?;
        let known = tables.borrow().get(&path).cloned();
        known.or_else(|| {
            let read = native::symbols((store, tree), &path, &is_wanted).unwrap_or_else(|error| {
                *failed.borrow_mut() = Some(error);
                None
            });
            let read = Rc::new(read?);
            tables.borrow_mut().insert(path, Rc::clone(&read));
            Some(read)
        })
    };
    let sonames: BTreeSet<&str> = facted.values().filter_map(|facts| facts.soname.as_deref()).collect();
    let mut found = BTreeSet::new();
    let fitting =
        |(_, facts): &(&ImagePath, &Facts)| facts.is_dynamic() && ours.is_some_and(|ours| ours.fits(facts));
    for (path, facts) in facted.iter().filter(fitting) {
        let is_program = facts.interpreter.is_some();
        let is_first = is_program || native::is_python_module(facts);
        let unmet = resolver.unresolved(view, [path.clone()]);
        let end = |name: String, what| OpenEnd { needed_by: path.clone(), name, what };
        for unmet in unmet.into_iter().filter(|unmet| matters(&unmet.soname, &facted, &unmet.needed_by)) {
            // Some modules only work after another one has loaded what they need.
            let elsewhere = sonames.contains(unmet.soname.as_str());
            let what = if is_first && !elsewhere { Needing::Library } else { Needing::Plugin };
            found.insert(end(unmet.soname, what));
        }
        let process = Process { program: program.as_ref().filter(|_| !is_program), modules: &[] };
        for unbound in resolver.unbound(view, symbols, process, path) {
            let version = unbound.version.map(|version| format!("@{version}")).unwrap_or_default();
            let what = if is_first { Needing::Symbol } else { Needing::Plugin };
            found.insert(end(format!("{}{version}", unbound.symbol), what));
        }
    }
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(found),
    }
}

/// Returns the names of all symbols that files need of others.
fn wanted<'path>(
    store: &Store,
    tree: &Tree,
    paths: impl Iterator<Item = &'path ImagePath>,
) -> Result<HashSet<String>, StoreError> {
    let mut wanted = HashSet::new();
    for path in paths {
        let symbols = native::symbols((store, tree), path, &|_| false)?.unwrap_or_default();
        let needed = symbols.undefined.into_iter().filter(|symbol| !symbol.weak);
        wanted.extend(needed.map(|symbol| symbol.name));
    }
    Ok(wanted)
}

/// Tells whether a library that isn't found is missed: a driver's and the interpreter's own are not.
fn matters(soname: &str, facted: &Facted, needed_by: &ImagePath) -> bool {
    !needs::is_drivers(soname) && !native::leaves_to_interpreter(soname, facted.get(needed_by))
}

/// Returns how the loader of an interpreter looks for libraries.
fn resolver(store: &Store, tree: &Tree, python: &Facts) -> Result<Resolver, StoreError> {
    if python.interpreter.as_deref().is_some_and(|loader| loader.contains("ld-musl")) {
        return Ok(Resolver::musl());
    }
    let mut resolver = Resolver::debian(python.machine);
    let mut directories = native::library_directories(store, tree)?;
    directories.append(&mut resolver.default_directories);
    Ok(Resolver { default_directories: directories, ..resolver })
}
