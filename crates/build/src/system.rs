//! Distribution packages as parts of the image.

use minke_cas::{Digest, Epoch, Store, StoreError, Tree};
use minke_distro::deb::{self, Control, DebError, Script, Unpacked};
use minke_distro::{setup, status};
use minke_net::FetchError;
use serde::{Deserialize, Serialize};

use crate::debian::{Debian, DebianError, Pick};
use crate::event::Reporter;
use crate::fetch::{Errand, Fetcher, fetch_each};
use crate::parts::{Owner, Part};

/// A package that was unpacked, as it goes into the image.
#[derive(Clone, Debug)]
pub struct Package {
    /// Which one.
    pub pick: Pick,
    /// What its control member says.
    pub control: Control,
    /// Its files, and its records for scanners.
    pub tree: Tree,
}

/// Distribution packages cannot become part of an image.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// Where one lies cannot be said.
    #[error("cannot find the file of {package}")]
    Address {
        /// Which one.
        package: String,
        /// Why not.
        source: Box<DebianError>,
    },
    /// One cannot be fetched.
    #[error("cannot fetch the package {package}")]
    Fetch {
        /// Which one, with its version.
        package: String,
        /// What happened.
        source: FetchError,
    },
    /// One is broken or hostile.
    #[error("cannot unpack the package {package}")]
    Unpack {
        /// Which one, with its version.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// What packages' scripts would have done cannot be done.
    #[error("cannot set the base up")]
    Setup(#[source] setup::SetupError),
    /// The cache failed.
    #[error("cannot keep a package")]
    Store(#[from] StoreError),
}

#[derive(Serialize)]
struct Key {
    package: Digest,
}

#[derive(Serialize, Deserialize)]
struct Prepared {
    control: Control,
    tree: Tree,
}

/// Fetches and unpacks packages, each as soon as it is there; the results are in the order of the picks.
///
/// # Errors
/// [`SystemError`] names the package.
pub fn unpack_all(
    fetcher: Fetcher<'_>,
    debian: &Debian,
    picks: &[Pick],
) -> Result<Vec<Package>, SystemError> {
    let store = fetcher.store;
    let errand = |pick: &Pick| {
        let address = |source| SystemError::Address { package: pick.name.clone(), source: Box::new(source) };
        let source = debian.source(pick).map_err(address)?;
        Ok(Errand { source: Some(source).filter(|source| !store.has(&source.digest)), subject: pick.clone() })
    };
    let errands: Vec<_> = picks.iter().map(errand).collect::<Result<_, SystemError>>()?;
    let failed = |pick: &Pick, source| SystemError::Fetch { package: title(pick), source };
    fetch_each(fetcher, errands, failed, |pick| unpack(store, pick))
}

fn title(pick: &Pick) -> String {
    format!("{} {}", pick.name, pick.version)
}

fn unpack(store: &Store, pick: &Pick) -> Result<Package, SystemError> {
    let Prepared { control, tree } = store.memo("package-1", &Key { package: pick.digest }, || {
        let file = std::io::BufReader::new(store.open_blob(&pick.digest)?);
        let unpacked = deb::unpack(file, store, deb::pack_id(&pick.digest));
        let failed = |source| SystemError::Unpack { package: title(pick), source };
        let Unpacked { tree, control } = unpacked.map_err(failed)?;
        let (tree, _rule) = setup::part(&control.package, &tree);
        let record = status::record(&control, store)?;
        let tree = tree.join(&record).expect("no package owns its own record");
        Ok::<_, SystemError>(Prepared { control, tree })
    })?;
    Ok(Package { pick: pick.clone(), control, tree })
}

/// Returns packages as parts; `owner` says of which layer.
pub fn parts(packages: &[Package], owner: fn(String) -> Owner) -> Vec<Part> {
    packages
        .iter()
        .map(|package| Part {
            owner: owner(title(&package.pick)),
            tree: package.tree.clone(),
            epoch: Epoch::FIXED,
        })
        .collect()
}

/// Returns what the scripts of the base's packages would have done, and says whose scripts nobody knows.
///
/// # Errors
/// [`SystemError::Setup`].
pub fn setup_part(
    store: &Store,
    joined: &Tree,
    packages: &[Package],
    (owner, reporter): (Owner, &Reporter),
) -> Result<Part, SystemError> {
    for not_run in packages.iter().filter_map(|package| setup::not_run(&package.control)) {
        let script = match not_run.script {
            Script::Preinst => "preinst",
            Script::Postinst => "postinst",
        };
        reporter.warn(format!(
            "the {script} script of `{}` was not run, and what it does is not known to minke",
            not_run.package
        ));
    }
    let controls = packages.iter().map(|package| &package.control);
    let tree = setup::additions(joined, controls, store).map_err(SystemError::Setup)?;
    Ok(Part { owner, tree, epoch: Epoch::FIXED })
}
