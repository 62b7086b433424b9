//! Slimming one part: a function from its tree to a smaller one, and what was taken.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobSet;
use minke_cas::{Digest, Entry, File, ImagePath, Mode, PackId, Store, StoreError, Tree};
use minke_elf::Strip;
use serde::{Deserialize, Serialize};

use super::modules::Modules;
use super::rules::{Active, How, Rules, set};
use super::shrink::shrunk;
use super::{Effect, Removal, hints, records};

/// What of the settings matters for one part.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Orders {
    /// Whose the part is, as [`super::owner_key`] says.
    pub owner: String,
    /// The names of the rules that apply.
    pub rules: Vec<String>,
    /// Globs of what stays.
    pub keep: Vec<String>,
    /// Globs of what goes.
    pub drop: Vec<String>,
    /// The rules whose modules nothing in the image needs, as [`super::unneeded()`] says.
    pub idle: BTreeSet<String>,
}

impl Orders {
    /// Has those rules take what they are for whose modules nothing needs, and tells whether they take anything of a part.
    pub fn take_idle(&mut self, rules: &Rules, idle: &BTreeSet<String>, tree: &Tree) -> bool {
        let mut active = rules.active(&self.rules, &self.owner);
        active.retain(|active| idle.contains(&active.rule.name));
        active.retain(|active| tree.walk().any(|(path, _)| active.takes(&path)));
        self.idle = active.into_iter().map(|active| active.rule.name.clone()).collect();
        !self.idle.is_empty()
    }

    /// Keeps the libraries of a part that others need by these sonames.
    pub fn keep_libraries(&mut self, sonames: &BTreeSet<String>, tree: &Tree) {
        let is_needed = |name: &str| {
            name.contains(".so")
                && sonames.iter().any(|soname| {
                    name.strip_prefix(soname.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
        };
        let needed = tree.walk().filter(|(path, entry)| {
            !matches!(entry, Entry::Directory(_)) && path.name().is_some_and(is_needed)
        });
        self.keep.extend(needed.map(|(path, _)| globset::escape(path.as_str())));
    }
}

/// A part after slimming.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slimmed {
    /// What is left.
    pub tree: Tree,
    /// What was taken, by path.
    pub removals: Vec<Removal>,
}

/// Of what slimming does besides the rules' data; a change of it needs a new number.
const VERSION: &str = "slim-3";

/// What the ledger calls the rule of `drop` in the settings.
pub const DROP: &str = "drop";

#[derive(Serialize)]
struct Key<'key> {
    rules: Digest,
    orders: &'key Orders,
    tree: Digest,
}

/// Slims a part, or remembers what came of it.
///
/// # Errors
/// [`StoreError`] if a file isn't in the store, or a smaller one cannot be kept.
///
/// # Panics
/// If a glob of the orders is none: `slim::check` says so before.
pub fn slim(store: &Store, rules: &Rules, orders: &Orders, tree: &Tree) -> Result<Slimmed, StoreError> {
    if orders.rules.is_empty() && orders.drop.is_empty() {
        return Ok(Slimmed { tree: tree.clone(), removals: Vec::new() });
    }
    let key = Key { rules: rules.digest(), orders, tree: tree.digest() };
    store.memo(VERSION, &key, || {
        let _span = tracing::info_span!("slim", owner = orders.owner).entered();
        let input = Digest::of(&serde_json::to_vec(&key).expect("a key is JSON"));
        Slimming::new(store, rules, orders, tree).run(PackId::of(VERSION, &input))
    })
}

struct Slimming<'part> {
    store: &'part Store,
    before: &'part Tree,
    active: Vec<Active<'part>>,
    keep: GlobSet,
    drop: GlobSet,
    /// The rule that took each path.
    taken: BTreeMap<ImagePath, &'part str>,
}

impl<'part> Slimming<'part> {
    fn new(store: &'part Store, rules: &'part Rules, orders: &'part Orders, before: &'part Tree) -> Self {
        let mut active = rules.active(&orders.rules, &orders.owner);
        active.retain(|active| active.rule.how != How::Unneeded || orders.idle.contains(&active.rule.name));
        let globs = |globs: &[String]| set(globs).expect("globs of settings were checked");
        let (keep, drop) = (globs(&orders.keep), globs(&orders.drop));
        Self { store, before, active, keep, drop, taken: BTreeMap::new() }
    }

