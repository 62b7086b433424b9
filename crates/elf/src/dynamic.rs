//! The dynamic segment: names, needs, versions and symbols, found as the loader finds them.
//!
//! Addresses are looked up in the loaded segments, never in the sections. The one thing the loader
//! doesn't know is how many symbols there are; it is taken from the hash table, or from the section
//! that lies at the table's address.
//!
//! Spec: <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html>

use std::collections::{BTreeMap, BTreeSet};

use object::Pod;
use object::elf;
use object::endian::Endianness;
use object::read::elf::{Dyn, FileHeader, GnuHashTable, HashTable, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadRef, StringTable};

use crate::facts::{Facts, Kind, Segment, SegmentKind};
use crate::read::ElfError;
use crate::symbols::{Binding, Defined, Symbols, Undefined};

/// The entries of the dynamic segment, before anything they point to is read.
pub(crate) struct Table<'data, Elf: FileHeader> {
    endian: Endianness,
    entries: &'data [Elf::Dyn],
}

impl<'data, Elf: FileHeader<Endian = Endianness>> Table<'data, Elf> {
    pub(crate) fn find<R: ReadRef<'data>>(
        headers: &[Elf::ProgramHeader],
        endian: Endianness,
        bytes: R,
    ) -> Result<Option<Self>, ElfError> {
        let segment = headers.iter().find(|header| header.p_type(endian) == elf::PT_DYNAMIC);
        let Some(segment) = segment else { return Ok(None) };
        if segment.p_filesz(endian).into() > LONGEST_TABLE {
            return Err(ElfError::Excessive { part: "dynamic segment" });
        }
        let entries = segment.data_as_array::<Elf::Dyn, _>(endian, bytes);
        let entries = entries.map_err(|()| ElfError::Malformed { part: "dynamic segment" })?;
        let end = entries.iter().position(|entry| entry.tag(endian) == elf::DT_NULL).unwrap_or(entries.len());
        Ok(Some(Self { endian, entries: &entries[..end] }))
    }

    fn values(&self, tag: elf::DynamicTag) -> impl Iterator<Item = u64> {
        self.entries
            .iter()
            .filter(move |entry| entry.tag(self.endian) == tag)
            .map(|entry| entry.val(self.endian))
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.values(tag).last()
    }
}

/// The dynamic segment with its string table, ready to be read.
pub(crate) struct Dynamic<'data, 'file, Elf: FileHeader, R> {
    table: Table<'data, Elf>,
    segments: Vec<Segment>,
    sections: &'file [Elf::SectionHeader],
    bytes: R,
    strings: StringTable<'data>,
    /// How many bytes of names may still be copied: a table can name one long string many times.
    budget: std::cell::Cell<u64>,
}

/// A version that symbols refer to by number: its name, and the library that must define it.
#[derive(Clone)]
struct Version {
    name: String,
    library: Option<String>,
}

/// How the function is called with which a Python module of that name begins.
///
/// Spec: <https://docs.python.org/3.13/extending/building.html>
const MODULE: &[u8] = b"PyInit_";

/// Symbols, and the numbers of their versions if they have any.
type SymbolTable<'data, Elf> = (&'data [<Elf as FileHeader>::Sym], &'data [elf::Versym<Endianness>]);

const SYMBOLS: &str = "dynamic symbols";
const STRINGS: &str = "dynamic strings";
const VERSIONS: &str = "symbol versions";

/// Where something lies in the file, and how much there is from there to the end of its segment.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    size: u64,
}

/// No table that the loader reads is as long; the largest libraries have a tenth of it.
const LONGEST_TABLE: u64 = 256 << 20;

/// Symbols refer to versions by numbers of 15 bits.
const MOST_VERSIONS: usize = 1 << 16;

