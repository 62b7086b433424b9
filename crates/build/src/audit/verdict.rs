//! Which policy a wheel fits, and what stands against the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minke_cas::ImagePath;
use minke_elf::{Facts, Family, Policy, X86Level, is_loader};

use super::carried::{Carried, CarriedFile};
use super::machine::Around;
use super::{Audit, Obstacle, Outside, Refusal};

/// A wheel with all that it needs, before its policies.
pub(super) struct Judge<'a> {
    pub(super) carried: &'a Carried,
    pub(super) around: &'a Around,
    /// That of the oldest systems first.
    pub(super) policies: Vec<Policy>,
    closures: Vec<Closure>,
}

/// What one of the wheel's files loads.
struct Closure {
    root: ImagePath,
    /// By the names under which it is needed.
    loaded: BTreeMap<String, ImagePath>,
    paths: BTreeSet<ImagePath>,
}

/// A library that isn't carried and that a policy doesn't supply.
#[derive(Default)]
pub(super) struct External {
    /// Where it was found.
    pub(super) found: Option<ImagePath>,
    /// Which of the wheel's files needs it, or something that does.
    pub(super) needed_by: BTreeSet<String>,
}

/// Returns the policies by which a wheel can be judged, that of the oldest systems first.
///
/// musl has no versions of symbols: no file says which musl it was built on, so that only the newest tag is safe.
pub(super) fn policies(carried: &Carried) -> Vec<Policy> {
    let mut policies = Policy::all(carried.family, carried.processor.unwrap_or_default());
    if carried.family == Family::Musllinux {
        policies.drain(..policies.len().saturating_sub(1));
    }
    policies
}

impl<'a> Judge<'a> {
    pub(super) fn new(carried: &'a Carried, around: &'a Around) -> Self {
        let mut judge = Self { carried, around, policies: policies(carried), closures: Vec::new() };
        let files = || carried.files.iter();
        let needed: BTreeSet<&str> =
            files().flat_map(|(_, file)| &file.facts.needed).map(String::as_str).collect();
        // What others load is looked at with them: their search paths, and what they loaded before, may be its own.
        let begins = |path: &ImagePath, file: &CarriedFile| {
            !file.facts.python_modules.is_empty() || !needed.contains(path.name().unwrap_or_default())
        };
        let roots = files().filter(|(path, file)| begins(path, file)).map(|(path, _)| path);
        judge.closures = roots.map(|root| judge.closure(root)).collect();
        judge
    }

