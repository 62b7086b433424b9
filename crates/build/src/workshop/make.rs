//! Builds a wheel in a sealed room, or finds the one that was built before.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use minke_cas::{Digest, Epoch, Tree};
use minke_exec::{Backend, BuildError, Host, Seal, WheelBuild};
use minke_python::{PackageName, Pyproject};
use serde::{Deserialize, Serialize};

use super::error::Tried;
use super::learn::MOST_ROUNDS;
use super::needs::with_interpreter;
use super::recipe::{Recipe, RecipeKey, Tools};
use super::strangers::Resolving;
use super::{BackendError, Workshop, crates, detect, flags};
use crate::contents::Missing;
use crate::settings::{BuildIsolation, BuildWishes};
use crate::system_lock::LockedWheel;
use crate::uv::Resolver;

/// Something to build, and how it says that it is built.
pub(super) struct Order<'order> {
    /// What messages call it.
    pub(super) directory: PathBuf,
    /// What it is called, as far as that is known before it is built.
    pub(super) name: Option<PackageName>,
    /// By what its recipe is known.
    pub(super) key: RecipeKey,
    /// Its files.
    pub(super) sources: Tree,
    /// How it is built.
    pub(super) system: System,
    /// When it was published, as RFC 3339, where that is known.
    pub(super) published: Option<&'order str>,
    /// What a backend is told that its files don't say.
    pub(super) told: BTreeMap<String, String>,
    /// Whose it is.
    pub(super) trust: Trust,
    /// What the settings say of how it is built.
    pub(super) wishes: Option<&'order BuildWishes>,
    /// What is being built because of what: the names from the first to the one that needs this.
    pub(super) above: &'order [String],
}

/// Whose code a build runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trust {
    /// The user's own, which may run with the user's rights where there is no room.
    Own,
    /// A stranger's.
    Stranger,
}

/// How something says that it is built.
pub(super) struct System {
    pub(super) requires: Vec<String>,
    pub(super) backend: Backend,
}

/// Everything that a built wheel depends on.
#[derive(Serialize)]
struct Key<'key> {
    sources: Digest,
    room: Digest,
    requires: &'key [String],
    /// What those are pinned to; nothing where they cannot be.
    pinned: Option<Vec<Digest>>,
    backend: &'key Backend,
    config_settings: &'key BTreeMap<String, String>,
    environment: &'key BTreeMap<String, String>,
    epoch: Epoch,
}

/// What is tried first.
struct First {
    recipe: Recipe,
    /// What it would be without a guess, where it is one.
    plainer: Option<Recipe>,
    /// Whether it worked before, here or elsewhere.
    is_known: bool,
}

/// What a build is run with.
struct Means<'run> {
    root: &'run Tree,
    requires: &'run [String],
    environment: &'run BTreeMap<String, String>,
}

/// A wheel as it is remembered.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct BuiltWheel {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// What was installed for it: each time the lines that asked.
    asked: Vec<Vec<String>>,
    /// What it looked for in vain, any of each.
    pub(super) missed: Vec<Vec<Missing>>,
}

/// The computation of a [`BuiltWheel`].
const KIND: &str = "own-wheel-5";

/// What building a source distribution was found to take, on any project.
const RECIPE: &str = "recipe-3";

impl System {
    /// Reads how something is built from its `pyproject.toml`, which may be empty.
    pub(super) fn read(directory: &std::path::Path, text: &str) -> Result<Self, BackendError> {
        let wrong = |source| BackendError::Pyproject { directory: directory.to_owned(), source };
        let declared = Pyproject::parse(text).map_err(wrong)?.build_system;
        Ok(match declared {
            Some(system) => Self {
                requires: as_written(text),
                backend: system
                    .build_backend
                    .map_or_else(Backend::legacy, |name| Backend { name, path: system.backend_path }),
            },
            // PEP 517, "source trees".
            None => Self { requires: vec!["setuptools >= 40.8.0".to_owned()], backend: Backend::legacy() },
        })
    }
}

