//! What of an install tree goes where, and what it says about itself.

use minke_cas::{Entry, File, ImagePath, Store, Tree};
use minke_elf::Facts;
use minke_python::PythonVersion;

use super::{PREFIX, StandaloneError};

/// What an image's Python doesn't need, below the prefix; `*` stands for the rest of a name, `VERSION` for `3.12`.
///
/// Debian has all of this in packages of its own, which a base without them is not missing.
const LEFT_OUT: [(&str, &str); 16] = [
    ("include", "headers are for compiling"),
    ("lib/pkgconfig", "it is for compiling"),
    ("lib/pythonVERSION/config-*", "it is for compiling"),
    ("share", "manuals, and terminals' descriptions that the system has"),
    ("lib/pythonVERSION/test", "CPython's own tests"),
    ("lib/pythonVERSION/idlelib", "an editor that needs a display"),
    ("lib/pythonVERSION/turtledemo", "it needs a display"),
    ("lib/pythonVERSION/tkinter", "it needs a display"),
    ("lib/pythonVERSION/lib-dynload/_tkinter*", "it needs a display"),
    ("lib/tcl*", "it is tkinter's"),
    ("lib/tk*", "it is tkinter's"),
    ("lib/itcl*", "it is tkinter's"),
    ("lib/thread*", "it is tkinter's"),
    ("lib/libtcl*", "it is tkinter's"),
    ("lib/libtk*", "it is tkinter's"),
    ("lib/pythonVERSION/ensurepip", "nothing is installed in a container"),
];

/// Finds the CPython in an unpacked archive, and returns it in its place and which one it is.
pub(super) fn placed(
    store: &Store,
    whole: &Tree,
    place: &str,
) -> Result<(Tree, PythonVersion), StandaloneError> {
    let no_python = || StandaloneError::NoPython { place: place.to_owned() };
    let (prefix, name) = prefixes(whole)
        .into_iter()
        .find_map(|prefix| program(whole, &prefix).map(|name| (prefix, name)))
        .ok_or_else(no_python)?;
    let short = name.trim_start_matches("python").to_owned();
    check_abi(whole, &prefix, (&short, place))?;
    let version = version(store, whole, &prefix, (&short, place))?;
    let needs_library = needs_library(store, whole, &below(&prefix, &format!("bin/{name}")))?;
    let mut tree = Tree::new();
    let to: ImagePath = PREFIX.parse().expect("a path");
    for (path, entry) in whole.walk().filter(|(path, _)| path.starts_with(&prefix)) {
        let relative = path.as_str()[prefix.as_str().trim_end_matches('/').len()..].trim_start_matches('/');
        let is_library = relative.starts_with("lib/libpython");
        let leaves = matches!(entry, Entry::Directory(_)) || is_left_out(relative, &version.short());
        if leaves || (is_library && !needs_library) {
            continue;
        }
        tree.insert(&below(&to, relative), entry.clone()).map_err(|_| no_python())?;
    }
    for link in ["python3", "python"] {
        let at = below(&to, &format!("bin/{link}"));
        tree.replace(&at, Entry::symlink(format!("python{}", version.short()))).map_err(|_| no_python())?;
    }
    Ok((tree, version))
}

/// Returns where an install tree may begin: at the root, in a directory, or in its `install`.
fn prefixes(whole: &Tree) -> Vec<ImagePath> {
    let root = ImagePath::root();
    let tops = whole.root().entries().filter(|(_, entry)| matches!(entry, Entry::Directory(_)));
    let tops = tops.flat_map(|(name, _)| {
        let top = root.join(name);
        [top.clone(), below(&top, "install")]
    });
    std::iter::once(root.clone()).chain(tops).collect()
}

/// Returns the name of the interpreter below a prefix: `python3.12`, or `python3.13t`.
fn program(whole: &Tree, prefix: &ImagePath) -> Option<String> {
    let programs = whole.directory(&below(prefix, "bin"))?;
    let names = programs.entries().map(|(name, _)| name.as_str());
    let mut fitting = names.filter(|name| {
        let version = name.strip_prefix("python3.").unwrap_or("-");
        let is_version = version.trim_end_matches(['t', 'd']).bytes().all(|byte| byte.is_ascii_digit());
        let library = below(prefix, &format!("lib/{name}/os.py"));
        is_version
            && whole.resolve_file(&library).is_some()
            && whole.resolve_file(&below(prefix, &format!("bin/{name}"))).is_some()
    });
    fitting.next().map(str::to_owned)
}

