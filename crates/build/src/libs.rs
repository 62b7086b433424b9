//! Which libraries of the system some files need, who needs them, and which packages have them: `minke libs`.
//!
//! Nothing is taken for granted but the files themselves: even the C library is named. Directories are walked without
//! following links out of them, wheels are read as they are, and anything else is taken for an ELF file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Entry, File, ImagePath, Mode, Store, Tree};
use minke_distro::{ClosureOptions, PackageName, setup};
use minke_elf::{ElfError, Facts, Resolver, is_elf};
use minke_net::{Client, ClientError};
use minke_python::{WheelFault, each_file};
use serde::Serialize;

use crate::contents::Missing;
use crate::debian::{self, Debian, DebianError};
use crate::event::Reporter;
use crate::likely::{self, Names, Wanted};
use crate::native::{Facted, LARGE};
use crate::needs::{self, Lack, Scope, Weight};
use crate::outside;
use crate::platform::Platform;
use crate::request::Request;
use crate::supply::FOR_PLUGINS;

/// What some files need of the system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Libs {
    /// For which platform.
    pub platform: String,
    /// Whose packages were asked, such as `trixie`.
    pub suite: String,
    /// The packages that an image would get for it, in name order: for plugins only what is small.
    pub packages: BTreeSet<String>,
    /// The libraries, in name order.
    pub libraries: Vec<Library>,
}

/// A library that some files need.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Library {
    /// Its soname.
    pub soname: String,
    /// How much it matters.
    pub weight: Weight,
    /// The package that has it; none if nobody has.
    pub package: Option<String>,
    /// How many bytes of packages that brings, its dependencies counted in; for what isn't required, besides what is.
    pub bytes: u64,
    /// The files that need it, as they were named.
    pub needed_by: BTreeSet<String>,
}

/// It cannot be found out what some files need.
#[derive(Debug, thiserror::Error)]
pub enum LibsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A wheel cannot be read.
    #[error("cannot read the wheel `{}`", path.display())]
    Wheel {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: WheelFault,
    },
    /// A file that was named is none that the loader could load.
    #[error("`{}` is neither a directory nor a wheel nor an ELF file", path.display())]
    NotElf {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: ElfError,
    },
    /// Nothing that packages are made for runs on this machine.
    #[error("there are no packages for this machine")]
    Machine,
    /// No client can be made.
    #[error("cannot prepare for the network")]
    Client(#[source] ClientError),
    /// The archive cannot say.
    #[error(transparent)]
    Debian(#[from] DebianError),
}

/// Finds out which libraries of the system some files need, and who has them.
///
/// What no file of the loader's lies at is asked of the archive; nothing but its lists is fetched.
///
/// # Errors
/// [`LibsError`] names the file, or says what is wrong with the archive.
pub fn libs(
    paths: &[PathBuf],
    request: &Request,
    store: &Store,
    reporter: &Reporter,
) -> Result<Libs, LibsError> {
    let settings = &request.settings;
    let wished = settings.platform.as_ref().map(|said| said.value);
    let platform = wished.or_else(Platform::here).ok_or(LibsError::Machine)?;
    let mut seen = Seen::default();
    for path in paths {
        seen.look_at(path)?;
    }
    let Seen { tree, facted, names, named } = seen;
    let scope = Scope { machine: platform.elf(), python_minor: None };
    let asking: Facted = facted
        .iter()
        .filter(|(path, _)| names.contains_key(*path))
        .map(|(path, facts)| (path.clone(), facts.clone()))
        .collect();
    let elsewhere = asking.values().filter(|facts| facts.machine != scope.machine).count();
    if elsewhere > 0 {
        reporter
            .note(format!("files for other processors than {platform}'s, which don't count: {elsewhere}"));
    }
    let lacks = needs::look(&tree, &facted, &asking, scope);
    let client = outside::client(request, reporter).map_err(LibsError::Client)?;
    let archive = Archive { debian: None, client: &client, store, request, platform, reporter };
    let libraries = libraries((lacks, &names), (named, &likely::library_files(&tree)), archive)?;
    let adds_likely = settings.likely_libraries.as_ref().is_some_and(|said| said.value);
    let is_added = |library: &&Library| match library.weight {
        Weight::Required => true,
        Weight::Optional => library.bytes <= FOR_PLUGINS,
        Weight::OneOf => false,
        Weight::Likely => adds_likely,
    };
    let packages = libraries.iter().filter(is_added).filter_map(|library| library.package.clone()).collect();
    let suite = debian::suite(settings).value;
    Ok(Libs { platform: platform.to_string(), suite, packages, libraries })
}

/// Whom to ask, opened when there is a question.
struct Archive<'ask> {
    debian: Option<Debian>,
    client: &'ask Client,
    store: &'ask Store,
    request: &'ask Request,
    platform: Platform,
    reporter: &'ask Reporter,
}

