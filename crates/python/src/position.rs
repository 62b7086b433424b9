//! Where in a text something is, as a person counts.

use std::fmt;
use std::ops::Range;

/// A place in a text: line and column from one, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The line, from one.
    pub line: usize,
    /// The character in the line, from one.
    pub column: usize,
}

impl Position {
    /// Finds the place of a byte offset; what lies beyond the end is the end.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let before = (0..=offset.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Finds where a TOML error's span starts; an error without one is about the whole text.
    pub(crate) fn of_span(text: &str, span: Option<Range<usize>>) -> Self {
        Self::of_offset(text, span.map_or(0, |span| span.start))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_are_counted_from_one() {
        let position = |offset| Position::of_offset("ab\né€x", offset).to_string();
        assert_eq!(position(0), "line 1, column 1");
        assert_eq!(position(3), "line 2, column 1");
        assert_eq!(position(8), "line 2, column 3");
        assert_eq!(position(6), "line 2, column 2", "inside a character is at that character");
        assert_eq!(position(99), "line 2, column 4");
    }
}
