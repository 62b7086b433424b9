//! A wheel written anew, with other files, another platform, and a `RECORD` that fits.
//!
//! The same wheel and changes give the same bytes: the members keep their order, `.dist-info` comes last, and times are
//! those of no clock. `RECORD`'s signatures go, which would no longer fit it.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

use minke_cas::{Digest, Mode};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::WheelFault;
use super::archive::{Archive, Member};
use super::layout;
use crate::{Record, RecordEntry, WheelFileName};

/// A wheel that is written anew.
pub struct Rewrite<'a> {
    /// What the wheel is called.
    pub name: &'a WheelFileName,
    /// What it shall be called, as far as its tags go.
    pub new_name: &'a WheelFileName,
    /// Files that come in besides, each with its path. `DIST-INFO/` at the beginning of one stands for the wheel's own
    /// `.dist-info` directory.
    pub added: &'a BTreeMap<String, Vec<u8>>,
}

/// A wheel cannot be written anew.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The wheel itself is at fault.
    #[error("the wheel cannot be taken apart")]
    Wheel(#[source] WheelFault),
    /// The new one cannot be written.
    #[error("the new wheel cannot be written")]
    Write(#[source] io::Error),
    /// A file that comes in is there already.
    #[error("the wheel has a file `{path}` already")]
    There {
        /// Which one.
        path: String,
    },
}

/// What stands for the wheel's `.dist-info` directory in the path of an added file.
const DIST_INFO: &str = "DIST-INFO/";

/// Writes a wheel anew; `change` gets each file that isn't about the wheel itself, and says what it shall be.
///
/// Every file is checked against `RECORD` before it is changed.
///
/// # Errors
/// [`RewriteError`] as `change`'s own errors have it.
pub fn rewrite<R: Read + Seek, W: Write + Seek, E: From<RewriteError>>(
    reader: R,
    writer: W,
    wheel: &Rewrite<'_>,
    mut change: impl FnMut(&str, Vec<u8>) -> Result<Vec<u8>, E>,
) -> Result<W, E> {
    let mut archive = Archive::open(reader).map_err(RewriteError::Wheel)?;
    let dist_info = layout::dist_info(archive.members(), wheel.name).map_err(RewriteError::Wheel)?;
    let within = |file: &str| format!("{dist_info}/{file}");
    let text = |archive: &mut Archive<R>, path: String| {
        let text = archive.read_text(&path).map_err(RewriteError::Wheel)?;
        text.ok_or(RewriteError::Wheel(WheelFault::Missing { path }))
    };
    let record = text(&mut archive, within("RECORD"))?;
    let record = Record::parse(&record).map_err(|error| RewriteError::Wheel(WheelFault::Record(error)))?;
    let about = text(&mut archive, within("WHEEL"))?;
    let mut new = Writer { zip: ZipWriter::new(writer), record: Record::default() };
    let (last, first): (Vec<Member>, Vec<Member>) =
        archive.members().iter().cloned().partition(|member| member.name.starts_with(&within("")));
    for member in first {
        let bytes = checked(&mut archive, &member, &record)?;
        let bytes = change(&member.name, bytes)?;
        let mode = if member.executable { Mode::EXECUTABLE } else { Mode::REGULAR };
        new.add(&member.name, &bytes, mode)?;
    }
    for (path, bytes) in wheel.added.iter().filter(|(path, _)| !path.starts_with(DIST_INFO)) {
        new.add(path, bytes, Mode::EXECUTABLE)?;
    }
    const UNSIGNED: [&str; 3] = ["RECORD", "RECORD.jws", "RECORD.p7s"];
    let gone: BTreeSet<String> = UNSIGNED.map(&within).into();
    for member in last.into_iter().filter(|member| !gone.contains(&member.name)) {
        let bytes = checked(&mut archive, &member, &record)?;
        let bytes = if member.name == within("WHEEL") { tagged(&about, wheel).into_bytes() } else { bytes };
        new.add(&member.name, &bytes, Mode::REGULAR)?;
    }
    for (path, bytes) in wheel.added {
        if let Some(below) = path.strip_prefix(DIST_INFO) {
            new.add(&within(below), bytes, Mode::REGULAR)?;
        }
    }
    Ok(new.finish(within("RECORD"))?)
}

impl From<WheelFault> for RewriteError {
    fn from(fault: WheelFault) -> Self {
        Self::Wheel(fault)
    }
}

struct Writer<W: Write + Seek> {
    zip: ZipWriter<W>,
    record: Record,
}

impl<W: Write + Seek> Writer<W> {
    fn add(&mut self, path: &str, bytes: &[u8], mode: Mode) -> Result<(), RewriteError> {
        let entry = RecordEntry::of(Digest::of(bytes), bytes.len() as u64);
        if self.record.entries.insert(path.to_owned(), entry).is_some() {
            return Err(RewriteError::There { path: path.to_owned() });
        }
        self.write(path, bytes, mode)
    }

    fn write(&mut self, path: &str, bytes: &[u8], mode: Mode) -> Result<(), RewriteError> {
        let failed = |error: zip::result::ZipError| RewriteError::Write(error.into());
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .large_file(bytes.len() as u64 > u64::from(u32::MAX) / 2)
            .unix_permissions(if mode.is_executable() { 0o755 } else { 0o644 })
            .last_modified_time(DateTime::default());
        self.zip.start_file(path, options).map_err(failed)?;
        self.zip.write_all(bytes).map_err(RewriteError::Write)
    }

    fn finish(mut self, record_path: String) -> Result<W, RewriteError> {
        self.record.entries.insert(record_path.clone(), RecordEntry::default());
        let text = self.record.to_text();
        self.write(&record_path, text.as_bytes(), Mode::REGULAR)?;
        self.zip.finish().map_err(|error| RewriteError::Write(error.into()))
    }
}

/// Reads a member, and compares it with what `RECORD` says.
fn checked<R: Read + Seek>(
    archive: &mut Archive<R>,
    member: &Member,
    record: &Record,
) -> Result<Vec<u8>, RewriteError> {
    let entry = record.entries.get(&member.name);
    let hash = entry.and_then(|entry| entry.hash.as_ref());
    let mut bytes = Vec::new();
    let mut reader = archive.read(member, hash)?;
    let read = reader.read_to_end(&mut bytes).map(|_| ());
    let seen = reader.finish(read)?;
    let is_signature = member.name.ends_with("/RECORD.jws") || member.name.ends_with("/RECORD.p7s");
    let Some(hash) = hash else {
        let fault = WheelFault::Unlisted { member: member.name.clone() };
        return if is_signature { Ok(bytes) } else { Err(fault.into()) };
    };
    let actual = Digest::of(&bytes);
    if !hash.matches(&actual, seen.extra) {
        return Err(WheelFault::Hash { member: member.name.clone(), actual }.into());
    }
    Ok(bytes)
}

/// Writes `WHEEL` anew: it isn't pure, and has the tags of its new name.
fn tagged(about: &str, wheel: &Rewrite<'_>) -> String {
    let is_kept = |line: &&str| {
        let field = line.split(':').next().unwrap_or_default().trim();
        !["Tag", "Root-Is-Purelib"].iter().any(|gone| field.eq_ignore_ascii_case(gone))
    };
    let lines = about.lines().take_while(|line| !line.is_empty()).filter(is_kept).map(str::to_owned);
    let tags = wheel.new_name.tags().map(|tag| format!("Tag: {tag}"));
    let purelib = std::iter::once("Root-Is-Purelib: false".to_owned());
    lines.chain(purelib).chain(tags).map(|line| line + "\n").collect()
}
