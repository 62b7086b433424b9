//! The one pass over a wheel's members: unpacked, hashed, stored and checked against `RECORD`.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};

use minke_cas::{File, Mode, PackWriter, Store, StoreError};

use super::archive::{Archive, Member};
use super::layout::{Fate, Layout, Role};
use super::{Placed, WheelFault, WheelWarning};
use crate::{Record, RecordEntry};

/// Stores every member that has a place, in the order of the zip directory.
///
/// The pack depends on the wheel alone: a script whose first line is changed for one environment goes into
/// a blob of its own.
pub(super) fn place<R: Read + Seek>(
    archive: &mut Archive<R>,
    layout: &Layout<'_>,
    record: &Record,
    store: &Store,
    pack: &mut PackWriter,
) -> Result<Placed, WheelFault> {
    let mut files = BTreeMap::new();
    let (mut dropped, mut dropped_bytes) = (0, 0);
    for member in archive.members().to_vec() {
        let (path, role) = match layout.fate(&member.name)? {
            Fate::Place(path, role) => (path, role),
            Fate::Installers => continue,
            Fate::Bytecode => {
                (dropped, dropped_bytes) = (dropped + 1, dropped_bytes + member.size);
                continue;
            }
        };
        let stored = add(archive, &member, record, pack)?;
        let mut file = stored.file;
        if role == Role::Script {
            if stored.is_python_script {
                file = with_interpreter(archive, &member, layout, store)?;
            }
            file.mode = Mode::EXECUTABLE;
        }
        if files.insert(path.clone(), file).is_some() {
            return Err(WheelFault::Collision { path });
        }
    }

    let absent = |path: &&String| !archive.has(path);
    let mut warnings: Vec<_> = record
        .entries
        .keys()
        .filter(absent)
        .map(|path| WheelWarning::NotThere { path: path.clone() })
        .collect();
    if dropped > 0 {
        warnings.push(WheelWarning::Bytecode { files: dropped, bytes: dropped_bytes });
    }
    Ok(Placed { files, warnings })
}

struct Stored {
    file: File,
    is_python_script: bool,
}

fn add<R: Read + Seek>(
    archive: &mut Archive<R>,
    member: &Member,
    record: &Record,
    pack: &mut PackWriter,
) -> Result<Stored, WheelFault> {
    let unlisted = || WheelFault::Unlisted { member: member.name.clone() };
    let RecordEntry { hash, size } = record.entries.get(&member.name).ok_or_else(unlisted)?;
    let hash = hash.as_ref().ok_or_else(unlisted)?;

    let mut reader = archive.read(member, Some(hash))?;
    let (outcome, content) = match pack.add(&mut reader) {
        Ok((content, _)) => (Ok(()), Some(content)),
        Err(StoreError::Input(error)) => (Err(error), None),
        Err(error) => return Err(error.into()),
    };
    let seen = reader.finish(outcome)?;
    let content = content.expect("reading went well");
    if let Some(expected) = size.filter(|size| *size != member.size) {
        return Err(WheelFault::Size { member: member.name.clone(), expected, actual: member.size });
    }
    if !hash.matches(&content, seen.extra) {
        return Err(WheelFault::Hash { member: member.name.clone(), actual: content });
    }
    let mode = if member.executable { Mode::EXECUTABLE } else { Mode::REGULAR };
    let file = File { pack: Some(pack.id()), ..File::new(content, member.size, mode) };
    Ok(Stored { file, is_python_script: seen.is_python_script })
}

/// Stores a script again, with the environment's interpreter in place of `python` or `pythonw`.
fn with_interpreter<R: Read + Seek>(
    archive: &mut Archive<R>,
    member: &Member,
    layout: &Layout<'_>,
    store: &Store,
) -> Result<File, WheelFault> {
    let mut reader = archive.read(member, None)?;
    let mut blob = store.blob_writer()?;
    let mut start = [0; b"#!pythonw".len()];
    let copied = read_start(&mut reader, &mut start).and_then(|count| {
        let rest = start[..count].strip_prefix(b"#!python").expect("it was seen before");
        write!(blob, "#!{}", layout.venv().program())?;
        // There is no windowless interpreter here.
        blob.write_all(rest.strip_prefix(b"w").unwrap_or(rest))?;
        io::copy(&mut reader, &mut blob).map(|_| ())
    });
    reader.finish(copied)?;
    let (content, size) = blob.finish()?;
    Ok(File::new(content, size, Mode::EXECUTABLE))
}

fn read_start(reader: &mut impl Read, start: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < start.len() {
        match reader.read(&mut start[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}
