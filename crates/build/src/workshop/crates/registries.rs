//! Where registries of crates lie: as cargo's settings say, else as a lock names them.
//!
//! Cargo lets a user put one source in the place of another, and that is followed here, as in
//! `$CARGO_HOME/config.toml`. Only sparse indexes are read. A lock that names the git repository of an index is
//! answered by the sparse twin of that, whose address cargo knows by heart and which can be told from the name: the
//! repository `toy.test-index` is the index of the registry at `toy.test`, whose sparse index is at `index.toy.test`.
//!
//! Spec: <https://doc.rust-lang.org/cargo/reference/source-replacement.html>,
//! <https://doc.rust-lang.org/cargo/reference/registry-index.html>

use std::collections::BTreeMap;

use minke_cas::SourceUrl;
use serde::Deserialize;

use super::lock::LockedCrate;
use crate::request::Host;

/// Nobody replaces what replaces what replaces more often.
const LONGEST_CHAIN: usize = 8;

/// What cargo's settings say of registries.
#[derive(Default)]
pub(super) struct Registries<'host> {
    config: Config,
    host: Option<&'host Host>,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    source: BTreeMap<String, Replacement>,
    #[serde(default)]
    registries: BTreeMap<String, Registry>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Replacement {
    registry: Option<String>,
    replace_with: Option<String>,
}

#[derive(Default, Deserialize)]
struct Registry {
    index: Option<String>,
}

/// Nothing says where a registry lies, or that isn't understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// No sparse index of it is known.
    #[error("no sparse index of `{registry}` is known")]
    Unknown {
        /// As a lock or cargo's settings name it.
        registry: String,
    },
    /// Its address is none.
    #[error("`{registry}` is no address of a registry")]
    Address {
        /// As a lock or cargo's settings name it.
        registry: String,
    },
    /// The source in whose place another is put leads nowhere.
    #[error("cargo's settings put `{name}` in its place, and don't say what that is")]
    Replacement {
        /// What it is replaced with.
        name: String,
    },
}

impl<'host> Registries<'host> {
    /// Reads cargo's settings; what isn't TOML says nothing, as cargo itself will tell.
    pub(super) fn of(host: &'host Host) -> Self {
        let text = host.cargo_config.as_ref().map_or("", |(_, text)| text.as_str());
        Self { config: toml::from_str(text).unwrap_or_default(), host: Some(host) }
    }

    /// Returns the address of the sparse index of a registry that a lock names.
    pub(super) fn index(&self, registry: &str) -> Result<SourceUrl, RegistryError> {
        let mut at = registry.to_owned();
        let mut name = name_of(registry).or_else(|| self.defined_as(registry));
        for _ in 0..LONGEST_CHAIN {
            let Some(replaced) = name.as_ref().and_then(|name| self.replaced_with(name)) else {
                return sparse(&at);
            };
            let unknown = || RegistryError::Replacement { name: replaced.clone() };
            let replacement = self.address(&replaced);
            at = match replacement {
                Some(address) => address,
                // Only a link of the chain.
                None if self.replaced_with(&replaced).is_some() => at,
                None => return Err(unknown()),
            };
            name = Some(replaced);
        }
        Err(RegistryError::Replacement { name: name.unwrap_or_default() })
    }

    /// Returns the name under which cargo's settings know a registry.
    fn defined_as(&self, registry: &str) -> Option<String> {
        let plain = registry.strip_prefix("registry+").unwrap_or(registry);
        let is_it = |(_, source): &(&String, &Replacement)| source.registry.as_deref() == Some(plain);
        self.config.source.iter().find(is_it).map(|(name, _)| name.clone())
    }

    fn replaced_with(&self, name: &str) -> Option<String> {
        let said = || self.config.source.get(name)?.replace_with.clone();
        self.variable("SOURCE", name, "REPLACE_WITH").or_else(said)
    }

    fn address(&self, name: &str) -> Option<String> {
        let source = || self.config.source.get(name)?.registry.clone();
        let registry = || self.config.registries.get(name)?.index.clone();
        let source = self.variable("SOURCE", name, "REGISTRY").or_else(source);
        source.or_else(|| self.variable("REGISTRIES", name, "INDEX")).or_else(registry)
    }

    fn variable(&self, table: &str, name: &str, key: &str) -> Option<String> {
        let name = name.to_uppercase().replace(['-', '.'], "_");
        self.host?.variable(&format!("CARGO_{table}_{name}_{key}")).map(str::to_owned)
    }
}

/// Returns by which name cargo's settings know a registry that all know: `toy-test` for that at `toy.test`.
pub(super) fn name_of(registry: &str) -> Option<String> {
    well_known(registry).map(|host| host.replace('.', "-"))
}