impl Archive<'_> {
    fn supplier(
        &mut self,
        soname: &str,
        present: &BTreeSet<PackageName>,
    ) -> Result<Option<(PackageName, u64)>, DebianError> {
        let outside = (self.client, self.store);
        let options = ClosureOptions { left_out: setup::left_out() };
        let missing = Missing::Soname(soname.to_owned());
        let suppliers = self.debian()?.suppliers(outside, &missing, present, &options)?;
        Ok(suppliers.into_iter().next().map(|supplier| (supplier.package, supplier.bytes)))
    }

    /// Returns the soname of a library that a name means, if anybody has it.
    fn soname(&mut self, wanted: &Wanted) -> Result<Option<String>, DebianError> {
        let outside = (self.client, self.store);
        let listed = match wanted {
            Wanted::Soname(_) => Vec::new(),
            Wanted::Stem(_) => self.debian()?.alike(outside, &wanted.beginning())?,
        };
        Ok(wanted.soname(&listed))
    }

    fn debian(&mut self) -> Result<&Debian, DebianError> {
        let debian = match self.debian.take() {
            Some(debian) => debian,
            None => {
                let wishes = (&self.request.settings, &self.request.host);
                Debian::open(self.client, wishes, self.platform.debian(), self.reporter)?
            }
        };
        Ok(self.debian.insert(debian))
    }
}

/// Brings together who needs each library, and asks who has it.
fn libraries(
    (lacks, names): (Vec<Lack>, &BTreeMap<ImagePath, String>),
    (named, there): (BTreeMap<Names, String>, &BTreeSet<String>),
    mut archive: Archive<'_>,
) -> Result<Vec<Library>, LibsError> {
    let mut needed: BTreeMap<String, (Weight, BTreeSet<String>)> = BTreeMap::new();
    for lack in lacks {
        let name = names.get(&lack.needed_by).cloned().unwrap_or_else(|| lack.needed_by.to_string());
        let known = needed.entry(lack.library().to_owned());
        let (weight, by) = known.or_insert_with(|| (lack.weight, BTreeSet::new()));
        *weight = lack.weight.min(*weight);
        by.insert(name);
    }
    // What is required is there for plugins, too, and costs them nothing.
    let (mut libraries, mut present) = (Vec::new(), BTreeSet::new());
    for wanted in [Weight::Required, Weight::Optional, Weight::OneOf] {
        let mut found = BTreeSet::new();
        for (soname, (weight, needed_by)) in needed.iter().filter(|(_, (weight, _))| *weight == wanted) {
            let supplier = archive.supplier(soname, &present)?;
            found.extend(supplier.iter().map(|(package, _)| package.clone()));
            let (package, bytes) =
                supplier.map_or((None, 0), |(name, bytes)| (Some(name.to_string()), bytes));
            let (soname, needed_by) = (soname.clone(), needed_by.clone());
            libraries.push(Library { soname, weight: *weight, package, bytes, needed_by });
        }
        if wanted == Weight::Required {
            present = found;
        }
    }
    for (names, by) in named {
        let wanted = names.wanted();
        if wanted.iter().any(|wanted| wanted.is_among(there)) {
            continue;
        }
        likely(&wanted, by, &mut libraries, &mut archive, &present)?;
    }
    libraries.sort_by(|one, other| one.soname.cmp(&other.soname));
    Ok(libraries)
}

