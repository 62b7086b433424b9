//! Finds out from a build that failed what it takes: asks the archive's lists of files who has what was missing.

use std::collections::BTreeSet;

use super::detect::{self, Question};
use super::make::Order;
use super::recipe::{Recipe, Tools};
use super::root::{RoomError, tool_roots};
use super::{Workshop, Yard};
use crate::contents::{Missing, Place, Supplier};
use crate::debian::Roots;

/// How often a build is begun again. Each round brings something new; a compiler stops at the first header.
pub(super) const MOST_ROUNDS: usize = 25;

/// Modules whose distribution has another name, or is another one by now.
const DISTRIBUTIONS: [(&str, &str); 8] = [
    ("pkg_resources", "setuptools<81"),
    ("distutils", "setuptools"),
    ("skbuild", "scikit-build"),
    ("Crypto", "pycryptodome"),
    ("yaml", "pyyaml"),
    ("cgi", "legacy-cgi"),
    ("cgitb", "legacy-cgi"),
    ("audioop", "audioop-lts"),
];

/// Modules that were in the standard library once, and are distributed as `standard-NAME` since.
///
/// Spec: PEP 594, and those that Python 3.12 took away.
const RETIRED: [&str; 15] = [
    "aifc",
    "asynchat",
    "asyncore",
    "chunk",
    "crypt",
    "imghdr",
    "mailcap",
    "nntplib",
    "pipes",
    "smtpd",
    "sndhdr",
    "sunau",
    "telnetlib",
    "uu",
    "xdrlib",
];

/// More bytes than these are not added for a guess.
pub(super) const DEAREST_GUESS: u64 = 64 << 20;

/// The program that builds what is written in Rust, and the package of that name.
const RUST: &str = "cargo";

