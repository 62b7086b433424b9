//! The entries of the dynamic segment, as numbers that can be changed.

use std::ops::Range;

use super::{Edit, Search};
use crate::compact::raw::{Format, Image};

pub(super) const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
const PT_DYNAMIC: u32 = 2;

/// The entries up to the one that ends them, and the names they refer to.
pub(super) struct Entries {
    /// Which program header has them.
    pub(super) program: usize,
    /// Tags and values.
    pub(super) list: Vec<(u64, u64)>,
    /// All names, as one table.
    pub(super) names: Vec<u8>,
    /// How long the table of names was.
    pub(super) old_names: usize,
    /// Where the table of names is in memory.
    pub(super) names_at: u64,
}

impl Entries {
    /// Reads the entries; none if there are none, or if they make no sense.
    pub(super) fn read(image: &Image, bytes: &[u8]) -> Option<Self> {
        let program = image.programs.iter().position(|program| program.kind == PT_DYNAMIC)?;
        let range = image.programs[program].range();
        let segment = bytes.get(range.start as usize..range.end as usize)?;
        let word = image.format.word_size() as usize;
        let number = |bytes: &[u8]| image.format.number(bytes);
        let list: Vec<(u64, u64)> = segment
            .chunks_exact(2 * word)
            .map(|entry| (number(&entry[..word]), number(&entry[word..])))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let mut entries = Self { program, list, names: Vec::new(), old_names: 0, names_at: 0 };
        entries.names_at = entries.value(DT_STRTAB)?;
        let size = entries.value(DT_STRSZ)?;
        let at = offset(image, entries.names_at, size)?;
        entries.names = bytes[at..at + size as usize].to_vec();
        entries.old_names = entries.names.len();
        Some(entries)
    }

    fn value(&self, tag: u64) -> Option<u64> {
        self.list.iter().rfind(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    /// Changes entries and adds names; other tables that name libraries are for [`Entries::version_names`].
    pub(super) fn apply(&mut self, edit: &Edit) {
        let mut list = Vec::with_capacity(self.list.len() + edit.added.len() + 2);
        let mut needed_end = 0;
        for (tag, value) in std::mem::take(&mut self.list) {
            let value = match tag {
                DT_NEEDED => match edit.needed.get(&self.name(value)) {
                    None => value,
                    Some(Some(new)) => self.add(new),
                    Some(None) => continue,
                },
                DT_RPATH | DT_RUNPATH if edit.search != Search::Keep => continue,
                DT_SONAME if edit.soname.is_some() => continue,
                _ => value,
            };
            list.push((tag, value));
            if tag == DT_NEEDED {
                needed_end = list.len();
            }
        }
        let added = edit.added.iter().map(|name| (DT_NEEDED, name));
        let soname = edit.soname.iter().map(|name| (DT_SONAME, name));
        let runpath = match &edit.search {
            Search::Runpath(path) => Some((DT_RUNPATH, path)),
            Search::Keep | Search::Default => None,
        };
        let new: Vec<_> =
            added.chain(soname).chain(runpath).map(|(tag, name)| (tag, self.add(name))).collect();
        list.splice(needed_end..needed_end, new);
        self.list = list;
    }

    /// Says where the names are now.
    pub(super) fn move_names(&mut self, at: u64) {
        for (tag, value) in &mut self.list {
            match *tag {
                DT_STRTAB => *value = at,
                DT_STRSZ => *value = self.names.len() as u64,
                _ => {}
            }
        }
    }

    /// Returns what to write where in the file, so that versions are asked of libraries by their new names.
    pub(super) fn version_names(
        &mut self,
        image: &Image,
        bytes: &[u8],
        edit: &Edit,
    ) -> Option<Vec<(usize, u32)>> {
        let mut changes = Vec::new();
        let Some(mut address) = self.value(DT_VERNEED) else { return Some(changes) };
        const SIZE: u64 = 16;
        // The reader of facts has followed the list to its end before.
        for _ in 0..self.value(DT_VERNEEDNUM)?.min(1 << 16) {
            let at = offset(image, address, SIZE)?;
            let word = |from: usize| image.format.number(&bytes[at + from..at + from + 4]);
            if let Some(Some(new)) = edit.needed.get(&self.name(word(4))) {
                changes.push((at + 4, u32::try_from(self.add(new)).ok()?));
            }
            match word(12) {
                0 => break,
                next => address = address.checked_add(next)?,
            }
        }
        Some(changes)
    }

    /// Writes the entries, with the one that ends them.
    pub(super) fn bytes(&self, format: Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, value) in self.list.iter().copied().chain([(0, 0)]) {
            format.push(format.word_size(), tag, &mut bytes);
            format.push(format.word_size(), value, &mut bytes);
        }
        bytes
    }

    fn name(&self, at: u64) -> String {
        let rest = usize::try_from(at).ok().and_then(|at| self.names.get(at..)).unwrap_or_default();
        let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// Returns where a name is in the table, which it may be as the end of another.
    fn add(&mut self, name: &str) -> u64 {
        let ended: Vec<u8> = name.bytes().chain([0]).collect();
        let known = self.names.windows(ended.len()).position(|window| window == ended);
        known.unwrap_or_else(|| {
            // A table that doesn't end as it should must not lend its last name to the first new one.
            if self.names.last() != Some(&0) {
                self.names.push(0);
            }
            self.names.extend(&ended);
            self.names.len() - ended.len()
        }) as u64
    }
}

/// Returns where in the file so many bytes from an address on lie.
pub(super) fn offset(image: &Image, address: u64, size: u64) -> Option<usize> {
    let holds = |range: &Range<u64>| {
        range.start <= address && address.checked_add(size).is_some_and(|end| end <= range.end)
    };
    let load =
        image.loads().find(|load| holds(&(load.address..load.address.saturating_add(load.file_bytes))))?;
    usize::try_from(load.offset + (address - load.address)).ok()
}