    fn run(mut self, pack: PackId) -> Result<Slimmed, StoreError> {
        self.take_by_path();
        self.take_stubs()?;
        self.take_unimported()?;
        self.take_dangling();
        let mut tree = self.before.filter(|path, _| !self.taken.contains_key(path));
        let mut removals: Vec<Removal> = self
            .taken
            .iter()
            .map(|(path, rule)| self.removal((path, rule), self.size(path), Effect::Gone))
            .collect();
        for (path, file) in self.shrunk(&tree)? {
            let saved = self.size(&path).saturating_sub(file.size);
            let rule = self.strip(&path).1;
            removals.push(self.removal((&path, rule), saved, Effect::Smaller));
            tree.replace(&path, file.into()).expect("a file is replaced by one");
        }
        let mut texts = self.hints(&tree);
        texts.extend(records::outdated(self.store, (self.before, &tree), &BTreeMap::new())?);
        self.write(&mut tree, texts, pack)?;
        removals.sort();
        Ok(Slimmed { tree, removals })
    }

    fn removal(&self, (path, rule): (&ImagePath, &str), bytes: u64, effect: Effect) -> Removal {
        Removal { path: path.clone(), rule: rule.to_owned(), bytes, effect }
    }

    fn size(&self, path: &ImagePath) -> u64 {
        match self.before.get(path) {
            Some(Entry::File(file)) => file.size,
            Some(Entry::Directory(_) | Entry::Symlink(_)) | None => 0,
        }
    }

    /// Tells whether a path can be taken: it is nobody's statement and the settings don't keep it.
    fn is_free(&self, path: &ImagePath) -> bool {
        !self.taken.contains_key(path) && !is_statement(path) && !self.keep.is_match(path.as_str())
    }

    fn take_by_path(&mut self) {
        for (path, entry) in self.before.walk() {
            if matches!(entry, Entry::Directory(_)) || !self.is_free(&path) {
                continue;
            }
            let is_by_path = |active: &&Active<'_>| matches!(active.rule.how, How::Paths | How::Unneeded);
            let rule = self.active.iter().filter(is_by_path).find(|active| active.takes(&path));
            match rule {
                _ if self.drop.is_match(path.as_str()) => self.taken.insert(path, DROP),
                Some(active) => self.taken.insert(path, &active.rule.name),
                None => None,
            };
        }
    }

