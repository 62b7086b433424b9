//! What an image does without: rules that take files away from the parts it is made of, and what they took.
//!
//! Slimming is on trees, before bytecode is compiled and layers are cut, so that nothing that is taken away lies in a
//! lower layer. Each part is slimmed for itself, without a look at any other: the same wheel gives the same layer in
//! every project with the same settings, but for what is lifted. Only what several distributions have is looked at across them, in the profile
//! `smallest`. What the rules are stands in `rules.toml`.

mod cards;
mod hints;
mod imports;
mod ladder;
mod ledger;
mod modules;
mod part;
mod records;
mod risks;
mod rules;
mod shared;
mod shrink;
mod sourceless;
mod uncompiled;
mod unneeded;

use std::collections::BTreeSet;

use minke_python::PackageName;

pub use cards::ForCards;
pub use ladder::{Ladder, Rung, Tally};
pub use ledger::{Effect, LEDGER, Lifts, PutBack, Removal, SlimLedger, Taken, owner_key, owner_version};
pub use part::{DROP, Orders, Slimmed, slim};
pub use risks::{AT_RISK, at_risk};
pub use rules::{Class, Exception, How, Rule, Rules};
pub use shared::{Sibling, share};
pub use sourceless::without_sources;
pub use uncompiled::Uncompiled;
pub use unneeded::{imported, unneeded};

use crate::config::SettingError;
use crate::nearest::nearest;
use crate::parts::Part;
use crate::settings::{Profile, Settings, SlimWishes};

/// The rule that takes the sources of modules once they are compiled.
pub const MODULE_SOURCES: &str = "module-sources";

/// The rule that takes libraries for graphics cards, where it is asked for.
pub const CUDA_LIBRARIES: &str = "cuda-libraries";

/// The rules that are about what nobody imports.
const UNNEEDED: [&str; 5] = ["pip", "python-sqlite", "python-terminal", "setuptools", "wheel"];

/// Returns how much an image does without.
pub fn profile(settings: &Settings) -> Profile {
    settings.profile.as_ref().map_or(Profile::DEFAULT, |said| said.value)
}

/// Returns what the settings say of slimming, of all and of single packages.
fn wishes(settings: &Settings) -> impl Iterator<Item = &SlimWishes> {
    std::iter::once(&settings.slim).chain(settings.slim_packages.values())
}

/// Tells whether anything is slimmed.
pub fn is_wanted(settings: &Settings) -> bool {
    profile(settings) != Profile::None
        || wishes(settings).any(|wishes| !wishes.drop.is_empty() || wishes.rules.values().any(|on| *on))
}

/// Tells whether what the user's own files import may decide what is taken.
pub fn follows_imports(settings: &Settings) -> bool {
    // Which rules these are takes a while to read.
    profile(settings) == Profile::Smallest
        || wishes(settings)
            .any(|wishes| wishes.rules.iter().any(|(name, on)| *on && UNNEEDED.contains(&&**name)))
}

/// Checks what the settings say of slimming.
///
/// # Errors
/// [`SettingError::Glob`], [`SettingError::Rule`].
pub(crate) fn check(settings: &Settings) -> Result<(), SettingError> {
    for wishes in wishes(settings) {
        for glob in wishes.keep.iter().chain(&wishes.drop) {
            let failed = |source| SettingError::Glob { glob: glob.clone(), source };
            rules::set(&[anywhere(glob)]).map_err(failed)?;
        }
        let mut names = wishes.rules.keys();
        if let Some(name) = names.find(|name| Rules::shipped().get(name).is_none()) {
            let nearest = nearest(name, Rules::shipped().iter().map(|rule| rule.name.as_str())).next();
            return Err(SettingError::Rule { name: name.clone(), nearest });
        }
    }
    Ok(())
}

/// Returns what the settings say of slimming, field by field, for who asks why a layer is another one.
pub fn said(settings: &Settings) -> Vec<(String, String)> {
    let of = |whose: &str, wishes: &SlimWishes| {
        let SlimWishes { keep, drop, rules } = wishes;
        let switched =
            rules.iter().map(|(rule, is_on)| format!("{rule} {}", if *is_on { "on" } else { "off" }));
        [
            ("keep", keep.join(", ")),
            ("drop", drop.join(", ")),
            ("rules", switched.collect::<Vec<_>>().join(", ")),
        ]
        .map(|(key, value)| (format!("slim{whose} {key}"), value))
    };
    let packages = settings.slim_packages.iter().flat_map(|(name, wishes)| of(&format!(" {name}"), wishes));
    let all = of("", &settings.slim).into_iter().chain(packages);
    all.filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns what of the settings matters for a part; none for one that no rule looks at.
pub fn orders(settings: &Settings, lifts: &Lifts, part: &Part) -> Option<Orders> {
    let class = Class::of(&part.owner)?;
    let owner = owner_key(&part.owner);
    let own = owner.parse::<PackageName>().ok().and_then(|name| settings.slim_packages.get(&name));
    let lifted = |rule: &Rule| lifts.get(owner).is_some_and(|rules| rules.contains(&rule.name));
    let is_on = |rule: &&Rule| {
        let said = |wishes: &SlimWishes| wishes.rules.get(&rule.name).copied();
        let of_profile = |first: Profile| profile(settings) >= first && profile(settings) != Profile::None;
        let begins = rule.profile.is_some_and(of_profile);
        rule.on.contains(&class)
            && !lifted(rule)
            && own.and_then(said).or_else(|| said(&settings.slim)).unwrap_or(begins)
    };
    let all = [Some(&settings.slim), own];
    let globs = |of: fn(&SlimWishes) -> &Vec<String>| {
        let globs: Vec<String> =
            all.iter().flatten().flat_map(|wishes| of(wishes)).map(|glob| anywhere(glob)).collect();
        matching(globs, part)
    };
    Some(Orders {
        owner: owner.to_owned(),
        rules: Rules::shipped().iter().filter(is_on).map(|rule| rule.name.clone()).collect(),
        keep: globs(|wishes| &wishes.keep),
        drop: globs(|wishes| &wishes.drop),
        idle: BTreeSet::new(),
    })
}

/// A glob that doesn't begin at the root may match anywhere.
fn anywhere(glob: &str) -> String {
    if glob.starts_with('/') { glob.to_owned() } else { format!("**/{glob}") }
}

/// Keeps those globs that match something of a part, so that others' don't make it another one.
fn matching(globs: Vec<String>, part: &Part) -> Vec<String> {
    let matches = |glob: &String| {
        let set = rules::set(std::slice::from_ref(glob)).expect("globs of settings were checked");
        part.tree.walk().any(|(path, _)| set.is_match(path.as_str()))
    };
    globs.into_iter().filter(matches).collect()
}
