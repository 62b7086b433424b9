//! A real room for tests: this machine's own Debian Python as a tree.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use minke_cas::{Digest, Entry, File, ImagePath, Mode, PackId, PackWriter, Store, Tree};

pub(crate) fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

/// The interpreter of [`python_tree`], or none, said aloud, where this machine's Python isn't Debian's.
fn python() -> Option<ImagePath> {
    let target = fs::canonicalize("/usr/bin/python3").ok();
    let found = target.and_then(|target| target.to_str().and_then(|text| text.parse().ok()));
    if found.is_none() || !Path::new("/etc/debian_version").exists() {
        eprintln!("SKIPPED: this test needs Debian's own /usr/bin/python3");
        return None;
    }
    found
}

/// A store that has [`python_tree`], shared by the tests that run at the same time.
pub(crate) struct Base {
    _directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) python: ImagePath,
    pub(crate) tree: Tree,
}

pub(crate) fn base() -> Option<Arc<Base>> {
    static SHARED: Mutex<Weak<Base>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(base) = shared.upgrade() {
        return Some(base);
    }
    let python = python()?;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    let tree = python_tree(&store, &python);
    let base = Arc::new(Base { _directory: directory, store, python, tree });
    *shared = Arc::downgrade(&base);
    Some(base)
}

/// Directories of the standard library that no test here needs.
const LEFT_OUT: [&str; 9] = [
    "__pycache__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtledemo",
];

/// Debian's Python with its standard library, its loader and its libraries.
fn python_tree(store: &Store, python: &ImagePath) -> Tree {
    let mut tree = Tree::new();
    let mut pack = store.pack_writer(PackId::of("test-python", &Digest::of(b""))).unwrap();
    let version = python.name().unwrap();
    let library = PathBuf::from(format!("/usr/lib/{version}"));
    let mut programs = vec![PathBuf::from(python.as_str())];
    let mut pending = vec![library.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            if entry.is_dir() {
                if !LEFT_OUT.contains(&name) && !name.starts_with("config-") {
                    pending.push(entry);
                }
            } else if entry.is_file() && !entry.is_symlink() {
                if name.ends_with(".so") {
                    programs.push(entry.clone());
                }
                add(&mut tree, &mut pack, &entry, entry.to_str().unwrap());
            }
        }
    }
    for place in libraries(&programs) {
        add(&mut tree, &mut pack, &place, &merged(&place));
    }
    add(&mut tree, &mut pack, Path::new(python.as_str()), python.as_str());
    pack.finish().unwrap();
    tree.insert(&path("/usr/bin/python3"), Entry::symlink(version)).unwrap();
    for name in ["bin", "lib", "lib64"] {
        tree.insert(&path(&format!("/{name}")), Entry::symlink(format!("usr/{name}"))).unwrap();
    }
    let loader = "ld-linux-x86-64.so.2";
    if tree.get(&path(&format!("/usr/lib/x86_64-linux-gnu/{loader}"))).is_some() {
        let link = format!("../lib/x86_64-linux-gnu/{loader}");
        tree.replace(&path(&format!("/usr/lib64/{loader}")), Entry::symlink(link)).unwrap();
    }
    tree
}

/// Every library that `ldd` names for the programs.
fn libraries(programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").args(programs).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    words.map(PathBuf::from).filter(|place| place.is_file()).collect()
}

/// `/lib/…` is `/usr/lib/…`.
fn merged(place: &Path) -> String {
    let text = place.to_str().unwrap();
    if text.starts_with("/lib") { format!("/usr{text}") } else { text.to_owned() }
}

fn add(tree: &mut Tree, pack: &mut PackWriter, from: &Path, to: &str) {
    let executable = fs::metadata(from).unwrap().permissions().mode() & 0o111 != 0;
    let (content, size) = pack.add(fs::File::open(from).unwrap()).unwrap();
    let mode = if executable { Mode::EXECUTABLE } else { Mode::REGULAR };
    tree.insert(&path(to), File { pack: Some(pack.id()), ..File::new(content, size, mode) }.into()).unwrap();
}
