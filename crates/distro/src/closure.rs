//! Which packages must be there for some to work.
//!
//! What has one answer is answered first, what has several when nothing else is left: an alternative that is
//! chosen anyway is taken, else the first whose own needs can be met. The result depends on the set of roots, not
//! on their order. Recommendations are nobody's need; essential packages aren't added, as in apt.
//!
//! Spec: <https://www.debian.org/doc/debian-policy/ch-relationships.html>

mod failure;
mod stay;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::index::{Package, PackageIndex};
use crate::name::PackageName;
use crate::relation::{AnyOf, Relation};

pub use failure::{ClosureError, Exclusion, Shortfall};
pub use stay::staying;

/// What a closure is made by, beside its roots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClosureOptions {
    /// Packages that are taken for granted and left out, each with the reason; a root is never left out.
    ///
    /// The default leaves nothing out.
    pub left_out: BTreeMap<PackageName, String>,
}

/// The packages that must be there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closure {
    /// Each package, by name.
    pub packages: BTreeMap<PackageName, Chosen>,
    /// What was asked for and left out.
    pub left_out: BTreeMap<PackageName, LeftOut>,
}

/// A package and who wanted it first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// The package.
    pub package: Arc<Package>,
    /// Why it is there.
    pub why: Why,
}

/// Why a package is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The caller asked for it.
    Root,
    /// Another package needs it.
    Needed {
        /// Which one.
        by: PackageName,
        /// In its words.
        relation: AnyOf,
    },
}

/// A package that was asked for and left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Why it isn't needed.
    pub reason: String,
    /// Who asked for it.
    pub wanted_by: BTreeSet<PackageName>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("asked for"),
            Self::Needed { by, relation } => write!(f, "{by} needs {relation}"),
        }
    }
}

/// Finds the packages that must be there for the roots to work, the roots included.
///
/// A root may be a name that exactly one package provides, such as one from before it was renamed.
///
/// # Errors
/// [`ClosureError::UnknownRoot`], [`ClosureError::AmbiguousRoot`], [`ClosureError::Unmet`] and [`ClosureError::Conflict`] where there is no such
/// set or this search doesn't find it (it doesn't go back on what it chose); [`ClosureError::Index`].
pub fn closure(
    index: &PackageIndex,
    roots: &BTreeSet<PackageName>,
    options: &ClosureOptions,
) -> Result<Closure, ClosureError> {
    let search = Search::new(index, roots, options);
    let mut state = State::default();
    for name in roots {
        state.choose(search.root(name)?, Why::Root);
    }
    search.follow(&mut state)?;
    while let Some(need) = state.open.pop_first() {
        state = search.decide(state, &need)?;
    }
    Ok(state.into_closure(options))
}

/// One dependency of one package, by its place in [`needs`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    by: PackageName,
    number: usize,
}

#[derive(Clone, Default)]
struct State {
    chosen: BTreeMap<PackageName, Chosen>,
    /// Packages whose dependencies were not looked at yet.
    queue: VecDeque<PackageName>,
    /// Dependencies with more than one answer.
    open: BTreeSet<Need>,
    left_out: BTreeMap<PackageName, BTreeSet<PackageName>>,
}

/// The index, remembered as it is parsed, and what holds for the whole search.
struct Search<'index> {
    index: &'index PackageIndex,
    left_out: BTreeSet<&'index PackageName>,
    parsed: std::cell::RefCell<HashMap<PackageName, Option<Arc<Package>>>>,
}

enum Verdict {
    Satisfied,
    LeftOut(PackageName),
    Candidates(Vec<Arc<Package>>),
}

fn needs(package: &Package) -> impl Iterator<Item = &AnyOf> {
    package.pre_depends.iter().chain(&package.depends)
}

impl<'index> Search<'index> {
    fn new(
        index: &'index PackageIndex,
        roots: &BTreeSet<PackageName>,
        options: &'index ClosureOptions,
    ) -> Self {
        let left_out = options.left_out.keys().filter(|name| !roots.contains(*name)).collect();
        Self { index, left_out, parsed: Default::default() }
    }

