//! Which packages of a new choice can stay at the versions of an older one.
//!
//! Archives move on while a lock stands still. Who adds a package to it wants that package, not a new version of
//! all others; but packages of one source move together, and a new package may need its neighbours new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Chosen, Closure, needs};
use crate::index::Package;
use crate::name::{PackageName, Version};
use crate::relation::{AnyOf, Relation};

/// Returns the packages of a closure that can stay at the versions they had before.
///
/// `free` are those that need not. A package moves if it is free, new, built from the source of one that moves,
/// excluded by one that moves, or too old for one.
pub fn staying(
    closure: &Closure,
    before: &BTreeMap<PackageName, Version>,
    free: &BTreeSet<PackageName>,
) -> BTreeSet<PackageName> {
    let as_before = |(name, chosen): (&PackageName, &Chosen)| {
        let version = before.get(name).filter(|_| !free.contains(name))?.clone();
        Some((name.clone(), Arc::new(Package { version, ..(*chosen.package).clone() })))
    };
    let mut staying: BTreeMap<PackageName, Arc<Package>> =
        closure.packages.iter().filter_map(as_before).collect();
    loop {
        let moving = closure.packages.values().map(|chosen| &chosen.package);
        let moving: Vec<_> = moving.filter(|package| !staying.contains_key(&package.name)).collect();
        let mut driven = BTreeSet::new();
        for package in moving {
            driven.extend(driven_by(package, closure, &staying));
        }
        if driven.is_empty() {
            return staying.into_keys().collect();
        }
        staying.retain(|name, _| !driven.contains(name));
    }
}

/// Returns which of those that stay cannot, because of one that moves.
fn driven_by(
    package: &Package,
    closure: &Closure,
    staying: &BTreeMap<PackageName, Arc<Package>>,
) -> Vec<PackageName> {
    let mut driven: Vec<PackageName> = Vec::new();
    let excluded = package.conflicts.iter().chain(&package.breaks);
    for relation in excluded {
        let out = staying.values().filter(|old| old.name != package.name && old.satisfies(relation));
        driven.extend(out.map(|old| old.name.clone()));
    }
    for group in needs(package).filter(|group| !is_met(group, closure, staying)) {
        let new = |name: &PackageName| &closure.packages[name].package;
        let helps = |name: &&PackageName| group.0.iter().any(|relation| new(name).satisfies(relation));
        driven.extend(staying.keys().filter(helps).cloned());
    }
    let moved = |old: &&Arc<Package>| {
        old.source == package.source && old.version != closure.packages[&old.name].package.version
    };
    // Packages of one source are at one version, unless they were rebuilt alone: then nothing moves here either.
    driven.extend(staying.values().filter(moved).map(|old| old.name.clone()));
    driven
}

fn is_met(group: &AnyOf, closure: &Closure, staying: &BTreeMap<PackageName, Arc<Package>>) -> bool {
    let satisfies = |chosen: &Chosen, relation: &Relation| match staying.get(&chosen.package.name) {
        Some(old) => old.satisfies(relation),
        None => chosen.package.satisfies(relation),
    };
    group.0.iter().any(|relation| closure.packages.values().any(|chosen| satisfies(chosen, relation)))
}
