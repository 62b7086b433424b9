//! What is meant by a command line, in its surroundings: the values that the foreman takes.
//!
//! Arguments as typed are [`crate::arguments`]'s. Nothing is read or written here, so that every argument
//! can be followed by a test to the value that it ends in.

use std::path::PathBuf;
use std::time::Duration;

use minke_build::audit::{Order, Strip};
use minke_build::settings::{
    CommandLine, LayerPolicy, Origin, Packing, ProofPolicy, PythonWish, SlimTable, StandaloneWish, Wishes,
};
use minke_build::wheelhouse::PackageName;
use minke_build::{LockPolicy, Twin, Upgrade};
use minke_cas::{Clean, Keep};

use crate::arguments::{
    Arguments, BuildArguments, CacheArguments, CacheCommand, CheckArguments, Color, Command,
    ContainerArguments, Cutting, FormError, Habits, ImageArguments, LibsArguments, LockArguments,
    NetworkArgument, Passed, PlanArguments, Proving, PythonArguments, RunArguments, SlimArguments, Squeezing,
    Stripping, SystemArguments, Variable, WheelArguments, WheelCommand, WheelsArguments, WheelsCommand, told,
};
use crate::foreman::{CheckRequest, Depth, Network, Reference, RootAccess, RunRequest, Scripts, Terminal};
use crate::settings::{Surroundings, SurroundingsError};

/// A command line as meant.
#[derive(Clone)]
pub(crate) struct Meant {
    /// What to do.
    pub(crate) task: Task,
    /// How to speak about it.
    pub(crate) manner: Manner,
    /// Where the cache lies.
    pub(crate) cache: PathBuf,
    /// Caches that are looked into besides, in this order.
    pub(crate) cache_also: Vec<PathBuf>,
}

/// What to do.
#[derive(Clone)]
pub(crate) enum Task {
    /// Build an image.
    Build(Box<BuildTask>),
    /// Show what one would be made of.
    Plan(Box<BuildTask>),
    /// Pin what it is made of.
    Lock(Box<BuildTask>),
    /// Show what of the system some files need.
    Libs(Box<LibsTask>),
    /// Show what images do without.
    Slim(SlimTask),
    /// Show what was taken away from an image.
    Ledger {
        /// Its name.
        image: String,
        /// How much is shown.
        detail: LedgerDetail,
    },
    /// Run one.
    Run(Box<RunRequest>),
    /// Try whether one works.
    Check(Box<CheckRequest>),
    /// List them.
    Images,
    /// Forget some.
    Remove {
        /// `NAME:TAG` or `NAME@DIGEST` of each.
        names: Vec<String>,
    },
    /// Show one as JSON.
    Inspect {
        /// `NAME:TAG` or `NAME@DIGEST`.
        image: String,
    },
    /// Look into single wheels.
    Wheel(WheelTask),
    /// Show or change the wheelhouse.
    Wheels(WheelsTask),
    /// Build wheels alone.
    MakeWheels(Box<BuildTask>),
    /// Show or change the cache.
    Cache(CacheTask),
}

/// What to do with single wheels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum WheelTask {
    /// Say on which systems they work.
    Show {
        /// Which.
        files: Vec<PathBuf>,
        /// Where libraries are looked for first.
        libraries: Vec<PathBuf>,
    },
    /// Make them work on more.
    Repair {
        /// Which.
        files: Vec<PathBuf>,
        /// What they are to become.
        order: Order,
    },
}

/// What to do with the wheels that were built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum WheelsTask {
    /// List them.
    List,
    /// Write them into a directory.
    Export(PathBuf),
    /// Take those of a directory in.
    Import(PathBuf),
    /// Forget those of some distributions, or all; only those that weren't used for so long, if that is said.
    Forget(Vec<PackageName>, Option<Duration>),
}