    fn find(&self, name: &PackageName) -> Result<Option<Arc<Package>>, ClosureError> {
        if let Some(known) = self.parsed.borrow().get(name) {
            return Ok(known.clone());
        }
        let found = self.index.find(name.as_str()).map_err(ClosureError::Index)?.map(Arc::new);
        self.parsed.borrow_mut().insert(name.clone(), found.clone());
        Ok(found)
    }

    /// Finds a package that was asked for; as with apt, its name may be one that a single other package provides.
    fn root(&self, name: &PackageName) -> Result<Arc<Package>, ClosureError> {
        if let Some(package) = self.find(name)? {
            return Ok(package);
        }
        let mut providers = self.index.providers(name.as_str()).map_err(ClosureError::Index)?;
        match providers.len() {
            0 => Err(ClosureError::UnknownRoot { name: name.clone() }),
            1 => Ok(Arc::new(providers.remove(0))),
            _ => {
                let providers = providers.into_iter().map(|package| package.name).collect();
                Err(ClosureError::AmbiguousRoot { name: name.clone(), providers })
            }
        }
    }

    /// Chooses all that has one answer only, until nothing is left but what has several.
    fn follow(&self, state: &mut State) -> Result<(), ClosureError> {
        while let Some(name) = state.queue.pop_front() {
            let package = Arc::clone(&state.chosen[&name].package);
            for (number, group) in needs(&package).enumerate() {
                match self.judge(state, group)? {
                    Verdict::Satisfied => {}
                    Verdict::LeftOut(left) => {
                        state.left_out.entry(left).or_default().insert(name.clone());
                    }
                    Verdict::Candidates(candidates) => match candidates.as_slice() {
                        [] => return Err(self.unmet(state, &name, group, &[])?),
                        [only] => state.choose(Arc::clone(only), needed(&name, group)),
                        _ => {
                            state.open.insert(Need { by: name.clone(), number });
                        }
                    },
                }
            }
        }
        state.conflict().map_or(Ok(()), Err)
    }

    /// Takes the first candidate that leads nowhere impossible.
    fn decide(&self, mut state: State, need: &Need) -> Result<State, ClosureError> {
        let package = Arc::clone(&state.chosen[&need.by].package);
        let group = needs(&package).nth(need.number).expect("a need is numbered by its place");
        let candidates = match self.judge(&state, group)? {
            Verdict::Satisfied => return Ok(state),
            Verdict::LeftOut(left) => {
                state.left_out.entry(left).or_default().insert(need.by.clone());
                return Ok(state);
            }
            Verdict::Candidates(candidates) => candidates,
        };
        let mut failures = Vec::new();
        for candidate in candidates {
            let name = candidate.name.clone();
            let mut attempt = state.clone();
            attempt.choose(candidate, needed(&need.by, group));
            match self.follow(&mut attempt) {
                Ok(()) => return Ok(attempt),
                Err(ClosureError::Index(error)) => return Err(ClosureError::Index(error)),
                Err(error) => failures.push(Shortfall::Useless { name, because: error.to_string() }),
            }
        }
        Err(self.unmet(&state, &need.by, group, &failures)?)
    }

    fn judge(&self, state: &State, group: &AnyOf) -> Result<Verdict, ClosureError> {
        if group.0.iter().any(|relation| state.satisfies(relation)) {
            return Ok(Verdict::Satisfied);
        }
        let mut candidates: Vec<Arc<Package>> = Vec::new();
        for relation in &group.0 {
            for candidate in self.candidates(relation)? {
                if self.left_out.contains(&candidate.name) {
                    return Ok(Verdict::LeftOut(candidate.name.clone()));
                }
                // Another version of what is chosen cannot be had: there is one of each package.
                let is_known = candidates.iter().any(|known| known.name == candidate.name);
                if !is_known {
                    candidates.push(candidate);
                }
            }
            // A name can be left out that this index doesn't even have.
            if self.left_out.contains(&relation.name) {
                return Ok(Verdict::LeftOut(relation.name.clone()));
            }
        }
        Ok(Verdict::Candidates(candidates))
    }

