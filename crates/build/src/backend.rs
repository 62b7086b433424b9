//! The project's own wheels: each directory of the user's is built from a copy of its files.
//!
//! PEP 517, with the image's own interpreter, in a sealed room where the machine allows one. What the backend
//! asks for is resolved and fetched outside; inside there is no network. Pure Python backends only: there is no
//! compiler in the room.
//!
//! Spec: <https://peps.python.org/pep-0517/>, <https://peps.python.org/pep-0518/>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_cas::{Digest, Entry, Epoch, ImagePath, Meter, Store, StoreError, Tree, TreeError};
use minke_exec::{Backend, Seal, WheelBuild};
use minke_net::Client;
use minke_python::{
    Provenance, Pyproject, PyprojectError, Request, Target, Venv, WheelFileName, WheelFileNameError,
};
use serde::{Deserialize, Serialize};

use crate::event::Reporter;
use crate::fetch::Fetcher;
use crate::lock::{self, LockStepError};
use crate::project::ignore::Purpose;
use crate::project::sources::{Sources, SourcesTreeError};
use crate::project::{self, Freshness, Previous, Project, ProjectError, Requirements, Source, Unresolved};
use crate::supply::{Supply, SupplyError};
use crate::system_lock::{BuildKey, LockedWheel};
use crate::uv::{FindUvError, Resolver};
use crate::wheels::{self, Belongs, Wheel, WheelsError};

/// What building the user's directories takes.
pub struct Workshop<'build> {
    /// Where everything is kept.
    pub store: &'build Store,
    /// What the backends' requirements are fetched with.
    pub client: &'build Client,
    /// Who hears what happens.
    pub reporter: &'build Reporter,
    /// What Python runs here, and where that lies in the resolver's root.
    pub bench: (&'build Target, &'build ImagePath),
    /// What decides all of that root.
    pub root: Digest,
    /// What is built for.
    pub target: &'build Target,
    /// The project.
    pub project: &'build Project,
    /// The user's own ignore patterns.
    pub ignore: &'build [String],
    /// What `SOURCE_DATE_EPOCH` is set to.
    pub epoch: Epoch,
    /// How many of the backends' requirements are unpacked at once.
    pub jobs: usize,
    /// Where the backends' requirements are pinned.
    pub supply: &'build Supply<'build>,
}

/// A directory cannot be built into a wheel.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Its files cannot be taken.
    #[error("cannot take the files of `{}`", directory.display())]
    Sources {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        source: SourcesTreeError,
    },
    /// Its `pyproject.toml` cannot be read.
    #[error("cannot read what `{}` is built with", directory.display())]
    Read {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        source: ProjectError,
    },
    /// Its `pyproject.toml` isn't right.
    #[error("`{}` is not right", directory.join("pyproject.toml").display())]
    Pyproject {
        /// The directory.
        directory: PathBuf,
        /// Where and why.
        source: PyprojectError,
    },
    /// uv cannot be had.
    #[error("cannot resolve the backend's requirements without uv")]
    Uv(#[source] FindUvError),
    /// What the backend needs cannot be resolved.
    #[error("cannot resolve what building `{}` needs", directory.display())]
    Resolve {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: Box<LockStepError>,
    },
    /// What the backend needs may not be pinned.
    #[error("cannot pin what building needs")]
    Supply(#[source] SupplyError),
    /// What the backend needs cannot be installed.
    #[error("cannot install what building `{}` needs", directory.display())]
    Requirements {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: Box<WheelsError>,
    },
    /// What the backend needs has two different files at one place.
    #[error("what building `{}` needs doesn't go together", directory.display())]
    Together {
        /// The directory.
        directory: PathBuf,
        /// Where.
        source: crate::parts::SettleError,
    },
    /// What the backend needs has a module `bin` where the scripts lie.
    #[error("the scripts of what building `{}` needs cannot be placed", directory.display())]
    Scripts {
        /// The directory.
        directory: PathBuf,
        /// What is in the way.
        source: TreeError,
    },
    /// The backend failed.
    #[error("cannot build `{}`", directory.display())]
    Build {
        /// The directory.
        directory: PathBuf,
        /// What it said.
        source: minke_exec::BuildError,
    },
    /// The backend made something that isn't called as a wheel is.
    #[error("the backend of `{}` made a file that is no wheel", directory.display())]
    Name {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: WheelFileNameError,
    },
    /// The wheel is for this machine and not for the image's.
    #[error("`{}` is built into `{name}`, which {target} cannot load", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// The wheel.
        name: WheelFileName,
        /// What the image has.
        target: Target,
    },
    /// The wheel cannot be shown to uv.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where it was to lie.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cache failed.
    #[error("cannot keep a wheel that was built")]
    Store(#[from] StoreError),
}

/// Everything that a built wheel depends on.
#[derive(Serialize)]
struct Key<'key> {
    sources: Digest,
    base: Digest,
    requires: &'key [String],
    /// What those are pinned to; nothing where they cannot be.
    pinned: Option<Vec<Digest>>,
    backend: &'key Backend,
    epoch: Epoch,
}

