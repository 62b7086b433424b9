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
use crate::wheels::Wheel;

/// The layers, and what of the image's files decides what a container runs.
#[derive(Serialize, Deserialize)]
pub(super) struct Whole {
    pub(super) layers: Vec<Layer>,
    pub(super) scripts: Vec<String>,
    pub(super) landmarks: BTreeSet<ImagePath>,
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

const KIND: &str = "whole-1";

impl Foreman<'_> {
    /// Returns all layers.
    pub(super) fn whole(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        app: &App<'_>,
    ) -> Result<Whole, BuildError> {
        let App { own, copied: _, epoch, left_out: _, import_root, made: _ } = app;
        let key = Key {
            below: self.ground_key((project, base), others, Vec::new())?,
            own: own.iter().map(WheelKey::of).collect(),
            copied: app.digests(),
            epoch: *epoch,
            import_root,
            name: project.name(),
            module: app::module(project),
        };
        if let Some(known) = self.store.recall::<_, Whole>(KIND, &key)
            && self.is_still_added(base, &known.added)?
        {
            self.reporter.repeat(&known.said);
            return Ok(known);
        }
        let (made, said) = self.reporter.overhear(|| self.make_whole((project, base), others, app));
        let whole = Whole { said, ..made? };
        self.store.remember(KIND, &key, &whole)?;
        Ok(whole)
    }

    fn make_whole(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        app: &App<'_>,
    ) -> Result<Whole, BuildError> {
        let made = self.made_app((project, base), app)?;
        let laid = self.ground((project, base), others, &made.parts)?;
        let top = self.app_layer(base, &laid)?;
        let Laid { mut layers, scripts, added, .. } = laid;
        layers.extend(top);
        let scripts = scripts.unwrap_or_else(|| made.scripts.clone());
        Ok(Whole { layers, scripts, landmarks: made.landmarks.clone(), added, said: Vec::new() })
    }
}
