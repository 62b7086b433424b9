//! `pyproject.toml`: what the project says of itself and of how it is built.
//!
//! Tables of other tools are not read, but any can be had as a typed value by [`Pyproject::tool`].
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/pyproject-toml/>,
//! <https://packaging.python.org/en/latest/specifications/dependency-groups/>

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::{Version, VersionSpecifiers};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::lock::{Exact, Specifiers};
use crate::{ExtraName, GroupName, PackageName, Position, Requirement, RequirementError};

/// A `pyproject.toml` that was read.
#[derive(Clone, Debug)]
pub struct Pyproject {
    text: String,
    /// The `[project]` table.
    pub project: Option<Project>,
    /// The `[build-system]` table.
    pub build_system: Option<BuildSystem>,
    /// The names in `[dependency-groups]`.
    pub groups: BTreeSet<GroupName>,
    /// What matters of `[tool.uv]`.
    pub uv: Option<UvTable>,
}

/// The `[project]` table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// The project's name.
    pub name: PackageName,
    /// Its version, unless the build backend says it.
    pub version: Option<Version>,
    /// The fields that the build backend says.
    pub dynamic: BTreeSet<String>,
    /// The Pythons that it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// What it needs; none where the table doesn't say.
    pub dependencies: Option<Vec<Requirement>>,
    /// The extras that it has.
    pub extras: BTreeSet<ExtraName>,
    /// The programs that it has, with their entry points as written.
    pub scripts: BTreeMap<String, String>,
    /// The programs with a window that it has.
    pub gui_scripts: BTreeMap<String, String>,
}

/// The `[build-system]` table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildSystem {
    /// What building needs.
    pub requires: Vec<Requirement>,
    /// The backend, such as `hatchling.build`; setuptools' old one where there is none.
    pub build_backend: Option<String>,
    /// Directories of the project in which the backend is found.
    pub backend_path: Vec<String>,
}

/// What matters of `[tool.uv]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UvTable {
    /// The requirements that come from somewhere else than an index.
    pub sources: BTreeSet<PackageName>,
    /// Whether the project is the root of a workspace.
    pub workspace: bool,
    /// Whether `package = false` says that it isn't to be built in spite of its build system.
    pub virtual_project: bool,
}

/// A `pyproject.toml` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct PyprojectError {
    /// Where.
    pub position: Position,
    /// What is wrong there.
    pub message: String,
}

impl Pyproject {
    /// Reads a `pyproject.toml`.
    ///
    /// # Errors
    /// [`PyprojectError`] for what isn't TOML, and for a name, version or requirement that is none.
    pub fn parse(text: &str) -> Result<Self, PyprojectError> {
        let raw: Raw = toml::from_str(text).map_err(|error| refused(text, &error))?;
        Ok(Self {
            text: text.to_owned(),
            project: raw.project.map(|project| project.read(text)).transpose()?,
            build_system: raw.build_system.map(|system| system.read(text)).transpose()?,
            groups: raw.dependency_groups.into_keys().collect(),
            uv: raw.tool.uv.map(UvTable::from),
        })
    }

    /// Tells whether the project is one that is built into a wheel.
    pub fn is_package(&self) -> bool {
        self.build_system.is_some() && !self.uv.as_ref().is_some_and(|uv| uv.virtual_project)
    }

    /// Reads the table `[tool.NAME]` as a value of the caller's type, none if there is no such table.
    ///
    /// `toml::Spanned` in that type gives byte offsets in the whole text, for [`Position::of_offset`].
    ///
    /// # Errors
    /// [`PyprojectError`] where the type refuses something.
    pub fn tool<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, PyprojectError> {
        let refused = |error| refused(&self.text, &error);
        let document = toml::de::DeTable::parse(&self.text).map_err(refused)?;
        let table = document.get_ref().get("tool").and_then(|tools| tools.get_ref().get(name));
        table
            .map(|table| T::deserialize(toml::de::ValueDeserializer::from(table.clone())))
            .transpose()
            .map_err(refused)
    }
}

