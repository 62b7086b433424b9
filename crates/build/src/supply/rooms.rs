//! Rooms to build in: what is laid upon the base for some roots, and what builds were found to take.

use std::collections::BTreeSet;

use super::{Supply, SupplyError, UNPOISONED, names};
use crate::debian::{Pick, Roots};
use crate::platform::Platform;
use crate::request::{LockPolicy, Upgrade};
use crate::system_lock::SystemLock;
use crate::workshop::recipe::{Recipe, RecipeKey};

/// What was asked for in this run, everything else being outgrown.
#[derive(Default)]
pub(super) struct Asked {
    rooms: BTreeSet<(Platform, BTreeSet<String>)>,
    recipes: BTreeSet<RecipeKey>,
}

impl Supply<'_> {
    /// Chooses what a room has besides the base, which was chosen before and stays as it is.
    ///
    /// # Errors
    /// [`SupplyError`].
    pub fn room(&self, platform: Platform, base: &Roots, more: &Roots) -> Result<Vec<Pick>, SupplyError> {
        let wanted = names(more);
        self.asked.lock().expect(UNPOISONED).rooms.insert((platform, wanted.clone()));
        let known = self.now().platforms.get(&platform).cloned().expect("the base was chosen before");
        if let Some(packages) = known.builder.rooms.get(&wanted) {
            let is_there = |pick: &&Pick| packages.contains(&pick.name);
            return Ok(known.builder.packages.iter().filter(is_there).cloned().collect());
        }
        if self.locks == LockPolicy::Locked {
            let roots: Vec<_> = wanted.into_iter().collect();
            let what = format!("lacks the packages to build with, {}, for {platform}", roots.join(", "));
            return Err(SupplyError::Outgrown { what });
        }
        let archive = self.archive(platform)?;
        let mut roots = base.clone();
        for (name, why) in more {
            // A suite that lacks one of the usual tools may still build what is asked for.
            if archive.offered(self.outside, name.as_str())?.is_some() {
                roots.entry(name.clone()).or_default().extend(why.clone());
            }
        }
        let all = self.choose(&archive, &roots, known.packages().collect())?;
        let is_above = |pick: &Pick| !known.base.packages.iter().any(|there| there.name == pick.name);
        let picks: Vec<Pick> = all.into_iter().filter(is_above).collect();
        let mut now = self.now();
        let builder = &mut now.platforms.get_mut(&platform).expect("it was there before").builder;
        let names: BTreeSet<String> = picks.iter().map(|pick| pick.name.clone()).collect();
        builder.packages.retain(|pick| !names.contains(&pick.name));
        builder.packages.extend(picks.iter().cloned());
        builder.packages.sort_by(|one, other| one.name.cmp(&other.name));
        builder.rooms.insert(wanted, names);
        Ok(picks)
    }

    /// Returns what building something was found to take, if that is known.
    pub fn recipe(&self, key: &RecipeKey) -> Option<Recipe> {
        self.now().recipes.get(key).cloned()
    }

    /// Keeps what building something takes.
    ///
    /// # Errors
    /// [`SupplyError::Outgrown`] if the lock says something else and may not be changed.
    pub fn keep_recipe(&self, key: RecipeKey, recipe: Recipe) -> Result<(), SupplyError> {
        if self.locks == LockPolicy::Locked && self.before.recipes.get(&key) != Some(&recipe) {
            return Err(SupplyError::Outgrown { what: format!("says nothing of how {} is built", key.name) });
        }
        self.asked.lock().expect(UNPOISONED).recipes.insert(key.clone());
        self.now().recipes.insert(key, recipe);
        Ok(())
    }

    /// Leaves out of a lock what nobody has asked for, of the platforms and Pythons of this run.
    pub(super) fn forget_unasked(&self, lock: &mut SystemLock) {
        let asked = self.asked.lock().expect(UNPOISONED);
        for platform in self.based.lock().expect(UNPOISONED).keys() {
            let Some(locked) = lock.platforms.get_mut(platform) else { continue };
            let builder = &mut locked.builder;
            builder.rooms.retain(|roots, _| asked.rooms.contains(&(*platform, roots.clone())));
            let needed: BTreeSet<&String> = builder.rooms.values().flatten().collect();
            builder.packages.retain(|pick| needed.contains(&pick.name));
        }
        let targets: BTreeSet<&str> = asked.recipes.iter().map(|key| key.target.as_str()).collect();
        lock.recipes.retain(|key, _| asked.recipes.contains(key) || !targets.contains(key.target.as_str()));
    }
}

/// Leaves out of a lock what moves on.
pub(super) fn forget_upgraded(lock: &mut SystemLock, upgrade: &Upgrade) {
    for locked in lock.platforms.values_mut() {
        let builder = &mut locked.builder;
        match upgrade {
            Upgrade::Nothing => {}
            Upgrade::All => *builder = Default::default(),
            Upgrade::Names(_) if builder.packages.iter().any(|pick| upgrade.covers(&pick.name)) => {
                builder.rooms.clear();
            }
            Upgrade::Names(_) => {}
        }
    }
    lock.recipes.retain(|key, _| !upgrade.covers(key.name.split('-').next().unwrap_or_default()));
}
