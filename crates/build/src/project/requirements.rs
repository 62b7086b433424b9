//! Where a project writes down what it needs, and whether a lock still fits that.

use std::fs;
use std::path::{Path, PathBuf};

use minke_cas::Digest;
use minke_python::{Pyproject, Target};
use toml_edit::DocumentMut;

use super::requirement_files::{Hashes, RequirementFiles};
use super::script::block;
use super::{ProjectError, optional};
use crate::{pylock, secrets};

/// Where a project writes down what it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requirements {
    /// In a `uv.lock`.
    UvLock,
    /// In a `pylock.toml` that the user has made, with its text.
    Pylock(String),
    /// In something that is to be resolved.
    Resolve(Unresolved),
    /// Nowhere: it needs nothing.
    Nothing,
}

/// Requirements that no lock of the user's pins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unresolved {
    /// What they are called: the file's name.
    pub name: String,
    /// Who says them.
    pub source: Source,
    /// The file that the lock is kept in, if it is kept.
    pub lock: Option<String>,
    /// The lock that minke made of them before, if any.
    pub previous: Option<Previous>,
}

/// Who says what is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The file of that name.
    File,
    /// The build backend: only the wheel that it makes tells.
    Backend,
    /// The user, in so many words.
    Lines(Vec<String>),
}

/// A lock that minke has made.
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

/// What is asked of a project, besides what its files say: all that a lock depends on.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'request> {
    /// The Python and the platform; none where they aren't known yet.
    pub target: Option<&'request Target>,
    /// The extras.
    pub extras: &'request [String],
    /// The dependency groups.
    pub groups: &'request [String],
    /// The workspace member to build.
    pub package: Option<&'request str>,
}

/// Tools whose files alone cannot be used, with the command that exports.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("poetry.lock", "Poetry", "poetry export -f requirements.txt -o requirements.txt"),
    ("pdm.lock", "PDM", "pdm export -f pylock -o pylock.toml"),
    ("Pipfile.lock", "Pipenv", "pipenv requirements --hash > requirements.txt"),
    ("Pipfile", "Pipenv", "pipenv lock && pipenv requirements --hash > requirements.txt"),
    ("environment.yml", "conda", "pip list --format=freeze > requirements.txt"),
    ("environment.yaml", "conda", "pip list --format=freeze > requirements.txt"),
];

/// The mark that minke leaves in a lock of its own: `[tool.minke] made-from`.
const MADE_FROM: &str = "made-from";

/// What its lock is for, beside that: two machines' locks lie beside one another.
const MACHINE: &str = "machine";

/// Finds out where a directory writes down what it needs.
///
/// # Errors
/// [`ProjectError`] names the file.
pub(super) fn of_directory(
    root: &Path,
    pyproject: Option<&Pyproject>,
    asked: &Asked<'_>,
) -> Result<Requirements, ProjectError> {
    if root.join("uv.lock").is_file() && pyproject.is_some() {
        return Ok(Requirements::UvLock);
    }
    let first = Kept::read(root, None, None)?;
    if let Some(Kept { text, made_from: None, .. }) = first {
        return Ok(Requirements::Pylock(text));
    }
    let has_file = root.join("requirements.txt").is_file();
    // What is asked for by name stands in a pyproject.toml, even if that says nothing else.
    let by_name = pyproject.is_some() && !(asked.extras.is_empty() && asked.groups.is_empty());
    let (name, source) = match (declares(pyproject), has_file) {
        (Some(source), _) => ("pyproject.toml", source),
        (None, true) => ("requirements.txt", Source::File),
        (None, false) if by_name => ("pyproject.toml", Source::File),
        (None, false) => {
            refuse_foreign(root)?;
            match (pyproject, root.join("setup.py").is_file()) {
                (Some(pyproject), _) if pyproject.project.is_none() && pyproject.is_package() => {
                    ("pyproject.toml", Source::Backend)
                }
                (None, true) => ("setup.py", Source::Backend),
                _ => return nothing(root, pyproject),
            }
        }
    };
    unresolved(root, (name.to_owned(), source), (None, first), asked)
}