    fn having(&self, how: How) -> Vec<Active<'part>> {
        self.active.iter().filter(|active| active.rule.how == how).copied().collect()
    }

    /// Takes each `.pyi` whose module lies beside it, unless that reads it.
    fn take_stubs(&mut self) -> Result<(), StoreError> {
        for active in self.having(How::Stubs) {
            let stubs: Vec<ImagePath> = self
                .before
                .files()
                .map(|(path, _)| path)
                .filter(|path| path.as_str().ends_with(".pyi") && !active.spares(path) && self.is_free(path))
                .collect();
            for path in stubs {
                if self.is_idle_stub(&path)? {
                    self.taken.insert(path, &active.rule.name);
                }
            }
        }
        Ok(())
    }

    fn is_idle_stub(&self, stub: &ImagePath) -> Result<bool, StoreError> {
        let stem = stub.as_str().trim_end_matches("pyi");
        // Nothing imports from a directory whose name isn't one of Python's.
        if stub.components().any(|component| component.ends_with("-stubs")) {
            return Ok(true);
        }
        let module: ImagePath = format!("{stem}py").parse().expect("it is a path as the stub's is");
        if let Some(file) = self.before.resolve_file(&module) {
            let text = self.store.read_file(file)?;
            let speaks = |word: &str| text.windows(word.len()).any(|bytes| bytes == word.as_bytes());
            // `lazy_loader.attach_stub` reads what the package has from it.
            return Ok(!speaks("attach_stub") && !speaks(".pyi"));
        }
        let directory = stub.parent().and_then(|parent| self.before.directory(&parent).cloned());
        let name = stem.rsplit('/').next().unwrap_or_default();
        let is_extension = |entry: &str| entry.starts_with(name) && entry.ends_with(".so");
        Ok(directory.is_some_and(|there| there.entries().any(|(entry, _)| is_extension(entry.as_str()))))
    }

    fn take_unimported(&mut self) -> Result<(), StoreError> {
        let (directories, single) = (self.having(How::Unimported), self.having(How::Modules));
        if directories.is_empty() && single.is_empty() {
            return Ok(());
        }
        let modules = Modules::of(self.store, self.before);
        for active in directories.into_iter().chain(single) {
            let stays = |path: &ImagePath| !self.taken.contains_key(path);
            let taken = match active.rule.how {
                How::Modules => modules.unnamed(&active, stays)?,
                _ => modules.unimported(&active, stays)?,
            };
            for path in taken.into_iter().filter(|path| self.is_free(path)).collect::<Vec<_>>() {
                self.taken.insert(path, &active.rule.name);
            }
        }
        Ok(())
    }

    /// Takes links that lead to what was taken.
    fn take_dangling(&mut self) {
        let links = self.before.walk().filter(|(_, entry)| matches!(entry, Entry::Symlink(_)));
        let dangling: Vec<(ImagePath, &str)> = links
            .filter(|(path, _)| self.is_free(path))
            .filter_map(|(path, _)| {
                let rule = *self.taken.get(&self.before.resolve(&path)?)?;
                Some((path, rule))
            })
            .collect();
        self.taken.extend(dangling);
    }

    /// Returns how much of an ELF file goes, and the rule that says so.
    fn strip(&self, path: &ImagePath) -> (Strip, &'part str) {
        let applies =
            |how: How| self.active.iter().find(|active| active.rule.how == how && !active.spares(path));
        match (applies(How::Symbols), applies(How::Debug)) {
            (Some(active), _) => (Strip::All, &active.rule.name),
            (None, Some(active)) => (Strip::Debug, &active.rule.name),
            (None, None) => (Strip::None, ""),
        }
    }

    fn shrunk(&self, tree: &Tree) -> Result<BTreeMap<ImagePath, File>, StoreError> {
        shrunk(self.store, tree, |path| match self.keep.is_match(path.as_str()) {
            true => Strip::None,
            false => self.strip(path).0,
        })
    }

    /// Returns modules that stand for removed ones and say how to bring them back.
    fn hints(&self, tree: &Tree) -> BTreeMap<ImagePath, String> {
        let has_hint =
            |rule: &str| self.active.iter().any(|active| active.rule.hint && active.rule.name == rule);
        let taken = self.taken.iter().filter(|(_, rule)| has_hint(rule));
        let hints = taken.filter_map(|(path, rule)| {
            let (name, place) = hints::library_module(path)?;
            tree.get(&place).is_none().then(|| (place, hints::hint(name, rule)))
        });
        hints.collect()
    }

    /// Puts texts into a pack and the tree.
    fn write(
        &self,
        tree: &mut Tree,
        texts: BTreeMap<ImagePath, String>,
        pack: PackId,
    ) -> Result<(), StoreError> {
        if texts.is_empty() {
            return Ok(());
        }
        let mut pack = self.store.pack_writer(pack)?;
        for (path, text) in texts {
            let (content, size) = pack.add(text.as_bytes())?;
            let file = File { pack: Some(pack.id()), ..File::new(content, size, Mode::REGULAR) };
            tree.replace(&path, file.into()).expect("a module or record lies in a directory");
        }
        pack.finish()?;
        Ok(())
    }
}

/// Tells whether a file says what a distribution is or under which terms: scanners, lawyers and
/// `importlib.metadata` read these.
fn is_statement(path: &ImagePath) -> bool {
    const BEGINNINGS: [&str; 7] =
        ["license", "licence", "copying", "copyright", "notice", "unlicense", "thirdparty"];
    let is_metadata = |component: &str| component.ends_with(".dist-info") || component.ends_with(".egg-info");
    let name = path.name().unwrap_or_default().to_lowercase();
    path.components().any(is_metadata)
        || path.as_str().starts_with("/var/lib/dpkg/")
        || path.as_str().starts_with("/usr/share/common-licenses/")
        || path.components().any(|component| component.eq_ignore_ascii_case("licenses"))
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            && ![".py", ".pyi", ".pyc", ".c", ".h", ".js"].iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests;
