//! From a project directory to an image, hop by hop.

mod app;
pub(crate) mod base;
mod ground;
mod healing;
mod importing;
mod inputs;
mod libraries;
mod locks;
pub(crate) mod making;
mod own_layer;
mod planning;
pub(crate) mod proving;
mod ready;
mod slimming;
mod twin;
mod whole;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use minke_cas::{Epoch, ImagePath, Meter, Store};
use minke_distro::{PackageName as DebName, setup};
use minke_exec::Jobs;
use minke_net::{Client, FetchError};
use minke_oci::{Compression, Destination, Image, Reference};
use minke_python::{Distribution, Installed, Target, Venv};

use self::app::App;
use self::base::Base;
use self::whole::Whole;
use crate::debian::{self, Pick, Roots};
use crate::entry::{self, Clues};
use crate::error::BuildError;
use crate::event::{Event, Hop, Reporter, Unit};
use crate::fetch::Fetcher;
use crate::parts::{Overruled, Owner, Part, Settled, Strictness, settle};
use crate::plan::Plan;
use crate::platform::Platform;
use crate::project::Project;
use crate::request::{Built, BuiltLayer, Entry, LockPolicy, Request, Upgrade};
use crate::settings::{BuildIsolation, Origin, Packing, Profile, Settings};
use crate::slim;
use crate::supply::{Supply, SupplyError};
use crate::system::{self, Package, SystemError};
use crate::system_lock::{Change, SystemLock};
use crate::uv::{FindUvError, Resolver};
use crate::wheels::{self, Needs, Wheel};
use crate::workshop::{BackendError, Resolving, Workshop, Yard};
use crate::{config, deliver, epoch, lock, outside, uv};

/// Builds an image, names it in the store, and hands it over to where it was asked for.
///
/// # Errors
/// [`BuildError`], one variant for each hop; an image that cannot be handed over is in the store all the same.
pub fn build(request: &Request, store: &Store, reporter: &Reporter) -> Result<Built, BuildError> {
    on_settled_base(request, store, reporter, |foreman, grounded| foreman.build(grounded))
}

/// Pins everything that a build of the project pins, and returns what that changes in the locks.
///
/// Wheels are fetched, for what they need of the system is locked too; no image is made.
///
/// # Errors
/// [`BuildError`].
pub fn lock(request: &Request, store: &Store, reporter: &Reporter) -> Result<Vec<Change>, BuildError> {
    on_settled_base(request, store, reporter, |foreman, grounded| foreman.lock(grounded))
}

/// Decides everything that can be decided before anything but indexes is fetched; nothing is written.
///
/// # Errors
/// [`BuildError`].
pub fn plan(request: &Request, store: &Store, reporter: &Reporter) -> Result<Plan, BuildError> {
    on_settled_base(request, store, reporter, |foreman, _| foreman.plan())
}

/// Builds every wheel that a project needs and that has only sources, and goes on where one fails.
///
/// # Errors
/// [`BuildError`], where it isn't one wheel that cannot be built.
pub fn make_wheels(
    request: &Request,
    store: &Store,
    reporter: &Reporter,
) -> Result<Vec<making::Made>, BuildError> {
    on_settled_base(request, store, reporter, |foreman, grounded| foreman.make_wheels(grounded))
}

