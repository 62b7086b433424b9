//! A wheel's files in a virtual environment.
//!
//! By the binary distribution format: every file is listed in `RECORD` with a hash that is checked, `.data`
//! schemes are spread, scripts get their `#!` line, entry points their programs, and `RECORD` is written anew.
//! Stricter than pip and uv, which check no hashes: a wheel is a stranger's archive.
//!
//! Left out: what only an installer writes (a shipped `INSTALLER`, `REQUESTED`, `direct_url.json`), `RECORD`'s
//! signatures, which would no longer fit it, and bytecode in `__pycache__`, which the image's own interpreter makes.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>,
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>

mod archive;
mod contents;
mod fault;
mod generated;
mod layout;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use minke_cas::{Digest, File, ImagePath, PackId, Store, Tree};
use pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Serialize};

use crate::metadata::{Headers, invalid};
use crate::{EntryPoints, Metadata, PackageName, Record, RecordEntry, Venv, WheelFileName};

use archive::Archive;
use layout::Layout;

pub use fault::{WheelError, WheelFault};
pub use rewrite::{Rewrite, RewriteError, rewrite};

/// A wheel to install.
pub struct WheelFile<R> {
    /// Its bytes.
    pub reader: R,
    /// What it is called.
    pub name: WheelFileName,
    /// The sha256 of its bytes, which the caller has checked.
    pub digest: Digest,
}

/// How a distribution came to be installed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// The address that was pinned, if one was rather than a version.
    pub direct_url: Option<DirectUrl>,
    /// Who asked for it.
    pub request: Request,
}

/// Who asked for a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The project by itself: `REQUESTED` says so.
    Project,
    /// Another distribution.
    Dependency,
}

/// What `direct_url.json` says: PEP 610. Addresses are without secrets: they go into the image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DirectUrl {
    /// An archive, or a wheel.
    Archive {
        /// Its address.
        url: String,
        /// Its sha256.
        digest: Option<Digest>,
    },
    /// A directory.
    Directory {
        /// Its address.
        url: String,
    },
    /// A commit of a repository.
    Vcs {
        /// The system, such as `git`.
        vcs: String,
        /// The repository's address.
        url: String,
        /// The branch or tag that was asked for.
        requested_revision: Option<String>,
        /// The commit.
        commit: String,
    },
}

/// A wheel's files in their places.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Installed {
    /// The files, at absolute paths of the image.
    pub tree: Tree,
    /// The distribution's name.
    pub name: PackageName,
    /// The distribution's version.
    pub version: Version,
    /// Where its metadata lies.
    pub dist_info: ImagePath,
    /// The programs that it has for a terminal.
    pub console_scripts: BTreeSet<String>,
    /// The programs that it has for a desktop.
    pub gui_scripts: BTreeSet<String>,
    /// The Pythons that it says it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// Whether it says that it holds no binaries.
    pub root_is_purelib: bool,
    /// What was odd about it.
    pub warnings: Vec<WheelWarning>,
}

/// Something about a wheel that is odd but harmless.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WheelWarning {
    /// It is of a newer minor version of the format than is known.
    NewerFormat {
        /// What it says.
        version: String,
    },
    /// Bytecode that it ships was left out.
    Bytecode {
        /// How many files.
        files: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Its `RECORD` lists a file that it doesn't have.
    NotThere {
        /// Which file.
        path: String,
    },
}

/// What a wheel's small files say.
struct Facts {
    metadata: Metadata,
    root_is_purelib: bool,
    record: Record,
    entry_points: EntryPoints,
    warnings: Vec<WheelWarning>,
}

/// What has a place so far.
struct Placed {
    files: BTreeMap<ImagePath, File>,
    warnings: Vec<WheelWarning>,
}

/// Shows each regular file of a wheel: its path in the archive, and its bytes.
///
/// What is checked is the archive: names, kinds and sizes; what `RECORD` says of the files is not.
///
/// # Errors
/// [`WheelFault`] if the archive cannot be trusted, or a file cannot be read to where it was read.
pub fn each_file<R: Read + Seek>(
    reader: R,
    mut visit: impl FnMut(&str, &mut dyn Read) -> std::io::Result<()>,
) -> Result<(), WheelFault> {
    let mut archive = Archive::open(reader)?;
    for member in archive.members().to_vec() {
        let mut bytes = archive.read(&member, None)?;
        let visited = visit(&member.name, &mut bytes);
        visited.map_err(|source| WheelFault::Damaged { member: member.name, source })?;
    }
    Ok(())
}

