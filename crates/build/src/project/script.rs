//! What is less than a directory: one file that says itself what it needs, or only a requirement.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/inline-script-metadata/>

use std::path::Path;

use minke_python::{PackageName, Pyproject, Requirement, VersionSpecifiers, WheelFileName};
use serde::Deserialize;

use super::requirements::{Kept, unresolved};
use super::{Asked, Project, ProjectError, Requirements, Shape, Source, Unresolved, optional};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Block {
    requires_python: Option<VersionSpecifiers>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Reads a Python file as a project of its own.
///
/// # Errors
/// [`ProjectError`] names the file.
pub(super) fn script(path: &Path, asked: &Asked<'_>) -> Result<Project, ProjectError> {
    let text = optional(path)?.unwrap_or_default();
    let wrong = |source| ProjectError::Block { path: path.to_owned(), source };
    let block = block(&text).map(|text| toml::from_str::<Block>(&text)).transpose().map_err(wrong)?;
    let root = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let requirements = match &block {
        Some(block) if !block.dependencies.is_empty() => {
            // The name of a lock beside others may have no dot in it.
            let stem: String = stem(&name).chars().map(|c| if c == '.' { '-' } else { c }).collect();
            unresolved(
                root,
                (name.clone(), Source::File),
                (Some(&stem), Kept::read(root, Some(&stem), None)?),
                asked,
            )?
        }
        _ => Requirements::Nothing,
    };
    let requires_python = block.and_then(|block| block.requires_python);
    Ok(lone(root, Shape::Script(name), (requirements, requires_python)))
}

/// Takes a requirement for a project that has nothing else; its relative paths begin at `root`.
///
/// `-r FILE`, as it stands in requirement files, is one too, called as the file is.
///
/// # Errors
/// [`ProjectError::Requirement`].
pub(super) fn requirement(text: &str, root: &Path) -> Result<Project, ProjectError> {
    let of_file =
        text.strip_prefix("-r ").and_then(|file| Path::new(file).file_stem()?.to_str()?.parse().ok());
    let name = of_file.or_else(|| name(text));
    let name = name.ok_or_else(|| ProjectError::Requirement { text: crate::secrets::without(text) })?;
    let source = Source::Lines(vec![text.to_owned()]);
    let requirements = Unresolved { name: text.to_owned(), source, lock: None, previous: None };
    let requirements = Requirements::Resolve(Unresolved { name: name.to_string(), ..requirements });
    Ok(lone(root, Shape::Requirement(name.to_string()), (requirements, None)))
}

fn lone(
    root: &Path,
    shape: Shape,
    (requirements, requires_python): (Requirements, Option<VersionSpecifiers>),
) -> Project {
    Project {
        root: root.to_owned(),
        lock_root: root.to_owned(),
        member: None,
        shape,
        pyproject: None::<Pyproject>,
        requires_python,
        requirements,
        procfile: None,
    }
}

fn name(requirement: &str) -> Option<PackageName> {
    let wheel = requirement.rsplit('/').next().and_then(|file| file.parse::<WheelFileName>().ok());
    let named = || Some(requirement.parse::<Requirement>().ok()?.name);
    wheel.map(|wheel| wheel.name().clone()).or_else(named)
}

/// Returns a file's name without its suffix.
pub(super) fn stem(name: &str) -> &str {
    name.strip_suffix(".py").unwrap_or(name)
}

/// Returns the TOML of a script's `# /// script` block, if it has one, after as many empty lines as stand before it in
/// the file: errors name the file's lines.
pub(super) fn block(text: &str) -> Option<String> {
    let before = text.lines().position(|line| line.trim_end() == "# /// script")? + 1;
    let mut lines = text.lines().skip(before);
    let mut block = "\n".repeat(before);
    loop {
        let line = lines.next()?;
        if line.trim_end() == "# ///" {
            return Some(block);
        }
        let content = line.strip_prefix("# ").or_else(|| line.strip_prefix('#'))?;
        block.push_str(content);
        block.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_stands_between_its_marks() {
        let script = "#!/usr/bin/env python\n# /// script\n# dependencies = [\n#   'six',\n# ]\n#\n# ///\nimport six\n";
        assert_eq!(block(script).unwrap(), "\n\ndependencies = [\n  'six',\n]\n\n");
        assert_eq!(block("# /// script\n# x = 1\nimport six\n# ///"), None);
        assert_eq!(block("# /// other\n# ///"), None);
    }

    #[test]
    fn a_requirement_is_called_as_its_distribution() {
        let named = |text: &str| requirement(text, Path::new("/")).map(|project| project.name());
        assert_eq!(named("IPython[notebook]>=9; python_version > '3'").unwrap(), "ipython");
        assert_eq!(named("./dist/toy_app-1-py3-none-any.whl").unwrap(), "toy-app");
        assert_eq!(named("-r /srv/requirements.txt").unwrap(), "requirements");
        let error = named("https://me:secret@host.test/x.zip").unwrap_err();
        insta::assert_snapshot!(error, @"`https://host.test/x.zip` is no requirement such as `ipython>=9`");
    }
}