/// Takes requirements that are to be resolved, with the lock made of them before.
///
/// # Errors
/// [`ProjectError`] names the file.
pub(super) fn unresolved(
    root: &Path,
    (name, source): (String, Source),
    (stem, first): (Option<&str>, Option<Kept>),
    asked: &Asked<'_>,
) -> Result<Requirements, ProjectError> {
    let here = asked.target.map(|target| target.platform.arch.machine());
    let is_anothers =
        |kept: &Kept| kept.machine.as_deref().zip(here).is_some_and(|(made, here)| made != here);
    let (machine, kept) = match first {
        Some(first) if is_anothers(&first) => (here, Kept::read(root, stem, here)?),
        first => (None, first),
    };
    let lock = Some(lock_name(stem, machine));
    let mut unresolved = Unresolved { name, source, lock, previous: None };
    if let Some(Kept { text, made_from, machine: _ }) = kept {
        let fits = made_from == Some(unresolved.fingerprint(root, asked, &text)?);
        let state = if fits { Freshness::Current } else { Freshness::Outgrown };
        unresolved.previous = Some(Previous { text, state });
    }
    Ok(Requirements::Resolve(unresolved))
}

/// Returns the file that a lock is kept in: the first one of a project has no machine in its name, which keeps it
/// short for who builds for one only.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/pylock-toml/#file-name>
fn lock_name(stem: Option<&str>, machine: Option<&str>) -> String {
    let words: Vec<&str> = stem.into_iter().chain(machine).collect();
    match words.is_empty() {
        true => "pylock.toml".to_owned(),
        false => format!("pylock.{}.toml", words.join("-")),
    }
}

/// Tells who says what a `[project]` table leaves unsaid; none where the table says nothing of dependencies.
fn declares(pyproject: Option<&Pyproject>) -> Option<Source> {
    let project = pyproject?.project.as_ref()?;
    let backend =
        ["dependencies", "optional-dependencies"].into_iter().any(|field| project.dynamic.contains(field));
    match (backend, &project.dependencies) {
        (true, _) => Some(Source::Backend),
        (false, Some(_)) => Some(Source::File),
        (false, None) => None,
    }
}

/// Finds a file of another tool: its name, the tool, and the command that exports.
pub(super) fn foreign(root: &Path) -> Option<(&'static str, &'static str, &'static str)> {
    FOREIGN.iter().copied().find(|(file, _, _)| root.join(file).is_file())
}

fn refuse_foreign(root: &Path) -> Result<(), ProjectError> {
    let found = foreign(root);
    found.map_or(Ok(()), |(file, tool, export)| {
        Err(ProjectError::Foreign { path: root.join(file), tool, export })
    })
}

