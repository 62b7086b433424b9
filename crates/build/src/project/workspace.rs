//! uv's workspaces: several projects under one `uv.lock`, of which one is built.
//!
//! Spec: <https://docs.astral.sh/uv/concepts/projects/workspaces/>

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::Glob;
use minke_python::Pyproject;
use serde::Deserialize;

use super::{ProjectError, optional};

/// How many directories `**` is followed down.
const DEEPEST: usize = 8;

#[derive(Deserialize)]
struct UvTable {
    workspace: Option<Table>,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

/// Returns the directories of a workspace's members by name, its root too if that is a project; none if a directory
/// is no workspace's root.
///
/// # Errors
/// [`ProjectError`] names the `pyproject.toml` that cannot be read.
pub(super) fn members(root: &Path) -> Result<Option<BTreeMap<String, PathBuf>>, ProjectError> {
    let Some(pyproject) = read(root)? else { return Ok(None) };
    let wrong = |source| ProjectError::Pyproject { path: root.join("pyproject.toml"), source };
    let table = pyproject.tool::<UvTable>("uv").map_err(wrong)?.and_then(|uv| uv.workspace);
    let Some(Table { members, exclude }) = table else { return Ok(None) };
    let excluded: Vec<_> = exclude.iter().flat_map(|pattern| matches(root, pattern)).collect();
    let mut found = BTreeMap::new();
    let places = members.iter().flat_map(|pattern| matches(root, pattern));
    for place in places.filter(|place| !excluded.contains(place)).chain([root.to_owned()]) {
        let project = read(&place)?.and_then(|pyproject| pyproject.project);
        found.extend(project.map(|project| (project.name.to_string(), place)));
    }
    Ok(Some(found))
}

/// Finds the workspace with a `uv.lock` that a directory is a member of: its root, and the member's name.
///
/// # Errors
/// As [`members`].
pub(super) fn around(directory: &Path) -> Result<Option<(PathBuf, String)>, ProjectError> {
    let Ok(directory) = directory.canonicalize() else { return Ok(None) };
    for root in directory.ancestors().skip(1) {
        if !root.join("uv.lock").is_file() {
            continue;
        }
        let found =
            members(root)?.and_then(|members| members.into_iter().find(|(_, place)| *place == directory));
        if let Some((name, _)) = found {
            return Ok(Some((root.to_owned(), name)));
        }
    }
    Ok(None)
}

fn read(directory: &Path) -> Result<Option<Pyproject>, ProjectError> {
    let path = directory.join("pyproject.toml");
    let text = optional(&path)?;
    let parsed = text.as_deref().map(Pyproject::parse).transpose();
    parsed.map_err(|source| ProjectError::Pyproject { path, source })
}

/// Returns the directories that a pattern matches, in order; it may not lead out of the root.
fn matches(root: &Path, pattern: &str) -> Vec<PathBuf> {
    Path::new(pattern).components().fold(vec![root.to_owned()], |places, component| {
        let Component::Normal(part) = component else { return places };
        let part = part.to_string_lossy();
        if part == "**" {
            return places.iter().flat_map(|place| below(place, DEEPEST)).collect();
        }
        let Ok(glob) = Glob::new(&part) else { return Vec::new() };
        let glob = glob.compile_matcher();
        let fits = |place: &PathBuf| place.file_name().is_some_and(|name| glob.is_match(name));
        places.iter().flat_map(|place| directories(place)).filter(fits).collect()
    })
}

fn below(place: &Path, depth: usize) -> Vec<PathBuf> {
    let deeper = if depth == 0 { Vec::new() } else { directories(place) };
    let visible = deeper
        .into_iter()
        .filter(|place| place.file_name().is_none_or(|name| name.as_encoded_bytes()[0] != b'.'));
    let mut found: Vec<_> = visible.flat_map(|place| below(&place, depth - 1)).collect();
    found.insert(0, place.to_owned());
    found
}

fn directories(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(table: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pyproject.toml", &format!("[tool.uv.workspace]\n{table}"));
        write("uv.lock", "");
        for name in ["a/one", "a/two", "a/b/three"] {
            let project = format!("[project]\nname = '{}'\nversion = '1'", name.rsplit('/').next().unwrap());
            write(&format!("{name}/pyproject.toml"), &project);
        }
        root
    }

    fn names(table: &str) -> String {
        let root = workspace(table);
        let members = members(root.path()).unwrap().unwrap();
        members.into_keys().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_are_what_the_patterns_match() {
        assert_eq!(names("members = ['a/*']"), "one two");
        assert_eq!(names("members = ['a/*']\nexclude = ['a/t*']"), "one");
        assert_eq!(names("members = ['a/**', 'a/one']"), "one three two");
        assert_eq!(names("members = ['a/two']"), "two");
    }

    #[test]
    fn a_member_finds_its_workspace() {
        let root = workspace("members = ['a/*']");
        let (found, name) = around(&root.path().join("a/one")).unwrap().unwrap();
        assert_eq!((found, name.as_str()), (root.path().canonicalize().unwrap(), "one"));
        assert_eq!(around(&root.path().join("a/b/three")).unwrap(), None);
    }
}
