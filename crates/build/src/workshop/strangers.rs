//! Others' source distributions: built once, and their metadata told to who resolves.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use minke_cas::{Meter, Tree};
use minke_python::{Distribution, Target, WheelFileName};

use super::make::{BuiltWheel, Order, System, Trust};
use super::recipe::RecipeKey;
use super::{BackendError, Place, Sources, Workshop, patch, repository};
use crate::fetch::in_parallel_asking;
use crate::project;
use crate::settings::BuildWishes;
use crate::uv::Resolver;
use crate::wheelhouse::{self, Housed};
use crate::wheels::{self, Belongs, Wheel};

/// Who gives a resolver when one is needed.
pub type Resolving<'r> = dyn Fn() -> Result<Resolver, BackendError> + 'r;

impl Workshop<'_> {
    /// Builds the wheels of source distributions, several at once; the result is in their order.
    ///
    /// # Errors
    /// [`BackendError`] names the source distribution.
    pub fn build_sources(
        &self,
        sources: &[Sources],
        resolver: impl Fn() -> Result<Resolver, BackendError>,
        meter: &Meter,
    ) -> Result<Vec<Wheel>, BackendError> {
        meter.expect(sources.len() as u64);
        let build = |sources: &Sources, resolver: &(dyn Fn() -> _ + Sync)| {
            let wheel = self.wheel_of(sources, &[], &resolver);
            self.pending.fetch_sub(1, Ordering::Relaxed);
            meter.advance(1);
            wheel
        };
        self.pending.store(sources.len(), Ordering::Relaxed);
        in_parallel_asking(self.jobs, sources, resolver, build)
    }

    /// Builds a source distribution into a wheel that the image can load; `above` is what it is built for.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn wheel_of(
        &self,
        sources: &Sources,
        above: &[String],
        resolver: &Resolving<'_>,
    ) -> Result<Wheel, BackendError> {
        let wheel = self.wheel(sources, above, resolver)?;
        // What a build needs runs here, what the image has runs there.
        let target = if above.is_empty() { self.target } else { self.bench.0 };
        if target.tags().rank(&wheel.name).is_none() {
            let (directory, name) = (PathBuf::from(&sources.file), wheel.name);
            return Err(BackendError::Foreign { directory, name, target: *target });
        }
        Ok(wheel)
    }

    /// Returns what the metadata of a source distribution says once it is built, or that of a wheel for a target that is
    /// taken in place of building it, from some directories.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn metadata(
        &self,
        distribution: &Distribution,
        (above, resolver): (&[String], &Resolving<'_>),
        (target, houses): (&Target, &[PathBuf]),
    ) -> Result<String, BackendError> {
        let directory = || PathBuf::from(distribution.name.to_string());
        let unread = |source| BackendError::Wheel { directory: directory(), source: Box::new(source) };
        let places = (self.project.lock_root.as_path(), houses);
        let needs = wheels::sort(self.store, vec![distribution.clone()], target, places).map_err(unread)?;
        let mut wheels = needs.wheels;
        for sources in &needs.sources {
            wheels.push(self.wheel(sources, above, resolver)?);
        }
        let installed = self.installed(&wheels, directory())?;
        let path = |installed: &minke_python::Installed| installed.dist_info.join_str("METADATA").ok();
        let file = installed.first().and_then(|installed| installed.tree.resolve_file(&path(installed)?));
        let bytes = file.map(|file| self.store.read_file(file)).transpose()?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Changes sources by the user's diffs, in their order.
    fn patched(
        &self,
        sources: Tree,
        wishes: Option<&BuildWishes>,
        directory: &Path,
    ) -> Result<Tree, BackendError> {
        wishes.into_iter().flat_map(|wishes| &wishes.patch).try_fold(sources, |sources, patch| {
            let unread = |source| BackendError::NoPatch { patch: patch.clone(), source };
            let text =
                project::optional(&self.project.root.join(patch)).map_err(|error| unread(Some(error)))?;
            let text = text.ok_or_else(|| unread(None))?;
            patch::patched(self.store, &sources, &text).map_err(|source| BackendError::Patch {
                directory: directory.to_owned(),
                patch: patch.clone(),
                source: Box::new(source),
            })
        })
    }

    pub(super) fn wheel(
        &self,
        sources: &Sources,
        above: &[String],
        resolver: &Resolving<'_>,
    ) -> Result<Wheel, BackendError> {
        let (directory, name) = (PathBuf::from(&sources.file), sources.name.to_string());
        let way: Vec<String> = above.iter().cloned().chain([name.clone()]).collect();
        if above.contains(&name) {
            return Err(BackendError::Cycle { directory, way });
        }
        let unpacked = self.unpacked(sources)?;
        let wishes = self.wishes.get(&sources.name);
        let order = Order {
            name: Some(sources.name.clone()),
            key: RecipeKey {
                name: sources.file.clone(),
                digest: Some(unpacked.digest),
                target: self.bench.0.to_string(),
            },
            sources: self.patched(unpacked.tree, wishes, &directory)?,
            system: System::read(&directory, &unpacked.pyproject)?,
            published: sources.published.as_deref(),
            told: match (&sources.place, &sources.version) {
                (Place::Repository { .. }, Some(version)) => repository::version_of(&sources.name, version),
                _ => Default::default(),
            },
            trust: Trust::Stranger,
            wishes,
            above: &way,
            directory,
        };
        let BuiltWheel { name, digest, size, .. } = self.make(&order, resolver)?;
        let (sources_of, target) = (order.key.name.clone(), order.key.target.clone());
        let housed = Housed { name: name.clone(), digest, size, sources: sources_of, target };
        wheelhouse::keep(self.store, &housed)?;
        let named = |source| BackendError::Name { directory: order.directory.clone(), source };
        let name = name.parse::<WheelFileName>().map_err(named)?;
        let provenance = sources.provenance.clone();
        Ok(Wheel { name, digest, size, source: None, provenance, part: Belongs::Others })
    }
}
