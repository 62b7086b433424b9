//! What maintainer scripts would have done, and which packages a minimal base is made of.
//!
//! No script runs, for there is no shell to run it and no reason to trust what it does. What the scripts of the
//! packages in the base would have done and an image needs is done here, by name; a package whose script isn't
//! accounted for gets a warning. `ld.so.cache` isn't written here: that takes looking into libraries.
//!
//! Each postinst of the base's packages was read, for bookworm and trixie.

mod alternatives;
mod certificates;
mod skeleton;
mod subject_hash;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Directory, Entry, File, ImagePath, Mode, Owner, Store, StoreError, Tree, TreeError};

use crate::deb::{Control, Script};
use crate::index::PackageIndex;
use crate::name::PackageName;

pub use skeleton::NONROOT;

/// What scripts would have done cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A certificate of the base cannot be read.
    #[error("`{path}` is not a certificate")]
    Certificate {
        /// Which one.
        path: ImagePath,
    },
    /// Something in the base is in the way.
    #[error("the base has no room for what its packages' scripts would have made")]
    Place(#[source] TreeError),
    /// The cache cannot be read or written.
    #[error("cannot keep what packages' scripts would have made")]
    Store(#[source] StoreError),
}

/// A rule by which only a part of a package goes into the base.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The package.
    pub package: &'static str,
    /// What the rule is called.
    pub name: &'static str,
    /// Why that is safe.
    pub reason: &'static str,
    takes: fn(&ImagePath) -> bool,
}

/// A package's script that would have done something nobody here knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotRun {
    /// The package.
    pub package: PackageName,
    /// The script.
    pub script: Script,
}

const PARTS: [Part; 2] = [
    Part {
        package: "base-files",
        name: "merged-run",
        reason: "its script turns /var/run and /var/lock into links to /run",
        takes: |path| !matches!(path.as_str(), "/var/run" | "/var/lock"),
    },
    Part {
        package: "libc-bin",
        name: "libc-config",
        reason: "an image needs ldconfig, C.UTF-8 and the C library's configuration, not its tools",
        takes: |path| {
            ["/etc", "/usr/lib/locale/C.utf8", "/usr/share/libc-bin", "/usr/share/doc/libc-bin/copyright"]
                .iter()
                .any(|kept| path.starts_with(&kept.parse().expect("an absolute path")))
                || matches!(path.as_str(), "/usr/sbin/ldconfig" | "/usr/bin/ld.so")
        },
    },
];

/// Packages that others depend on for their maintainer scripts alone.
const LEFT_OUT: [(&str, &str); 16] = [
    ("adduser", "only maintainer scripts add users"),
    ("awk", "only maintainer scripts use it"),
    ("base-passwd", "minke writes /etc/passwd and /etc/group"),
    ("cdebconf", "only maintainer scripts ask questions"),
    ("debconf", "only maintainer scripts ask questions"),
    ("debconf-2.0", "only maintainer scripts ask questions"),
    ("debianutils", "only maintainer scripts use it"),
    ("dpkg", "no package is installed in the image"),
    ("init-system-helpers", "nothing is started in the image by an init"),
    ("install-info", "there is no info reader"),
    ("mawk", "only maintainer scripts use it"),
    ("openssl", "only update-ca-certificates runs it"),
    ("passwd", "only maintainer scripts add users"),
    ("sgml-base", "only maintainer scripts use it"),
    ("ucf", "only maintainer scripts use it"),
    ("xml-core", "only maintainer scripts use it"),
];

