//! Slimming every part of an image, and the tree that they are together afterwards.

use std::collections::BTreeSet;

use minke_cas::{Digest, Entry, ImagePath, Store, Tree};
use minke_oci::Image;
use serde::Serialize;

use super::app::App;
use super::base::Base;
use super::ground::APP;
use super::libraries::listed;
use super::whole::Whole;
use super::{BuildError, Foreman, human};
use crate::event::{Hop, Unit};
use crate::native;
use crate::parts::{Owner, Part};
use crate::settings::Settings;
use crate::slim::{
    self, CUDA_LIBRARIES, Effect, ForCards, Ladder, Lifts, Orders, PutBack, Removal, Rules, Sibling,
    SlimLedger, Slimmed, Tally,
};

/// Parts and their tree after slimming.
pub(super) struct Slimmer {
    pub(super) parts: Vec<Part>,
    pub(super) tree: Tree,
    /// What was taken; none where nothing is slimmed.
    pub(super) ledger: Option<SlimLedger>,
}

/// What layers depend on of slimming.
#[derive(Clone, Serialize)]
pub(super) struct SlimKey {
    rules: Digest,
    settings: String,
    /// Whether it is to be proved, if it can be.
    to_prove: bool,
}

impl Foreman<'_> {
    /// Slims settled parts, several at once, the largest first.
    pub(super) fn slimmed(
        &self,
        parts: Vec<Part>,
        tree: &Tree,
        lifts: &Lifts,
    ) -> Result<Slimmer, BuildError> {
        let settings = &self.request.settings;
        if !slim::is_wanted(settings) {
            return Ok(Slimmer { parts, tree: tree.clone(), ledger: None });
        }
        let needed = self.needed_beyond_base(&parts)?;
        let slimmed = self.hop(Hop::Slim, Unit::Pieces, |meter| {
            meter.expect(parts.len() as u64);
            let orders = |part: &Part| -> Option<Orders> {
                let mut orders = slim::orders(settings, lifts, part)?;
                if matches!(part.owner, Owner::Base { .. }) {
                    orders.keep_libraries(&needed, &part.tree);
                }
                Some(orders)
            };
            let mut ordered: Vec<(&Part, Option<Orders>)> =
                parts.iter().map(|part| (part, orders(part))).collect();
            let work = |(part, orders): &(&Part, Option<Orders>)| -> Result<Slimmed, BuildError> {
                let slimmed = match orders {
                    Some(orders) => slim::slim(self.store, Rules::shipped(), orders, &part.tree)?,
                    None => Slimmed { tree: part.tree.clone(), removals: Vec::new() },
                };
                meter.advance(1);
                Ok(slimmed)
            };
            let size = |(part, _): &(&Part, Option<Orders>)| bytes_of(part);
            let mut slimmed = crate::fetch::in_parallel(self.request.host.jobs, &ordered, size, work)?;
            let idle = slim::unneeded(self.store, Rules::shipped(), &siblings(&slimmed, &ordered), lifts)?;
            for ((part, orders), slimmed) in ordered.iter_mut().zip(&mut slimmed) {
                let Some(orders) = orders else { continue };
                if orders.take_idle(Rules::shipped(), &idle, &part.tree) {
                    *slimmed = slim::slim(self.store, Rules::shipped(), orders, &part.tree)?;
                }
            }
            let shared = slim::share(self.store, Rules::shipped(), &siblings(&slimmed, &ordered))?;
            for (part, shared) in shared {
                slimmed[part].tree = shared.tree;
                slimmed[part].removals.extend(shared.removals);
            }
            Ok(slimmed)
        })?;
        let mut ledger = SlimLedger {
            profile: slim::profile(settings).to_string(),
            rules: Some(Rules::shipped_digest()),
            taken: Vec::new(),
            lifts: lifts.clone(),
        };
        let mut smaller = Vec::new();
        for (part, Slimmed { tree, removals }) in parts.into_iter().zip(slimmed) {
            ledger.add(&part.owner, removals);
            smaller.push(Part { tree, ..part });
        }
        let tree = together(tree, &smaller, &ledger);
        Ok(Slimmer { parts: smaller, tree, ledger: Some(ledger) })
    }

    /// Returns the sonames that files need which aren't of the base: no rule takes these from it.
    fn needed_beyond_base(&self, parts: &[Part]) -> Result<BTreeSet<String>, BuildError> {
        let mut needed = BTreeSet::new();
        for part in parts.iter().filter(|part| !matches!(part.owner, Owner::Base { .. })) {
            let facted = native::facts(self.store, &part.tree)?;
            needed.extend(facted.into_values().flat_map(|facts| facts.needed));
        }
        Ok(needed)
    }

    /// Keeps a ledger in the store and counts what it says.
    ///
    /// `before` are the parts that nothing was taken from; then those that were compiled, as they were and as they are.
    pub(super) fn tally(
        &self,
        before: &[Part],
        (mut ledger, put_back): (SlimLedger, Vec<PutBack>),
        (sources, compiled): (&[Part], &[Part]),
    ) -> Result<Tally, BuildError> {
        add_sources(&mut ledger, sources, compiled);
        let bytes = serde_json::to_vec(&ledger).expect("a ledger has text keys");
        let sum = |of: fn(&Owner) -> bool| before.iter().filter(|part| of(&part.owner)).map(bytes_of).sum();
        let saved = ledger.by_rule();
        let back = |name: &str| -> u64 {
            put_back.iter().filter(|back| back.rule == name).map(|back| back.bytes).sum()
        };
        let names = Rules::shipped().iter().map(|rule| rule.name.as_str()).chain([slim::DROP]);
        let saved = |name: &str| {
            let all = saved.get(name).copied().unwrap_or_default() + back(name);
            (all > 0).then(|| (name.to_owned(), all))
        };
        Ok(Tally {
            profile: ledger.profile.clone(),
            system: sum(|owner| {
                matches!(owner, Owner::Base { .. } | Owner::System { .. } | Owner::Image { .. })
            }),
            distributions: sum(|owner| matches!(owner, Owner::Distribution { .. })),
            rules: names.filter_map(saved).collect(),
            put_back: put_back.clone(),
            bytecode: bytecode_of(compiled),
            ledger: Some(self.store.put(&bytes)?),
            proved: self.is_provable(),
        })
    }

    /// Says how much of an image is for graphics cards: often more than all else, and most machines have none.
    pub(super) fn note_cards(&self, base: &Base, parts: &[Part]) {
        let Some(ForCards { bytes, owners }) = ForCards::of(parts, &base.venv.site_packages()) else {
            return;
        };
        self.reporter.note(format!(
            "{} of the image are CUDA libraries ({}): for machines without such a card, choose wheels without them where \
             there are any (as of torch, in an index of their own), or set `slim.rules = {{ {CUDA_LIBRARIES} = true }}`, \
             which takes what nothing fails without",
            human(bytes),
            listed(owners.iter())
        ));
    }

    /// Returns what layers depend on of slimming; none where nothing is slimmed.
    pub(super) fn slim_key(&self) -> Option<SlimKey> {
        let settings = &self.request.settings;
        slim::is_wanted(settings).then(|| {
            let Settings { slim, slim_packages, .. } = settings;
            let said = format!("{} {slim:?} {slim_packages:?}", slim::profile(settings));
            SlimKey { rules: Rules::shipped_digest(), settings: said, to_prove: self.is_to_prove() }
        })
    }

    /// Keeps the ledger with the image, and returns the ladder that led to it.
    pub(super) fn ladder_of(
        &self,
        whole: &Whole,
        app: &App<'_>,
        image: &Image,
    ) -> Result<Option<Ladder>, BuildError> {
        let Some(tally) = &whole.tally else { return Ok(None) };
        // A cache that was swept may have lost it; the image is whole without.
        if let Some(ledger) = tally.ledger.filter(|ledger| self.store.blob_size(ledger).is_some()) {
            minke_oci::attach(self.store, image, slim::LEDGER, &ledger)?;
        }
        let own = whole.layers.iter().filter(|layer| layer.name == APP).map(|layer| layer.tar_size).sum();
        let left_out = app.left_out.values().map(|left_out| left_out.bytes).sum();
        Ok(Some(Ladder::of(tally, own, left_out)))
    }
}

