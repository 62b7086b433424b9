//! What the front desk asks of the foreman, under one roof, and the types of arguments that name images.

pub(crate) use minke_build::audit::{self, AuditError};
pub(crate) use minke_build::check::{CheckError, CheckRequest, Checked, check};
pub(crate) use minke_build::images::{self, ImageLine, ImagesError};
pub(crate) use minke_build::libs::{Libs, libs};
pub(crate) use minke_build::plan::Plan;
pub(crate) use minke_build::project::{ProjectError, wishes};
pub(crate) use minke_build::proof::{Depth, Scripts};
pub(crate) use minke_build::run::{Network, RootAccess, RunRequest, Terminal, run};
pub(crate) use minke_build::slim::{Ladder, Rules, SlimLedger};
pub(crate) use minke_build::system_lock::Change;
pub(crate) use minke_build::wheelhouse::{self, Housed, WheelhouseError};
pub(crate) use minke_build::why::Reason;
pub(crate) use minke_build::{BuildError, Destination, Made, Reference, build, intend, make_wheels, pin};
