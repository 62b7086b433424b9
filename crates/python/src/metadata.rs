//! `METADATA` and `WHEEL`: headers as in a mail.
//!
//! Only what an installer needs is read; `METADATA` itself goes into the image unchanged.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/core-metadata/>

use pep440_rs::{Version, VersionSpecifiers};

use crate::{PackageName, Requirement};

/// What a distribution says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// The Pythons that it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// What it needs, optional parts included.
    pub requires: Vec<Requirement>,
}

/// A `METADATA` or `WHEEL` file lacks a field or has a wrong one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A field that must be there is not.
    #[error("it has no `{field}`")]
    Missing {
        /// Which field.
        field: &'static str,
    },
    /// A field's value cannot be read.
    #[error("its `{field}` is `{value}`")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What stands there.
        value: String,
    },
}

/// The fields of a file, in its order.
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads fields up to the first empty line; a line that starts with a space continues the one before.
    pub(crate) fn parse(text: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines().take_while(|line| !line.is_empty()) {
            match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => {
                    value.push('\n');
                    value.push_str(line.trim());
                }
                (_, _, Some((name, value))) => {
                    fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                // What isn't a field is skipped, as Python's mail parser does.
                _ => {}
            }
        }
        Self(fields)
    }

    /// Returns every value of a field, whose name is given in lower case.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a field that must be there.
    pub(crate) fn first(&self, field: &'static str) -> Result<&str, MetadataError> {
        self.all(&field.to_ascii_lowercase()).next().ok_or(MetadataError::Missing { field })
    }
}

impl Metadata {
    /// Reads a `METADATA` file.
    ///
    /// A requirement that cannot be read is an error; old wheels have such, so that installing one doesn't
    /// ask for its requirements.
    ///
    /// # Errors
    /// [`MetadataError`] for a missing name or version, and for what cannot be read.
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        let headers = Headers::parse(text);
        let requires = headers
            .all("requires-dist")
            .map(|value| value.parse().map_err(|_| invalid("Requires-Dist", value)))
            .collect::<Result<_, _>>()?;
        Ok(Self { requires, ..Self::identity(&headers)? })
    }

    /// Reads all but the requirements.
    pub(crate) fn identity(headers: &Headers) -> Result<Self, MetadataError> {
        let (name, version) = (headers.first("Name")?, headers.first("Version")?);
        let requires_python = headers
            .all("requires-python")
            .find(|range| !range.is_empty())
            .map(|range| range.parse().map_err(|_| invalid("Requires-Python", range)))
            .transpose()?;
        Ok(Self {
            name: name.parse().map_err(|_| invalid("Name", name))?,
            version: version.parse().map_err(|_| invalid("Version", version))?,
            requires_python,
            requires: Vec::new(),
        })
    }
}

pub(crate) fn invalid(field: &'static str, value: &str) -> MetadataError {
    MetadataError::Invalid { field, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_up_to_the_description() {
        let metadata = Metadata::parse(
            "Metadata-Version: 2.4\nName: Scikit_Learn\nVersion: 1.9.1\nLicense: one\n  two\n\
             requires-python: >=3.11\nRequires-Dist: numpy>=1.24\nRequires-Dist: pandas; extra == 'docs'\n\n\
             Name: not-a-field\n",
        )
        .unwrap();
        assert_eq!(
            metadata,
            Metadata {
                name: "scikit-learn".parse().unwrap(),
                version: "1.9.1".parse().unwrap(),
                requires_python: Some(">=3.11".parse().unwrap()),
                requires: ["numpy>=1.24", "pandas; extra == 'docs'"]
                    .map(|text| text.parse().unwrap())
                    .to_vec(),
            }
        );
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        let said = |text: &str| Metadata::parse(text).unwrap_err().to_string();
        assert_eq!(said("Version: 1\n"), "it has no `Name`");
        assert_eq!(said("Name: a\n\nVersion: 1\n"), "it has no `Version`");
        assert_eq!(said("Name: a\nVersion: x\n"), "its `Version` is `x`");
        assert_eq!(said("Name: a\nVersion: 1\nRequires-Dist: ?\n"), "its `Requires-Dist` is `?`");
    }
}
