//! Changes a source distribution's files by the user's unified diffs, as `patch -p1` does but without guessing.
//!
//! The lines that a diff names must be there as they are; only where they stand may differ. Files can be made and taken
//! away, not renamed.
//!
//! Spec: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/patch.html>

use std::iter::Peekable;
use std::ops::Range;

use minke_cas::{File, ImagePath, Mode, PathError, Store, StoreError, Tree, TreeError};

/// A diff cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It isn't a unified diff.
    #[error("line {line} is not of a unified diff")]
    Malformed {
        /// Where, from one.
        line: usize,
    },
    /// It changes nothing.
    #[error("it is empty, or no unified diff")]
    Empty,
    /// It names a file in a way that isn't one.
    #[error("`{name}` is no file's name")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: PathError,
    },
    /// What it changes isn't there.
    #[error("there is no `{path}`")]
    Missing {
        /// Which.
        path: ImagePath,
    },
    /// The lines that it expects aren't there.
    #[error("`{path}` has not the lines that it changes at line {line}")]
    Context {
        /// Which file.
        path: ImagePath,
        /// Where they should be.
        line: usize,
    },
    /// What it makes cannot be placed.
    #[error("cannot place `{path}`")]
    Place {
        /// Which.
        path: ImagePath,
        /// What is in the way.
        source: TreeError,
    },
    /// The cache failed.
    #[error("cannot keep the changed files")]
    Store(#[from] StoreError),
}

/// The changes of one file.
struct Change<'diff> {
    before: Option<ImagePath>,
    after: Option<ImagePath>,
    hunks: Vec<Hunk<'diff>>,
}

/// Lines that stand in the place of others; each with its end.
#[derive(Default)]
struct Hunk<'diff> {
    /// Where the old ones begin, from one.
    line: usize,
    old: Vec<&'diff [u8]>,
    new: Vec<&'diff [u8]>,
}

/// Returns the files with a diff's changes.
///
/// # Errors
/// [`PatchError`]; nothing is changed then.
pub(super) fn patched(store: &Store, tree: &Tree, diff: &str) -> Result<Tree, PatchError> {
    let mut tree = tree.clone();
    let changes = parse(diff)?;
    if changes.is_empty() {
        return Err(PatchError::Empty);
    }
    for Change { before, after, hunks } in changes {
        let file = match &before {
            Some(path) => {
                let missing = || PatchError::Missing { path: path.clone() };
                Some(tree.resolve_file(path).cloned().ok_or_else(missing)?)
            }
            None => None,
        };
        let bytes = file.as_ref().map(|file| store.read_file(file)).transpose()?.unwrap_or_default();
        let Some(path) = after else {
            before.and_then(|path| tree.remove(&path));
            continue;
        };
        let bytes = changed(&bytes, &hunks, &path)?;
        let mode = file.map_or(Mode::REGULAR, |file| file.mode);
        let file = File::new(store.put(&bytes)?, bytes.len() as u64, mode);
        tree.replace(&path, file.into()).map_err(|source| PatchError::Place { path, source })?;
    }
    Ok(tree)
}

/// Returns a file's bytes with all hunks.
fn changed(bytes: &[u8], hunks: &[Hunk<'_>], path: &ImagePath) -> Result<Vec<u8>, PatchError> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut result: Vec<&[u8]> = Vec::new();
    let mut done = 0;
    for hunk in hunks {
        let place = place(&lines, hunk, done);
        let place = place.ok_or_else(|| PatchError::Context { path: path.clone(), line: hunk.line })?;
        result.extend(&lines[done..place.start]);
        result.extend(&hunk.new);
        done = place.end;
    }
    result.extend(&lines[done..]);
    Ok(result.concat())
}

/// Returns where a hunk's old lines are, behind what is done, nearest to where they should be.
fn place(lines: &[&[u8]], hunk: &Hunk<'_>, done: usize) -> Option<Range<usize>> {
    let count = hunk.old.len();
    // Where nothing is taken away, the line before is named.
    let wanted = if count == 0 { hunk.line } else { hunk.line.saturating_sub(1) };
    let last = lines.len().checked_sub(count)?;
    let is_there = |start: &usize| lines.get(*start..start + count) == Some(&hunk.old[..]);
    let start = (done..=last).filter(is_there).min_by_key(|start| start.abs_diff(wanted))?;
    Some(start..start + count)
}

fn parse(diff: &str) -> Result<Vec<Change<'_>>, PatchError> {
    let mut lines = diff.split_inclusive('\n').zip(1..).peekable();
    let mut changes = Vec::new();
    while let Some((line, number)) = lines.next() {
        // Whatever else stands between files is prose.
        let Some(before) = line.strip_prefix("--- ") else { continue };
        let Some(after) = lines.behind("+++ ") else { continue };
        let mut change = Change { before: named(before)?, after: named(after)?, hunks: Vec::new() };
        while let Some(header) = lines.behind("@@ -") {
            change.hunks.push(hunk(header, &mut lines, number)?);
        }
        if change.hunks.is_empty() || (change.before.is_none() && change.after.is_none()) {
            return Err(PatchError::Malformed { line: number });
        }
        changes.push(change);
    }
    Ok(changes)
}

