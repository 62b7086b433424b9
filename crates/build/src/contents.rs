//! Which package has what is missing: the archive's lists of files, and the choice among those who have it.
//!
//! The best supplier is chosen by these rules, each deciding only where those before it find no difference:
//!
//! 1. *Place*: where a loader, compiler or build looks without being told; then near that place; then anywhere that
//!    makes sense for such a file. Anywhere else is nowhere.
//! 2. *Kind*: for what only builds need, a `-dev` package; for a program, the package that is called like it.
//! 3. *Size*: that which brings the fewest bytes besides what is there already, its own dependencies counted in; one
//!    that cannot be installed beside what is there is none.
//! 4. *Name*, so that the answer is always the same.
//!
//! Only the component `main` is looked into, as everywhere. The list of packages for all machines (38 MB) is asked only
//! where the machine's own list has nothing in the very place, and never for libraries, which are for one machine.

use minke_cas::ImagePath;
use minke_distro::{Arch, Listed, PackageName};
use serde::{Deserialize, Serialize};

/// Something that a loader or a build looked for in vain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Missing {
    /// A shared library, by the name that the loader looks for: `libfoo.so.1`.
    Soname(String),
    /// A library to link with, by what follows `-l`.
    Library(String),
    /// A header, as it stands in an `#include`: `libxml/xmlversion.h`.
    Header(String),
    /// A module of pkg-config's: `libpng`.
    PkgConfig(String),
    /// A program: `pg_config`.
    Program(String),
    /// A package that `find_package` of CMake's looks for: `Eigen3`.
    CmakePackage(String),
    /// A file, by its path.
    File(ImagePath),
}

/// A package that has what is missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Supplier {
    /// Its name.
    pub package: PackageName,
    /// The file that was missing.
    pub path: ImagePath,
    /// How well the file lies.
    pub place: Place,
    /// How many packages come with it, itself counted in; none if it is there already.
    pub packages: usize,
    /// The size of their files, in bytes.
    pub bytes: u64,
}

/// How well a file lies for who looks for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Place {
    /// It is found there without being told.
    Exact,
    /// One directory away, as where several kinds of a library are to choose from.
    Near,
    /// Somewhere that such files lie in.
    Far,
}

/// A package that has a file of the right name, before anyone knows what it costs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) package: PackageName,
    pub(crate) path: ImagePath,
}

/// Whether a package is of the kind that should have such a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// It is.
    Right,
    /// It is another kind of package.
    Other,
}

impl Missing {
    /// Returns the ends of paths that answer this.
    pub(crate) fn endings(&self) -> Vec<String> {
        match self {
            Self::Soname(name) | Self::Header(name) | Self::Program(name) => vec![name.clone()],
            Self::Library(name) => vec![format!("lib{name}.so"), format!("lib{name}.a")],
            Self::PkgConfig(name) => vec![format!("pkgconfig/{name}.pc")],
            Self::CmakePackage(name) => {
                vec![format!("{name}Config.cmake"), format!("{}-config.cmake", name.to_lowercase())]
            }
            Self::File(path) => vec![path.relative().to_owned()],
        }
    }

    /// Tells whether a package that is for all machines can have it.
    pub(crate) fn may_be_for_all(&self) -> bool {
        !matches!(self, Self::Soname(_) | Self::Library(_))
    }

    /// Returns what the message says of it: "the header `zlib.h`".
    pub fn what(&self) -> String {
        match self {
            Self::Soname(name) => format!("the library `{name}`"),
            Self::Library(name) => format!("the library `-l{name}`"),
            Self::Header(name) => format!("the header `{name}`"),
            Self::PkgConfig(name) => format!("the pkg-config module `{name}`"),
            Self::Program(name) => format!("the program `{name}`"),
            Self::CmakePackage(name) => format!("the CMake package `{name}`"),
            Self::File(path) => format!("the file `{path}`"),
        }
    }

