//! Whether an image works, whoever built it: `minke check`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use minke_cas::{Digest, ImagePath, Store, Tree};
use minke_oci::{
    Destination, DestinationError, FlattenError, Image, ImportError as TakeError, Origin, OriginError,
};
use serde::Serialize;

use crate::images::{self, ImagesError};
use crate::platform::Platform;
use crate::proof::{
    self, ClosureError, Depth, Found, ImportError, Needing, NoScript, OpenEnd, Scripts, Standard, Tried, What,
};
use crate::request::Host;
use crate::run::{self, RunStepError};

/// An image to check.
#[derive(Clone)]
pub struct CheckRequest {
    /// Its name in minke's store, or where it lies: `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`.
    pub image: String,
    /// Which modules are tried.
    pub depth: Depth,
    /// Which programs of distributions are started.
    pub scripts: Scripts,
    /// The host, as far as minke may know it.
    pub host: Host,
}

/// What came of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checked {
    /// The image, as it was named.
    pub image: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Whether all that it promises works.
    pub works: bool,
    /// Its Pythons, each with what is installed for it.
    pub pythons: Vec<CheckedPython>,
}

/// What came of one Python of an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckedPython {
    /// Where it lies.
    pub path: ImagePath,
    /// Which it is, such as `3.13.5`.
    pub version: String,
    /// What is installed for it, the standard library first.
    pub distributions: Vec<CheckedDistribution>,
    /// What doesn't work, what is promised first.
    pub failures: Vec<Failure>,
}

/// What came of one distribution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckedDistribution {
    /// Its name; `python` is the standard library.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its modules.
    pub modules: Score,
    /// Of its entry points.
    pub entry_points: Score,
    /// Of its shared libraries.
    pub libraries: Score,
    /// Of its programs, where any were started.
    #[serde(skip_serializing_if = "Score::is_empty")]
    pub scripts: Score,
}

/// How many of some things work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Score {
    /// How many were tried.
    pub tried: usize,
    /// How many of them work.
    pub work: usize,
}

impl Score {
    /// Tells whether nothing was tried.
    pub fn is_empty(&self) -> bool {
        self.tried == 0
    }
}

/// Something that doesn't work.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Failure {
    /// How bad that is.
    pub weight: Weight,
    /// Whose it is; none of a file that nothing was tried of.
    pub of: String,
    /// What it is: `module`, `entry`, `library`, `script` or `file`.
    pub what: &'static str,
    /// What it is called.
    pub name: String,
    /// Why it doesn't.
    pub why: String,
}

/// How bad it is that something doesn't work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The image promises it.
    Broken,
    /// Something may need it.
    Doubtful,
    /// It needs what nobody promised to be there.
    Optional,
}

