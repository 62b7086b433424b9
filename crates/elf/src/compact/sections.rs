//! Which sections stay, and what the table of sections says afterwards.
//!
//! Sections never change their number, because symbols refer to them by it: what goes leaves an empty header where
//! others follow. An unknown section that isn't loaded stays, since programs keep data there that they read from
//! their own file (`PyInstaller` its whole archive); only what is known to be a tool's goes.
//!
//! Spec: <https://gabi.xinuos.com/elf/03-sheader.html>

use std::collections::BTreeMap;

use super::Strip;
use super::layout::Layout;
use super::raw::{Image, Program, SHT_STRTAB, Section};

const SHT_SYMTAB: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_NOTE: u32 = 7;
const SHT_REL: u32 = 9;
const SHT_SYMTAB_SHNDX: u32 = 18;
const SHT_GNU_ATTRIBUTES: u32 = 0x6fff_fff5;
const SHF_INFO_LINK: u64 = 0x40;

/// How the names of sections start that hold debug information.
const DEBUG: [&[u8]; 9] = [
    b".debug",
    b".zdebug",
    b".gdb_index",
    b".stab",
    b".line",
    b".gnu.debuglto_",
    b".gnu.linkonce.wi.",
    b".rela.debug",
    b".rel.debug",
];

/// How the names of sections start that only compilers, linkers and debuggers read.
const TOOLS: [&[u8]; 19] = [
    b".comment",
    b".gnu_debuglink",
    b".gnu_debugaltlink",
    b".gnu_debugdata",
    b".gnu.build.attributes",
    b".gnu.lto_",
    b".gnu.prelink_undo",
    b".GCC.command.line",
    b".annobin",
    b".ident",
    b".llvm",
    b".deplibs",
    b".rustc",
    b".ctf",
    b".SUNW_ctf",
    b".BTF",
    b".mdebug",
    b".note",
    b".pseudo_probe",
];

/// Tells for each section whether it stays.
pub(super) fn staying(image: &Image, strip: Strip) -> Vec<bool> {
    let last = usize::from(image.header.names);
    let mut stays: Vec<bool> = image
        .sections
        .iter()
        .enumerate()
        .map(|(index, section)| {
            // The names are written anew.
            index != last && section.kind != 0 && !goes(section, image.name(section), strip)
        })
        .collect();
    stays.iter_mut().take(1).for_each(|none| *none = false);
    // What stays without being loaded, a symbol table for instance, keeps what it needs.
    let mut needers: Vec<usize> = (0..stays.len()).filter(|index| stays[*index]).collect();
    while let Some(needer) = needers.pop() {
        let section = &image.sections[needer];
        let needs = [Some(section.link), refers(section).then_some(section.info)];
        for need in needs.into_iter().flatten().map(|need| need as usize) {
            if !section.is_allocated() && need > 0 && stays.get(need) == Some(&false) {
                stays[need] = true;
                needers.push(need);
            }
        }
    }
    stays
}

fn goes(section: &Section, name: &[u8], strip: Strip) -> bool {
    let starts = |with: &[&[u8]]| with.iter().any(|start| name.starts_with(start));
    match strip {
        _ if section.is_allocated() => false,
        Strip::None => false,
        Strip::Debug => starts(&DEBUG),
        Strip::All => starts(&DEBUG) || starts(&TOOLS) || is_table(section.kind),
    }
}

/// Tells whether a kind of section is read by linkers and debuggers only, where it isn't loaded.
fn is_table(kind: u32) -> bool {
    const KINDS: [u32; 7] =
        [SHT_SYMTAB, SHT_STRTAB, SHT_SYMTAB_SHNDX, SHT_NOTE, SHT_REL, SHT_RELA, SHT_GNU_ATTRIBUTES];
    KINDS.contains(&kind)
}

/// Tells whether `info` is the number of a section.
fn refers(section: &Section) -> bool {
    matches!(section.kind, SHT_REL | SHT_RELA) || section.flags & SHF_INFO_LINK != 0
}

/// The table of sections, as it is in the new file.
pub(super) struct Table {
    /// The names, and the section of the names where `headers` says so.
    pub(super) names: Vec<u8>,
    /// None if no section stays.
    pub(super) headers: Vec<Section>,
}

impl Table {
    /// Makes the table; the section of the names comes last and still lies nowhere.
    pub(super) fn new(image: &Image, stays: &[bool], layout: &Layout) -> Self {
        let Some(last) = stays.iter().rposition(|stays| *stays) else {
            return Self { names: Vec::new(), headers: Vec::new() };
        };
        let loads: Vec<Program> = image.loads().copied().collect();
        let mut names = Names { bytes: vec![0], known: BTreeMap::new() };
        let alive = |number: u32| if stays.get(number as usize) == Some(&true) { number } else { 0 };
        let kept = |(section, stays): (&Section, &bool)| {
            if !*stays {
                return Section::default();
            }
            Section {
                name: names.add(image.name(section)),
                offset: layout.place_section(section, &loads),
                link: alive(section.link),
                info: if refers(section) { alive(section.info) } else { section.info },
                ..*section
            }
        };
        let mut headers: Vec<Section> = image.sections.iter().zip(stays).take(last + 1).map(kept).collect();
        let name = names.add(b".shstrtab");
        let size = names.bytes.len() as u64;
        headers.push(Section { name, kind: SHT_STRTAB, size, alignment: 1, ..Section::default() });
        Self { names: names.bytes, headers }
    }
}

/// A table of names in the making.
struct Names {
    bytes: Vec<u8>,
    known: BTreeMap<Vec<u8>, u32>,
}

impl Names {
    fn add(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        *self.known.entry(name.to_vec()).or_insert_with(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend_from_slice(name);
            self.bytes.push(0);
            at
        })
    }
}
