//! What is done to a PEP 751 file that uv wrote, before it is believed and kept.
//!
//! Passwords go out of its addresses, files of the project are named relative to it, and what a requirement file
//! pins by hash has no other file left.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/pylock-toml/>

use std::path::Path;

use minke_python::PackageName;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, TomlError, Value};
use url::Url;

use crate::project::requirement_files::Hashes;
use crate::secrets;

/// What uv wrote is not what the requirement files ask for.
#[derive(Debug, thiserror::Error)]
pub enum PylockError {
    /// It isn't TOML.
    #[error("uv wrote a lock that cannot be read")]
    Syntax(#[source] TomlError),
    /// No file of a distribution has one of the hashes that were asked for.
    #[error("no file of `{name}` {version} has a hash that the requirements allow; its files have {}", found.join(", "))]
    Hash {
        /// The distribution.
        name: String,
        /// Its version, empty where there is none.
        version: String,
        /// The hashes that there are.
        found: Vec<String>,
    },
    /// Some requirements have hashes, and something that they need hasn't.
    #[error("the requirements pin some files by hash, and say none for {}", names.join(", "))]
    Unhashed {
        /// What has none.
        names: Vec<String>,
    },
}

/// A PEP 751 file as a document.
pub struct Pylock(DocumentMut);

impl Pylock {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`PylockError::Syntax`].
    pub fn read(text: &str) -> Result<Self, PylockError> {
        Ok(Self(text.parse().map_err(PylockError::Syntax)?))
    }

    /// Returns the file's text, as it may be kept.
    pub fn text(&self) -> String {
        if self.0.get("packages").and_then(Item::as_array_of_tables).is_some_and(|all| !all.is_empty()) {
            return self.0.to_string();
        }
        // Nothing is written of no tables, and a lock without the field isn't one.
        let mut document = self.0.clone();
        document.insert("packages", Item::Value(Array::new().into()));
        document.to_string()
    }

    /// Takes user names and passwords out of every address.
    pub fn hide_secrets(&mut self) {
        for package in self.packages() {
            each_text(package, &mut |text| {
                let clean = secrets::without(text);
                (clean != text).then_some(clean)
            });
        }
    }

    /// Names the files below a directory by their path there, not by a `file:` address.
    pub fn make_relative(&mut self, root: &Path) {
        for package in self.packages() {
            for file in files(package) {
                let url = file.get("url").and_then(Item::as_str).and_then(|url| Url::parse(url).ok());
                let path = url.filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
                let below =
                    path.as_deref().and_then(|path| path.strip_prefix(root).ok()).and_then(Path::to_str);
                if let Some(below) = below {
                    file.remove("url");
                    file.insert("path", Item::Value(below.into()));
                    file.fmt();
                }
            }
        }
    }

    /// Leaves only files that have an allowed hash; if anything is pinned by hash, everything must be, as with pip.
    ///
    /// # Errors
    /// [`PylockError::Hash`], [`PylockError::Unhashed`].
    pub fn keep_hashed(&mut self, hashes: &Hashes) -> Result<(), PylockError> {
        if hashes.is_empty() {
            return Ok(());
        }
        let mut unhashed = Vec::new();
        for package in self.packages() {
            let name = text(package, "name");
            let Some(allowed) = name.parse::<PackageName>().ok().and_then(|name| hashes.get(&name)) else {
                unhashed.push(format!("`{name}`"));
                continue;
            };
            let mut found = Vec::new();
            let mut fits = |file: &dyn TableLike| {
                let hashes = hashes_of(file);
                let fits = hashes.iter().any(|hash| allowed.contains(hash));
                found.extend(hashes);
                fits
            };
            if let Some(Value::Array(wheels)) = package.get_mut("wheels").and_then(Item::as_value_mut) {
                wheels.retain(|wheel| wheel.as_inline_table().is_some_and(|wheel| fits(wheel)));
            }
            for single in ["sdist", "archive"] {
                if package.get(single).and_then(Item::as_table_like).is_some_and(|file| !fits(file)) {
                    package.remove(single);
                }
            }
            let has_wheel =
                package.get("wheels").and_then(Item::as_array).is_some_and(|wheels| !wheels.is_empty());
            if !has_wheel && !package.contains_key("sdist") && !package.contains_key("archive") {
                return Err(PylockError::Hash { version: text(package, "version"), name, found });
            }
        }
        if unhashed.is_empty() { Ok(()) } else { Err(PylockError::Unhashed { names: unhashed }) }
    }

    /// Takes out the wheels that lie below a directory.
    pub fn forget_wheels_below(&mut self, root: &Path) {
        let lies_below = |wheel: &Value| {
            let text = |key: &str| wheel.as_inline_table()?.get(key)?.as_str();
            let of_url =
                text("url").and_then(|url| Url::parse(url).ok()).and_then(|url| url.to_file_path().ok());
            let path = of_url.or_else(|| text("path").map(Into::into));
            path.is_some_and(|path| path.starts_with(root))
        };
        for package in self.packages() {
            let Some(Value::Array(wheels)) = package.get_mut("wheels").and_then(Item::as_value_mut) else {
                continue;
            };
            wheels.retain(|wheel| !lies_below(wheel));
            if wheels.is_empty() {
                package.remove("wheels");
            }
        }
    }

