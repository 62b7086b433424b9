//! Which libraries of the system the project's ELF files ask for, and the loader's cache that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use minke_cas::{Digest, Entry, Epoch, File, ImagePath, Mode, Store, StoreError, Tree};
use minke_distro::sonames::package_for_soname;
use minke_elf::{Facts, Kind, Machine, Resolver, Unmet, is_elf};
use serde::{Deserialize, Serialize};

use crate::parts::{Owner, Part};

/// The facts of the ELF files of a tree, by where they lie.
pub type Facted = BTreeMap<ImagePath, Facts>;

/// What the project's ELF files ask of the system.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The packages that supply it, each with who asks: `numpy: libstdc++.so.6`.
    pub packages: BTreeMap<String, String>,
    /// What nobody supplies.
    pub unmet: Vec<Unmet>,
}

/// ELF files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The cache failed.
    #[error("cannot read a file of the image from the cache")]
    Store(#[from] StoreError),
}

/// Says what nobody supplies, one line for each soname.
pub fn unmet_lines(unmet: &[Unmet]) -> Vec<String> {
    let mut by_soname: BTreeMap<&str, Vec<&ImagePath>> = BTreeMap::new();
    for Unmet { soname, needed_by } in unmet {
        by_soname.entry(soname).or_default().push(needed_by);
    }
    let line = |(soname, files): (&str, Vec<&ImagePath>)| {
        let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
        format!("`{soname}` is in no package that minke knows of; `{}`{more} needs it", files[0])
    };
    by_soname.into_iter().map(line).collect()
}

#[derive(Serialize)]
struct Key {
    content: Digest,
}

/// What is remembered of a file: nothing for one that is no ELF file.
#[derive(Serialize, Deserialize)]
struct Remembered(Option<Facts>);

/// Reads the facts of every ELF file of a tree; a file that only looks like one has none.
///
/// Symbols are left out: they are many, and nothing asks for them yet.
///
/// # Errors
/// [`StoreError`] if a file isn't in the store.
pub fn facts(store: &Store, tree: &Tree) -> Result<Facted, StoreError> {
    let mut facted = Facted::new();
    for (path, file) in tree.files().filter(|(path, file)| may_be_elf(path, file)) {
        let remembered: Remembered = store.memo("elf-1", &Key { content: file.content }, || {
            let mut magic = [0; 4];
            store.content(file)?.read_exact(&mut magic).map_err(StoreError::Input)?;
            let is_elf = is_elf(&magic);
            let facts = is_elf.then(|| store.read_file(file)).transpose()?.and_then(|bytes| Facts::read(&bytes).ok());
            let slim = |facts| Facts { undefined: Vec::new(), defined: Vec::new(), ..facts };
            Ok::<_, StoreError>(Remembered(facts.map(slim)))
        })?;
        facted.extend(remembered.0.map(|facts| (path, facts)));
    }
    Ok(facted)
}

fn may_be_elf(path: &ImagePath, file: &File) -> bool {
    let name = path.name().unwrap_or_default();
    file.size >= 64 && (name.contains(".so") || file.mode.is_executable())
}

/// Finds out which packages the ELF files of `asking` need beyond `tree`, in which they lie.
pub fn asked(tree: &Tree, facted: &Facted, asking: &Facted, machine: Machine) -> Asked {
    let sonames: BTreeSet<&str> = facted.values().filter_map(|facts| facts.soname.as_deref()).collect();
    let view = |path: &ImagePath| facted.get(&tree.resolve(path)?);
    let mut asked = Asked::default();
    for unmet in Resolver::debian(machine).unresolved(view, asking.keys().cloned()) {
        let Unmet { soname, needed_by } = &unmet;
        let by = asking.get(needed_by);
        // The interpreter has what libpython has: an extension that names it works without.
        let from_interpreter = soname.starts_with("libpython3") && by.is_none_or(|facts| facts.kind == Kind::SharedObject);
        // Some modules only work after another one has loaded what they need.
        if from_interpreter || sonames.contains(soname.as_str()) {
            continue;
        }
        match package_for_soname(soname) {
            Some(package) => {
                let why = format!("{} needs {soname}", needed_by.name().unwrap_or_default());
                asked.packages.entry(package.to_owned()).or_insert(why);
            }
            None => asked.unmet.push(unmet),
        }
    }
    asked
}

/// Writes the loader's cache of the libraries in a tree.
///
/// # Errors
/// [`StoreError`] if it cannot be stored.
pub fn loader_cache(store: &Store, tree: &Tree, facted: &Facted, machine: Machine) -> Result<Part, NativeError> {
    let bytes = crate::stub::ldcache::of_tree(tree, facted, machine);
    let content = store.put(&bytes)?;
    let file = File::new(content, bytes.len() as u64, Mode::REGULAR);
    let mut tree = Tree::new();
    let path: ImagePath = "/etc/ld.so.cache".parse().expect("a path");
    tree.insert(&path, Entry::File(file)).expect("an empty tree has room");
    Ok(Part { owner: Owner::System { name: "the loader's cache".to_owned() }, tree, epoch: Epoch::FIXED })
}