/// Adds the first library that one of some names means and that anybody has.
fn likely(
    wanted: &[Wanted],
    by: String,
    libraries: &mut Vec<Library>,
    archive: &mut Archive<'_>,
    present: &BTreeSet<PackageName>,
) -> Result<(), LibsError> {
    for wanted in wanted {
        let Some(soname) = archive.soname(wanted)? else { continue };
        if let Some(known) = libraries.iter_mut().find(|library| library.soname == soname) {
            // What is needed anyway isn't only likely.
            if known.weight == Weight::Likely {
                known.needed_by.insert(by);
            }
            return Ok(());
        }
        if let Some((package, bytes)) = archive.supplier(&soname, present)? {
            let (weight, package) = (Weight::Likely, Some(package.to_string()));
            libraries.push(Library { soname, weight, package, bytes, needed_by: BTreeSet::from([by]) });
            return Ok(());
        }
    }
    Ok(())
}

/// The files that were named, and those below them.
#[derive(Default)]
struct Seen {
    tree: Tree,
    facted: Facted,
    /// What the user calls them.
    names: BTreeMap<ImagePath, String>,
    /// What is loaded by name, and by which file.
    named: BTreeMap<Names, String>,
}

impl Seen {
    fn look_at(&mut self, path: &Path) -> Result<(), LibsError> {
        let failed = |source| LibsError::Read { path: path.to_owned(), source };
        let whole = fs::canonicalize(path).map_err(failed)?;
        if whole.is_dir() {
            // Further down a wheel is what some package has for its own ends.
            for (wheel, called) in entries(&whole, path)? {
                if is_wheel(&wheel.path()) {
                    self.wheel(&wheel.path(), &called)?;
                }
            }
            return self.directory(&whole, path);
        }
        if is_wheel(path) {
            return self.wheel(&whole, path);
        }
        let facts = facts_of(fs::File::open(&whole).map_err(failed)?).map_err(failed)?;
        let facts = facts.map_err(|source| LibsError::NotElf { path: path.to_owned(), source })?;
        if let Some(at) = self.add(&whole, path.display().to_string(), facts) {
            self.beside(at);
        }
        Ok(())
    }

    /// Adds what a file finds by its own run path, and so on: it lies outside of what was named, and asks nothing.
    fn beside(&mut self, file: ImagePath) {
        let mut pending = vec![file];
        while let Some(at) = pending.pop() {
            let facts = &self.facted[&at];
            let directories = Resolver::debian(facts.machine).search_path(facts, &at);
            let places = facts.needed.iter().flat_map(|name| {
                directories.iter().filter_map(move |directory| directory.join_str(name).ok())
            });
            for place in places.collect::<Vec<_>>() {
                // What cannot be read isn't found by the loader either.
                let found = loose(Path::new(place.as_str())).ok().flatten();
                let is_new = !self.facted.contains_key(&place);
                if let Some(facts) = found.filter(|_| is_new) {
                    pending.extend(self.place(Path::new(place.as_str()), facts));
                }
            }
        }
    }