#[derive(Serialize, Deserialize)]
struct BuiltWheel {
    name: String,
    digest: Digest,
    size: u64,
    /// What was installed for it: each time the lines that asked.
    asked: Vec<Vec<String>>,
}

/// The computation of a [`BuiltWheel`].
const KIND: &str = "own-wheel-2";

fn digests(wheels: Vec<LockedWheel>) -> Vec<Digest> {
    wheels.into_iter().map(|wheel| wheel.digest).collect()
}

/// How a directory says that it is built.
struct System {
    requires: Vec<String>,
    backend: Backend,
}

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
    /// has them.
    ///
    /// # Errors
    /// As [`Workshop::build_all`].
    pub fn own_wheel(
        &self,
        resolver: impl Fn() -> Result<Resolver, BackendError>,
        into: &Path,
    ) -> Result<Option<PathBuf>, BackendError> {
        let is_locked = |lock: &Previous| lock.state == Freshness::Current;
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
        let scanned =
            Sources::scan(&root, self.ignore, Purpose::Build).map_err(|error| failed(error.into()))?;
        let scanned = scanned.with_texts(project::texts_without_secrets(&root));
        let sources = scanned.tree(self.store, &ImagePath::root()).map_err(failed)?;
        let system = self.system(directory, &root)?;
        let key = |pinned| Key {
            sources: sources.digest(),
            base: self.root,
            requires: &system.requires,
            pinned,
            backend: &system.backend,
            epoch: self.epoch,
        };
        let pinned = || self.supply.build(&self.build_key(&system.requires)).map(digests);
        let built = match self.store.recall::<_, BuiltWheel>(KIND, &key(pinned())) {
            Some(built) => built,
            None => {
                let built = self.run_backend(directory, (&system, sources.clone()), &resolver()?)?;
                // Pinned by now, if they weren't: the next build finds this one.
                self.store.remember(KIND, &key(pinned()), &built)?;
                built
            }
        };
        for lines in &built.asked {
            self.supply.build(&self.build_key(lines));
        }
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

    fn system(&self, directory: &Path, root: &Path) -> Result<System, BackendError> {
        let read = |source| BackendError::Read { directory: directory.to_owned(), source };
        let text = project::optional(&root.join("pyproject.toml")).map_err(read)?.unwrap_or_default();
        let wrong = |source| BackendError::Pyproject { directory: directory.to_owned(), source };
        let declared = Pyproject::parse(&text).map_err(wrong)?.build_system;
        Ok(match declared {
            Some(system) => System {
                requires: as_written(&text),
                backend: system
                    .build_backend
                    .map_or_else(Backend::legacy, |name| Backend { name, path: system.backend_path }),
            },
            // PEP 517, "source trees".
            None => System { requires: vec!["setuptools >= 40.8.0".to_owned()], backend: Backend::legacy() },
        })
    }

    fn run_backend(
        &self,
        directory: &Path,
        (system, sources): (&System, Tree),
        resolver: &Resolver,
    ) -> Result<BuiltWheel, BackendError> {
        let failed = |source| BackendError::Build { directory: directory.to_owned(), source };
        let (_, interpreter) = self.bench;
        let seal = match minke_exec::sealing_available() {
            Ok(()) => Seal::Sealed,
            Err(unavailable) => {
                self.reporter.warn(format!(
                    "`{}` is built without a sealed room, with the rights of this user: {unavailable}",
                    directory.display()
                ));
                Seal::Unsealed
            }
        };
        let requirements = self.requirements(directory, &system.requires, resolver)?;
        let mut asked = vec![system.requires.clone()];
        let mut build = WheelBuild {
            base: &resolver.root,
            python: interpreter,
            source: &sources,
            requirements: &requirements,
            backend: &system.backend,
            config_settings: BTreeMap::new(),
            epoch: self.epoch,
        };
        let more = build.requires(self.store, seal).map_err(failed)?;
        let all_requirements;
        if !more.is_empty() {
            let all: Vec<String> = system.requires.iter().cloned().chain(more).collect();
            all_requirements = self.requirements(directory, &all, resolver)?;
            build.requirements = &all_requirements;
            asked.push(all);
        }
        let built = build.wheel(self.store, seal).map_err(failed)?;
        let bytes = self.store.read_file(&built.file)?;
        Ok(BuiltWheel { name: built.name, digest: self.store.put(&bytes)?, size: built.file.size, asked })
    }

    /// Returns the wheels of what a backend needs: as they are locked, else resolved and locked.
    fn pinned(
        &self,
        directory: &Path,
        lines: &[String],
        resolver: &Resolver,
    ) -> Result<Vec<Wheel>, BackendError> {
        let unresolved =
            |source| BackendError::Resolve { directory: directory.to_owned(), source: Box::new(source) };
        let failed =
            |source| BackendError::Requirements { directory: directory.to_owned(), source: Box::new(source) };
        let (key, root) = (self.build_key(lines), &self.project.root);
        if let Some(locked) = self.supply.build(&key) {
            let wheels = locked.iter().map(|wheel| wheels::locked(self.store, wheel, root));
            return wheels.collect::<Result<_, _>>().map_err(failed);
        }
        let (target, _) = self.bench;
        let context = (self.project, target);
        let found = lock::resolve_lines(resolver, lines.to_vec(), context).map_err(unresolved)?;
        if let Some(wheels) = found.iter().map(wheels::lockable).collect::<Option<Vec<_>>>() {
            self.supply.keep_build(key, wheels).map_err(BackendError::Supply)?;
            resolver.uv.version().into_iter().for_each(|version| self.supply.note_uv(version));
        }
        let needs = wheels::sort(self.store, found, target, (root, &[])).map_err(failed)?;
        Ok(needs.wheels)
    }

    fn build_key(&self, lines: &[String]) -> BuildKey {
        BuildKey { requires: lines.to_vec(), target: self.bench.0.to_string() }
    }

    /// Installs what a backend needs into a tree that has nothing else.
    fn requirements(
        &self,
        directory: &Path,
        lines: &[String],
        resolver: &Resolver,
    ) -> Result<Tree, BackendError> {
        if lines.is_empty() {
            return Ok(Tree::new());
        }
        let (target, interpreter) = self.bench;
        let venv = venv(target, interpreter);
        let wheels = self.pinned(directory, lines, resolver)?;
        let failed =
            |source| BackendError::Requirements { directory: directory.to_owned(), source: Box::new(source) };
        let meter = Meter::default();
        let fetcher = Fetcher { client: self.client, store: self.store, meter: &meter, jobs: self.jobs };
        let installed = wheels::install_all(fetcher, &wheels, target, &venv).map_err(failed)?;
        let parts = installed
            .into_iter()
            .map(|installed| crate::parts::Part {
                owner: crate::parts::Owner::Distribution {
                    name: installed.name.to_string(),
                    version: installed.version.to_string(),
                    wheel_size: 0,
                },
                tree: installed.tree,
                epoch: Epoch::FIXED,
            })
            .collect();
        let together = |source| BackendError::Together { directory: directory.to_owned(), source };
        let settled = crate::parts::settle(parts, crate::parts::Strictness::LaterWins).map_err(together)?;
        from_site_packages(&settled.tree, &venv)
            .map_err(|source| BackendError::Scripts { directory: directory.to_owned(), source })
    }
}

