//! Wheels alone: every one that a project needs and that has only sources, without an image.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{BuildError, Foreman, Grounded, Hop, Unit, locks};

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

impl Foreman<'_> {
    pub(super) fn make_wheels(&self, grounded: Grounded) -> Result<Vec<Made>, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let made = self.at_work((&project, &base), |workshop, needs, for_backend| {
            self.hop(Hop::Wheels, Unit::Pieces, |meter| {
                meter.expect(needs.sources.len() as u64);
                let made = needs.sources.iter().map(|sources| {
                    let began = Instant::now();
                    let built = workshop.wheel_of(sources, &[], for_backend);
                    meter.advance(1);
                    let version = sources.version.as_ref().map(ToString::to_string).unwrap_or_default();
                    let (wheel, size, because) = match built {
                        Ok(wheel) => (Some(wheel.name.to_string()), wheel.size, Vec::new()),
                        Err(error) => (None, 0, chain(&error)),
                    };
                    let name = sources.name.to_string();
                    Made { name, version, wheel, size, took: began.elapsed(), because }
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