    fn directory(&mut self, directory: &Path, called: &Path) -> Result<(), LibsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LibsError::Read { path, source }
        };
        for (entry, called) in entries(directory, called)? {
            let path = entry.path();
            let kind = entry.file_type().map_err(failed(&path))?;
            if kind.is_dir() {
                self.directory(&path, &called)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(failed(&path))?;
                let target = target.to_string_lossy().into_owned();
                self.insert(&path, Entry::symlink(target));
            } else if kind.is_file() {
                let size = entry.metadata().map_err(failed(&path))?.len();
                let read = || fs::read_to_string(&path);
                self.note(likely::in_python(&called.to_string_lossy(), size, read), &called);
                if let Some(facts) = loose(&path).map_err(failed(&path))? {
                    let file = fs::File::open(&path).map_err(failed(&path))?;
                    self.note(likely::in_elf(&facts, file).map_err(failed(&path))?, &called);
                    self.add(&path, called.display().to_string(), facts);
                }
            }
        }
        Ok(())
    }

    fn wheel(&mut self, wheel: &Path, called: &Path) -> Result<(), LibsError> {
        let file =
            fs::File::open(wheel).map_err(|source| LibsError::Read { path: wheel.to_owned(), source })?;
        let read = each_file(file, |member, reader| {
            if member.ends_with(".py") {
                let mut text = String::new();
                // What isn't UTF-8 is no file that Python would take.
                let read = reader.take(likely::LARGEST_PYTHON).read_to_string(&mut text);
                let size = read.as_ref().map_or(0, |size| *size as u64);
                self.note(likely::in_python(member, size, || read.map(|_| text)), &called.join(member));
                return Ok(());
            }
            let mut bytes = vec![0; 4];
            // An empty or short file is none.
            if reader.read_exact(&mut bytes).is_err() || !is_elf(&bytes) {
                return Ok(());
            }
            reader.read_to_end(&mut bytes)?;
            if let Ok(facts) = Facts::read(&bytes) {
                self.note(likely::in_elf(&facts, &bytes[..])?, &called.join(member));
                self.add(&wheel.join(member), called.join(member).display().to_string(), facts);
            }
            Ok(())
        });
        read.map_err(|source| LibsError::Wheel { path: called.to_owned(), source })
    }

    fn note(&mut self, found: Vec<Names>, called: &Path) {
        for names in found {
            self.named.entry(names).or_insert_with(|| called.display().to_string());
        }
    }

    /// Adds a file that was named, or lies below what was.
    fn add(&mut self, path: &Path, called: String, facts: Facts) -> Option<ImagePath> {
        let at = self.place(path, facts)?;
        self.names.insert(at.clone(), called);
        Some(at)
    }

    fn place(&mut self, path: &Path, facts: Facts) -> Option<ImagePath> {
        let file = File::new(Digest::of(path.as_os_str().as_encoded_bytes()), 0, Mode::EXECUTABLE);
        let at = self.insert(path, file.into())?;
        self.facted.insert(at.clone(), facts);
        Some(at)
    }

    /// Returns where it lies now; none for what no image could have.
    fn insert(&mut self, path: &Path, entry: Entry) -> Option<ImagePath> {
        let at: ImagePath = path.to_str()?.parse().ok()?;
        self.tree.insert(&at, entry).ok().map(|_| at)
    }
}

/// Returns what lies in a directory, by its name, each with what the user calls it.
fn entries(directory: &Path, called: &Path) -> Result<Vec<(fs::DirEntry, PathBuf)>, LibsError> {
    let entries = fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = entries.map_err(|source| LibsError::Read { path: directory.to_owned(), source })?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let with_name = |entry: fs::DirEntry| {
        let called = called.join(entry.file_name());
        (entry, called)
    };
    Ok(entries.into_iter().map(with_name).collect())
}

fn is_wheel(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "whl") && path.is_file()
}

/// Reads what a file says if it is an ELF file.
fn loose(path: &Path) -> io::Result<Option<Facts>> {
    let mut file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(4).read_to_end(&mut bytes)?;
    file.rewind()?;
    if is_elf(&bytes) { Ok(facts_of(file)?.ok()) } else { Ok(None) }
}

fn facts_of(mut file: fs::File) -> io::Result<Result<Facts, ElfError>> {
    if file.metadata()?.len() > LARGE {
        return Ok(Facts::read_from(file));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Facts::read(&bytes))
}
