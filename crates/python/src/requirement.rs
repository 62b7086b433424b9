//! What a package asks for: `flask[async]>=3; python_version < '3.14'`.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>

use std::collections::BTreeSet;
use std::str::FromStr;

use pep440_rs::VersionSpecifiers;

use crate::{ExtraName, Marker, MarkerError, PackageName};

/// One requirement of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// What is required.
    pub name: PackageName,
    /// With which of its extras.
    pub extras: BTreeSet<ExtraName>,
    /// Which of its versions will do.
    pub constraint: Constraint,
    /// When it is required; always, where there is none.
    pub marker: Option<Marker>,
}

/// Which versions of something will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Constraint {
    /// Those in a range, all if it is empty.
    Versions(VersionSpecifiers),
    /// What lies at an address, as it is written; it may hold a password.
    Url(String),
}

/// A text is not a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// It doesn't start with a name, or its extras are no names.
    #[error("`{text}` is not a requirement: {reason}")]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What follows `;` is no marker.
    #[error("`{text}` is not a requirement: its marker cannot be read")]
    Marker {
        /// What was given.
        text: String,
        /// What is wrong with the marker.
        source: MarkerError,
    },
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let refused = |reason| RequirementError::Malformed { text: text.to_owned(), reason };
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(trimmed.len());
        let name = trimmed[..end].parse().map_err(|_| refused("it doesn't start with a name"))?;
        let (extras, rest) = extras(trimmed[end..].trim_start()).map_err(refused)?;
        let (constraint, marker) = match rest.strip_prefix('@') {
            // An address may hold a `;` of its own, so that only one after a space ends it.
            Some(url) => {
                let (url, marker) =
                    url.split_once(" ;").map_or((url, None), |(url, marker)| (url, Some(marker)));
                (Constraint::Url(url.trim().to_owned()), marker)
            }
            None => {
                let (versions, marker) =
                    rest.split_once(';').map_or((rest, None), |(versions, marker)| (versions, Some(marker)));
                (Constraint::Versions(specifiers(versions).map_err(refused)?), marker)
            }
        };
        if constraint == Constraint::Url(String::new()) {
            return Err(refused("no address follows `@`"));
        }
        let marker = marker
            .map(|marker| marker.trim().parse::<Marker>())
            .transpose()
            .map_err(|source| RequirementError::Marker { text: text.to_owned(), source })?;
        Ok(Self { name, extras, constraint, marker })
    }
}

fn extras(text: &str) -> Result<(BTreeSet<ExtraName>, &str), &'static str> {
    let Some(inside) = text.strip_prefix('[') else { return Ok((BTreeSet::new(), text)) };
    let (inside, rest) = inside.split_once(']').ok_or("`[` is not closed")?;
    let extras = inside
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| name.parse().map_err(|_| "an extra is no name"))
        .collect::<Result<_, _>>()?;
    Ok((extras, rest.trim_start()))
}

fn specifiers(text: &str) -> Result<VersionSpecifiers, &'static str> {
    let text = text.trim();
    let bare = text.strip_prefix('(').and_then(|inside| inside.strip_suffix(')')).unwrap_or(text);
    bare.trim().parse().map_err(|_| "what follows the name is no version range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        match text.parse::<Requirement>() {
            Err(error) => error.to_string(),
            Ok(Requirement { name, extras, constraint, marker }) => {
                let constraint = match constraint {
                    Constraint::Versions(versions) => versions.to_string(),
                    Constraint::Url(url) => format!("@ {url}"),
                };
                format!("{name} {extras:?} {constraint} {}", marker.map_or(String::new(), |m| m.to_string()))
            }
        }
    }

    #[test]
    fn requirements_are_taken_apart() {
        insta::assert_snapshot!(
            [
                "flask",
                " Flask[async, dotenv]>=3,<4 ; python_version < '3.14'",
                "zope.interface (>=5.0)",
                "lib @ https://host.test/lib-1.tar.gz;x=1 ; os_name == 'posix'",
                "lib[a]@file:///lib",
                "a==1.*;extra=='x'",
            ]
            .map(read)
            .join("\n"),
            @r#"
        flask {}  
        flask {"async", "dotenv"} >=3, <4 python_version < '3.14'
        zope-interface {} >=5.0 
        lib {} @ https://host.test/lib-1.tar.gz;x=1 os_name == 'posix'
        lib {"a"} @ file:///lib 
        a {} ==1.* extra=='x'
        "#
        );
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        insta::assert_snapshot!(
            ["", "-flask", "flask[", "flask[a b]", "flask = 3", "flask @", "flask; os == 'x'"].map(read).join("\n"),
            @r"
        `` is not a requirement: it doesn't start with a name
        `-flask` is not a requirement: it doesn't start with a name
        `flask[` is not a requirement: `[` is not closed
        `flask[a b]` is not a requirement: an extra is no name
        `flask = 3` is not a requirement: what follows the name is no version range
        `flask @` is not a requirement: no address follows `@`
        `flask; os == 'x'` is not a requirement: its marker cannot be read
        "
        );
    }

    proptest! {
        /// No text makes the parser panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zé\\[\\]()@;,=<>~!*0-9. '-]{0,30}") {
            let _ = text.parse::<Requirement>();
        }
    }
}