/// Returns what is installed in an environment as the workshop wants it: from `site-packages` down, programs in
/// `/bin`.
fn from_site_packages(tree: &Tree, venv: &Venv) -> Result<Tree, TreeError> {
    let mut requirements = Tree::new();
    let mut graft = |from: &ImagePath, to: &ImagePath| {
        let directory = tree.directory(from);
        directory.map_or(Ok(()), |directory| requirements.insert(to, Entry::Directory(Arc::clone(directory))))
    };
    graft(&venv.site_packages(), &ImagePath::root())?;
    graft(&venv.bin(), &"/bin".parse().expect("a path"))?;
    Ok(requirements)
}

/// Returns `requires` of a `pyproject.toml` that was checked before, in the user's words, as uv wants them.
fn as_written(text: &str) -> Vec<String> {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let requires =
        table.get("build-system").and_then(|system| system.get("requires")).and_then(toml::Value::as_array);
    requires.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// Where a backend and what it needs lie in the room.
fn venv(target: &Target, interpreter: &ImagePath) -> Venv {
    Venv {
        root: "/build/env".parse().expect("a path"),
        python: target.python,
        interpreter: interpreter.clone(),
    }
}

#[cfg(test)]
mod tests {
    use minke_cas::{File, Mode};
    use minke_python::{Arch, Libc, Platform, PythonVersion};

    use super::*;

    /// The tree of what a backend needs, from files in an environment whose root is `/build/env`.
    fn placed(files: &[&str]) -> Result<String, String> {
        let platform = Platform { arch: Arch::X86_64, libc: Libc::Glibc { major: 2, minor: 41 } };
        let target = Target { python: PythonVersion { major: 3, minor: 13, patch: None }, platform };
        let mut tree = Tree::new();
        for file in files {
            let content = File::new(Digest::of(file.as_bytes()), 1, Mode::REGULAR);
            tree.insert(&format!("/build/env/{file}").parse().unwrap(), content.into()).unwrap();
        }
        let placed = from_site_packages(&tree, &venv(&target, &"/usr/bin/python3.13".parse().unwrap()));
        placed.map(|tree| format!("{tree:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn modules_lie_at_the_root_and_scripts_in_bin() {
        let files = ["lib/python3.13/site-packages/x.py", "bin/x", "lib/python3.13/site-packages/bin/y.py"];
        insta::assert_snapshot!(placed(&files).unwrap(), @r"
        /bin/ dir 0755
        /bin/x file 0644 b8b07719
        /bin/y.py file 0644 1df03a16
        /x.py file 0644 a7a80628
        ");
    }

    #[test]
    fn a_module_called_bin_that_is_in_the_way_is_an_error() {
        let files = ["lib/python3.13/site-packages/bin/x", "bin/x"];
        insta::assert_snapshot!(placed(&files).unwrap_err(), @"`/bin` is there twice, with different content");
    }
}