/// Returns the host of a registry whose index is named after it.
fn well_known(registry: &str) -> Option<&str> {
    let host = match registry.split_once('+')? {
        ("registry", url) => url.trim_end_matches('/').rsplit('/').next()?.strip_suffix("-index")?,
        (_, url) => url.strip_prefix("https://index.")?.trim_end_matches('/'),
    };
    let is_host = |host: &str| {
        host.contains('.')
            && !host.starts_with('.')
            && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    is_host(host).then_some(host)
}

/// Returns the address of a sparse index, or of the sparse twin of one that isn't.
fn sparse(registry: &str) -> Result<SourceUrl, RegistryError> {
    let registry_of = |at: &str| at.parse().map_err(|_| RegistryError::Address { registry: at.to_owned() });
    if let Some(url) = registry.strip_prefix("sparse+") {
        return registry_of(url);
    }
    let tagged = if registry.contains('+') { registry.to_owned() } else { format!("registry+{registry}") };
    match well_known(&tagged) {
        Some(host) => registry_of(&format!("https://index.{host}/")),
        None => Err(RegistryError::Unknown { registry: registry.to_owned() }),
    }
}

/// Returns where a crate's file lies, by what the index's `config.json` has as `dl`.
pub(super) fn download(template: &str, krate: &LockedCrate) -> String {
    let LockedCrate { name, version, checksum, .. } = krate;
    if !template.contains('{') {
        return format!("{}/{name}/{version}/download", template.trim_end_matches('/'));
    }
    let lower = name.to_lowercase();
    let values = [
        ("{crate}", name.as_str()),
        ("{version}", version),
        ("{prefix}", &prefix(name)),
        ("{lowerprefix}", &prefix(&lower)),
        ("{sha256-checksum}", &checksum.hex()),
    ];
    values.iter().fold(template.to_owned(), |text, (marker, value)| text.replace(marker, value))
}

/// Returns the directories in which an index has a crate. Names are ASCII.
fn prefix(name: &str) -> String {
    match name.len() {
        0..=2 => name.len().to_string(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(config: &str, variables: &[(&str, &str)], registry: &str) -> String {
        let host = Host {
            cargo_config: Some(("config.toml".into(), config.to_owned())),
            variables: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Host::default()
        };
        match Registries::of(&host).index(registry) {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        }
    }

    const KNOWN: &str = "registry+https://host.test/x/toy.test-index";

    #[test]
    fn a_lock_says_where_a_registry_is_unless_cargo_is_told_better() {
        insta::assert_snapshot!(index("", &[], KNOWN), @"https://index.toy.test/");
        insta::assert_snapshot!(index("", &[], "sparse+http://127.0.0.1:1/index/"), @"http://127.0.0.1:1/index/");
        insta::assert_snapshot!(index("", &[], "registry+https://host.test/own"), @"no sparse index of `registry+https://host.test/own` is known");
        insta::assert_snapshot!(index("", &[], "sparse+nowhere"), @"`nowhere` is no address of a registry");
        let replaced = "[source.toy-test]\nreplace-with = \"a\"\n[source.a]\nreplace-with = \"b\"\n\
                        [registries.b]\nindex = \"sparse+http://mirror.test/index/\"\n";
        insta::assert_snapshot!(index(replaced, &[], KNOWN), @"http://mirror.test/index/");
        let own = "[source.own]\nregistry = \"https://host.test/own\"\nreplace-with = \"a\"\n\
                   [source.a]\nregistry = \"sparse+http://mirror.test/own/\"\n";
        insta::assert_snapshot!(index(own, &[], "registry+https://host.test/own"), @"http://mirror.test/own/");
        let variables = [
            ("CARGO_SOURCE_TOY_TEST_REPLACE_WITH", "m-m"),
            ("CARGO_SOURCE_M_M_REGISTRY", "sparse+http://mirror.test/"),
        ];
        insta::assert_snapshot!(index("", &variables, KNOWN), @"http://mirror.test/");
    }

    #[test]
    fn settings_that_lead_nowhere_are_told() {
        insta::assert_snapshot!(index("[source.toy-test]\nreplace-with = \"a\"\n", &[], KNOWN), @"cargo's settings put `a` in its place, and don't say what that is");
        let round = "[source.toy-test]\nreplace-with = \"a\"\n[source.a]\nreplace-with = \"toy-test\"\n";
        insta::assert_snapshot!(index(round, &[], KNOWN), @"cargo's settings put `toy-test` in its place, and don't say what that is");
        let directory = "[source.toy-test]\nreplace-with = \"a\"\n[source.a]\ndirectory = \"/x\"\n";
        insta::assert_snapshot!(index(directory, &[], KNOWN), @"cargo's settings put `a` in its place, and don't say what that is");
    }

    #[test]
    fn a_template_is_filled_in_and_else_followed_by_what_all_have() {
        let at = |template: &str, name: &str| {
            let krate = LockedCrate {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                registry: KNOWN.to_owned(),
                checksum: minke_cas::Digest::of(b""),
            };
            download(template, &krate)
        };
        insta::assert_snapshot!(at("http://host.test/crates", "Cfg-If"), @"http://host.test/crates/Cfg-If/1.0.0/download");
        insta::assert_snapshot!(at("http://host.test/{prefix}/{lowerprefix}/{crate}-{version}.crate", "Cfg-If"), @"http://host.test/Cf/g-/cf/g-/Cfg-If-1.0.0.crate");
        insta::assert_snapshot!(at("{prefix}", "a"), @"1");
        insta::assert_snapshot!(at("{prefix}", "abc"), @"3/a");
    }
}
