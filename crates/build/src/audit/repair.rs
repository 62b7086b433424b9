//! Makes a wheel work on more systems: `minke wheel repair`.
//!
//! What it needs and a platform tag's systems don't have is copied into `NAME.libs/`, under names that no other library
//! has, so that two wheels in one process never get each other's. The new wheel is judged before it has its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minke_cas::{Digest, ImagePath};
use minke_elf::{Edit, Policy, Search, Strip, compact, edit};
use minke_python::{Rewrite, RewriteError, WheelFileName, rewrite};
use serde::Serialize;

use super::carried::{Carried, CarriedFile, placed};
use super::machine::Around;
use super::verdict::{External, Judge};
use super::{AuditError, Obstacle, audit};

mod bill;

/// What a wheel is to become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// For which systems: `manylinux_2_28_x86_64`, `manylinux_2_28` or `manylinux2014`; where none is said, for the
    /// oldest ones that need the fewest libraries copied.
    pub tag: Option<String>,
    /// Where the new wheel goes.
    pub directory: PathBuf,
    /// Directories in which libraries are looked for first.
    pub libraries: Vec<PathBuf>,
    /// What goes out of its ELF files.
    pub strip: Strip,
}

/// A wheel that was repaired.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Repaired {
    /// Where the new wheel lies.
    pub wheel: PathBuf,
    /// Its platform tag.
    pub tag: String,
    /// What was copied into it.
    pub grafts: Vec<Graft>,
    /// How many bytes the wheel had.
    pub before: u64,
    /// How many the new one has.
    pub after: u64,
}

/// A library that was copied into a wheel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Graft {
    /// Where it came from.
    pub from: PathBuf,
    /// Where it lies in the wheel.
    pub file: String,
    /// The sha256 of what it was.
    pub digest: Digest,
    /// The package of this machine that it is of, with its version.
    pub package: Option<String>,
}

/// Repairs a wheel. The wheel itself stays as it is.
///
/// # Errors
/// [`AuditError`] names the wheel and what stands against it.
pub fn repair(wheel: &Path, order: &Order) -> Result<Repaired, AuditError> {
    let carried = Carried::read(wheel)?;
    if carried.files.is_empty() {
        return Err(AuditError::Pure { wheel: carried.name.to_string() });
    }
    let around = Around::find(&carried, &order.libraries)?;
    let judge = Judge::new(&carried, &around);
    let policy = match &order.tag {
        Some(tag) => named(&carried, tag)?,
        None => easiest(&judge)?,
    };
    let external = feasible(&judge, &policy)?;
    let grafting = Grafting::of(&judge, &external)?;
    write(&judge, &policy, &grafting, order)
}

/// Finds the policy that a user means.
fn named(carried: &Carried, tag: &str) -> Result<Policy, AuditError> {
    let all = Policy::all(carried.family, carried.processor.unwrap_or_default());
    let processor = carried.processor.unwrap_or_default();
    let whole = [tag.to_owned(), format!("{tag}_{processor}")];
    let is_meant = |policy: &Policy| {
        whole.contains(&policy.to_string()) || policy.alias().is_some_and(|alias| whole.contains(&alias))
    };
    let no_tag = || AuditError::Tag { tag: tag.to_owned(), wheel: carried.name.to_string() };
    all.into_iter().find(is_meant).ok_or_else(no_tag)
}

/// Chooses the policy that needs the fewest libraries copied, of these the one of the oldest systems.
fn easiest(judge: &Judge<'_>) -> Result<Policy, AuditError> {
    let Some(newest) = judge.policies.last() else {
        return Err(AuditError::Processor { path: judge.carried.path.clone() });
    };
    let possible =
        judge.policies.iter().filter_map(|policy| Some((feasible(judge, policy).ok()?.len(), policy)));
    match possible.min_by_key(|(count, _)| *count) {
        Some((_, policy)) => Ok(policy.clone()),
        // Says what stands against even the newest systems.
        None => feasible(judge, newest).map(|_| newest.clone()),
    }
}

/// Returns what has to be copied for a policy.
fn feasible(judge: &Judge<'_>, policy: &Policy) -> Result<BTreeMap<String, External>, AuditError> {
    let wheel = || judge.carried.name.to_string();
    let external = judge.external(policy);
    let mut because = judge.obstacles(policy);
    for (soname, needed) in external.iter().filter(|(soname, _)| !is_pythons(soname)) {
        let found = needed.found.as_ref().and_then(|path| judge.around.files.get(path));
        let Some(found) = found else {
            let file = needed.needed_by.first().cloned().unwrap_or_default();
            return Err(AuditError::NotFound { soname: soname.clone(), file, wheel: wheel() });
        };
        let file = found.path.display().to_string();
        for (library, versions) in &found.asked.versions {
            // What is copied, too, defines what it was asked for.
            let lacking =
                versions.iter().filter(|version| !external.contains_key(library) && !policy.defines(version));
            because.extend(lacking.map(|version| Obstacle::Version {
                version: version.clone(),
                library: library.clone(),
                file: file.clone(),
            }));
        }
    }
    match because.is_empty() {
        true => Ok(external),
        false => Err(AuditError::Impossible { wheel: wheel(), tag: policy.to_string(), because }),
    }
}

