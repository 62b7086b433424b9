//! Writes an edited file: numbers over numbers where they are, and a new segment behind all others.

use super::Edit;
use super::dynamic::Entries;
use crate::compact::raw::{Image, PAGE, PT_LOAD, Program};

const PT_PHDR: u32 = 6;
const READABLE: u32 = 4;
const WRITABLE: u32 = 2;

/// Returns the edited file; none if its tables make no sense.
pub(super) fn written(image: &Image, bytes: &[u8], mut entries: Entries, edit: &Edit) -> Option<Vec<u8>> {
    let format = image.format;
    let mut new = bytes.to_vec();
    for (at, name) in entries.version_names(image, bytes, edit)? {
        format.put(name.into(), &mut new[at..at + 4]);
    }
    entries.apply(edit);
    let segment = image.programs[entries.program];
    let fits = entries.bytes(format).len() as u64 <= segment.file_bytes;
    if entries.names.len() == entries.old_names && fits {
        put_entries(image, &entries, &mut new);
        return Some(new);
    }

    // Where the new segment begins, in the file and in memory.
    // glibc must not see the program headers in a page of another segment before.
    let alignment = image.loads().map(Program::modulus).min()?;
    let start = (bytes.len() as u64).checked_next_multiple_of(alignment)?;
    let largest = image.loads().map(Program::modulus).max()?;
    let end = image.loads().map(|load| load.address.saturating_add(load.memory_bytes)).max()?;
    let address = end.checked_next_multiple_of(largest)?;
    let count = image.header.programs.checked_add(1).filter(|count| *count < 0xffff)?;
    let table = u64::from(count) * format.program_size();
    let names_at = table.next_multiple_of(16);
    let entries_at = (names_at + entries.names.len() as u64).next_multiple_of(16);

    entries.move_names(address + names_at);
    let list = entries.bytes(format);
    let size = if fits { names_at + entries.names.len() as u64 } else { entries_at + list.len() as u64 };
    let flags = if fits { READABLE } else { READABLE | WRITABLE };
    let mut programs = image.programs.clone();
    if !fits {
        let (offset, address, size) = (start + entries_at, address + entries_at, list.len() as u64);
        let moved = &mut programs[entries.program];
        (moved.offset, moved.address, moved.physical) = (offset, address, address);
        (moved.file_bytes, moved.memory_bytes) = (size, size);
    }
    place_own_headers(&mut programs, (start, address), table);
    // Loaders want segments in the order of their addresses.
    programs.insert(
        image.programs.iter().rposition(Program::is_load)? + 1,
        Program {
            kind: PT_LOAD,
            flags,
            offset: start,
            address,
            physical: address,
            file_bytes: size,
            memory_bytes: size,
            alignment: alignment.max(PAGE),
        },
    );

    if fits {
        put_entries(image, &entries, &mut new);
    }
    put_sections(
        image,
        &mut new,
        &Moved {
            entries: &entries,
            names: (start + names_at, address + names_at),
            list: (!fits).then_some((start + entries_at, address + entries_at)),
        },
    );
    new.resize(start as usize, 0);
    programs.iter().for_each(|program| format.write_program(program, &mut new));
    new.resize((start + names_at) as usize, 0);
    new.extend(&entries.names);
    if !fits {
        new.resize((start + entries_at) as usize, 0);
        new.extend(&list);
    }
    let mut header = image.header;
    (header.programs_at, header.programs) = (start, count);
    format.write_header(&header, &mut new[..format.header_size() as usize]);
    Some(new)
}

/// Tells the program headers where they themselves lie.
fn place_own_headers(programs: &mut [Program], (start, address): (u64, u64), size: u64) {
    for own in programs.iter_mut().filter(|program| program.kind == PT_PHDR) {
        (own.offset, own.address, own.physical) = (start, address, address);
        (own.file_bytes, own.memory_bytes) = (size, size);
    }
}

/// Writes the entries over the old ones, and zeros over what is left of these.
fn put_entries(image: &Image, entries: &Entries, new: &mut [u8]) {
    let range = image.programs[entries.program].range();
    let place = &mut new[range.start as usize..range.end as usize];
    let list = entries.bytes(image.format);
    place.fill(0);
    place[..list.len()].copy_from_slice(&list);
}

/// What lies elsewhere now: offsets and addresses.
struct Moved<'a> {
    entries: &'a Entries,
    names: (u64, u64),
    list: Option<(u64, u64)>,
}

/// Tells the sections of what moved; the loader doesn't ask them, but other tools do.
fn put_sections(image: &Image, new: &mut [u8], moved: &Moved<'_>) {
    let format = image.format;
    let old_list = image.programs[moved.entries.program].address;
    for (index, section) in image.sections.iter().enumerate().filter(|(_, section)| section.is_allocated()) {
        let mut section = *section;
        if section.address == moved.entries.names_at && section.kind == 3 {
            (section.offset, section.address) = moved.names;
            section.size = moved.entries.names.len() as u64;
        } else if let Some(list) = moved.list.filter(|_| section.address == old_list && section.kind == 6) {
            (section.offset, section.address) = list;
            section.size = moved.entries.bytes(format).len() as u64;
        } else {
            continue;
        }
        let mut bytes = Vec::new();
        format.write_section(&section, &mut bytes);
        let at = (image.header.sections_at + index as u64 * format.section_size()) as usize;
        new[at..at + bytes.len()].copy_from_slice(&bytes);
    }
}
