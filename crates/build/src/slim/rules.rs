//! The rules: data that is shipped with minke, and what of it applies to whom.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use minke_cas::{Digest, ImagePath};
use serde::{Deserialize, Serialize};

use crate::parts::Owner;
use crate::settings::Profile;

const TEXT: &str = include_str!("rules.toml");

static SHIPPED: LazyLock<Rules> = LazyLock::new(|| Rules::read(TEXT).expect("the shipped rules are right"));

/// Whose files a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What every image of a suite has.
    Base,
    /// Distribution packages that this project needs.
    System,
    /// Distributions from wheels.
    Distribution,
}

impl Class {
    /// Returns the class of an owner's files; none of those that no rule looks at.
    pub fn of(owner: &Owner) -> Option<Self> {
        match owner {
            Owner::Base { .. } => Some(Self::Base),
            Owner::System { .. } => Some(Self::System),
            Owner::Distribution { .. } => Some(Self::Distribution),
            Owner::Image { .. } | Owner::Project { .. } | Owner::Minke { .. } => None,
        }
    }
}

/// How a rule finds what it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By globs.
    #[default]
    Paths,
    /// `.pyi` files beside their modules, where nothing reads them.
    Stubs,
    /// Directories of some names without what is imported from them.
    Unimported,
    /// Sources of modules that have bytecode, after it was made.
    Bytecode,
    /// Modules that no other code of the same distribution names.
    Modules,
    /// Nothing, but these get no bytecode.
    Uncompiled,
    /// Debug information of ELF files.
    Debug,
    /// All of ELF files that no loader reads.
    Symbols,
    /// Libraries that their distribution has in two builds, of which one can stand for the other.
    Doubled,
    /// Libraries that another distribution has, too: a link stands for all but one.
    Equal,
    /// By globs, where nothing that stays imports some modules.
    Unneeded,
    /// Libraries for which another distribution's can stand, which has all that is asked of them.
    Compatible,
}

/// Packages that a rule spares.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// A glob of their names.
    pub package: String,
    /// Globs of what is spared; everything where nothing is said.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Why.
    pub reason: String,
}

/// One rule, as `rules.toml` has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What settings, the ledger and messages call it.
    pub name: String,
    /// Why nothing that runs misses what it takes.
    pub why: String,
    /// The profile with which it begins; without one it is on only where settings say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Whose files it looks at.
    pub on: BTreeSet<Class>,
    /// How it finds what it takes.
    #[serde(default)]
    pub how: How,
    /// Globs of what it takes.
    #[serde(default)]
    pub take: Vec<String>,
    /// Globs of what stays all the same.
    #[serde(default)]
    pub spare: Vec<String>,
    /// Names of directories, for [`How::Unimported`].
    #[serde(default)]
    pub directories: Vec<String>,
    /// Globs of file names, one of which such a directory must have.
    #[serde(default)]
    pub like: Vec<String>,
    /// Modules that somebody may need, for [`How::Unneeded`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Globs of modules of the standard library that import those and do without, for [`How::Unneeded`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether a removed module leaves one that says which setting brings it back.
    #[serde(default)]
    pub hint: bool,
    /// Whom it spares.
    #[serde(default, rename = "exception")]
    pub exceptions: Vec<Exception>,
}

/// All rules, in the order in which they take.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    matchers: Vec<Matcher>,
    digest: Digest,
}

