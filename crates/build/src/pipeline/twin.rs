//! The twin of an image for who looks into a container: the same layers, and one more with a shell.

use minke_cas::{Epoch, Tree};
use minke_distro::setup;
use minke_oci::{Destination, Image, Layer, LayerSpec, Reference};

use super::base::Base;
use super::ready::Haste;
use super::{BuildError, Foreman, parse_name, segment};
use crate::debian::{Pick, Roots};
use crate::layers::{self, Cut};
use crate::parts::{Owner, Part, Strictness, settle};
use crate::request::{Entry, Twin};
use crate::system;

/// What the twin's layer is called, and how its name ends.
const DEBUG: &str = "debug";

/// Why its packages are there.
const WHY: &str = "--debug";

impl Foreman<'_> {
    /// Chooses what the twin has more than the image, if it is wanted.
    pub(super) fn twins_packages(&self, base: &Base) -> Result<Option<Vec<Pick>>, BuildError> {
        if self.request.twin == Twin::Unwanted {
            return Ok(None);
        }
        let roots: Roots =
            setup::debug_roots().into_iter().map(|name| (name, [WHY.to_owned()].into())).collect();
        let Some(distribution) = &base.distribution else {
            let package = roots.keys().next().map(ToString::to_string).unwrap_or_default();
            return Err(BuildError::NoPackages { package, base: base.title.clone() });
        };
        Ok(Some(self.supply.debug(self.platform(), &distribution.roots, &roots)?))
    }

    /// Builds the twin and returns its reference; it goes into the store, and to Docker where the image does.
    pub(super) fn twin(
        &self,
        (base, picks): (&Base, &[Pick]),
        below: &[Layer],
        (image, entry, created): (&Image, (&Entry, Option<&str>), Epoch),
        (name, wanted): (&Reference, &[Destination]),
    ) -> Result<String, BuildError> {
        let mut layers = below.to_vec();
        layers.extend(self.debug_layer(picks, image)?);
        let twin = self.image(base.inherited.as_ref(), &layers, entry, created)?;
        let name = parse_name(&format!("{}-{DEBUG}", name.tagged()))?;
        minke_oci::images::set(self.store, &name, &twin.manifest)?;
        for text in self.request.outputs.iter().zip(wanted).filter_map(|(text, destination)| {
            matches!(destination, Destination::DockerDaemon { .. }).then_some(text)
        }) {
            let own = Destination::DockerDaemon { name: name.clone() };
            crate::deliver::deliver(self.store, (&twin, &name), (text, &own), &self.request.host)
                .map_err(BuildError::Deliver)?;
        }
        Ok(format!("{}@{}", name.tagged(), twin.manifest))
    }

    fn debug_layer(&self, picks: &[Pick], image: &Image) -> Result<Vec<Layer>, BuildError> {
        let packages = self.fetch_packages(picks)?;
        let there = minke_oci::flatten(self.store, image).map_err(BuildError::Flatten)?;
        let links = setup::busybox_links(|path| there.get(path).is_some());
        let part = |owner, tree: Tree| Part { owner, tree, epoch: Epoch::FIXED };
        let mut parts = vec![part(Owner::Image { name: "the image".to_owned() }, there)];
        parts.extend(system::parts(&packages, |name| Owner::System { name }));
        parts.push(part(Owner::System { name: "busybox's programs".to_owned() }, links));
        let settled = settle(parts, Strictness::LaterWins).map_err(BuildError::Settle)?;
        let own = settled.parts.into_iter().filter(|part| matches!(part.owner, Owner::System { .. }));
        let cut = Cut { name: DEBUG.to_owned(), parts: own.collect() };
        let spec = LayerSpec {
            name: DEBUG.to_owned(),
            segments: cut.parts.iter().map(segment).collect(),
            directories: layers::directories(&cut, &settled.tree),
        };
        self.write_all(&[spec], Haste::Alone)
    }
}
