//! What a system has for sure whose Python takes wheels of a platform tag.
//!
//! `manylinux_X_Y` means: a system with glibc X.Y or newer, the libraries of a short list, and no newer versions of
//! their symbols than such a system had. `musllinux_X_Y` means musl, which has no versions of symbols: nobody can tell
//! from a file which musl it was built on. The rules themselves are data, `policy.toml`.
//!
//! Spec: <https://peps.python.org/pep-0600/>, <https://peps.python.org/pep-0656/>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::facts::{Class, Endian, Facts, Machine};

/// What a system with one platform tag has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    family: Family,
    version: (u16, u16),
    processor: &'static str,
    alias: Option<String>,
    libraries: BTreeSet<String>,
    /// By their prefix, `GLIBC`, without it.
    versions: BTreeMap<String, BTreeSet<String>>,
    /// By library.
    refused: BTreeMap<String, BTreeSet<String>>,
}

/// Whose C library it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// glibc's.
    Manylinux,
    /// musl's.
    Musllinux,
}

/// The data file.
#[derive(Deserialize)]
struct Rules {
    manylinux: Vec<Step>,
    musllinux: Vec<Step>,
    refused: Vec<Refused>,
}

static RULES: LazyLock<Rules> =
    LazyLock::new(|| toml::from_str(include_str!("policy.toml")).expect("the rules are well-formed"));

/// What a policy has beyond the one before it.
#[derive(Deserialize)]
struct Step {
    version: String,
    alias: Option<String>,
    #[serde(default)]
    libraries: String,
    #[serde(default)]
    symbols: BTreeMap<String, BTreeMap<String, String>>,
}

/// Symbols of a library that are not for others.
#[derive(Deserialize)]
struct Refused {
    tag: String,
    to: String,
    library: String,
    symbols: String,
}

impl Family {
    /// Tells which C library's loader would load a file, as far as it says.
    pub fn of(facts: &Facts) -> Option<Self> {
        let says = |name: &str| {
            let name = name.rsplit('/').next().unwrap_or_default();
            let is_musl = name.starts_with("libc.musl-") || name.starts_with("ld-musl-");
            let is_glibc =
                name == "libc.so.6" || name.starts_with("ld-linux") || name.starts_with("ld64.so.");
            match (is_musl, is_glibc) {
                (true, _) => Some(Self::Musllinux),
                (_, true) => Some(Self::Manylinux),
                _ => None,
            }
        };
        facts.interpreter.iter().chain(&facts.needed).find_map(|name| says(name))
    }

    /// Returns the beginning of its tags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manylinux => "manylinux",
            Self::Musllinux => "musllinux",
        }
    }
}

impl Policy {
    /// Returns all policies for a processor as its tags call it, that of the oldest systems first.
    ///
    /// A processor that nobody makes such tags for has none.
    pub fn all(family: Family, processor: &str) -> Vec<Self> {
        let Some(processor) = PROCESSORS.into_iter().find(|name| *name == processor) else {
            return Vec::new();
        };
        let steps = match family {
            Family::Manylinux => &RULES.manylinux,
            Family::Musllinux => &RULES.musllinux,
        };
        let mut policies = Vec::new();
        let (mut libraries, mut versions) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
        // A processor's first policy names it, and the later ones only where they have more for it.
        let mut known = false;
        for step in steps {
            libraries.extend(words(&step.libraries));
            known |= step.symbols.contains_key(processor);
            if !known {
                continue;
            }
            for (prefix, added) in step.symbols.get(processor).into_iter().flatten() {
                versions.entry(prefix.clone()).or_default().extend(words(added));
            }
            let version = pair(&step.version);
            let reaches = |refused: &&Refused| refused.tag == family.name() && pair(&refused.to) >= version;
            let mut refused = BTreeMap::<String, BTreeSet<String>>::new();
            for entry in RULES.refused.iter().filter(reaches) {
                refused.entry(entry.library.clone()).or_default().extend(words(&entry.symbols));
            }
            let (alias, libraries, versions) = (step.alias.clone(), libraries.clone(), versions.clone());
            policies.push(Self { family, version, processor, alias, libraries, versions, refused });
        }
        policies
    }

    /// Returns every symbol that some policy refuses, so that others needn't be remembered.
    pub fn refused_by_any(family: Family, processor: &str) -> BTreeSet<String> {
        let all = Self::all(family, processor);
        all.into_iter().flat_map(|policy| policy.refused.into_values().flatten()).collect()
    }

    /// Returns its other name: `manylinux2014_x86_64`.
    pub fn alias(&self) -> Option<String> {
        self.alias.as_ref().map(|alias| format!("{alias}_{}", self.processor))
    }

    /// Tells whether its systems have a library.
    pub fn supplies(&self, soname: &str) -> bool {
        let is_musl = soname == "libc.so" || soname.starts_with("libc.musl-");
        match self.family {
            Family::Musllinux if is_musl => true,
            _ => is_loader(soname) || self.libraries.contains(soname),
        }
    }

    /// Tells whether its systems' libraries define a version of symbols, `GLIBC_2.17`; what isn't of a known kind is
    /// the business of whoever brings the library.
    pub fn defines(&self, version: &str) -> bool {
        let Some((prefix, rest)) = version.split_once('_') else { return true };
        self.versions.get(prefix).is_none_or(|known| known.contains(rest))
    }

