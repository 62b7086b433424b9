//! What a package asks of others: `libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0`.
//!
//! Spec: <https://www.debian.org/doc/debian-policy/ch-relationships.html>

use std::fmt;
use std::str::FromStr;

use crate::name::{PackageName, Version};

/// One package that another one names, perhaps within bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relation {
    /// The name, of a real package or of what others provide.
    pub name: PackageName,
    /// What follows a colon: `any`, `native` or an architecture.
    pub qualifier: Option<String>,
    /// Which versions are meant, all if none is said.
    pub bound: Option<Bound>,
}

/// A group of alternatives, of which one is enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnyOf(pub Vec<Relation>);

/// Which versions are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// How a version must compare.
    pub operator: Operator,
    /// With what.
    pub version: Version,
}

/// How a version must compare with a bound's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// A relationship field cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a relationship between packages")]
pub struct RelationError {
    /// The part that cannot be read.
    pub text: String,
}

impl Bound {
    /// Tells whether a version is within the bound.
    pub fn admits(&self, version: &Version) -> bool {
        match self.operator {
            Operator::Earlier => *version < self.version,
            Operator::EarlierOrEqual => *version <= self.version,
            Operator::Equal => *version == self.version,
            Operator::LaterOrEqual => *version >= self.version,
            Operator::Later => *version > self.version,
        }
    }
}

/// Reads a whole field: groups that commas part.
pub(crate) fn parse_groups(field: &str) -> Result<Vec<AnyOf>, RelationError> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::parse).collect()
}

impl FromStr for AnyOf {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        text.split('|').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Relation {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        let refused = || RelationError { text: text.trim().to_owned() };
        let (name, bound) = match text.split_once('(') {
            Some((name, bound)) => {
                let bound = bound.trim_end().strip_suffix(')').ok_or_else(refused)?;
                (name, Some(parse_bound(bound.trim()).ok_or_else(refused)?))
            }
            None => (text, None),
        };
        let (name, qualifier) = match name.trim().split_once(':') {
            Some((_, "")) => return Err(refused()),
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (name.trim(), None),
        };
        Ok(Self { name: name.parse().map_err(|_| refused())?, qualifier, bound })
    }
}

fn parse_bound(text: &str) -> Option<Bound> {
    const OPERATORS: [(&str, Operator); 7] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
        // Before 1996, `<` and `>` were what `<=` and `>=` are now; dpkg still reads them so.
        ("<", Operator::EarlierOrEqual),
        (">", Operator::LaterOrEqual),
    ];
    let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    Some(Bound { operator, version: text[sign.len()..].trim().parse().ok()? })
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.bound {
            Some(Bound { operator, version }) => write!(f, " ({operator} {version})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, relation) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { " | " };
            write!(f, "{separator}{relation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_back_as_it_is_written() {
        let field = "libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, python3:any, zlib1g (<< 1:2)";
        let groups = parse_groups(field).unwrap();
        let written: Vec<_> = groups.iter().map(ToString::to_string).collect();
        assert_eq!(written.join(", "), field);
    }

    #[test]
    fn odd_spacing_is_read() {
        assert_eq!(
            parse_groups(" a-b(>=1) |c1 (=2.0-1 ),\n dd\n,")
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["a-b (>= 1) | c1 (= 2.0-1)", "dd"]
        );
    }

    #[test]
    fn what_binary_packages_never_say_is_refused() {
        for text in ["libc6 [amd64]", "libc6 <!nocheck>", "libc6 (>= )", "libc6 (1.0)", "aa (", "a |"] {
            assert!(parse_groups(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_admit_what_they_say() {
        let admitted = |bound: &str| -> Vec<bool> {
            let relation: Relation = format!("aa ({bound} 2)").parse().unwrap();
            ["1", "2", "3"].map(|text| relation.bound.as_ref().unwrap().admits(&text.parse().unwrap())).into()
        };
        assert_eq!(admitted("<<"), [true, false, false]);
        assert_eq!(admitted("<="), [true, true, false]);
        assert_eq!(admitted("="), [false, true, false]);
        assert_eq!(admitted(">="), [false, true, true]);
        assert_eq!(admitted(">>"), [false, false, true]);
    }
}
