//! Where each member of a wheel goes.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl>

use std::collections::BTreeSet;

use minke_cas::ImagePath;
use pep440_rs::Version;

use super::WheelFault;
use super::archive::Member;
use crate::venv::relative_link;
use crate::{PackageName, Venv, WheelFileName};

/// The places of one wheel's files.
pub(super) struct Layout<'venv> {
    venv: &'venv Venv,
    /// `NAME-VERSION.dist-info`, as the wheel spells it.
    dist_info: String,
    name: PackageName,
    version: Version,
    site_packages: ImagePath,
}

/// What becomes of a member.
pub(super) enum Fate {
    /// It goes to a place.
    Place(ImagePath, Role),
    /// It is bytecode that is made anew.
    Bytecode,
    /// The installer writes its own.
    Installers,
}

/// What a member is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A program, which is executable and may need its first line changed.
    Script,
    /// Anything else.
    File,
}

/// What only an installer writes; `RECORD`'s signatures don't fit the one that is written anew.
const INSTALLERS: [&str; 6] =
    ["RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"];

impl<'venv> Layout<'venv> {
    /// Finds the one `.dist-info` directory.
    pub(super) fn of(
        members: &[Member],
        wheel: &WheelFileName,
        venv: &'venv Venv,
    ) -> Result<Self, WheelFault> {
        let (name, version) = (wheel.name().clone(), wheel.version().clone());
        let dist_info = dist_info(members, wheel)?;
        Ok(Self { venv, dist_info, name, version, site_packages: venv.site_packages() })
    }

    pub(super) fn venv(&self) -> &Venv {
        self.venv
    }

    /// Returns the image's path of the `.dist-info` directory.
    pub(super) fn dist_info(&self) -> ImagePath {
        self.site_packages.join_str(&self.dist_info).expect("a member's name was checked")
    }

    /// Returns a file's name in the archive, which is its name in `RECORD` too.
    pub(super) fn in_dist_info(&self, file: &str) -> String {
        format!("{}/{file}", self.dist_info)
    }

    /// Returns how `RECORD` calls a file.
    pub(super) fn record_path(&self, path: &ImagePath) -> String {
        relative_link(&self.site_packages, path)
    }

    /// Says what becomes of a member.
    pub(super) fn fate(&self, member: &str) -> Result<Fate, WheelFault> {
        let in_dist_info = member.strip_prefix(&self.dist_info).and_then(|rest| rest.strip_prefix('/'));
        if in_dist_info.is_some_and(|file| INSTALLERS.contains(&file)) {
            return Ok(Fate::Installers);
        }
        if member.ends_with(".pyc") && member.rsplit('/').nth(1) == Some("__pycache__") {
            return Ok(Fate::Bytecode);
        }
        let data =
            member.split_once('/').filter(|(top, _)| is_named(top, ".data", &self.name, &self.version));
        let (base, relative, role) = match data {
            None => (self.site_packages.clone(), member, Role::File),
            Some((_, rest)) => {
                self.scheme(rest).ok_or_else(|| WheelFault::Scheme { member: member.to_owned() })?
            }
        };
        let path = base.join_str(relative).expect("a member's name was checked");
        self.check(member, &path)?;
        Ok(Fate::Place(path, role))
    }

    /// Refuses a path that is the environment's own.
    pub(super) fn check(&self, member: &str, path: &ImagePath) -> Result<(), WheelFault> {
        if self.venv.is_reserved(path) {
            return Err(WheelFault::Reserved { member: member.to_owned(), path: path.clone() });
        }
        Ok(())
    }

    /// Takes what lies in the `.data` directory apart: the scheme's directory and the path in it.
    fn scheme<'member>(&self, rest: &'member str) -> Option<(ImagePath, &'member str, Role)> {
        let (scheme, relative) = rest.split_once('/')?;
        Some(match scheme {
            "purelib" | "platlib" => (self.site_packages.clone(), relative, Role::File),
            "scripts" => (self.venv.bin(), relative, Role::Script),
            "headers" => {
                let name = self.name.as_str();
                (self.venv.headers().join_str(name).expect("a name is one component"), relative, Role::File)
            }
            "data" => match relative.strip_prefix("lib64/") {
                // `lib64` is a link to `lib`.
                Some(below) => {
                    (self.venv.root.join_str("lib").expect("it is one component"), below, Role::File)
                }
                None => (self.venv.root.clone(), relative, Role::File),
            },
            _ => return None,
        })
    }
}

/// Finds a wheel's one `.dist-info` directory.
pub(super) fn dist_info(members: &[Member], wheel: &WheelFileName) -> Result<String, WheelFault> {
    let found: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| member.name.split_once('/'))
        .map(|(top, _)| top)
        .filter(|top| top.ends_with(".dist-info"))
        .collect();
    let found: Vec<String> = found.into_iter().map(str::to_owned).collect();
    match &found[..] {
        [only] if is_named(only, ".dist-info", wheel.name(), wheel.version()) => Ok(only.clone()),
        _ => Err(WheelFault::DistInfo { found }),
    }
}

/// Tells whether a directory is `NAME-VERSION` and a suffix, however name and version are spelled.
fn is_named(directory: &str, suffix: &str, name: &PackageName, version: &Version) -> bool {
    directory
        .strip_suffix(suffix)
        .and_then(|stem| stem.rsplit_once('-'))
        .is_some_and(|(one, other)| one.parse().as_ref() == Ok(name) && other.parse().as_ref() == Ok(version))
}
