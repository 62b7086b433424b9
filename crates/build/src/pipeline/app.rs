//! What is the user's own in the image: the wheels of his directories, the project's files, `files` of the settings.
//!
//! What it is made from is listed for every build. It is made only if no result of this list is remembered.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minke_cas::{Digest, Entry, Epoch, ImagePath, Tree};

use super::base::Base;
use super::{BuildError, Foreman};
use crate::config;
use crate::entry;
use crate::parts::{Owner, Part, SettleError};
use crate::project::ignore::Purpose;
use crate::project::left_out::LeftOut;
use crate::project::sources::{Listing, Sources, SourcesTreeError};
use crate::project::{self, Project, Shape};
use crate::settings::PythonWish;
use crate::wheels::{self, Belongs, Wheel};

/// What is the user's own.
pub(super) struct App<'build> {
    /// Wheels that were built from his directories.
    pub(super) own: &'build [Wheel],
    /// Files that are copied, and where they go.
    pub(super) copied: Vec<Copied>,
    /// The time of all that.
    pub(super) epoch: Epoch,
    pub(super) left_out: BTreeMap<String, LeftOut>,
    /// Where Python looks for the project's modules.
    pub(super) import_root: ImagePath,
    pub(super) installed: OnceCell<OwnWheels>,
}

/// Files of the user's, and where they go.
pub(super) struct Copied {
    pub(super) from: Whose,
    pub(super) at: ImagePath,
    pub(super) listing: Listing,
}

/// Who says that files are copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub(super) enum Whose {
    /// The project is copied.
    Project,
    /// `files` in the settings.
    Settings,
}

/// The user's own wheels as they go into the image.
pub(super) struct OwnWheels {
    /// In pieces.
    pub(super) parts: Vec<Part>,
    /// The console scripts of the project's own wheel.
    pub(super) scripts: Vec<String>,
}

impl Whose {
    /// Returns whose files are copied because of it.
    pub(super) fn owner(self, project: &Project) -> Owner {
        let name = match self {
            Self::Project => project.name(),
            Self::Settings => "`files` in [tool.minke]".to_owned(),
        };
        Owner::Project { name }
    }
}

impl App<'_> {
    /// Returns what all of it depends on besides the wheels and the time.
    pub(super) fn digests(&self) -> Vec<(Whose, &ImagePath, Digest)> {
        self.copied.iter().map(|copied| (copied.from, &copied.at, copied.listing.digest())).collect()
    }
}

