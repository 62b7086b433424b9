//! The project's directory: what it is, what it asks for, and which of its files are wanted.
//!
//! This module and those below it are the one door to the project's files.

pub mod ignore;
pub mod left_out;
mod notes;
pub mod requirement_files;
mod requirements;
pub mod runs;
mod scan;
mod script;
pub mod sources;
mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minke_cas::Digest;
use minke_python::{Pyproject, PyprojectError, VersionSpecifiers};

use self::requirement_files::RequirementFiles;
use crate::secrets;
use crate::settings::{Origin, SettingsError, Wishes};

pub use requirements::{Asked, Freshness, Previous, Requirements, Source, Unresolved, marked, write_lock};

/// What was read as a project.
#[derive(Debug)]
pub struct Project {
    /// Its directory: the workspace member's, where one is built.
    pub root: PathBuf,
    /// Where its lock lies and the lock's relative paths begin: the workspace's root, or its own directory.
    pub lock_root: PathBuf,
    /// The workspace member that it is, by name.
    pub member: Option<String>,
    /// What it is.
    pub shape: Shape,
    /// Its `pyproject.toml`, if it has one.
    pub pyproject: Option<Pyproject>,
    /// The Pythons that it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// Where what it needs is written down.
    pub requirements: Requirements,
    /// The text of its Procfile, if it has one.
    pub procfile: Option<String>,
}

/// What a project is, and so what of it goes into the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// It is built into a wheel, which is installed.
    Package,
    /// Its files are copied.
    Files,
    /// It is one file, of this name in its directory.
    Script(String),
    /// It is only a requirement, for the distribution of this name.
    Requirement(String),
}

