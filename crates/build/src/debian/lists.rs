//! The lists of files of a suite's archives, and who of those that have a file is the best.

use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter};
use std::sync::{Arc, OnceLock};

use minke_cas::{Digest, Meter, Store};
use minke_distro::{
    Closure, ClosureError, ClosureOptions, Contents, ContentsArch, Listed, PackageIndex, PackageName, closure,
};
use minke_net::{Client, FetchError};
use serde::{Deserialize, Serialize};

use super::{Debian, DebianError, Opened};
use crate::contents::{Candidate, Missing, Place, Supplier};
use crate::settings::Origin;

/// The lists that were opened.
#[derive(Default)]
pub(super) struct Lists {
    native: OnceLock<Vec<Arc<Contents>>>,
    all: OnceLock<Vec<Arc<Contents>>>,
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
    /// The rules are those of [`crate::contents`].
    ///
    /// # Errors
    /// [`DebianError::FetchList`], [`DebianError::List`]; those of reading indexes.
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
        store.memo("suppliers-1", &question, || {
            let candidates = self.candidates((client, store), missing)?;
            if candidates.is_empty() {
                return Ok(Vec::new());
            }
            judge(self.index(client, store)?, candidates, present, options)
        })
    }

    /// Returns the first files whose names begin so, for who looked for another of them.
    ///
    /// # Errors
    /// [`DebianError::FetchList`], [`DebianError::List`].
    pub fn alike(&self, (client, store): (&Client, &Store), start: &str) -> Result<Vec<Listed>, DebianError> {
        let mut listed = Vec::new();
        for list in self.lists((client, store), ContentsArch::Native(self.arch))? {
            listed.extend(list.beginning(start, MOST_ALIKE).map_err(|source| self.unreadable(source))?);
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
                listed.extend(list.ending(&ending).map_err(|source| self.unreadable(source))?);
            }
        }
        Ok(listed)
    }

    fn lists(
        &self,
        (client, store): (&Client, &Store),
        arch: ContentsArch,
    ) -> Result<&[Arc<Contents>], DebianError> {
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
        Ok(place.get_or_init(|| lists))
    }

    fn unreadable(&self, source: minke_distro::ContentsError) -> DebianError {
        DebianError::List { suite: self.archives[0].archive.suite.clone(), source }
    }
}

impl Opened {
    /// Returns the index of an archive's list of files, none if it has no such list.
    fn list(
        &self,
        (client, store): (&Client, &Store),
        arch: ContentsArch,
    ) -> Result<Option<Arc<Contents>>, DebianError> {
        let suite = || self.archive.suite.clone();
        let Some(file) = self.release.contents("main", arch).into_iter().next() else { return Ok(None) };
        let source = self.archive.index(&file);
        let source = source.map_err(|source| DebianError::Mirror { origin: Origin::Default, source })?;
        let Made { index } = store.memo("contents-1", &Key { list: source.digest }, || {
            let fetched = client.fetch(&source, store, &Meter::default());
            fetched.map_err(|source| DebianError::FetchList { suite: suite(), source })?;
            let list = BufReader::new(store.open_blob(&source.digest)?);
            let mut blob = store.blob_writer()?;
            let built = Contents::build(file.compression, list, BufWriter::new(&mut blob));
            built.map_err(|source| DebianError::List { suite: suite(), source })?;
            Ok::<_, DebianError>(Made { index: blob.finish()?.0 })
        })?;
        let contents = Contents::open(store.open_blob(&index)?);
        Ok(Some(Arc::new(contents.map_err(|source| DebianError::List { suite: suite(), source })?)))
    }
}

/// Tells whether a mirror hasn't got a list, or has another one than was signed.
fn is_outdated(error: &FetchError) -> bool {
    matches!(
        error.cause(),
        FetchError::NotFound { .. } | FetchError::WrongDigest { .. } | FetchError::WrongSize { .. }
    )
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
