//! Changes what a shared object is called, what it needs and where that is looked for.
//!
//! A longer table of names goes into a new segment behind all others, with the program headers, which have no room
//! for one more where they are; the list of what to do moves only if it has no spare entries. Nothing else moves: no
//! address changes. What needs a library by a new name asks for its versions by that name, too. The result is read
//! again, and must say what was asked for and otherwise what it said before. [`compact`](crate::compact()) makes it
//! small again.
//!
//! Programs are refused, since kernels before Linux 5.18 would not find headers that moved.

mod dynamic;
mod write;

use std::collections::BTreeMap;

use crate::compact::raw::{Image, PT_INTERP};
use crate::symbols::Symbols;
use crate::{ElfError, Facts, Kept};
use dynamic::Entries;

/// What is to change; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// What others shall call it.
    pub soname: Option<String>,
    /// What it shall need instead of some of its needs; none for not at all.
    pub needed: BTreeMap<String, Option<String>>,
    /// What else it shall need, after the others.
    pub added: Vec<String>,
    /// Where its needs shall be looked for.
    pub search: Search,
}

/// Where needs shall be looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Search {
    /// Where they were.
    #[default]
    Keep,
    /// Nowhere but where the loader looks anyhow: `DT_RPATH` and `DT_RUNPATH` go.
    Default,
    /// In these directories, as `DT_RUNPATH`: `$ORIGIN/../libs`. A `DT_RPATH` goes.
    Runpath(String),
}

/// A file isn't edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] ElfError),
    /// Its headers make no sense, or aren't those of a library.
    #[error("the file's headers cannot be changed")]
    Headers(#[source] Kept),
    /// It is a program, or a library that can be started.
    #[error("a program's headers cannot be moved")]
    Program,
    /// It isn't linked dynamically, or in a way that cannot be edited.
    #[error("the file is not linked in a way that can be changed")]
    Unlinked,
    /// A library that it shall no longer need must define versions for it.
    #[error("the file asks for versions of a library that it would no longer need")]
    Versions,
    /// A new name has a zero byte in it, which ends names.
    #[error("a new name has a zero byte in it")]
    Name,
    /// What was written doesn't say what it should.
    #[error("the edited file would not be what was asked for: its {what} differ")]
    Uncertain {
        /// What is wrong.
        what: &'static str,
    },
}

/// Edits a shared object.
///
/// # Errors
/// Why it cannot be done.
pub fn edit(bytes: &[u8], edit: &Edit) -> Result<Vec<u8>, EditError> {
    let unreadable = EditError::Unreadable;
    let (before, symbols) =
        (Facts::read(bytes).map_err(unreadable)?, Symbols::read(bytes).map_err(unreadable)?);
    let headers = |kept| EditError::Headers(kept);
    let image = Image::read(&mut std::io::Cursor::new(bytes))
        .unwrap_or(Err(Kept::Malformed { part: "headers" }))
        .map_err(headers)?;
    image.suits().map_err(headers)?;
    if image.header.kind == 2 || image.programs.iter().any(|program| program.kind == PT_INTERP) {
        return Err(EditError::Program);
    }
    if names(edit).any(|name| name.contains('\0')) {
        return Err(EditError::Name);
    }
    let gone = edit.needed.iter().filter(|(_, new)| new.is_none()).map(|(name, _)| name);
    if gone.into_iter().any(|name| before.version_needs.contains_key(name)) {
        return Err(EditError::Versions);
    }
    let entries = Entries::read(&image, bytes).ok_or(EditError::Unlinked)?;
    let new = write::written(&image, bytes, entries, edit).ok_or(EditError::Unlinked)?;
    check(edit, (&before, &symbols), &new)?;
    Ok(new)
}

fn names(edit: &Edit) -> impl Iterator<Item = &String> {
    let search = match &edit.search {
        Search::Runpath(path) => Some(path),
        Search::Keep | Search::Default => None,
    };
    edit.soname.iter().chain(edit.needed.values().flatten()).chain(&edit.added).chain(search)
}

/// Compares what the new file says with what it should.
fn check(edit: &Edit, (before, symbols): (&Facts, &Symbols), new: &[u8]) -> Result<(), EditError> {
    let uncertain = |what| EditError::Uncertain { what };
    let after = Facts::read(new).map_err(|_| uncertain("headers"))?;
    let new_symbols = Symbols::read(new).map_err(|_| uncertain("symbols"))?;
    let called = |name: &String| match edit.needed.get(name) {
        Some(new) => new.clone(),
        None => Some(name.clone()),
    };
    let mut expected = Facts { segments: after.segments.clone(), ..before.clone() };
    (expected.debug_bytes, expected.symbol_table_bytes) = (after.debug_bytes, after.symbol_table_bytes);
    expected.soname = edit.soname.clone().or(expected.soname);
    expected.needed = before.needed.iter().filter_map(called).chain(edit.added.iter().cloned()).collect();
    match &edit.search {
        Search::Keep => {}
        Search::Default => (expected.rpath, expected.runpath) = (None, None),
        Search::Runpath(path) => (expected.rpath, expected.runpath) = (None, Some(path.clone())),
    }
    expected.version_needs = BTreeMap::new();
    for (library, versions) in &before.version_needs {
        let library = called(library).unwrap_or_default();
        expected.version_needs.entry(library).or_default().extend(versions.iter().cloned());
    }
    if after != expected {
        return Err(uncertain("facts"));
    }
    let mut wanted = symbols.clone();
    for (_, library) in wanted.undefined.iter_mut().filter_map(|symbol| symbol.version.as_mut()) {
        *library = called(library).unwrap_or_default();
    }
    wanted.undefined.sort();
    if wanted == new_symbols { Ok(()) } else { Err(uncertain("symbols")) }
}