/// The compiled globs of a rule.
#[derive(Debug)]
struct Matcher {
    take: GlobSet,
    spare: GlobSet,
    like: GlobSet,
    without: GlobSet,
    /// Of each exception: whom, and what of it.
    exceptions: Vec<(GlobMatcher, GlobSet)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// Rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RulesError {
    /// They aren't TOML, or a field is wrong.
    #[error("the rules are not right")]
    Syntax(#[source] toml::de::Error),
    /// A glob is none.
    #[error("a rule's glob is none")]
    Glob(#[source] globset::Error),
}

impl Rules {
    /// Returns the rules that are shipped with minke.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// Returns the digest of the shipped rules without reading them, which takes as long as a build in which nothing has
    /// changed.
    pub fn shipped_digest() -> Digest {
        Digest::of(TEXT.as_bytes())
    }

    fn read(text: &str) -> Result<Self, RulesError> {
        let File { rule: rules } = toml::from_str(text).map_err(RulesError::Syntax)?;
        let matchers = rules.iter().map(Matcher::of).collect::<Result<_, _>>().map_err(RulesError::Glob)?;
        Ok(Self { rules, matchers, digest: Digest::of(text.as_bytes()) })
    }

    /// Returns the rules in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Returns the digest of the file that they were read from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Looks a rule up by name.
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// Returns the rules of these names as they apply to an owner's files.
    pub(super) fn active<'rules>(&'rules self, names: &[String], owner: &'rules str) -> Vec<Active<'rules>> {
        let all = self.rules.iter().zip(&self.matchers);
        let wanted = all.filter(|(rule, _)| names.contains(&rule.name));
        wanted.map(|(rule, matcher)| Active { rule, matcher, owner }).collect()
    }
}

/// A rule as it applies to one owner's files.
#[derive(Clone, Copy)]
pub(super) struct Active<'rules> {
    pub(super) rule: &'rules Rule,
    matcher: &'rules Matcher,
    owner: &'rules str,
}

impl Active<'_> {
    /// Tells whether its globs take a path.
    pub(super) fn takes(&self, path: &ImagePath) -> bool {
        self.matcher.take.is_match(path.as_str()) && !self.spares(path)
    }

    /// Tells whether it lets a path be.
    pub(super) fn spares(&self, path: &ImagePath) -> bool {
        let excepts = |(package, paths): &(GlobMatcher, GlobSet)| {
            package.is_match(self.owner) && (paths.is_empty() || paths.is_match(path.as_str()))
        };
        self.matcher.spare.is_match(path.as_str()) || self.matcher.exceptions.iter().any(excepts)
    }

    /// Tells whether a module does without what the rule takes though it imports that.
    pub(super) fn does_without(&self, path: &ImagePath) -> bool {
        self.matcher.without.is_match(path.as_str())
    }

    /// Tells whether a file's name is like those that it looks for.
    pub(super) fn is_like(&self, name: &str) -> bool {
        self.matcher.like.is_match(name)
    }
}

impl Matcher {
    fn of(rule: &Rule) -> Result<Self, globset::Error> {
        let exception = |exception: &Exception| {
            Ok((Glob::new(&exception.package)?.compile_matcher(), set(&exception.paths)?))
        };
        Ok(Self {
            take: set(&rule.take)?,
            spare: set(&rule.spare)?,
            like: set(&rule.like)?,
            without: set(&rule.without)?,
            exceptions: rule.exceptions.iter().map(exception).collect::<Result<_, globset::Error>>()?,
        })
    }
}

/// Compiles globs of paths, in which `*` stops at a `/`.
pub(super) fn set(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(GlobBuilder::new(glob).literal_separator(true).empty_alternates(true).build()?);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_says_why_and_has_a_name_of_its_own() {
        let rules = Rules::shipped();
        let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names.len(), rules.iter().count());
        for rule in rules.iter() {
            assert!(rule.why.ends_with('.') && rule.why.len() > 20, "{}", rule.name);
            assert!(!rule.on.is_empty(), "{}", rule.name);
            assert_eq!(
                matches!(
                    rule.how,
                    How::Paths | How::Bytecode | How::Modules | How::Uncompiled | How::Unneeded
                ),
                !rule.take.is_empty(),
                "{}",
                rule.name
            );
            assert_eq!(rule.how == How::Unneeded, !rule.modules.is_empty(), "{}", rule.name);
            assert_eq!(rule.how == How::Unimported, !rule.directories.is_empty(), "{}", rule.name);
            assert!(rule.exceptions.iter().all(|exception| !exception.reason.is_empty()), "{}", rule.name);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        assert!(matches!(Rules::read("[[rule]]\nname = 'x'"), Err(RulesError::Syntax(_))));
        let glob = "[[rule]]\nname='x'\nwhy='x'\nprofile='safe'\non=['base']\ntake=['[']";
        assert!(matches!(Rules::read(glob), Err(RulesError::Glob(_))));
    }
}
