//! `requirements.txt` and the files that it includes, as texts: what they pin by hash, and what they hold.
//!
//! Resolving them is uv's work. Read here is what uv's resolver passes over (`--hash`) and what tells whether a
//! lock is outgrown.
//!
//! Spec: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use minke_python::{PackageName, WheelFileName};

use super::{ProjectError, optional};

/// Requirement files, each once, the including before the included.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequirementFiles(Vec<(PathBuf, String)>);

/// The hashes that a distribution's files may have: `sha256:0123…`, by its name.
pub type Hashes = BTreeMap<PackageName, BTreeSet<String>>;

impl IntoIterator for RequirementFiles {
    type Item = (PathBuf, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl RequirementFiles {
    /// Reads a file, and all that it includes by `-r` and `-c`; those that aren't there are left to uv to complain of.
    ///
    /// # Errors
    /// [`ProjectError::Io`].
    pub fn read(file: &Path) -> Result<Self, ProjectError> {
        let mut files = Self::default();
        let mut pending = vec![file.to_owned()];
        while let Some(path) = pending.pop() {
            if files.0.iter().any(|(seen, _)| *seen == path) {
                continue;
            }
            let Some(text) = optional(&path)? else { continue };
            let included: Vec<_> =
                lines(&text).iter().filter_map(|line| included(line)).map(str::to_owned).collect();
            pending.extend(included.iter().rev().map(|included| beside(&path, included)));
            files.0.push((path, text));
        }
        Ok(files)
    }

    /// Returns the files and their texts.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// Returns the hashes that the files allow, of each distribution that has any.
    pub fn hashes(&self) -> Hashes {
        let mut hashes = Hashes::new();
        for line in self.texts().flat_map(|(_, text)| lines(text)) {
            let found: Vec<_> =
                line.split_whitespace().filter_map(|word| word.strip_prefix("--hash=")).collect();
            if let (false, Some(name)) = (found.is_empty(), name(&line)) {
                hashes.entry(name).or_default().extend(found.into_iter().map(str::to_lowercase));
            }
        }
        hashes
    }
}

/// Returns the path of a file that another one names, without `.` and `..` where it can do without.
fn beside(path: &Path, included: &str) -> PathBuf {
    Path::new(included).components().fold(path.with_file_name(""), |mut place, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if place.file_name().is_some() => _ = place.pop(),
            component => place.push(component),
        }
        place
    })
}

/// Splits a file into its logical lines: without comments, with those that end in `\` joined.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for line in text.lines() {
        let last = lines.last_mut().expect("there is a line from the start");
        let comment = line
            .match_indices('#')
            .find(|(at, _)| line[..*at].chars().last().is_none_or(char::is_whitespace));
        let line = comment.map_or(line, |(at, _)| &line[..at]).trim_end();
        match line.strip_suffix('\\') {
            Some(line) => last.push_str(line),
            None => {
                last.push_str(line);
                lines.push(String::new());
            }
        }
    }
    lines.into_iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Returns the path of the file that a line includes, unless it is an address.
fn included(line: &str) -> Option<&str> {
    let value = ["--requirement", "--constraint", "-r", "-c"].into_iter().find_map(|flag| {
        let rest = line.strip_prefix(flag)?;
        // `-rfile` is `-r file`; a long flag wants a separator.
        (flag.len() == 2 || rest.starts_with([' ', '\t', '=']))
            .then(|| rest.trim_start_matches([' ', '\t', '=']))
    })?;
    (!value.is_empty() && !value.contains("://")).then_some(value)
}

/// Returns the name of the distribution that a line asks for, from a wheel's file name where it names a file.
fn name(line: &str) -> Option<PackageName> {
    let first = line.split_whitespace().next()?;
    if let Some(wheel) = first.split(['#', '?']).next().filter(|path| path.ends_with(".whl")) {
        let name = wheel.rsplit('/').next()?.parse::<WheelFileName>().ok()?;
        return Some(name.name().clone());
    }
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
    line[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        let text =
            "a==1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:11  # two\n# none\n\nb @ http://host.test/#x\n";
        assert_eq!(lines(text), ["a==1   --hash=sha256:00   --hash=sha256:11", "b @ http://host.test/#x"]);
    }

    #[test]
    fn included_files_are_read_once_and_relative_to_their_own_place() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("requirements.txt", "-rsub/a.txt\n--constraint=c.txt\n-r https://host.test/r.txt\n-r gone.txt");
        write("sub/a.txt", "-r b.txt\n-r ../c.txt");
        write("sub/b.txt", "x");
        write("c.txt", "y");
        let files = RequirementFiles::read(&root.path().join("requirements.txt")).unwrap();
        let names: Vec<_> =
            files.texts().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
        insta::assert_snapshot!(names.join(" "), @"requirements.txt a.txt b.txt c.txt");
    }

    #[test]
    fn hashes_are_those_of_every_line_of_a_name() {
        let text = "Toy.App[more]>=1; python_version > '3' --hash=sha256:AA\ntoy_app --hash=sha256:bb\nfree\n\
            ./w/toy_b-1-py3-none-any.whl --hash=sha256:cc";
        let files = RequirementFiles(vec![("r.txt".into(), text.to_owned())]);
        let lines: Vec<_> =
            files.hashes().into_iter().map(|(name, hashes)| format!("{name} {hashes:?}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        toy-app {"sha256:aa", "sha256:bb"}
        toy-b {"sha256:cc"}
        "#);
    }
}
