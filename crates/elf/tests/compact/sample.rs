//! Writes ELF files of any class and byte order whose parts lie where a test wants them.

use std::ops::Range;

use minke_elf::{Class, Endian, Facts};

pub(crate) const LOAD: u32 = 1;
pub(crate) const NOTE: u32 = 4;
pub(crate) const BITS: u32 = 1;
pub(crate) const SYMBOLS: u32 = 2;
pub(crate) const STRINGS: u32 = 3;
pub(crate) const NOBITS: u32 = 8;
pub(crate) const ALLOC: u64 = 2;
pub(crate) const THREADS: u64 = 0x400;

pub(crate) struct Sample {
    pub(crate) wide: bool,
    pub(crate) big: bool,
    pub(crate) machine: u16,
    pub(crate) kind: u16,
    /// Where the program headers lie; zero is after the first header.
    pub(crate) programs_at: u64,
    pub(crate) programs: Vec<Program>,
    pub(crate) sections: Vec<Section>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Program {
    pub(crate) kind: u32,
    pub(crate) address: u64,
    pub(crate) range: Range<u64>,
    pub(crate) memory_bytes: u64,
}

pub(crate) struct Section {
    name: &'static str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    range: Range<u64>,
    link: u32,
}

/// A library that was patched: two segments, then what is not loaded, then a segment that somebody added.
pub(crate) fn library() -> Sample {
    let mut sample = Sample {
        wide: true,
        big: false,
        machine: 62,
        kind: 3,
        programs_at: 0,
        programs: Vec::new(),
        sections: Vec::new(),
        bytes: Vec::new(),
    };
    let text = sample.part(0x400, &[0xaa; 0x200]);
    let data = sample.part(0x2600, &[0xbb; 0x300]);
    let debug = sample.part(0x3000, &[0xdd; 0x1000]);
    let symbols = sample.part(0x4000, &[0; 24]);
    let strings = sample.part(0x4100, b"\0a_name\0");
    let added = sample.part(0x5000, &[0xcc; 0x80]);
    sample.segment(LOAD, 0, 0..text.end, text.end);
    sample.segment(LOAD, 0x3600, data.clone(), 0x900);
    sample.segment(LOAD, 0x5000, added.clone(), 0x80);
    sample.section(".text", BITS, ALLOC, text);
    sample.section(".data", BITS, ALLOC, data.clone());
    sample.section(".bss", NOBITS, ALLOC, data.end..data.end + 0x600);
    sample.section(".debug_info", BITS, 0, debug);
    sample.section(".symtab", SYMBOLS, 0, symbols);
    sample.section(".strtab", STRINGS, 0, strings);
    sample.section(".added", BITS, ALLOC, added);
    sample.sections[4].link = 6;
    sample
}

impl Sample {
    /// Puts bytes somewhere and returns where they lie.
    pub(crate) fn part(&mut self, at: u64, bytes: &[u8]) -> Range<u64> {
        let range = at..at + bytes.len() as u64;
        self.bytes.resize(self.bytes.len().max(range.end as usize), 0);
        self.bytes[at as usize..range.end as usize].copy_from_slice(bytes);
        range
    }

    pub(crate) fn segment(&mut self, kind: u32, address: u64, range: Range<u64>, memory_bytes: u64) {
        self.programs.push(Program { kind, address, range, memory_bytes });
    }

    /// Adds a section; a loaded one lies at the address that its segment says.
    pub(crate) fn section(&mut self, name: &'static str, kind: u32, flags: u64, range: Range<u64>) {
        self.sections.push(Section { name, kind, flags, range, link: 0 });
    }

    fn number(&self, size: usize, value: u64, bytes: &mut Vec<u8>) {
        match self.big {
            true => bytes.extend(&value.to_be_bytes()[8 - size..]),
            false => bytes.extend(&value.to_le_bytes()[..size]),
        }
    }

