//! A base that is an image already: its layers and config are kept, and its own Python is found and asked.
//!
//! Nothing is added to its system: which packages it has is its maker's business. See docs/design/image-base.md.

use minke_cas::{Epoch, ImagePath, Tree};
use minke_elf::Facts;
use minke_exec::{AskError, Interpreter, LoaderError};
use minke_oci::{Destination, DestinationError, FlattenError, Image, ImportError, Origin, OriginError};
use minke_python::{Libc, PythonVersion, Target};

use super::{Base, Made, here, venv};
use crate::bytecode::Compiler;
use crate::config;
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::native::{self, Facted};
use crate::parts::{Owner, Part};
use crate::pipeline::{Foreman, human};
use crate::settings::{self, PythonWish};
use crate::standalone::minor_of_glibc;

/// What a base begins with that is an image.
const TRANSPORTS: [&str; 4] = ["oci:", "oci-archive:", "docker-archive:", "docker-daemon:"];

/// Where a Python is looked for after the image's own `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An image cannot be a base.
#[derive(Debug, thiserror::Error)]
pub enum ImageBaseError {
    /// Its place isn't written as one.
    #[error("it is not written as the place of an image")]
    Place(#[source] DestinationError),
    /// It is in a daemon.
    #[error("it is not in a file")]
    Origin(#[source] OriginError),
    /// It cannot be read.
    #[error("it cannot be read")]
    Import(#[source] ImportError),
    /// It is for other machines.
    #[error("it is for {is}, and {wanted} is wanted")]
    Platform {
        /// What it is for.
        is: String,
        /// What is wanted.
        wanted: String,
    },
    /// Its layers cannot be applied.
    #[error("its layers cannot be unpacked")]
    Flatten(#[source] FlattenError),
    /// It has no Python.
    #[error("it has no Python in any of {}", looked.join(", "))]
    NoPython {
        /// Where one was looked for.
        looked: Vec<String>,
    },
    /// Its Python doesn't start here.
    #[error("its `{program}` cannot be started")]
    Start {
        /// Which program.
        program: ImagePath,
        /// Why not.
        source: LoaderError,
    },
    /// Its Python doesn't answer.
    #[error("its `{program}` does not say what it is")]
    Ask {
        /// Which program.
        program: ImagePath,
        /// What happened.
        source: AskError,
    },
    /// Its Python is another one than wheels are for, or than was asked for.
    #[error("its `{program}` is {is}, and {wanted} is wanted")]
    WrongPython {
        /// Which program.
        program: ImagePath,
        /// What it is.
        is: String,
        /// What is wanted.
        wanted: String,
    },
    /// Its Python cannot be asked here.
    #[error("its Python is for {platform} and doesn't run on this machine")]
    Foreign {
        /// What it is for.
        platform: String,
    },
}

/// Tells whether a base is written as an image's place.
pub(super) fn is_image(base: &str) -> bool {
    TRANSPORTS.iter().any(|transport| base.starts_with(transport))
}

impl Foreman<'_> {
    /// Takes an image for a base.
    pub(super) fn image_base(&self, said: &settings::Said<String>) -> Result<Base, BuildError> {
        let failed = |source| BuildError::ImageBase { base: said.value.clone(), source: Box::new(source) };
        let origin = self.origin(said).map_err(failed)?;
        let image = self.hop(Hop::Fetch, Unit::Pieces, |_| self.import(&origin).map_err(failed))?;
        let tree = self.hop(Hop::Unpack, Unit::Pieces, |_| {
            minke_oci::flatten(self.store, &image).map_err(|source| failed(ImageBaseError::Flatten(source)))
        })?;
        if here()? != self.platform() {
            let platform = image.settings.platform.to_string();
            return Err(failed(ImageBaseError::Foreign { platform }));
        }
        let program = find_python(&tree, &image).map_err(failed)?;
        let room = self.store.room(&tree, minke_cas::Ownership::Caller)?;
        let interpreter = Interpreter::in_room(&room, &program)
            .map_err(|source| failed(ImageBaseError::Start { program: program.clone(), source }))?;
        let python = self.ask(&interpreter, &program).map_err(failed)?;
        let facted = native::facts(self.store, &tree)?;
        let platform =
            minke_python::Platform { arch: self.platform().python(), libc: libc(&facted, &program) };
        let target = Target { python, platform };
        let size: u64 = image.layers.iter().map(|layer| layer.descriptor.size).sum();
        let title = format!("{}: {} layers, {}", said.value, image.layers.len(), human(size));
        let owner = Owner::Image { name: "the base image".to_owned() };
        let parts = vec![Part { owner, tree: tree.clone(), epoch: Epoch::FIXED }];
        let bench = super::Workbench { tree: tree.clone(), target, program: program.clone(), interpreter };
        let compiler = Some(Compiler {
            program: tree.resolve_file(&program).expect("an interpreter that starts is there").content,
            roots: vec![config::HOME.parse().expect("a path")],
        });
        let venv = venv(&target, program);
        let made = Made { parts, tree, bench, compiler };
        Ok(Base { inherited: Some(image), ..Base::of(title, None, (target, venv), made) })
    }

    /// Reads where the image is; a path in a file of the project's is relative to the project.
    fn origin(&self, said: &settings::Said<String>) -> Result<Origin, ImageBaseError> {
        let destination: Destination = said.value.parse().map_err(ImageBaseError::Place)?;
        let origin = Origin::try_from(destination).map_err(ImageBaseError::Origin)?;
        let root = match said.origin {
            settings::Origin::File(_) => &self.request.project,
            _ => &self.request.host.directory,
        };
        Ok(match origin {
            Origin::OciLayout { directory, name } => {
                Origin::OciLayout { directory: root.join(directory), name }
            }
            Origin::OciArchive { file, name } => Origin::OciArchive { file: root.join(file), name },
            Origin::DockerArchive { file, name } => Origin::DockerArchive { file: root.join(file), name },
        })
    }

    fn import(&self, origin: &Origin) -> Result<Image, ImageBaseError> {
        let architecture = self.platform().architecture().to_owned();
        let platform = minke_oci::Platform { os: "linux".to_owned(), architecture, variant: None };
        let image = minke_oci::import(self.store, origin, &platform).map_err(ImageBaseError::Import)?;
        let is = &image.settings.platform;
        if (&is.os, &is.architecture) != (&platform.os, &platform.architecture) {
            let (is, wanted) = (is.to_string(), platform.to_string());
            return Err(ImageBaseError::Platform { is, wanted });
        }
        Ok(image)
    }

    /// Asks a Python what it is, and compares that with what was asked for.
    fn ask(&self, interpreter: &Interpreter, program: &ImagePath) -> Result<PythonVersion, ImageBaseError> {
        const SCRIPT: &str = "import sys; print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), \
                              getattr(sys, 'abiflags', '') or '-')";
        let answer = interpreter.ask(SCRIPT);
        let answer = answer.map_err(|source| ImageBaseError::Ask { program: program.clone(), source })?;
        let words: Vec<&str> = answer.split_whitespace().collect();
        let is = || words.iter().filter(|word| **word != "-").copied().collect::<Vec<_>>().join(" ");
        let refused = |wanted: &str| ImageBaseError::WrongPython {
            program: program.clone(),
            is: is(),
            wanted: wanted.to_owned(),
        };
        let has = match words[..] {
            ["cpython", version, "-"] => version.parse::<PythonVersion>().ok(),
            _ => None,
        };
        let has = has.filter(|has| has.major == 3).ok_or_else(|| refused("plain CPython 3"))?;
        match self.request.settings.python.as_ref().map(|said| &said.value) {
            Some(PythonWish::Version(wanted)) => match wanted.parse() {
                Ok(version) if super::debian::fits(&version, &has) => Ok(has),
                _ => Err(refused(&format!("Python {wanted}"))),
            },
            _ => Ok(has),
        }
    }
}

/// Finds the image's Python: the first on the path of its config, links followed.
fn find_python(tree: &Tree, image: &Image) -> Result<ImagePath, ImageBaseError> {
    let path = image.settings.env.iter().rev().find(|(name, _)| name == "PATH");
    let mut looked: Vec<String> = Vec::new();
    for directory in path.map_or("", |(_, value)| value).split(':').chain(PATH.split(':')) {
        if !looked.iter().any(|there| there == directory) && directory.starts_with('/') {
            looked.push(directory.to_owned());
        }
    }
    let candidates = looked.iter().filter_map(|directory| directory.parse::<ImagePath>().ok());
    let candidates = candidates.flat_map(|directory| {
        ["python3", "python"].into_iter().filter_map(move |name| directory.join_str(name).ok())
    });
    let mut found = candidates.filter_map(|path| {
        let path = tree.resolve(&path)?;
        tree.resolve_file(&path).filter(|file| file.mode.is_executable()).map(|_| path)
    });
    found.next().ok_or(ImageBaseError::NoPython { looked })
}

/// Reads which C library a program is linked to.
fn libc(facted: &Facted, program: &ImagePath) -> Libc {
    let loader = facted.get(program).and_then(|facts| facts.interpreter.as_deref()).unwrap_or_default();
    let is_libc = |facts: &&Facts| facts.soname.as_deref() == Some("libc.so.6");
    let newest =
        |facts: &Facts| facts.version_definitions.iter().filter_map(|version| minor_of_glibc(version)).max();
    match facted.values().filter(is_libc).filter_map(newest).min() {
        Some(minor) if !loader.contains("musl") => Libc::Glibc { major: 2, minor },
        // Wheels' tags know no other but the one before 2019.
        _ => Libc::Musl { major: 1, minor: 2 },
    }
}
