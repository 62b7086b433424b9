//! `minke wheel`: one wheel after the other.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::foreman::audit;
use crate::task::WheelTask;
use crate::ui::Screen;

/// Does what is meant; the first wheel that cannot be done ends it.
pub(super) fn obey(task: WheelTask, screen: &Screen) -> Result<ExitCode, Failure> {
    match task {
        WheelTask::Show { files, libraries } => {
            for file in files {
                screen.audit(&audit::audit(&file, &libraries)?)?;
            }
        }
        WheelTask::Repair { files, order } => {
            for file in files {
                screen.repaired(&audit::repair(&file, &order)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