    /// Returns who of those that have a file of the right name has it where it serves, the best places first.
    pub(crate) fn candidates(&self, listed: Vec<Listed>, arch: Arch) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for Listed { path, packages } in listed {
            let Some(place) = self.place(&path, arch) else { continue };
            candidates.extend(packages.into_iter().map(|package| Candidate {
                place,
                kind: self.kind(package.as_str()),
                package,
                path: path.clone(),
            }));
        }
        candidates.sort();
        candidates
    }

    fn kind(&self, package: &str) -> Kind {
        let is_right = match self {
            Self::Library(_) | Self::Header(_) | Self::PkgConfig(_) | Self::CmakePackage(_) => {
                package.ends_with("-dev")
            }
            Self::Program(program) => package == program,
            Self::Soname(_) | Self::File(_) => true,
        };
        if is_right { Kind::Right } else { Kind::Other }
    }

    fn place(&self, path: &ImagePath, arch: Arch) -> Option<Place> {
        let own = format!("usr/lib/{}", arch.multiarch_directory());
        let above = path.parent()?;
        let above = above.relative();
        let levels_below = |root: &str| levels_below(above, root);
        let in_libraries =
            |levels| [own.as_str(), "usr/lib"].iter().any(|root| levels_below(root) == Some(levels));
        match self {
            Self::Soname(_) if in_libraries(0) => Some(Place::Exact),
            Self::Soname(_) => (levels_below(&own) == Some(1)).then_some(Place::Near),
            Self::Library(_) if in_libraries(0) => {
                Some(if path.as_str().ends_with(".so") { Place::Exact } else { Place::Near })
            }
            Self::Library(_) => (levels_below(&own) == Some(1)).then_some(Place::Far),
            Self::Header(header) => header_place(above, header, &own),
            Self::PkgConfig(_) => {
                let searched =
                    [format!("{own}/pkgconfig"), "usr/lib/pkgconfig".into(), "usr/share/pkgconfig".into()];
                let is_searched = searched.iter().any(|directory| directory == above);
                Some(if is_searched { Place::Exact } else { Place::Far })
            }
            Self::Program(_) => ["usr/bin", "usr/sbin"].contains(&above).then_some(Place::Exact),
            Self::CmakePackage(name) => {
                let is_searched =
                    [own.as_str(), "usr/lib", "usr/share"].iter().any(|root| finds(above, root, name));
                Some(if is_searched { Place::Exact } else { Place::Far })
            }
            Self::File(_) => Some(Place::Exact),
        }
    }
}

/// Tells how well a header lies, `above` being the directory of its last component.
fn header_place(above: &str, header: &str, own: &str) -> Option<Place> {
    // The directory from which the whole name is looked up.
    let named = header.rsplit_once('/').map(|(directories, _)| directories);
    let from = named.map_or(Some(above), |named| Some(above.strip_suffix(named)?.trim_end_matches('/')))?;
    let machines = own.replace("/lib/", "/include/");
    match (levels_below(from, &machines), levels_below(from, "usr/include")) {
        (Some(0), _) | (_, Some(0)) => Some(Place::Exact),
        (Some(1), _) | (_, Some(1)) => Some(Place::Near),
        (Some(_), _) | (_, Some(_)) => Some(Place::Far),
        // Such as `glibconfig.h`, which is the machine's.
        _ if from.starts_with(own) && from.ends_with("/include") => Some(Place::Near),
        _ => (from.starts_with("usr/lib/") && from.ends_with("/include")).then_some(Place::Far),
    }
}

/// Tells whether `find_package` of CMake's looks into a directory for a package's configuration.
///
/// Spec: <https://cmake.org/cmake/help/v3.31/command/find_package.html#config-mode-search-procedure>
fn finds(directory: &str, root: &str, package: &str) -> bool {
    let Some(below) = directory.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    let is_named = |name: &str| name.to_lowercase().starts_with(&package.to_lowercase());
    match below.split('/').collect::<Vec<_>>().as_slice() {
        [named] | ["cmake", named] | [named, "cmake" | "CMake"] => is_named(named),
        _ => false,
    }
}

/// Returns how many directories lie between a directory and one above it, none if it isn't below.
fn levels_below(directory: &str, root: &str) -> Option<usize> {
    let rest = directory.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.matches('/').count())
}

#[cfg(test)]
mod tests;
