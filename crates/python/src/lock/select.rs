//! Which of a lock's distributions a target gets, and from where.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/pylock-toml/#installing>

use std::collections::BTreeSet;

use minke_cas::{Digest, Source};
use pep440_rs::{Version, VersionSpecifiers};

use super::{Kind, Lock, LockedFile, LockedPackage, VcsLocation};
use crate::{DirectUrl, Environment, ExtraName, GroupName, PackageName, Tags, Target, WheelFileName};

/// What is asked for besides what is always installed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// The extras.
    pub extras: BTreeSet<ExtraName>,
    /// The dependency groups.
    pub groups: Groups,
    /// What is taken as sources, though it has a wheel that fits.
    pub from_sources: FromSources,
}

/// Which distributions are taken as sources, though they have a wheel that fits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum FromSources {
    /// None.
    #[default]
    Nothing,
    /// These.
    Only(BTreeSet<PackageName>),
    /// All that have sources.
    All,
}

/// Which dependency groups are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Groups {
    /// Those that the lock names as its `default-groups`.
    #[default]
    Default,
    /// Exactly these.
    Only(BTreeSet<GroupName>),
}

/// A distribution that applies, and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distribution {
    /// Its name.
    pub name: PackageName,
    /// Its version, where the lock says it.
    pub version: Option<Version>,
    /// Where it comes from.
    pub origin: Origin,
    /// What its `direct_url.json` should say: set where the lock pins an address rather than a version.
    pub direct_url: Option<DirectUrl>,
}

/// Where a distribution comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A wheel that fits the target, the best of those that are offered.
    Wheel {
        /// What it is called.
        file_name: WheelFileName,
        /// Where it lies.
        location: Location,
    },
    /// A source distribution, as no wheel fits.
    Sdist {
        /// What it is called.
        file_name: String,
        /// Where it lies.
        location: Location,
        /// When it was published, as RFC 3339, where the lock says it.
        published: Option<String>,
        /// The wheels that were offered and don't fit.
        offered: Vec<WheelFileName>,
    },
    /// An archive of sources at a pinned address.
    Archive {
        /// What it is called.
        file_name: String,
        /// Where it lies.
        location: Location,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
    /// A directory on this machine.
    Directory {
        /// Where it lies, relative to the lock file or absolute.
        path: String,
        /// Whether the lock asks for a link to it rather than a copy.
        editable: bool,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
    /// A commit of a repository.
    Vcs {
        /// The system, such as `git`.
        vcs: String,
        /// The repository's address or path, as it is written; it may hold a password.
        repository: String,
        /// The commit.
        commit: String,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
}

/// Where a file lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// At an address, with its digest.
    Remote(Source),
    /// At a path, relative to the lock file or absolute, with its digest where the lock has one.
    Local(String, Option<Digest>),
}

/// A lock has nothing that can be installed for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The lock, or one package of it, is for other Pythons.
    #[error("{} is for Python {range}, not {target}", subject(package))]
    Python {
        /// The package, or none for the whole lock.
        package: Option<PackageName>,
        /// What it is for.
        range: VersionSpecifiers,
        /// What was asked for.
        target: Target,
    },
    /// None of the lock's `environments` is the target.
    #[error("the lock is not for {target}; it is for: {}", environments.join("; "))]
    Environment {
        /// What was asked for.
        target: Target,
        /// The markers of which none holds.
        environments: Vec<String>,
    },
    /// The lock has no such extra.
    #[error("the lock has no extra `{name}`; it has: {}", listed(known))]
    Extra {
        /// What was asked for.
        name: ExtraName,
        /// What there is.
        known: BTreeSet<ExtraName>,
    },
    /// The lock has no such dependency group.
    #[error("the lock has no dependency group `{name}`; it has: {}", listed(known))]
    Group {
        /// What was asked for.
        name: GroupName,
        /// What there is.
        known: BTreeSet<GroupName>,
    },
    /// Two entries of one name apply.
    #[error("the lock has two entries for `{name}` that both apply to {target}")]
    Ambiguous {
        /// Whose.
        name: PackageName,
        /// What was asked for.
        target: Target,
    },
    /// No wheel fits and there is no source distribution.
    #[error("no wheel of `{name}` fits {target} and it has no sdist; its wheels: {}", listed(offered))]
    NoWheel {
        /// Of what.
        name: PackageName,
        /// What was asked for.
        target: Target,
        /// The wheels that don't fit.
        offered: Vec<WheelFileName>,
    },
    /// Sources were asked for, and there are only wheels.
    #[error("`{name}` is to be built from its sources, and the lock has none of it")]
    NoSources {
        /// Of what.
        name: PackageName,
    },
    /// A file has no sha256.
    #[error("`{file}` has no sha256 in the lock, only: {}", listed(algorithms))]
    Unhashed {
        /// Which file.
        file: String,
        /// The hashes that it has.
        algorithms: Vec<String>,
    },
}

