//! Which libraries can stand for which, and the parts with links in their places.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, Entry, File, ImagePath, Mode, Store, StoreError};
use minke_elf::{Symbols, Undefined};

use super::kin::{Kin, leading};
use super::{Fate, Library, Sibling};
use crate::native::{self, Facted};
use crate::slim::part::Slimmed;
use crate::slim::rules::How;
use crate::slim::{Effect, Removal, records};

/// The libraries of all distributions, while it is found out which can stand for which.
pub(super) struct Sharing<'part> {
    pub(super) store: &'part Store,
    pub(super) parts: &'part [Sibling<'part>],
    pub(super) libraries: Vec<Library<'part>>,
    pub(super) facted: &'part [Facted],
}

impl<'part> Sharing<'part> {
    /// Has the first of several equal ones stand for those of other parts.
    pub(super) fn link_equal(&mut self) {
        let mut first: BTreeMap<Digest, usize> = BTreeMap::new();
        for index in 0..self.libraries.len() {
            let library = &self.libraries[index];
            let there = *first.entry(library.file.content).or_insert(index);
            // A layer holds equal files of one part once as it is.
            let is_elsewhere = self.libraries[there].part != library.part;
            if let Some(rule) = library.rule(How::Equal).filter(|_| is_elsewhere) {
                self.libraries[index].fate = Fate::Linked(there, rule);
            }
        }
    }

    /// Has the newest of several kindred ones stand for those of which it has all that is asked.
    pub(super) fn link_compatible(&mut self) -> Result<(), StoreError> {
        let mut kindred: BTreeMap<(String, Option<u64>), Vec<usize>> = BTreeMap::new();
        for (index, library) in self.libraries.iter().enumerate().filter(|(_, one)| one.fate == Fate::Stays) {
            let kin = Kin::of(library.name());
            kindred.entry((kin.stem.to_owned(), kin.major)).or_default().push(index);
        }
        for mut group in kindred.into_values().filter(|group| group.len() > 1) {
            let newest = |index: &usize| {
                let library = &self.libraries[*index];
                let defined = library.facts.version_definitions.len();
                (Reverse((Kin::of(library.name()).version, defined)), *index)
            };
            group.sort_by_cached_key(newest);
            let mut kept: Vec<(usize, Symbols)> = Vec::new();
            for index in group {
                let library = &self.libraries[index];
                let symbols = self.symbols(library.part, &library.path, &|_| true)?;
                match self.keeper(index, &symbols, &kept)? {
                    Some((keeper, rule)) => self.libraries[index].fate = Fate::Linked(keeper, rule),
                    None => kept.push((index, symbols)),
                }
            }
        }
        Ok(())
    }