    /// Writes numbers of the given sizes; 0 is the size of an address.
    fn numbers(&self, numbers: &[(usize, u64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (size, value) in numbers {
            let size = if *size > 0 {
                *size
            } else if self.wide {
                8
            } else {
                4
            };
            self.number(size, *value, &mut bytes);
        }
        bytes
    }

    fn address(&self, section: &Section) -> u64 {
        let load = self.programs.iter().find(|program| {
            let within = program.range.start..=program.range.end;
            program.kind == LOAD && within.contains(&section.range.start)
        });
        let address = load.map(|load| load.address + section.range.start - load.range.start);
        address.filter(|_| section.flags & ALLOC != 0).unwrap_or(0)
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let (start, program, header) = if self.wide { (64, 56, 64) } else { (52, 32, 40) };
        let programs_at = if self.programs_at > 0 { self.programs_at } else { start };
        let mut bytes = self.bytes.clone();
        let (mut sections_at, mut count) = (0, 0);
        if !self.sections.is_empty() {
            count = self.sections.len() as u64 + 2;
            sections_at = self.append_sections(header as usize, &mut bytes);
        }
        let mut put = |at: u64, new: &[u8]| bytes[at as usize..][..new.len()].copy_from_slice(new);
        put(0, &[0x7f, b'E', b'L', b'F', 1 + u8::from(self.wide), 1 + u8::from(self.big), 1]);
        let tables = [(0, 0x400), (0, programs_at), (0, sections_at), (4, 0)];
        let sizes = [(2, start), (2, program), (2, self.programs.len() as u64)];
        let names = [(2, header), (2, count), (2, count.saturating_sub(1))];
        put(16, &self.numbers(&[(2, self.kind.into()), (2, self.machine.into()), (4, 1)]));
        put(24, &self.numbers(&[&tables[..], &sizes, &names].concat()));
        for (index, segment) in self.programs.iter().enumerate() {
            put(programs_at + index as u64 * program, &self.program(segment));
        }
        bytes
    }

    fn program(&self, segment: &Program) -> Vec<u8> {
        let (offset, size) = (segment.range.start, segment.range.end - segment.range.start);
        let address = segment.address;
        let places = [(0, offset), (0, address), (0, address), (0, size), (0, segment.memory_bytes)];
        let (kind, flags) = ([(4, segment.kind.into())], [(4, 6)]);
        let align = [(0, if segment.kind == LOAD { 0x1000 } else { 4 })];
        let fields = match self.wide {
            true => [&kind[..], &flags, &places, &align],
            false => [&kind[..], &places, &flags, &align],
        };
        self.numbers(&fields.concat())
    }

    /// Adds the names and headers of the sections, and returns where the headers lie.
    fn append_sections(&self, header: usize, bytes: &mut Vec<u8>) -> u64 {
        let mut names = b"\0.shstrtab\0".to_vec();
        let mut headers = vec![0; header];
        for section in &self.sections {
            let size = section.range.end - section.range.start;
            let align = if section.flags & ALLOC != 0 { 16 } else { 1 };
            let what = [(4, names.len() as u64), (4, section.kind.into()), (0, section.flags)];
            let place = [(0, self.address(section)), (0, section.range.start), (0, size)];
            let rest = [(4, section.link.into()), (4, 0), (0, align), (0, 0)];
            headers.extend(self.numbers(&[&what[..], &place, &rest].concat()));
            names.extend(section.name.bytes().chain([0]));
        }
        let (at, size) = (bytes.len() as u64, names.len() as u64);
        let what = [(4, 1), (4, STRINGS.into()), (0, 0), (0, 0), (0, at), (0, size)];
        headers.extend(self.numbers(&[&what[..], &[(4, 0), (4, 0), (0, 1), (0, 0)]].concat()));
        bytes.extend(names);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let at = bytes.len() as u64;
        bytes.extend(headers);
        at
    }
}

/// Says where everything lies, a line each.
pub(crate) fn describe(bytes: &[u8]) -> String {
    let facts = Facts::read(bytes).unwrap();
    assert_eq!((facts.class, facts.endian), (Class::Bits64, Endian::Little));
    let word = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let mut lines = vec![format!("{:#x} bytes", bytes.len())];
    lines.extend(facts.segments.iter().map(|segment| {
        let (start, end) = (segment.offset, segment.offset + segment.file_bytes);
        format!("{:?} {start:#x}..{end:#x} at {:#x}", segment.kind, segment.address)
    }));
    let (table, count, names) = (word(40, 8), word(60, 2), word(62, 2));
    for index in 1..count {
        let header = table + 64 * index;
        let (start, size) = (word(header + 24, 8), word(header + 32, 8));
        let name = word(table + 64 * names + 24, 8) + word(header, 4);
        let name = bytes[name..].split(|byte| *byte == 0).next().unwrap();
        let name = String::from_utf8_lossy(name);
        let address = word(header + 16, 8);
        lines.push(format!("section {index} {name} {start:#x}..{:#x} at {address:#x}", start + size));
    }
    lines.join("\n")
}
