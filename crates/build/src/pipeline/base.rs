//! The base: what an image is made upon, which Python it has, and the interpreter that works for it.
//!
//! A base is made from a suite's packages ([`debian`]), from those and a Python out of an archive, from such a
//! Python alone ([`standalone`]), or it is an image that has one ([`image`]). The hops that come after see no difference.

mod debian;
mod image;
mod standalone;

use std::sync::OnceLock;

use minke_cas::{Digest, ImagePath, Ownership, Tree};
use minke_exec::Interpreter;
use minke_oci::Image;
use minke_python::{PythonVersion, Target, Venv};

pub use self::image::ImageBaseError;
use super::{Foreman, venv};
use crate::bytecode::Compiler;
use crate::config;
use crate::debian::{Pick, Roots};
use crate::error::BuildError;
use crate::parts::Part;
use crate::platform::Platform;
use crate::settings::{Origin, PythonWish};

/// What an image is made upon: an interpreter, and all that it needs.
pub(super) struct Base {
    /// What it is, for a message: `Debian trixie: 27 packages`.
    pub(super) title: String,
    /// The distribution that adds what else is needed; none where there is none.
    pub(super) distribution: Option<Distribution>,
    /// The image whose layers lie below ours; none where all layers are ours.
    pub(super) inherited: Option<Image>,
    pub(super) target: Target,
    pub(super) venv: Venv,
    /// Everything that decides what is made.
    pub(super) identity: Digest,
    /// What Python runs while the image is built, and where it lies in its tree.
    pub(super) bench: (Target, ImagePath),
    made: OnceLock<Made>,
}

/// The files of a base, and what works with them: unpacked when they are needed.
pub(super) struct Made {
    pub(super) parts: Vec<Part>,
    /// All of the parts together.
    pub(super) tree: Tree,
    pub(super) bench: Workbench,
    /// None where no interpreter that runs here makes the base's bytecode.
    pub(super) compiler: Option<Compiler>,
}

/// The distribution that a base is made from.
pub(super) struct Distribution {
    /// What the base was chosen for.
    pub(super) roots: Roots,
    /// What was chosen.
    pub(super) picks: Vec<Pick>,
}

/// Where Python runs while the image is built.
pub(super) struct Workbench {
    /// The base, or its twin of this machine's architecture.
    pub(super) tree: Tree,
    /// What the interpreter is.
    pub(super) target: Target,
    /// Where the interpreter lies in the tree.
    pub(super) program: ImagePath,
    /// The interpreter, in a room of the tree.
    pub(super) interpreter: Interpreter,
}

/// The base that has nothing.
const SCRATCH: &str = "scratch";

impl Base {
    /// Takes a base that is made already.
    fn of(
        title: String,
        distribution: Option<Distribution>,
        (target, venv): (Target, Venv),
        made: Made,
    ) -> Self {
        let (identity, bench) = (made.tree.digest(), (made.bench.target, made.bench.program.clone()));
        let made = OnceLock::from(made);
        Self { title, distribution, inherited: None, target, venv, identity, bench, made }
    }
}

impl Foreman<'_> {
    /// Returns the files of a base.
    pub(super) fn made<'base>(&self, base: &'base Base) -> Result<&'base Made, BuildError> {
        if let Some(made) = base.made.get() {
            return Ok(made);
        }
        let made = self.make_suite_base(base)?;
        Ok(base.made.get_or_init(|| made))
    }

    /// Returns what the image is for: this machine where nothing is said.
    pub(super) fn platform(&self) -> Platform {
        let said = self.request.settings.platform.as_ref().map(|said| said.value);
        said.or_else(Platform::here).unwrap_or(Platform::Amd64)
    }

    pub(super) fn base(&self) -> Result<Base, BuildError> {
        let settings = &self.request.settings;
        if let Some(said) = settings.base.as_ref().filter(|said| image::is_image(&said.value)) {
            return match settings.python.as_ref().map(|said| &said.value) {
                Some(PythonWish::Standalone(_)) => Err(BuildError::TwoPythons { base: said.value.clone() }),
                _ => self.image_base(said),
            };
        }
        let is_scratch = settings.base.as_ref().is_some_and(|said| said.value == SCRATCH);
        match settings.python.as_ref().map(|said| &said.value) {
            Some(PythonWish::Standalone(wish)) if is_scratch => self.scratch_base(wish),
            Some(PythonWish::Standalone(wish)) => self.standalone_base(wish),
            _ if is_scratch => Err(BuildError::NoPython),
            _ => self.debian_base(),
        }
    }

    /// Puts an interpreter of a tree into a room where it runs.
    fn bench(&self, tree: &Tree, target: &Target, program: &ImagePath) -> Result<Workbench, BuildError> {
        let room = self.store.room(tree, Ownership::Caller)?;
        let interpreter = Interpreter::in_room(&room, program).map_err(BuildError::Interpreter)?;
        Ok(Workbench { tree: tree.clone(), target: *target, program: program.clone(), interpreter })
    }

    /// Returns what makes the target's bytecode: an interpreter of its minor version, for bytecode is the same on
    /// every architecture and in every patch release.
    fn compiler(&self, bench: &Workbench, target: &Target, library: String) -> Option<Compiler> {
        let (here, there) = (bench.target.python, target.python);
        if (here.major, here.minor) != (there.major, there.minor) {
            self.reporter.warn(format!(
                "the image gets no bytecode: its Python is {there}, and the suite's for this machine is {here}"
            ));
            return None;
        }
        let program = bench.tree.resolve_file(&bench.program);
        let program = program.expect("an interpreter that starts is there").content;
        let roots =
            [library.as_str(), "/usr/lib/python3", config::HOME].map(|root| root.parse().expect("a path"));
        Some(Compiler { program, roots: roots.to_vec() })
    }
}

fn version(text: &str, origin: &Origin) -> Result<PythonVersion, BuildError> {
    text.parse().map_err(|source| BuildError::PythonVersion { origin: origin.clone(), source })
}

/// Names this machine where no images are made for it.
fn here() -> Result<Platform, BuildError> {
    Platform::here().ok_or(BuildError::Machine { machine: std::env::consts::ARCH })
}
