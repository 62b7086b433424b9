//! The lists of files of a suite's archives, and who of those that have a file is the best.

use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter};
use std::sync::OnceLock;

use minke_cas::{Digest, Meter, Store};
use minke_distro::{
    Closure, ClosureError, ClosureOptions, Compression, Contents, ContentsArch, Listed, PackageIndex,
    PackageName, Suite, closure,
};
use minke_net::Client;
use serde::{Deserialize, Serialize};

use super::stand_in::is_outdated;
use super::{Debian, DebianError, Opened};
use crate::contents::{Candidate, Missing, Place, Supplier};

/// The lists that were opened.
#[derive(Default)]
pub(super) struct Lists {
    native: OnceLock<Vec<List>>,
    all: OnceLock<Vec<List>>,
}

struct List {
    contents: Contents,
    standing: Standing,
}

/// Who vouches for a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The archive: its release names the list.
    Signed,
    /// Nobody: it lies where that list should.
    StandsIn,
}

#[derive(Serialize)]
struct Key {
    list: Digest,
}

/// The index that was made of a list.
#[derive(Serialize, Deserialize)]
struct Made {
    index: Digest,
}

#[derive(Serialize)]
struct Question<'question> {
    arch: &'static str,
    releases: Vec<(&'question str, Digest)>,
    missing: &'question Missing,
    present: BTreeSet<&'question str>,
    left_out: BTreeSet<&'question str>,
}

/// How many candidates' dependencies are followed; the best places come first.
const MOST_JUDGED: usize = 24;

/// How many files of other names an answer lists.
const MOST_ALIKE: usize = 40;

impl Debian {
    /// Returns the packages that have what is missing and can be added to what is there, the best first.
    ///
    /// The rules are those of [`crate::contents`]. Where the mirror has a list that nobody signed, what that says is
    /// held against the packages, and asked anew each time.
    ///
    /// # Errors
    /// [`DebianError::FetchList`], [`DebianError::List`], [`DebianError::FetchPackage`]; those of reading indexes.
    pub fn suppliers(
        &self,
        (client, store): (&Client, &Store),
        missing: &Missing,
        present: &BTreeSet<PackageName>,
        options: &ClosureOptions,
    ) -> Result<Vec<Supplier>, DebianError> {
        let question = Question {
            arch: self.arch.as_str(),
            releases: self.releases(),
            missing,
            present: present.iter().map(PackageName::as_str).collect(),
            left_out: options.left_out.keys().map(PackageName::as_str).collect(),
        };
        if let Some(suppliers) = store.recall("suppliers-1", &question) {
            return Ok(suppliers);
        }
        let candidates = self.candidates((client, store), missing)?;
        let suppliers = match candidates.is_empty() {
            true => Vec::new(),
            false => judge(self.index(client, store)?, candidates, present, options)?,
        };
        if self.lists.stand_in() {
            return self.held((client, store), suppliers);
        }
        store.remember("suppliers-1", &question, &suppliers)?;
        Ok(suppliers)
    }

    /// Returns the first files whose names begin so, for who looked for another of them.
    ///
    /// # Errors
    /// [`DebianError::FetchList`], [`DebianError::List`].
    pub fn alike(&self, (client, store): (&Client, &Store), start: &str) -> Result<Vec<Listed>, DebianError> {
        let mut listed = Vec::new();
        for list in self.lists((client, store), ContentsArch::Native(self.arch))? {
            let beginning = list.contents.beginning(start, MOST_ALIKE);
            listed.extend(beginning.map_err(|source| self.unreadable(source))?);
        }
        Ok(listed)
    }

    fn candidates(
        &self,
        outside: (&Client, &Store),
        missing: &Missing,
    ) -> Result<Vec<Candidate>, DebianError> {
        let mut candidates =
            missing.candidates(self.listed(outside, ContentsArch::Native(self.arch), missing)?, self.arch);
        let is_settled = candidates.first().is_some_and(|candidate| candidate.place == Place::Exact);
        if missing.may_be_for_all() && !is_settled {
            let listed = self.listed(outside, ContentsArch::All, missing)?;
            candidates.extend(missing.candidates(listed, self.arch));
            candidates.sort();
        }
        // A package that has the file twice has it where it lies best.
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| seen.insert(candidate.package.clone()));
        Ok(candidates)
    }

    fn listed(
        &self,
        outside: (&Client, &Store),
        arch: ContentsArch,
        missing: &Missing,
    ) -> Result<Vec<Listed>, DebianError> {
        let mut listed = Vec::new();
        for list in self.lists(outside, arch)? {
            for ending in missing.endings() {
                listed.extend(list.contents.ending(&ending).map_err(|source| self.unreadable(source))?);
            }
        }
        Ok(listed)
    }

    fn lists(&self, (client, store): (&Client, &Store), arch: ContentsArch) -> Result<&[List], DebianError> {
        let place = match arch {
            ContentsArch::Native(_) => &self.lists.native,
            ContentsArch::All => &self.lists.all,
        };
        if let Some(lists) = place.get() {
            return Ok(lists);
        }
        let mut lists = Vec::new();
        for (number, opened) in self.archives.iter().enumerate() {
            match opened.list((client, store), arch) {
                Ok(list) => lists.extend(list),
                // Archives don't always have the lists that their releases name; what updates bring lies where it
                // lay before them, so that the suite's own lists are those that count.
                Err(DebianError::FetchList { source, .. }) if number > 0 && is_outdated(&source) => {}
                Err(error) => return Err(error),
            }
        }
        let is_told = self.lists.stand_in();
        if place.set(lists).is_ok() && self.lists.stand_in() && !is_told {
            self.reporter.aside(format!(
                "the mirror hasn't got the list of files that {} was signed with: what the one in its place says \
                 is held against the packages",
                self.archives[0].archive.suite
            ));
        }
        Ok(place.get().expect("it was set above, or by another thread before"))
    }

    fn unreadable(&self, source: minke_distro::ContentsError) -> DebianError {
        DebianError::List { suite: self.archives[0].archive.suite.clone(), source }
    }
}

