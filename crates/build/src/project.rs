//! The project's directory: what it is, what it asks for, and which of its files are wanted.
//!
//! This module and those below it are the one door to the project's files.

pub mod ignore;
pub mod sources;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minke_cas::Digest;
use minke_python::{Pyproject, PyprojectError};
use toml_edit::DocumentMut;

use crate::settings::{Origin, SettingsError, Wishes};

/// A directory that was read as a project.
#[derive(Debug)]
pub struct Project {
    /// Its directory.
    pub root: PathBuf,
    /// Its `pyproject.toml`, if it has one.
    pub pyproject: Option<Pyproject>,
    /// Where what it needs is written down.
    pub requirements: Requirements,
    /// The text of its Procfile, if it has one.
    pub procfile: Option<String>,
}

/// Where a project writes down what it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requirements {
    /// In a `uv.lock`.
    UvLock,
    /// In a `pylock.toml` that the user has made, with its text.
    Pylock(String),
    /// In a file that is resolved: `requirements.txt` or `pyproject.toml`.
    Resolve {
        /// The file's name.
        file: &'static str,
        /// The `pylock.toml` that minke made of it before, if any.
        previous: Option<Previous>,
        /// What a `pylock.toml` of it is marked with.
        fingerprint: Digest,
    },
    /// Nowhere: it needs nothing.
    Nothing,
}

/// A `pylock.toml` that minke has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Previous {
    /// Its text.
    pub text: String,
    /// Whether it was made from the requirements as they are now.
    pub state: Freshness,
}

/// Whether a lock still fits what it was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// It fits.
    Current,
    /// The requirements, the Python or the platform have changed since.
    Outgrown,
}

/// A project's directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It isn't there or isn't a directory.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// It has no Python.
    #[error("`{}` has no pyproject.toml, no requirements.txt and no Python file", path.display())]
    NoProject {
        /// The directory.
        path: PathBuf,
    },
    /// It has a lock or manifest of a tool whose files minke doesn't read.
    #[error("`{}` is of {tool}, which has its own format", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The tool's name.
        tool: &'static str,
        /// The command that writes what minke reads.
        export: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The `pyproject.toml` isn't right.
    #[error("`{}` is not right", path.display())]
    Pyproject {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: PyprojectError,
    },
    /// The settings in it aren't right.
    #[error("cannot read the settings")]
    Settings(#[source] SettingsError),
}

/// Tools whose files alone cannot be used, with the command that exports.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("poetry.lock", "Poetry", "poetry export -f requirements.txt -o requirements.txt"),
    ("pdm.lock", "PDM", "pdm export -f pylock -o pylock.toml"),
    ("Pipfile.lock", "Pipenv", "pipenv requirements --hash > requirements.txt"),
    ("environment.yml", "conda", "pip list --format=freeze > requirements.txt"),
];

/// The mark that minke leaves in a `pylock.toml` of its own: `[tool.minke] made-from`.
const MADE_FROM: &str = "made-from";

/// Reads the settings that a project's files hold: `[tool.minke]`, then `minke.toml` over it.
///
/// # Errors
/// [`ProjectError`] names the file.
pub fn wishes(root: &Path) -> Result<Vec<(Origin, Wishes)>, ProjectError> {
    let mut places = Vec::new();
    for (name, is_ours) in [("pyproject.toml", false), ("minke.toml", true)] {
        let path = root.join(name);
        let Some(text) = optional(&path)? else { continue };
        let read = if is_ours {
            Wishes::from_minke_toml(&path, &text).map(Some)
        } else {
            Wishes::from_pyproject(&path, &text)
        };
        if let Some(wishes) = read.map_err(ProjectError::Settings)? {
            places.push((Origin::File(name.into()), wishes));
        }
    }
    Ok(places)
}

impl Project {
    /// Reads a directory as a project; `target` says for which Python and platform locks must have been made.
    ///
    /// # Errors
    /// [`ProjectError`] names the file.
    pub fn read(root: &Path, target: &str) -> Result<Self, ProjectError> {
        if !root.is_dir() {
            return Err(ProjectError::NotADirectory { path: root.to_owned() });
        }
        let path = root.join("pyproject.toml");
        let text = optional(&path)?;
        let pyproject = text.as_deref().map(Pyproject::parse).transpose();
        let pyproject = pyproject.map_err(|source| ProjectError::Pyproject { path, source })?;
        let requirements = requirements(root, pyproject.as_ref(), target)?;
        let procfile = optional(&root.join("Procfile"))?;
        Ok(Self { root: root.to_owned(), pyproject, requirements, procfile })
    }

