//! Reads [`Facts`] from bytes that may be anything.
//!
//! What the loader reads (program headers and the dynamic segment) decides, and is refused where it is
//! broken; sections are only asked for what the loader doesn't need, and skipped where they make no
//! sense, since stripping and patching tools damage them. Memory stays within a few times what the tables take.
//!
//! Spec: <https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>

use std::io::{Read, Seek};

use object::elf::{self, FileHeader32, FileHeader64};
use object::endian::{Endian as _, Endianness};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};

use crate::dynamic::{Dynamic, Table};
use crate::facts::{AbiTag, Class, Endian, Facts, Kind, Machine, Segment, SegmentKind, Stack, X86Level};
use crate::symbols::Symbols;

/// Bytes are no ELF file that could be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// They don't start as an ELF file does.
    #[error("this is not an ELF file")]
    NotElf,
    /// A part is cut off, points outside of the file, or says what it cannot mean.
    #[error("the {part} of the ELF file cannot be read")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// A part repeats itself beyond all reason, as only a file made to do harm does.
    #[error("the {part} of the ELF file says more than the file can hold")]
    Excessive {
        /// Which part.
        part: &'static str,
    },
}

/// Tells whether bytes start as an ELF file does; four of them are enough.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&elf::ELFMAG)
}

impl Facts {
    /// Reads what an ELF file says, of either class and byte order.
    ///
    /// # Errors
    /// [`ElfError::NotElf`] for anything else; [`ElfError::Malformed`] and [`ElfError::Excessive`] if what
    /// the loader reads makes no sense. Broken sections are no error.
    pub fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        facts(bytes)
    }

    /// Reads what an ELF file says, of which only those parts are in memory that say it.
    ///
    /// That is a small part of a large library: its headers, and the tables that the loader reads. A reader that
    /// fails gives the error of a file that ends there.
    ///
    /// # Errors
    /// As [`Facts::read`]; [`ElfError::Excessive`] also for tables that are longer than any library's.
    pub fn read_from(reader: impl Read + Seek) -> Result<Self, ElfError> {
        facts(&ReadCache::new(reader))
    }
}

impl Symbols {
    /// Reads the dynamic symbols of an ELF file; one that isn't linked dynamically has none.
    ///
    /// # Errors
    /// As [`Facts::read`].
    pub fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        symbols(bytes, &|_| true)
    }

    /// Reads the dynamic symbols of an ELF file, with nothing else of it in memory.
    ///
    /// # Errors
    /// As [`Facts::read_from`].
    pub fn read_from(reader: impl Read + Seek) -> Result<Self, ElfError> {
        Self::read_wanted(reader, &|_| true)
    }

    /// Reads the same, but of what is defined only what is `wanted`: libraries define a hundred thousand symbols of which
    /// others want a few.
    ///
    /// # Errors
    /// As [`Facts::read_from`].
    pub fn read_wanted(reader: impl Read + Seek, wanted: &dyn Fn(&str) -> bool) -> Result<Self, ElfError> {
        symbols(&ReadCache::new(reader), wanted)
    }
}

fn facts<'data>(data: impl ReadRef<'data>) -> Result<Facts, ElfError> {
    match class(data)? {
        Class::Bits32 => Opened::<FileHeader32<Endianness>, _>::new(data)?.facts(),
        Class::Bits64 => Opened::<FileHeader64<Endianness>, _>::new(data)?.facts(),
    }
}

fn symbols<'data>(data: impl ReadRef<'data>, wanted: &dyn Fn(&str) -> bool) -> Result<Symbols, ElfError> {
    match class(data)? {
        Class::Bits32 => Opened::<FileHeader32<Endianness>, _>::new(data)?.symbols(wanted),
        Class::Bits64 => Opened::<FileHeader64<Endianness>, _>::new(data)?.symbols(wanted),
    }
}

fn class<'data>(bytes: impl ReadRef<'data>) -> Result<Class, ElfError> {
    if !bytes.read_bytes_at(0, 4).is_ok_and(is_elf) {
        return Err(ElfError::NotElf);
    }
    match bytes.read_bytes_at(4, 1) {
        Ok([1]) => Ok(Class::Bits32),
        Ok([2]) => Ok(Class::Bits64),
        _ => Err(ElfError::Malformed { part: "header" }),
    }
}