    /// Takes a distribution out.
    pub fn remove(&mut self, name: &str) {
        if let Some(packages) = self.0.get_mut("packages").and_then(Item::as_array_of_tables_mut) {
            packages.retain(|package| package.get("name").and_then(Item::as_str) != Some(name));
        }
    }

    fn packages(&mut self) -> impl Iterator<Item = &mut Table> {
        self.0
            .get_mut("packages")
            .and_then(Item::as_array_of_tables_mut)
            .into_iter()
            .flat_map(|packages| packages.iter_mut())
    }
}

/// Returns the directories that a lock's text names, as they stand there.
pub fn directories(text: &str) -> Vec<String> {
    let Ok(document) = text.parse::<DocumentMut>() else { return Vec::new() };
    let packages = document.get("packages").and_then(Item::as_array_of_tables);
    let path = |package: &Table| Some(package.get("directory")?.get("path")?.as_str()?.to_owned());
    packages.into_iter().flatten().filter_map(path).collect()
}

fn text(package: &Table, key: &str) -> String {
    package.get(key).and_then(Item::as_str).unwrap_or_default().to_owned()
}

fn hashes_of(file: &dyn TableLike) -> Vec<String> {
    let hashes = file.get("hashes").and_then(Item::as_table_like);
    let each = hashes.into_iter().flat_map(|hashes| hashes.iter());
    each.filter_map(|(algorithm, hash)| Some(format!("{algorithm}:{}", hash.as_str()?))).collect()
}

/// Returns the tables of a package that stand for a file each.
fn files(package: &mut Table) -> Vec<&mut dyn TableLike> {
    let mut files: Vec<&mut dyn TableLike> = Vec::new();
    for (key, item) in package.iter_mut() {
        match (key.get(), item) {
            ("wheels", Item::Value(Value::Array(wheels))) => {
                files.extend(wheels.iter_mut().filter_map(|wheel| match wheel {
                    Value::InlineTable(table) => Some(table as &mut dyn TableLike),
                    _ => None,
                }));
            }
            ("wheels", Item::ArrayOfTables(wheels)) => {
                files.extend(wheels.iter_mut().map(|wheel| wheel as &mut dyn TableLike));
            }
            ("sdist" | "archive", item) => files.extend(item.as_table_like_mut()),
            _ => {}
        }
    }
    files
}

fn each_text(table: &mut dyn TableLike, change: &mut dyn FnMut(&str) -> Option<String>) {
    for (_, item) in table.iter_mut() {
        match item {
            Item::Value(value) => each_text_of(value, change),
            Item::Table(table) => each_text(table, change),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| each_text(table, change)),
            Item::None => {}
        }
    }
}

fn each_text_of(value: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(text.value()) {
                *value = changed.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each_text_of(value, change)),
        Value::InlineTable(table) => each_text(table, change),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEXT: &str = r#"lock-version = "1.0"

[[packages]]
name = "toy"
version = "1"
index = "http://me:p@host.test/simple"
wheels = [
    { url = "file:///p/w/toy%20-1.whl", hashes = { sha256 = "aa" } },
    { url = "http://me:p@host.test/toy.whl", hashes = { sha256 = "bb" } },
]

[[packages]]
name = "own"
directory = { path = "libs/own" }
"#;

    fn hashes(pairs: &[(&str, &str)]) -> Hashes {
        let one = |&(name, hash): &(&str, &str)| (name.parse().unwrap(), BTreeSet::from([hash.to_owned()]));
        pairs.iter().map(one).collect()
    }

    #[test]
    fn a_lock_of_nothing_says_so() {
        let mut pylock = Pylock::read(TEXT).unwrap();
        pylock.remove("own");
        pylock.remove("toy");
        assert_eq!(pylock.text(), "lock-version = \"1.0\"\npackages = []\n");
        assert_eq!(
            Pylock::read("created-by = \"uv\"\n").unwrap().text(),
            "created-by = \"uv\"\npackages = []\n"
        );
    }

    #[test]
    fn what_is_kept_has_no_password_and_no_place_of_this_machine() {
        let mut pylock = Pylock::read(TEXT).unwrap();
        pylock.hide_secrets();
        pylock.make_relative(Path::new("/p"));
        pylock.remove("own");
        insta::assert_snapshot!(pylock.text(), @r#"
        lock-version = "1.0"

        [[packages]]
        name = "toy"
        version = "1"
        index = "http://host.test/simple"
        wheels = [
            { hashes = { sha256 = "aa" }, path = "w/toy -1.whl" },
            { url = "http://host.test/toy.whl", hashes = { sha256 = "bb" } },
        ]
        "#);
        assert_eq!(directories(TEXT), ["libs/own"]);
    }

    #[test]
    fn only_files_with_an_allowed_hash_stay() {
        let kept = |pairs| {
            let mut pylock = Pylock::read(TEXT).unwrap();
            pylock.remove("own");
            pylock.keep_hashed(&hashes(pairs)).map(|()| pylock.text().matches("url").count())
        };
        assert_eq!(kept(&[]).unwrap(), 2);
        assert_eq!(kept(&[("toy", "sha256:bb")]).unwrap(), 1);
        insta::assert_snapshot!(kept(&[("toy", "sha256:cc")]).unwrap_err(), @"no file of `toy` 1 has a hash that the requirements allow; its files have sha256:aa, sha256:bb");
        insta::assert_snapshot!(kept(&[("other", "sha256:cc")]).unwrap_err(), @"the requirements pin some files by hash, and say none for `toy`");
    }
}
