//! The ELF files that a wheel carries, each where it would lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use minke_cas::ImagePath;
use minke_elf::{Facts, Family, Policy, Symbols, is_elf, processor};
use minke_python::{WheelFileName, each_file};

use super::AuditError;

/// A wheel's ELF files.
pub(super) struct Carried {
    /// Where the wheel is.
    pub(super) path: PathBuf,
    pub(super) name: WheelFileName,
    /// Those of the wheel's processor and C library, by where they would lie.
    pub(super) files: BTreeMap<ImagePath, CarriedFile>,
    /// The processor, as tags call it; none without native code.
    pub(super) processor: Option<&'static str>,
    pub(super) family: Family,
    /// What isn't looked at, and why.
    pub(super) ignored: BTreeMap<String, String>,
}

/// One ELF file of a wheel.
pub(super) struct CarriedFile {
    /// Its name in the archive.
    pub(super) member: String,
    pub(super) facts: Facts,
    pub(super) asked: Asked,
}

/// What of a file's symbols matters to a policy.
pub(super) struct Asked {
    /// Versions, by the library that is asked for them; also those that may be missing, as some loaders complain.
    pub(super) versions: BTreeMap<String, BTreeSet<String>>,
    /// Symbols that it needs and that some policy refuses.
    pub(super) refused: BTreeSet<String>,
    /// Whether it uses Python's control of floating point.
    pub(super) floating_point: bool,
}

/// Where a wheel's files would lie: a place that no machine has.
const ROOT: &str = "/.wheel";

impl Asked {
    pub(super) fn of(facts: &Facts, symbols: &Symbols, notable: &BTreeSet<String>) -> Self {
        const FLOATING_POINT: [&str; 3] = ["PyFPE_jbuf", "PyFPE_dummy", "PyFPE_counter"];
        let mut versions = facts.version_needs.clone();
        for (version, library) in symbols.undefined.iter().filter_map(|symbol| symbol.version.as_ref()) {
            versions.entry(library.clone()).or_default().insert(version.clone());
        }
        let strong = || symbols.undefined.iter().filter(|symbol| !symbol.weak).map(|symbol| &symbol.name);
        let floating_point =
            symbols.undefined.iter().any(|symbol| FLOATING_POINT.contains(&symbol.name.as_str()));
        Self {
            versions,
            refused: strong().filter(|name| notable.contains(*name)).cloned().collect(),
            floating_point,
        }
    }
}

impl Carried {
    /// Reads all ELF files of a wheel; one that cannot be read isn't looked at.
    pub(super) fn read(path: &Path) -> Result<Self, AuditError> {
        let text = path.file_name().unwrap_or_default().to_string_lossy();
        let name: WheelFileName =
            text.parse().map_err(|source| AuditError::Name { path: path.to_owned(), source })?;
        let (said_processor, said_family) = said(&name);
        let mut found = Vec::new();
        let mut ignored = BTreeMap::new();
        // Symbols are many, so that only the notable ones are kept; which these are may depend on the processor.
        let notable = notable();
        let file = fs::File::open(path);
        let file = file.map_err(|source| AuditError::Io { what: "read", path: path.to_owned(), source })?;
        let read = each_file(std::io::BufReader::new(file), |member, reader| {
            let mut bytes = vec![0; 4];
            if member.ends_with(".py") || reader.read_exact(&mut bytes).is_err() || !is_elf(&bytes) {
                return Ok(());
            }
            reader.read_to_end(&mut bytes)?;
            match Facts::read(&bytes).and_then(|facts| Ok((facts, Symbols::read(&bytes)?))) {
                Ok((facts, symbols)) => {
                    let asked = Asked::of(&facts, &symbols, &notable);
                    found.push(CarriedFile { member: member.to_owned(), facts, asked });
                }
                Err(error) => {
                    ignored.insert(member.to_owned(), error.to_string());
                }
            }
            Ok(())
        });
        read.map_err(|source| AuditError::Wheel { path: path.to_owned(), source })?;
        let processor = said_processor.or_else(|| found.iter().find_map(|file| processor(&file.facts)));
        if processor.is_none() && !found.is_empty() {
            return Err(AuditError::Processor { path: path.to_owned() });
        }
        let family = said_family.or_else(|| found.iter().find_map(|file| Family::of(&file.facts)));
        let family = family.unwrap_or(Family::Manylinux);
        let mut carried =
            Self { path: path.to_owned(), name, files: BTreeMap::new(), processor, family, ignored };
        for file in found {
            carried.keep(file);
        }
        Ok(carried)
    }

    fn keep(&mut self, file: CarriedFile) {
        let (own, family) = (processor(&file.facts), Family::of(&file.facts));
        let place = placed(&self.name, &file.member);
        if own != self.processor {
            let whose = own.unwrap_or("an unknown processor");
            self.ignored.insert(file.member, format!("it is for {whose}"));
        } else if family.is_some_and(|family| family != self.family) {
            self.ignored.insert(file.member, "it is for another C library".to_owned());
        } else if let Some(place) = place {
            self.files.insert(place, file);
        }
    }

    /// Tells whether a path is one of the wheel's.
    pub(super) fn has(&self, path: &ImagePath) -> bool {
        self.files.contains_key(path)
    }

    /// Returns the names by which others may need its libraries.
    pub(super) fn libraries(&self) -> BTreeSet<String> {
        let names = |(path, file): (&ImagePath, &CarriedFile)| {
            let is_library = file.facts.python_modules.is_empty() && file.facts.interpreter.is_none();
            let own = path.name().map(str::to_owned);
            file.facts.soname.clone().or(own).filter(|name| is_library && name.contains(".so"))
        };
        self.files.iter().filter_map(names).collect()
    }
}

/// Returns where a member would lie; none for a name that no image could have.
pub(super) fn placed(name: &WheelFileName, member: &str) -> Option<ImagePath> {
    let data = member.split_once('/').filter(|(top, _)| {
        top.ends_with(".data") && name.as_str().starts_with(top.trim_end_matches(".data"))
    });
    let below = data.and_then(|(_, rest)| rest.strip_prefix("platlib/").or(rest.strip_prefix("purelib/")));
    let root: ImagePath = ROOT.parse().expect("it is a path");
    root.join_str(below.unwrap_or(member)).ok()
}

/// Returns what a wheel's platform tags say: its processor and its C library.
fn said(name: &WheelFileName) -> (Option<&'static str>, Option<Family>) {
    let platforms: BTreeSet<String> = name.tags().map(|tag| tag.platform).collect();
    let suffix = |platform: &String| {
        minke_elf::PROCESSORS
            .into_iter()
            .find(|processor| platform.strip_suffix(processor).is_some_and(|rest| rest.ends_with('_')))
    };
    let processor = platforms.iter().find_map(suffix);
    let family = [Family::Manylinux, Family::Musllinux]
        .into_iter()
        .find(|family| platforms.iter().any(|platform| platform.starts_with(family.name())));
    (processor, family)
}

/// Returns the symbols that any policy refuses.
fn notable() -> BTreeSet<String> {
    [Family::Manylinux, Family::Musllinux]
        .into_iter()
        .flat_map(|family| minke_elf::PROCESSORS.map(|processor| Policy::refused_by_any(family, processor)))
        .flatten()
        .collect()
}
