//! Looks at a compacted file with fresh eyes: does the loader make of it what it made of the original?
//!
//! Nothing here knows how the file was made. Headers are read again, each segment's bytes are compared with the
//! original's, and [`Facts`], which has a reader of its own, must say the same of both.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::layout::{companies, page};
use super::raw::{Image, PAGE, PT_INTERP, Program};
use crate::{Facts, Symbols};

/// Compares two files; the inner result names the first thing that is wrong.
///
/// `before` are the headers of `old`.
pub(super) fn same<Old: Read + Seek, New: Read + Seek>(
    before: &Image,
    old: &mut Old,
    new: &mut New,
) -> io::Result<Result<(), &'static str>> {
    let Ok(after) = Image::read(new)? else { return Ok(Err("headers")) };
    if after.length >= before.length {
        return Ok(Err("length"));
    }
    if !same_headers(before, &after) {
        return Ok(Err("headers"));
    }
    if !loads_well(before, &after) {
        return Ok(Err("segments"));
    }
    let changed = [0..after.format.header_size(), after.programs_range()];
    for (one, other) in before.programs.iter().zip(&after.programs) {
        if !same_bytes(old, new, Pair { old: one.offset, new: other.range(), changed: &changed })? {
            return Ok(Err("bytes of a segment"));
        }
    }
    let pairs = before.sections.iter().zip(&after.sections).filter(|(_, other)| other.kind != 0);
    for (one, other) in pairs.filter(|(one, _)| one.is_allocated()) {
        let range = other.range().unwrap_or_default();
        if !same_bytes(old, new, Pair { old: one.offset, new: range, changed: &changed })? {
            return Ok(Err("bytes of a section"));
        }
    }
    Ok(if same_facts(old, new) { Ok(()) } else { Err("facts") })
}

/// Tells whether the headers differ in nothing but offsets and the number of sections.
fn same_headers(before: &Image, after: &Image) -> bool {
    let mut start = after.start.clone();
    if start.len() != before.start.len() {
        return false;
    }
    before.format.write_header(&before.header, &mut start);
    let programs = after.programs.iter().zip(&before.programs).all(|(after, before)| {
        let offset = before.offset;
        Program { offset, ..*after } == *before
    });
    // What is left of the sections stands where it stood, but for the new table of names.
    let count = after.sections.len().saturating_sub(1);
    let sections = after.sections.iter().zip(&before.sections).take(count).all(|(after_one, before_one)| {
        let same = (after_one.kind, after_one.flags, after_one.address, after_one.size)
            == (before_one.kind, before_one.flags, before_one.address, before_one.size);
        let dropped = after_one.kind == 0 && !before_one.is_allocated();
        dropped || (same && after.name(after_one) == before.name(before_one))
    });
    let lost = before.sections.get(count..).unwrap_or_default().iter().any(|section| {
        // A section without a kind has no meaning, whatever else it says.
        section.kind != 0 && section.is_allocated()
    });
    start == before.start && after.programs.len() == before.programs.len() && programs && sections && !lost
}

/// Tells whether the loader maps the same, page by page.
fn loads_well(before: &Image, after: &Image) -> bool {
    let moved = |one: &Program, other: &Program| one.offset.wrapping_sub(other.offset);
    let pairs = || before.loads().zip(after.loads());
    let fits = pairs().all(|(before, after)| {
        let congruent = |load: &Program| load.offset % load.modulus() == load.address % load.modulus();
        congruent(before) && congruent(after)
    });
    let within = after.loads().all(|load| {
        let page = load.modulus().min(1 << 16);
        let starts_inside = load.address % page == 0 || load.offset - load.offset % page < after.length;
        load.range().end <= after.length && (load.file_bytes > 0 || starts_inside)
    });
    // Where segments meet in a page, the later shows what the file has beside it.
    let together = companies(after).iter().all(|company| {
        let shifts = company.iter().map(|load| {
            let same = |(_, other): &(&Program, &Program)| *other == load;
            pairs().find(same).map(|(one, other)| moved(one, other))
        });
        let shifts: Vec<_> = shifts.collect();
        shifts.windows(2).all(|pair| pair[0] == pair[1])
    });
    fits && within && together && finds_headers(before, after)
}