/// Returns what of the settings matters for a part's bytecode; none where nothing is slimmed.
pub(super) fn orders_of((settings, lifts): (&Settings, &Lifts), part: &Part) -> Option<Orders> {
    slim::is_wanted(settings).then(|| slim::orders(settings, lifts, part)).flatten()
}

/// Takes the sources of a part with its bytecode, if that is wished.
pub(super) fn sourceless(
    store: &Store,
    (settings, lifts): (&Settings, &Lifts),
    part: &Part,
    compiled: Tree,
) -> Result<Tree, BuildError> {
    match orders_of((settings, lifts), part) {
        Some(orders) => Ok(slim::without_sources(store, Rules::shipped(), &orders, &compiled)?.tree),
        None => Ok(compiled),
    }
}

/// Writes down the sources that are gone from parts since they are compiled.
pub(super) fn add_sources(ledger: &mut SlimLedger, sources: &[Part], compiled: &[Part]) {
    for (source, compiled) in sources.iter().zip(compiled) {
        ledger.add(&source.owner, sources_gone(source, compiled));
    }
}

/// Returns the sources that bytecode took the place of.
fn sources_gone(before: &Part, after: &Part) -> Vec<Removal> {
    let gone = before.tree.files().filter(|(path, _)| after.tree.get(path).is_none());
    let rule = || slim::MODULE_SOURCES.to_owned();
    gone.map(|(path, file)| Removal { path, rule: rule(), bytes: file.size, effect: Effect::Gone }).collect()
}

/// Returns the bytecode that parts have, in bytes.
fn bytecode_of(parts: &[Part]) -> u64 {
    let files = parts.iter().flat_map(|part| part.tree.files());
    files.filter(|(path, _)| path.as_str().ends_with(".pyc")).map(|(_, file)| file.size).sum()
}

/// Returns slimmed parts beside what the settings say of them.
fn siblings<'part>(
    slimmed: &'part [Slimmed],
    ordered: &'part [(&Part, Option<Orders>)],
) -> Vec<Sibling<'part>> {
    let parts = slimmed.iter().zip(ordered);
    parts.map(|(slimmed, (_, orders))| (&slimmed.tree, orders.as_ref())).collect()
}

fn bytes_of(part: &Part) -> u64 {
    part.tree.files().map(|(_, file)| file.size).sum()
}

/// Returns the whole tree as its parts are by now: without what is gone, and with what is new.
fn together(before: &Tree, parts: &[Part], ledger: &SlimLedger) -> Tree {
    let removals = ledger.taken.iter().flat_map(|taken| &taken.removals);
    let gone: BTreeSet<&ImagePath> =
        removals.filter(|removal| removal.effect == Effect::Gone).map(|removal| &removal.path).collect();
    let mut tree = before.filter(|path, _| !gone.contains(path));
    for (path, entry) in parts.iter().flat_map(|part| part.tree.walk()) {
        if !matches!(entry, Entry::Directory(_)) && tree.get(&path) != Some(entry) {
            tree.replace(&path, entry.clone()).expect("a part's file lies in directories");
        }
    }
    tree
}
