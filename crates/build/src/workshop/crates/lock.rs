//! Reads which crates a `Cargo.lock` pins.
//!
//! All formats that cargo has written are read. What lies in the sources themselves is passed over; what comes from
//! elsewhere has a name, a version and a checksum that can be trusted to be no more than that.
//!
//! Spec: <https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html>

use std::collections::BTreeMap;

use minke_cas::Digest;
use serde::Deserialize;

/// Far more than any lock has.
const MOST_CRATES: usize = 10_000;

/// A crate that a lock pins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::workshop) struct LockedCrate {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Where it comes from, as the lock says it: `registry+URL` or `sparse+URL`.
    pub(super) registry: String,
    /// What its file hashes to.
    pub(super) checksum: Digest,
}

/// A `Cargo.lock` cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CargoLockError {
    /// It isn't TOML, or not as cargo writes it.
    #[error("it is not as cargo writes it: {why}")]
    Syntax {
        /// What the parser said.
        why: String,
    },
    /// It has more crates than anybody needs.
    #[error("it has {count} crates")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A crate's name or version is none.
    #[error("it has a crate `{name}` of version `{version}`, which is none")]
    Crate {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// A crate of a registry's has no checksum.
    #[error("it says no checksum of the crate {name} {version}")]
    Unpinned {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// A crate comes from a repository.
    #[error("the crate {name} {version} comes from {from}, which is no registry")]
    Repository {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// Where from, in the lock's words.
        from: String,
    },
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
    /// Where the first format has the checksums.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Returns what a lock's text pins, in its order.
pub(super) fn read(text: &str) -> Result<Vec<LockedCrate>, CargoLockError> {
    let syntax = |error: toml::de::Error| CargoLockError::Syntax { why: error.message().to_owned() };
    let Lock { package: packages, metadata } = toml::from_str(text).map_err(syntax)?;
    if packages.len() > MOST_CRATES {
        return Err(CargoLockError::TooMany { count: packages.len() });
    }
    packages.into_iter().filter_map(|package| locked(package, &metadata).transpose()).collect()
}

/// Tells whether a `Cargo.toml` asks for crates that don't lie beside it.
pub(super) fn asks_for_crates(manifest: &str) -> bool {
    let manifest: toml::Table = toml::from_str(manifest).unwrap_or_default();
    let workspace = manifest.get("workspace").and_then(toml::Value::as_table);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let is_foreign = |(_, crate_asked): (&String, &toml::Value)| crate_asked.get("path").is_none();
    [&manifest].into_iter().chain(workspace).chain(targets).any(|table| {
        ["dependencies", "build-dependencies"]
            .iter()
            .filter_map(|name| table.get(*name)?.as_table())
            .any(|asked| asked.iter().any(is_foreign))
    })
}

/// None for a crate of the sources' own.
fn locked(
    package: Package,
    metadata: &BTreeMap<String, String>,
) -> Result<Option<LockedCrate>, CargoLockError> {
    let Package { name, version, source, checksum } = package;
    let Some(registry) = source else { return Ok(None) };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_version = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
    let fits = |text: &str, fits: fn(char) -> bool| (1..=100).contains(&text.len()) && text.chars().all(fits);
    if !fits(&name, is_name)
        || !fits(&version, is_version)
        || !version.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(CargoLockError::Crate { name, version });
    }
    if !registry.starts_with("registry+") && !registry.starts_with("sparse+") {
        return Err(CargoLockError::Repository { name, version, from: registry });
    }
    let of_old = || metadata.get(&format!("checksum {name} {version} ({registry})")).cloned();
    let checksum = checksum.or_else(of_old).and_then(|hex| format!("sha256:{hex}").parse().ok());
    match checksum {
        Some(checksum) => Ok(Some(LockedCrate { name, version, registry, checksum })),
        None => Err(CargoLockError::Unpinned { name, version }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

    fn said(text: &str) -> String {
        let line = |krate: LockedCrate| {
            format!("{} {} {} {}", krate.name, krate.version, krate.registry, &krate.checksum.hex()[60..])
        };
        match read(&text.replace("SUM", SUM)) {
            Ok(crates) => crates.into_iter().map(line).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_format_of_cargos_is_read() {
        let today = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n[[package]]\nname = \"cfg-if\"\n\
                     version = \"1.0.0+x\"\nsource = \"registry+https://host.test/toy.test-index\"\nchecksum = \"SUM\"\n";
        insta::assert_snapshot!(said(today), @"cfg-if 1.0.0+x registry+https://host.test/toy.test-index 00aa");
        let first = "[[package]]\nname = \"cfg-if\"\nversion = \"1.0.0\"\nsource = \"sparse+https://host.test/\"\n\
                     [metadata]\n\"checksum cfg-if 1.0.0 (sparse+https://host.test/)\" = \"SUM\"\n";
        insta::assert_snapshot!(said(first), @"cfg-if 1.0.0 sparse+https://host.test/ 00aa");
    }

    #[test]
    fn what_lies_beside_a_manifest_is_not_asked_of_a_registry() {
        let asks = |text: &str| asks_for_crates(text);
        assert!(asks("[dependencies]\na = \"1\"\n"));
        assert!(asks("[target.'cfg(unix)'.dependencies]\na = { version = \"1\" }\n"));
        assert!(asks("[workspace.dependencies]\na = \"1\"\n"));
        assert!(!asks("[dependencies]\na = { path = \"a\" }\n[dev-dependencies]\nb = \"1\"\n"));
        assert!(!asks("not toml"));
    }

    #[test]
    fn what_is_not_pinned_or_no_crate_is_refused() {
        let package = |name: &str, version: &str, more: &str| {
            said(&format!("[[package]]\nname = {name:?}\nversion = {version:?}\n{more}"))
        };
        let from = "source = \"sparse+https://host.test/\"\n";
        insta::assert_snapshot!(package("a", "1.0.0", from), @"it says no checksum of the crate a 1.0.0");
        insta::assert_snapshot!(package("../a", "1.0.0", from), @"it has a crate `../a` of version `1.0.0`, which is none");
        insta::assert_snapshot!(package("a", "../1", from), @"it has a crate `a` of version `../1`, which is none");
        let repository = "source = \"git+https://host.test/a?rev=1#2\"\n";
        insta::assert_snapshot!(package("a", "1.0.0", repository), @"the crate a 1.0.0 comes from git+https://host.test/a?rev=1#2, which is no registry");
        insta::assert_snapshot!(said("[[package]]\nname = 1\n"), @"it is not as cargo writes it: invalid type: integer `1`, expected a string");
    }
}