/// Tells whether a file's own headers are found in memory as before.
///
/// musl looks for the segment that has them, glibc for the first whose pages show them; for a program, kernels before
/// Linux 5.18 take the first segment's distance for all.
fn finds_headers(before: &Image, after: &Image) -> bool {
    let holds = |image: &Image| {
        let range = image.programs_range();
        image
            .loads()
            .find(|load| load.offset <= range.start && range.end <= load.range().end)
            .map(|load| load.address.wrapping_add(range.start - load.offset))
    };
    let guessed = |image: &Image| {
        image
            .loads()
            .next()
            .map(|load| load.address.wrapping_sub(load.offset).wrapping_add(image.header.programs_at))
    };
    let shown = |image: &Image, size: u64| {
        let range = image.programs_range();
        let shows = |load: &&Program| {
            let start = load.offset - load.offset % size;
            let end = load.address.saturating_add(load.file_bytes).checked_next_multiple_of(size);
            let mapped = end.unwrap_or(u64::MAX) - (load.address - load.address % size);
            start <= range.start && range.end <= start.saturating_add(mapped)
        };
        let load = image.loads().find(shows);
        load.map(|load| load.address.wrapping_sub(load.offset).wrapping_add(range.start))
    };
    let mut pages = [PAGE, 4 * PAGE, 16 * PAGE].into_iter().filter(|size| *size <= page(before));
    if pages.any(|size| shown(before, size) != shown(after, size)) {
        return false;
    }
    let program = before.programs.iter().any(|program| program.kind == PT_INTERP) || before.header.kind == 2;
    holds(before) == holds(after) && (!program || guessed(before) == guessed(after))
}

/// Tells whether the other reader sees no difference.
fn same_facts<Old: Read + Seek, New: Read + Seek>(old: &mut Old, new: &mut New) -> bool {
    let read = |facts: Result<Facts, _>| {
        facts.ok().map(|mut facts| {
            facts.segments.iter_mut().for_each(|segment| segment.offset = 0);
            Facts { debug_bytes: 0, symbol_table_bytes: 0, ..facts }
        })
    };
    let before = read(Facts::read_from(&mut *old));
    let facts = before.is_some() && before == read(Facts::read_from(&mut *new));
    let symbols = Symbols::read_from(old);
    facts && symbols.is_ok() && symbols == Symbols::read_from(new)
}

/// A part of the old file, and the part of the new one that must be the same.
struct Pair<'a> {
    old: u64,
    new: Range<u64>,
    /// Parts of the new file that are compared elsewhere.
    changed: &'a [Range<u64>],
}

fn same_bytes<Old: Read + Seek, New: Read + Seek>(
    old: &mut Old,
    new: &mut New,
    pair: Pair<'_>,
) -> io::Result<bool> {
    const STEP: u64 = 1 << 16;
    let Pair { old: start, new: range, changed } = pair;
    old.seek(SeekFrom::Start(start))?;
    new.seek(SeekFrom::Start(range.start))?;
    let (mut before, mut after) = (vec![0; STEP as usize], vec![0; STEP as usize]);
    let mut at = range.start;
    while at < range.end {
        let size = (range.end - at).min(STEP);
        let (before, after) = (&mut before[..size as usize], &mut after[..size as usize]);
        old.read_exact(before)?;
        new.read_exact(after)?;
        for part in changed {
            let from = part.start.clamp(at, at + size) - at;
            let to = part.end.clamp(at, at + size) - at;
            after[from as usize..to as usize].copy_from_slice(&before[from as usize..to as usize]);
        }
        if before != after {
            return Ok(false);
        }
        at += size;
    }
    Ok(true)
}
