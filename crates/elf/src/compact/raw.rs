//! The three kinds of ELF headers as plain numbers, read from and written to bytes of either class and byte order.
//!
//! Nothing is judged here but whether the tables lie within the file. The reader of [`Facts`](crate::Facts) shares
//! nothing with this one, so that what was written here is checked by other eyes.
//!
//! Spec: <https://gabi.xinuos.com/elf/02-eheader.html>

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::Kept;

/// How the numbers of one file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    wide: bool,
    big: bool,
}

/// What the first header says, as far as we change or need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) programs_at: u64,
    pub(crate) programs: u16,
    pub(crate) sections_at: u64,
    pub(crate) sections: u16,
    pub(crate) names: u16,
}

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) physical: u64,
    pub(crate) file_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) alignment: u64,
}

/// One section header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) alignment: u64,
    pub(crate) entry_size: u64,
}

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_INTERP: u32 = 3;
pub(crate) const SHT_STRTAB: u32 = 3;
pub(crate) const SHT_NOBITS: u32 = 8;
pub(crate) const SHF_ALLOC: u64 = 2;

impl Program {
    pub(crate) fn is_load(&self) -> bool {
        self.kind == PT_LOAD
    }

    /// Returns the part of the file that the segment is made of.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.file_bytes)
    }

    /// Returns what offset and address of a loaded segment must agree in: what the file says, but at least a page.
    pub(crate) fn modulus(&self) -> u64 {
        self.alignment.max(PAGE)
    }
}

impl Section {
    pub(crate) fn is_allocated(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }

    /// Returns the part of the file that the section is made of; none if it has none there.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        let in_file = !matches!(self.kind, 0 | SHT_NOBITS) && self.size > 0;
        in_file.then(|| self.offset..self.offset.saturating_add(self.size))
    }
}

/// The smallest page that any kernel maps.
pub(crate) const PAGE: u64 = 4096;

/// All headers of one file.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) format: Format,
    /// The bytes of the first header.
    pub(crate) start: Vec<u8>,
    pub(crate) header: Header,
    pub(crate) programs: Vec<Program>,
    pub(crate) sections: Vec<Section>,
    /// The names of the sections, as one table.
    pub(crate) names: Vec<u8>,
    pub(crate) length: u64,
}

/// No table of section names is longer.
const LONGEST_NAMES: u64 = 1 << 24;

impl Image {
    /// Reads all headers; the inner result is a reason to leave the file alone.
    pub(crate) fn read(file: &mut (impl Read + Seek)) -> io::Result<Result<Self, Kept>> {
        let length = file.seek(SeekFrom::End(0))?;
        let malformed = |part| Ok(Err(Kept::Malformed { part }));
        let Some(ident) = read_at(file, length, 0..16)? else { return Ok(Err(Kept::NotElf)) };
        if !crate::is_elf(&ident) {
            return Ok(Err(Kept::NotElf));
        }
        let format = match (ident[4], ident[5]) {
            (class @ (1 | 2), order @ (1 | 2)) => Format { wide: class == 2, big: order == 2 },
            _ => return malformed("header"),
        };
        let Some(start) = read_at(file, length, 0..format.header_size())? else { return malformed("header") };
        let Some(header) = format.header(&start) else { return malformed("header") };
        let table = file_range(header.programs_at, header.programs.into(), format.program_size());
        let Some(programs) = read_at(file, length, table)? else { return malformed("program headers") };
        let table = file_range(header.sections_at, header.sections.into(), format.section_size());
        let Some(sections) = read_at(file, length, table)? else { return malformed("section headers") };
        let sections: Vec<Section> = sections
            .chunks_exact(format.section_size() as usize)
            .map(|bytes| format.section(bytes))
            .collect();
        let names = sections.get(usize::from(header.names)).and_then(Section::range);
        let names = match names.filter(|names| names.end - names.start <= LONGEST_NAMES) {
            Some(range) => read_at(file, length, range)?,
            None => Some(Vec::new()).filter(|_| sections.is_empty()),
        };
        let Some(names) = names else { return malformed("section names") };
        let programs = programs
            .chunks_exact(format.program_size() as usize)
            .map(|bytes| format.program(bytes))
            .collect();
        Ok(Ok(Self { format, start, header, programs, sections, names, length }))
    }

    /// Returns where the program headers lie.
    pub(crate) fn programs_range(&self) -> Range<u64> {
        file_range(self.header.programs_at, self.header.programs.into(), self.format.program_size())
    }

    /// Returns where the section headers lie.
    pub(crate) fn sections_range(&self) -> Range<u64> {
        file_range(self.header.sections_at, self.header.sections.into(), self.format.section_size())
    }

