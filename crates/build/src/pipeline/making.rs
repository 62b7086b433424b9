//! Wheels alone: every one that a project needs and that has only sources, without an image.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use minke_python::{Distribution, PackageName, Version};
use serde::Serialize;

use super::{BuildError, Foreman, Grounded, Hop, Unit, locks};
use crate::wheels::Wheel;
use crate::workshop::{BackendError, Sources};

/// What came of a source distribution.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its version, as far as it is known.
    pub version: String,
    /// The wheel's file name; none where it cannot be built.
    pub wheel: Option<String>,
    /// The wheel's size in bytes.
    pub size: u64,
    /// How long it took: next to nothing where it was built before.
    pub took: Duration,
    /// Why it cannot be built, the nearest reason last.
    pub because: Vec<String>,
}

impl Made {
    fn built(sources: &Sources, took: Duration, wheel: &Wheel) -> Self {
        let version = sources.version.as_ref().map(ToString::to_string).unwrap_or_default();
        let (name, size) = (sources.name.to_string(), wheel.size);
        Self { name, version, wheel: Some(wheel.name.to_string()), size, took, because: Vec::new() }
    }

    fn failed(
        (name, version): (&PackageName, Option<&Version>),
        took: Duration,
        error: &BackendError,
    ) -> Self {
        let version = version.map(ToString::to_string).unwrap_or_default();
        Self { name: name.to_string(), version, wheel: None, size: 0, took, because: chain(error) }
    }
}

/// What couldn't be built while its needs were asked for.
#[derive(Default)]
pub(super) struct Untold(RefCell<Vec<Made>>);

impl Untold {
    /// Returns what became of some sources, if they were among it: they aren't built once more.
    fn of(&self, sources: &Sources) -> Option<Made> {
        let version = sources.version.as_ref().map(ToString::to_string).unwrap_or_default();
        let is_it = |made: &&Made| made.name == sources.name.as_str() && made.version == version;
        self.0.borrow().iter().find(is_it).cloned()
    }
}

/// Builds something for what its metadata says; what cannot be built is taken down where there is somewhere to, and
/// has none.
///
/// # Errors
/// Those of the build, where they are not taken down.
pub(super) fn told(
    untold: Option<&Untold>,
    what: &Distribution,
    metadata: impl FnOnce() -> Result<String, BackendError>,
) -> Result<Option<String>, BackendError> {
    let began = Instant::now();
    match (metadata(), untold) {
        (Err(error), Some(Untold(untold))) => {
            let failed = Made::failed((&what.name, what.version.as_ref()), began.elapsed(), &error);
            untold.borrow_mut().push(failed);
            Ok(None)
        }
        (metadata, _) => metadata.map(Some),
    }
}

impl Foreman<'_> {
    pub(super) fn make_wheels(&self, grounded: Grounded) -> Result<Vec<Made>, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let untold = Untold::default();
        let made = self.at_work((&project, &base), Some(&untold), |workshop, needs, for_backend| {
            self.hop(Hop::Wheels, Unit::Pieces, |meter| {
                meter.expect(needs.sources.len() as u64);
                let made = needs.sources.iter().map(|sources| {
                    let began = Instant::now();
                    let made = untold.of(sources).unwrap_or_else(|| {
                        match workshop.wheel_of(sources, &[], for_backend) {
                            Ok(wheel) => Made::built(sources, began.elapsed(), &wheel),
                            Err(error) => {
                                let what = (&sources.name, sources.version.as_ref());
                                Made::failed(what, began.elapsed(), &error)
                            }
                        }
                    });
                    meter.advance(1);
                    made
                });
                Ok(made.collect::<Vec<Made>>())
            })
        })?;
        locks::keep(grounded.place.as_deref(), (&grounded.before, &self.supply.lock()), self.locks())?;
        Ok(made)
    }
}

/// Writes an error with all that led to it.
fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