impl Lists {
    /// Tells whether one of those that were opened stands in for a signed one.
    fn stand_in(&self) -> bool {
        let opened = [&self.native, &self.all].into_iter().filter_map(OnceLock::get).flatten();
        opened.into_iter().any(|list| list.standing == Standing::StandsIn)
    }
}

impl Opened {
    /// Returns the index of an archive's list of files, none if it has no such list.
    fn list(
        &self,
        (client, store): (&Client, &Store),
        arch: ContentsArch,
    ) -> Result<Option<List>, DebianError> {
        let Some(file) = self.release.contents("main", arch).into_iter().next() else { return Ok(None) };
        let source = self.archive.index(&file).map_err(DebianError::address)?;
        let suite = &self.archive.suite;
        let fetch = || {
            let fetched = client.fetch(&source, store, &Meter::default());
            fetched.map_err(|source| DebianError::FetchList { suite: suite.clone(), source })
        };
        match contents_of(store, (source.digest, file.compression), suite, fetch) {
            Ok(contents) => Ok(Some(List { contents, standing: Standing::Signed })),
            Err(DebianError::FetchList { suite, source }) if is_outdated(&source) => {
                let Some((contents, list)) = self.stand_in((client, store), &file)? else {
                    return Err(DebianError::FetchList { suite, source });
                };
                // Some mirrors have what was signed by its name alone.
                let is_signed = list == file.digest;
                let standing = if is_signed { Standing::Signed } else { Standing::StandsIn };
                Ok(Some(List { contents, standing }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns the index of a list, which is fetched into the store only if that isn't made yet.
///
/// # Errors
/// [`DebianError::List`]; those of `fetch`.
pub(super) fn contents_of(
    store: &Store,
    (list, compression): (Digest, Compression),
    suite: &Suite,
    fetch: impl FnOnce() -> Result<(), DebianError>,
) -> Result<Contents, DebianError> {
    let unusable = |source| DebianError::List { suite: suite.clone(), source };
    let Made { index } = store.memo("contents-1", &Key { list }, || {
        fetch()?;
        let list = BufReader::new(store.open_blob(&list)?);
        let mut blob = store.blob_writer()?;
        Contents::build(compression, list, BufWriter::new(&mut blob)).map_err(unusable)?;
        Ok::<_, DebianError>(Made { index: blob.finish()?.0 })
    })?;
    Contents::open(store.open_blob(&index)?).map_err(unusable)
}

/// Follows the candidates' dependencies and orders those that can be added.
fn judge(
    index: &PackageIndex,
    candidates: Vec<Candidate>,
    present: &BTreeSet<PackageName>,
    options: &ClosureOptions,
) -> Result<Vec<Supplier>, DebianError> {
    let there = closure(index, present, options).map_err(DebianError::Closure)?;
    let mut judged = Vec::new();
    for candidate in candidates.into_iter().take(MOST_JUDGED) {
        let mut roots = present.clone();
        roots.insert(candidate.package.clone());
        match closure(index, &roots, options) {
            Ok(with) => judged.push((candidate, added(&with, &there))),
            Err(ClosureError::Index(source)) => {
                return Err(DebianError::Closure(ClosureError::Index(source)));
            }
            // What isn't in the index, or cannot share a system with what is there, supplies nothing.
            Err(_) => {}
        }
    }
    judged.sort_by(|(one, cost), (other, others_cost)| {
        let rank = |candidate: &Candidate| (candidate.place, candidate.kind);
        (rank(one), cost.1, &one.package).cmp(&(rank(other), others_cost.1, &other.package))
    });
    let supplier = |(candidate, (packages, bytes)): (Candidate, (usize, u64))| {
        let Candidate { place, kind: _, package, path } = candidate;
        Supplier { package, path, place, packages, bytes }
    };
    Ok(judged.into_iter().map(supplier).collect())
}

/// Returns how many packages one set has more than another, and how many bytes their files are.
fn added(with: &Closure, there: &Closure) -> (usize, u64) {
    let new = with.packages.iter().filter(|(name, _)| !there.packages.contains_key(*name));
    new.fold((0, 0), |(count, bytes), (_, chosen)| (count + 1, bytes + chosen.package.size_bytes))
}
