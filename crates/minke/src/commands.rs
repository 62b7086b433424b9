//! What each command does: the foreman's work between what was meant and what is shown.

mod cache;
mod wheel;
mod wheels;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use minke_build::settings::Settings;
use minke_build::{Reporter, Request};
use minke_cas::{Listener, Store};

use crate::failure::Failure;
use crate::foreman::{self, BuildError, CheckRequest, RunRequest};
use crate::settings::Surroundings;
use crate::signals;
use crate::task::{BuildTask, LibsTask, Meant, Task, Why};
use crate::timings::Recording;
use crate::ui::Screen;

/// Does what is meant, and returns the status to exit with.
///
/// # Errors
/// [`Failure`], which nobody has been told of yet.
pub(crate) fn obey(meant: Meant, screen: &Screen, around: &Surroundings) -> Result<ExitCode, Failure> {
    let Meant { task, manner: _, cache, cache_also } = meant;
    let task = match task {
        Task::Slim(shown) => {
            screen.rules(foreman::Rules::shipped(), shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        // What the project's files say of caches has to be read first.
        Task::Build(task) => return build(*task, (&cache, cache_also), screen, around),
        Task::Plan(task) => return plan(*task, (&cache, cache_also), screen, around),
        Task::Lock(task) => return lock(*task, (&cache, cache_also), screen, around),
        Task::Libs(task) => return libs(*task, (&cache, cache_also), screen, around),
        Task::MakeWheels(task) => return wheels::make(*task, (&cache, cache_also), screen, around),
        Task::Cache(task) => return cache::obey(task, (&cache, &cache_also), screen, around),
        // Wheels are looked at where they are.
        Task::Wheel(task) => return wheel::obey(task, screen),
        task => task,
    };
    let told = screen.tell_waits();
    let store = Store::open_over(&cache, &cache_also, Listener::to(&told)).map_err(Failure::Cache)?;
    match task {
        Task::Build(_)
        | Task::Plan(_)
        | Task::Lock(_)
        | Task::Libs(_)
        | Task::Slim(_)
        | Task::MakeWheels(_)
        | Task::Wheel(_)
        | Task::Cache(_) => {
            unreachable!("they have been taken care of")
        }
        Task::Wheels(task) => wheels::obey(task, &store, screen),
        Task::Run(request) => run(&request, &store),
        Task::Check(request) => check(&request, &store, screen),
        Task::Images => {
            screen.images(&foreman::images::list(&store)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Remove { names } => {
            names.iter().try_for_each(|name| foreman::images::remove(&store, name))?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Ledger { image, detail } => {
            let ledger = foreman::images::ledger(&store, &image)?;
            screen.ledger(&image, ledger.as_ref(), detail)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Inspect { image } => {
            screen.value(&foreman::images::inspect(&store, &image)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn build(
    task: BuildTask,
    caches: (&Path, Vec<PathBuf>),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let why = task.why;
    let recording = task.timings.as_deref().map(Recording::begin);
    let built = shown(task, caches, (screen, around), foreman::build);
    let kept = recording.map_or(Ok(()), Recording::end);
    let built = built?;
    kept.map_err(Failure::Timings)?;
    if why == Why::Asked {
        screen.why(built.why.as_deref());
    }
    screen.built(&built, started.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn plan(
    task: BuildTask,
    caches: (&Path, Vec<PathBuf>),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    screen.plan(&shown(task, caches, (screen, around), foreman::intend)?)?;
    Ok(ExitCode::SUCCESS)
}

fn lock(
    task: BuildTask,
    caches: (&Path, Vec<PathBuf>),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    let changes = shown(task, caches, (screen, around), foreman::pin)?;
    screen.changes(&changes)?;
    Ok(ExitCode::SUCCESS)
}

fn libs(
    task: LibsTask,
    caches: (&Path, Vec<PathBuf>),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    let LibsTask { paths, shown: what, task } = task;
    let libs = shown(task, caches, (screen, around), |request, store, reporter| {
        Ok(foreman::libs(&paths, request, store, reporter)?)
    })?;
    screen.libs(&libs, what)?;
    Ok(ExitCode::SUCCESS)
}

/// Has the foreman do something for a project, and shows how it goes.
fn shown<T>(
    task: BuildTask,
    (cache, mut cache_also): (&Path, Vec<PathBuf>),
    (screen, around): (&Screen, &Surroundings),
    work: impl FnOnce(&Request, &Store, &Reporter) -> Result<T, BuildError>,
) -> Result<T, Failure> {
    let BuildTask { project, from, wishes, locks, upgrade, tag, outputs, twin, why: _, timings: _ } = task;
    let in_files = if from.is_some() { Ok(Vec::new()) } else { foreman::wishes(&project) };
    let settings = Settings::of(in_files.map_err(Failure::Project)?.into_iter().chain(wishes));
    cache_also.extend(settings.cache_also.iter().map(|also| project.join(also)));
    let (reporter, showing) = screen.show();
    let told = tell_waits(&reporter);
    for absent in cache_also.iter().filter(|also| !Store::is_at(also)) {
        reporter.note(format!("there is no cache in `{}`; going on without", absent.display()));
    }
    let opened = Store::open_over(cache, &cache_also, Listener::to(&told)).map_err(Failure::Cache);
    let done = opened.and_then(|store| {
        signals::watch(store.clone(), showing.curtain())?;
        let host = around.host.clone();
        let request = Request { project, from, settings, locks, upgrade, tag, outputs, twin, host };
        let done = work(&request, &store, &reporter);
        // Who watches for signals has the store to the end.
        store.abandon();
        Ok(done?)
    });
    drop(told);
    showing.end(reporter);
    signals::give_way();
    done
}

/// Returns what tells of waits for other processes.
fn tell_waits(reporter: &Reporter) -> Arc<dyn Fn(&str) + Send + Sync> {
    let reporter = reporter.clone();
    Arc::new(move |what| reporter.aside(format!("waiting for {what}")))
}

/// Whoever asks whether an image works is told what doesn't, and by the status.
fn check(request: &CheckRequest, store: &Store, screen: &Screen) -> Result<ExitCode, Failure> {
    let checked = foreman::check(request, store)?;
    screen.checked(&checked)?;
    match checked.works {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::Broken { image: checked.image }),
    }
}

/// Nothing is shown and no signal is watched for: both belong to the container.
fn run(request: &RunRequest, store: &Store) -> Result<ExitCode, Failure> {
    match foreman::run(request, store) {
        Ok(status) => Ok(ExitCode::from(status)),
        // Which image is meant is all that was being done so far.
        Err(BuildError::Images(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}
