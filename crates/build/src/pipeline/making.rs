//! Wheels alone: every one that a project needs and that has only sources, without an image.

use std::cell::RefCell;
use std::collections::BTreeMap;
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
    fn of(sources: &Sources, took: Duration, wheel: Result<Wheel, Vec<String>>) -> Self {
        let (name, version) = (sources.name.to_string(), sources.version.as_ref());
        let version = version.map(ToString::to_string).unwrap_or_default();
        let (wheel, size, because) = match wheel {
            Ok(wheel) => (Some(wheel.name.to_string()), wheel.size, Vec::new()),
            Err(because) => (None, 0, because),
        };
        Self { name, version, wheel, size, took, because }
    }
}

/// What was built to hear what it needs.
#[derive(Default)]
pub(super) struct Told(RefCell<BTreeMap<Versioned, Heard>>);

type Versioned = (PackageName, Option<Version>);

/// How long it took to hear that, and why it couldn't be built, if so.
type Heard = (Duration, Vec<String>);

impl Told {
    fn of(&self, sources: &Sources) -> Heard {
        let what = (sources.name.clone(), sources.version.clone());
        self.0.borrow().get(&what).cloned().unwrap_or_default()
    }
}

/// Builds something for what its metadata says; what cannot be built is taken down where there is somewhere to, and
/// has none.
///
/// # Errors
/// Those of the build, where they are not taken down.
pub(super) fn tell(
    told: Option<&Told>,
    what: &Distribution,
    metadata: impl FnOnce() -> Result<String, BackendError>,
) -> Result<Option<String>, BackendError> {
    let began = Instant::now();
    let metadata = metadata();
    let Some(Told(told)) = told else { return metadata.map(Some) };
    let because = metadata.as_ref().err().map(chain).unwrap_or_default();
    told.borrow_mut().insert((what.name.clone(), what.version.clone()), (began.elapsed(), because));
    Ok(metadata.ok())
}

impl Foreman<'_> {
    pub(super) fn make_wheels(&self, grounded: Grounded) -> Result<Vec<Made>, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let told = Told::default();
        let made = self.at_work((&project, &base), Some(&told), |workshop, needs, for_backend| {
            self.hop(Hop::Wheels, Unit::Pieces, |meter| {
                meter.expect(needs.sources.len() as u64);
                let made = needs.sources.iter().map(|sources| {
                    let began = Instant::now();
                    // What couldn't be built then isn't tried once more.
                    let (before, because) = told.of(sources);
                    let wheel = if because.is_empty() {
                        workshop.wheel_of(sources, &[], for_backend).map_err(|error| chain(&error))
                    } else {
                        Err(because)
                    };
                    meter.advance(1);
                    Made::of(sources, before + began.elapsed(), wheel)
                });
                Ok(made.collect::<Vec<Made>>())
            })
        })?;
        locks::keep(grounded.place.as_deref(), (&grounded.before, &self.supply.lock()), self.locks())?;
        Ok(made)
    }
}

/// Writes an error with all that led to it.
fn chain(error: &BackendError) -> Vec<String> {
    let error: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
