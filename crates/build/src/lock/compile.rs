//! Asks uv to resolve, and tells it the needs of what says them only when it is built.
//!
//! uv runs no build backend here: where it would, it fails and says for what ([`Builds::Blocked`]). What that is
//! is built as everything is that has no wheel, and uv is asked again with a wheel in reach that has the built one's
//! metadata and nothing else. That wheel is in no lock: uv lists it beside the source distribution, and it is
//! taken out.

use std::path::Path;

use minke_cas::Store;
use minke_exec::{Builds, CompileRequest, Extras, Groups, Inputs, Uv, UvError};
use minke_python::{
    Distribution, FromSources, Lock, PackageName, Selection, Target, Version, metadata_wheel,
};

use super::LockStepError;
use crate::pylock::Pylock;
use crate::workshop::BackendError;

/// Builds something and returns what its metadata says; none where it cannot be built and all else is wanted still.
pub type MetadataOf<'build> = dyn Fn(&Distribution) -> Result<Option<String>, BackendError> + 'build;

/// What uv has resolved.
pub(super) struct Compiled {
    pub(super) pylock: Pylock,
    /// What couldn't be built to say its needs: by what is here, it has none.
    pub(super) untold: Vec<String>,
}

/// More than any project has that say their needs only when they are built.
const MOST: usize = 100;

/// Resolves; `file` is what the requirements stand in.
pub(super) fn compile(
    (uv, store): (&Uv, &Store),
    mut request: CompileRequest,
    (target, file): (&Target, &str),
    metadata_of: Option<&MetadataOf<'_>>,
) -> Result<Compiled, LockStepError> {
    let failed = |source| LockStepError::Resolve { file: file.to_owned(), target: *target, source };
    let scratch = store.scratch().map_err(LockStepError::Remember)?;
    let known = scratch.path().join("known");
    std::fs::create_dir(&known).map_err(LockStepError::Scratch)?;
    request.builds = Builds::Blocked;
    request.find_links.push(known.clone());
    let (mut told, mut untold) = (Vec::new(), Vec::new());
    loop {
        let error = match uv.compile(&request) {
            Ok(answer) => {
                let mut pylock = Pylock::read(&answer.pylock).map_err(LockStepError::Pylock)?;
                pylock.forget_wheels_below(&known);
                return Ok(Compiled { pylock, untold });
            }
            Err(error) => error,
        };
        let unbuilt = error.unbuilt().map(str::to_owned);
        let (Some(unbuilt), true) = (unbuilt, told.len() < MOST) else { return Err(failed(error)) };
        let Some((name, version)) = parse(&unbuilt).filter(|_| !told.contains(&unbuilt)) else {
            return Err(failed(error));
        };
        let metadata_of = metadata_of.ok_or(LockStepError::Unbuilt { what: unbuilt.clone() })?;
        let about = distribution(uv, &request, (&name, &version), (target, scratch.path()))?;
        let metadata = metadata_of(&about)
            .map_err(|source| LockStepError::Metadata { what: unbuilt.clone(), source: Box::new(source) })?;
        if metadata.is_none() {
            untold.push(unbuilt.clone());
        }
        let metadata = metadata.unwrap_or_else(|| needing_nothing(&name, &version));
        write(&known, &name, &version, &metadata)?;
        told.push(unbuilt);
    }
}

/// Reads `NAME==VERSION`.
fn parse(text: &str) -> Option<(PackageName, Version)> {
    let (name, version) = text.split_once("==")?;
    Some((name.trim().parse().ok()?, version.trim().parse().ok()?))
}

/// Returns where the sources of a version lie: uv says it once it believes to know what they need.
fn distribution(
    uv: &Uv,
    request: &CompileRequest,
    (name, version): (&PackageName, &Version),
    (target, scratch): (&Target, &Path),
) -> Result<Distribution, LockStepError> {
    let line = format!("{name}=={version}");
    let failed = |source: UvError| LockStepError::Resolve { file: line.clone(), target: *target, source };
    let supposed = scratch.join("supposed");
    std::fs::create_dir_all(&supposed).map_err(LockStepError::Scratch)?;
    write(&supposed, name, version, &needing_nothing(name, version))?;
    let request = CompileRequest {
        inputs: Inputs::Lines(vec![line.clone()]),
        extras: Extras::None,
        groups: Groups::None,
        preferences: None,
        upgrade: Vec::new(),
        find_links: request.find_links.iter().cloned().chain([supposed.clone()]).collect(),
        ..request.clone()
    };
    let answer = uv.compile(&request).map_err(failed)?;
    let mut pylock = Pylock::read(&answer.pylock).map_err(LockStepError::Pylock)?;
    pylock.forget_wheels_below(scratch);
    let lock = Lock::parse(&pylock.text());
    let lock = lock.map_err(|source| LockStepError::Lock { file: line.clone(), source })?;
    let selection = Selection { from_sources: FromSources::All, ..Selection::default() };
    let found = lock.select(target, &selection).map_err(LockStepError::Select)?;
    let found = found.into_iter().find(|distribution| distribution.name == *name);
    found.ok_or(LockStepError::Unbuilt { what: line })
}

fn needing_nothing(name: &PackageName, version: &Version) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
}

fn write(
    directory: &Path,
    name: &PackageName,
    version: &Version,
    metadata: &str,
) -> Result<(), LockStepError> {
    let (file, bytes) = metadata_wheel(name, version, metadata);
    std::fs::write(directory.join(file), bytes).map_err(LockStepError::Scratch)
}