    /// Returns the first of those that stay which can stand for a library, and the rule by which it does.
    fn keeper(
        &self,
        index: usize,
        symbols: &Symbols,
        kept: &[(usize, Symbols)],
    ) -> Result<Option<(usize, &'part str)>, StoreError> {
        let replaced = &self.libraries[index];
        let equal: Vec<&Library<'_>> =
            self.libraries.iter().filter(|one| one.file.content == replaced.file.content).collect();
        let by_rule = |keeper: &Library<'_>| {
            let how = if keeper.part == replaced.part { How::Doubled } else { How::Compatible };
            let all = equal.iter().all(|place| place.rule(how).is_some());
            // Who needs one without a mark may be anybody.
            let is_known =
                how == How::Compatible || equal.iter().all(|place| Kin::of(place.name()).is_marked);
            replaced.rule(how).filter(|_| all && is_known && replaced.facts.fits(keeper.facts))
        };
        if !kept.iter().any(|(keeper, _)| by_rule(&self.libraries[*keeper]).is_some()) {
            return Ok(None);
        }
        let Some(asked) = self.asked(&equal, symbols)? else { return Ok(None) };
        let has_all = |symbols: &Symbols| asked.iter().all(|one| symbols.defines(&one.name, one.version()));
        let mut fitting = kept.iter().filter(|(_, symbols)| has_all(symbols));
        Ok(fitting.find_map(|(keeper, _)| Some((*keeper, by_rule(&self.libraries[*keeper])?))))
    }

    /// Returns what those who need a library by one of its names ask of it; nothing if nobody does: then it is opened by
    /// its path, and nobody knows what for.
    fn asked(
        &self,
        equal: &[&Library<'_>],
        symbols: &Symbols,
    ) -> Result<Option<BTreeSet<Undefined>>, StoreError> {
        let names: BTreeSet<&str> = equal.iter().map(|library| library.name()).collect();
        let mut asked: Option<BTreeSet<Undefined>> = None;
        for (part, facted) in self.facted.iter().enumerate() {
            let users =
                facted.iter().filter(|(_, facts)| facts.needed.iter().any(|name| names.contains(&**name)));
            for (path, _) in users {
                let wanted = self.symbols(part, path, &|_| false)?.undefined.into_iter();
                let its = wanted.filter(|one| symbols.defines(&one.name, one.version()));
                asked.get_or_insert_default().extend(its);
            }
        }
        Ok(asked)
    }

    /// Takes what nobody needs any more because what needed it is a link now.
    pub(super) fn drop_orphans(&mut self) {
        loop {
            let orphans: Vec<(usize, &str)> =
                (0..self.libraries.len()).filter_map(|index| Some((index, self.orphaned(index)?))).collect();
            if orphans.is_empty() {
                return;
            }
            for (index, rule) in orphans {
                self.libraries[index].fate = Fate::Gone(rule);
            }
        }
    }

    /// Returns the rule by which a library goes that was needed by nothing but what went.
    fn orphaned(&self, index: usize) -> Option<&'part str> {
        let library = &self.libraries[index];
        let rule = library.rule(How::Compatible).or_else(|| library.rule(How::Doubled))?;
        if library.fate != Fate::Stays || !Kin::of(library.name()).is_marked {
            return None;
        }
        let is_target = |one: &Library<'_>| matches!(one.fate, Fate::Linked(to, _) if to == index);
        let names = [Some(library.name()), library.facts.soname.as_deref()];
        let mut users = self.facted.iter().flatten().filter(|(path, facts)| {
            **path != library.path && facts.needed.iter().any(|name| names.contains(&Some(name)))
        });
        let is_left = |path: &ImagePath| match self.libraries.iter().find(|one| one.path == *path) {
            // What equals what stays is it.
            Some(Library { fate: Fate::Linked(..), file, .. }) => {
                self.libraries.iter().any(|one| one.fate == Fate::Stays && one.file.content == file.content)
            }
            Some(one) => one.fate == Fate::Stays,
            None => true,
        };
        let mut had_users = false;
        let is_needed = users.any(|(path, _)| {
            had_users = true;
            is_left(path)
        });
        (had_users && !is_needed && !self.libraries.iter().any(is_target)).then_some(rule)
    }

    /// Returns what must lie beside a link for what it leads to: the loader looks there, not beside that itself.
    fn companions(&self, link: &Library<'_>, to: &Library<'_>) -> BTreeMap<ImagePath, ImagePath> {
        let mut companions = BTreeMap::new();
        // What equals what was there needs what that needed.
        let mut pending = if link.file.content == to.file.content { Vec::new() } else { vec![to] };
        while let Some(library) = pending.pop() {
            for name in &library.facts.needed {
                let beside = |path: &ImagePath| path.parent().and_then(|parent| parent.join_str(name).ok());
                let (Some(place), Some(its)) = (beside(&link.path), beside(&to.path)) else { continue };
                let found = self.libraries.iter().find(|one| one.path == its);
                let is_there = self.parts[link.part].0.get(&place).is_some();
                if let Some(found) = found.filter(|_| !is_there)
                    && companions.insert(place, self.last(found).path.clone()).is_none()
                {
                    pending.push(found);
                }
            }
        }
        companions
    }

    fn symbols(
        &self,
        part: usize,
        path: &ImagePath,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Symbols, StoreError> {
        let read = native::symbols((self.store, self.parts[part].0), path, wanted)?;
        Ok(read.unwrap_or_default())
    }

    /// Returns what a link leads to: what it leads to may be a link itself.
    fn last<'one>(&'one self, mut library: &'one Library<'part>) -> &'one Library<'part> {
        while let Fate::Linked(next, _) = library.fate {
            library = &self.libraries[next];
        }
        library
    }

    /// Returns the parts that are others now, and what was taken from them.
    pub(super) fn changed(&self) -> Result<BTreeMap<usize, Slimmed>, StoreError> {
        let changed = self.libraries.iter().filter(|library| library.fate != Fate::Stays);
        let parts: BTreeSet<usize> = changed.map(|library| library.part).collect();
        parts.into_iter().map(|part| Ok((part, self.changed_part(part)?))).collect()
    }

    fn changed_part(&self, part: usize) -> Result<Slimmed, StoreError> {
        let (before, _) = self.parts[part];
        // What is there, and what is read there.
        let (mut tree, mut read, mut removals) = (before.clone(), before.clone(), Vec::new());
        let mut companions = BTreeMap::new();
        for library in self.libraries.iter().filter(|library| library.part == part) {
            let Library { path, file, .. } = library;
            let (rule, effect) = match library.fate {
                Fate::Stays => continue,
                Fate::Linked(_, rule) => {
                    let to = self.last(library);
                    let link = Entry::symlink(leading(path, &to.path));
                    tree.replace(path, link).expect("a link takes a file's place");
                    read.replace(path, to.file.clone().into()).expect("a file is replaced by one");
                    companions.extend(self.companions(library, to));
                    (rule, Effect::Linked)
                }
                Fate::Gone(rule) => {
                    tree.remove(path);
                    read.remove(path);
                    (rule, Effect::Gone)
                }
            };
            removals.push(Removal { path: path.clone(), rule: rule.to_owned(), bytes: file.size, effect });
        }
        for (place, to) in companions {
            tree.insert(&place, Entry::symlink(leading(&place, &to))).expect("nothing is there");
        }
        // Who checks a `RECORD` reads through the links.
        for (path, text) in records::outdated(self.store, (before, &read), &BTreeMap::new())? {
            let file = File::new(self.store.put(text.as_bytes())?, text.len() as u64, Mode::REGULAR);
            tree.replace(&path, file.into()).expect("a file is replaced by one");
        }
        removals.sort();
        Ok(Slimmed { tree, removals })
    }
}