/// An image cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is not in the store.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// Its place isn't written as one.
    #[error("`{image}` is not written as the place of an image")]
    Place {
        /// What was given.
        image: String,
        /// What is wrong.
        source: DestinationError,
    },
    /// It is in a daemon.
    #[error("`{image}` is not in a file")]
    Origin {
        /// What was given.
        image: String,
        /// What is wrong.
        source: OriginError,
    },
    /// It cannot be read.
    #[error("cannot read the image")]
    Take(#[source] TakeError),
    /// Its layers cannot be applied.
    #[error("cannot unpack the image")]
    Flatten(#[source] FlattenError),
    /// It is for other machines.
    #[error("`{image}` is for {platform}, and this machine runs no such programs")]
    Foreign {
        /// What was given.
        image: String,
        /// What it is for.
        platform: String,
    },
    /// It has no Python.
    #[error("`{image}` has no Python, neither on its PATH nor in a virtual environment")]
    NoPython {
        /// What was given.
        image: String,
    },
    /// Its user isn't there, or its working directory is no path.
    #[error("cannot run the image as it says")]
    Config(#[source] RunStepError),
    /// What can be imported cannot be found out.
    #[error("cannot find out what can be imported")]
    Import(#[from] ImportError),
    /// Its libraries cannot be read.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// It hasn't a program that is to be started.
    #[error(transparent)]
    Script(#[from] NoScript),
}

/// Tries all that is installed for the Pythons of an image.
///
/// # Errors
/// [`CheckError`]; what doesn't work is no error.
pub fn check(request: &CheckRequest, store: &Store) -> Result<Checked, CheckError> {
    let image = find(request, store)?;
    let platform = &image.settings.platform;
    if platform.to_string().parse().ok() != Platform::here() {
        let (image, platform) = (request.image.clone(), platform.to_string());
        return Err(CheckError::Foreign { image, platform });
    }
    let tree = minke_oci::flatten(store, &image).map_err(CheckError::Flatten)?;
    let pythons = pythons(&tree, &image);
    if pythons.is_empty() {
        return Err(CheckError::NoPython { image: request.image.clone() });
    }
    let found = pythons.into_iter().map(|python| {
        let asked = asked(store, (&image, &tree), python.clone())?;
        let asked = proof::Asked { depth: request.depth, scripts: request.scripts.clone(), ..asked };
        Ok((python, asked.try_all(store, request.host.jobs)?))
    });
    let found = found.collect::<Result<Vec<_>, CheckError>>()?;
    request.scripts.are_in(found.iter().map(|(_, found)| found))?;
    let checked = found.into_iter().map(|(python, found)| {
        let open = proof::closure::open_ends(store, &tree, &python)?;
        Ok(told(python, &found, &open))
    });
    let pythons = checked.collect::<Result<Vec<_>, CheckError>>()?;
    let broken = |failure: &Failure| failure.weight == Weight::Broken;
    let works = !pythons.iter().flat_map(|python| &python.failures).any(broken);
    Ok(Checked { image: request.image.clone(), digest: image.manifest, works, pythons })
}

/// What an image begins with that isn't in the store.
const TRANSPORTS: [&str; 3] = ["oci:", "oci-archive:", "docker-archive:"];

fn find(request: &CheckRequest, store: &Store) -> Result<Image, CheckError> {
    let name = &request.image;
    if !TRANSPORTS.iter().any(|transport| name.starts_with(transport)) {
        return Ok(images::find(store, name)?);
    }
    let place = |source| CheckError::Place { image: name.clone(), source };
    let destination: Destination = name.parse().map_err(place)?;
    let origin = Origin::try_from(destination);
    let origin = origin.map_err(|source| CheckError::Origin { image: name.clone(), source })?;
    let here = |path: PathBuf| request.host.directory.join(path);
    let origin = match origin {
        Origin::OciLayout { directory, name } => Origin::OciLayout { directory: here(directory), name },
        Origin::OciArchive { file, name } => Origin::OciArchive { file: here(file), name },
        Origin::DockerArchive { file, name } => Origin::DockerArchive { file: here(file), name },
    };
    let architecture = Platform::here().map_or("amd64", |platform| platform.architecture()).to_owned();
    let platform = minke_oci::Platform { os: "linux".to_owned(), architecture, variant: None };
    minke_oci::import(store, &origin, &platform).map_err(CheckError::Take)
}

/// Prepares to ask a Python of an image.
///
/// # Errors
/// [`CheckError::Config`].
pub(crate) fn asked(
    store: &Store,
    (image, tree): (&Image, &Tree),
    python: ImagePath,
) -> Result<proof::Asked, CheckError> {
    Ok(proof::Asked {
        stage: stage(store, (image, tree))?,
        python,
        depth: Depth::Packages,
        standard: Standard::Tried,
        scripts: Scripts::None,
        only: None,
        gone: BTreeMap::new(),
    })
}

/// Takes of an image what decides how it runs.
///
/// # Errors
/// [`CheckError::Config`].
pub(crate) fn stage(store: &Store, (image, tree): (&Image, &Tree)) -> Result<proof::Stage, CheckError> {
    let settings = &image.settings;
    let user = run::user(store, tree, settings.user.as_deref().unwrap_or_default());
    let workdir = settings.workdir.as_deref().filter(|workdir| !workdir.is_empty()).unwrap_or("/");
    let workdir = workdir.parse().map_err(|source| CheckError::Config(RunStepError::Path(source)))?;
    Ok(proof::Stage {
        tree: tree.clone(),
        env: settings.env.iter().cloned().collect(),
        user: user.map_err(CheckError::Config)?,
        workdir,
    })
}

/// What `PATH` is where an image doesn't say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How deep a virtual environment's own directory may lie.
const DEPTH: usize = 6;

/// Finds an image's Pythons: the first on its `PATH`, and that of each virtual environment.
///
/// Where a virtual environment lies, its Python's is the one for which things are installed: then the system's is
/// only asked where it is the one on the `PATH`.
pub(crate) fn pythons(tree: &Tree, image: &Image) -> Vec<ImagePath> {
    let path = image.settings.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(PATH, |(_, value)| value.as_str());
    let is_program = |path: &ImagePath| tree.resolve_file(path).is_some_and(|file| file.mode.is_executable());
    let named = |directory: ImagePath| {
        ["python3", "python"].into_iter().filter_map(move |name| directory.join_str(name).ok())
    };
    let directories = path.split(':').filter_map(|directory| directory.parse::<ImagePath>().ok());
    let first = directories.flat_map(named).find(is_program);
    let venvs = tree.files().filter_map(|(path, _)| {
        let is_venvs = path.name() == Some("pyvenv.cfg") && path.components().count() <= DEPTH;
        named(is_venvs.then(|| path.parent())??.join_str("bin").ok()?).find(is_program)
    });
    let mut pythons: Vec<ImagePath> = Vec::new();
    for python in first.into_iter().chain(venvs) {
        let home = python.parent().and_then(|directory| tree.resolve(&directory));
        if !pythons.iter().any(|known| known.parent().and_then(|known| tree.resolve(&known)) == home) {
            pythons.push(python);
        }
    }
    pythons
}

fn told(path: ImagePath, found: &Found, open: &BTreeSet<OpenEnd>) -> CheckedPython {
    let mut rows: BTreeMap<&str, CheckedDistribution> = BTreeMap::new();
    let row = |name: &str, version: &str| CheckedDistribution {
        name: name.to_owned(),
        version: version.to_owned(),
        modules: Score::default(),
        entry_points: Score::default(),
        libraries: Score::default(),
        scripts: Score::default(),
    };
    for (name, installed) in &found.distributions {
        rows.insert(name, row(name, &installed.version));
    }
    for tried in &found.tried {
        let row = rows.entry(&tried.of).or_insert_with(|| row(&tried.of, &found.python));
        let score = match tried.what {
            What::Module => &mut row.modules,
            What::Entry => &mut row.entry_points,
            What::Library => &mut row.libraries,
            What::Script => &mut row.scripts,
        };
        score.tried += 1;
        score.work += usize::from(tried.ok);
    }
    let mut failures: Vec<Failure> = found.tried.iter().filter(|tried| !tried.ok).map(failure).collect();
    failures.extend(loose(open));
    failures.sort();
    CheckedPython {
        path,
        version: found.python.clone(),
        distributions: rows.into_values().collect(),
        failures,
    }
}

/// Says of each file what it doesn't find, in a line for each weight.
fn loose(open: &BTreeSet<OpenEnd>) -> Vec<Failure> {
    let mut names: BTreeMap<(&ImagePath, Weight), Vec<&str>> = BTreeMap::new();
    for end in open {
        let weight = match end.what {
            Needing::Library => Weight::Broken,
            Needing::Symbol => Weight::Doubtful,
            Needing::Plugin => Weight::Optional,
        };
        names.entry((&end.needed_by, weight)).or_default().push(&end.name);
    }
    let failure = |((file, weight), names): ((&ImagePath, Weight), Vec<&str>)| {
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        let why = format!("`{}`{more}: nowhere where the loader looks", names[0]);
        Failure { weight, of: String::new(), what: "file", name: file.to_string(), why }
    };
    names.into_iter().map(failure).collect()
}

fn failure(tried: &Tried) -> Failure {
    Failure {
        weight: match (tried.is_promised(), tried.absent) {
            (true, _) => Weight::Broken,
            (false, None) => Weight::Doubtful,
            (false, Some(_)) => Weight::Optional,
        },
        of: tried.of.clone(),
        what: match tried.what {
            What::Module => "module",
            What::Entry => "entry",
            What::Library => "library",
            What::Script => "script",
        },
        name: tried.name.clone(),
        why: why(tried),
    }
}

/// Says in a line why something doesn't work.
pub(crate) fn why(tried: &Tried) -> String {
    match (tried.how.as_str(), tried.message.as_str()) {
        ("time", _) => "it takes too long".to_owned(),
        ("untried", _) => "not tried: its distribution took too long".to_owned(),
        (how, "") => how.to_owned(),
        (how, message) => format!("{how}: {message}"),
    }
}
