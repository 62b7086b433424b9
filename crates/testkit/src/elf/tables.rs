//! The tables that dynamic linking reads, as bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::{ElfObject, Origin};

pub(super) const SYMBOL: usize = 24;

/// One section with its bytes; `offset` and `link` are known once it is placed.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) link: u32,
    pub(super) info: u32,
    pub(super) entry_size: u64,
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
}

impl Section {
    pub(super) fn new(name: &'static str, kind: u32, flags: u64, bytes: Vec<u8>) -> Section {
        Section { name, kind, flags, link: 0, info: 0, entry_size: 0, offset: 0, bytes }
    }
}

/// A string table under construction; it starts with the empty name.
pub(super) struct Strings(Vec<u8>);

impl Strings {
    pub(super) fn new() -> Strings {
        Strings(vec![0])
    }

    pub(super) fn add(&mut self, text: &str) -> u32 {
        let offset = self.0.len();
        self.0.extend(text.bytes());
        self.0.push(0);
        u32::try_from(offset).expect("short names")
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Symbol versions: numbers for each symbol, and the tables that explain them.
struct Versions {
    numbers: Vec<u16>,
    definitions: Vec<u8>,
    definition_count: u32,
    needs: Vec<u8>,
    need_count: u32,
}

/// The sections that are loaded, in order; addresses in them are yet to be filled in.
pub(super) fn loaded_sections(object: &ElfObject) -> Vec<Section> {
    const ALLOC: u64 = 2;
    const WRITE: u64 = 1;
    let mut strings = Strings::new();
    let symbols = symbol_table(object, &mut strings);
    let versions = versions(object, &mut strings);
    let dynamic = dynamic(object, &versions, &mut strings);
    let mut sections = Vec::new();
    if let Some(path) = &object.interpreter {
        sections.push(Section::new(".interp", 1, ALLOC, [path.as_bytes(), b"\0"].concat()));
    }
    let hash = hash_table(object.symbols.len());
    sections.push(Section { entry_size: 4, ..Section::new(".hash", 5, ALLOC, hash) });
    sections.push(Section {
        info: 1,
        entry_size: SYMBOL as u64,
        ..Section::new(".dynsym", 11, ALLOC, symbols)
    });
    let string_size = strings.0.len() as u64;
    sections.push(Section::new(".dynstr", 3, ALLOC, strings.0));
    if versions.definition_count + versions.need_count > 0 {
        let numbers = versions.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        sections.push(Section { entry_size: 2, ..Section::new(".gnu.version", 0x6fff_ffff, ALLOC, numbers) });
    }
    if versions.definition_count > 0 {
        let table = Section::new(".gnu.version_d", 0x6fff_fffd, ALLOC, versions.definitions);
        sections.push(Section { info: versions.definition_count, ..table });
    }
    if versions.need_count > 0 {
        let table = Section::new(".gnu.version_r", 0x6fff_fffe, ALLOC, versions.needs);
        sections.push(Section { info: versions.need_count, ..table });
    }
    let mut bytes = Vec::new();
    for (tag, value) in dynamic {
        let value = if tag == 10 { string_size } else { value };
        bytes.extend(tag.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    sections.push(Section { entry_size: 16, ..Section::new(".dynamic", 6, ALLOC | WRITE, bytes) });
    sections.push(Section::new(".data", 1, ALLOC | WRITE, 42_u64.to_le_bytes().to_vec()));
    sections
}

/// Defined symbols are marked with section 1 until the number of `.data` is known.
fn symbol_table(object: &ElfObject, strings: &mut Strings) -> Vec<u8> {
    let mut out = vec![0; SYMBOL];
    for symbol in &object.symbols {
        let (kind, section): (u8, u16) = match symbol.origin {
            Origin::Defined(_) => (0x11, 1),
            Origin::Imported(_) => (0x10, 0),
        };
        out.extend(strings.add(&symbol.name).to_le_bytes());
        out.extend([kind, 0]);
        out.extend(section.to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        out.extend(if section == 1 { 8_u64 } else { 0 }.to_le_bytes());
    }
    out
}

/// One bucket in which every symbol points to the next one.
fn hash_table(symbols: usize) -> Vec<u8> {
    let count = u32::try_from(symbols).expect("few symbols");
    let mut words = vec![1, count + 1, u32::from(count > 0), 0];
    words.extend((1..=count).map(|number| if number == count { 0 } else { number + 1 }));
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Tags that name a section keep the value 0 until the layout is known.
fn dynamic(object: &ElfObject, versions: &Versions, strings: &mut Strings) -> Vec<(u64, u64)> {
    let mut entries = Vec::new();
    for file in &object.needed {
        entries.push((1, u64::from(strings.add(file))));
    }
    for (tag, text) in [(14, &object.soname), (15, &object.rpath), (29, &object.runpath)] {
        if let Some(text) = text {
            entries.push((tag, u64::from(strings.add(text))));
        }
    }
    entries.extend([(4, 0), (5, 0), (6, 0), (10, 0), (11, SYMBOL as u64)]);
    if versions.definition_count + versions.need_count > 0 {
        entries.push((0x6fff_fff0, 0));
    }
    if versions.definition_count > 0 {
        entries.extend([(0x6fff_fffc, 0), (0x6fff_fffd, u64::from(versions.definition_count))]);
    }
    if versions.need_count > 0 {
        entries.extend([(0x6fff_fffe, 0), (0x6fff_ffff, u64::from(versions.need_count))]);
    }
    entries.push((0, 0));
    entries
}

fn versions(object: &ElfObject, strings: &mut Strings) -> Versions {
    let mut defined: BTreeSet<&str> = BTreeSet::new();
    let mut imported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for symbol in &object.symbols {
        match &symbol.origin {
            Origin::Defined(Some(version)) => {
                defined.insert(version);
            }
            Origin::Imported(Some(import)) => {
                imported.entry(&import.file).or_default().insert(&import.version);
            }
            Origin::Defined(None) | Origin::Imported(None) => {}
        }
    }
    let keys = defined.iter().map(|version| ("", *version));
    let keys = keys.chain(imported.iter().flat_map(|(file, names)| names.iter().map(|name| (*file, *name))));
    // 0 and 1 are taken: local, and global without a version (the base definition).
    let numbers: BTreeMap<(&str, &str), u16> = keys.zip(2..).collect();
    let of_symbol = |origin: &Origin| match origin {
        Origin::Imported(None) => 0,
        Origin::Defined(None) => 1,
        Origin::Defined(Some(version)) => numbers[&("", version.as_str())],
        Origin::Imported(Some(import)) => numbers[&(import.file.as_str(), import.version.as_str())],
    };
    let of_symbols = object.symbols.iter().map(|symbol| of_symbol(&symbol.origin));
    let base = object.soname.as_deref().unwrap_or("toy");
    Versions {
        numbers: [0].into_iter().chain(of_symbols).collect(),
        definition_count: if defined.is_empty() { 0 } else { defined.len() as u32 + 1 },
        definitions: definitions(base, &defined, strings),
        need_count: imported.len() as u32,
        needs: needs(&imported, &numbers, strings),
    }
}

/// The base definition and the versions after it; numbers start with 1.
fn definitions(base: &str, names: &BTreeSet<&str>, strings: &mut Strings) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, name) in (1_u16..).zip([&base].into_iter().chain(names)) {
        let last = usize::from(number) == names.len() + 1;
        for half in [1, u16::from(number == 1), number, 1] {
            out.extend(half.to_le_bytes());
        }
        for word in [elf_hash(name), 20, if last { 0 } else { 28 }, strings.add(name), 0] {
            out.extend(word.to_le_bytes());
        }
    }
    out
}

fn needs(
    files: &BTreeMap<&str, BTreeSet<&str>>,
    numbers: &BTreeMap<(&str, &str), u16>,
    strings: &mut Strings,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (file_number, (file, names)) in (1..).zip(files) {
        let count = u16::try_from(names.len()).expect("few versions");
        let size = 16 + 16 * u32::from(count);
        out.extend(1_u16.to_le_bytes());
        out.extend(count.to_le_bytes());
        for word in [strings.add(file), 16, if file_number == files.len() { 0 } else { size }] {
            out.extend(word.to_le_bytes());
        }
        for (name_number, name) in (1..).zip(names) {
            out.extend(elf_hash(name).to_le_bytes());
            out.extend(0_u16.to_le_bytes());
            out.extend(numbers[&(*file, *name)].to_le_bytes());
            for word in [strings.add(name), if name_number == names.len() { 0 } else { 16 }] {
                out.extend(word.to_le_bytes());
            }
        }
    }
    out
}

/// The hash function of the System V ABI.
fn elf_hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}