/// Packages whose scripts are accounted for: done here, or of no use in an image.
const KNOWN: [&str; 30] = [
    "base-files",         // directories, users' files, /etc/dpkg/origins/default
    "bash",               // /bin/sh
    "ca-certificates",    // the bundle and the hash links
    "coreutils",          // /usr/bin/touch, which is where /bin/touch is
    "dash",               // /bin/sh
    "fontconfig-config",  // links that the package brings for all but those who answer a question
    "fonts-urw-base35",   // fonts for printers and X
    "adwaita-icon-theme", // a cache that is made when missing
    "hicolor-icon-theme",
    "libc-bin",     // nsswitch.conf; ldconfig is for who knows all libraries
    "libc6",        // restarts services
    "libgcrypt20",  // mends old versions
    "libglib2.0-0", // caches that are made when missing
    "libglib2.0-0t64",
    "libgssapi-krb5-2", // nothing on a first installation
    "libpam-modules",   // restarts services
    "libpam-modules-bin",
    "libpam-runtime", // for logins
    "libpam0g",
    "libpaper2",   // asks for the paper's size
    "libselinux1", // for systemd
    "libx11-data",
    "mariadb-common", // /etc/mysql/my.cnf, which is an alternative; the rest mends old versions
    "mawk",           // for scripts
    "mysql-common",   // the same
    "netbase",        // /etc/hosts
    "perl",           // mends old versions
    "poppler-data",   // for printers
    "readline-common", // /etc/inputrc
    "tzdata",         // /etc/localtime
];

/// Returns the packages that a base with a Python is made from, `minor` being the 13 of 3.13.
///
/// Essential packages are in nobody's dependencies: those that are needed are named here.
pub fn base_roots(minor: u32) -> BTreeSet<PackageName> {
    let python = [format!("python3.{minor}-minimal"), format!("libpython3.{minor}-stdlib")];
    let mut roots = libc_roots();
    // The interpreter needs it, and says so.
    roots.retain(|name| name.as_str() != LIBC);
    roots.extend(python.map(|name| name.parse().expect("a package's name")));
    roots
}

/// The C library's package.
const LIBC: &str = "libc6";

/// Returns the packages that a base without a Python is made from.
pub fn libc_roots() -> BTreeSet<PackageName> {
    ["base-files", "ca-certificates", "libc-bin", LIBC, "media-types", "netbase", "tzdata"]
        .map(|name| name.parse().expect("a package's name"))
        .into()
}

/// Returns the packages of a `/bin/sh` that scripts can work with.
pub fn shell_roots() -> BTreeSet<PackageName> {
    ["coreutils", "dash"].map(|name| name.parse().expect("a package's name")).into()
}

/// Returns the packages of a layer for who looks into a container: a shell with the usual programs, and what line
/// editors, such as pdb's, need to know of terminals.
pub fn debug_roots() -> BTreeSet<PackageName> {
    ["busybox-static", "ncurses-base"].map(|name| name.parse().expect("a package's name")).into()
}

/// Returns links that make busybox's programs callable by name, where an image has no others.
///
/// `has` tells what it has.
pub fn busybox_links(has: impl Fn(&ImagePath) -> bool) -> Tree {
    let mut links = Tree::new();
    for applet in APPLETS {
        let path: ImagePath = format!("/usr/bin/{applet}").parse().expect("an absolute path");
        if !has(&path) {
            links.insert(&path, Entry::symlink("busybox")).expect("each program is named once");
        }
    }
    links
}

/// What one types in a container to find out what is wrong with it; busybox has them all.
const APPLETS: [&str; 48] = [
    "awk", "base64", "basename", "cat", "chmod", "clear", "cmp", "cp", "cut", "date", "dd", "df", "diff",
    "dirname", "du", "echo", "env", "find", "free", "grep", "head", "hexdump", "hostname", "id", "kill",
    "less", "ln", "ls", "mkdir", "more", "mv", "nc", "nslookup", "ping", "ps", "pwd", "rm", "sed", "sh",
    "sleep", "sort", "stat", "tail", "tar", "top", "vi", "wget", "xargs",
];

/// Returns the minor version of the Python that the archives have, the highest if they have several.
pub fn python_minor(index: &PackageIndex) -> Option<u32> {
    let minors = index.names().filter_map(|name| {
        let minor = name.strip_prefix("python3.")?.strip_suffix("-minimal")?;
        minor.parse::<u32>().ok()
    });
    minors.max()
}

