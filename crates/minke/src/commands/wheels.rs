//! `minke wheels`: the wheels that were built from source distributions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use minke_cas::Store;

use super::shown;
use crate::advice::Exit;
use crate::failure::Failure;
use crate::foreman::{self, wheelhouse};
use crate::settings::Surroundings;
use crate::task::{BuildTask, WheelsTask};
use crate::ui::Screen;

/// Does what is meant with the wheelhouse.
pub(super) fn obey(task: WheelsTask, store: &Store, screen: &Screen) -> Result<ExitCode, Failure> {
    let wheels = match task {
        WheelsTask::List => wheelhouse::list(store).map_err(Failure::Upkeep)?,
        WheelsTask::Export(directory) => wheelhouse::export(store, &directory)?,
        WheelsTask::Import(directory) => wheelhouse::import(store, &directory)?,
        WheelsTask::Forget(names, unused_for) => {
            wheelhouse::forget(store, &names, unused_for.unwrap_or_default()).map_err(Failure::Upkeep)?
        }
    };
    screen.wheels(&wheels)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what a project needs and has no wheel.
pub(super) fn make(
    task: BuildTask,
    caches: (&Path, Vec<PathBuf>),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    let made = shown(task, caches, (screen, around), foreman::make_wheels)?;
    screen.made(&made)?;
    let all_work = made.iter().all(|made| made.wheel.is_some());
    Ok(if all_work { ExitCode::SUCCESS } else { Exit::SourceBuild.into() })
}
