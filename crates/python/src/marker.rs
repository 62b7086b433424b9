//! Environment markers: conditions such as `python_version < '3.12' and sys_platform == 'linux'`.
//!
//! Written here because lock files need the two variables that are sets, `extras` and `dependency_groups`,
//! which `pep508_rs` doesn't read, and because one marker must not mean two things in one program.
//! Comparison follows `packaging`: as versions where the right side is one and the variable is, else as text.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers>,
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>

mod parse;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};
use serde::{Deserialize, Deserializer};

use crate::{ExtraName, GroupName, PythonVersion, Target};

/// A condition on the interpreter, the platform, the extras and the dependency groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marker {
    text: String,
    condition: Condition,
}

/// A text is not a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a marker: {reason} at character {column}")]
pub struct MarkerError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
    /// Where, counted from one.
    pub column: usize,
}

/// What markers are judged against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    python: PythonVersion,
    machine: &'static str,
    extras: BTreeSet<ExtraName>,
    groups: BTreeSet<GroupName>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Comparison { left: Operand, operator: Operator, right: Operand },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Operand {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variable {
    DependencyGroups,
    Extra,
    Extras,
    ImplementationName,
    ImplementationVersion,
    OsName,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonFullVersion,
    PythonVersion,
    SysPlatform,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
    Compatible,
    Arbitrary,
    In,
    NotIn,
}

impl Marker {
    /// Tells whether the condition holds.
    pub fn holds(&self, environment: &Environment) -> bool {
        self.condition.holds(environment)
    }

    /// Returns the marker as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(text: &str) -> Result<Self, MarkerError> {
        let refused = |(reason, offset): (&'static str, usize)| MarkerError {
            text: text.to_owned(),
            reason,
            column: text[..offset].chars().count() + 1,
        };
        Ok(Self { text: text.trim().to_owned(), condition: parse::condition(text).map_err(refused)? })
    }
}

impl<'de> Deserialize<'de> for Marker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Environment {
    pub(crate) fn of(target: &Target) -> Self {
        Self {
            python: target.python,
            machine: target.platform.arch.machine(),
            extras: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Returns the same environment with these extras and dependency groups asked for.
    #[must_use]
    pub fn with(self, extras: BTreeSet<ExtraName>, groups: BTreeSet<GroupName>) -> Self {
        Self { extras, groups, ..self }
    }

    /// Returns the value of a variable that isn't a set.
    ///
    /// The kernel's release and version are facts of whoever runs the image and are empty.
    fn value(&self, variable: Variable) -> String {
        match variable {
            Variable::ImplementationName => "cpython".to_owned(),
            Variable::ImplementationVersion | Variable::PythonFullVersion => self.python.full().to_string(),
            Variable::OsName => "posix".to_owned(),
            Variable::PlatformMachine => self.machine.to_owned(),
            Variable::PlatformPythonImplementation => "CPython".to_owned(),
            Variable::PlatformSystem => "Linux".to_owned(),
            Variable::PythonVersion => self.python.short(),
            Variable::SysPlatform => "linux".to_owned(),
            Variable::PlatformRelease
            | Variable::PlatformVersion
            | Variable::Extra
            | Variable::Extras
            | Variable::DependencyGroups => String::new(),
        }
    }

    /// Tells whether a name is among the set that a variable stands for.
    fn asks_for(&self, set: Variable, name: &str) -> bool {
        match set {
            Variable::DependencyGroups => name.parse().is_ok_and(|name| self.groups.contains(&name)),
            _ => name.parse().is_ok_and(|name| self.extras.contains(&name)),
        }
    }
}

impl Variable {
    fn is_set(self) -> bool {
        matches!(self, Self::DependencyGroups | Self::Extra | Self::Extras)
    }

    fn is_version(self) -> bool {
        matches!(
            self,
            Self::ImplementationVersion
                | Self::PythonFullVersion
                | Self::PythonVersion
                | Self::PlatformRelease
        )
    }
}

impl Condition {
    fn holds(&self, environment: &Environment) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(environment)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(environment)),
            Self::Comparison { left, operator, right } => compare(left, *operator, right, environment),
        }
    }
}

fn compare(left: &Operand, operator: Operator, right: &Operand, environment: &Environment) -> bool {
    let value = |operand: &Operand| match operand {
        Operand::Text(text) => text.clone(),
        Operand::Variable(variable) => environment.value(*variable),
    };
    match (left, right) {
        (Operand::Text(name), Operand::Variable(set)) | (Operand::Variable(set), Operand::Text(name))
            if set.is_set() =>
        {
            // The parser lets nothing else than these operators, and their opposites, near a set.
            environment.asks_for(*set, name) == matches!(operator, Operator::Equal | Operator::In)
        }
        (Operand::Variable(variable), _) | (_, Operand::Variable(variable)) if variable.is_version() => {
            let (left, right) = (value(left), value(right));
            compare_versions(&left, operator, &right)
                .unwrap_or_else(|| compare_texts(&left, operator, &right))
        }
        _ => compare_texts(&value(left), operator, &value(right)),
    }
}

/// None where the two cannot be compared as versions.
fn compare_versions(left: &str, operator: Operator, right: &str) -> Option<bool> {
    let specifier: VersionSpecifier = format!("{}{right}", operator.symbol()?).parse().ok()?;
    // An empty `platform_release` is in no range of versions.
    Some(left.parse::<Version>().is_ok_and(|version| specifier.contains(&version)))
}

fn compare_texts(left: &str, operator: Operator, right: &str) -> bool {
    match operator {
        Operator::Less => left < right,
        Operator::LessEqual => left <= right,
        Operator::Equal | Operator::Arbitrary => left == right,
        Operator::NotEqual => left != right,
        Operator::GreaterEqual => left >= right,
        Operator::Greater => left > right,
        // Means nothing for texts: packaging raises an exception, uv warns and takes it as false.
        Operator::Compatible => false,
        Operator::In => right.contains(left),
        Operator::NotIn => !right.contains(left),
    }
}

impl Operator {
    fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Less => Some("<"),
            Self::LessEqual => Some("<="),
            Self::Equal => Some("=="),
            Self::NotEqual => Some("!="),
            Self::GreaterEqual => Some(">="),
            Self::Greater => Some(">"),
            Self::Compatible => Some("~="),
            Self::Arbitrary => Some("==="),
            Self::In | Self::NotIn => None,
        }
    }
}

#[cfg(test)]
mod tests;
