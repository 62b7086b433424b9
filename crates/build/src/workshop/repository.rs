//! The files of a commit: fetched outside by git, with those of the repositories that belong to it.
//!
//! What is unpacked is git's own archive, by the rules for strangers' archives. It has no history, from which some
//! backends tell their version; they are told the lock's.
//!
//! Spec: <https://peps.python.org/pep-0440/#direct-references>, and for the version
//! <https://setuptools-scm.readthedocs.io/en/stable/overrides/>

use std::collections::BTreeMap;

use minke_cas::{Entry, ImagePath, SourceUrl, StoreError, Tree, TreeError};
use minke_exec::{Commit, Fetched, GitError, NamedBy};
use minke_oci::UnpackError;
use minke_python::{PackageName, Version};
use serde::Serialize;

use super::Workshop;
use super::sources::BOUNDS;

/// Repositories in repositories in repositories: nobody goes further.
const DEEPEST: usize = 8;

/// The files of a commit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// git cannot fetch it.
    #[error("cannot fetch it from {repository}")]
    Git {
        /// The repository, without passwords.
        repository: String,
        /// What happened.
        source: GitError,
    },
    /// Repositories belong to repositories without end.
    #[error("{repository} lies too deep: repositories belong to repositories")]
    TooDeep {
        /// The repository, without passwords.
        repository: String,
    },
    /// What git gave is hostile or too large.
    #[error("cannot unpack it")]
    Unpack(#[from] UnpackError),
    /// A repository that belongs to it lies where something else is.
    #[error("its files cannot be placed")]
    Place(#[from] TreeError),
    /// The cache failed.
    #[error("cannot keep its files")]
    Store(#[from] StoreError),
}

#[derive(Serialize)]
struct Key<'key> {
    commit: &'key str,
    repository: &'key str,
}

impl Workshop<'_> {
    /// Returns the files of a commit, fetched once.
    pub(super) fn checked_out(&self, repository: &str, commit: &str) -> Result<Tree, RepositoryError> {
        // What lies on this machine is named as seen from the lock.
        let is_path = !repository.contains("://") && !repository.contains(':');
        let place = self.project.lock_root.join(repository);
        let place = if is_path { place.display().to_string() } else { repository.to_owned() };
        self.commit((&place, NamedBy::User), commit, DEEPEST)
    }

    fn commit(
        &self,
        (repository, named_by): (&str, NamedBy),
        commit: &str,
        depth: usize,
    ) -> Result<Tree, RepositoryError> {
        let shown = shown(repository);
        let key = Key { commit, repository: &shown };
        self.store.memo("commit-1", &key, || {
            let failed = |source| RepositoryError::Git { repository: shown.clone(), source };
            if depth == 0 {
                return Err(RepositoryError::TooDeep { repository: shown.clone() });
            }
            let scratch = self.store.scratch()?;
            let wanted = Commit { repository, commit, named_by };
            let bare = scratch.path().join("bare");
            let fetched = Fetched::fetch(&bare, wanted, &self.host.variables).map_err(failed)?;
            let archive = scratch.path().join("files.tar");
            fetched.archive(&archive).map_err(failed)?;
            let (digest, _) = self.store.put_file(&archive)?;
            let mut tree = minke_oci::unpack(self.store, &digest, BOUNDS)?;
            for submodule in fetched.submodules().map_err(failed)? {
                let below = (submodule.repository.as_str(), NamedBy::Stranger);
                let files = self.commit(below, &submodule.commit, depth - 1)?;
                let path = ImagePath::from_archive(&submodule.path)
                    .map_err(|source| UnpackError::Name { name: submodule.path.clone(), source })?;
                tree.remove(&path);
                tree.insert(&path, Entry::Directory(files.root().clone()))?;
            }
            Ok(tree)
        })
    }
}

/// Returns what tells backends the version that they would read from a repository's history.
pub(super) fn version_of(name: &PackageName, version: &Version) -> BTreeMap<String, String> {
    let named = name.to_string().to_uppercase().replace(['-', '.'], "_");
    let variables = [
        format!("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{named}"),
        // Those who use it without saying whose version they want.
        "SETUPTOOLS_SCM_PRETEND_VERSION".to_owned(),
        "PBR_VERSION".to_owned(),
        "PDM_BUILD_SCM_VERSION".to_owned(),
    ];
    variables.map(|name| (name, version.to_string())).into()
}

/// Returns a repository's address without a password.
fn shown(repository: &str) -> String {
    if let Ok(url) = repository.parse::<SourceUrl>() {
        return url.to_string();
    }
    match address(repository) {
        Some((scheme, _, rest)) => format!("{scheme}://{rest}"),
        None => repository.to_owned(),
    }
}

/// Takes an address apart: its scheme, who asks, and the rest from the host on; none for a path.
fn address(repository: &str) -> Option<(&str, Option<&str>, &str)> {
    let (scheme, rest) = repository.split_once("://")?;
    let at = rest.split('/').next().unwrap_or_default().rfind('@');
    Some((scheme, at.map(|at| &rest[..at]), &rest[at.map_or(0, |at| at + 1)..]))
}

/// Tells whether a repository's address can be written down: it holds no password, and asks for nothing.
pub(crate) fn holds_no_secret(repository: &str) -> bool {
    let Some((scheme, user, _)) = address(repository) else { return true };
    !repository.contains('?') && user.is_none_or(|user| scheme == "ssh" && !user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        assert_eq!(shown("https://me:secret@host.test/a?token=secret"), "https://host.test/a");
        assert_eq!(shown("ssh://git:secret@host.test/a"), "ssh://host.test/a");
        assert_eq!(shown("git@host.test:a"), "git@host.test:a");
        let all = ["https://host.test/a", "ssh://git@host.test/a", "git@host.test:a", "../a"];
        assert!(all.into_iter().all(holds_no_secret));
        let secret =
            ["https://me:secret@host.test/a", "https://token@host.test/a", "ssh://me:secret@host.test/a"];
        assert!(!secret.into_iter().chain(["https://host.test/a?token=secret"]).any(holds_no_secret));
    }

    #[test]
    fn backends_are_told_the_version() {
        let told = version_of(&"toy.raw-x".parse().unwrap(), &"1.0".parse().unwrap());
        let told: Vec<String> = told.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        PBR_VERSION=1.0
        PDM_BUILD_SCM_VERSION=1.0
        SETUPTOOLS_SCM_PRETEND_VERSION=1.0
        SETUPTOOLS_SCM_PRETEND_VERSION_FOR_TOY_RAW_X=1.0
        ");
    }
}