impl<'data, 'file, Elf, R> Dynamic<'data, 'file, Elf, R>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    pub(crate) fn new(
        table: Table<'data, Elf>,
        segments: &[Segment],
        sections: &'file [Elf::SectionHeader],
        bytes: R,
    ) -> Result<Self, ElfError> {
        let segments = segments.iter().filter(|segment| segment.kind == SegmentKind::Load).copied().collect();
        let budget = std::cell::Cell::new(1 << 20);
        let mut dynamic = Self { table, segments, sections, bytes, strings: StringTable::default(), budget };
        if let Some(address) = dynamic.table.value(elf::DT_STRTAB) {
            let place = dynamic.at(address).ok_or(ElfError::Malformed { part: STRINGS })?;
            let size = dynamic.table.value(elf::DT_STRSZ).unwrap_or(0);
            let strings = dynamic.bytes_at(place, size, STRINGS)?;
            dynamic.strings = StringTable::new(strings, 0, size);
            // Linkers share tails of names, so that all names together may well be longer than the table.
            dynamic.budget.set((1 << 20) + 8 * size);
        }
        Ok(dynamic)
    }

    /// Writes all that the segment says into `facts`.
    pub(crate) fn fill(&self, facts: &mut Facts) -> Result<(), ElfError> {
        let table = &self.table;
        facts.needed = table.values(elf::DT_NEEDED).map(|at| self.string(at)).collect::<Result<_, _>>()?;
        let one = |tag| table.value(tag).map(|at| self.string(at)).transpose();
        facts.soname = one(elf::DT_SONAME)?;
        facts.rpath = one(elf::DT_RPATH)?;
        facts.runpath = one(elf::DT_RUNPATH)?;
        let flags = table.value(elf::DT_FLAGS_1).unwrap_or(0);
        facts.no_default_directories = flags & elf::DF_1_NODEFLIB.0 != 0;
        let loading = table.value(elf::DT_FLAGS).unwrap_or(0);
        facts.static_tls = loading & elf::DF_STATIC_TLS.0 != 0;
        facts.text_relocations = loading & elf::DF_TEXTREL.0 != 0 || table.value(elf::DT_TEXTREL).is_some();
        facts.packed_relocations = table.value(elf::DT_RELR).is_some();
        if flags & elf::DF_1_PIE.0 != 0 && facts.kind == Kind::SharedObject {
            facts.kind = Kind::PositionIndependentExecutable;
        }

        let mut versions = BTreeMap::new();
        facts.version_definitions = self.version_definitions(&mut versions)?;
        facts.version_needs = self.version_needs(&mut versions)?;
        let endian = table.endian;
        for (symbol, _) in self.entries()?.filter(|(symbol, _)| !symbol.is_undefined(endian)) {
            let name = self.strings.get(symbol.st_name(endian));
            let name = name.map_err(|()| ElfError::Malformed { part: STRINGS })?;
            if let Some(module) = name.strip_prefix(MODULE) {
                self.pay(module.len())?;
                facts.python_modules.insert(String::from_utf8_lossy(module).into_owned());
            }
        }
        Ok(())
    }

    /// Reads the symbols that others can see, but of those that are defined only what is `wanted`.
    pub(crate) fn symbols(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Symbols, ElfError> {
        let mut versions = BTreeMap::new();
        self.version_definitions(&mut versions)?;
        self.version_needs(&mut versions)?;
        let endian = self.table.endian;
        let mut symbols = Symbols::default();
        for (symbol, number) in self.entries()? {
            let name = String::from_utf8_lossy(self.name(symbol.st_name(endian).into())?);
            if !symbol.is_undefined(endian) && !wanted(&name) {
                continue;
            }
            self.pay(name.len())?;
            let name = name.into_owned();
            let version = versions.get(&(number & 0x7fff)).filter(|_| number & 0x7fff > 1);
            if symbol.is_undefined(endian) {
                let version = match version {
                    Some(Version { name, library: Some(library) }) => {
                        self.pay(name.len() + library.len())?;
                        Some((name.clone(), library.clone()))
                    }
                    _ => None,
                };
                symbols.undefined.push(Undefined { name, version, weak: symbol.is_weak() });
            } else if !matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL) {
                let version = version.map(|version| version.name.clone());
                self.pay(version.as_ref().map_or(0, String::len))?;
                let binding = match symbol.st_bind() {
                    elf::STB_WEAK => Binding::Weak,
                    elf::STB_GNU_UNIQUE => Binding::Unique,
                    _ => Binding::Global,
                };
                symbols.defined.push(Defined { name, version, default: number & 0x8000 == 0, binding });
            }
        }
        symbols.undefined.sort();
        symbols.defined.sort();
        Ok(symbols)
    }

    fn version_definitions(
        &self,
        versions: &mut BTreeMap<u16, Version>,
    ) -> Result<BTreeSet<String>, ElfError> {
        let mut definitions = BTreeSet::new();
        let Some(address) = self.table.value(elf::DT_VERDEF) else { return Ok(definitions) };
        let malformed = ElfError::Malformed { part: VERSIONS };
        let place = self.at(address).ok_or(malformed)?;
        let endian = self.table.endian;
        let mut left = MOST_VERSIONS;
        let mut at = 0;
        for _ in 0..self.table.value(elf::DT_VERDEFNUM).unwrap_or(0) {
            left = left.checked_sub(1).ok_or(ElfError::Excessive { part: VERSIONS })?;
            let definition: &elf::Verdef<Endianness> = self.pod(place, at, VERSIONS)?;
            // The first name is the version's own; the others are those it follows upon.
            let names: &elf::Verdaux<Endianness> =
                self.pod(place, at + u64::from(definition.vd_aux.get(endian)), VERSIONS)?;
            let name = self.string(names.vda_name.get(endian).into())?;
            versions.insert(definition.vd_ndx.get(endian).0, Version { name: name.clone(), library: None });
            definitions.insert(name);
            match definition.vd_next.get(endian) {
                0 => break,
                next => at += u64::from(next),
            }
        }
        Ok(definitions)
    }

    fn version_needs(
        &self,
        versions: &mut BTreeMap<u16, Version>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, ElfError> {
        let mut needs = BTreeMap::<String, BTreeSet<String>>::new();
        let Some(address) = self.table.value(elf::DT_VERNEED) else { return Ok(needs) };
        let place = self.at(address).ok_or(ElfError::Malformed { part: VERSIONS })?;
        let endian = self.table.endian;
        // Each number can be given out once, so that lists which run into one another are noticed.
        let mut left = 2 * usize::from(u16::MAX);
        let mut at = 0;
        for _ in 0..self.table.value(elf::DT_VERNEEDNUM).unwrap_or(0) {
            left = left.checked_sub(1).ok_or(ElfError::Excessive { part: VERSIONS })?;
            let need: &elf::Verneed<Endianness> = self.pod(place, at, VERSIONS)?;
            let library = self.string(need.vn_file.get(endian).into())?;
            let mut entry_at = at + u64::from(need.vn_aux.get(endian));
            for _ in 0..need.vn_cnt.get(endian) {
                left = left.checked_sub(1).ok_or(ElfError::Excessive { part: VERSIONS })?;
                let entry: &elf::Vernaux<Endianness> = self.pod(place, entry_at, VERSIONS)?;
                let name = self.string(entry.vna_name.get(endian).into())?;
                if !entry.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                    needs.entry(library.clone()).or_default().insert(name.clone());
                }
                let version = Version { name, library: Some(library.clone()) };
                versions.insert(entry.vna_other.get(endian).0, version);
                match entry.vna_next.get(endian) {
                    0 => break,
                    next => entry_at += u64::from(next),
                }
            }
            match need.vn_next.get(endian) {
                0 => break,
                next => at += u64::from(next),
            }
        }
        Ok(needs)
    }

    /// Returns the symbols that have a name and are not local, each with the number of its version.
    fn entries(&self) -> Result<impl Iterator<Item = (&'data Elf::Sym, u16)>, ElfError> {
        let endian = self.table.endian;
        let (symbols, numbers) = match self.table.value(elf::DT_SYMTAB) {
            Some(address) => self.symbol_table(address)?,
            None => (&[][..], &[][..]),
        };
        // The first entry stands for no symbol at all.
        let entries = symbols.iter().enumerate().skip(1);
        let named = entries.filter(move |(_, symbol)| !symbol.is_local() && symbol.st_name(endian) != 0);
        Ok(named.map(move |(index, symbol)| {
            (symbol, numbers.get(index).map_or(1, |number| number.0.get(endian).0))
        }))
    }

    fn symbol_table(&self, address: u64) -> Result<SymbolTable<'data, Elf>, ElfError> {
        let count = self.symbol_count(address);
        let place = self.at(address).ok_or(ElfError::Malformed { part: SYMBOLS })?;
        let symbols = self.slice(place, count, SYMBOLS)?;
        let numbers = match self.table.value(elf::DT_VERSYM) {
            Some(address) => {
                let place = self.at(address).ok_or(ElfError::Malformed { part: VERSIONS })?;
                self.slice(place, count, VERSIONS)?
            }
            None => &[],
        };
        Ok((symbols, numbers))
    }

    /// Finds out how many symbols there are.
    fn symbol_count(&self, address: u64) -> usize {
        let endian = self.table.endian;
        let is_table = |section: &&Elf::SectionHeader| {
            section.sh_type(endian) == elf::SHT_DYNSYM && section.sh_addr(endian).into() == address
        };
        if let Some(section) = self.sections.iter().find(is_table) {
            let size: u64 = section.sh_size(endian).into();
            return usize::try_from(size).unwrap_or(0) / size_of::<Elf::Sym>();
        }
        let hash = self.table.value(elf::DT_HASH).and_then(|at| self.rest(at));
        if let Some(hash) = hash.and_then(|data| HashTable::<Elf>::parse(endian, data).ok()) {
            return hash.symbol_table_length() as usize;
        }
        let hash = self.table.value(elf::DT_GNU_HASH).and_then(|at| self.rest(at));
        let hash = hash.and_then(|data| GnuHashTable::<Elf>::parse(endian, data).ok());
        // An empty hash table still says where the symbols that nobody looks up end.
        hash.map_or(0, |hash| hash.symbol_table_length(endian).unwrap_or_else(|| hash.symbol_base()) as usize)
    }

    /// Returns where an address lies in the file, and how much there is to the end of the segment that holds it.
    fn at(&self, address: u64) -> Option<Place> {
        let length = self.bytes.len().ok()?;
        self.segments.iter().find_map(|segment| {
            let within =
                address.checked_sub(segment.address).filter(|within| *within < segment.file_bytes)?;
            let offset = segment.offset.checked_add(within)?;
            let end = segment.offset.checked_add(segment.file_bytes).filter(|end| *end <= length)?;
            Some(Place { offset, size: end - offset })
        })
    }

    /// Returns what lies from an address on, as much as a table may be long.
    fn rest(&self, address: u64) -> Option<&'data [u8]> {
        let Place { offset, size } = self.at(address)?;
        self.bytes.read_bytes_at(offset, size.min(LONGEST_TABLE)).ok()
    }

    fn bytes_at(&self, place: Place, size: u64, part: &'static str) -> Result<&'data [u8], ElfError> {
        if size > LONGEST_TABLE {
            return Err(ElfError::Excessive { part });
        }
        let bytes = (size <= place.size).then(|| self.bytes.read_bytes_at(place.offset, size).ok()).flatten();
        bytes.ok_or(ElfError::Malformed { part })
    }

    fn slice<T: Pod>(&self, place: Place, count: usize, part: &'static str) -> Result<&'data [T], ElfError> {
        let size = (count as u64).checked_mul(size_of::<T>() as u64).ok_or(ElfError::Malformed { part })?;
        self.bytes_at(place, size, part)?.read_slice_at(0, count).map_err(|()| ElfError::Malformed { part })
    }

    fn pod<T: Pod>(&self, place: Place, at: u64, part: &'static str) -> Result<&'data T, ElfError> {
        let end = at.checked_add(size_of::<T>() as u64).filter(|end| *end <= place.size);
        let read = end.and_then(|_| self.bytes.read_at(place.offset + at).ok());
        read.ok_or(ElfError::Malformed { part })
    }

    fn string(&self, at: u64) -> Result<String, ElfError> {
        let name = self.name(at)?;
        self.pay(name.len())?;
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Returns a string as it lies in the file.
    fn name(&self, at: u64) -> Result<&'data [u8], ElfError> {
        let at = u32::try_from(at).map_err(|_| ElfError::Malformed { part: STRINGS })?;
        self.strings.get(at).map_err(|()| ElfError::Malformed { part: STRINGS })
    }

    fn pay(&self, bytes: usize) -> Result<(), ElfError> {
        let left =
            self.budget.get().checked_sub(bytes as u64).ok_or(ElfError::Excessive { part: STRINGS })?;
        self.budget.set(left);
        Ok(())
    }
}
