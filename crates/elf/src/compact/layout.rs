//! Where the parts of a file that stay go: each as far to the front as its alignment allows, in their old order.
//!
//! Parts that overlap move as one, and so do segments that meet in one page of memory: there each shows the other's
//! bytes, so that what lies between them counts too. As nothing changes its place in the order and every old place
//! is one that fits, nothing ever moves to the back.

use std::ops::Range;

use super::raw::{Image, PAGE, Program, Section};

/// A part of the file that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    old: Range<u64>,
    /// What old and new place must agree in, modulo.
    alignment: u64,
    /// Where it starts in the new file.
    new: u64,
}

/// All parts that stay, in order.
#[derive(Debug)]
pub(super) struct Layout {
    blocks: Vec<Block>,
}

impl Layout {
    /// Moves everything that `stays` among the sections says, and everything that the loader reads.
    pub(super) fn of(image: &Image, stays: &[bool]) -> Self {
        let mut blocks = vec![
            Block { old: 0..image.format.header_size(), alignment: 1, new: 0 },
            Block { old: image.programs_range(), alignment: image.format.word_size(), new: 0 },
        ];
        blocks.extend(image.programs.iter().filter(|program| program.file_bytes > 0).map(|program| Block {
            old: program.range(),
            alignment: if program.is_load() { program.modulus() } else { modest(program.alignment) },
            new: 0,
        }));
        blocks.extend(meetings(image));
        let kept = image.sections.iter().zip(stays).filter(|(_, stays)| **stays);
        blocks.extend(kept.filter_map(|(section, _)| {
            let old = section.range()?;
            Some(Block { old, alignment: modest(section.alignment), new: 0 })
        }));
        let mut layout = Self { blocks: united(blocks) };
        let (mut end, table) = (0_u64, image.header.programs_at);
        for block in &mut layout.blocks {
            // glibc takes the program headers from the first segment whose last page shows them, be it only as
            // neighbours that are then overwritten with zeros: they must begin after all earlier segments' pages.
            if block.old.contains(&table) && end > 0 {
                end = end.next_multiple_of(page(image));
            }
            block.new = next_congruent(end, block.old.start, block.alignment);
            end = block.new + (block.old.end - block.old.start);
        }
        layout
    }

    /// Returns where the last part ends in the new file.
    pub(super) fn end(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.new + (block.old.end - block.old.start))
    }

    /// Returns each part: where it goes, and what it is of the old file.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u64, Range<u64>)> {
        self.blocks.iter().map(|block| (block.new, block.old.clone()))
    }

    /// Returns where an old offset goes, if it lies in a part that stays or at its end.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        let after = self.blocks.partition_point(|block| block.old.start <= offset);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        (offset <= block.old.end).then(|| block.new + (offset - block.old.start))
    }

    /// Returns the new offset of a segment.
    pub(super) fn place_program(&self, program: &Program, loads: &[Program]) -> u64 {
        if program.file_bytes > 0 {
            return self.place(program.offset).expect("every segment with bytes is a part");
        }
        if program.is_load() {
            return self.place_empty(program);
        }
        let (address, offset) = (program.address, program.offset);
        self.place_beside(address, offset, loads).or_else(|| self.place(offset)).unwrap_or(0)
    }

    /// Returns the new offset of a section; what has no bytes in the file keeps its distance to its segment's start.
    pub(super) fn place_section(&self, section: &Section, loads: &[Program]) -> u64 {
        let beside = || self.place_beside(section.address, section.offset, loads);
        let placed = match section.range() {
            Some(_) => self.place(section.offset),
            None => beside().or_else(|| self.place(section.offset)),
        };
        placed.unwrap_or_else(|| self.end())
    }

    /// Returns the new offset of what lies at an address, if its old offset is where the address says.
    fn place_beside(&self, address: u64, offset: u64, loads: &[Program]) -> Option<u64> {
        loads.iter().filter(|load| load.file_bytes > 0).find_map(|load| {
            let within = address.checked_sub(load.address).filter(|within| *within <= load.memory_bytes)?;
            (load.offset.checked_add(within) == Some(offset)).then_some(())?;
            Some(self.place(load.offset)? + within)
        })
    }

    /// Returns an offset for a loaded segment that is all zeros: the loader wants it to fit the address, and maps the
    /// page that holds it where the segment doesn't start with a page, so that this page must be in the file.
    fn place_empty(&self, program: &Program) -> u64 {
        if let Some(place) = self.place(program.offset)
            && place % program.modulus() == program.address % program.modulus()
        {
            return place;
        }
        let (end, modulus) = (self.end(), program.modulus());
        let over = (end % modulus + modulus - program.address % modulus) % modulus;
        end.checked_sub(over).unwrap_or(program.address % modulus)
    }
}

