//! ELF files without what no loader reads, remembered by content.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use minke_cas::{Digest, File, ImagePath, PackId, Store, StoreError, Tree};
use minke_elf::{Strip, is_elf, plan};
use serde::{Deserialize, Serialize};

use crate::native::{LARGE, may_be_elf};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Key {
    content: Digest,
    strip: Strip,
}

/// What is remembered of a content: the smaller file, or nothing for one that stays as it is.
#[derive(Clone, Serialize, Deserialize)]
struct Remembered(Option<File>);

/// With its version: a change of the compactor that changes bytes needs a new one.
const KIND: &str = "compact-1";

/// Returns the smaller files, by path, in a pack of their own; `wanted` says how much of each may go.
///
/// # Errors
/// [`StoreError`] if a file isn't in the store, or the new ones cannot be kept.
pub(super) fn shrunk(
    store: &Store,
    tree: &Tree,
    wanted: impl Fn(&ImagePath) -> Strip,
) -> Result<BTreeMap<ImagePath, File>, StoreError> {
    let files: Vec<(ImagePath, &File, Key)> = tree
        .files()
        .filter(|(path, file)| may_be_elf(path.name().unwrap_or_default(), file))
        .map(|(path, file)| {
            let key = Key { content: file.content, strip: wanted(&path) };
            (path, file, key)
        })
        .filter(|(_, _, key)| key.strip != Strip::None)
        .collect();
    let mut known: BTreeMap<Key, Remembered> = BTreeMap::new();
    let mut unknown: BTreeMap<Key, &File> = BTreeMap::new();
    for (_, file, key) in &files {
        match store.recall(KIND, key) {
            Some(remembered) => known.insert(key.clone(), remembered),
            None => {
                unknown.insert(key.clone(), file);
                None
            }
        };
    }
    known.extend(compacted(store, &unknown)?);
    let smaller = |(path, file, key): (ImagePath, &File, Key)| {
        let new = known.get(&key)?.0.clone()?;
        Some((path, File { mode: file.mode, owner: file.owner, ..new }))
    };
    Ok(files.into_iter().filter_map(smaller).collect())
}

/// Makes what isn't known yet, all in one pack, and remembers each.
fn compacted(store: &Store, unknown: &BTreeMap<Key, &File>) -> Result<BTreeMap<Key, Remembered>, StoreError> {
    let mut made = BTreeMap::new();
    if unknown.is_empty() {
        return Ok(made);
    }
    let keys: BTreeSet<&Key> = unknown.keys().collect();
    let input = Digest::of(&serde_json::to_vec(&keys).expect("a key is JSON"));
    let mut pack = store.pack_writer(PackId::of(KIND, &input))?;
    for (key, file) in unknown {
        let small = (file.size <= LARGE).then(|| store.read_file(file)).transpose()?;
        let written = match small {
            Some(bytes) if is_elf(&bytes) => match plan(Cursor::new(&bytes), key.strip) {
                Ok(Ok(recipe)) => Some(pack.add(recipe.view(Cursor::new(&bytes)))?),
                Ok(Err(_)) | Err(_) => None,
            },
            Some(_) => None,
            None => {
                let mut magic = [0; 4];
                store.content(file)?.read_exact(&mut magic).map_err(StoreError::Input)?;
                match is_elf(&magic).then(|| Ok::<_, StoreError>(plan(store.content(file)?, key.strip))) {
                    Some(planned) => match planned?.map_err(StoreError::Input)? {
                        Ok(recipe) => Some(pack.add(recipe.view(store.content(file)?))?),
                        Err(_) => None,
                    },
                    None => None,
                }
            }
        };
        let pack = Some(pack.id());
        let new = written.map(|(content, size)| File { content, size, pack, ..(*file).clone() });
        made.insert(key.clone(), Remembered(new));
    }
    if made.values().any(|remembered| remembered.0.is_some()) {
        pack.finish()?;
    }
    for (key, remembered) in &made {
        store.remember(KIND, key, remembered)?;
    }
    Ok(made)
}