fn subject(package: &Option<PackageName>) -> String {
    package.as_ref().map_or_else(|| "the lock".to_owned(), |name| format!("`{name}`"))
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

impl Lock {
    /// Returns the distributions that apply to a target, in the lock's order.
    ///
    /// # Errors
    /// [`SelectError::Python`], [`SelectError::Environment`], [`SelectError::Extra`] and
    /// [`SelectError::Group`] if the lock isn't for what was asked; [`SelectError::Ambiguous`],
    /// [`SelectError::NoWheel`] and [`SelectError::Unhashed`] for a package that cannot be had.
    pub fn select(&self, target: &Target, selection: &Selection) -> Result<Vec<Distribution>, SelectError> {
        let environment = self.environment(target, selection)?;
        check_python(None, self.requires_python.as_ref(), target)?;
        if !self.environments.is_empty() && !self.environments.iter().any(|marker| marker.holds(&environment))
        {
            let environments = self.environments.iter().map(ToString::to_string).collect();
            return Err(SelectError::Environment { target: *target, environments });
        }

        let tags = target.tags();
        let mut seen = BTreeSet::new();
        let applies = |package: &&LockedPackage| {
            package.marker.as_ref().is_none_or(|marker| marker.holds(&environment))
        };
        let distribution = |package: &LockedPackage| {
            if !seen.insert(package.name.clone()) {
                return Err(SelectError::Ambiguous { name: package.name.clone(), target: *target });
            }
            check_python(Some(&package.name), package.requires_python.as_ref(), target)?;
            package.distribution(target, &tags, &selection.from_sources)
        };
        self.packages.iter().filter(applies).map(distribution).collect()
    }

    fn environment(&self, target: &Target, selection: &Selection) -> Result<Environment, SelectError> {
        let unknown = |name: &&ExtraName| !self.extras.contains(*name);
        if let Some(name) = selection.extras.iter().find(unknown) {
            return Err(SelectError::Extra { name: name.clone(), known: self.extras.clone() });
        }
        let groups = match &selection.groups {
            Groups::Default => &self.default_groups,
            Groups::Only(groups) => groups,
        };
        // The defaults need not be among `dependency-groups`: a group may hold nothing but them.
        let unknown =
            |name: &&GroupName| !self.groups.contains(*name) && !self.default_groups.contains(*name);
        if let Some(name) = groups.iter().find(unknown) {
            let known = self.groups.union(&self.default_groups).cloned().collect();
            return Err(SelectError::Group { name: name.clone(), known });
        }
        Ok(target.environment().with(selection.extras.clone(), groups.clone()))
    }
}

fn check_python(
    package: Option<&PackageName>,
    range: Option<&VersionSpecifiers>,
    target: &Target,
) -> Result<(), SelectError> {
    match range {
        Some(range) if !range.contains(&target.python.full()) => {
            Err(SelectError::Python { package: package.cloned(), range: range.clone(), target: *target })
        }
        _ => Ok(()),
    }
}

impl LockedPackage {
    fn distribution(
        &self,
        target: &Target,
        tags: &Tags,
        from_sources: &FromSources,
    ) -> Result<Distribution, SelectError> {
        let mut direct_url = None;
        let origin = match &self.kind {
            Kind::Index { wheels, sdist } => {
                let wheels = match (from_sources, sdist) {
                    (FromSources::Only(names), None) if names.contains(&self.name) => {
                        return Err(SelectError::NoSources { name: self.name.clone() });
                    }
                    (FromSources::Only(names), Some(_)) if names.contains(&self.name) => &[],
                    (FromSources::All, Some(_)) => &[],
                    _ => wheels.as_slice(),
                };
                self.index_origin(wheels, sdist.as_ref(), target, tags)?
            }
            Kind::Archive { file, subdirectory } => {
                direct_url = file
                    .url
                    .as_ref()
                    .map(|url| DirectUrl::Archive { url: url.to_string(), digest: file.digest() });
                self.archive_origin(file, subdirectory.clone(), target, tags)?
            }
            Kind::Directory { path, editable, subdirectory } => Origin::Directory {
                path: path.clone(),
                editable: *editable,
                subdirectory: subdirectory.clone(),
            },
            Kind::Vcs { vcs, location, revision, commit, subdirectory } => {
                let (VcsLocation::Url(repository) | VcsLocation::Path(repository)) = location;
                if let VcsLocation::Url(url) = location {
                    direct_url = Some(DirectUrl::Vcs {
                        vcs: vcs.clone(),
                        url: without_secrets(url),
                        requested_revision: revision.clone(),
                        commit: commit.clone(),
                    });
                }
                Origin::Vcs {
                    vcs: vcs.clone(),
                    repository: repository.clone(),
                    commit: commit.clone(),
                    subdirectory: subdirectory.clone(),
                }
            }
        };
        Ok(Distribution { name: self.name.clone(), version: self.version.clone(), origin, direct_url })
    }

    fn index_origin(
        &self,
        wheels: &[(WheelFileName, LockedFile)],
        sdist: Option<&LockedFile>,
        target: &Target,
        tags: &Tags,
    ) -> Result<Origin, SelectError> {
        let ranked = wheels.iter().filter_map(|(name, file)| Some((tags.rank(name)?, name, file)));
        let best = ranked.min_by(|(rank, name, _), (other_rank, other, _)| {
            rank.cmp(other_rank).then_with(|| other.cmp_build(name))
        });
        if let Some((_, file_name, file)) = best {
            return Ok(Origin::Wheel { file_name: file_name.clone(), location: file.location()? });
        }
        let offered = wheels.iter().map(|(name, _)| name.clone()).collect();
        match sdist {
            Some(sdist) => Ok(Origin::Sdist {
                file_name: sdist.name.clone(),
                location: sdist.location()?,
                published: sdist.uploaded.clone(),
                offered,
            }),
            None => Err(SelectError::NoWheel { name: self.name.clone(), target: *target, offered }),
        }
    }

    /// uv locks a wheel that a project names by path or address as an archive.
    fn archive_origin(
        &self,
        file: &LockedFile,
        subdirectory: Option<String>,
        target: &Target,
        tags: &Tags,
    ) -> Result<Origin, SelectError> {
        let location = file.location()?;
        let Ok(file_name) = file.name.parse::<WheelFileName>() else {
            return Ok(Origin::Archive { file_name: file.name.clone(), location, subdirectory });
        };
        if tags.rank(&file_name).is_none() {
            let offered = vec![file_name];
            return Err(SelectError::NoWheel { name: self.name.clone(), target: *target, offered });
        }
        Ok(Origin::Wheel { file_name, location })
    }
}

impl LockedFile {
    /// A file on this machine may do without any hash; one from elsewhere needs a sha256, and none is good
    /// enough that has only others.
    fn location(&self) -> Result<Location, SelectError> {
        let unhashed = || SelectError::Unhashed {
            file: self.name.clone(),
            algorithms: self.hashes.keys().cloned().collect(),
        };
        match (&self.url, &self.path, self.digest()) {
            (Some(url), _, Some(digest)) => {
                Ok(Location::Remote(Source { url: url.clone(), digest, size: self.size }))
            }
            (None, Some(path), digest) if digest.is_some() || self.hashes.is_empty() => {
                Ok(Location::Local(path.clone(), digest))
            }
            _ => Err(unhashed()),
        }
    }
}

/// An address for `direct_url.json`: it goes into the image, so its password may not.
fn without_secrets(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return text.to_owned() };
    // Both setters refuse only addresses that cannot have credentials in the first place.
    let _ = url.set_password(None);
    // The `git` of `ssh://git@host.test` is no secret, and without it the address is another one.
    if url.scheme() != "ssh" {
        let _ = url.set_username("");
    }
    url.to_string()
}
