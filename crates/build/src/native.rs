//! Which libraries of the system the project's ELF files ask for, and the loader's cache that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use minke_cas::{Digest, Entry, Epoch, File, ImagePath, Mode, Store, StoreError, Tree};
use minke_elf::{Facts, Kind, Machine, Resolver, Symbols, Unmet, is_elf, ldcache};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::{Deserialize, Serialize};

use crate::parts::{Owner, Part};

/// The facts of the ELF files of a tree, by where they lie.
pub type Facted = BTreeMap<ImagePath, Facts>;

/// ELF files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The cache failed.
    #[error("cannot read a file of the image from the cache")]
    Store(#[from] StoreError),
}

/// Says of each soname that it is missing, and who needs it; `what` is such as "is not in the base".
pub fn unmet_lines(unmet: &[Unmet], what: &str) -> Vec<String> {
    let mut by_soname: BTreeMap<&str, Vec<&ImagePath>> = BTreeMap::new();
    for Unmet { soname, needed_by } in unmet {
        by_soname.entry(soname).or_default().push(needed_by);
    }
    let line = |(soname, files): (&str, Vec<&ImagePath>)| {
        let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
        format!("`{soname}` {what}; `{}`{more} needs it", files[0])
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
/// # Errors
/// [`StoreError`] if a file isn't in the store.
pub fn facts(store: &Store, tree: &Tree) -> Result<Facted, StoreError> {
    let is_wanted = |(path, file): &(ImagePath, &File)| may_be_elf(path.name().unwrap_or_default(), file);
    let files: Vec<(ImagePath, &File)> = tree.files().filter(is_wanted).collect();
    let of = |(path, file): (ImagePath, &File)| Ok(facts_of(store, file)?.map(|facts| (path, facts)));
    let all: Vec<Option<(ImagePath, Facts)>> =
        files.into_par_iter().map(of).collect::<Result<_, StoreError>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn facts_of(store: &Store, file: &File) -> Result<Option<Facts>, StoreError> {
    let remembered: Remembered = store.memo("elf-3", &Key { content: file.content }, || {
        let mut magic = [0; 4];
        store.content(file)?.read_exact(&mut magic).map_err(StoreError::Input)?;
        let facts = match is_elf(&magic) {
            // Parts of it are read one by one, which costs more than reading it where it is small.
            true if file.size > LARGE => Facts::read_from(store.content(file)?).ok(),
            true => Facts::read(&store.read_file(file)?).ok(),
            false => None,
        };
        Ok::<_, StoreError>(Remembered(facts))
    })?;
    Ok(remembered.0)
}

/// Reads the dynamic symbols of a file of a tree, but of what it defines only what is `wanted`; none if it isn't there
/// or is no ELF file.
///
/// # Errors
/// [`StoreError`] if it isn't in the store.
pub(crate) fn symbols(
    (store, tree): (&Store, &Tree),
    path: &ImagePath,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<Symbols>, StoreError> {
    let Some(file) = tree.resolve_file(path) else { return Ok(None) };
    let read = match file.size > LARGE {
        true => Symbols::read_wanted(store.content(file)?, wanted),
        false => Symbols::read_wanted(Cursor::new(&store.read_file(file)?), wanted),
    };
    Ok(read.ok())
}

/// From how many bytes on a file isn't read into memory as a whole.
pub(crate) const LARGE: u64 = 16 << 20;

/// Tells whether Python can import a file, as far as the file itself says.
pub(crate) fn is_python_module(facts: &Facts) -> bool {
    !facts.python_modules.is_empty()
}

/// Tells whether a file needs a library only because it was linked on a system whose interpreter is in it.
///
/// The interpreter has what libpython has: an extension that names it works without; a program doesn't.
pub(crate) fn leaves_to_interpreter(soname: &str, facts: Option<&Facts>) -> bool {
    let is_module = |facts: &Facts| facts.kind == Kind::SharedObject && facts.interpreter.is_none();
    soname.starts_with("libpython3") && facts.is_none_or(is_module)
}

/// Tells whether a file is looked at for what it needs of the system.
pub fn may_be_elf(name: &str, file: &File) -> bool {
    file.size >= 64 && (name.contains(".so") || file.mode.is_executable())
}

/// Finds out what the ELF files of `asking` need and `tree`, in which they lie, hasn't got.
pub fn missing(tree: &Tree, facted: &Facted, asking: &Facted, machine: Machine) -> Vec<Unmet> {
    let sonames: BTreeSet<&str> = facted.values().filter_map(|facts| facts.soname.as_deref()).collect();
    let view = |path: &ImagePath| facted.get(&tree.resolve(path)?);
    let mut missing = Resolver::debian(machine).unresolved(view, asking.keys().cloned());
    missing.retain(|Unmet { soname, needed_by }| {
        // Some modules only work after another one has loaded what they need.
        !leaves_to_interpreter(soname, asking.get(needed_by)) && !sonames.contains(soname.as_str())
    });
    missing
}

/// Returns the loader's cache of the libraries in a tree, and the soname links that ldconfig would make.
///
/// # Errors
/// [`NativeError::Store`] if it cannot be stored.
pub fn loader_cache(store: &Store, tree: &Tree, facted: &Facted) -> Result<Part, NativeError> {
    let directories = library_directories(store, tree)?;
    let by_content: BTreeMap<Digest, &Facts> =
        tree.files().filter_map(|(path, file)| Some((file.content, facted.get(&path)?))).collect();
    let listing = ldcache::list(tree, |file| by_content.get(&file.content).copied(), &directories);
    let bytes = ldcache::write(&listing.entries);
    let file = File::new(store.put(&bytes)?, bytes.len() as u64, Mode::REGULAR);
    let mut part = Tree::new();
    part.insert(&path("/etc/ld.so.cache"), Entry::File(file)).expect("an empty tree has room");
    for link in listing.links.iter().filter(|link| tree.get(&link.path).is_none()) {
        part.insert(&link.path, Entry::symlink(link.target.clone())).expect("links lie beside libraries");
    }
    Ok(Part {
        owner: Owner::System { name: "the loader's cache".to_owned() },
        tree: part,
        epoch: Epoch::FIXED,
    })
}

/// Reads which directories the loader's cache is of: those of `/etc/ld.so.conf`, then the built-in ones.
///
/// Spec: ldconfig(8), <https://man7.org/linux/man-pages/man8/ldconfig.8.html>
pub(crate) fn library_directories(store: &Store, tree: &Tree) -> Result<Vec<ImagePath>, StoreError> {
    let main = read_lines(store, tree, &path("/etc/ld.so.conf"))?;
    let mut directories = Vec::new();
    for line in main {
        match line.strip_prefix("include") {
            None => directories.push(line),
            // Debian's is the one pattern in use: all `.conf` files of a directory, in name order.
            Some(pattern) => {
                let directory = pattern
                    .trim()
                    .trim_end_matches("/*.conf")
                    .parse()
                    .unwrap_or_else(|_| path("/etc/ld.so.conf.d"));
                let names = tree.directory(&directory).into_iter().flat_map(|below| below.entries());
                for (name, _) in names.filter(|(name, _)| name.as_str().ends_with(".conf")) {
                    directories.extend(read_lines(store, tree, &directory.join(name))?);
                }
            }
        }
    }
    let built_in = ["/lib", "/usr/lib"].map(str::to_owned);
    Ok(directories.into_iter().chain(built_in).filter_map(|text| text.parse().ok()).collect())
}

fn read_lines(store: &Store, tree: &Tree, path: &ImagePath) -> Result<Vec<String>, StoreError> {
    let Some(file) = tree.resolve_file(path) else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&store.read_file(file)?).into_owned();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
    Ok(lines.filter(|line| !line.is_empty()).collect())
}

fn path(text: &str) -> ImagePath {
    text.parse().expect("paths in this module are absolute and normal")
}
