//! What the project needs of the system besides the base: looked for, added, and looked at again.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::Tree;
use minke_distro::PackageName;

use super::base::{Base, Distribution};
use super::ground::Added;
use super::{Foreman, owner};
use crate::debian::Roots;
use crate::error::BuildError;
use crate::likely::{self, Names};
use crate::native::{self, Facted};
use crate::needs::{self, Lack, Scope, Told, UnmetError, Weight};
use crate::parts::{Owner, Part, Settled, Strictness, settle};
use crate::system;

/// Something that a distribution seems to load by name.
pub(super) struct Likely {
    /// The names.
    pub(super) names: Names,
    /// The distribution: `soundfile 0.13.1`.
    pub(super) by: String,
    /// The soname of the library, and who has it; none if nobody has.
    pub(super) found: Option<(String, PackageName)>,
}

/// How many files of another version an error lists.
const ALIKE: usize = 3;

impl Foreman<'_> {
    /// Adds the distribution packages that the parts' ELF files and the settings ask for; returns all parts, the
    /// base's first, and what was asked of the distribution.
    pub(super) fn with_system(
        &self,
        base: &Base,
        later: Vec<Part>,
    ) -> Result<(Vec<Part>, Added), BuildError> {
        let _span = tracing::info_span!("look for libraries").entered();
        let made = self.made(base)?;
        let mut asking = Facted::new();
        for part in &later {
            asking.extend(self.facts(&part.tree)?);
        }
        let scope =
            Scope { machine: self.platform().elf(), python_minor: Some(base.target.python.minor.into()) };
        let look = |below: &[Part], mut facted: Facted| {
            let all: Vec<Part> = below.iter().chain(&later).cloned().collect();
            let Settled { tree, .. } = settle(all, Strictness::LaterWins).map_err(BuildError::Settle)?;
            facted.extend(asking.clone());
            Ok::<_, BuildError>(self.unforgiven(needs::look(&tree, &facted, &asking, scope)))
        };
        let of_base = self.facts(&made.tree)?;
        let mut lacks = look(&made.parts, of_base.clone())?;
        let Some(distribution) = &base.distribution else {
            return self.without_system(base, later, &lacks);
        };
        let mut more = self.supplied(distribution, &lacks, &later)?;
        let mut unknown = BTreeSet::new();
        if self.adds_likely() {
            let parts = made.parts.iter().chain(&later).cloned().collect();
            let tree = settle(parts, Strictness::LaterWins).map_err(BuildError::Settle)?.tree;
            for likely in self.likely(base, &tree, &later)? {
                match likely.found {
                    Some((soname, package)) => {
                        let why = format!("{} loads by name: {soname}", likely.by);
                        more.entry(package).or_default().insert(why);
                    }
                    None => unknown.extend(likely.names.0.into_iter().next()),
                }
            }
        }
        more.retain(|name, _| !distribution.picks.iter().any(|there| there.name == name.as_str()));
        let picks = self.supply.system(self.platform(), &distribution.roots, &more)?;
        let packages = self.fetch_packages(&picks)?;
        let mut parts = made.parts.clone();
        parts.extend(system::parts(&packages, |name| Owner::System { name }));
        let joined = settle(parts.clone(), Strictness::Refuse).map_err(BuildError::Settle)?.tree;
        let facted = if packages.is_empty() { of_base } else { self.facts(&joined)? };
        if !packages.is_empty() {
            let owner = Owner::System { name: "what maintainer scripts would have done".to_owned() };
            let setup = system::setup_part(self.store, &joined, &packages, (owner, self.reporter));
            parts.push(setup.map_err(BuildError::System)?);
            lacks = look(&parts, facted.clone())?;
        }
        let mut lacking: BTreeSet<String> =
            lacks.iter().filter_map(Lack::soname).map(str::to_owned).collect();
        lacking.extend(unknown);
        self.supply.keep_lacking(self.platform(), &lacking);
        self.judge(lacks, &later, &format!("Debian {}", self.suite_name()))?;
        let cache = native::loader_cache(self.store, &joined, &facted);
        parts.push(cache.map_err(BuildError::Native)?);
        parts.extend(later);
        let digests = picks.iter().map(|pick| pick.digest).collect();
        Ok((parts, Added { roots: more, digests, lacking, lifts: BTreeSet::new() }))
    }

    /// Says what the parts' ELF files miss in a base that no distribution adds to; returns as
    /// [`Foreman::with_system`].
    fn without_system(
        &self,
        base: &Base,
        later: Vec<Part>,
        lacks: &[Lack],
    ) -> Result<(Vec<Part>, Added), BuildError> {
        let wished = self.wished_packages()?;
        if let Some((package, _)) = wished.first_key_value() {
            return Err(BuildError::NoPackages { package: package.to_string(), base: base.title.clone() });
        }
        // Nothing can be added, and what an image has elsewhere isn't known.
        for told in self.told(lacks.iter(), &later) {
            self.reporter.warn(told.line(&format!("the base, {}", base.title)));
        }
        let parts = self.made(base)?.parts.iter().cloned().chain(later).collect();
        Ok((parts, Added::default()))
    }

    /// Tells whether libraries are added that wheels seem to load by name.
    pub(super) fn adds_likely(&self) -> bool {
        self.request.settings.likely_libraries.as_ref().is_some_and(|said| said.value)
    }

    /// Returns what the distributions among parts seem to load by name and `tree`, in which they lie, hasn't got.
    pub(super) fn likely(&self, base: &Base, tree: &Tree, later: &[Part]) -> Result<Vec<Likely>, BuildError> {
        let Some(distribution) = &base.distribution else { return Ok(Vec::new()) };
        let found = |(names, by): (Names, String)| {
            let found = self.supply.of_likely(self.platform(), &names, &distribution.roots);
            Ok(Likely { found: found?, names, by })
        };
        self.loaded_by_name(tree, later)?.into_iter().map(found).collect()
    }

    /// Returns the libraries that the distributions among parts seem to load by name and `tree` hasn't got, each with
    /// who does.
    pub(super) fn loaded_by_name(
        &self,
        tree: &Tree,
        later: &[Part],
    ) -> Result<BTreeMap<Names, String>, BuildError> {
        let (there, optional) = (likely::library_files(tree), &self.request.settings.optional_libraries);
        let mut all: BTreeMap<Names, String> = BTreeMap::new();
        for part in later.iter().filter(|part| matches!(part.owner, Owner::Distribution { .. })) {
            for names in likely::in_tree(self.store, &part.tree)?.into_keys() {
                let is_there = names.wanted().iter().any(|wanted| wanted.is_among(&there));
                if !is_there && !names.0.iter().any(|name| needs::is_named(optional, name)) {
                    all.entry(names).or_insert_with(|| part.owner.name());
                }
            }
        }
        Ok(all)
    }

    /// Leaves out what the settings do without, and what comes with the driver of the machine.
    fn unforgiven(&self, mut lacks: Vec<Lack>) -> Vec<Lack> {
        let optional = &self.request.settings.optional_libraries;
        lacks.retain(|lack| !needs::is_named(optional, lack.library()) && !needs::is_drivers(lack.library()));
        lacks
    }

    /// Returns the packages that the settings name, and those that have the libraries which are missing.
    fn supplied(
        &self,
        distribution: &Distribution,
        lacks: &[Lack],
        later: &[Part],
    ) -> Result<Roots, BuildError> {
        let mut more = self.wished_packages()?;
        let wanted: Vec<(&str, &Lack)> = lacks
            .iter()
            .filter(|lack| lack.weight != Weight::OneOf)
            .filter_map(|lack| Some((lack.soname()?, lack)))
            .collect();
        let mut sonames: BTreeMap<String, Weight> = BTreeMap::new();
        for (soname, Lack { weight, .. }) in &wanted {
            let known = sonames.entry((*soname).to_owned()).or_insert(*weight);
            *known = *weight.min(known);
        }
        let mut present = distribution.roots.clone();
        present.extend(more.clone());
        let suppliers = self.supply.of_sonames(self.platform(), &sonames, &present)?;
        for (soname, Lack { needed_by, .. }) in wanted {
            if let Some(package) = suppliers.get(soname) {
                let why = format!("{}: {soname}", owner(later, needed_by));
                more.entry(package.clone()).or_default().insert(why);
            }
        }
        Ok(more)
    }

    /// Says what is missing in the end, and stops where something doesn't work without it.
    fn judge(&self, lacks: Vec<Lack>, later: &[Part], suite: &str) -> Result<(), BuildError> {
        let is_strict = self.request.settings.strict.as_ref().is_some_and(|said| said.value);
        let stops =
            |lack: &&Lack| lack.weight == Weight::Required || is_strict && lack.weight == Weight::Optional;
        let choices: BTreeSet<(String, String)> = lacks
            .iter()
            .filter(|lack| lack.weight == Weight::OneOf)
            .filter_map(|lack| {
                let (library, _) = lack.soname()?.split_once(".so")?;
                Some((owner(later, &lack.needed_by), library.to_owned()))
            })
            .collect();
        for (owner, library) in choices {
            self.reporter.note(format!(
                "{owner} has files for several versions of `{library}`, and none was added; `system-packages` adds one"
            ));
        }
        let mut plugins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for lack in lacks.iter().filter(|lack| lack.weight == Weight::Optional && !stops(lack)) {
            plugins.entry(owner(later, &lack.needed_by)).or_default().insert(lack.what.to_string());
        }
        for (owner, lacking) in plugins {
            self.reporter.warn(format!("plugins of {owner} lack {}", listed(lacking.iter())));
        }
        let mut stopping = self.told(lacks.iter().filter(stops), later);
        if stopping.is_empty() {
            return Ok(());
        }
        for told in &mut stopping {
            told.alike = self.alike(&told.lack);
        }
        Err(BuildError::Unmet(UnmetError { lacks: stopping, suite: suite.to_owned() }))
    }

    /// Returns libraries that differ from a missing one in nothing but their version, with their packages.
    fn alike(&self, lack: &Lack) -> Vec<(String, String)> {
        let beginning = lack.soname().and_then(|soname| soname.split_once(".so"));
        let Some((library, _)) = beginning else { return Vec::new() };
        // It is only a hint: an archive that cannot be asked now gives none.
        let listed = self.supply.alike(self.platform(), &format!("{library}.so.")).unwrap_or_default();
        let pairs = listed.iter().filter_map(|listed| {
            let name = listed.path.name()?;
            // The file of one version has all its numbers; others ask for it by the first.
            let is_soname = name.rsplit_once(".so.").is_some_and(|(_, version)| !version.contains('.'));
            is_soname.then(|| Some((name.to_owned(), listed.packages.first()?.to_string())))?
        });
        let pairs: BTreeSet<(String, String)> = pairs.collect();
        pairs.into_iter().take(ALIKE).collect()
    }

    /// Says each missing thing once, of all that need it the first.
    fn told<'lack>(&self, lacks: impl Iterator<Item = &'lack Lack>, later: &[Part]) -> Vec<Told> {
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        for lack in lacks {
            let known = told.entry(lack.what.to_string());
            let first = || Told {
                lack: lack.clone(),
                owner: owner(later, &lack.needed_by),
                others: 0,
                alike: Vec::new(),
            };
            known.and_modify(|told| told.others += 1).or_insert_with(first);
        }
        told.into_values().collect()
    }

    fn facts(&self, tree: &Tree) -> Result<Facted, BuildError> {
        let _span = tracing::info_span!("facts of ELF files").entered();
        native::facts(self.store, tree).map_err(|error| BuildError::Native(native::NativeError::Store(error)))
    }
}

/// How many libraries a warning lists.
const LISTED: usize = 5;

/// Lists the first of some names, and how many more there are.
pub(super) fn listed<'name>(names: impl ExactSizeIterator<Item = &'name String>) -> String {
    let more = names.len().checked_sub(LISTED).filter(|more| *more > 0);
    let first: Vec<String> = names.take(LISTED).map(|name| format!("`{name}`")).collect();
    match more {
        Some(more) => format!("{} and {more} more", first.join(", ")),
        None => first.join(", "),
    }
}