/// What to do with the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CacheTask {
    /// Say how large it is.
    Show,
    /// Read it again.
    Verify,
    /// Make room.
    Gc(Keep),
    /// Say where it is.
    Dir,
    /// Empty it.
    Clean(Clean),
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What `minke cache gc` keeps where nothing is said.
const KEPT_DAYS: u32 = 30;

/// An image to build, but for what the project's own files wish.
#[derive(Clone, Debug)]
pub(crate) struct BuildTask {
    /// The project's directory, absolute.
    pub(crate) project: PathBuf,
    /// A requirement to build instead of a project.
    pub(crate) from: Option<String>,
    /// What environment and arguments wish, in the order in which they come over the files.
    pub(crate) wishes: Vec<(Origin, Wishes)>,
    /// Whether locks may be written.
    pub(crate) locks: LockPolicy,
    /// What of them moves on.
    pub(crate) upgrade: Upgrade,
    /// What the image is called: `NAME:TAG`.
    pub(crate) tag: Option<String>,
    /// Where it goes besides the store; `docker-daemon:` alone means under the image's own name.
    pub(crate) outputs: Vec<String>,
    /// Whether a twin to look into is built beside it.
    pub(crate) twin: Twin,
    /// Whether it is to be said why layers are other ones.
    pub(crate) why: Why,
    /// Where a trace of what took how long goes.
    pub(crate) timings: Option<PathBuf>,
}

impl BuildTask {
    /// What is to be done for a project of which no image is handed to anybody.
    fn of(project: PathBuf, wishes: Vec<(Origin, Wishes)>, locks: LockPolicy) -> Self {
        Self {
            project,
            from: None,
            wishes,
            locks,
            upgrade: Upgrade::Nothing,
            tag: None,
            outputs: Vec::new(),
            twin: Twin::Unwanted,
            why: Why::Unasked,
            timings: None,
        }
    }
}

/// Files whose needs are to be found out.
#[derive(Clone, Debug)]
pub(crate) struct LibsTask {
    /// Which files: directories, wheels, ELF files, absolute.
    pub(crate) paths: Vec<PathBuf>,
    /// What is shown.
    pub(crate) shown: LibsShown,
    /// Whose settings count, and those that come over them.
    pub(crate) task: BuildTask,
}

/// What is shown of what files need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LibsShown {
    /// Each library, who has it and who needs it.
    Libraries,
    /// The packages' names.
    Packages,
}

/// How much is shown of the rules by which images do without something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlimTask {
    /// What they are called.
    Names,
    /// All that they say.
    Rules,
}

/// How much is shown of what was taken away from an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LedgerDetail {
    /// The sums by owner and rule.
    Sums,
    /// Each file.
    Files,
}

/// Whether somebody wants to know why layers are other ones than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// Nobody does.
    Unasked,
    /// The user does.
    Asked,
}

/// How to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Manner {
    /// How much.
    pub(crate) verbosity: Verbosity,
    /// To whom.
    pub(crate) format: Format,
    /// In colour or not.
    pub(crate) color: Color,
}

/// How much is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verbosity {
    /// Warnings, errors and the result.
    Quiet,
    /// Progress, notes and a closing table too.
    Normal,
    /// A line for each hop too.
    Verbose,
}

/// To whom is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// To a person.
    Text,
    /// To a program, in JSON, one object per line.
    Json,
}

/// A command line cannot be meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    /// Two arguments contradict each other.
    #[error("{first} and {second} cannot be used together")]
    Conflict {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The surroundings say something impossible, or too little.
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    /// The image to run is none.
    #[error("cannot run `{image}`")]
    Image {
        /// What was given.
        image: String,
        /// Why it is none.
        #[source]
        reason: FormError,
    },
    /// `--tty` was said where there is no terminal.
    #[error("--tty needs a terminal, and standard input or output is none")]
    NoTerminal,
}