/// A project without requirements is one all the same if it has a `pyproject.toml` or Python files.
fn nothing(root: &Path, pyproject: Option<&Pyproject>) -> Result<Requirements, ProjectError> {
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

impl Unresolved {
    /// Returns what a lock of these requirements is marked with.
    ///
    /// It covers the requirements' text (without passwords), what was asked for, and what the user's directories
    /// that `lock` names say of their own requirements.
    ///
    /// # Errors
    /// [`ProjectError::Io`].
    pub fn fingerprint(&self, root: &Path, asked: &Asked<'_>, lock: &str) -> Result<Digest, ProjectError> {
        let Asked { target, extras, groups, package: _ } = asked;
        let target = target.map_or_else(|| "a target that is not known yet".to_owned(), Target::to_string);
        let mut said = vec![format!("{target} {extras:?} {groups:?}")];
        said.extend(match &self.source {
            Source::Lines(lines) => lines.clone(),
            Source::Backend => told_by_backend(root)?,
            Source::File if self.name == "requirements.txt" => {
                RequirementFiles::read(&root.join(&self.name))?
                    .texts()
                    .map(|(_, text)| text.to_owned())
                    .collect()
            }
            Source::File if self.name.ends_with(".py") => optional(&root.join(&self.name))?
                .iter()
                .filter_map(|text| Some(block(text)?.trim_start().to_owned()))
                .collect(),
            Source::File => optional(&root.join(&self.name))?.iter().map(|text| essence(text)).collect(),
        });
        for directory in pylock::directories(lock) {
            said.extend(told_by_backend(&root.join(directory))?);
        }
        let clean: Vec<_> = said.iter().map(|text| secrets::without(text)).collect();
        Ok(Digest::of(clean.join("\0").as_bytes()))
    }

    /// Returns the hashes that the requirements allow.
    ///
    /// # Errors
    /// [`ProjectError::Io`].
    pub fn hashes(&self, root: &Path) -> Result<Hashes, ProjectError> {
        if self.name != "requirements.txt" {
            return Ok(Hashes::new());
        }
        Ok(RequirementFiles::read(&root.join(&self.name))?.hashes())
    }
}

/// Returns the texts that a backend may have its answer from: its configuration, and the lists of requirements
/// that this names.
fn told_by_backend(root: &Path) -> Result<Vec<String>, ProjectError> {
    let mut told = Vec::new();
    for name in ["pyproject.toml", "setup.cfg", "setup.py"] {
        let Some(text) = optional(&root.join(name))? else { continue };
        let words = text.split(|c: char| c.is_whitespace() || "'\"=,[]()".contains(c));
        let lists = words.filter(|word| word.ends_with(".txt") || word.ends_with(".in"));
        for list in lists {
            told.extend(RequirementFiles::read(&root.join(list))?.texts().map(|(_, text)| text.to_owned()));
        }
        told.push(if name == "pyproject.toml" { essence(&text) } else { text });
    }
    Ok(told)
}

/// Returns what of a `pyproject.toml` requirements can depend on, so that another edit doesn't outgrow a lock.
fn essence(text: &str) -> String {
    let Ok(mut table) = text.parse::<toml::Table>() else { return text.to_owned() };
    let described =
        ["authors", "classifiers", "description", "keywords", "license", "maintainers", "readme", "urls"];
    if let Some(project) = table.get_mut("project").and_then(toml::Value::as_table_mut) {
        project.retain(|key, _| !described.contains(&key));
    }
    if let Some(tools) = table.get_mut("tool").and_then(toml::Value::as_table_mut) {
        // Of other tools only build backends matter, whose names aren't all known: these are known not to.
        let others =
            ["minke", "ruff", "black", "isort", "mypy", "pyright", "pytest", "coverage", "pylint", "tox"];
        tools.retain(|key, _| !others.contains(&key));
    }
    table.retain(|key, _| ["project", "dependency-groups", "build-system", "tool"].contains(&key));
    table.to_string()
}

/// A lock as it lies in a project, and minke's mark in it; a file without that is the user's own.
pub(super) struct Kept {
    text: String,
    made_from: Option<Digest>,
    machine: Option<String>,
}

impl Kept {
    /// Reads a project's lock, of a script or for a machine, if it is there.
    ///
    /// # Errors
    /// [`ProjectError::Io`].
    pub(super) fn read(
        root: &Path,
        stem: Option<&str>,
        machine: Option<&str>,
    ) -> Result<Option<Self>, ProjectError> {
        let Some(text) = optional(&root.join(lock_name(stem, machine)))? else { return Ok(None) };
        let document: Option<DocumentMut> = text.parse().ok();
        let mark =
            |key: &str| Some(document.as_ref()?.get("tool")?.get("minke")?.get(key)?.as_str()?.to_owned());
        let made_from = mark(MADE_FROM).and_then(|digest| digest.parse().ok());
        let machine = mark(MACHINE);
        Ok(Some(Self { text, made_from, machine }))
    }
}

/// Puts minke's mark into the text of a lock for a target.
pub fn marked(text: &str, fingerprint: &Digest, target: &Target) -> String {
    let (text, machine) = (text.trim_end(), target.platform.arch.machine());
    format!("{text}\n\n[tool.minke]\n{MADE_FROM} = \"{fingerprint}\"\n{MACHINE} = \"{machine}\"\n")
}

/// Writes a lock that was made, all of it or nothing.
///
/// # Errors
/// [`ProjectError::Io`].
pub fn write_lock(path: &Path, text: &str) -> Result<(), ProjectError> {
    let io = |source| ProjectError::Io { path: path.to_owned(), source };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary: PathBuf = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&temporary, text).map_err(io)?;
    fs::rename(&temporary, path).map_err(io)
}