/// Does the work, once more if what the project needs moves the base under it.
fn on_settled_base<T>(
    request: &Request,
    store: &Store,
    reporter: &Reporter,
    work: impl Fn(&Foreman<'_>, Grounded) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    minke_exec::memory::keep_little(NonZeroUsize::new(request.host.jobs).unwrap_or(NonZeroUsize::MIN));
    let client = outside::client(request, reporter).map_err(BuildError::Client)?;
    let wanted = wanted(request)?;
    // What is wrong with the project is said before anything is fetched; its lock depends on the target.
    let place = locks::place(&read_project(request, None)?);
    let before = locks::read(place.as_deref())?;
    let attempt = |upgrade: &Upgrade, start: SystemLock| {
        let wishes = (&request.settings, &request.host);
        let supply = Supply::new((&client, store), wishes, reporter, (request.locks, upgrade), start);
        let foreman = Foreman {
            request,
            store,
            reporter,
            client: &client,
            supply,
            epoch: OnceLock::new(),
            makes_rooms: OnceLock::new(),
            timings: Mutex::default(),
        };
        let grounded = Grounded { wanted: wanted.clone(), place: place.clone(), before: before.clone() };
        let done = work(&foreman, grounded);
        (done, foreman.supply.lock())
    };
    match attempt(&request.upgrade, before.clone()) {
        (Err(BuildError::Supply(SupplyError::Moved)), moved) => attempt(&Upgrade::Nothing, moved).0,
        (done, _) => done,
    }
}

/// The destination that loads the image into Docker under its own name.
const LOAD: &str = "docker-daemon:";

/// How long a hop takes that may have used much memory.
const LONG: Duration = Duration::from_millis(100);

/// One build: what was asked for, and whom to call.
struct Foreman<'request> {
    request: &'request Request,
    store: &'request Store,
    reporter: &'request Reporter,
    client: &'request Client,
    supply: Supply<'request>,
    epoch: OnceLock<Epoch>,
    /// Whether this machine makes sealed rooms, which is found out by making one.
    makes_rooms: OnceLock<bool>,
    timings: Mutex<Vec<(Hop, Duration)>>,
}

/// What is known before anything is fetched.
struct Grounded {
    /// Where the image goes.
    wanted: Vec<Destination>,
    /// Where `minke.lock` lies, if the project keeps one.
    place: Option<PathBuf>,
    /// What stands in it.
    before: SystemLock,
}

