//! All layers of an image, from memory where nothing that they depend on has changed.
//!
//! Where nothing has, neither the ground nor the app is looked at: of the project's files, it is their listing
//! that is compared.

use std::collections::BTreeSet;

use minke_cas::{Digest, Epoch, ImagePath};
use minke_oci::Layer;
use serde::{Deserialize, Serialize};

use super::app::{self, App, Whose};
use super::base::Base;
use super::ground::{Added, GroundKey, Laid, WheelKey};
use super::{BuildError, Foreman};
use crate::event::Said;
use crate::project::Project;
use crate::slim::Tally;
use crate::wheels::Wheel;

/// The layers, and what of the image's files decides what a container runs.
#[derive(Serialize, Deserialize)]
pub(super) struct Whole {
    pub(super) layers: Vec<Layer>,
    pub(super) scripts: Vec<String>,
    pub(super) landmarks: BTreeSet<ImagePath>,
    pub(super) tally: Option<Tally>,
    added: Added,
    said: Vec<Said>,
}

/// All that the layers depend on.
#[derive(Serialize)]
struct Key<'key> {
    below: GroundKey<'key>,
    own: Vec<WheelKey<'key>>,
    copied: Vec<(Whose, &'key ImagePath, Digest)>,
    epoch: Epoch,
    import_root: &'key ImagePath,
    name: String,
    module: String,
}

const KIND: &str = "whole-6";

impl Foreman<'_> {
    /// Returns all layers.
    pub(super) fn whole(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        app: &App<'_>,
    ) -> Result<Whole, BuildError> {
        let App { own, copied: _, epoch, left_out: _, import_root, installed: _ } = app;
        let key = Key {
            below: self.ground_key((project, base), others, (Vec::new(), BTreeSet::new()))?,
            own: own.iter().map(WheelKey::of).collect(),
            copied: app.digests(),
            epoch: *epoch,
            import_root,
            name: project.name(),
            module: app::module(project),
        };
        if let Some(known) = self.store.recall::<_, Whole>(KIND, &key)
            && self.is_still_so(base, (&known.added, known.tally.as_ref()))?
        {
            self.reporter.repeat(&known.said);
            return Ok(known);
        }
        let (made, said) = self.reporter.overhear(|| self.make_whole((project, base), others, app));
        let whole = Whole { said, ..made? };
        self.store.remember(KIND, &key, &whole)?;
        if let Some(below) = key.below.next(&whole.added) {
            self.store.remember(KIND, &Key { below, ..key }, &whole)?;
        }
        Ok(whole)
    }

    fn make_whole(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        app: &App<'_>,
    ) -> Result<Whole, BuildError> {
        let laid = self.ground((project, base), others, app)?;
        let top = self.own_layer((project, base), app, &laid)?;
        let Laid { mut layers, scripts, added, tally, .. } = laid;
        layers.extend(top);
        let scripts = match scripts {
            Some(scripts) => scripts,
            None => self.own_wheels(base, app)?.scripts.clone(),
        };
        let landmarks = self.landmarks((project, base), app)?;
        Ok(Whole { layers, scripts, landmarks, tally, added, said: Vec::new() })
    }
}
