//! Builds what doesn't go with today's build requirements with those of the day on which it was published.
//!
//! Build systems move on, and few sources say with which of their versions they stop to work. The day stands in the
//! project's lock, and what the index had by then is a requirement in the recipe, with its reason.

use std::collections::{BTreeMap, BTreeSet};

use minke_exec::BuildError;
use minke_python::{Distribution, PackageName, Version};

use super::guess::name_of;
use super::make::Order;
use super::recipe::Recipe;
use super::strangers::Resolving;
use super::{BackendError, Workshop, detect};

/// Why an older requirement stands in a recipe.
const WHY: &str = "the newest one when this was published";

impl Workshop<'_> {
    /// Returns a recipe with the requirements of an order's own time; none if those are today's, or no cause for
    /// how it failed.
    pub(super) fn of_its_time(
        &self,
        order: &Order<'_>,
        recipe: &Recipe,
        failed: &BackendError,
        resolver: &Resolving<'_>,
    ) -> Option<Recipe> {
        let published = order.published?;
        let BackendError::Build { source: BuildError::Backend { log, .. }, .. } = failed else { return None };
        if detect::wants_newer(log) {
            return None;
        }
        let lines: Vec<String> =
            order.system.requires.iter().chain(recipe.requires.keys()).cloned().collect();
        // What cannot be found out is no way out; how the build failed is told in any case.
        let resolver = resolver().ok()?;
        let then = self.resolved(order, (&lines, Some(published)), &resolver).ok()?;
        let now = self.resolved(order, (&lines, None), &resolver).ok()?;
        let older = older(&lines, then, now);
        let mut recipe = recipe.clone();
        recipe.requires.extend(older.iter().map(|line| (line.clone(), BTreeSet::from([WHY.to_owned()]))));
        let (file, all) = (order.directory.display(), Vec::from_iter(older).join(", "));
        if all.is_empty() {
            return None;
        }
        self.reporter
            .note(format!("`{file}` is built again with what it needed when it was published: {all}"));
        Some(recipe)
    }
}

/// Returns a line for each that is asked for by name and had another version then.
fn older(lines: &[String], then: Vec<Distribution>, now: Vec<Distribution>) -> BTreeSet<String> {
    let asked: BTreeSet<String> = lines.iter().map(|line| name_of(line)).collect();
    let versions = |all: Vec<Distribution>| -> BTreeMap<PackageName, Version> {
        all.into_iter().filter_map(|one| Some((one.name, one.version?))).collect()
    };
    let now = versions(now);
    let others = versions(then).into_iter().filter(|(name, version)| now.get(name) != Some(version));
    others
        .filter(|(name, _)| asked.contains(name.as_str()))
        .map(|(name, version)| format!("{name}=={version}"))
        .collect()
}