/// Returns an alignment that is worth keeping where no loader asks for it.
fn modest(alignment: u64) -> u64 {
    if alignment.is_power_of_two() { alignment.min(PAGE) } else { 1 }
}

/// Returns the first number from `from` on that agrees with `with`, modulo.
fn next_congruent(from: u64, with: u64, modulus: u64) -> u64 {
    from + (with % modulus + modulus - from % modulus) % modulus
}

/// Makes one of all blocks that overlap, and sorts them.
fn united(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.sort_by_key(|block| (block.old.start, block.old.end));
    let mut united: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match united.last_mut().filter(|last| block.old.start < last.old.end) {
            Some(last) => {
                last.old.end = last.old.end.max(block.old.end);
                last.alignment = last.alignment.max(block.alignment);
            }
            None => united.push(block),
        }
    }
    united
}

/// Returns the blocks from the first to the last of the loaded segments that meet in a page.
fn meetings(image: &Image) -> impl Iterator<Item = Block> {
    companies(image).into_iter().filter(|company| company.len() > 1).map(|company| Block {
        old: company.iter().map(|load| load.offset).min().unwrap_or(0)
            ..company.iter().map(|load| load.range().end).max().unwrap_or(0),
        alignment: company.iter().map(|load| load.modulus()).max().unwrap_or(1),
        new: 0,
    })
}

/// Tells whether no segment hides another's bytes: those that meet in a page lie beside one another, in the file too.
pub(super) fn side_by_side(image: &Image) -> bool {
    companies(image).iter().all(|company| {
        company.windows(2).all(|pair| {
            let distance = |load: &Program| load.address.wrapping_sub(load.offset);
            let apart = pair[0].address.checked_add(pair[0].memory_bytes);
            distance(&pair[0]) == distance(&pair[1]) && apart.is_some_and(|end| end <= pair[1].address)
        })
    })
}

/// Groups the loaded segments so that those which have a page of memory in common are together.
pub(super) fn companies(image: &Image) -> Vec<Vec<Program>> {
    let page = page(image);
    let mut loads: Vec<Program> = image.loads().filter(|load| load.memory_bytes > 0).copied().collect();
    loads.sort_by_key(|load| (load.address, load.memory_bytes));
    let mut companies: Vec<Vec<Program>> = Vec::new();
    // The last page of any segment so far.
    let mut last = None;
    for load in loads {
        let ends = load.address.saturating_add(load.memory_bytes - 1) / page;
        match companies.last_mut().filter(|_| last.is_some_and(|last| load.address / page <= last)) {
            Some(company) => company.push(load),
            None => companies.push(vec![load]),
        }
        last = last.max(Some(ends));
    }
    companies
}

/// Returns the largest page that a kernel which can load the file may have.
pub(super) fn page(image: &Image) -> u64 {
    const X86: u16 = 3;
    const AMD64: u16 = 62;
    // Elsewhere pages may be larger, but no loader takes a segment that isn't aligned to a page.
    match image.header.machine {
        X86 | AMD64 => PAGE,
        _ => image.loads().map(Program::modulus).min().unwrap_or(PAGE),
    }
}
