//! `RECORD` after slimming: what is gone goes from it, and what is smaller has its new hash.
//!
//! Who asks it which files a distribution has, and checks them, finds what is there.

use std::collections::BTreeMap;

use minke_cas::{Entry, ImagePath, Store, StoreError, Tree};
use minke_python::{Record, RecordEntry};

/// Returns each `RECORD` of `after` that says something else than is there, as it should be.
///
/// What wasn't there before, such as a script that another part has, stays as it is said. `renamed` says in whose place
/// what stands: bytecode in that of its source.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub(super) fn outdated(
    store: &Store,
    (before, after): (&Tree, &Tree),
    renamed: &BTreeMap<ImagePath, ImagePath>,
) -> Result<BTreeMap<ImagePath, String>, StoreError> {
    let mut records = BTreeMap::new();
    for (path, file) in after.files().filter(|(path, _)| path.as_str().ends_with(".dist-info/RECORD")) {
        let text = String::from_utf8_lossy(&store.read_file(file)?).into_owned();
        // One that cannot be read was refused when the wheel was installed.
        let Ok(mut record) = Record::parse(&text) else { continue };
        let site = path.parent().and_then(|info| info.parent()).expect("it has a directory");
        let is_renamed = rename(&mut record, &site, (after, renamed));
        if correct(&mut record, &site, (before, after)) || is_renamed {
            records.insert(path, record.to_text());
        }
    }
    Ok(records)
}

/// Writes bytecode into the row of the source that it took the place of; tells whether there was any.
fn rename(
    record: &mut Record,
    site: &ImagePath,
    (after, renamed): (&Tree, &BTreeMap<ImagePath, ImagePath>),
) -> bool {
    let rows = record.entries.keys().filter_map(|name| {
        let place = renamed.get(&below(site, name)?)?;
        let Some(Entry::File(file)) = after.get(place) else { return None };
        // Beside it, and one letter longer.
        Some((name.clone(), format!("{name}c"), file))
    });
    let rows: Vec<_> = rows.collect();
    for (old, new, file) in &rows {
        record.entries.remove(old);
        record.entries.insert(new.clone(), RecordEntry::of(file.content, file.size));
    }
    !rows.is_empty()
}

/// Tells whether a record said something else than is there.
fn correct(record: &mut Record, site: &ImagePath, (before, after): (&Tree, &Tree)) -> bool {
    let count = record.entries.len();
    let is_gone = |path: &ImagePath| before.get(path).is_some() && after.get(path).is_none();
    record.entries.retain(|name, _| !below(site, name).is_some_and(|path| is_gone(&path)));
    let mut is_other = record.entries.len() != count;
    for (name, entry) in &mut record.entries {
        let Some(path) = below(site, name) else { continue };
        if let (Some(Entry::File(old)), Some(Entry::File(new))) = (before.get(&path), after.get(&path))
            && old.content != new.content
        {
            *entry = RecordEntry::of(new.content, new.size);
            is_other = true;
        }
    }
    is_other
}

/// Returns where a path of a `RECORD` leads.
fn below(site: &ImagePath, name: &str) -> Option<ImagePath> {
    if name.starts_with('/') {
        return name.parse().ok();
    }
    let (mut at, mut rest) = (site.clone(), name);
    while let Some(above) = rest.strip_prefix("../") {
        (at, rest) = (at.parent()?, above);
    }
    at.join_str(rest).ok()
}