    /// Returns the symbols that nobody may take from a library though it is there; `*` is any.
    pub fn refused(&self, soname: &str) -> impl Iterator<Item = &str> {
        self.refused.get(soname).into_iter().flatten().map(String::as_str)
    }
}

impl fmt::Display for Policy {
    /// Writes the platform tag: `manylinux_2_17_x86_64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{}_{major}_{minor}_{}", self.family.name(), self.processor)
    }
}

/// Returns what platform tags call a file's processor; none for one that has no tags.
pub fn processor(facts: &Facts) -> Option<&'static str> {
    Some(match (facts.machine, facts.class, facts.endian) {
        (Machine::Amd64, Class::Bits64, Endian::Little) => "x86_64",
        (Machine::Arm64, Class::Bits64, Endian::Little) => "aarch64",
        (Machine::X86, Class::Bits32, Endian::Little) => "i686",
        (Machine::Arm, Class::Bits32, Endian::Little) => "armv7l",
        (Machine::PowerPc64, Class::Bits64, Endian::Little) => "ppc64le",
        (Machine::S390, Class::Bits64, Endian::Big) => "s390x",
        (Machine::RiscV, Class::Bits64, Endian::Little) => "riscv64",
        (Machine::Other(258), Class::Bits64, Endian::Little) => "loongarch64",
        _ => return None,
    })
}

/// Tells whether a name is the loader's own, which is in every process.
pub fn is_loader(soname: &str) -> bool {
    soname.contains("ld-linux") || soname.starts_with("ld-musl-") || soname.starts_with("ld64.so.")
}

/// The processors that platform tags are for, as these call them.
pub const PROCESSORS: [&str; 8] =
    ["x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv64", "loongarch64"];

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_ascii_whitespace().map(str::to_owned)
}

fn pair(version: &str) -> (u16, u16) {
    let parts = version.split_once('.').map(|(major, minor)| (major.parse(), minor.parse()));
    match parts {
        Some((Ok(major), Ok(minor))) => (major, minor),
        _ => panic!("the rules have the version `{version}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(family: Family, processor: &str) -> Vec<String> {
        Policy::all(family, processor).iter().map(Policy::to_string).collect()
    }

    #[test]
    fn policies_begin_with_the_oldest_system_that_a_processor_had() {
        let all = tags(Family::Manylinux, "x86_64");
        assert_eq!(all[..3], ["manylinux_2_5_x86_64", "manylinux_2_12_x86_64", "manylinux_2_17_x86_64"]);
        assert_eq!(tags(Family::Manylinux, "aarch64")[0], "manylinux_2_17_aarch64");
        assert_eq!(tags(Family::Manylinux, "loongarch64")[0], "manylinux_2_36_loongarch64");
        assert_eq!(tags(Family::Musllinux, "aarch64"), ["musllinux_1_1_aarch64", "musllinux_1_2_aarch64"]);
        assert_eq!(tags(Family::Manylinux, "m68k"), [""; 0]);
    }

    /// What an older system has, a newer one has, too (PEP 600).
    #[test]
    fn a_newer_system_has_no_less() {
        for (family, processor) in [Family::Manylinux, Family::Musllinux]
            .into_iter()
            .flat_map(|family| PROCESSORS.map(|processor| (family, processor)))
        {
            let all = Policy::all(family, processor);
            for pair in all.windows(2) {
                let (older, newer) = (&pair[0], &pair[1]);
                assert!(older.version < newer.version, "{older}");
                assert!(older.libraries.is_subset(&newer.libraries), "{newer}");
                for (prefix, versions) in &older.versions {
                    assert!(versions.is_subset(&newer.versions[prefix]), "{newer} {prefix}");
                }
                for (library, symbols) in &newer.refused {
                    assert!(symbols.is_subset(&older.refused[library]), "{newer} {library}");
                }
            }
        }
    }

    #[test]
    fn a_policy_knows_libraries_versions_and_private_symbols() {
        let all = Policy::all(Family::Manylinux, "x86_64");
        let old = &all[2];
        assert_eq!(old.alias().as_deref(), Some("manylinux2014_x86_64"));
        let libraries = ["libc.so.6", "ld-linux-x86-64.so.2", "libmvec.so.1", "libxml2.so.2"];
        assert_eq!(libraries.map(|library| old.supplies(library)), [true, true, false, false]);
        let versions = ["GLIBC_2.17", "GLIBC_2.18", "GLIBC_ABI_DT_RELR", "OPENSSL_3.0.0", "plain"];
        assert_eq!(versions.map(|version| old.defines(version)), [true, false, false, true, true]);
        assert!(old.refused("libz.so.1").any(|symbol| symbol == "inflate_fast"));
        assert_eq!(old.refused("libX11.so.6").count(), 0);
        assert!(all.last().unwrap().defines("GLIBC_ABI_DT_RELR"));
    }

    #[test]
    fn musl_is_known_by_its_own_name() {
        let musl = &Policy::all(Family::Musllinux, "x86_64")[1];
        let libraries = ["libc.musl-x86_64.so.1", "libz.so.1", "libstdc++.so.6"];
        assert_eq!(libraries.map(|library| musl.supplies(library)), [true, true, false]);
        assert!(musl.defines("GLIBCXX_3.4.99"));
    }
}