impl Foreman<'_> {
    fn build(&self, grounded: Grounded) -> Result<Built, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let name = self.name(&project)?;
        let (own, others) = self.wheels(&project, &base)?;
        self.say_plan(&base, others.iter().chain(&own));
        let app = self.app(&project, &base, &own)?;
        let whole = self.whole((&project, &base), &others, &app)?;
        let twins = self.twins_packages(&base)?;
        locks::keep(grounded.place.as_deref(), (&grounded.before, &self.supply.lock()), self.locks())?;
        let entry = self.entry(&project, &app, &whole);
        let unproved = self.unproved(whole.tally.as_ref())?;
        // Only what is asked for by name is missed in what the image says of itself.
        let label = unproved.as_deref().filter(|_| !self.request.settings.check.is_empty());
        let entry = (&entry, label);
        let image = self.image(base.inherited.as_ref(), &whole.layers, entry, app.epoch)?;
        self.check_compression(&image, &grounded.wanted)?;
        let proof = self.prove(&image, unproved.clone())?;
        self.deliver(&image, &name, &grounded.wanted)?;
        let twin = |picks: Vec<Pick>| {
            let (made, sent) = ((&image, entry, app.epoch), (&name, grounded.wanted.as_slice()));
            self.twin((&base, &picks), &whole.layers, made, sent)
        };
        let twin = twins.map(twin).transpose()?;
        let ladder = self.ladder_of(&whole, &app, &image)?;
        Ok(Built {
            twin,
            why: self.why((&project, &base), (&others, &app), (&name, &image))?,
            name: name.tagged(),
            digest: image.manifest,
            layers: whole.layers.iter().map(line).collect(),
            ladder,
            entry: entry.0.clone(),
            proof,
            left_out: app.left_out,
            timings: std::mem::take(&mut self.timings.lock().expect("no thread panics with this lock")),
            outputs: self.request.outputs.clone(),
        })
    }

    fn lock(&self, grounded: Grounded) -> Result<Vec<Change>, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let (own, others) = self.wheels(&project, &base)?;
        let mut changes = locks::python_changes(&project, &others);
        let app = self.app(&project, &base, &own)?;
        let (mut later, _) = self.others_parts(&project, &base, &others)?;
        later.extend(self.app_parts((&project, &base), &app)?);
        let (parts, _) = self.with_system(&base, later)?;
        self.pin_lifts(&base, parts)?;
        let now = self.supply.lock();
        locks::keep(grounded.place.as_deref(), (&grounded.before, &now), self.locks())?;
        changes.extend(grounded.before.changes(&now));
        Ok(changes)
    }

    fn locks(&self) -> (LockPolicy, &Reporter) {
        (self.request.locks, self.reporter)
    }

    /// Runs a hop: says that it begins and ends, and how long it took.
    fn hop<T>(
        &self,
        hop: Hop,
        unit: Unit,
        work: impl FnOnce(&Meter) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let _span = tracing::info_span!("hop", name = ?hop).entered();
        let (meter, began) = (Arc::new(Meter::default()), Instant::now());
        self.reporter.say(Event::Started { hop, unit, meter: Arc::clone(&meter) });
        let result = work(&meter)?;
        let took = began.elapsed();
        // A build in which nothing has changed has nothing to give back, and would take a tenth longer by it.
        if took >= LONG {
            minke_exec::memory::give_back();
        }
        self.reporter.say(Event::Finished { hop, took });
        self.timings.lock().expect("no thread panics with this lock").push((hop, took));
        Ok(result)
    }

    fn fetcher<'build>(&'build self, meter: &'build Meter) -> Fetcher<'build> {
        Fetcher { client: self.client, store: self.store, meter, jobs: self.request.host.jobs }
    }

    fn fetch_packages(&self, picks: &[Pick]) -> Result<Vec<Package>, BuildError> {
        self.hop(Hop::Fetch, Unit::Bytes, |meter| {
            system::unpack_all(self.fetcher(meter), &self.supply, picks).map_err(|error| self.vanished(error))
        })
    }

    /// Says of a locked package that cannot be found what there is instead.
    fn vanished(&self, error: SystemError) -> BuildError {
        match error {
            SystemError::Fetch { package, source }
                if matches!(source.cause(), FetchError::NotFound { .. })
                    && self.supply.is_locked(&package) =>
            {
                let name = package.split(' ').next().unwrap_or_default().to_owned();
                let offered = self.supply.offered(self.platform(), &name);
                BuildError::Vanished { package, name, offered }
            }
            error => BuildError::System(error),
        }
    }

    fn project(&self, target: &Target) -> Result<Project, BuildError> {
        let project = self.hop(Hop::Project, Unit::Pieces, |_| read_project(self.request, Some(target)))?;
        match &project.requires_python {
            Some(wanted) if !wanted.contains(&target.python.full()) => {
                Err(BuildError::RequiresPython { wanted: wanted.clone(), target: *target })
            }
            _ => Ok(project),
        }
    }

    fn name(&self, project: &Project) -> Result<Reference, BuildError> {
        parse_name(self.request.tag.as_deref().unwrap_or(&project.name()))
    }

    /// Locks every wheel, and builds what has none: the user's own, and all others.
    fn wheels(&self, project: &Project, base: &Base) -> Result<(Vec<Wheel>, Vec<Wheel>), BuildError> {
        self.at_work((project, base), None, |workshop, mut needs, for_backend| {
            if needs.directories.is_empty() && needs.sources.is_empty() {
                return Ok((Vec::new(), needs.wheels));
            }
            let own = self.hop(Hop::Wheels, Unit::Pieces, |meter| {
                let others = workshop.build_sources(&needs.sources, for_backend, meter);
                needs.wheels.extend(others.map_err(BuildError::Strangers)?);
                let own = workshop.build_all(&needs.directories, for_backend, meter);
                own.map_err(BuildError::Backend)
            })?;
            Ok((own, needs.wheels))
        })
    }

    /// Locks what the project needs, and hands it to who builds what has no wheel.
    ///
    /// What cannot be built to say its needs is an error, or is taken down where others are wanted all the same.
    fn at_work<T>(
        &self,
        (project, base): (&Project, &Base),
        told: Option<&making::Told>,
        work: impl FnOnce(&Workshop<'_>, Needs, &Resolving<'_>) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let scratch = self.store.scratch()?;
        let settings = &self.request.settings;
        let find_links: Vec<_> = settings.find_links.iter().map(|path| project.root.join(path)).collect();
        let more = outside::of_project(&self.request.host, &project.root, &find_links);
        let houses = [find_links, self.wheelhouses(project)].concat();
        // Why there is no resolver, if that is the base's fault.
        let fault = RefCell::new(None);
        let resolver = || {
            let uv = uv::find(self.client, self.store, (&self.request.host, &more), self.reporter)?;
            let made = self.made(base).and_then(|made| {
                let python = made.bench.interpreter.write_wrapper(scratch.path());
                let python = python.map_err(BuildError::Wrapper)?;
                Ok(Resolver { uv, python, root: made.bench.tree.clone() })
            });
            made.map_err(|error| {
                *fault.borrow_mut() = Some(error);
                FindUvError::NoPython
            })
        };
        let blame = |error| fault.borrow_mut().take().unwrap_or(error);
        let yard = base.distribution.as_ref().zip(Platform::here());
        let jobs = self.request.host.jobs;
        let cores = Jobs::of_machine(NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN));
        let workshop = Workshop {
            store: self.store,
            client: self.client,
            reporter: self.reporter,
            bench: (&base.bench.0, &base.bench.1),
            root: base.identity,
            target: &base.target,
            project,
            ignore: &settings.ignore,
            epoch: self.epoch(project),
            jobs,
            cores: &cores,
            pending: AtomicUsize::new(1),
            supply: &self.supply,
            wishes: &settings.builds,
            isolation: settings.isolation.as_ref().map_or(BuildIsolation::Room, |said| said.value),
            host: &self.request.host,
            yard: yard.map(|(distribution, platform)| Yard { platform, base: &distribution.roots }),
        };
        let for_backend = || resolver().map_err(BackendError::Uv);
        let metadata_of = |about: &Distribution| {
            let metadata = || workshop.metadata(about, (&[], &for_backend), (&base.target, &houses));
            making::tell(told, about, metadata)
        };
        let distributions = self.hop(Hop::Lock, Unit::Pieces, |_| {
            let own = workshop.own_wheel(for_backend, scratch.path(), &self.request.upgrade);
            let own = own.map_err(|error| blame(BuildError::Backend(error)))?;
            let note_uv = |version| self.supply.note_uv(version);
            let means = lock::Means {
                resolver,
                own_wheel: own.as_deref(),
                metadata_of: Some(&metadata_of),
                note_uv: &note_uv,
                store: self.store,
            };
            let policy = lock::Policy { locks: self.request.locks, upgrade: &self.request.upgrade };
            lock::distributions(project, (settings, policy), &base.target, means, self.reporter)
                .map_err(|error| blame(BuildError::Lock(error)))
        })?;
        let sorted = wheels::sort(self.store, distributions, &base.target, (&project.lock_root, &houses));
        let mut needs = sorted.map_err(BuildError::Wheels)?;
        if project.is_package() && !needs.directories.iter().any(|directory| project.is_here(directory)) {
            needs.directories.push(project.root.clone());
        }
        work(&workshop, needs, &for_backend).map_err(blame)
    }

    /// Returns the directories of wheels that are taken in place of building them.
    fn wheelhouses(&self, project: &Project) -> Vec<PathBuf> {
        self.request.settings.wheelhouse.iter().map(|path| project.root.join(path)).collect()
    }

    /// Returns the time of the project's files, which is found out once.
    fn epoch(&self, project: &Project) -> Epoch {
        *self.epoch.get_or_init(|| epoch::of_project(&self.request.host, project))
    }

    /// Says what was decided, before anything large is fetched.
    fn say_plan<'wheel>(&self, base: &Base, wheels: impl Iterator<Item = &'wheel Wheel>) {
        self.reporter.note(format!("base: {}, {}", base.target, base.title));
        let names: Vec<String> =
            wheels.map(|wheel| format!("{} {}", wheel.name.name(), wheel.name.version())).collect();
        if !names.is_empty() {
            self.reporter.note(format!("wheels: {}", names.join(", ")));
        }
    }

    fn installed(&self, base: &Base, wheels: &[Wheel]) -> Result<Vec<Installed>, BuildError> {
        self.hop(Hop::Unpack, Unit::Bytes, |meter| {
            wheels::install_all(self.fetcher(meter), wheels, &base.target, &base.venv)
                .map_err(BuildError::Wheels)
        })
    }

    /// Returns the distribution packages that the settings ask for by name, and those of a shell.
    fn wished_packages(&self) -> Result<Roots, BuildError> {
        let settings = &self.request.settings;
        let origin = Origin::File("the settings".into());
        let mut wished = Roots::new();
        let named = settings.system_packages.iter().map(|name| (name, "tool.minke.system-packages"));
        for (name, why) in named.chain(settings.tools.iter().map(|name| (name, "tool.minke.tools"))) {
            let name = debian::named::<DebName>(name, &origin, "package").map_err(BuildError::Debian)?;
            wished.entry(name).or_default().insert(why.to_owned());
        }
        if settings.shell.as_ref().is_some_and(|said| said.value) {
            for name in setup::shell_roots() {
                wished.entry(name).or_default().insert("tool.minke.shell".to_owned());
            }
        }
        Ok(wished)
    }

    fn entry(&self, project: &Project, app: &App<'_>, whole: &Whole) -> Entry {
        let clues = Clues {
            scripts: &whole.scripts,
            shape: &project.shape,
            procfile: project.procfile.as_deref(),
            landmarks: &whole.landmarks,
            import_root: &app.import_root,
            module: &app::module(project),
        };
        entry::decide(&self.request.settings, &clues)
    }

    fn settle(&self, parts: Vec<Part>) -> Result<Settled, BuildError> {
        let strict = self.request.settings.strict.as_ref().is_some_and(|said| said.value);
        let strictness = if strict { Strictness::Refuse } else { Strictness::LaterWins };
        let settled = settle(parts, strictness).map_err(BuildError::Settle)?;
        // A layer upon an image may replace what is below it: that is what layers are for.
        let ours = |overruled: &&Overruled| !matches!(overruled.loser, Owner::Image { .. });
        for overruled in settled.overruled.iter().filter(ours) {
            let (loser, winner) = (overruled.loser.name(), overruled.winner.name());
            self.reporter.warn(format!("`{}` of {loser} is replaced by that of {winner}", overruled.path));
        }
        Ok(settled)
    }

    fn image(
        &self,
        below: Option<&Image>,
        layers: &[minke_oci::Layer],
        (entry, unproved): (&Entry, Option<&str>),
        created: Epoch,
    ) -> Result<Image, BuildError> {
        let settings = &self.request.settings;
        let architecture = self.platform().architecture();
        let mut own = config::config(settings, entry, architecture, created).map_err(BuildError::Port)?;
        own.labels.extend(unproved.map(|why| (proving::LABEL.to_owned(), why.to_owned())));
        let annotations = settings.annotations.clone();
        let written = match below {
            None => minke_oci::write_image(self.store, layers, &own, annotations),
            Some(below) => {
                let config = config::upon(&below.settings, own, settings);
                let annotations = config::annotations_upon(below, annotations);
                minke_oci::write_image_upon(self.store, below, layers, (&config, annotations))
            }
        };
        written.map_err(BuildError::Image)
    }

    /// Refuses to hand layers of a base image to those who cannot read them.
    fn check_compression(&self, image: &Image, wanted: &[Destination]) -> Result<(), BuildError> {
        let is_zstd = |layer: &minke_oci::ImageLayer| layer.compression().ok() == Some(Compression::Zstd);
        match wanted.iter().position(is_for_docker) {
            Some(index) if image.layers.iter().any(is_zstd) => {
                Err(BuildError::Compression { destination: self.request.outputs[index].clone() })
            }
            _ => Ok(()),
        }
    }

    fn deliver(&self, image: &Image, name: &Reference, wanted: &[Destination]) -> Result<(), BuildError> {
        minke_oci::images::set(self.store, name, &image.manifest)?;
        self.hop(Hop::Deliver, Unit::Pieces, |_| {
            self.request.outputs.iter().zip(wanted).try_for_each(|(text, destination)| {
                let own = Destination::DockerDaemon { name: name.clone() };
                let destination = if text == LOAD { &own } else { destination };
                deliver::deliver(self.store, (image, name), (text, destination), &self.request.host)
                    .map_err(BuildError::Deliver)
            })
        })
    }
}