/// Puts a wheel's files where they go, as a tree; their contents go into one pack of the store.
///
/// Memory doesn't grow with the files' sizes, only with their number. A wheel that is refused leaves no pack.
///
/// # Errors
/// [`WheelError`], which names the wheel; its source says what is wrong and with which member.
pub fn install<R: Read + Seek>(
    store: &Store,
    wheel: WheelFile<R>,
    venv: &Venv,
    provenance: &Provenance,
) -> Result<Installed, WheelError> {
    let name = wheel.name.clone();
    unpack(store, wheel, venv, provenance)
        .map_err(|fault| WheelError { wheel: Box::new(name), fault: Box::new(fault) })
}

fn unpack<R: Read + Seek>(
    store: &Store,
    WheelFile { reader, name, digest }: WheelFile<R>,
    venv: &Venv,
    provenance: &Provenance,
) -> Result<Installed, WheelFault> {
    let mut archive = Archive::open(reader)?;
    let layout = Layout::of(archive.members(), &name, venv)?;
    let facts = read_facts(&mut archive, &layout, &name)?;
    let mut pack = store.pack_writer(PackId::of("wheel-1", &digest))?;
    let mut placed = contents::place(&mut archive, &layout, &facts.record, store, &mut pack)?;
    placed.warnings.splice(0..0, facts.warnings);

    let scripts = |group| facts.entry_points.group(group).map(|(name, _)| name.to_owned()).collect();
    let mut installed = Installed {
        tree: Tree::new(),
        name: name.name().clone(),
        version: facts.metadata.version,
        dist_info: layout.dist_info(),
        console_scripts: scripts("console_scripts"),
        gui_scripts: scripts("gui_scripts"),
        requires_python: facts.metadata.requires_python,
        root_is_purelib: facts.root_is_purelib,
        warnings: placed.warnings,
    };
    generated::add(store, &layout, &facts.entry_points, provenance, &mut placed.files)?;
    for (path, file) in placed.files {
        installed.tree.insert(&path, file.into()).map_err(WheelFault::Placement)?;
    }
    pack.finish()?;
    Ok(installed)
}

fn read_facts<R: Read + Seek>(
    archive: &mut Archive<R>,
    layout: &Layout<'_>,
    name: &WheelFileName,
) -> Result<Facts, WheelFault> {
    let mut read = |file: &str| archive.read_text(&layout.in_dist_info(file));
    let required = |file: &str, text: Option<String>| {
        text.ok_or_else(|| WheelFault::Missing { path: layout.in_dist_info(file) })
    };
    let wheel = required("WHEEL", read("WHEEL")?)?;
    let metadata = required("METADATA", read("METADATA")?)?;
    let record = required("RECORD", read("RECORD")?)?;
    let entry_points = read("entry_points.txt")?.unwrap_or_default();

    let mut warnings = Vec::new();
    let wheel = Headers::parse(&wheel);
    let version = wheel.first("Wheel-Version").map_err(WheelFault::WheelFile)?;
    match version.split_once('.').map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>())) {
        Some((Ok(1), Ok(0))) => {}
        Some((Ok(1), Ok(_))) => warnings.push(WheelWarning::NewerFormat { version: version.to_owned() }),
        _ => return Err(WheelFault::Format { version: version.to_owned() }),
    }
    let root_is_purelib = match wheel.first("Root-Is-Purelib").map_err(WheelFault::WheelFile)? {
        text if text.eq_ignore_ascii_case("true") => true,
        text if text.eq_ignore_ascii_case("false") => false,
        text => return Err(WheelFault::WheelFile(invalid("Root-Is-Purelib", text))),
    };
    let metadata = Metadata::identity(&Headers::parse(&metadata)).map_err(WheelFault::Metadata)?;
    if metadata.name != *name.name() || metadata.version != *name.version() {
        return Err(WheelFault::Identity { name: metadata.name, version: metadata.version });
    }
    Ok(Facts {
        metadata,
        root_is_purelib,
        record: Record::parse(&record).map_err(WheelFault::Record)?,
        entry_points: entry_points.parse().map_err(WheelFault::EntryPoints)?,
        warnings,
    })
}

/// Lists the files as `RECORD` does, itself included.
fn record_of(files: &BTreeMap<ImagePath, File>, layout: &Layout<'_>) -> Record {
    let entry = |(path, file): (&ImagePath, &File)| {
        (layout.record_path(path), RecordEntry::of(file.content, file.size))
    };
    let own = (layout.in_dist_info("RECORD"), RecordEntry::default());
    Record { entries: files.iter().map(entry).chain([own]).collect() }
}

#[cfg(test)]
mod tests;