/// A project's directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It isn't there, or is neither a directory nor a Python file.
    #[error("`{}` is neither a directory nor a Python file", path.display())]
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
    /// The workspace has no such member.
    #[error("`{}` has no workspace member `{package}`; {}", root.display(), having(known))]
    NoMember {
        /// The workspace.
        root: PathBuf,
        /// What was asked for.
        package: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A workspace whose root is no project, and no member was chosen.
    #[error("`{}` is a workspace of {}, and it isn't said which of them to build", root.display(), known.join(", "))]
    Workspace {
        /// The workspace.
        root: PathBuf,
        /// What there is.
        known: Vec<String>,
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
    /// A script's block of metadata isn't right.
    #[error("the `# /// script` block of `{}` is not right", path.display())]
    Block {
        /// The script.
        path: PathBuf,
        /// Where in the block, and why.
        source: toml::de::Error,
    },
    /// What was asked for is no requirement.
    #[error("`{text}` is no requirement such as `ipython>=9`")]
    Requirement {
        /// What was given, without secrets.
        text: String,
    },
    /// The settings in it aren't right.
    #[error("cannot read the settings")]
    Settings(#[source] SettingsError),
}

/// Reads the settings that a project's files hold: `[tool.minke]`, then `minke.toml` over it.
///
/// # Errors
/// [`ProjectError`] names the file.
pub fn wishes(root: &Path) -> Result<Vec<(Origin, Wishes)>, ProjectError> {
    let mut places = Vec::new();
    if root.is_file() {
        let block = optional(root)?.as_deref().and_then(script::block).unwrap_or_default();
        let wishes = Wishes::from_pyproject(root, &block).map_err(ProjectError::Settings)?;
        let name = PathBuf::from(root.file_name().unwrap_or_default());
        return Ok(wishes.map(|wishes| (Origin::File(name), wishes)).into_iter().collect());
    }
    // Said here, since this is read first: nothing is fetched for a project that isn't there.
    if !root.is_dir() {
        return Err(ProjectError::NotADirectory { path: root.to_owned() });
    }
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

/// Returns the files in which a project names addresses that may have a password; what can't be read is left out.
pub fn texts_with_addresses(root: &Path) -> Vec<(PathBuf, String)> {
    let around = workspace::around(root).ok().flatten().map(|(root, _)| root);
    let mut texts = Vec::new();
    for root in around.iter().map(PathBuf::as_path).chain([root]) {
        let files =
            ["pyproject.toml", "uv.toml", "uv.lock", "pylock.toml"].into_iter().map(|name| root.join(name));
        texts.extend(files.filter_map(|path| Some((path.clone(), optional(&path).ok().flatten()?))));
        texts.extend(RequirementFiles::read(&root.join("requirements.txt")).unwrap_or_default());
    }
    texts
}

/// Returns the digests of the texts that a `uv.lock` is checked against: its own, uv's settings, and what the
/// directories that it names say of themselves. Passwords don't count.
///
/// # Errors
/// [`ProjectError::Io`].
pub fn uv_lock_texts(root: &Path) -> Result<Vec<(String, Option<Digest>)>, ProjectError> {
    let lock = optional(&root.join("uv.lock"))?.unwrap_or_default();
    let mut files: Vec<String> = ["uv.lock", "pyproject.toml", "uv.toml"].map(str::to_owned).into();
    let sources = ["editable", "directory", "virtual"];
    for line in lock.lines().filter_map(|line| line.trim().strip_prefix("source = { ")) {
        let quoted = |kind: &str| line.strip_prefix(kind)?.strip_prefix(" = \"")?.split('"').next();
        let directory = sources.iter().find_map(|kind| quoted(kind));
        let told = ["pyproject.toml", "setup.cfg", "setup.py"];
        files.extend(directory.iter().flat_map(|at| told.iter().map(move |name| format!("{at}/{name}"))));
    }
    let digest = |file: String| {
        let text = optional(&root.join(&file))?;
        Ok((file, text.map(|text| Digest::of(secrets::without(&text).as_bytes()))))
    };
    files.into_iter().map(digest).collect()
}

/// Returns those of a project's texts that have passwords in addresses, without them: this is what may be kept.
pub fn texts_without_secrets(root: &Path) -> BTreeMap<String, String> {
    let texts = texts_with_addresses(root).into_iter().filter(|(_, text)| secrets::are_in(text));
    texts
        .filter_map(|(path, text)| {
            Some((path.strip_prefix(root).ok()?.to_str()?.to_owned(), secrets::without(&text)))
        })
        .collect()
}

impl Project {
    /// Takes a requirement for a project that has nothing else; its relative paths begin at `root`.
    ///
    /// # Errors
    /// [`ProjectError::Requirement`].
    pub fn of_requirement(text: &str, root: &Path) -> Result<Self, ProjectError> {
        script::requirement(text, root)
    }

    /// Reads a directory, or a script, as a project.
    ///
    /// # Errors
    /// [`ProjectError`] names the file.
    pub fn read(root: &Path, asked: &Asked<'_>) -> Result<Self, ProjectError> {
        if root.is_file() && root.extension().is_some_and(|extension| extension == "py") {
            return script::script(root, asked);
        }
        if !root.is_dir() {
            return Err(ProjectError::NotADirectory { path: root.to_owned() });
        }
        let Place { root, lock_root, member } = Place::find(root, asked.package)?;
        let path = root.join("pyproject.toml");
        let text = optional(&path)?;
        let pyproject = text.as_deref().map(Pyproject::parse).transpose();
        let pyproject = pyproject.map_err(|source| ProjectError::Pyproject { path, source })?;
        let requirements = match &member {
            Some(_) if lock_root.join("uv.lock").is_file() => Requirements::UvLock,
            _ => requirements::of_directory(&root, pyproject.as_ref(), asked)?,
        };
        // Without a pyproject.toml, a setup.py is believed only where nothing else says what is needed.
        let by_setup =
            matches!(&requirements, Requirements::Resolve(unresolved) if unresolved.name == "setup.py");
        let is_package = by_setup || pyproject.as_ref().is_some_and(Pyproject::is_package);
        let shape = if is_package { Shape::Package } else { Shape::Files };
        let procfile = optional(&root.join("Procfile"))?;
        let declared = pyproject.as_ref().and_then(|pyproject| pyproject.project.as_ref());
        let requires_python = declared.and_then(|declared| declared.requires_python.clone());
        let lock_root = if requirements == Requirements::UvLock { lock_root } else { root.clone() };
        Ok(Self { root, lock_root, member, shape, pyproject, requires_python, requirements, procfile })
    }

    /// Tells whether the project is built into a wheel, rather than copied.
    pub fn is_package(&self) -> bool {
        self.shape == Shape::Package
    }

    /// Finds a lock whose format minke doesn't read, and the command that exports it.
    pub fn unread_lock(&self) -> Option<(&'static str, &'static str)> {
        let is_directory = matches!(self.shape, Shape::Package | Shape::Files);
        requirements::foreign(&self.root)
            .filter(|(file, _, _)| is_directory && file.ends_with(".lock"))
            .map(|(file, _, export)| (file, export))
    }

    /// Tells whether a directory that the lock names is the project's own.
    pub fn is_here(&self, directory: &Path) -> bool {
        let place = self.lock_root.join(directory);
        match (place.canonicalize(), self.root.canonicalize()) {
            (Ok(place), Ok(root)) => place == root,
            _ => false,
        }
    }

    /// Returns what the project is called: by its metadata, else by its directory.
    pub fn name(&self) -> String {
        let declared = self.pyproject.as_ref().and_then(|pyproject| pyproject.project.as_ref());
        match &self.shape {
            Shape::Script(name) => as_name(script::stem(name)),
            Shape::Requirement(name) => name.clone(),
            Shape::Package | Shape::Files => {
                declared.map_or_else(|| directory_name(&self.root), |project| project.name.to_string())
            }
        }
    }
}

/// Where a project and its lock lie.
struct Place {
    root: PathBuf,
    lock_root: PathBuf,
    member: Option<String>,
}

impl Place {
    fn find(root: &Path, package: Option<&str>) -> Result<Self, ProjectError> {
        let own = || Self { root: root.to_owned(), lock_root: root.to_owned(), member: None };
        let (lock_root, members) = match workspace::members(root)? {
            Some(members) => (root.to_owned(), members),
            None => match (workspace::around(root)?, package) {
                (Some((lock_root, name)), None) => {
                    return Ok(Self { root: root.to_owned(), lock_root, member: Some(name) });
                }
                (Some((lock_root, _)), Some(_)) => {
                    let members = workspace::members(&lock_root)?.unwrap_or_default();
                    (lock_root, members)
                }
                (None, _) => (root.to_owned(), BTreeMap::new()),
            },
        };
        let known = || members.keys().cloned().collect();
        match package {
            Some(package) => match members.get(&package.replace(['_', '.'], "-").to_lowercase()) {
                Some(place) => Ok(Self { root: place.clone(), lock_root, member: Some(package.to_owned()) }),
                None => Err(ProjectError::NoMember {
                    root: lock_root,
                    package: package.to_owned(),
                    known: known(),
                }),
            },
            None if members.is_empty() || members.values().any(|place| place == root) => Ok(own()),
            None => Err(ProjectError::Workspace { root: root.to_owned(), known: known() }),
        }
    }
}

fn having(members: &[String]) -> String {
    match members {
        [] => "it has none".to_owned(),
        members => format!("it has {}", members.join(", ")),
    }
}

/// A directory's name as an image may be called.
fn directory_name(root: &Path) -> String {
    let absolute = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    as_name(&absolute.file_name().unwrap_or_default().to_string_lossy())
}

/// Makes an image's name of a file's.
fn as_name(name: &str) -> String {
    let name = name.to_lowercase();
    let words: Vec<_> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "app".to_owned() } else { words.join("-") }
}

/// Reads a file of the project's, none if it isn't there.
///
/// # Errors
/// [`ProjectError::Io`].
pub fn optional(path: &Path) -> Result<Option<String>, ProjectError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // In what is no directory there is no file; that it is none is said by who reads the project.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(ProjectError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use minke_python::{Arch, Libc, Platform, PythonVersion, Target};

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<(String, Requirements), String> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("My App_1");
        fs::create_dir(&root).unwrap();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        let shown = root.display().to_string();
        Project::read(&root, &ASKED)
            .map(|project| (project.name(), project.requirements))
            .map_err(|error| error.to_string().replace(&shown, "ROOT"))
    }

    const HERE: Target = on(Arch::X86_64);

    const ASKED: Asked<'_> = Asked { target: Some(&HERE), extras: &[], groups: &[], package: None };

    const fn on(arch: Arch) -> Target {
        let python = PythonVersion { major: 3, minor: 13, patch: Some(5) };
        Target { python, platform: Platform { arch, libc: Libc::Glibc { major: 2, minor: 41 } } }
    }

    fn kind(files: &[(&str, &str)]) -> String {
        match read(files).unwrap().1 {
            Requirements::UvLock => "uv.lock".to_owned(),
            Requirements::Pylock(_) => "pylock.toml".to_owned(),
            Requirements::Resolve(Unresolved { name, source, previous, .. }) => {
                format!("{name} {source:?} {:?}", previous.map(|previous| previous.state))
            }
            Requirements::Nothing => "nothing".to_owned(),
        }
    }

    const DEPENDS: (&str, &str) =
        ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = ['y']");
    const DYNAMIC: (&str, &str) =
        ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndynamic = ['dependencies']");
    const LEGACY: (&str, &str) = ("pyproject.toml", "[build-system]\nrequires = ['setuptools']");
    const BARE: (&str, &str) = ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'");

    #[test]
    fn requirements_are_found_where_they_are() {
        assert_eq!(kind(&[DEPENDS, ("uv.lock", "")]), "uv.lock");
        assert_eq!(kind(&[DEPENDS, ("pylock.toml", "lock-version = '1.0'")]), "pylock.toml");
        assert_eq!(kind(&[DEPENDS, ("requirements.txt", "z")]), "pyproject.toml File None");
        assert_eq!(kind(&[BARE, ("requirements.txt", "z")]), "requirements.txt File None");
        assert_eq!(kind(&[BARE]), "nothing");
        assert_eq!(kind(&[DYNAMIC, ("requirements.txt", "z")]), "pyproject.toml Backend None");
        assert_eq!(kind(&[LEGACY, ("setup.py", "")]), "pyproject.toml Backend None");
        assert_eq!(kind(&[("setup.py", "")]), "setup.py Backend None");
        assert_eq!(kind(&[("setup.py", ""), ("requirements.txt", "z")]), "requirements.txt File None");
        assert_eq!(kind(&[("main.py", "")]), "nothing");
    }

    #[test]
    fn a_lock_that_minke_made_is_used_until_what_it_was_made_from_changes() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            fs::write(root.path().join(name), text).unwrap();
        };
        let extras = ["web".to_owned()];
        let read = |asked: Asked<'_>| match Project::read(root.path(), &asked).unwrap().requirements {
            Requirements::Resolve(unresolved) => unresolved,
            other => panic!("{other:?} is not to be resolved"),
        };
        let state = |asked| read(asked).previous.unwrap().state;
        let with_web = Asked { extras: &extras, ..ASKED };
        write("requirements.txt", "-r more.txt\n./lib\n");
        write("more.txt", "six\n");
        write("lib/pyproject.toml", "[project]\nname = 'lib'\nversion = '1'\ndescription = 'one'\n");
        let lock = "lock-version = '1.0'\n[[packages]]\nname = 'lib'\ndirectory = { path = 'lib' }\n";
        let mark = |asked| {
            let fingerprint = read(asked).fingerprint(root.path(), &asked, lock).unwrap();
            marked(lock, &fingerprint, asked.target.unwrap())
        };
        write("pylock.toml", &mark(ASKED));
        assert_eq!((state(ASKED), state(with_web)), (Freshness::Current, Freshness::Outgrown));
        write("lib/pyproject.toml", "[project]\nname = 'lib'\nversion = '1'\ndescription = 'two'\n");
        assert_eq!(state(ASKED), Freshness::Current);
        write("lib/pyproject.toml", "[project]\nname = 'lib'\nversion = '1'\ndependencies = ['idna']\n");
        assert_eq!(state(ASKED), Freshness::Outgrown);
        write("pylock.toml", &mark(ASKED));
        write("more.txt", "six>1\n");
        assert_eq!(state(ASKED), Freshness::Outgrown);
    }

    #[test]
    fn another_machines_lock_lies_beside_the_first() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("requirements.txt", "six\n");
        write("tool.py", "# /// script\n# dependencies = ['six']\n# ///\n");
        let there = on(Arch::Aarch64);
        let other = Asked { target: Some(&there), ..ASKED };
        let lock =
            |name: &str, asked| match Project::read(&root.path().join(name), &asked).unwrap().requirements {
                Requirements::Resolve(Unresolved { lock, previous, .. }) => {
                    (lock.unwrap(), previous.map(|lock| lock.state))
                }
                other => panic!("{other:?} is not to be resolved"),
            };
        let named = |name: &str| (name.to_owned(), None);
        assert_eq!([lock("", ASKED), lock("", other)], ["pylock.toml", "pylock.toml"].map(named));
        let text = marked("lock-version = '1.0'\n", &Digest::of(b"six"), &there);
        write("pylock.toml", &text);
        write("pylock.tool.toml", &text);
        let outgrown = |name: &str| (name.to_owned(), Some(Freshness::Outgrown));
        assert_eq!(
            [lock("", ASKED), lock("", other)],
            [named("pylock.x86_64.toml"), outgrown("pylock.toml")]
        );
        let scripts = [lock("tool.py", ASKED), lock("tool.py", other)];
        assert_eq!(scripts, [named("pylock.tool-x86_64.toml"), outgrown("pylock.tool.toml")]);
    }

    #[test]
    fn a_lock_of_another_tool_beside_requirements_is_passed_over_but_seen() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [("requirements.txt", "six"), ("poetry.lock", "")] {
            fs::write(root.path().join(name), text).unwrap();
        }
        let project = Project::read(root.path(), &ASKED).unwrap();
        assert_eq!(project.unread_lock().unwrap().0, "poetry.lock");
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
