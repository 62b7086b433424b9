//! Builds source distributions.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/source-distribution-format/>

use crate::{Compression, TarEntry, compress, tar};

/// A source distribution in the making: a gzipped tar file below `NAME-VERSION/`.
///
/// `pyproject.toml` (for setuptools) and `PKG-INFO` are written unless files of those names were added.
#[derive(Debug, Clone)]
pub struct Sdist {
    name: String,
    version: String,
    metadata: Vec<(String, String)>,
    entries: Vec<TarEntry>,
}

impl Sdist {
    /// Starts an empty source distribution.
    pub fn new(name: &str, version: &str) -> Sdist {
        Sdist {
            name: name.to_owned(),
            version: version.to_owned(),
            metadata: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Adds a file below its directory.
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Sdist {
        let name = format!("{}/{path}", self.stem());
        self.raw_tar_entry(TarEntry::file(name, content))
    }

    /// Adds a tar entry as it is.
    pub fn raw_tar_entry(mut self, entry: TarEntry) -> Sdist {
        self.entries.push(entry);
        self
    }

    /// Adds a requirement.
    pub fn requires(self, requirement: &str) -> Sdist {
        self.metadata("Requires-Dist", requirement)
    }

    /// Sets the Python versions that it accepts.
    pub fn requires_python(self, specifiers: &str) -> Sdist {
        self.metadata("Requires-Python", specifiers)
    }

    /// Adds a field to `PKG-INFO`.
    pub fn metadata(mut self, field: &str, value: &str) -> Sdist {
        self.metadata.push((field.to_owned(), value.to_owned()));
        self
    }

    /// The distribution's name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a field of `PKG-INFO`, the first one of that name.
    pub fn metadata_value(&self, field: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Its file name: `NAME-VERSION.tar.gz`.
    pub fn file_name(&self) -> String {
        self.stem() + ".tar.gz"
    }

    /// Builds the file.
    pub fn build(&self) -> Vec<u8> {
        let stem = self.stem();
        let has =
            |path: &str| self.entries.iter().any(|entry| entry.name == format!("{stem}/{path}").as_bytes());
        let mut entries = vec![TarEntry::dir(format!("{stem}/"))];
        if !has("PKG-INFO") {
            let more: String =
                self.metadata.iter().map(|(field, value)| format!("{field}: {value}\n")).collect();
            let text =
                format!("Metadata-Version: 2.2\nName: {}\nVersion: {}\n{more}", self.name, self.version);
            entries.push(TarEntry::file(format!("{stem}/PKG-INFO"), text));
        }
        if !has("pyproject.toml") {
            entries.push(TarEntry::file(format!("{stem}/pyproject.toml"), self.pyproject()));
        }
        entries.extend(self.entries.iter().cloned());
        compress(&tar(&entries), Compression::Gz)
    }

    fn pyproject(&self) -> String {
        let (name, version) = (&self.name, &self.version);
        format!(
            "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n\
             [project]\nname = \"{name}\"\nversion = \"{version}\"\n"
        )
    }

    fn stem(&self) -> String {
        format!("{}-{}", self.name.replace(['-', '.'], "_"), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gunzip, list_tar};

    #[test]
    fn an_sdist_is_a_tar_file_below_one_directory() {
        let sdist = Sdist::new("toy-src", "2").file("toy_src.py", "x = 1\n").requires("a");
        assert_eq!(sdist.file_name(), "toy_src-2.tar.gz");
        insta::assert_snapshot!(list_tar(&gunzip(&sdist.build())), @r"
        toy_src-2/ dir 0755 0:0 1577836800
        toy_src-2/PKG-INFO file 0644 0:0 1577836800 64
        toy_src-2/pyproject.toml file 0644 0:0 1577836800 123
        toy_src-2/toy_src.py file 0644 0:0 1577836800 6
        ");
    }
}