/// Refuses a build whose extension modules aren't those of plain CPython.
fn check_abi(whole: &Tree, prefix: &ImagePath, (short, place): (&str, &str)) -> Result<(), StandaloneError> {
    let refused = |flags: &str| StandaloneError::Abi { place: place.to_owned(), flags: flags.to_owned() };
    let flags = short.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !flags.is_empty() {
        return Err(refused(flags));
    }
    let library = whole.directory(&below(prefix, &format!("lib/python{short}")));
    let names = library.into_iter().flat_map(|library| library.entries().map(|(name, _)| name.as_str()));
    // `_sysconfigdata_FLAGS_linux_TRIPLET.py`; before 3.8, `m` was the flag of what is plain today.
    let flags = names.filter_map(|name| name.strip_prefix("_sysconfigdata_")?.split('_').next());
    match flags.into_iter().find(|flags| !matches!(*flags, "" | "m")) {
        Some(flags) => Err(refused(flags)),
        None => Ok(()),
    }
}

/// Reads the version from the header that every CPython installs.
fn version(
    store: &Store,
    whole: &Tree,
    prefix: &ImagePath,
    (short, place): (&str, &str),
) -> Result<PythonVersion, StandaloneError> {
    let header = format!("include/python{short}/patchlevel.h");
    let missing = || StandaloneError::NoVersion { place: place.to_owned(), header: header.clone() };
    let longest = |file: &&File| file.size < 1 << 20;
    let file = whole.resolve_file(&below(prefix, &header)).filter(longest).ok_or_else(missing)?;
    let text = String::from_utf8_lossy(&store.read_file(file)?).into_owned();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))?;
        line.strip_prefix(char::is_whitespace)?.split_whitespace().next().map(str::to_owned)
    };
    let numbers = ["PY_MAJOR_VERSION", "PY_MINOR_VERSION", "PY_MICRO_VERSION"].map(number);
    let [Some(major), Some(minor), Some(micro)] = numbers else { return Err(missing()) };
    let version: PythonVersion = format!("{major}.{minor}.{micro}").parse().map_err(|_| missing())?;
    if version.short() == short { Ok(version) } else { Err(missing()) }
}

/// Tells whether the program is linked to `libpython`, which else only others embed.
fn needs_library(store: &Store, whole: &Tree, program: &ImagePath) -> Result<bool, StandaloneError> {
    let Some(file) = whole.resolve_file(program) else { return Ok(false) };
    let facts = Facts::read(&store.read_file(file)?);
    Ok(facts.is_ok_and(|facts| facts.needed.iter().any(|soname| soname.contains("libpython"))))
}

/// Tells whether a path, relative to the prefix, stays out.
fn is_left_out(relative: &str, short: &str) -> bool {
    let parts: Vec<&str> = relative.split('/').collect();
    let listed = LEFT_OUT.iter().any(|(pattern, _)| {
        let pattern = pattern.replace("VERSION", short);
        let wanted: Vec<&str> = pattern.split('/').collect();
        wanted.len() <= parts.len()
            && wanted.iter().zip(&parts).all(|(wanted, part)| match wanted.strip_suffix('*') {
                Some(start) => part.starts_with(start),
                None => wanted == part,
            })
    });
    let library = format!("python{short}");
    let in_library = parts.len() > 2 && parts[0] == "lib" && parts[1] == library;
    let is_test = in_library && parts[2..].iter().any(|part| matches!(*part, "test" | "tests"));
    let is_installed = in_library && parts[2] == "site-packages";
    // Scripts start with the path of where the archive was made.
    let is_script = parts[0] == "bin" && parts.last() != Some(&library.as_str());
    // What was compiled elsewhere is compiled again, by rules of our own.
    let is_bytecode = parts.contains(&"__pycache__");
    listed || is_test || is_installed || is_script || is_bytecode || relative.ends_with(".a")
}

fn below(prefix: &ImagePath, relative: &str) -> ImagePath {
    prefix.join_str(relative).expect("it is made of names of a tree")
}

#[cfg(test)]
mod tests;