impl Meant {
    /// Works out what a command line means; `terminal` tells what standard input and output both are.
    ///
    /// # Errors
    /// [`UsageError`] names the argument or variable.
    pub(crate) fn of(
        arguments: Arguments,
        around: &Surroundings,
        terminal: Terminal,
    ) -> Result<Self, UsageError> {
        let Arguments { command, common, verbose } = arguments;
        let verbose = verbose || matches!(&command, Command::Build(build) if build.verbose);
        let verbosity = match (common.quiet, verbose) {
            (true, true) => return Err(UsageError::Conflict { first: "--quiet", second: "--verbose" }),
            (true, false) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let format = if common.json { Format::Json } else { Format::Text };
        let task = match command {
            Command::Build(build) => Task::Build(Box::new(build_task(*build, around)?)),
            Command::Plan(plan) => Task::Plan(Box::new(plan_task(*plan, around)?)),
            Command::Lock(lock) => Task::Lock(Box::new(lock_task(*lock, around)?)),
            Command::Libs(libs) => Task::Libs(Box::new(libs_task(*libs, around)?)),
            Command::Run(run) => Task::Run(Box::new(run_request(*run, around, terminal)?)),
            Command::Check(check) => Task::Check(Box::new(check_request(check, around))),
            Command::Images => Task::Images,
            Command::Rmi { names } => {
                Task::Remove { names: names.iter().map(Reference::to_string).collect() }
            }
            Command::Inspect { image } => Task::Inspect { image: image.to_string() },
            Command::Wheel(WheelArguments { command }) => Task::Wheel(wheel_task(command)),
            Command::Slim(SlimArguments { image: Some(image), files, rules: _ }) => {
                let detail = if files { LedgerDetail::Files } else { LedgerDetail::Sums };
                Task::Ledger { image: image.to_string(), detail }
            }
            Command::Slim(SlimArguments { image: None, files: _, rules }) => {
                Task::Slim(if rules { SlimTask::Rules } else { SlimTask::Names })
            }
            Command::Wheels(WheelsArguments { command }) => wheels_task(command, around)?,
            Command::Cache(CacheArguments { command }) => Task::Cache(cache_task(command)),
        };
        let cache = around.cache(common.cache_dir.as_deref())?;
        let cache_also = around.cache_also(&common.cache_also);
        Ok(Self { task, manner: Manner { verbosity, format, color: common.color }, cache, cache_also })
    }
}

fn wheel_task(command: WheelCommand) -> WheelTask {
    match command {
        WheelCommand::Show { files, libraries } => WheelTask::Show { files, libraries },
        WheelCommand::Repair { files, platform: tag, libraries, output: directory, strip } => {
            let strip = match strip {
                Stripping::All => Strip::All,
                Stripping::Debug => Strip::Debug,
                Stripping::None => Strip::None,
            };
            WheelTask::Repair { files, order: Order { tag, directory, libraries, strip } }
        }
    }
}

fn wheels_task(command: Option<WheelsCommand>, around: &Surroundings) -> Result<Task, UsageError> {
    Ok(match command {
        None | Some(WheelsCommand::List) => Task::Wheels(WheelsTask::List),
        Some(WheelsCommand::Export { directory }) => {
            Task::Wheels(WheelsTask::Export(around.absolute(&directory)))
        }
        Some(WheelsCommand::Import { directory }) => {
            Task::Wheels(WheelsTask::Import(around.absolute(&directory)))
        }
        Some(WheelsCommand::Gc { names, keep_days }) => {
            Task::Wheels(WheelsTask::Forget(names, keep_days.map(|days| DAY * days)))
        }
        Some(WheelsCommand::Build { project, requirement, no_binary, wheelhouse, platform }) => {
            let none = Wishes::default;
            let wheelhouse = wheelhouse.iter().map(|path| around.absolute(path)).collect();
            let said = vec![
                ("--no-binary", Wishes { no_binary, ..none() }),
                ("--wheelhouse", Wishes { wheelhouse, ..none() }),
                ("--platform", Wishes { platform, ..none() }),
            ];
            let wishes = wishes_over(vec![said], around)?;
            let from = requirement.map(|file| format!("-r {}", around.absolute(&file).display()));
            let task = BuildTask::of(around.absolute(&project), wishes, LockPolicy::Update);
            Task::MakeWheels(Box::new(BuildTask { from, ..task }))
        }
    })
}

fn cache_task(command: Option<CacheCommand>) -> CacheTask {
    match command {
        None => CacheTask::Show,
        Some(CacheCommand::Verify) => CacheTask::Verify,
        Some(CacheCommand::Dir) => CacheTask::Dir,
        Some(CacheCommand::Clean { all: true }) => CacheTask::Clean(Clean::All),
        Some(CacheCommand::Clean { all: false }) => CacheTask::Clean(Clean::ButImages),
        Some(CacheCommand::Gc { keep_days, max_size }) => {
            let days = keep_days.or(max_size.is_none().then_some(KEPT_DAYS));
            let used_within = days.map(|days| DAY * days);
            CacheTask::Gc(Keep { used_within, most_bytes: max_size.map(|size| size.bytes) })
        }
    }
}

type Said = Vec<(&'static str, Wishes)>;

fn build_task(arguments: BuildArguments, around: &Surroundings) -> Result<BuildTask, UsageError> {
    let BuildArguments { project, from, verbose: _, why, timings, image, python, system, container } =
        arguments;
    let tag = image.tag.as_ref().map(Reference::tagged);
    let load = image.load.then(|| format!("docker-daemon:{}", tag.as_deref().unwrap_or_default()));
    let outputs = image.output.iter().cloned().chain(load).collect();
    let locks = if python.locked { LockPolicy::Locked } else { LockPolicy::Update };
    let twin = if image.debug { Twin::Wanted } else { Twin::Unwanted };
    let said = vec![
        image_wishes(image),
        python_wishes(python, around),
        system_wishes(system),
        container_wishes(container),
    ];
    let wishes = wishes_over(said, around)?;
    let (project, upgrade) = (around.absolute(&project), Upgrade::Nothing);
    let why = if why { Why::Asked } else { Why::Unasked };
    let timings = timings.map(|place| around.absolute(&place));
    Ok(BuildTask { project, from, wishes, locks, upgrade, tag, outputs, twin, why, timings })
}

fn plan_task(arguments: PlanArguments, around: &Surroundings) -> Result<BuildTask, UsageError> {
    let PlanArguments { project, from, python, system } = arguments;
    let locks = if python.locked { LockPolicy::Locked } else { LockPolicy::Show };
    let wishes = wishes_over(vec![python_wishes(python, around), system_wishes(system)], around)?;
    Ok(BuildTask { from, ..BuildTask::of(around.absolute(&project), wishes, locks) })
}

/// Lays what arguments say over what the environment says.
fn wishes_over(said: Vec<Said>, around: &Surroundings) -> Result<Vec<(Origin, Wishes)>, UsageError> {
    let said = said.into_iter().flatten().filter(|(_, wishes)| *wishes != Wishes::default());
    let mut wishes = around.wishes()?;
    wishes.extend(said.map(|(name, wishes)| (Origin::Argument(name), wishes)));
    Ok(wishes)
}

fn lock_task(arguments: LockArguments, around: &Surroundings) -> Result<BuildTask, UsageError> {
    let LockArguments { project, upgrade, dry_run, python, system } = arguments;
    let locks = match (python.locked, dry_run) {
        (true, _) => LockPolicy::Locked,
        (false, true) => LockPolicy::Show,
        (false, false) => LockPolicy::Update,
    };
    let upgrade = match upgrade {
        None => Upgrade::Nothing,
        Some(names) if names.is_empty() => Upgrade::All,
        Some(names) => Upgrade::Names(names.into_iter().collect()),
    };
    let wishes = wishes_over(vec![python_wishes(python, around), system_wishes(system)], around)?;
    Ok(BuildTask { upgrade, ..BuildTask::of(around.absolute(&project), wishes, locks) })
}

fn libs_task(arguments: LibsArguments, around: &Surroundings) -> Result<LibsTask, UsageError> {
    let LibsArguments { paths, packages, likely_libraries, base, platform } = arguments;
    let none = Wishes::default;
    let said = vec![
        ("--likely-libraries", Wishes { likely_libraries: likely_libraries.then_some(true), ..none() }),
        ("--base", Wishes { base, ..none() }),
        ("--platform", Wishes { platform, ..none() }),
    ];
    let shown = if packages { LibsShown::Packages } else { LibsShown::Libraries };
    let wishes = wishes_over(vec![said], around)?;
    let task = BuildTask::of(around.absolute(".".as_ref()), wishes, LockPolicy::Show);
    Ok(LibsTask { paths, shown, task })
}

// Arguments are taken apart by name and without `..`, so that one that is forgotten doesn't compile.

fn image_wishes(arguments: ImageArguments) -> Said {
    let ImageArguments {
        tag: _,
        output: _,
        load: _,
        debug: _,
        compression,
        profile,
        layers,
        check,
        check_scripts,
        proof,
        label,
        annotation,
    } = arguments;
    let none = Wishes::default;
    vec![
        ("--compression", Wishes { compression: compression.map(packing), ..none() }),
        ("--profile", Wishes { slim: SlimTable { profile, ..SlimTable::default() }, ..none() }),
        ("--layers", Wishes { layers: layers.map(layer_policy), ..none() }),
        ("--check", Wishes { check, ..none() }),
        ("--check-scripts", Wishes { check_scripts: check_scripts.map(scripts), ..none() }),
        ("--proof", Wishes { proof: proof.map(proof_policy), ..none() }),
        ("--label", Wishes { labels: table(label), ..none() }),
        ("--annotation", Wishes { annotations: table(annotation), ..none() }),
    ]
}

fn python_wishes(arguments: PythonArguments, around: &Surroundings) -> Said {
    let PythonArguments {
        locked: _,
        python,
        standalone,
        group,
        extra,
        package,
        find_links,
        wheelhouse,
        no_binary,
        strict,
    } = arguments;
    let none = Wishes::default;
    let find_links = find_links.iter().map(|path| around.absolute(path)).collect();
    let wheelhouse = wheelhouse.iter().map(|path| around.absolute(path)).collect();
    vec![
        ("--python", Wishes { python: python.map(PythonWish::Version), ..none() }),
        ("--standalone", Wishes { python: standalone.map(|wish| from_here(wish, around)), ..none() }),
        ("--group", Wishes { groups: group, ..none() }),
        ("--extra", Wishes { extras: extra, ..none() }),
        ("--package", Wishes { package, ..none() }),
        ("--find-links", Wishes { find_links, ..none() }),
        ("--wheelhouse", Wishes { wheelhouse, ..none() }),
        ("--no-binary", Wishes { no_binary, ..none() }),
        ("--strict", Wishes { strict: strict.then_some(true), ..none() }),
    ]
}

/// A path on the command line is relative to where the user stands.
fn from_here(wish: StandaloneWish, around: &Surroundings) -> PythonWish {
    let here = |wish: &StandaloneWish| around.absolute(wish.place.as_ref()).to_string_lossy().into_owned();
    let place = if wish.is_address() { wish.place } else { here(&wish) };
    PythonWish::Standalone(StandaloneWish { place, ..wish })
}

fn system_wishes(arguments: SystemArguments) -> Said {
    let SystemArguments {
        base,
        platform,
        shell,
        system_package,
        tool,
        optional_library,
        likely_libraries,
        ignore,
    } = arguments;
    let none = Wishes::default;
    vec![
        ("--base", Wishes { base, ..none() }),
        ("--platform", Wishes { platform, ..none() }),
        ("--shell", Wishes { shell: shell.then_some(true), ..none() }),
        ("--system-package", Wishes { system_packages: system_package, ..none() }),
        ("--tool", Wishes { tools: tool, ..none() }),
        ("--optional-library", Wishes { optional_libraries: optional_library, ..none() }),
        ("--likely-libraries", Wishes { likely_libraries: likely_libraries.then_some(true), ..none() }),
        ("--ignore", Wishes { ignore, ..none() }),
    ]
}

fn container_wishes(arguments: ContainerArguments) -> Said {
    let ContainerArguments { entrypoint, cmd, env, workdir, user, port, volume, stop_signal } = arguments;
    let none = Wishes::default;
    vec![
        ("--entrypoint", Wishes { entrypoint, ..none() }),
        ("--cmd", Wishes { cmd, ..none() }),
        ("--env", Wishes { env: table(env), ..none() }),
        ("--workdir", Wishes { workdir, ..none() }),
        ("--user", Wishes { user, ..none() }),
        ("--port", Wishes { ports: port, ..none() }),
        ("--volume", Wishes { volumes: volume, ..none() }),
        ("--stop-signal", Wishes { stop_signal, ..none() }),
    ]
}

fn check_request(arguments: CheckArguments, around: &Surroundings) -> CheckRequest {
    let CheckArguments { image, every_module, scripts: named } = arguments;
    let depth = if every_module { Depth::All } else { Depth::Packages };
    let scripts = named.map_or(Scripts::None, scripts);
    CheckRequest { image, depth, scripts, host: around.host.clone() }
}

/// Without names all are meant.
fn scripts(names: Vec<String>) -> Scripts {
    if names.is_empty() { Scripts::All } else { Scripts::Named(names.into_iter().collect()) }
}

fn run_request(
    arguments: RunArguments,
    around: &Surroundings,
    terminal: Terminal,
) -> Result<RunRequest, UsageError> {
    let RunArguments { command, entrypoint, env, volume, read_only, network, workdir, user, tty, habits } =
        arguments;
    // Both ask for what happens anyway, and a port was refused when it was read.
    let Habits { interactive: _, rm: _, publish: _ } = habits;
    if tty && terminal == Terminal::Plain {
        return Err(UsageError::NoTerminal);
    }
    let mut command = command.into_iter();
    let image = command.next().expect("clap demands an image");
    let image = told::<Reference>(&image).map_err(|reason| UsageError::Image { image, reason })?;
    let passed = |Passed { key, value }| {
        let value = value.or_else(|| around.host.variables.get(&key).cloned())?;
        Some((key, value))
    };
    Ok(RunRequest {
        image: image.to_string(),
        args: command.collect(),
        entrypoint: entrypoint.map(|CommandLine(words)| words),
        env: env.into_iter().filter_map(passed).collect(),
        binds: volume.iter().map(|bind| bind.below(&around.host.directory)).collect(),
        root_access: if read_only { RootAccess::ReadOnly } else { RootAccess::Writable },
        network: match network {
            NetworkArgument::Host => Network::Host,
            NetworkArgument::None => Network::None,
        },
        workdir,
        user,
        host: around.host.clone(),
        terminal,
    })
}

fn packing(compression: Squeezing) -> Packing {
    match compression {
        Squeezing::Gzip => Packing::Gzip,
        Squeezing::GzipBest => Packing::GzipBest,
        Squeezing::Zstd => Packing::Zstd,
        Squeezing::None => Packing::None,
    }
}

fn proof_policy(proof: Proving) -> ProofPolicy {
    match proof {
        Proving::Require => ProofPolicy::Require,
        Proving::Auto => ProofPolicy::Auto,
        Proving::Off => ProofPolicy::Off,
    }
}

fn layer_policy(layers: Cutting) -> LayerPolicy {
    match layers {
        Cutting::Shared => LayerPolicy::SHARED,
        Cutting::Single => LayerPolicy::Single,
    }
}

fn table<M: FromIterator<(String, String)>>(variables: Vec<Variable>) -> M {
    variables.into_iter().map(|Variable { key, value }| (key, value)).collect()
}

#[cfg(test)]
mod tests;
