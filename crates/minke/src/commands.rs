//! What each command does: the foreman's work between what was meant and what is shown.

use std::process::ExitCode;
use std::time::Instant;

use minke_build::settings::Settings;
use minke_build::{Reporter, Request};
use minke_cas::Store;

use crate::failure::Failure;
use crate::foreman::{self, BuildError, RunRequest};
use crate::settings::Surroundings;
use crate::signals;
use crate::task::{BuildTask, Meant, Task};
use crate::ui::Screen;

/// Does what is meant, and returns the status to exit with.
///
/// # Errors
/// [`Failure`], which nobody has been told of yet.
pub(crate) fn obey(meant: Meant, screen: &Screen, around: &Surroundings) -> Result<ExitCode, Failure> {
    let Meant { task, manner: _, cache } = meant;
    let store = Store::open(&cache).map_err(Failure::Cache)?;
    match task {
        Task::Build(task) => build(*task, &store, screen, around),
        Task::Lock(task) => lock(*task, &store, screen, around),
        Task::Run(request) => run(&request, &store),
        Task::Images => {
            screen.images(&foreman::images::list(&store)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Remove { names } => {
            names.iter().try_for_each(|name| foreman::images::remove(&store, name))?;
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
    store: &Store,
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let built = shown(task, store, screen, around, foreman::build)?;
    screen.built(&built, started.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn lock(task: BuildTask, store: &Store, screen: &Screen, around: &Surroundings) -> Result<ExitCode, Failure> {
    let changes = shown(task, store, screen, around, foreman::pin)?;
    screen.changes(&changes)?;
    Ok(ExitCode::SUCCESS)
}

/// Has the foreman do something for a project, and shows how it goes.
fn shown<T>(
    task: BuildTask,
    store: &Store,
    screen: &Screen,
    around: &Surroundings,
    work: impl FnOnce(&Request, &Store, &Reporter) -> Result<T, BuildError>,
) -> Result<T, Failure> {
    let BuildTask { project, from, wishes, locks, upgrade, tag, outputs } = task;
    let (reporter, showing) = screen.show();
    signals::watch(store.clone(), showing.curtain())?;
    let in_files = if from.is_some() { Ok(Vec::new()) } else { foreman::wishes(&project) };
    let done = in_files.map_err(Failure::Project).and_then(|in_files| {
        let settings = Settings::of(in_files.into_iter().chain(wishes));
        let host = around.host.clone();
        let request = Request { project, from, settings, locks, upgrade, tag, outputs, host };
        Ok(work(&request, store, &reporter)?)
    });
    showing.end(reporter);
    signals::give_way();
    done
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
