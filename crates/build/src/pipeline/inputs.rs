//! What each layer is made from, for who asks why it is another one.

use minke_cas::Entry;
use minke_oci::{Image, Reference};

use super::app::{App, Copied};
use super::base::Base;
use super::{BuildError, Foreman, compression};
use crate::layers;
use crate::parts::{Owner, Part};
use crate::project::Project;
use crate::slim;
use crate::wheels::Wheel;
use crate::why::{self, Inputs, Reason};

/// Of more files than these only the number and the digest of all are noted.
const MANY: usize = 5000;

impl Foreman<'_> {
    /// Says how what the image is made from differs from what it was made from last; none if there was no last time.
    pub(super) fn why(
        &self,
        (project, base): (&Project, &Base),
        (others, app): (&[Wheel], &App<'_>),
        (name, image): (&Reference, &Image),
    ) -> Result<Option<Vec<Reason>>, BuildError> {
        let name = format!("{} {}", name.tagged(), self.platform());
        if why::is_noted(self.store, &name, &image.manifest) {
            return Ok(Some(Vec::new()));
        }
        let wheels = &self.own_wheels(base, app)?.parts;
        Ok(self.inputs((project, base), others, (wheels, app)).note(self.store, &name, &image.manifest))
    }

    fn inputs(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        (own, app): (&[Part], &App<'_>),
    ) -> Inputs {
        let policy = self.layer_policy();
        let mut inputs = Inputs::default();
        let mut place = |owner: &Owner, field: String, value: String| {
            let [layer] = &layers::places(std::slice::from_ref(owner), policy)[..] else { return };
            inputs.add(layer, field, value);
        };
        let system = self.supply.lock().platforms.remove(&self.platform()).and_then(|locked| locked.system);
        for pick in base.distribution.iter().flat_map(|distribution| &distribution.picks) {
            place(&Owner::Base { name: pick.name.clone() }, pick.name.clone(), pick.version.clone());
        }
        for pick in system.iter().flat_map(|layer| &layer.packages) {
            place(&Owner::System { name: pick.name.clone() }, pick.name.clone(), pick.version.clone());
        }
        for part in own {
            for (path, entry) in part.tree.walk() {
                let value = match entry {
                    Entry::File(file) => file.content.hex()[..12].to_owned(),
                    Entry::Symlink(link) => format!("link to {}", link.target),
                    Entry::Directory(_) => continue,
                };
                place(&part.owner, path.to_string(), value);
            }
        }
        for Copied { from, at, listing } in &app.copied {
            let owner = from.owner(project);
            let lines = listing.lines(at);
            if lines.len() > MANY {
                place(&owner, at.to_string(), format!("{} files, {}", lines.len(), listing.digest()));
            } else {
                lines.for_each(|(path, said)| place(&owner, path.to_string(), said));
            }
            place(&owner, "time of the files".to_owned(), app.epoch.as_secs().to_string());
        }
        let owners: Vec<Owner> = others
            .iter()
            .map(|wheel| Owner::Distribution {
                name: wheel.name.name().to_string(),
                version: wheel.name.version().to_string(),
                wheel_size: wheel.size,
            })
            .collect();
        for (wheel, layer) in others.iter().zip(layers::places(&owners, policy)) {
            inputs.add(&layer, wheel.name.to_string(), wheel.digest.hex()[..12].to_owned());
        }
        inputs.add("all layers", "compression", compression(&self.request.settings).to_string());
        inputs.add("all layers", "profile", slim::profile(&self.request.settings).to_string());
        for lift in self.supply.lock().lifts {
            inputs.add("all layers", format!("`{}` lifted for {}", lift.rule, lift.name), lift.version);
        }
        for (field, value) in slim::said(&self.request.settings) {
            inputs.add("all layers", field, value);
        }
        inputs.add("all layers", "interpreter", base.target.to_string());
        inputs.add("all layers", "minke", env!("CARGO_PKG_VERSION"));
        inputs
    }
}
