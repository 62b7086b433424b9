//! `entry_points.txt`: what a distribution offers to others, and the programs that it wants.
//!
//! The dialect is the one that `importlib.metadata` reads, an INI file without escapes.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/entry-points/>

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Every entry point of a distribution, by group and name; values as they are written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EntryPoints {
    /// The groups.
    pub groups: BTreeMap<String, BTreeMap<String, String>>,
}

/// What an entry point refers to: `module:object.attribute [extra]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct EntryPoint {
    /// The module to import.
    pub module: String,
    /// The attribute of it, with dots for attributes of attributes; none for the module itself.
    pub attribute: Option<String>,
    /// The extras that it is said to need; installers make scripts regardless.
    pub extras: Vec<String>,
}

/// An `entry_points.txt`, or one entry point, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryPointsError {
    /// A line is neither a `[group]`, `name = value`, a comment nor empty.
    #[error("line {line} of entry_points.txt is neither a `[group]` nor `name = value`")]
    Line {
        /// Which line, from one.
        line: usize,
    },
    /// A value isn't `module:attribute`.
    #[error("`{value}` is not an entry point such as `package.module:function`")]
    Value {
        /// What was given.
        value: String,
    },
}

impl FromStr for EntryPoints {
    type Err = EntryPointsError;

    fn from_str(text: &str) -> Result<Self, EntryPointsError> {
        let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut group: Option<String> = None;
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let refused = || EntryPointsError::Line { line: number + 1 };
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(inside) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                groups.entry(inside.trim().to_owned()).or_default();
                group = Some(inside.trim().to_owned());
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(refused)?;
            let entries =
                groups.get_mut(group.as_ref().ok_or_else(refused)?).expect("it was made at its heading");
            entries.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self { groups })
    }
}

impl EntryPoints {
    /// Returns the entries of one group in the order of their names.
    pub fn group(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.groups.get(name).into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromStr for EntryPoint {
    type Err = EntryPointsError;

    fn from_str(text: &str) -> Result<Self, EntryPointsError> {
        let refused = || EntryPointsError::Value { value: text.to_owned() };
        let (object, extras) = match text.split_once('[') {
            Some((object, extras)) => (object, Some(extras.trim().strip_suffix(']').ok_or_else(refused)?)),
            None => (text, None),
        };
        let (module, attribute) = match object.split_once(':') {
            Some((module, attribute)) => (module.trim(), Some(attribute.trim())),
            None => (object.trim(), None),
        };
        if !is_dotted_name(module) || !attribute.is_none_or(is_dotted_name) {
            return Err(refused());
        }
        let extras = extras.into_iter().flat_map(|extras| extras.split(','));
        Ok(Self {
            module: module.to_owned(),
            attribute: attribute.map(str::to_owned),
            extras: extras.map(|extra| extra.trim().to_owned()).filter(|extra| !extra.is_empty()).collect(),
        })
    }
}

/// Such as could stand in an `import`: it will, in a script.
fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_comments_and_odd_spacing_are_read() {
        let points: EntryPoints = "# a comment\n[console_scripts]\nflask=flask.cli:main\n; another\n\n\
            two words = a.b:c.d [x, y]\n[ gui_scripts ]\n[console_scripts]\nlast = m:f\n"
            .parse()
            .unwrap();
        assert_eq!(
            points.group("console_scripts").collect::<Vec<_>>(),
            [("flask", "flask.cli:main"), ("last", "m:f"), ("two words", "a.b:c.d [x, y]")]
        );
        assert_eq!(points.group("gui_scripts").count() + points.group("other").count(), 0);
    }

    #[test]
    fn lines_outside_the_dialect_are_refused_with_their_number() {
        for (text, line) in [("a = b:c", 1), ("[x]\n\nnonsense", 3), ("[x\na = b", 1)] {
            assert_eq!(text.parse::<EntryPoints>(), Err(EntryPointsError::Line { line }), "{text}");
        }
    }

    #[test]
    fn an_entry_point_is_taken_apart() {
        let expected = EntryPoint {
            module: "a.b".to_owned(),
            attribute: Some("c.d".to_owned()),
            extras: vec!["x".to_owned(), "y".to_owned()],
        };
        assert_eq!("a.b : c.d [x, y]".parse(), Ok(expected));
        for value in ["", "a:", ":b", "a.b:c-d", "a b:c", "a:b\nimport os", "a:b [x", "1a:b", "a..b:c"] {
            assert_eq!(
                value.parse::<EntryPoint>(),
                Err(EntryPointsError::Value { value: value.to_owned() }),
                "{value}"
            );
        }
    }

    proptest! {
        /// No text makes the parsers panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[a\\[\\]=:., \n#é]{0,20}") {
            let _ = (text.parse::<EntryPoints>(), text.parse::<EntryPoint>());
        }
    }
}
