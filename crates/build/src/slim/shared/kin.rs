//! What libraries' file names say, and how links are written.

use minke_cas::ImagePath;

/// What a library's file name says of its kind.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Kin<'name> {
    /// The name without version, and without the digits by which repaired wheels tell theirs from others'.
    pub(super) stem: &'name str,
    /// The first number of its soname, which says what it is compatible with.
    pub(super) major: Option<u64>,
    /// All numbers, and whether there are no words behind them, such as `dev`.
    pub(super) version: (Vec<u64>, bool),
    /// Whether it has such digits, so that only what lies beside it names it.
    pub(super) is_marked: bool,
}

impl<'name> Kin<'name> {
    pub(super) fn of(name: &'name str) -> Self {
        let (before, after) = name.split_once(".so").unwrap_or((name, ""));
        let (mut stem, mut own) = (before, "");
        // What was repaired twice has two marks.
        while let Some((rest, behind)) =
            stem.rsplit_once('-').and_then(|(rest, mark)| Some((rest, behind_mark(mark)?)))
        {
            own = if behind.is_empty() { own } else { behind };
            stem = rest;
        }
        let is_marked = stem.len() < before.len();
        let numbers = |text: &str| -> (Vec<u64>, bool) {
            let words: Vec<&str> = text.split('.').filter(|word| !word.is_empty()).collect();
            let numbers: Vec<u64> = words.iter().map_while(|word| word.parse().ok()).collect();
            (numbers.clone(), numbers.len() == words.len())
        };
        let ((own, is_release), (of_soname, is_plain)) = (numbers(own), numbers(after));
        let major = of_soname.first().copied();
        Self { stem, major, version: ([own, of_soname].concat(), is_release && is_plain), is_marked }
    }
}

/// Returns what follows the eight hexadecimal digits by which a repaired wheel tells its library from others'.
fn behind_mark(text: &str) -> Option<&str> {
    let (mark, rest) = text.split_at_checked(8)?;
    let is_mark = mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_mark && (rest.is_empty() || rest.starts_with('.'))).then_some(rest)
}

/// Returns what a link at `from` says to lead to `to`.
pub(super) fn leading(from: &ImagePath, to: &ImagePath) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from.len().saturating_sub(common + 1);
    [vec![".."; up], to[common..].to_vec()].concat().join("/")
}