    /// Returns what satisfies a relation: the package of that name, then those that provide it.
    fn candidates(&self, relation: &Relation) -> Result<Vec<Arc<Package>>, ClosureError> {
        let real = self.find(&relation.name)?;
        let providers = self.index.providers(relation.name.as_str()).map_err(ClosureError::Index)?;
        let providers = providers.into_iter().map(Arc::new);
        Ok(real.into_iter().chain(providers).filter(|package| package.satisfies(relation)).collect())
    }

    fn unmet(
        &self,
        state: &State,
        by: &PackageName,
        group: &AnyOf,
        failures: &[Shortfall],
    ) -> Result<ClosureError, ClosureError> {
        let mut shortfalls = failures.to_vec();
        if failures.is_empty() {
            for relation in &group.0 {
                shortfalls.push(self.shortfall(relation)?);
            }
        }
        Ok(ClosureError::Unmet { chain: state.chain(by), relation: group.clone(), shortfalls })
    }

    fn shortfall(&self, relation: &Relation) -> Result<Shortfall, ClosureError> {
        let relation = relation.clone();
        if let Some(package) = self.find(&relation.name)? {
            return Ok(Shortfall::WrongVersion { relation, have: package.version.clone() });
        }
        let providers = self.index.providers(relation.name.as_str()).map_err(ClosureError::Index)?;
        Ok(match providers.as_slice() {
            [] => Shortfall::Unknown { name: relation.name },
            _ => Shortfall::NoProvider { relation },
        })
    }
}

fn needed(by: &PackageName, relation: &AnyOf) -> Why {
    Why::Needed { by: by.clone(), relation: relation.clone() }
}

impl State {
    fn choose(&mut self, package: Arc<Package>, why: Why) {
        let name = package.name.clone();
        if !self.chosen.contains_key(&name) {
            self.queue.push_back(name.clone());
            self.chosen.insert(name, Chosen { package, why });
        }
    }

    fn satisfies(&self, relation: &Relation) -> bool {
        let real = self.chosen.get(&relation.name).is_some_and(|chosen| chosen.package.satisfies(relation));
        real || self.chosen.values().any(|chosen| chosen.package.satisfies(relation))
    }

    /// Returns the way from a root to a package.
    fn chain(&self, name: &PackageName) -> Vec<PackageName> {
        let mut chain = vec![name.clone()];
        let mut at = name;
        while let Some(Chosen { why: Why::Needed { by, .. }, .. }) = self.chosen.get(at) {
            chain.push(by.clone());
            at = by;
        }
        chain.reverse();
        chain
    }

    /// Finds two chosen packages that exclude each other.
    fn conflict(&self) -> Option<ClosureError> {
        let mut bearers: BTreeMap<&PackageName, Vec<&Chosen>> = BTreeMap::new();
        for chosen in self.chosen.values() {
            let provided = chosen.package.provides.iter().map(|provided| &provided.name);
            for name in provided.chain([&chosen.package.name]) {
                bearers.entry(name).or_default().push(chosen);
            }
        }
        for first in self.chosen.values() {
            for relation in first.package.conflicts.iter().chain(&first.package.breaks) {
                let excluded = bearers.get(&relation.name).into_iter().flatten().find(|second| {
                    second.package.name != first.package.name && second.package.satisfies(relation)
                });
                if let Some(second) = excluded {
                    return Some(ClosureError::Conflict(Box::new(Exclusion {
                        first: first.package.name.clone(),
                        second: second.package.name.clone(),
                        relation: relation.clone(),
                        first_why: first.why.clone(),
                        second_why: second.why.clone(),
                    })));
                }
            }
        }
        None
    }

    fn into_closure(self, options: &ClosureOptions) -> Closure {
        let left_out = self.left_out.into_iter().map(|(name, wanted_by)| {
            let reason = options.left_out.get(&name).cloned().unwrap_or_default();
            (name, LeftOut { reason, wanted_by })
        });
        Closure { packages: self.chosen, left_out: left_out.collect() }
    }
}

#[cfg(test)]
mod tests;