    /// Tells whether the project is built into a wheel, rather than copied.
    pub fn is_package(&self) -> bool {
        self.pyproject.as_ref().is_some_and(Pyproject::is_package)
    }

    /// Returns what the project is called: by its metadata, else by its directory.
    pub fn name(&self) -> String {
        let declared = self.pyproject.as_ref().and_then(|pyproject| pyproject.project.as_ref());
        declared.map_or_else(|| directory_name(&self.root), |project| project.name.to_string())
    }
}

/// A directory's name as an image may be called.
fn directory_name(root: &Path) -> String {
    let absolute = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let words: Vec<_> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "app".to_owned() } else { words.join("-") }
}

fn requirements(
    root: &Path,
    pyproject: Option<&Pyproject>,
    target: &str,
) -> Result<Requirements, ProjectError> {
    if root.join("uv.lock").is_file() && pyproject.is_some() {
        return Ok(Requirements::UvLock);
    }
    let declared = pyproject.and_then(|pyproject| pyproject.project.as_ref());
    let declares = declared
        .is_some_and(|project| project.dependencies.is_some() || project.dynamic.contains("dependencies"));
    let pylock = optional(&root.join("pylock.toml"))?;
    let made_from = pylock.as_deref().and_then(made_from);
    let file = match (declares, optional(&root.join("requirements.txt"))?) {
        (true, _) => Some("pyproject.toml"),
        (false, Some(_)) => Some("requirements.txt"),
        (false, None) => None,
    };
    match (file, pylock) {
        (_, Some(text)) if made_from.is_none() => Ok(Requirements::Pylock(text)),
        (Some(file), pylock) => {
            let fingerprint = fingerprint(root, file, target)?;
            let state = if made_from == Some(fingerprint) { Freshness::Current } else { Freshness::Outgrown };
            let previous = pylock.map(|text| Previous { text, state });
            Ok(Requirements::Resolve { file, previous, fingerprint })
        }
        (None, Some(text)) => Ok(Requirements::Pylock(text)),
        (None, None) => nothing(root, pyproject),
    }
}

/// A project without requirements is one all the same if it has a `pyproject.toml` or Python files.
fn nothing(root: &Path, pyproject: Option<&Pyproject>) -> Result<Requirements, ProjectError> {
    for (file, tool, export) in FOREIGN {
        let path = root.join(file);
        if path.is_file() {
            return Err(ProjectError::Foreign { path, tool, export });
        }
    }
    let io = |source| ProjectError::Io { path: root.to_owned(), source };
    let is_python = |entry: fs::DirEntry| {
        entry.path().extension().is_some_and(|extension| extension == "py")
            || entry.path().join("__init__.py").is_file()
    };
    let has_python = fs::read_dir(root).map_err(io)?.flatten().any(is_python);
    if pyproject.is_none() && !has_python {
        return Err(ProjectError::NoProject { path: root.to_owned() });
    }
    Ok(Requirements::Nothing)
}

/// What a lock of these requirements is marked with: the file's text, those it includes, and the target.
fn fingerprint(root: &Path, file: &str, target: &str) -> Result<Digest, ProjectError> {
    let mut text = format!("{target}\n");
    let mut pending = vec![root.join(file)];
    let mut seen = Vec::new();
    while let Some(path) = pending.pop() {
        if seen.contains(&path) {
            continue;
        }
        let Some(content) = optional(&path)? else { continue };
        for line in content.lines().map(str::trim) {
            let included = ["-r", "-c", "--requirement", "--constraint"]
                .into_iter()
                .find_map(|flag| line.strip_prefix(flag)?.strip_prefix([' ', '=']));
            pending.extend(included.map(|included| path.with_file_name(included.trim())));
        }
        text.push_str(&content);
        seen.push(path);
    }
    Ok(Digest::of(text.as_bytes()))
}