/// More headers than this have no meaning, however long the file is.
const MOST_HEADERS: u32 = 1 << 17;

/// No remark and no interpreter's name is longer.
const LONGEST_REMARK: u64 = 1 << 20;

/// A file whose headers were read.
struct Opened<'data, Elf: FileHeader, R> {
    bytes: R,
    header: &'data Elf,
    endian: Endianness,
    programs: &'data [Elf::ProgramHeader],
    segments: Vec<Segment>,
    /// None if they make no sense.
    sections: &'data [Elf::SectionHeader],
}

fn malformed<E>(part: &'static str) -> impl Fn(E) -> ElfError {
    move |_| ElfError::Malformed { part }
}

impl<'data, Elf, R> Opened<'data, Elf, R>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    fn new(bytes: R) -> Result<Self, ElfError> {
        let header = Elf::parse(bytes).map_err(malformed("header"))?;
        let endian = header.endian().map_err(malformed("header"))?;
        if !header.phnum(endian, bytes).is_ok_and(|count| count <= MOST_HEADERS) {
            return Err(ElfError::Malformed { part: "program headers" });
        }
        let programs = header.program_headers(endian, bytes).map_err(malformed("program headers"))?;
        let segments = programs.iter().map(|header| segment::<Elf>(header, endian)).collect();
        let few = header.shnum(endian, bytes).is_ok_and(|count| count <= MOST_HEADERS);
        let sections = few.then(|| header.section_headers(endian, bytes).ok()).flatten().unwrap_or_default();
        Ok(Self { bytes, header, endian, programs, segments, sections })
    }

    fn dynamic(&self) -> Result<Option<Dynamic<'data, 'data, Elf, R>>, ElfError> {
        let table = Table::<Elf>::find(self.programs, self.endian, self.bytes)?;
        table.map(|table| Dynamic::new(table, &self.segments, self.sections, self.bytes)).transpose()
    }

    fn symbols(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Symbols, ElfError> {
        self.dynamic()?.map_or_else(|| Ok(Symbols::default()), |dynamic| dynamic.symbols(wanted))
    }

    fn facts(self) -> Result<Facts, ElfError> {
        let (endian, bytes) = (self.endian, self.bytes);
        let mut facts = self.first_facts();
        for header in self.programs.iter().filter(|header| header.p_filesz(endian).into() <= LONGEST_REMARK) {
            if let Some(name) = header.interpreter(endian, bytes).map_err(malformed("interpreter"))? {
                facts.interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
            notes::<Elf, R>(header, endian, bytes, &mut facts);
        }
        self.sizes(&mut facts)?;
        if let Some(dynamic) = self.dynamic()? {
            dynamic.fill(&mut facts)?;
        }
        Ok(facts)
    }

    /// Returns what the headers say.
    fn first_facts(&self) -> Facts {
        let (header, endian) = (self.header, self.endian);
        Facts {
            kind: kind(header.e_type(endian).0),
            machine: machine(header.e_machine(endian).0),
            class: if header.is_type_64() { Class::Bits64 } else { Class::Bits32 },
            endian: if endian.is_big_endian() { Endian::Big } else { Endian::Little },
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            no_default_directories: false,
            version_needs: Default::default(),
            version_definitions: Default::default(),
            python_modules: Default::default(),
            build_id: None,
            debug_bytes: 0,
            symbol_table_bytes: 0,
            stack: stack(&self.segments),
            has_tls: self.segments.iter().any(|segment| segment.kind == SegmentKind::Tls),
            segments: self.segments.clone(),
            static_tls: false,
            packed_relocations: false,
            text_relocations: false,
            abi: None,
            x86_level: None,
        }
    }

    /// Adds up what the loader doesn't need.
    fn sizes(&self, facts: &mut Facts) -> Result<(), ElfError> {
        let (endian, bytes) = (self.endian, self.bytes);
        let names = self.header.section_strings(endian, bytes, self.sections).unwrap_or_default();
        let length = bytes.len().map_err(malformed("header"))?;
        for section in self.sections {
            let name = section.name(endian, names).unwrap_or_default();
            let size = section.file_range(endian).map_or(0, |(_, size)| size.min(length));
            let loaded = section.sh_flags(endian).contains(elf::SHF_ALLOC);
            if !loaded && (name.starts_with(b".debug_") || name.starts_with(b".zdebug_")) {
                facts.debug_bytes = facts.debug_bytes.saturating_add(size);
            }
            if !loaded && (section.sh_type(endian) == elf::SHT_SYMTAB || name == b".strtab") {
                facts.symbol_table_bytes = facts.symbol_table_bytes.saturating_add(size);
            }
        }
        Ok(())
    }
}

fn kind(number: u16) -> Kind {
    match number {
        1 => Kind::Relocatable,
        2 => Kind::Executable,
        3 => Kind::SharedObject,
        other => Kind::Other(other),
    }
}

fn machine(number: u16) -> Machine {
    match number {
        3 => Machine::X86,
        21 => Machine::PowerPc64,
        22 => Machine::S390,
        40 => Machine::Arm,
        62 => Machine::Amd64,
        183 => Machine::Arm64,
        243 => Machine::RiscV,
        other => Machine::Other(other),
    }
}

fn segment<Elf: FileHeader<Endian = Endianness>>(header: &Elf::ProgramHeader, endian: Endianness) -> Segment {
    let kind = match header.p_type(endian) {
        elf::PT_LOAD => SegmentKind::Load,
        elf::PT_DYNAMIC => SegmentKind::Dynamic,
        elf::PT_INTERP => SegmentKind::Interpreter,
        elf::PT_NOTE => SegmentKind::Note,
        elf::PT_TLS => SegmentKind::Tls,
        elf::PT_GNU_STACK => SegmentKind::Stack,
        elf::PT_GNU_RELRO => SegmentKind::Relro,
        other => SegmentKind::Other(other.0),
    };
    Segment {
        kind,
        flags: header.p_flags(endian).0,
        offset: header.p_offset(endian).into(),
        address: header.p_vaddr(endian).into(),
        file_bytes: header.p_filesz(endian).into(),
        memory_bytes: header.p_memsz(endian).into(),
        alignment: header.p_align(endian).into(),
    }
}

fn stack(segments: &[Segment]) -> Stack {
    match segments.iter().rfind(|segment| segment.kind == SegmentKind::Stack) {
        Some(segment) if segment.flags & 1 != 0 => Stack::Executable,
        Some(_) => Stack::Data,
        None => Stack::Unsaid,
    }
}

/// Reads a note segment; notes are remarks, so that a broken one only ends the reading.
fn notes<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    header: &Elf::ProgramHeader,
    endian: Endianness,
    bytes: R,
    facts: &mut Facts,
) {
    let Ok(Some(notes)) = header.notes(endian, bytes) else { return };
    for note in notes.map_while(Result::ok).filter(|note| note.name() == elf::ELF_NOTE_GNU) {
        match note.n_type(endian) {
            elf::NT_GNU_BUILD_ID if note.desc().len() <= 64 => {
                facts.build_id = Some(hex::encode(note.desc()))
            }
            elf::NT_GNU_ABI_TAG => {
                let word = |word: &[u8]| {
                    let word = word.try_into().expect("chunks of four have four bytes");
                    if endian.is_big_endian() { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
                };
                let mut words = note.desc().chunks_exact(4).map(word);
                if let [Some(system), Some(major), Some(minor), Some(patch)] = [(); 4].map(|()| words.next())
                {
                    facts.abi = Some(AbiTag { system, kernel: (major, minor, patch) });
                }
            }
            _ => {}
        }
        for property in note.gnu_properties(endian).into_iter().flatten().map_while(Result::ok) {
            if property.pr_type() == elf::GNU_PROPERTY_X86_ISA_1_NEEDED
                && facts.machine == Machine::Amd64
                && let Ok(bits) = property.data_u32(endian)
            {
                facts.x86_level = x86_level(bits);
            }
        }
    }
}

fn x86_level(bits: u32) -> Option<X86Level> {
    let levels = [(8, X86Level::V4), (4, X86Level::V3), (2, X86Level::V2), (1, X86Level::Baseline)];
    levels.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, level)| level)
}