    /// Returns a section's name; one that cannot be read is empty.
    pub(crate) fn name(&self, section: &Section) -> &[u8] {
        let rest = self.names.get(section.name as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    pub(crate) fn loads(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(|program| program.is_load())
    }
}

fn file_range(start: u64, count: u64, size: u64) -> Range<u64> {
    // A table without entries lies nowhere, whatever its offset says.
    if count == 0 { 0..0 } else { start..start.saturating_add(count * size) }
}

/// Reads a part of a file; none if the file ends before it does.
pub(crate) fn read_at(
    file: &mut (impl Read + Seek),
    length: u64,
    range: Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    if range.end > length {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

impl Format {
    pub(crate) fn header_size(self) -> u64 {
        if self.wide { 64 } else { 52 }
    }

    pub(crate) fn program_size(self) -> u64 {
        if self.wide { 56 } else { 32 }
    }

    pub(crate) fn section_size(self) -> u64 {
        if self.wide { 64 } else { 40 }
    }

    /// Returns how the tables of such a file are aligned.
    pub(crate) fn word_size(self) -> u64 {
        if self.wide { 8 } else { 4 }
    }

    /// Reads a number that takes all of these bytes, of which there are up to eight.
    pub(crate) fn number(self, bytes: &[u8]) -> u64 {
        Words { format: self, bytes, at: 0 }.take(bytes.len())
    }

    /// Reads the first header; none if its tables have entries of another size, or too many to be counted there.
    fn header(self, bytes: &[u8]) -> Option<Header> {
        let mut words = Words { format: self, bytes, at: 16 };
        let (kind, machine, _version) = (words.half(), words.half(), words.word());
        let (_entry, programs_at, sections_at) = (words.address(), words.address(), words.address());
        let (_flags, _size) = (words.word(), words.half());
        let (program_size, programs) = (words.half(), words.half());
        let (section_size, sections, names) = (words.half(), words.half(), words.half());
        let fits = (programs == 0 || u64::from(program_size) == self.program_size())
            && (sections == 0 || u64::from(section_size) == self.section_size());
        // 0xffff program headers, 0xff00 sections, or none at an offset: the true count is elsewhere.
        let counted =
            programs != 0xffff && sections < 0xff00 && names < 0xff00 && (sections > 0 || sections_at == 0);
        (fits && counted).then_some(Header {
            kind,
            machine,
            programs_at,
            programs,
            sections_at,
            sections,
            names,
        })
    }

    /// Writes what may change over the bytes of a first header.
    pub(crate) fn write_header(self, header: &Header, bytes: &mut [u8]) {
        let tables = if self.wide { 32 } else { 28 };
        let word = self.word_size() as usize;
        self.put(header.programs_at, &mut bytes[tables..tables + word]);
        self.put(header.sections_at, &mut bytes[tables + word..tables + 2 * word]);
        let counts = self.header_size() as usize - 8;
        self.put(header.programs.into(), &mut bytes[counts..counts + 2]);
        let counts = self.header_size() as usize - 4;
        self.put(header.sections.into(), &mut bytes[counts..counts + 2]);
        self.put(header.names.into(), &mut bytes[counts + 2..counts + 4]);
    }

    fn program(self, bytes: &[u8]) -> Program {
        let mut words = Words { format: self, bytes, at: 0 };
        let kind = words.word();
        let early = if self.wide { words.word() } else { 0 };
        let (offset, address, physical) = (words.address(), words.address(), words.address());
        let (file_bytes, memory_bytes) = (words.address(), words.address());
        let flags = if self.wide { early } else { words.word() };
        let alignment = words.address();
        Program { kind, flags, offset, address, physical, file_bytes, memory_bytes, alignment }
    }

    /// Writes a program header as [`Format::program`] reads it.
    pub(crate) fn write_program(self, program: &Program, bytes: &mut Vec<u8>) {
        let flags = u64::from(program.flags);
        self.push(4, program.kind.into(), bytes);
        if self.wide {
            self.push(4, flags, bytes);
        }
        for word in
            [program.offset, program.address, program.physical, program.file_bytes, program.memory_bytes]
        {
            self.push(self.word_size(), word, bytes);
        }
        if !self.wide {
            self.push(4, flags, bytes);
        }
        self.push(self.word_size(), program.alignment, bytes);
    }

    fn section(self, bytes: &[u8]) -> Section {
        let mut words = Words { format: self, bytes, at: 0 };
        Section {
            name: words.word(),
            kind: words.word(),
            flags: words.address(),
            address: words.address(),
            offset: words.address(),
            size: words.address(),
            link: words.word(),
            info: words.word(),
            alignment: words.address(),
            entry_size: words.address(),
        }
    }

    /// Writes a section header as [`Format::section`] reads it.
    pub(crate) fn write_section(self, section: &Section, bytes: &mut Vec<u8>) {
        let word = self.word_size();
        self.push(4, section.name.into(), bytes);
        self.push(4, section.kind.into(), bytes);
        for value in [section.flags, section.address, section.offset, section.size] {
            self.push(word, value, bytes);
        }
        self.push(4, section.link.into(), bytes);
        self.push(4, section.info.into(), bytes);
        self.push(word, section.alignment, bytes);
        self.push(word, section.entry_size, bytes);
    }

    /// Adds a number of so many bytes.
    pub(crate) fn push(self, size: u64, value: u64, bytes: &mut Vec<u8>) {
        let at = bytes.len();
        bytes.resize(at + size as usize, 0);
        self.put(value, &mut bytes[at..]);
    }

    /// Writes a number into as many bytes as there are; what doesn't fit is found by who reads it again.
    pub(crate) fn put(self, value: u64, bytes: &mut [u8]) {
        let size = bytes.len();
        if self.big {
            bytes.copy_from_slice(&value.to_be_bytes()[8 - size..]);
        } else {
            bytes.copy_from_slice(&value.to_le_bytes()[..size]);
        }
    }
}

/// Numbers of a header, one after the other.
struct Words<'a> {
    format: Format,
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn half(&mut self) -> u16 {
        self.take(2) as u16
    }

    fn word(&mut self) -> u32 {
        self.take(4) as u32
    }

    fn address(&mut self) -> u64 {
        self.take(self.format.word_size() as usize)
    }

    fn take(&mut self, size: usize) -> u64 {
        let bytes = &self.bytes[self.at..self.at + size];
        self.at += size;
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.format.big { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
    }
}
