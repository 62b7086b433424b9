//! What must hold of any bytes, whether they are an ELF file or only look like one.
//!
//! The fuzz targets ask the same of what a fuzzer makes up.

use std::collections::BTreeMap;
use std::io::Cursor;

use minke_elf::{Edit, Facts, Search, Strip, Symbols, compact, edit, plan};

use crate::judge::judge;

/// Reading ends in what the file says or in an error, and in parts it says what it says as a whole.
pub(crate) fn reading(bytes: &[u8]) {
    assert_eq!(Facts::read_from(Cursor::new(bytes)), Facts::read(bytes));
    assert_eq!(Symbols::read_from(Cursor::new(bytes)), Symbols::read(bytes));
}

/// What is made smaller is smaller, and the same to the loader; tells whether anything was made.
pub(crate) fn compacting(bytes: &[u8]) -> bool {
    let mut made = false;
    for strip in [Strip::Debug, Strip::All] {
        let new = compact(bytes, strip);
        let planned = plan(Cursor::new(bytes), strip).expect("memory is read");
        let planned = planned.map(|recipe| recipe.bytes(Cursor::new(bytes)).expect("memory is read"));
        assert_eq!(planned, new);
        if let Ok(new) = new {
            assert!(new.len() < bytes.len());
            assert_eq!(judge(bytes, &new), Ok(()));
            made = true;
        }
    }
    made
}

/// What is edited says what was asked for, before it is made smaller and after; tells whether anything was made.
pub(crate) fn editing(bytes: &[u8]) -> bool {
    let Ok(before) = Facts::read(bytes) else { return false };
    let needed = before.needed.first();
    let wish = Edit {
        soname: Some("libfuzz-1a2b3c4d.so".to_owned()),
        needed: needed
            .map(|name| (name.clone(), Some("libelse-1a2b3c4d.so".to_owned())))
            .into_iter()
            .collect(),
        search: Search::Runpath("$ORIGIN".to_owned()),
        ..Edit::default()
    };
    let Ok(edited) = edit(bytes, &wish) else { return false };
    said(&edited, bytes, &wish);
    if let Ok(small) = compact(&edited, Strip::All) {
        assert_eq!(judge(&edited, &small), Ok(()));
        said(&small, bytes, &wish);
    }
    true
}

fn said(edited: &[u8], before: &[u8], wish: &Edit) {
    let (after, before_facts) =
        (Facts::read(edited).expect("it was read"), Facts::read(before).expect("it was read"));
    let new_name = |name: &String| wish.needed.get(name).cloned().flatten().unwrap_or_else(|| name.clone());
    assert_eq!(after.soname, wish.soname);
    assert_eq!(after.runpath.as_deref(), Some("$ORIGIN"));
    assert_eq!(after.needed, before_facts.needed.iter().map(new_name).collect::<Vec<_>>());
    assert_eq!(Symbols::read(edited), Symbols::read(before).map(|symbols| asked_by(symbols, &wish.needed)));
}

/// Symbols as they are asked of libraries by their new names.
fn asked_by(mut symbols: Symbols, names: &BTreeMap<String, Option<String>>) -> Symbols {
    for (_, library) in symbols.undefined.iter_mut().filter_map(|symbol| symbol.version.as_mut()) {
        if let Some(Some(new)) = names.get(library) {
            *library = new.clone();
        }
    }
    symbols.undefined.sort();
    symbols
}