/// Lines with their numbers.
trait Lines<'diff> {
    /// Takes the next line if it begins with a prefix, and returns what follows that.
    fn behind(&mut self, prefix: &str) -> Option<&'diff str>;
}

impl<'diff, I: Iterator<Item = (&'diff str, usize)>> Lines<'diff> for Peekable<I> {
    fn behind(&mut self, prefix: &str) -> Option<&'diff str> {
        self.next_if(|(line, _)| line.starts_with(prefix)).and_then(|(line, _)| line.strip_prefix(prefix))
    }
}

/// Reads `a/setup.py`, with a time behind it or without; none for `/dev/null`.
fn named(text: &str) -> Result<Option<ImagePath>, PatchError> {
    let name = text.split('\t').next().unwrap_or_default().trim_end();
    if name == "/dev/null" {
        return Ok(None);
    }
    let below = name.split_once('/').map_or(name, |(_, below)| below);
    let wrong = |source| PatchError::Name { name: name.to_owned(), source };
    ImagePath::from_archive(below).map(Some).map_err(wrong)
}

/// Reads a hunk behind `@@ -`.
fn hunk<'diff>(
    header: &str,
    lines: &mut Peekable<impl Iterator<Item = (&'diff str, usize)>>,
    above: usize,
) -> Result<Hunk<'diff>, PatchError> {
    let malformed = |line| PatchError::Malformed { line };
    let (line, old, new) = counts(header).ok_or_else(|| malformed(above))?;
    let mut hunk = Hunk { line, ..Hunk::default() };
    let mut last = b' ';
    loop {
        let is_whole = hunk.old.len() >= old && hunk.new.len() >= new;
        if is_whole && !lines.peek().is_some_and(|(text, _)| text.starts_with('\\')) {
            return Ok(hunk);
        }
        let (text, number) = lines.next().ok_or_else(|| malformed(above))?;
        let (sign, content) = match text.as_bytes() {
            [sign @ (b' ' | b'-' | b'+' | b'\\'), content @ ..] => (*sign, content),
            // Some editors take the one blank of an empty line away.
            content @ (b"\n" | b"\r\n") => (b' ', content),
            _ => return Err(malformed(number)),
        };
        if sign == b'\\' {
            // `\ No newline at end of file`: the line before has none.
            [(b'+', &mut hunk.old), (b'-', &mut hunk.new)]
                .into_iter()
                .filter(|(other, _)| *other != last)
                .filter_map(|(_, lines)| lines.last_mut())
                .for_each(|line| *line = line.strip_suffix(b"\n").unwrap_or(line));
            continue;
        }
        if sign != b'+' {
            hunk.old.push(content);
        }
        if sign != b'-' {
            hunk.new.push(content);
        }
        last = sign;
    }
}

/// Reads `12,3 +14,2 @@`: where the old lines begin, how many they are, and how many the new ones.
fn counts(header: &str) -> Option<(usize, usize, usize)> {
    let (old, rest) = header.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let pair = |text: &str| match text.split_once(',') {
        Some((line, count)) => Some((line.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((line, old), (_, new)): ((usize, usize), (usize, usize)) = (pair(old)?, pair(new)?);
    Some((line, old, new))
}

#[cfg(test)]
mod tests;