/// Tells whether a library is the interpreter's own, which extension modules must not need.
fn is_pythons(soname: &str) -> bool {
    soname.starts_with("libpython")
}

/// What is copied, and under which names.
struct Grafting {
    /// The new name, by the name under which it is needed.
    names: BTreeMap<String, String>,
    /// The files, by their new name.
    files: BTreeMap<String, Original>,
}

struct Original {
    path: PathBuf,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Grafting {
    fn of(judge: &Judge<'_>, external: &BTreeMap<String, External>) -> Result<Self, AuditError> {
        let (mut names, mut files) = (BTreeMap::new(), BTreeMap::new());
        for (soname, needed) in external {
            let Some(found) = needed.found.as_ref().and_then(|path| judge.around.files.get(path)) else {
                continue;
            };
            let failed = |source| AuditError::Io { what: "read", path: found.path.clone(), source };
            let bytes = fs::read(&found.path).map_err(failed)?;
            let digest = Digest::of(&bytes);
            let own = found.path.file_name().unwrap_or_default().to_string_lossy();
            let name = unique(&own, &digest);
            names.insert(soname.clone(), name.clone());
            files.insert(name, Original { path: found.path.clone(), digest, bytes });
        }
        Ok(Self { names, files })
    }

    /// Returns what becomes of a file's needs: new names, and none for the interpreter's own library.
    fn needed(&self, needed: &[String], is_met: impl Fn(&str) -> bool) -> BTreeMap<String, Option<String>> {
        let asked = needed.iter().filter(|name| !is_met(name));
        let changed = asked.filter_map(|name| match self.names.get(name) {
            Some(new) => Some((name.clone(), Some(new.clone()))),
            None => is_pythons(name).then(|| (name.clone(), None)),
        });
        changed.collect()
    }
}

/// Puts the beginning of a hash into a library's name: `libxml2-1a2b3c4d.so.2.9.14`.
fn unique(name: &str, digest: &Digest) -> String {
    let (stem, rest) = name.split_at(name.find(".so").unwrap_or(name.len()));
    format!("{stem}-{}{rest}", &digest.hex()[..8])
}

fn write(
    judge: &Judge<'_>,
    policy: &Policy,
    grafting: &Grafting,
    order: &Order,
) -> Result<Repaired, AuditError> {
    let carried = judge.carried;
    let platforms: BTreeSet<String> = policy.alias().into_iter().chain([policy.to_string()]).collect();
    let name = carried.name.on(&platforms);
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| AuditError::Io { what, path, source }
    };
    fs::create_dir_all(&order.directory).map_err(io("make", &order.directory))?;
    let path = order.directory.join(name.as_str());
    let whole = |path: &Path| fs::canonicalize(path).ok();
    if whole(&path).is_some_and(|there| Some(there) == whole(&carried.path)) {
        return Err(AuditError::Overwrites { path });
    }
    // Nobody sees a wheel that is half written, or that isn't what was asked for.
    let hidden = order.directory.join(format!(".minke-{}", std::process::id()));
    fs::create_dir_all(&hidden).map_err(io("make", &hidden))?;
    let made = make(judge, &name, grafting, (order, &hidden.join(name.as_str())));
    let made = made.and_then(|(grafts, after)| {
        let at = hidden.join(name.as_str());
        proved(&at, policy)?;
        fs::rename(&at, &path).map_err(io("write", &path))?;
        let before = fs::metadata(&carried.path).map_err(io("read", &carried.path))?.len();
        Ok(Repaired { wheel: path.clone(), tag: policy.to_string(), grafts, before, after })
    });
    // What is left of it is nobody's, and that it cannot be removed is no reason to fail.
    let _ = fs::remove_dir_all(&hidden);
    made
}

/// Judges the new wheel as any other.
fn proved(wheel: &Path, policy: &Policy) -> Result<(), AuditError> {
    let audit = audit(wheel, &[])?;
    match audit.refused.into_iter().find(|refusal| refusal.tag == policy.to_string()) {
        None => Ok(()),
        Some(refusal) => {
            Err(AuditError::Impossible { wheel: audit.wheel, tag: refusal.tag, because: refusal.because })
        }
    }
}