/// Checks what can be checked before any work is done, and returns where the image goes.
fn wanted(request: &Request) -> Result<Vec<Destination>, BuildError> {
    if let Some(tag) = &request.tag {
        parse_name(tag)?;
    }
    config::check(&request.settings).map_err(BuildError::Setting)?;
    // Any name will do for `--load` here: the image's own is known when the project is.
    let parsed = request.outputs.iter().map(|text| match text.as_str() {
        LOAD => "docker-daemon:image".parse(),
        text => text.parse(),
    });
    let wanted = parsed.collect::<Result<Vec<Destination>, _>>().map_err(BuildError::Destination)?;
    match wanted.iter().position(is_for_docker) {
        Some(index) if compression(&request.settings) == Compression::Zstd => {
            Err(BuildError::Compression { destination: request.outputs[index].clone() })
        }
        _ => Ok(wanted),
    }
}

fn is_for_docker(wanted: &Destination) -> bool {
    matches!(wanted, Destination::DockerArchive { .. } | Destination::DockerDaemon { .. })
}

/// Writes a size as a note does.
fn human(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn read_project(request: &Request, target: Option<&Target>) -> Result<Project, BuildError> {
    let asked = lock::asked(&request.settings, target);
    let read = match &request.from {
        Some(from) => Project::of_requirement(from, &request.project),
        None => Project::read(&request.project, &asked),
    };
    read.map_err(BuildError::Project)
}

fn compression(settings: &Settings) -> Compression {
    let usual = match slim::profile(settings) {
        Profile::Smallest => Packing::GzipBest,
        Profile::None | Profile::Safe | Profile::Lean => Packing::default(),
    };
    match settings.compression.as_ref().map_or(usual, |said| said.value) {
        Packing::Gzip => Compression::Gzip,
        Packing::GzipBest => Compression::GzipBest,
        Packing::Zstd => Compression::Zstd,
        Packing::None => Compression::None,
    }
}

fn parse_name(name: &str) -> Result<Reference, BuildError> {
    name.parse().map_err(|source| BuildError::Tag { name: name.to_owned(), source })
}

fn venv(target: &Target, interpreter: ImagePath) -> Venv {
    Venv {
        root: format!("{}/.venv", config::HOME).parse().expect("a path"),
        python: target.python,
        interpreter,
    }
}

/// Says whose a file of some parts is, as a lock gives the reason.
fn owner(parts: &[Part], path: &ImagePath) -> String {
    let brought = parts.iter().find(|part| part.tree.get(path).is_some());
    brought.map_or_else(String::new, |part| match &part.owner {
        Owner::Distribution { name, .. } => name.clone(),
        owner => owner.name(),
    })
}

fn segment(part: &Part) -> minke_oci::Segment {
    minke_oci::Segment { name: part.owner.name(), tree: part.tree.clone(), epoch: part.epoch }
}

fn line(layer: &minke_oci::Layer) -> BuiltLayer {
    BuiltLayer {
        name: layer.name.clone(),
        digest: layer.descriptor.digest,
        size: layer.tar_size,
        compressed_size: layer.descriptor.size,
        entries: layer.entries,
    }
}
