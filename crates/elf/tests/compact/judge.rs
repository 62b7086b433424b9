//! Maps two ELF files as a loader would, page by page, and compares what is seen at every address.
//!
//! It shares no line with the compactor, and knows its segments from [`Facts`], whose reader is another's.

use std::collections::BTreeMap;
use std::ops::Range;

use minke_elf::{Class, Endian, Facts, Segment, SegmentKind};

const PAGE: u64 = 4096;

/// Tells how a loader would see a difference.
pub(crate) fn judge(before: &[u8], after: &[u8]) -> Result<(), String> {
    let (old, new) = (facts(before)?, facts(after)?);
    let without_offsets = |facts: &Facts| {
        let segments = facts.segments.iter().map(|segment| Segment { offset: 0, ..*segment });
        let segments = segments.collect();
        Facts { segments, debug_bytes: 0, symbol_table_bytes: 0, ..facts.clone() }
    };
    if without_offsets(&old) != without_offsets(&new) {
        return Err("the facts differ".to_owned());
    }
    for segment in new.segments.iter().filter(|segment| segment.kind == SegmentKind::Load) {
        let modulus = segment.alignment.max(PAGE);
        if segment.offset % modulus != segment.address % modulus {
            return Err(format!("the segment at {:#x} is misaligned", segment.address));
        }
    }
    let (one, other) = (Memory::map(before, &old), Memory::map(after, &new));
    for segment in loads(&old).filter(|segment| segment.file_bytes > 0) {
        let end = segment.address.saturating_add(segment.file_bytes);
        let mut page = segment.address - segment.address % PAGE;
        while page < end {
            for address in page.max(segment.address)..(page + PAGE).min(end) {
                if one.at(address) != other.at(address) {
                    return Err(format!("the byte at {address:#x} differs"));
                }
            }
            page += PAGE;
        }
    }
    Ok(())
}

fn facts(bytes: &[u8]) -> Result<Facts, String> {
    Facts::read(bytes).map_err(|error| error.to_string())
}

fn loads(facts: &Facts) -> impl Iterator<Item = &Segment> {
    facts.segments.iter().filter(|segment| segment.kind == SegmentKind::Load && segment.memory_bytes > 0)
}

/// What every page shows: the file from an offset on, and no further than the segment's bytes if zeros follow them.
struct Memory<'a> {
    file: &'a [u8],
    pages: BTreeMap<u64, (i128, Range<u64>)>,
    /// Parts of the file that say where things lie, and may change.
    headers: [Range<u64>; 2],
}

impl<'a> Memory<'a> {
    fn map(file: &'a [u8], facts: &Facts) -> Self {
        let mut pages = BTreeMap::new();
        for load in loads(facts) {
            let shift = i128::from(load.offset) - i128::from(load.address);
            let end = load.address.saturating_add(load.file_bytes);
            // Zeros are written up to the end of the last page with bytes, or as far as the segment goes.
            let zeros = end..load.address.saturating_add(load.memory_bytes).max(end);
            for page in load.address / PAGE..end.div_ceil(PAGE) {
                pages.insert(page, (shift, zeros.clone()));
            }
        }
        let number = |at: usize, size: usize| {
            let bytes = file[at..at + size].iter();
            let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            match facts.endian {
                Endian::Little => bytes.rev().fold(0, digit),
                Endian::Big => bytes.fold(0, digit),
            }
        };
        let (start, table, entry) = match facts.class {
            Class::Bits64 => (64, number(32, 8), 56),
            Class::Bits32 => (52, number(28, 4), 32),
        };
        let count = facts.segments.len() as u64;
        Self { file, pages, headers: [0..start, table..table + count * entry] }
    }

    /// Returns the byte at an address; none where a header is.
    fn at(&self, address: u64) -> Option<u8> {
        let (shift, zeros) = &self.pages[&(address / PAGE)];
        if zeros.contains(&address) {
            return Some(0);
        }
        let offset = u64::try_from(i128::from(address) + shift).ok()?;
        if self.headers.iter().any(|header| header.contains(&offset)) {
            return None;
        }
        Some(self.file.get(offset as usize).copied().unwrap_or(0))
    }
}
