//! The user's own directories: each is built from a copy of its files.

use std::path::{Path, PathBuf};

use minke_cas::{ImagePath, Meter};
use minke_python::{PackageName, Provenance, Request, WheelFileName};

use super::make::{Order, System, Trust};
use super::recipe::RecipeKey;
use super::{BackendError, Workshop};
use crate::project::ignore::Purpose;
use crate::project::sources::Sources;
use crate::project::{self, Freshness, Previous, Requirements, Source, Unresolved};
use crate::request::Upgrade;
use crate::uv::Resolver;
use crate::wheels::{Belongs, Wheel};

impl Workshop<'_> {
    /// Builds the wheels of directories, relative to the project or absolute, in their order.
    ///
    /// # Errors
    /// [`BackendError`] names the directory.
    pub fn build_all(
        &self,
        directories: &[PathBuf],
        resolver: impl Fn() -> Result<Resolver, BackendError>,
        meter: &Meter,
    ) -> Result<Vec<Wheel>, BackendError> {
        meter.expect(directories.len() as u64);
        let build = |directory: &PathBuf| {
            let wheel = self.build(directory, &resolver);
            meter.advance(1);
            wheel
        };
        directories.iter().map(build).collect()
    }

    /// Builds the project's own wheel into a directory, if its requirements are said by nothing else and no lock
    /// has them, or what the lock has is to be moved on.
    ///
    /// # Errors
    /// As [`Workshop::build_all`].
    pub fn own_wheel(
        &self,
        resolver: impl Fn() -> Result<Resolver, BackendError>,
        into: &Path,
        upgrade: &Upgrade,
    ) -> Result<Option<PathBuf>, BackendError> {
        let is_locked = |lock: &Previous| lock.state == Freshness::Current && *upgrade == Upgrade::Nothing;
        match &self.project.requirements {
            Requirements::Resolve(Unresolved { source: Source::Backend, previous, .. })
                if !previous.as_ref().is_some_and(is_locked) => {}
            _ => return Ok(None),
        }
        let directory = &self.project.root;
        let wheel = self.build(directory, &resolver)?;
        let place = into.join(wheel.name.to_string());
        let failed = |source| BackendError::Write { path: place.clone(), source };
        let mut from = self.store.open_blob(&wheel.digest)?;
        let mut to = std::fs::File::create(&place).map_err(failed)?;
        std::io::copy(&mut from, &mut to).map_err(failed)?;
        Ok(Some(place.canonicalize().map_err(failed)?))
    }

    fn build(
        &self,
        directory: &Path,
        resolver: &impl Fn() -> Result<Resolver, BackendError>,
    ) -> Result<Wheel, BackendError> {
        let root = self.project.lock_root.join(directory);
        let failed = |source| BackendError::Sources { directory: directory.to_owned(), source };
        let scanned = Sources::scan(&root, self.ignore, Purpose::Build, self.store)
            .map_err(|error| failed(error.into()))?;
        let scanned = scanned.with_texts(project::texts_without_secrets(&root));
        let listing = scanned.list(self.store).map_err(failed)?;
        let sources = listing.tree(self.store, &ImagePath::root()).map_err(failed)?;
        let read = |source| BackendError::Read { directory: directory.to_owned(), source };
        let text = project::optional(&root.join("pyproject.toml")).map_err(read)?.unwrap_or_default();
        let name: Option<PackageName> =
            self.project.name().parse().ok().filter(|_| self.project.is_here(directory));
        let order = Order {
            directory: directory.to_owned(),
            key: RecipeKey {
                name: directory.display().to_string(),
                digest: None,
                target: self.bench.0.to_string(),
            },
            sources,
            system: System::read(directory, &text)?,
            published: None,
            told: Default::default(),
            trust: Trust::Own,
            wishes: name.as_ref().and_then(|name| self.wishes.get(name)),
            name,
            above: &[],
        };
        let built = self.make(&order, &resolver)?;
        let named = |source| BackendError::Name { directory: directory.to_owned(), source };
        let name = built.name.parse::<WheelFileName>().map_err(named)?;
        if self.target.tags().rank(&name).is_none() {
            return Err(BackendError::Foreign {
                directory: directory.to_owned(),
                name,
                target: *self.target,
            });
        }
        Ok(Wheel {
            name,
            digest: built.digest,
            size: built.size,
            source: None,
            provenance: Provenance { direct_url: None, request: Request::Project },
            part: if self.project.is_here(directory) { Belongs::Project } else { Belongs::Neighbours },
        })
    }
}