impl Workshop<'_> {
    /// Adds to a recipe what a log says was missing; returns what that is, in words, nothing if it is nothing new.
    pub(super) fn learn(
        &self,
        order: &Order<'_>,
        recipe: &mut Recipe,
        log: &str,
    ) -> Result<Vec<String>, RoomError> {
        let questions = detect::questions(log);
        let mut learnt = Vec::new();
        for question in &questions {
            match question {
                Question::Module(module) => learnt.extend(require(order, recipe, module)),
                Question::TooOld(_) => {
                    let Some(yard) = &self.yard else { continue };
                    learnt.extend(self.renew_rust(yard, recipe)?);
                }
                Question::System(any) => {
                    let Some(yard) = &self.yard else { continue };
                    if recipe.tools == Tools::Compilers {
                        learnt.extend(self.supply_one(yard, recipe, any)?);
                    }
                }
            }
        }
        let is_systems = |question: &Question| matches!(question, Question::System(_));
        if learnt.is_empty()
            && recipe.tools == Tools::Python
            && self.yard.is_some()
            && (questions.iter().any(is_systems) || wants_compilers(log))
        {
            recipe.tools = Tools::Compilers;
            learnt.push("compilers".to_owned());
        }
        Ok(learnt)
    }

    pub(super) fn supply_one(
        &self,
        yard: &Yard<'_>,
        recipe: &mut Recipe,
        any: &[Missing],
    ) -> Result<Option<String>, RoomError> {
        let mut present = self.tools(yard);
        present.extend(yard.base.clone());
        for name in recipe.system.keys().filter_map(|name| name.parse().ok()) {
            present.entry(name).or_default();
        }
        for missing in any {
            let found = self.supply.suppliers(yard.platform, missing, &present)?;
            // What is there already is missed for another reason.
            let Some(best) = newest(&found).filter(|best| best.packages > 0) else { continue };
            let (package, what) = (best.package.to_string(), missing.what());
            let words = format!("{package} ({what})");
            recipe.system.entry(package).or_default().insert(what);
            return Ok(Some(words));
        }
        self.supply_from_afar(yard, recipe, any)
    }

    /// Returns the tools of a room, as far as the suite has them: nothing can be added to what cannot be there.
    fn tools(&self, yard: &Yard<'_>) -> Roots {
        let mut tools = tool_roots(yard.base);
        tools.retain(|name, _| self.supply.offered(yard.platform, name.as_str()).is_some());
        tools
    }

    /// Puts the newest Rust in the place of an older one, where a suite has several: some have one for web browsers,
    /// which want a newer one than the suite began with.
    fn renew_rust(&self, yard: &Yard<'_>, recipe: &mut Recipe) -> Result<Option<String>, RoomError> {
        let version = |package: &str| self.supply.offered(yard.platform, package).map(|text| numbers(&text));
        let is_rust = |package: &str| package == RUST || package.starts_with("cargo-");
        let Some(old) = recipe.system.keys().find(|package| is_rust(package)).cloned() else {
            return Ok(None);
        };
        let program = Missing::Program(RUST.to_owned());
        let found = self.supply.suppliers(yard.platform, &program, &self.tools(yard))?;
        let packages = found.iter().map(|found| found.package.to_string()).filter(|package| is_rust(package));
        let newest = packages.filter_map(|package| Some((version(&package)?, package))).max();
        let Some((_, package)) = newest.filter(|(newest, _)| Some(newest) > version(&old).as_ref()) else {
            return Ok(None);
        };
        recipe.system.remove(&old);
        let why = format!("a newer Rust than that of `{old}`");
        let words = format!("{package} ({why})");
        recipe.system.entry(package).or_default().extend([program.what(), why]);
        Ok(Some(words))
    }

    /// Returns the Rust that a recipe has, in words: a package and its version.
    pub(super) fn rust_of(&self, recipe: &Recipe) -> String {
        let package = recipe.system.keys().find(|package| package.starts_with(RUST));
        let package = package.map_or(RUST, String::as_str);
        let version = self.yard.as_ref().and_then(|yard| self.supply.offered(yard.platform, package));
        version.map_or_else(|| package.to_owned(), |version| format!("{package} {version}"))
    }

    /// Adds the package that has something, if one alone has it, and that for not more bytes than these; what isn't
    /// found out is let be.
    pub(super) fn supply_only(
        &self,
        yard: &Yard<'_>,
        recipe: &mut Recipe,
        (any, dearest): (&[Missing], u64),
    ) {
        let mut present = self.tools(yard);
        present.extend(yard.base.clone());
        for name in recipe.system.keys().filter_map(|name| name.parse().ok()) {
            present.entry(name).or_default();
        }
        for missing in any {
            let found = self.supply.suppliers(yard.platform, missing, &present).unwrap_or_default();
            let Some(best) = found.first() else { continue };
            let is_rival = |other: &&Supplier| {
                other.place == best.place && other.package != best.package && is_for_builds(other)
            };
            let is_named = matches!(missing, Missing::Program(program) if best.package.as_str() == program);
            let is_sole = is_for_builds(best) && !found.iter().any(|other| is_rival(&other));
            let is_fair = best.place != Place::Far && best.bytes <= dearest;
            if best.packages > 0 && is_fair && (is_named || is_sole) {
                recipe.system.entry(best.package.to_string()).or_default().insert(missing.what());
            }
            // Who has it, or doesn't deserve to be guessed, is known; others would be another thing.
            return;
        }
    }

    /// Adds the package that has a library where nobody looks without being told, as where a suite has several
    /// builds of one: what tells builds of such a place comes with it. The plainest of several is called shortest.
    fn supply_from_afar(
        &self,
        yard: &Yard<'_>,
        recipe: &mut Recipe,
        any: &[Missing],
    ) -> Result<Option<String>, RoomError> {
        for missing in any {
            let Missing::Library(name) = missing else { continue };
            let file = format!("lib{name}.so");
            let listed = self.supply.alike(yard.platform, &file)?;
            let same = listed.iter().filter(|listed| listed.path.name() == Some(file.as_str()));
            let packages = same.flat_map(|listed| &listed.packages).map(ToString::to_string);
            let fresh = packages.filter(|name| name.ends_with("-dev") && !recipe.system.contains_key(name));
            let Some(package) = fresh.min_by_key(|name| (name.len(), name.clone())) else { continue };
            let words = format!("{package} ({})", missing.what());
            recipe.system.insert(package, BTreeSet::from([missing.what()]));
            return Ok(Some(words));
        }
        Ok(None)
    }
}