    fn facts(&self, path: &ImagePath) -> Option<&'a Facts> {
        let carried = self.carried.files.get(path).map(|file| &file.facts);
        carried.or_else(|| self.around.files.get(path).map(|file| &file.facts))
    }

    /// Returns the facts of a library that was found outside.
    pub(super) fn around_facts(&self, path: &Path) -> &'a Facts {
        let found = self.around.files.values().find(|found| found.path == path);
        &found.expect("what is copied was found").facts
    }

    fn closure(&self, root: &ImagePath) -> Closure {
        let resolution = self.around.resolver.resolve(|path| self.facts(path), root);
        let mut loaded = BTreeMap::new();
        for path in &resolution.objects {
            let soname = self.facts(path).and_then(|facts| facts.soname.as_deref());
            for name in soname.into_iter().chain(path.name()) {
                loaded.entry(name.to_owned()).or_insert_with(|| path.clone());
            }
        }
        Closure { root: root.clone(), loaded, paths: resolution.objects.into_iter().collect() }
    }

    /// Tells whether a file's need is met by another file of the wheel.
    pub(super) fn is_carried(&self, file: &ImagePath, name: &str) -> bool {
        let having = self.closures.iter().filter(|closure| closure.paths.contains(file));
        having.filter_map(|closure| closure.loaded.get(name)).any(|path| self.carried.has(path))
    }

    /// Returns the libraries that a policy's systems don't have and the wheel needs, or a library that it needs so.
    pub(super) fn external(&self, policy: &Policy) -> BTreeMap<String, External> {
        let mut external = BTreeMap::<String, External>::new();
        for closure in &self.closures {
            let mut seen = BTreeSet::from([closure.root.clone()]);
            let mut pending = vec![(closure.root.clone(), self.carried.files[&closure.root].member.clone())];
            while let Some((path, by)) = pending.pop() {
                let needed = self.facts(&path).map(|facts| facts.needed.as_slice()).unwrap_or_default();
                for name in needed.iter().filter(|name| !policy.supplies(name)) {
                    let found = closure.loaded.get(name);
                    let own = found.and_then(|found| self.carried.files.get(found));
                    let next = own.map_or_else(|| by.clone(), |own| own.member.clone());
                    if own.is_none() {
                        let entry = external.entry(name.clone()).or_default();
                        entry.found = entry.found.take().or_else(|| found.cloned());
                        entry.needed_by.insert(by.clone());
                    }
                    let is_python = name.starts_with("libpython");
                    if let Some(found) = found.filter(|found| !is_python && seen.insert((*found).clone())) {
                        pending.push((found.clone(), next));
                    }
                }
            }
        }
        external
    }

    /// Returns what stands against a policy, but for missing libraries.
    pub(super) fn obstacles(&self, policy: &Policy) -> BTreeSet<Obstacle> {
        let mut obstacles = BTreeSet::new();
        let mut versions = BTreeMap::new();
        for (path, CarriedFile { member, facts, asked }) in &self.carried.files {
            let file = || member.clone();
            for (library, asked) in &asked.versions {
                // A library of the wheel's own defines what was asked of it when it was linked.
                if !is_loader(library) && !self.is_carried(path, library) {
                    for version in asked.iter().filter(|version| !policy.defines(version)) {
                        versions.entry((version.clone(), library.clone())).or_insert_with(file);
                    }
                }
            }
            for library in facts.needed.iter().filter(|library| !self.is_carried(path, library)) {
                let taken = policy
                    .refused(library)
                    .filter(|symbol| *symbol == "*" || asked.refused.contains(*symbol));
                obstacles.extend(taken.map(|symbol| Obstacle::Symbol {
                    symbol: symbol.to_owned(),
                    library: library.clone(),
                    file: file(),
                }));
            }
            if facts.x86_level.is_some_and(|level| level > X86Level::Baseline) {
                obstacles.insert(Obstacle::Instructions { file: file() });
            }
            if asked.floating_point {
                obstacles.insert(Obstacle::FloatingPoint { file: file() });
            }
        }
        obstacles.extend(versions.into_iter().map(|((version, library), file)| Obstacle::Version {
            version,
            library,
            file,
        }));
        obstacles
    }

    /// Tries all policies.
    pub(super) fn audit(&self) -> Audit {
        let mut refused = Vec::new();
        let mut fits = None;
        for policy in &self.policies {
            let mut because = self.obstacles(policy);
            let missing = self.external(policy).into_keys();
            because.extend(missing.map(|soname| Obstacle::Library { soname }));
            if because.is_empty() {
                fits = Some(policy);
                break;
            }
            refused.insert(0, Refusal { tag: policy.to_string(), because });
        }
        let tag = match (fits, self.carried.processor) {
            (Some(policy), _) if !self.carried.files.is_empty() => policy.to_string(),
            (_, Some(processor)) if !self.carried.files.is_empty() => format!("linux_{processor}"),
            _ => "any".to_owned(),
        };
        Audit {
            wheel: self.carried.name.to_string(),
            alias: fits.filter(|_| tag != "any").and_then(Policy::alias),
            tag,
            files: self.carried.files.len(),
            carried: self.carried.libraries(),
            outside: self.outside(),
            refused,
            ignored: self.carried.ignored.clone(),
        }
    }

    fn outside(&self) -> BTreeMap<String, Outside> {
        let mut outside = BTreeMap::<String, Outside>::new();
        let external = self.policies.first().map(|oldest| self.external(oldest)).unwrap_or_default();
        for (soname, External { found, needed_by }) in external {
            let found = found.and_then(|path| self.around.files.get(&path)).map(|found| found.path.clone());
            outside.insert(soname, Outside { found, needed_by, ..Outside::default() });
        }
        for (path, CarriedFile { member, facts, asked }) in &self.carried.files {
            for name in facts.needed.iter().filter(|name| !self.is_carried(path, name)) {
                let entry = outside.entry(name.clone()).or_default();
                entry.needed_by.insert(member.clone());
                entry.versions.extend(asked.versions.get(name).into_iter().flatten().cloned());
            }
        }
        for (soname, entry) in &mut outside {
            let supplied = self.policies.iter().find(|policy| policy.supplies(soname));
            entry.supplied = supplied.map(Policy::to_string);
        }
        outside
    }
}