/// Reads minke's mark in a `pylock.toml`; a file without it is the user's own.
fn made_from(text: &str) -> Option<Digest> {
    let document: DocumentMut = text.parse().ok()?;
    document.get("tool")?.get("minke")?.get(MADE_FROM)?.as_str()?.parse().ok()
}

/// Puts minke's mark into the text of a `pylock.toml`.
pub fn marked(text: &str, fingerprint: &Digest) -> String {
    let text = text.trim_end();
    format!("{text}\n\n[tool.minke]\n{MADE_FROM} = \"{fingerprint}\"\n")
}

/// Writes the `pylock.toml` that was made, all of it or nothing.
///
/// # Errors
/// [`ProjectError::Io`].
pub fn write_pylock(root: &Path, text: &str) -> Result<(), ProjectError> {
    let path = root.join("pylock.toml");
    let io = |source| ProjectError::Io { path: path.clone(), source };
    let temporary = root.join(format!(".pylock.toml.{}", std::process::id()));
    fs::write(&temporary, text).map_err(io)?;
    fs::rename(&temporary, &path).map_err(io)
}

/// Reads a file of the project's, none if it isn't there.
///
/// # Errors
/// [`ProjectError::Io`].
pub fn optional(path: &Path) -> Result<Option<String>, ProjectError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProjectError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<(String, Requirements), String> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("My App_1");
        fs::create_dir(&root).unwrap();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        let shown = root.display().to_string();
        Project::read(&root, "3.13 x86_64")
            .map(|project| (project.name(), project.requirements))
            .map_err(|error| error.to_string().replace(&shown, "ROOT"))
    }

    fn kind(files: &[(&str, &str)]) -> String {
        match read(files).unwrap().1 {
            Requirements::UvLock => "uv.lock".to_owned(),
            Requirements::Pylock(_) => "pylock.toml".to_owned(),
            Requirements::Resolve { file, previous, .. } => {
                format!("{file} {:?}", previous.map(|previous| previous.state))
            }
            Requirements::Nothing => "nothing".to_owned(),
        }
    }

    const DEPENDS: (&str, &str) =
        ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = ['y']");
    const BARE: (&str, &str) = ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'");

    #[test]
    fn requirements_are_found_where_they_are() {
        assert_eq!(kind(&[DEPENDS, ("uv.lock", "")]), "uv.lock");
        assert_eq!(kind(&[DEPENDS, ("pylock.toml", "lock-version = '1.0'")]), "pylock.toml");
        assert_eq!(kind(&[DEPENDS, ("requirements.txt", "z")]), "pyproject.toml None");
        assert_eq!(kind(&[BARE, ("requirements.txt", "z")]), "requirements.txt None");
        assert_eq!(kind(&[BARE]), "nothing");
        assert_eq!(kind(&[("main.py", "")]), "nothing");
    }

    #[test]
    fn a_lock_that_minke_made_is_used_until_its_requirements_change() {
        let requirements = ("requirements.txt", "z\n");
        let (_, found) = read(&[requirements]).unwrap();
        let Requirements::Resolve { fingerprint, .. } = found else { panic!("it is to be resolved") };
        let lock = marked("lock-version = '1.0'\n", &fingerprint);
        assert_eq!(kind(&[requirements, ("pylock.toml", &lock)]), "requirements.txt Some(Current)");
        assert_eq!(
            kind(&[("requirements.txt", "zz"), ("pylock.toml", &lock)]),
            "requirements.txt Some(Outgrown)"
        );
    }

    #[test]
    fn names_come_from_metadata_or_from_the_directory() {
        assert_eq!(read(&[BARE]).unwrap().0, "x");
        assert_eq!(read(&[("main.py", "")]).unwrap().0, "my-app-1");
    }

    #[test]
    fn a_directory_without_python_and_foreign_locks_are_refused() {
        insta::assert_snapshot!(read(&[("README", "")]).unwrap_err(), @"`ROOT` has no pyproject.toml, no requirements.txt and no Python file");
        insta::assert_snapshot!(read(&[("Pipfile.lock", "{}")]).unwrap_err(), @"`ROOT/Pipfile.lock` is of Pipenv, which has its own format");
    }
}