/// Adds the distribution that has a module; none if it is asked for already.
fn require(order: &Order<'_>, recipe: &mut Recipe, module: &str) -> Option<String> {
    let known = DISTRIBUTIONS.iter().find(|(name, _)| *name == module).map(|(_, line)| (*line).to_owned());
    let usual = || match RETIRED.contains(&module) {
        true => format!("standard-{module}"),
        false => module.replace('_', "-"),
    };
    let line = known.unwrap_or_else(usual);
    let is_name =
        line.split('<').next().is_some_and(|name| name.parse::<minke_python::PackageName>().is_ok());
    let asked = |asked: &String| asked.to_lowercase() == line.to_lowercase();
    if !is_name || recipe.requires.contains_key(&line) || order.system.requires.iter().any(asked) {
        return None;
    }
    let what = format!("the module `{module}`");
    let words = format!("{line} ({what})");
    recipe.requires.insert(line, BTreeSet::from([what]));
    Some(words)
}

/// Returns the best, or the newest of those that are as good and called the same but for numbers: `llvm-19-dev`, not
/// `llvm-17-dev`, which is smaller.
fn newest(found: &[Supplier]) -> Option<&Supplier> {
    let best = found.first()?;
    let stem = |one: &Supplier| one.package.as_str().replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let is_alike = |one: &&Supplier| one.place == best.place && stem(one) == stem(best);
    // What is there already would bring nothing new.
    let fresh = found.iter().filter(is_alike).filter(|one| one.packages > 0);
    let in_name = |one: &Supplier| {
        let numbers = one.package.as_str().split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect::<Vec<u64>>()
    };
    if best.packages == 0 { Some(best) } else { fresh.max_by_key(|one| in_name(one)) }
}

fn is_for_builds(supplier: &Supplier) -> bool {
    supplier.package.as_str().ends_with("-dev")
}

/// Returns the numbers that a package's version begins with, its epoch left out.
fn numbers(version: &str) -> Vec<u64> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['.', '+', '-', '~']).map_while(|number| number.parse().ok()).collect()
}

/// Tells whether a log is of one who looked for a compiler.
fn wants_compilers(log: &str) -> bool {
    let words = [
        "gcc",
        "g++",
        "c compiler",
        "c++ compiler",
        "cc1",
        "make: ",
        "configure: error",
        "cmake",
        "meson.build",
    ];
    let lower = log.to_lowercase();
    words.iter().any(|word| has_word(&lower, word))
}

/// Tells whether a text has these words for themselves: `cmake` isn't in `CMAKE_BUILD_PARALLEL_LEVEL`, nor `cc1` in a digest.
fn has_word(text: &str, word: &str) -> bool {
    let is_of_name = |one: Option<char>| one.is_some_and(|one| one.is_alphanumeric() || one == '_');
    text.match_indices(word).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + word.len()..]);
        let begins = !(is_of_name(word.chars().next()) && is_of_name(before.chars().next_back()));
        let ends = !(is_of_name(word.chars().next_back()) && is_of_name(after.chars().next()));
        begins && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_versions_side_by_side_the_newest_is_taken() {
        let found = |names: &[(&str, usize)]| -> Vec<Supplier> {
            let supplier = |(name, packages): &(&str, usize)| Supplier {
                package: name.parse().unwrap(),
                path: "/usr/lib/x".parse().unwrap(),
                place: Place::Far,
                packages: *packages,
                bytes: 1,
            };
            names.iter().map(supplier).collect()
        };
        let of = |names: &[(&str, usize)]| newest(&found(names)).map(|one| one.package.to_string());
        assert_eq!(of(&[("llvm-9-dev", 3), ("llvm-19-dev", 4), ("zzz-20-dev", 1)]).unwrap(), "llvm-19-dev");
        assert_eq!(of(&[("libboost1.83-dev", 3), ("libboost1.9-dev", 4)]).unwrap(), "libboost1.83-dev");
        // One of them is there: it is missed for another reason.
        assert_eq!(of(&[("llvm-9-dev", 0), ("llvm-19-dev", 4)]).unwrap(), "llvm-9-dev");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_compiler_is_missed_by_its_name_and_not_by_a_longer_one() {
        let missed = [
            "/bin/sh: 1: gcc: not found",
            "unable to execute 'g++': No such file",
            "No CMAKE_C_COMPILER: cmake",
        ];
        assert!(missed.into_iter().all(wants_compilers));
        let others =
            ["variables: CMAKE_BUILD_PARALLEL_LEVEL", "sha256:0cc1a4", "libgcc_s.so.1", "ValueError: bad"];
        let wrong: Vec<&str> = others.into_iter().filter(|log| wants_compilers(log)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
