//! Everything that can stop a build or a run, one variant per operation of the foreman's.

use crate::bytecode::BytecodeError;
use crate::debian::DebianError;
use crate::deliver::DeliverError;
use crate::images::ImagesError;
use crate::interpreter::InterpreterError;
use crate::lock::LockStepError;
use crate::native;
use crate::parts::SettleError;
use crate::pipeline::base::ImageBaseError;
use crate::pipeline::proving::ProofError;
use crate::project::ProjectError;
use crate::project::sources::SourcesTreeError;
use crate::standalone::StandaloneError;
use crate::supply::SupplyError;
use crate::system::SystemError;
use crate::system_lock::SystemLockError;
use crate::uv::FindUvError;
use crate::wheels::WheelsError;
use minke_cas::StoreError;
use minke_python::{PythonVersion, PythonVersionError, Target, VersionSpecifiers};

/// The foreman could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The image's name is none.
    #[error("`{name}`, the image's name, cannot be used")]
    Tag {
        /// What was given.
        name: String,
        /// Why not.
        source: minke_oci::ReferenceError,
    },
    /// A destination is none.
    #[error("cannot write the image there")]
    Destination(#[source] minke_oci::DestinationError),
    /// The destination cannot take the compression that was asked for.
    #[error("`{destination}` cannot take layers that are compressed with zstd")]
    Compression {
        /// Where to.
        destination: String,
    },
    /// The network's settings cannot be used.
    #[error("cannot use the network's settings")]
    Client(#[source] minke_net::ClientError),
    /// The project cannot be read.
    #[error("cannot read the project")]
    Project(#[source] ProjectError),
    /// A script's name cannot be one in the image.
    #[error("cannot place the script in the image")]
    FileName(#[source] minke_cas::PathError),
    /// The project's files cannot be taken.
    #[error("cannot take the project's files")]
    Sources(#[source] SourcesTreeError),
    /// The Python that was asked for isn't a version.
    #[error("`python` was set {origin} to something that is no version")]
    PythonVersion {
        /// Where it was said.
        origin: crate::settings::Origin,
        /// What is wrong.
        source: PythonVersionError,
    },
    /// The suite has another Python than was asked for, and no archive has that.
    #[error("`python` was set {origin} to {wanted}, Debian {suite} has {has}, and no other can be had")]
    WrongPython {
        /// Where it was said.
        origin: crate::settings::Origin,
        /// What was asked for.
        wanted: PythonVersion,
        /// The suite.
        suite: String,
        /// What the suite has.
        has: String,
        /// Why there is no archive of it.
        source: Box<InterpreterError>,
    },
    /// A base that has no Python, and none was given to it.
    #[error("`base = \"scratch\"` has no Python, and no archive that has one was named")]
    NoPython,
    /// An image cannot be a base.
    #[error("cannot use `{base}` as a base")]
    ImageBase {
        /// Which one.
        base: String,
        /// Why not.
        source: Box<ImageBaseError>,
    },
    /// A Python was given to a base that has one.
    #[error("`{base}` is an image with a Python of its own, and an archive with another was named")]
    TwoPythons {
        /// The base.
        base: String,
    },
    /// The Python of an archive cannot be used.
    #[error("cannot use the Python that was asked for")]
    Standalone(#[source] StandaloneError),
    /// A distribution's package was asked for where there is no distribution.
    #[error("`{package}` is a distribution's package, and the base is {base}")]
    NoPackages {
        /// The package.
        package: String,
        /// What the base is.
        base: String,
    },
    /// The image could not be proved, or doesn't do what it should; it has no name.
    #[error("the image is not named: it is not proved to work")]
    Proof(#[source] ProofError),
    /// The project is for other Pythons.
    #[error("the project's `requires-python` is `{wanted}`, and the image would have {target}")]
    RequiresPython {
        /// What the project says.
        wanted: VersionSpecifiers,
        /// What the image would have.
        target: Target,
    },
    /// The distribution's packages cannot be chosen.
    #[error("cannot plan the base image")]
    Debian(#[source] DebianError),
    /// The distribution's packages cannot be taken as they are locked, nor chosen.
    #[error("cannot choose the image's packages")]
    Supply(#[source] SupplyError),
    /// The lock of the system's side cannot be read.
    #[error("cannot use `{file}`")]
    SystemLock {
        /// The file's name.
        file: String,
        /// Where and why.
        source: SystemLockError,
    },
    /// What an image has cannot be read from its layers.
    #[error("cannot read the image's own layers")]
    Flatten(#[source] minke_oci::FlattenError),
    /// A locked package is gone from the archive.
    #[error("{package}, which `minke.lock` names, is no longer in the archive")]
    Vanished {
        /// The package with its version.
        package: String,
        /// Its name.
        name: String,
        /// The version that there is instead, where that is known.
        offered: Option<String>,
    },
    /// The distribution's packages cannot be unpacked.
    #[error("cannot make the base image")]
    System(#[source] SystemError),
    /// The base's interpreter cannot be started.
    #[error("cannot start the base image's Python")]
    Interpreter(#[source] minke_exec::LoaderError),
    /// Nothing that images are made of runs on this machine.
    #[error("there is no base whose Python runs on a machine that is {machine}")]
    Machine {
        /// What it is.
        machine: &'static str,
    },
    /// The interpreter cannot be made available to uv.
    #[error("cannot write a file for uv")]
    Wrapper(#[source] std::io::Error),
    /// uv cannot be had.
    #[error("cannot find uv")]
    Uv(#[source] FindUvError),
    /// What the project needs cannot be pinned.
    #[error("cannot lock what the project needs")]
    Lock(#[source] LockStepError),
    /// A wheel cannot be had or installed.
    #[error("cannot install what the project needs")]
    Wheels(#[source] WheelsError),
    /// A directory of the project's cannot be built into a wheel.
    #[error("cannot build the project")]
    Backend(#[source] crate::workshop::BackendError),
    /// What the project needs has no wheel, and cannot be built into one.
    #[error("cannot build what has no wheel")]
    Strangers(#[source] crate::workshop::BackendError),
    /// Two parts of the image don't go together.
    #[error("cannot put the image together")]
    Settle(#[source] SettleError),
    /// ELF files cannot be read.
    #[error("cannot see what the image's ELF files need")]
    Native(#[source] native::NativeError),
    /// What the project's programs and modules need isn't in the image, and nobody has it.
    #[error("the image lacks what the project needs")]
    Unmet(#[source] crate::needs::UnmetError),
    /// It cannot be found out what some files need.
    #[error(transparent)]
    Libs(#[from] crate::libs::LibsError),
    /// Bytecode cannot be made.
    #[error("cannot make bytecode")]
    Bytecode(#[source] BytecodeError),
    /// A layer cannot be written.
    #[error("cannot write the layer of {layer}")]
    Layer {
        /// Which one.
        layer: String,
        /// What happened.
        source: minke_oci::LayerError,
    },
    /// A setting has a value that no container runtime takes.
    #[error("a setting cannot go into an image")]
    Setting(#[source] crate::config::SettingError),
    /// A port that was asked for is none.
    #[error("a port that was asked for is none")]
    Port(#[source] minke_oci::PortError),
    /// The manifest cannot be written.
    #[error("cannot write the image")]
    Image(#[source] minke_oci::ImageError),
    /// The image cannot be handed over.
    #[error("the image was built and is in minke's store, but cannot be handed over")]
    Deliver(#[source] DeliverError),
    /// The store of images cannot be used.
    #[error("cannot use minke's images")]
    Images(#[source] ImagesError),
    /// An image cannot be run.
    #[error("cannot run the image")]
    Run(#[source] crate::run::RunStepError),
    /// The cache failed.
    #[error("cannot use the cache")]
    Store(#[from] StoreError),
}

/// What the archive says is the archive's fault, whoever asked it.
impl From<SupplyError> for BuildError {
    fn from(error: SupplyError) -> Self {
        match error {
            SupplyError::Debian(error) => Self::Debian(error),
            error => Self::Supply(error),
        }
    }
}
