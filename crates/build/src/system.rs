//! Distribution packages as parts of the image.

use minke_cas::{Digest, Epoch, Source, Store, StoreError, Tree};
use minke_distro::deb::{self, Control, DebError, Script, Unpacked};
use minke_distro::{setup, status};
use minke_net::FetchError;
use serde::{Deserialize, Serialize};

use crate::debian::{DebianError, Pick};
use crate::event::Reporter;
use crate::fetch::{Errand, Fetcher, fetch_each};
use crate::parts::{Owner, Part};
use crate::supply::Supply;

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
    /// Where the files lie cannot be said.
    #[error("cannot find the packages' files")]
    Address(#[source] Box<DebianError>),
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

/// Fetches and unpacks packages, each as soon as it is there; the results are in name order.
///
/// # Errors
/// [`SystemError`] names the package.
pub fn unpack_all(
    fetcher: Fetcher<'_>,
    supply: &Supply<'_>,
    picks: &[Pick],
) -> Result<Vec<Package>, SystemError> {
    let store = fetcher.store;
    // Where they lie is asked only for what isn't here: a full cache needs no archive.
    let (here, missing): (Vec<&Pick>, Vec<&Pick>) =
        picks.iter().partition(|pick| store.has_whole(&pick.digest, pick.size));
    let sources = supply.sources(&missing).map_err(|source| SystemError::Address(Box::new(source)))?;
    let here = here.into_iter().map(|pick| Errand { source: None, subject: pick.clone() });
    let errand = |(pick, source): (&Pick, Source)| Errand { source: Some(source), subject: pick.clone() };
    let errands = here.chain(missing.iter().copied().zip(sources).map(errand)).collect();
    let failed = |pick: &Pick, source| SystemError::Fetch { package: title(pick), source };
    let mut packages = fetch_each(fetcher, errands, failed, |pick| unpack(store, pick))?;
    packages.sort_by(|one, other| one.pick.name.cmp(&other.pick.name));
    Ok(packages)
}

fn title(pick: &Pick) -> String {
    format!("{} {}", pick.name, pick.version)
}

fn unpack(store: &Store, pick: &Pick) -> Result<Package, SystemError> {
    let _span = tracing::info_span!("unpack package", package = title(pick)).entered();
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