impl Foreman<'_> {
    /// Lists what is the user's own.
    pub(super) fn app<'build>(
        &self,
        project: &Project,
        base: &Base,
        own: &'build [Wheel],
    ) -> Result<App<'build>, BuildError> {
        let (copied, left_out) = self.copied(project)?;
        let import_root = if project.is_package() {
            base.venv.site_packages()
        } else {
            config::HOME.parse().expect("a path")
        };
        let installed = OnceCell::new();
        Ok(App { own, copied, epoch: self.epoch(project), left_out, import_root, installed })
    }

    /// Installs the user's own wheels, once.
    pub(super) fn own_wheels<'app>(
        &self,
        base: &Base,
        app: &'app App<'_>,
    ) -> Result<&'app OwnWheels, BuildError> {
        if let Some(installed) = app.installed.get() {
            return Ok(installed);
        }
        let (mut parts, mut scripts) = (Vec::new(), Vec::new());
        if !app.own.is_empty() {
            for (wheel, installed) in app.own.iter().zip(self.installed(base, app.own)?) {
                wheels::oddities(&installed).for_each(|oddity| self.reporter.note(oddity));
                if wheel.part == Belongs::Project {
                    scripts = installed.console_scripts.iter().cloned().collect();
                }
                let owner = Owner::Project { name: installed.name.to_string() };
                parts.push(Part { owner, tree: installed.tree, epoch: app.epoch });
            }
        }
        let parts = parts.into_iter().flat_map(Part::pieces).collect();
        Ok(app.installed.get_or_init(|| OwnWheels { parts, scripts }))
    }

    /// Returns all that is the user's own, in pieces.
    pub(super) fn app_parts(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
    ) -> Result<Vec<Part>, BuildError> {
        let mut parts = self.own_wheels(base, app)?.parts.clone();
        for from in [Whose::Project, Whose::Settings] {
            parts.extend(self.copied_part(project, app, from)?.pieces());
        }
        Ok(parts)
    }

    /// Returns the files that are copied because of `from`.
    pub(super) fn copied_part(
        &self,
        project: &Project,
        app: &App<'_>,
        from: Whose,
    ) -> Result<Part, BuildError> {
        let mut all = Tree::new();
        for Copied { at, listing, .. } in app.copied.iter().filter(|copied| copied.from == from) {
            let tree = listing.tree(self.store, at).map_err(BuildError::Sources)?;
            let conflict = |conflict| BuildError::Settle(SettleError::Extra(conflict));
            all = all.join(&tree).map_err(conflict)?;
        }
        Ok(Part { owner: from.owner(project), tree: all, epoch: app.epoch })
    }

    /// Returns those of the files that decide what a container runs.
    pub(super) fn landmarks(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
    ) -> Result<BTreeSet<ImagePath>, BuildError> {
        let own = &self.own_wheels(base, app)?.parts;
        let is_there = |path: &ImagePath| {
            own.iter().any(|part| matches!(part.tree.get(path), Some(Entry::File(_))))
                || app.copied.iter().any(|copied| copied.listing.has_file(&copied.at, path))
        };
        let mut landmarks = entry::landmarks(&app.import_root, &module(project));
        landmarks.retain(is_there);
        Ok(landmarks)
    }

    fn copied(&self, project: &Project) -> Result<(Vec<Copied>, BTreeMap<String, LeftOut>), BuildError> {
        let home: ImagePath = config::HOME.parse().expect("a path");
        let mut copied = Vec::new();
        let mut of_project = |at, listing| copied.push(Copied { from: Whose::Project, at, listing });
        let mut left_out = BTreeMap::new();
        match &project.shape {
            Shape::Script(name) => {
                let at = home.join_str(name).map_err(BuildError::FileName)?;
                let listing = Listing::of_extra(&project.root.join(name), self.store);
                of_project(at, listing.map_err(BuildError::Sources)?);
            }
            Shape::Requirement(_) => {}
            Shape::Package => left_out = self.sources(project, Purpose::Build)?.left_out,
            Shape::Files => {
                let mut sources = self.sources(project, Purpose::Application)?;
                left_out = std::mem::take(&mut sources.left_out);
                let clean = project::texts_without_secrets(&project.root);
                of_project(home, sources.with_texts(clean).list(self.store).map_err(BuildError::Sources)?);
            }
        }
        for (at, from) in &self.request.settings.files {
            let listing = Listing::of_extra(&project.root.join(from), self.store);
            let listing = listing.map_err(BuildError::Sources)?;
            copied.push(Copied { from: Whose::Settings, at: at.clone(), listing });
        }
        Ok((copied, left_out.into_iter().map(|(reason, sum)| (reason.to_owned(), sum)).collect()))
    }

    fn sources(&self, project: &Project, purpose: Purpose) -> Result<Sources, BuildError> {
        Sources::scan(&project.root, &self.ignored(project), purpose, self.store)
            .map_err(|error| BuildError::Sources(SourcesTreeError::Read(error)))
    }

    /// Returns the patterns of what stays out: the settings', what this build writes into the project, and the archive
    /// that its Python is taken from.
    fn ignored(&self, project: &Project) -> Vec<String> {
        let written = self.request.outputs.iter().filter_map(|output| {
            let place = output.split(':').nth(1).filter(|_| !output.starts_with("docker-daemon:"))?;
            let place = self.request.host.directory.join(place);
            let relative = place.strip_prefix(self.request.host.directory.join(&project.root)).ok()?;
            relative.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
        });
        let python = match self.request.settings.python.as_ref().map(|said| &said.value) {
            Some(PythonWish::Standalone(wish)) if !wish.is_address() => {
                let place = project.root.join(&wish.place);
                let relative = place.strip_prefix(&project.root).ok().and_then(Path::to_str);
                relative.map(str::to_owned)
            }
            _ => None,
        };
        self.request.settings.ignore.iter().cloned().chain(written).chain(python).collect()
    }
}

/// Returns the import name that the project's name suggests.
pub(super) fn module(project: &Project) -> String {
    project.name().replace('-', "_")
}