fn refused(text: &str, error: &toml::de::Error) -> PyprojectError {
    PyprojectError { position: Position::of_span(text, error.span()), message: error.message().to_owned() }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raw {
    project: Option<RawProject>,
    build_system: Option<RawBuildSystem>,
    #[serde(default)]
    dependency_groups: BTreeMap<GroupName, IgnoredAny>,
    #[serde(default)]
    tool: RawTools,
}

#[derive(Deserialize, Default)]
struct RawTools {
    uv: Option<RawUv>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawProject {
    name: PackageName,
    version: Option<Exact>,
    #[serde(default)]
    dynamic: BTreeSet<String>,
    requires_python: Option<Specifiers>,
    dependencies: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    optional_dependencies: BTreeMap<ExtraName, Vec<Spanned<String>>>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    gui_scripts: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawBuildSystem {
    requires: Vec<Spanned<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

#[derive(Deserialize)]
struct RawUv {
    #[serde(default)]
    sources: BTreeMap<PackageName, IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    workspace: bool,
    #[serde(default = "yes")]
    package: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

fn yes() -> bool {
    true
}

impl RawProject {
    fn read(self, text: &str) -> Result<Project, PyprojectError> {
        // Only their names are asked for, but a mistake is better told here than by uv.
        for optional in self.optional_dependencies.values() {
            requirements(text, optional)?;
        }
        Ok(Project {
            name: self.name,
            version: self.version.map(|Exact(version)| version),
            dynamic: self.dynamic,
            requires_python: self.requires_python.map(|Specifiers(range)| range),
            dependencies: self.dependencies.map(|all| requirements(text, &all)).transpose()?,
            extras: self.optional_dependencies.into_keys().collect(),
            scripts: self.scripts,
            gui_scripts: self.gui_scripts,
        })
    }
}

impl RawBuildSystem {
    fn read(self, text: &str) -> Result<BuildSystem, PyprojectError> {
        Ok(BuildSystem {
            requires: requirements(text, &self.requires)?,
            build_backend: self.build_backend,
            backend_path: self.backend_path,
        })
    }
}

/// Reads requirements here rather than in serde, which would place every mistake at the list's start.
fn requirements(text: &str, list: &[Spanned<String>]) -> Result<Vec<Requirement>, PyprojectError> {
    let read = |item: &Spanned<String>| {
        item.get_ref().parse().map_err(|error: RequirementError| {
            let position = Position::of_offset(text, item.span().start);
            let message = match error {
                RequirementError::Malformed { .. } => error.to_string(),
                RequirementError::Marker { source, .. } => source.to_string(),
            };
            PyprojectError { position, message }
        })
    };
    list.iter().map(read).collect()
}

impl From<RawUv> for UvTable {
    fn from(raw: RawUv) -> Self {
        Self {
            sources: raw.sources.into_keys().collect(),
            workspace: raw.workspace,
            virtual_project: !raw.package,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[project]
name = "My.App"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["flask>=3", "lib"]
dynamic = ["readme"]
[project.optional-dependencies]
Fast_Path = ["orjson"]
[project.scripts]
app = "app:main"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[dependency-groups]
dev = ["pytest", {include-group = "lint"}]
lint = []
[tool.uv]
dev-dependencies = []
[tool.uv.sources]
lib = { path = "lib" }
[tool.uv.workspace]
members = ["a"]
[tool.minke]
base = "trixie"
ports = [8000, "x"]
"#;

    #[test]
    fn a_project_is_read() {
        let pyproject = Pyproject::parse(TEXT).unwrap();
        assert!(pyproject.is_package());
        assert_eq!(
            pyproject.project,
            Some(Project {
                name: "my-app".parse().unwrap(),
                version: Some("1.0".parse().unwrap()),
                dynamic: ["readme".to_owned()].into(),
                requires_python: Some(">=3.11".parse().unwrap()),
                dependencies: Some(vec!["flask>=3".parse().unwrap(), "lib".parse().unwrap()]),
                extras: ["fast-path".parse().unwrap()].into(),
                scripts: [("app".to_owned(), "app:main".to_owned())].into(),
                gui_scripts: BTreeMap::new(),
            })
        );
        assert_eq!(
            pyproject.build_system,
            Some(BuildSystem {
                requires: vec!["hatchling".parse().unwrap()],
                build_backend: Some("hatchling.build".to_owned()),
                backend_path: Vec::new(),
            })
        );
        assert_eq!(pyproject.groups, ["dev", "lint"].map(|name| name.parse().unwrap()).into());
        let sources = ["lib".parse().unwrap()].into();
        assert_eq!(pyproject.uv, Some(UvTable { sources, workspace: true, virtual_project: false }));
    }

    #[test]
    fn an_empty_file_is_a_project_that_says_nothing() {
        let pyproject = Pyproject::parse("").unwrap();
        assert!(!pyproject.is_package());
        assert_eq!((&pyproject.project, &pyproject.uv), (&None, &None));
        assert_eq!(pyproject.tool::<toml::Table>("minke"), Ok(None));
    }

    #[test]
    fn a_virtual_project_is_no_package() {
        let text = "[build-system]\nrequires = []\n[tool.uv]\npackage = false\n";
        assert!(!Pyproject::parse(text).unwrap().is_package());
    }

    #[test]
    fn a_tool_table_is_read_as_the_callers_type_with_places() {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            base: toml::Spanned<String>,
            #[expect(dead_code, reason = "only its type matters")]
            ports: Vec<u16>,
        }
        let pyproject = Pyproject::parse(TEXT).unwrap();
        assert_eq!(
            pyproject.tool::<Settings>("minke").unwrap_err().to_string(),
            "line 26, column 16: invalid type: string \"x\", expected u16"
        );
        let fixed = TEXT.replace(", \"x\"", "");
        let settings = Pyproject::parse(&fixed).unwrap().tool::<Settings>("minke").unwrap().unwrap();
        assert_eq!(Position::of_offset(&fixed, settings.base.span().start).to_string(), "line 25, column 8");
        let unknown = Pyproject::parse(&fixed.replace("base", "bass")).unwrap();
        assert_eq!(
            unknown.tool::<Settings>("minke").unwrap_err().to_string(),
            "line 25, column 1: unknown field `bass`, expected `base` or `ports`"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| Pyproject::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                "[project\n",
                "[project]\nversion = \"1\"\n",
                "[project]\nname = \"a b\"\n",
                "[project]\nname = \"a\"\ndependencies = [\n  \"flask\",\n  \"fl ask\",\n]\n",
                "[project]\nname = \"a\"\ndependencies = [\"flask; os = 'x'\"]\n",
                "[project]\nname = \"a\"\nrequires-python = \"3\"\n",
                "[build-system]\nbuild-backend = \"x\"\n",
            ]
            .map(said)
            .join("\n"),
            @r"
            line 1, column 9: unclosed table, expected `]`
            line 1, column 1: missing field `name`
            line 2, column 8: `a b` is not a name: letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            line 5, column 3: `fl ask` is not a requirement: what follows the name is no version range
            line 3, column 17: `os = 'x'` is not a marker: expected a quoted text or a marker variable at character 1
            line 3, column 19: `3` is not a version range such as `>=3.11`
            line 1, column 1: missing field `requires`
            "
        );
    }
}
