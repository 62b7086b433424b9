//! Puts an object's parts one after the other; addresses equal offsets in the file.

use super::tables::{SYMBOL, Section, Strings, loaded_sections};
use super::{ElfObject, Machine};

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;

pub(super) struct Layout {
    machine: Machine,
    sections: Vec<Section>,
    has_interpreter: bool,
    loaded_end: usize,
}

impl Layout {
    pub(super) fn of(object: &ElfObject) -> Layout {
        let has_interpreter = object.interpreter.is_some();
        let program_headers = 3 + usize::from(has_interpreter);
        let mut layout =
            Layout { machine: object.machine, sections: Vec::new(), has_interpreter, loaded_end: 0 };
        let mut end = HEADER + program_headers * PROGRAM_HEADER;
        for section in loaded_sections(object) {
            end = layout.place(end, section);
        }
        layout.point_dynamic();
        layout.point_symbols();
        layout.loaded_end = end;
        if object.debug_bytes > 0 {
            end = layout.place(end, Section::new(".debug_info", 1, 0, vec![0xdb; object.debug_bytes]));
        }
        layout.place(end, Section::new(".shstrtab", 3, 0, Vec::new()));
        layout
    }

    fn place(&mut self, end: usize, mut section: Section) -> usize {
        section.offset = end.next_multiple_of(8);
        let end = section.offset + section.bytes.len();
        self.sections.push(section);
        end
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.sections.iter().position(|section| section.name == name)
    }

    fn offset_of(&self, name: &str) -> u64 {
        self.sections[self.find(name).expect("a section that every object has")].offset as u64
    }

    /// Fills in the addresses that only the finished layout knows.
    fn point_dynamic(&mut self) {
        let targets = [
            (4, ".hash"),
            (5, ".dynstr"),
            (6, ".dynsym"),
            (0x6fff_fff0, ".gnu.version"),
            (0x6fff_fffc, ".gnu.version_d"),
            (0x6fff_fffe, ".gnu.version_r"),
        ];
        let offsets: Vec<(u64, u64)> = targets
            .into_iter()
            .filter_map(|(tag, name)| Some((tag, self.sections[self.find(name)?].offset as u64)))
            .collect();
        let dynamic = self.find(".dynamic").expect("a section that every object has");
        for entry in self.sections[dynamic].bytes.chunks_exact_mut(16) {
            let tag = u64::from_le_bytes(entry[..8].try_into().expect("eight bytes"));
            if let Some((_, offset)) = offsets.iter().find(|(wanted, _)| *wanted == tag) {
                entry[8..].copy_from_slice(&offset.to_le_bytes());
            }
        }
    }

    fn point_symbols(&mut self) {
        let address = self.offset_of(".data");
        let index = self.find(".data").expect("a section that every object has") + 1;
        let symbols = self.find(".dynsym").expect("a section that every object has");
        for symbol in self.sections[symbols].bytes.chunks_exact_mut(SYMBOL) {
            if symbol[6] == 1 {
                symbol[6..8].copy_from_slice(&u16::try_from(index).expect("few sections").to_le_bytes());
                symbol[8..16].copy_from_slice(&address.to_le_bytes());
            }
        }
        // Links between sections are by number, and the numbers depend on which of them there are.
        let strings = u32::try_from(self.find(".dynstr").expect("a section that every object has") + 1);
        let strings = strings.expect("few sections");
        for section in &mut self.sections {
            section.link = match section.name {
                ".dynsym" | ".dynamic" | ".gnu.version_d" | ".gnu.version_r" => strings,
                ".hash" | ".gnu.version" => u32::try_from(symbols + 1).expect("few sections"),
                _ => 0,
            };
        }
    }

    pub(super) fn write(mut self) -> Vec<u8> {
        let mut names = Strings::new();
        let name_offsets: Vec<u32> = self.sections.iter().map(|section| names.add(section.name)).collect();
        let last = self.sections.last_mut().expect("the names have a section");
        last.bytes = names.into_bytes();
        let headers_at = (last.offset + last.bytes.len()).next_multiple_of(8);

        let mut out = self.header(headers_at);
        out.extend(self.program_headers());
        for section in &self.sections {
            out.resize(section.offset, 0);
            out.extend(&section.bytes);
        }
        out.resize(headers_at, 0);
        out.extend([0; SECTION_HEADER]);
        for (section, name) in self.sections.iter().zip(name_offsets) {
            out.extend(section_header(section, name));
        }
        out
    }

    fn header(&self, section_headers_at: usize) -> Vec<u8> {
        let machine: u16 = match self.machine {
            Machine::X86_64 => 62,
            Machine::Aarch64 => 183,
        };
        let count = u16::try_from(self.sections.len()).expect("few sections");
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        out.extend(3_u16.to_le_bytes());
        out.extend(machine.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        out.extend((HEADER as u64).to_le_bytes());
        out.extend((section_headers_at as u64).to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        let sizes = [HEADER, PROGRAM_HEADER, 3 + usize::from(self.has_interpreter), SECTION_HEADER];
        out.extend(
            sizes.into_iter().flat_map(|size| u16::try_from(size).expect("small sizes").to_le_bytes()),
        );
        out.extend((count + 1).to_le_bytes());
        out.extend(count.to_le_bytes());
        out
    }

    fn program_headers(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |kind: u32, flags: u32, offset: usize, size: usize, align: u64| {
            out.extend(kind.to_le_bytes());
            out.extend(flags.to_le_bytes());
            for number in [offset, offset, offset, size, size] {
                out.extend((number as u64).to_le_bytes());
            }
            out.extend(align.to_le_bytes());
        };
        let extent =
            |name| self.find(name).map(|at| (self.sections[at].offset, self.sections[at].bytes.len()));
        if let Some((offset, size)) = extent(".interp") {
            put(3, 4, offset, size, 1);
        }
        // Readable and writable: the loader writes addresses into the dynamic section.
        put(1, 6, 0, self.loaded_end, 0x1000);
        let (offset, size) = extent(".dynamic").expect("a section that every object has");
        put(2, 6, offset, size, 8);
        put(0x6474_e551, 6, 0, 0, 16);
        out
    }
}

fn section_header(section: &Section, name: u32) -> Vec<u8> {
    let address = if section.flags == 0 { 0 } else { section.offset as u64 };
    let mut out = Vec::new();
    out.extend(name.to_le_bytes());
    out.extend(section.kind.to_le_bytes());
    for number in [section.flags, address, section.offset as u64, section.bytes.len() as u64] {
        out.extend(number.to_le_bytes());
    }
    out.extend(section.link.to_le_bytes());
    out.extend(section.info.to_le_bytes());
    out.extend(8_u64.to_le_bytes());
    out.extend(section.entry_size.to_le_bytes());
    out
}
