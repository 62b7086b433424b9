//! Finds uv, or gets it once: its own wheel, pinned here, through the index that the settings name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, Meter, Ownership, Source, SourceUrl, SourceUrlError, Store, StoreError, Tree};
use minke_exec::{PipError, Uv, pip_download};
use minke_net::{Client, FetchError, UnpinnedOptions};
use minke_python::{Installed, Provenance, PythonVersion, Venv, WheelError, WheelFile, WheelFileName};

use crate::event::Reporter;
use crate::outside;
use crate::request::Host;

/// The version of uv that minke gets where there is none.
const VERSION: &str = "0.13.9";

/// Older ones don't know PEP 751 files.
const OLDEST: (u32, u32) = (0, 8);

/// The wheels of [`VERSION`], by machine, with their sha256.
const WHEELS: &[(&str, &str, &str)] = &[
    (
        "x86_64",
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    (
        "aarch64",
        "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
];

/// uv cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FindUvError {
    /// There is no interpreter that it could ask.
    #[error("the interpreter that resolving needs cannot be made")]
    NoPython,
    /// This machine's architecture has no pinned wheel.
    #[error("there is no uv on `PATH`, and none is known for {machine}")]
    Machine {
        /// The architecture.
        machine: &'static str,
    },
    /// Nothing says where packages come from.
    #[error("there is no uv on `PATH`, and neither a setting nor pip says where to get it")]
    NoIndex,
    /// The index's address cannot be used.
    #[error("the package index's address cannot be used")]
    Address(#[source] SourceUrlError),
    /// The index's list of uv's files cannot be fetched.
    #[error("cannot read the package index's list of uv's files")]
    List(#[source] FetchError),
    /// The index hasn't got the pinned wheel.
    #[error("the package index has no `{file}`")]
    NotListed {
        /// The wheel's name.
        file: &'static str,
    },
    /// The wheel cannot be fetched.
    #[error("cannot fetch uv {VERSION}")]
    Fetch(#[source] FetchError),
    /// pip could not fetch it.
    #[error("cannot fetch uv {VERSION} with pip")]
    Pip(#[source] PipError),
    /// The wheel cannot be unpacked.
    #[error("cannot unpack uv {VERSION}")]
    Unpack(#[source] WheelError),
    /// A file cannot be read.
    #[error("cannot read uv's wheel")]
    Read(#[source] io::Error),
    /// The cache failed.
    #[error("cannot keep uv in the cache")]
    Store(#[from] StoreError),
}

/// What resolving takes: uv, and a Python that it can ask.
#[derive(Clone)]
pub struct Resolver {
    /// The program.
    pub uv: Uv,
    /// Any interpreter.
    pub python: PathBuf,
    /// A root with the interpreter that builds run on.
    pub root: Tree,
}

/// Returns the uv on `PATH`, else the one in the cache, which is fetched where it is missing.
///
/// `find_links` are directories of wheels that it looks into besides what the environment says.
///
/// # Errors
/// [`FindUvError`] says what to set.
pub fn find(
    client: &Client,
    store: &Store,
    (host, more): (&Host, &BTreeMap<String, String>),
    reporter: &Reporter,
) -> Result<Uv, FindUvError> {
    let mut environment = outside::uv_environment(host, store.root());
    environment.extend(more.clone());
    let environment: BTreeMap<_, _> =
        environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    if let Some(program) = on_path(host, "uv") {
        let uv = Uv::at(&program, environment.clone());
        if uv.version().is_ok_and(|version| is_recent(&version)) {
            return Ok(uv);
        }
        reporter.note(format!("`{}` is too old or doesn't start; using uv {VERSION}", program.display()));
    }
    let program = cached(client, store, host, reporter)?;
    Ok(Uv::at(&program, environment))
}

/// Finds a program in the directories of `PATH`.
pub fn on_path(host: &Host, name: &str) -> Option<PathBuf> {
    let path = host.variable("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

fn cached(client: &Client, store: &Store, host: &Host, reporter: &Reporter) -> Result<PathBuf, FindUvError> {
    let machine = std::env::consts::ARCH;
    let wheel = WHEELS.iter().find(|(arch, _, _)| *arch == machine);
    let (_, file, digest) = wheel.ok_or(FindUvError::Machine { machine })?;
    let digest: Digest = digest.parse().expect("a pinned digest is one");
    if !store.has(&digest) {
        reporter.note(format!("there is no uv on `PATH`: getting uv {VERSION} once"));
        fetch(client, store, host, (file, digest))?;
    }
    let venv = Venv {
        root: "/uv".parse().expect("a path"),
        python: PythonVersion { major: 3, minor: 0, patch: None },
        interpreter: "/python".parse().expect("a path"),
    };
    let name: WheelFileName = file.parse().expect("a pinned wheel's name is one");
    let installed: Installed = store.memo("uv-1", &digest, || {
        let provenance = Provenance { direct_url: None, request: minke_python::Request::Dependency };
        let wheel = WheelFile { reader: store.open_blob(&digest)?, name, digest };
        minke_python::install(store, wheel, &venv, &provenance).map_err(FindUvError::Unpack)
    })?;
    let room = store.room(&installed.tree, Ownership::Caller)?;
    Ok(room.join("uv/bin/uv"))
}

fn fetch(
    client: &Client,
    store: &Store,
    host: &Host,
    (file, digest): (&'static str, Digest),
) -> Result<(), FindUvError> {
    if let Some(index) = outside::indexes(host).default {
        let index: SourceUrl = index.parse().map_err(FindUvError::Address)?;
        let url = listed(client, &index, file)?;
        let source = Source { url, digest, size: None };
        return client.fetch(&source, store, &Meter::default()).map_err(FindUvError::Fetch);
    }
    let python =
        ["python3", "python"].into_iter().find_map(|name| on_path(host, name)).ok_or(FindUvError::NoIndex)?;
    let scratch = store.scratch()?;
    let platform = file.trim_end_matches(".whl").rsplit(['-', '.']).next().expect("a wheel has a platform");
    let requirement = format!("uv=={VERSION}");
    pip_download(&python, &requirement, platform, scratch.path(), &host.variables)
        .map_err(FindUvError::Pip)?;
    let wheel = std::fs::File::open(scratch.path().join(file)).map_err(FindUvError::Read)?;
    store.put_expected(wheel, &digest)?;
    Ok(())
}

/// Finds the wheel's address on the index's page of uv's files.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>
fn listed(client: &Client, index: &SourceUrl, file: &'static str) -> Result<SourceUrl, FindUvError> {
    let page = index.join("uv/").map_err(FindUvError::Address)?;
    let options = UnpinnedOptions { accept: Some("text/html".to_owned()), ..UnpinnedOptions::default() };
    let bytes = client.get_unpinned(&page, &options).map_err(FindUvError::List)?;
    let html = String::from_utf8_lossy(&bytes);
    let links = html.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split(quote).next()
    });
    let without_fragment = links.map(|link| link.split('#').next().unwrap_or(link).replace("&amp;", "&"));
    let link = without_fragment
        .into_iter()
        .find(|link| link.split('?').next().is_some_and(|path| path.ends_with(file)));
    let link = link.ok_or(FindUvError::NotListed { file })?;
    page.join(&link).map_err(FindUvError::Address)
}
