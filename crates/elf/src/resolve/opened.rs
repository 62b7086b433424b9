//! What a process has loaded, and how one file more is loaded into it.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::ImagePath;

use super::{Loader, MissingVersion, Resolver, Unmet};
use crate::facts::Facts;

/// One loaded file.
pub(super) struct Object<'facts> {
    pub(super) path: ImagePath,
    pub(super) facts: &'facts Facts,
    /// Which object's need brought it.
    loader: Option<usize>,
}

/// What a process has loaded so far.
pub(super) struct Opened<'a, 'facts, View> {
    pub(super) resolver: &'a Resolver,
    pub(super) view: View,
    pub(super) objects: Vec<Object<'facts>>,
    /// By every name a loaded object answers to: its soname, its path, and what it was asked for as.
    pub(super) names: BTreeMap<String, usize>,
    /// How many of the resolver's levels the processor has.
    level: usize,
    /// How many levels a processor has that gets something else than this one.
    pub(super) faster: BTreeSet<usize>,
}

impl<'a, 'facts, View: Fn(&ImagePath) -> Option<&'facts Facts>> Opened<'a, 'facts, View> {
    pub(super) fn new(resolver: &'a Resolver, view: View, level: usize) -> Self {
        let faster = BTreeSet::new();
        Self { resolver, view, objects: Vec::new(), names: BTreeMap::new(), level, faster }
    }

    /// Loads a file and all that it needs, and returns what isn't found; `loader` is who asks for it.
    ///
    /// What is loaded already or not known brings nothing.
    pub(super) fn open(&mut self, file: &ImagePath, loader: Option<usize>) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        let mut next = self.objects.len();
        if let Some(facts) = (self.view)(file).filter(|_| !self.names.contains_key(file.as_str())) {
            self.load(Object { path: file.clone(), facts, loader }, None);
        }
        while let Some(object) = self.objects.get(next) {
            let facts = object.facts;
            for name in &facts.needed {
                if !self.satisfy(next, name) {
                    unmet.push(Unmet { soname: name.clone(), needed_by: self.objects[next].path.clone() });
                }
            }
            next += 1;
        }
        unmet
    }

    fn load(&mut self, object: Object<'facts>, asked: Option<&str>) {
        let place = self.objects.len();
        let soname = object.facts.soname.as_deref().filter(|_| self.resolver.loader == Loader::Glibc);
        for name in [asked, soname, Some(object.path.as_str())].into_iter().flatten() {
            self.names.entry(name.to_owned()).or_insert(place);
        }
        self.objects.push(object);
    }

    /// Tells whether a name needs no file: it was loaded before, or means the loader itself.
    fn is_there(&self, name: &str) -> bool {
        // musl is all of these libraries.
        const MUSL: [&str; 7] = ["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];
        let reserved = || MUSL.iter().any(|start| name.starts_with(start));
        self.names.contains_key(name)
            || self.resolver.loaded.contains(name)
            || (self.resolver.loader == Loader::Musl && reserved())
    }

    /// Loads what an object needs under a name, unless it is there; false if it cannot be found.
    fn satisfy(&mut self, needer: usize, name: &str) -> bool {
        if self.is_there(name) {
            return true;
        }
        let (found, faster) = self.look(needer, name);
        self.faster.extend(faster);
        let Some((facts, path)) = found else { return false };
        match self.names.get(path.as_str()) {
            Some(place) => {
                let place = *place;
                self.names.insert(name.to_owned(), place);
            }
            None => self.load(Object { path, facts, loader: Some(needer) }, Some(name)),
        }
        true
    }

    /// Returns what the processor gets for a need, and the levels of processors that get something else.
    fn look(&self, needer: usize, name: &str) -> (Option<(&'facts Facts, ImagePath)>, Vec<usize>) {
        let wanted = self.objects[needer].facts;
        let mut faster = Vec::new();
        for (level, path) in self.candidates(needer, name) {
            let Some(facts) = (self.view)(&path).filter(|facts| wanted.fits(facts)) else { continue };
            if level <= self.level {
                return (Some((facts, path)), faster);
            }
            faster.push(level);
        }
        (None, faster)
    }

    /// Returns where a needed name may lie, in the order in which the loader looks, each with the level that a
    /// processor must have for it.
    fn candidates(&self, needer: usize, name: &str) -> impl Iterator<Item = (usize, ImagePath)> {
        let object = &self.objects[needer];
        let origin = object.path.parent().unwrap_or_else(ImagePath::root);
        let given = name.contains('/').then(|| self.resolver.expand(name, &origin));
        let directories = match given {
            Some(_) => Vec::new(),
            None => self.directories(needer),
        };
        let name = name.to_owned();
        let levels = &self.resolver.levels;
        let searched = directories.into_iter().flat_map(move |directory| {
            let twins = levels.iter().enumerate().rev();
            let twins = twins
                .map(|(rank, level)| (rank + 1, directory.join_str(&format!("glibc-hwcaps/{level}/{name}"))));
            let all: Vec<_> = twins.chain([(0, directory.join_str(&name))]).collect();
            all.into_iter().filter_map(|(rank, path)| Some((rank, path.ok()?)))
        });
        given.flatten().into_iter().map(|path| (0, path)).chain(searched)
    }

    fn directories(&self, needer: usize) -> Vec<ImagePath> {
        let object = &self.objects[needer];
        let mut directories = Vec::new();
        let all_inherit = self.resolver.loader == Loader::Musl;
        if all_inherit || object.facts.runpath.is_none() {
            // An RPATH counts for all that was loaded because of its file; a RUNPATH beside it makes it void.
            let mut above = object.loader;
            while let Some(place) = above {
                let loader = &self.objects[place];
                if all_inherit || loader.facts.runpath.is_none() {
                    directories.extend(self.resolver.search_path(loader.facts, &loader.path));
                }
                above = loader.loader;
            }
        }
        let mut all = self.resolver.search_path(object.facts, &object.path);
        all.extend(directories);
        if all_inherit || !object.facts.no_default_directories {
            all.extend(self.resolver.default_directories.iter().cloned());
        }
        all
    }

    /// Compares what is asked of each library with what it defines; one without any versions gives no trouble.
    pub(super) fn missing_versions(&self) -> Vec<MissingVersion> {
        let mut missing = Vec::new();
        for object in &self.objects {
            for (library, versions) in &object.facts.version_needs {
                let Some(library) = self.names.get(library).map(|place| &self.objects[*place]) else {
                    continue;
                };
                let defined = &library.facts.version_definitions;
                let lacking =
                    versions.iter().filter(|version| !defined.is_empty() && !defined.contains(*version));
                missing.extend(lacking.map(|version| MissingVersion {
                    version: version.clone(),
                    library: library.path.clone(),
                    needed_by: object.path.clone(),
                }));
            }
        }
        missing
    }
}