/// Returns `requires` of a `pyproject.toml` that was checked before, in the user's words, as uv wants them.
fn as_written(text: &str) -> Vec<String> {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let requires =
        table.get("build-system").and_then(|system| system.get("requires")).and_then(toml::Value::as_array);
    requires.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

fn digests(wheels: Vec<LockedWheel>) -> Vec<Digest> {
    wheels.iter().map(LockedWheel::digest).collect()
}

impl Workshop<'_> {
    /// Returns the wheel of an order, which is built if none was before.
    ///
    /// A build that fails is begun again with what it has missed, for as long as its log says of something new.
    pub(super) fn make(
        &self,
        order: &Order<'_>,
        resolver: &Resolving<'_>,
    ) -> Result<BuiltWheel, BackendError> {
        let First { mut recipe, plainer, is_known } = self.first(order);
        let built = match self.until_built(order, (&mut recipe, plainer), resolver) {
            Err(failed) => match self.of_its_time(order, &recipe, &failed, resolver) {
                Some(older) => {
                    recipe = older;
                    self.until_built(order, (&mut recipe, None), resolver).map_err(|_| failed)?
                }
                None => return Err(failed),
            },
            built => built?,
        };
        // What was found out elsewhere was made better there.
        let built = if is_known { built } else { self.better(order, &mut recipe, built, resolver)? };
        self.remember(order, &recipe)?;
        if order.trust == Trust::Stranger || recipe != Recipe::default() {
            self.supply.keep_recipe(order.key.clone(), recipe).map_err(BackendError::Supply)?;
        }
        Ok(built)
    }

    /// Builds by a recipe, or by a plainer one where that was a guess, and adds to it what the logs say is missing.
    fn until_built(
        &self,
        order: &Order<'_>,
        (recipe, mut plainer): (&mut Recipe, Option<Recipe>),
        resolver: &Resolving<'_>,
    ) -> Result<BuiltWheel, BackendError> {
        let mut tried = Vec::new();
        let mut failed = None;
        loop {
            let (directory, log, source) = match self.make_by(order, recipe, resolver) {
                Err(BackendError::Build {
                    directory,
                    source: BuildError::Backend { backend, code, log },
                    ..
                }) => {
                    let again = log.clone();
                    (directory, again, BuildError::Backend { backend, code, log })
                }
                // A module that no index has under its name: what missed it says more than that.
                Err(BackendError::Resolve { source, .. })
                    if failed.is_some() && source.is_unsatisfiable() =>
                {
                    return Err(failed.take().expect("there is one"));
                }
                // A guess whose packages don't go together is none.
                Err(BackendError::Room { .. }) if plainer.is_some() => {
                    *recipe = plainer.take().unwrap_or_default();
                    continue;
                }
                built => return built,
            };
            let room = |source| BackendError::Room { directory: directory.clone(), source: Box::new(source) };
            let learnt = match tried.len() < MOST_ROUNDS {
                true => self.learn(order, recipe, &log).map_err(room)?,
                false => Vec::new(),
            };
            if learnt.is_empty()
                && let Some(plain) = plainer.take()
            {
                // A guess may be what is wrong.
                let file = directory.display();
                self.reporter.note(format!("`{file}` is built again without what was guessed"));
                (*recipe, tried) = (plain, Vec::new());
                continue;
            }
            if learnt.is_empty() {
                let tried = Tried(tried);
                let failed = BackendError::Build { directory: directory.clone(), tried, source };
                if detect::wants_newer(&log) {
                    let (has, source) = (self.rust_of(recipe), Box::new(failed));
                    return Err(BackendError::TooOld { directory, has, source });
                }
                return Err(failed);
            }
            self.reporter.note(format!(
                "`{}` is built again with {}",
                directory.display(),
                learnt.join(", ")
            ));
            failed = Some(BackendError::Build { directory, tried: Tried(tried.clone()), source });
            tried.extend(learnt);
        }
    }

    fn first(&self, order: &Order<'_>) -> First {
        let known = self.supply.recipe(&order.key).or_else(|| self.remembered(order));
        if let Some(mut known) = known {
            self.add_wishes(order, &mut known);
            return First { recipe: known, plainer: None, is_known: true };
        }
        let mut plain = self.plain(order);
        self.add_wishes(order, &mut plain);
        let guess = self.guess(order, &plain);
        First { recipe: guess.clone(), plainer: Some(plain).filter(|plain| *plain != guess), is_known: false }
    }

    /// Returns what building the same took elsewhere.
    fn remembered(&self, order: &Order<'_>) -> Option<Recipe> {
        order.key.digest.and_then(|_| self.store.recall(RECIPE, &order.key))
    }

    fn remember(&self, order: &Order<'_>, recipe: &Recipe) -> Result<(), BackendError> {
        if order.key.digest.is_some() && self.remembered(order).as_ref() != Some(recipe) {
            self.store.remember(RECIPE, &order.key, recipe)?;
        }
        Ok(())
    }

    /// Adds what the settings say.
    fn add_wishes(&self, order: &Order<'_>, recipe: &mut Recipe) {
        let Some(wishes) = order.wishes else { return };
        let why = || BTreeSet::from(["tool.minke.build".to_owned()]);
        for name in &wishes.system {
            recipe.tools = Tools::Compilers;
            recipe.system.entry(name.clone()).or_insert_with(why);
        }
        for line in &wishes.requires {
            recipe.requires.entry(line.clone()).or_insert_with(why);
        }
    }

    /// Returns the wheel of an order by a recipe, which is built if none was before.
    pub(super) fn make_by(
        &self,
        order: &Order<'_>,
        recipe: &Recipe,
        resolver: &Resolving<'_>,
    ) -> Result<BuiltWheel, BackendError> {
        let room =
            |source| BackendError::Room { directory: order.directory.clone(), source: Box::new(source) };
        let furnished = self.furnish(recipe).map_err(room)?;
        let requires: Vec<String> =
            order.system.requires.iter().chain(recipe.requires.keys()).cloned().collect();
        let mut environment = flags::environment(recipe.tools, order.name.as_ref(), order.wishes);
        let with_crates = crates::is_wanted(recipe);
        let of_crates = with_crates.then(crates::environment).unwrap_or_default();
        for (name, value) in of_crates.into_iter().chain(order.told.clone()) {
            environment.entry(name).or_insert(value);
        }
        let config_settings = order.wishes.map(|wishes| wishes.config_settings.clone()).unwrap_or_default();
        let pinned = || self.supply.build(&self.build_key(&requires)).map(digests);
        let key = |pinned| Key {
            sources: order.sources.digest(),
            room: furnished.identity,
            requires: &requires,
            pinned,
            backend: &order.system.backend,
            config_settings: &config_settings,
            environment: &environment,
            epoch: self.epoch_of(order.trust),
        };
        let built = match self.store.recall::<_, BuiltWheel>(KIND, &key(pinned())) {
            Some(built) => built,
            None => {
                let resolver = resolver()?;
                // What another project's lock has pinned may be what is pinned for this one.
                if pinned().is_none() && !requires.is_empty() {
                    self.pinned(order, &requires, &resolver)?;
                    if let Some(built) = self.store.recall::<_, BuiltWheel>(KIND, &key(pinned())) {
                        built.asked.iter().for_each(|lines| _ = self.supply.build(&self.build_key(lines)));
                        return Ok(built);
                    }
                }
                let mut root = self.lay(&resolver.root, &furnished.picks).map_err(room)?;
                if with_crates {
                    let failed = |source| BackendError::Crates {
                        directory: order.directory.clone(),
                        source: Box::new(source),
                    };
                    root = self.lay_crates(&root, &order.sources).map_err(failed)?;
                }
                let means = Means { root: &root, requires: &requires, environment: &environment };
                let built = self.run(order, (means, config_settings.clone()), &resolver)?;
                // Pinned by now, if they weren't: the next build finds this one.
                self.store.remember(KIND, &key(pinned()), &built)?;
                built
            }
        };
        for lines in &built.asked {
            self.supply.build(&self.build_key(lines));
        }
        Ok(built)
    }

    /// Asks the backend what it needs and has it build the wheel, once.
    fn run(
        &self,
        order: &Order<'_>,
        (means, config_settings): (Means<'_>, BTreeMap<String, String>),
        resolver: &Resolver,
    ) -> Result<BuiltWheel, BackendError> {
        let Means { root, requires, environment } = means;
        let failed = |source: BuildError| BackendError::Build {
            directory: order.directory.clone(),
            tried: Tried::default(),
            source,
        };
        let (target, interpreter) = self.bench;
        let scripts = |source| BackendError::Scripts { directory: order.directory.clone(), source };
        let root = &with_interpreter(root, target, interpreter).map_err(scripts)?;
        let seal = self.seal(order)?;
        let requirements = self.requirements(order, requires, resolver)?;
        let mut asked = vec![requires.to_vec()];
        let mut build = WheelBuild {
            base: root,
            python: interpreter,
            source: &order.sources,
            requirements: &requirements,
            backend: &order.system.backend,
            config_settings,
            environment,
            epoch: self.epoch_of(order.trust),
        };
        let more = build.requires(self.store, seal).map_err(failed)?;
        let all_requirements;
        if !more.is_empty() {
            let all: Vec<String> = requires.iter().cloned().chain(more).collect();
            all_requirements = self.requirements(order, &all, resolver)?;
            build.requirements = &all_requirements;
            asked.push(all);
        }
        // Who compiles asks for as many jobs as it has cores, and no two are given one core.
        let each = self.jobs / self.pending.load(Ordering::Relaxed).max(1);
        let share = self.cores.share(NonZeroUsize::new(each).unwrap_or(NonZeroUsize::MIN));
        let built = build.wheel(self.store, Host { seal, share: Some(&share) }).map_err(failed)?;
        let bytes = self.store.read_file(&built.file)?;
        let (digest, size) = (self.store.put(&bytes)?, built.file.size);
        Ok(BuiltWheel { name: built.name, digest, size, asked, missed: detect::left_out(&built.log) })
    }

    fn seal(&self, order: &Order<'_>) -> Result<Seal, BackendError> {
        let is_allowed = order.trust == Trust::Own || self.isolation == BuildIsolation::None;
        match minke_exec::sealing_available() {
            Ok(()) => Ok(Seal::Sealed),
            Err(unavailable) if is_allowed => {
                self.reporter.warn(format!(
                    "`{}` is built without a sealed room, with the rights of this user: {unavailable}",
                    order.directory.display()
                ));
                Ok(Seal::Unsealed)
            }
            Err(source) => Err(BackendError::Unsealed { directory: order.directory.clone(), source }),
        }
    }

    /// Returns the time of the files in a wheel: strangers' wheels serve every project, whatever its time is.
    fn epoch_of(&self, trust: Trust) -> Epoch {
        match trust {
            Trust::Own => self.epoch,
            Trust::Stranger => Epoch::FIXED,
        }
    }
}