fn make(
    judge: &Judge<'_>,
    name: &WheelFileName,
    grafting: &Grafting,
    (order, path): (&Order, &Path),
) -> Result<(Vec<Graft>, u64), AuditError> {
    let carried = judge.carried;
    let wheel = || carried.name.to_string();
    let stem = carried.name.as_str().split('-').next().unwrap_or_default();
    let directory = format!("{stem}.libs");
    let owners = bill::owners(grafting.files.values().map(|original| original.path.as_path()));
    let mut grafts = Vec::new();
    let mut added = BTreeMap::new();
    for (new, Original { path, digest, bytes }) in &grafting.files {
        let needed = grafting.needed(&judge.around_facts(path).needed, |_| false);
        let search = if needed.is_empty() { Search::Default } else { Search::Runpath("$ORIGIN".to_owned()) };
        let wish = Edit { soname: Some(new.clone()), needed, search, ..Edit::default() };
        let file = format!("{directory}/{new}");
        let edited = edit(bytes, &wish).map_err(|source| AuditError::Edit {
            file: path.display().to_string(),
            wheel: wheel(),
            source,
        })?;
        added.insert(file.clone(), stripped(edited, order.strip));
        grafts.push(Graft { from: path.clone(), file, digest: *digest, package: owners.get(path).cloned() });
    }
    if !grafts.is_empty() {
        added.insert("DIST-INFO/sboms/minke.cdx.json".to_owned(), bill::write(&carried.name, &grafts));
    }
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| AuditError::Io { what, path, source }
    };
    let from = fs::File::open(&carried.path).map_err(io("read", &carried.path))?;
    let to = fs::File::create(path).map_err(io("write", path))?;
    let whole = Rewrite { name: &carried.name, new_name: name, added: &added };
    let changed = |member: &str, bytes: Vec<u8>| changed(judge, grafting, &directory, (member, bytes));
    let written = rewrite(io::BufReader::new(from), io::BufWriter::new(to), &whole, |member, bytes| {
        let is_own = placed(&carried.name, member).is_some_and(|place| carried.has(&place));
        Ok(if is_own { stripped(changed(member, bytes)?, order.strip) } else { bytes })
    });
    let written = written.map_err(|error| match error {
        Failed::Audit(error) => *error,
        Failed::Rewrite(RewriteError::Wheel(source)) => {
            AuditError::Wheel { path: carried.path.clone(), source }
        }
        Failed::Rewrite(error) => io("write", path)(io::Error::other(error)),
    })?;
    written.into_inner().map_err(|error| io("write", path)(error.into_error()))?;
    Ok((grafts, fs::metadata(path).map_err(io("read", path))?.len()))
}

/// What stops a wheel from being written anew.
enum Failed {
    Audit(Box<AuditError>),
    Rewrite(RewriteError),
}

impl From<RewriteError> for Failed {
    fn from(error: RewriteError) -> Self {
        Self::Rewrite(error)
    }
}

fn stripped(bytes: Vec<u8>, strip: Strip) -> Vec<u8> {
    compact(&bytes, strip).unwrap_or(bytes)
}

/// Lets one of the wheel's own files need what was copied.
fn changed(
    judge: &Judge<'_>,
    grafting: &Grafting,
    directory: &str,
    (member, bytes): (&str, Vec<u8>),
) -> Result<Vec<u8>, Failed> {
    let carried = judge.carried;
    let place = placed(&carried.name, member).expect("it is one of the wheel's files");
    let CarriedFile { facts, .. } = &carried.files[&place];
    let needed = grafting.needed(&facts.needed, |name| judge.is_carried(&place, name));
    if needed.is_empty() {
        return Ok(bytes);
    }
    let search = match needed.values().any(Option::is_some) {
        true => Search::Runpath(search_path(judge, &place, directory)),
        false => Search::Keep,
    };
    let wish = Edit { needed, search, ..Edit::default() };
    edit(&bytes, &wish).map_err(|source| {
        let (file, wheel) = (member.to_owned(), carried.name.to_string());
        Failed::Audit(Box::new(AuditError::Edit { file, wheel, source }))
    })
}

/// Returns where a file finds what was copied, besides where it found the wheel's own libraries.
fn search_path(judge: &Judge<'_>, place: &ImagePath, directory: &str) -> String {
    let facts = &judge.carried.files[place].facts;
    let before = facts.runpath.as_ref().or(facts.rpath.as_ref());
    let below = place.components().count().saturating_sub(2);
    let own = format!("$ORIGIN/{}{directory}", "../".repeat(below));
    let root = place.components().next().map(|root| format!("/{root}")).unwrap_or_default();
    let stays = |entry: &&str| {
        // One entry at a time, as the loader takes it.
        let alone = minke_elf::Facts { runpath: Some((*entry).to_owned()), ..facts.clone() };
        let leads = judge.around.resolver.search_path(&alone, place);
        leads.iter().any(|path| path.as_str().starts_with(&root))
    };
    let kept =
        before.into_iter().flat_map(|path| path.split(':')).filter(stays).filter(|entry| *entry != own);
    let all: Vec<&str> = kept.chain([own.as_str()]).collect();
    all.join(":")
}
