//! The libraries around a wheel: in directories that were named, and where this machine's loader looks.
//!
//! Only those that some file needs are read. A library of another processor or C library doesn't count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use minke_cas::ImagePath;
use minke_elf::{Facts, Family, Machine, Policy, Resolver, Symbols, is_elf};

use super::AuditError;
use super::carried::{Asked, Carried};
use super::verdict::policies;

/// What was found.
pub(super) struct Around {
    pub(super) resolver: Resolver,
    pub(super) files: BTreeMap<ImagePath, Found>,
}

/// A library that a wheel doesn't carry.
pub(super) struct Found {
    /// Where it lies, links followed.
    pub(super) path: PathBuf,
    pub(super) facts: Facts,
    pub(super) asked: Asked,
}

impl Around {
    /// Looks for everything that a wheel's files need, and for what that needs.
    pub(super) fn find(carried: &Carried, libraries: &[PathBuf]) -> Result<Self, AuditError> {
        let machine = carried.files.values().next().map_or(Machine::Amd64, |file| file.facts.machine);
        let mut resolver = match carried.family {
            Family::Manylinux => Resolver::debian(machine),
            Family::Musllinux => Resolver::musl(),
        };
        let mut named = Vec::new();
        for directory in libraries {
            let failed = |source| AuditError::Io { what: "look into", path: directory.clone(), source };
            let whole = fs::canonicalize(directory).map_err(failed)?;
            named.extend(whole.to_str().and_then(|path| path.parse().ok()));
        }
        let configured = match carried.family {
            Family::Manylinux => configured(Path::new("/etc/ld.so.conf")),
            Family::Musllinux => Vec::new(),
        };
        let last = ["/lib64", "/usr/lib64"].map(|path| path.parse().expect("it is a path"));
        let usual = std::mem::take(&mut resolver.default_directories);
        resolver.default_directories = named.into_iter().chain(configured).chain(usual).chain(last).collect();
        let policies = policies(carried);
        let oldest = policies.first();
        let mut around = Self { resolver, files: BTreeMap::new() };
        let mut asking: Vec<(ImagePath, Facts)> =
            carried.files.iter().map(|(path, file)| (path.clone(), file.facts.clone())).collect();
        while !asking.is_empty() {
            asking = around.needs_of(&asking, carried, oldest);
        }
        Ok(around)
    }

    /// Reads what some files need and nobody has read yet.
    fn needs_of(
        &mut self,
        asking: &[(ImagePath, Facts)],
        carried: &Carried,
        oldest: Option<&Policy>,
    ) -> Vec<(ImagePath, Facts)> {
        let own = asking.iter().flat_map(|(path, facts)| self.resolver.search_path(facts, path));
        let mut directories: Vec<ImagePath> = own.collect();
        directories.extend(self.resolver.default_directories.iter().cloned());
        let directories: BTreeSet<ImagePath> = directories.into_iter().collect();
        let names: BTreeSet<&String> = asking.iter().flat_map(|(_, facts)| &facts.needed).collect();
        let mut found = Vec::new();
        // What every system has is nobody's to bring.
        let is_anywhere = |name: &str| oldest.is_some_and(|oldest| oldest.supplies(name));
        for name in names.into_iter().filter(|name| !is_anywhere(name)) {
            for directory in &directories {
                let Ok(place) = directory.join_str(name) else { continue };
                if carried.has(&place) || self.files.contains_key(&place) {
                    continue;
                }
                let Some(file) = library(&place, carried) else { continue };
                found.push((place.clone(), file.facts.clone()));
                self.files.insert(place, file);
            }
        }
        found
    }
}

/// Reads a library of this machine; what cannot be read isn't found by the loader either.
fn library(place: &ImagePath, carried: &Carried) -> Option<Found> {
    let path = fs::canonicalize(place.as_str()).ok()?;
    let bytes = fs::read(&path).ok().filter(|bytes| is_elf(bytes))?;
    let facts = Facts::read(&bytes).ok()?;
    let wanted = carried.files.values().next()?;
    let is_other = Family::of(&facts).is_some_and(|family| family != carried.family);
    if is_other || !wanted.facts.fits(&facts) {
        return None;
    }
    let asked = Asked::of(&facts, &Symbols::read(&bytes).ok()?, &BTreeSet::new());
    Some(Found { path, facts, asked })
}

/// Reads which directories glibc's loader looks in besides its own; a file that isn't there names none.
///
/// Spec: ldconfig(8), <https://man7.org/linux/man-pages/man8/ldconfig.8.html>
fn configured(file: &Path) -> Vec<ImagePath> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut directories = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(pattern) = line.strip_prefix("include ") else {
            directories.extend(line.parse());
            continue;
        };
        // All systems use this one pattern: all `.conf` files of a directory, in name order.
        let below = file.parent().unwrap_or(file).join(pattern.trim().trim_end_matches("/*.conf"));
        let entries = fs::read_dir(below).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut parts: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "conf")).collect();
        parts.sort();
        // An included file includes no others.
        directories.extend(parts.iter().flat_map(|part| plain(part)));
    }
    directories
}

fn plain(file: &Path) -> Vec<ImagePath> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.split('#').next().unwrap_or_default().trim().parse().ok()).collect()
}