/// Returns the packages that a base is complete without, each with the reason, for
/// [`ClosureOptions::left_out`](crate::ClosureOptions::left_out).
pub fn left_out() -> BTreeMap<PackageName, String> {
    LEFT_OUT.map(|(name, reason)| (name.parse().expect("a package's name"), reason.to_owned())).into()
}

/// Returns the part of a package that goes into the base, and the rule by which the rest doesn't.
pub fn part(package: &PackageName, tree: &Tree) -> (Tree, Option<&'static Part>) {
    match PARTS.iter().find(|part| part.package == package.as_str()) {
        Some(part) => (tree.filter(|path, _| (part.takes)(path)), Some(part)),
        None => (tree.clone(), None),
    }
}

/// Returns the script of a package that isn't accounted for, if there is one.
pub fn not_run(control: &Control) -> Option<NotRun> {
    let package = control.package.as_str();
    // The interpreter's own packages compile bytecode, which minke does in its own way.
    let parts = ["-minimal", "-stdlib", "-venv"];
    let stem = parts.iter().find_map(|part| package.strip_suffix(part)).unwrap_or(package);
    let minor = stem.trim_start_matches("lib").strip_prefix("python3").unwrap_or("no");
    let is_python = minor.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_python || KNOWN.contains(&package) {
        return None;
    }
    let unaccounted =
        |script: &Script, text: &str| *script == Script::Postinst && !alternatives::are_all(text);
    let (script, _) = control.scripts.iter().find(|(script, text)| unaccounted(script, text))?;
    Some(NotRun { package: control.package.clone(), script: *script })
}

/// Returns what the scripts of these packages would have added to the base.
///
/// `base` is the join of their trees (see [`part`]); what it has already is left alone. Nothing but it and the
/// scripts of `controls` decides what is added.
///
/// # Errors
/// [`SetupError::Certificate`] for a broken certificate in the base; [`SetupError::Place`];
/// [`SetupError::Store`].
pub fn additions<'control>(
    base: &Tree,
    controls: impl IntoIterator<Item = &'control Control>,
    store: &Store,
) -> Result<Tree, SetupError> {
    let mut additions = Additions { base, store, tree: Tree::new() };
    skeleton::add(&mut additions)?;
    certificates::add(&mut additions)?;
    alternatives::add(&mut additions, controls)?;
    Ok(additions.tree)
}

/// What is added so far; nothing takes the place of what the base has.
struct Additions<'base> {
    base: &'base Tree,
    store: &'base Store,
    tree: Tree,
}

impl Additions<'_> {
    fn path(text: &str) -> ImagePath {
        text.parse().expect("paths in this module are absolute and normal")
    }

    /// Tells whether the base has an entry, itself or by way of a symlink.
    fn has(&self, path: &str) -> bool {
        let path = Self::path(path);
        self.base.get(&path).is_some() || self.base.resolve(&path).is_some()
    }

    fn entry(&mut self, path: &str, entry: Entry) -> Result<(), SetupError> {
        if self.has(path) {
            return Ok(());
        }
        self.tree.replace(&Self::path(path), entry).map_err(SetupError::Place)
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), SetupError> {
        self.entry(path, Entry::symlink(target))
    }

    fn text(&mut self, path: &str, text: &str) -> Result<(), SetupError> {
        let content = self.store.put(text.as_bytes()).map_err(SetupError::Store)?;
        self.entry(path, Entry::File(File::new(content, text.len() as u64, Mode::REGULAR)))
    }

    fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> Result<(), SetupError> {
        let directory = Directory::new(Mode::from_bits(mode), owner);
        self.entry(path, Entry::Directory(directory.into()))
    }

    /// Puts a file of the base at a second place, if it has it.
    fn copy(&mut self, from: &str, to: &str) -> Result<(), SetupError> {
        match self.base.get(&Self::path(from)).cloned() {
            Some(file @ Entry::File(_)) => self.entry(to, file),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
