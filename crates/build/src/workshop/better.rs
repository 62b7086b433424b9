//! Builds once more what was built without something that it had looked for.
//!
//! Many builds leave an optional part out where a header or a library is missing, and end well. What their logs say is
//! asked of the archive as what failing ones say, and so are programs like `pcre2-config`, which many scripts ask without a
//! word. The wheel that has more in it is kept. A look that is meant to fail costs a build, once: the recipe is
//! remembered, and the wheel that comes of it has nothing more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use minke_cas::Meter;
use minke_python::{Installed, Provenance, Request, WheelFileName};

use super::learn::DEAREST_GUESS;
use super::make::{BuiltWheel, Order};
use super::recipe::{Recipe, Tools};
use super::strangers::Resolving;
use super::{BackendError, Workshop};
use crate::contents::Missing;
use crate::fetch::Fetcher;
use crate::native;
use crate::wheels::{self, Belongs, Wheel};

/// More bytes than these are not added for what nothing was said about.
const DEAREST_UNSAID: u64 = 16 << 20;

/// How often something is built again to be better.
const MOST_ROUNDS: usize = 3;

/// What of a wheel the loader reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Made {
    /// Extension modules, libraries and programs, by their paths.
    files: BTreeSet<String>,
    /// What they are linked with.
    needed: BTreeSet<String>,
    /// How large they are together.
    bytes: u64,
}

impl Made {
    /// Tells whether something has all that another has, and more.
    ///
    /// One that is linked with more and smaller has not more in it: it brought then what it now takes from the system.
    fn has_more_than(&self, other: &Self) -> bool {
        let has_all = self.files.is_superset(&other.files) && self.needed.is_superset(&other.needed);
        let has_files = self.files.len() > other.files.len();
        has_all && (has_files || self.needed.len() > other.needed.len() && self.bytes >= other.bytes)
    }
}

impl Workshop<'_> {
    /// Returns the best wheel of an order: one that has what this was built without, if that can be built.
    pub(super) fn better(
        &self,
        order: &Order<'_>,
        recipe: &mut Recipe,
        built: BuiltWheel,
        resolver: &Resolving<'_>,
    ) -> Result<BuiltWheel, BackendError> {
        let mut best = built;
        let unsaid = self.programs(&order.sources);
        for _ in 0..MOST_ROUNDS {
            let mut more = recipe.clone();
            let learnt = self.complete(&mut more, &best.missed, &unsaid);
            if learnt.is_empty() {
                break;
            }
            let (file, learnt) = (order.directory.display(), learnt.join(", "));
            self.reporter
                .note(format!("`{file}` left something out: it is built again with {learnt}, to compare"));
            let again = match self.make_by(order, &more, resolver) {
                Err(BackendError::Build { .. } | BackendError::Room { .. }) => break,
                again => again?,
            };
            if !self.made(order, &again)?.has_more_than(&self.made(order, &best)?) {
                break;
            }
            (*recipe, best) = (more, again);
        }
        Ok(best)
    }

    /// Adds to a recipe what a build has missed, where that is sure; returns what that is, in words.
    fn complete(&self, recipe: &mut Recipe, missed: &[Vec<Missing>], unsaid: &[Missing]) -> Vec<String> {
        let Some(yard) = self.yard.as_ref().filter(|_| recipe.tools == Tools::Compilers) else {
            return Vec::new();
        };
        let before = recipe.system.clone();
        let said = missed.iter().map(|any| (any.as_slice(), DEAREST_GUESS));
        let unsaid = unsaid.iter().map(|one| (std::slice::from_ref(one), DEAREST_UNSAID));
        said.chain(unsaid).for_each(|any| self.supply_only(yard, recipe, any));
        let fresh = recipe.system.iter().filter(|(package, _)| !before.contains_key(*package));
        fresh
            .map(|(package, why)| format!("{package} ({})", Vec::from_iter(why.clone()).join(", ")))
            .collect()
    }

    fn made(&self, order: &Order<'_>, built: &BuiltWheel) -> Result<Made, BackendError> {
        let directory = || order.directory.clone();
        let named = |source| BackendError::Name { directory: directory(), source };
        let wheel = Wheel {
            name: built.name.parse::<WheelFileName>().map_err(named)?,
            digest: built.digest,
            size: built.size,
            source: None,
            provenance: Provenance { direct_url: None, request: Request::Project },
            part: Belongs::Others,
        };
        let mut made = Made::default();
        for installed in self.installed(&[wheel], directory())? {
            for (path, facts) in native::facts(self.store, &installed.tree)? {
                made.bytes += installed.tree.resolve_file(&path).map_or(0, |file| file.size);
                made.needed.extend(facts.needed.iter().map(ToString::to_string));
                made.files.insert(path.to_string());
            }
        }
        Ok(made)
    }

    /// Installs wheels for this machine; `directory` is what they were built from.
    pub(super) fn installed(
        &self,
        wheels: &[Wheel],
        directory: PathBuf,
    ) -> Result<Vec<Installed>, BackendError> {
        let (target, interpreter) = self.bench;
        let meter = Meter::default();
        let fetcher = Fetcher { client: self.client, store: self.store, meter: &meter, jobs: self.jobs };
        let venv = super::needs::venv(target, interpreter);
        let unread = |source| BackendError::Wheel { directory, source: Box::new(source) };
        wheels::install_all(fetcher, wheels, target, &venv).map_err(unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(files: &[&str], needed: &[&str], bytes: u64) -> Made {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Made { files: set(files), needed: set(needed), bytes }
    }

    #[test]
    fn more_is_another_module_or_another_library_that_brings_code() {
        let plain = made(&["x.so"], &["libc.so.6"], 100);
        let with_module = made(&["x.so", "y.so"], &["libc.so.6"], 150);
        let with_library = made(&["x.so"], &["libc.so.6", "libpcre2-8.so.0"], 120);
        assert!(with_module.has_more_than(&plain));
        assert!(with_library.has_more_than(&plain));
        assert!(with_module.has_more_than(&made(&[], &[], 0)));
    }

    #[test]
    fn what_is_the_same_or_only_taken_from_elsewhere_is_not_more() {
        let plain = made(&["x.so"], &["libc.so.6"], 100);
        assert!(!plain.has_more_than(&plain));
        // It brought its own copy.
        assert!(!made(&["x.so"], &["libc.so.6", "libzmq.so.5"], 60).has_more_than(&plain));
        assert!(!made(&["y.so"], &["libc.so.6", "libm.so.6"], 200).has_more_than(&plain));
    }
}
