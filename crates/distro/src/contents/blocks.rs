//! Sorted pairs in compressed blocks, and the table by which the right block is found.
//!
//! ```text
//! minke contents 1\n
//! block…              zstd; pairs, each: bytes shared with the key before, rest of the key, value (lengths are LEB128)
//! table               zstd; for each block: length of its first key, the key, its offset, its length
//! trailer             offset of the table, length of the table, number of pairs (three little-endian u64)
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::ContentsError;

const MAGIC: &[u8] = b"minke contents 1\n";

/// How much is packed into one block: what a question unpacks, in less than a millisecond.
const BLOCK: usize = 128 * 1024;

/// A block has one pair more than fits, whose length the reader of lists bounds.
const LONGEST_BLOCK: usize = BLOCK + (4 << 20);

/// A table of a million blocks would be of a list a hundred times as long as Debian's.
const LONGEST_TABLE: usize = 64 << 20;

const TRAILER: usize = 24;

const LEVEL: i32 = 9;

/// Writes pairs, which come in order, as blocks with a table.
pub(super) struct BlocksWriter<W> {
    out: W,
    offset: u64,
    block: Packer,
    first: Vec<u8>,
    table: Vec<u8>,
    pairs: u64,
}

impl<W: Write> BlocksWriter<W> {
    pub(super) fn new(out: W) -> Self {
        let (block, first, table) = (Packer::default(), Vec::new(), Vec::new());
        Self { out, offset: 0, block, first, table, pairs: 0 }
    }

    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.offset == 0 {
            self.write(MAGIC)?;
        }
        if self.block.bytes.is_empty() {
            self.first = key.to_vec();
        }
        self.block.add(key, value);
        self.pairs += 1;
        if self.block.bytes.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Writes what is left and the table; returns how many pairs there are.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        if self.offset == 0 {
            self.write(MAGIC)?;
        }
        self.end_block()?;
        let table = zstd::bulk::compress(&self.table, LEVEL)?;
        let (at, length) = (self.offset, table.len() as u64);
        self.write(&table)?;
        let trailer = [at, length, self.pairs].map(u64::to_le_bytes).concat();
        self.write(&trailer)?;
        self.out.flush()?;
        Ok(self.pairs)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some(packed) = self.block.take(LEVEL)? else { return Ok(()) };
        push_bytes(&mut self.table, &self.first);
        push_number(&mut self.table, self.offset);
        push_number(&mut self.table, packed.len() as u64);
        self.write(&packed)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Packs pairs whose keys share their beginnings.
#[derive(Default)]
pub(super) struct Packer {
    pub(super) bytes: Vec<u8>,
    last: Vec<u8>,
}

impl Packer {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let shared = self.last.iter().zip(key).take_while(|(one, other)| one == other).count();
        push_number(&mut self.bytes, shared as u64);
        push_bytes(&mut self.bytes, &key[shared..]);
        push_bytes(&mut self.bytes, value);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
    }

    /// Returns the pairs so far, compressed, and starts anew; none if there are none.
    pub(super) fn take(&mut self, level: i32) -> io::Result<Option<Vec<u8>>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let packed = zstd::bulk::compress(&self.bytes, level)?;
        self.bytes.clear();
        self.last.clear();
        Ok(Some(packed))
    }
}

/// A key and its value.
pub(super) type Pair<'bytes> = (&'bytes [u8], &'bytes [u8]);

/// Unpacks pairs, one after the other.
pub(super) struct Unpacker {
    bytes: Vec<u8>,
    at: usize,
    key: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new(packed: &[u8]) -> Result<Self, ContentsError> {
        let bytes = zstd::bulk::decompress(packed, LONGEST_BLOCK).map_err(|_| ContentsError::Damaged)?;
        Ok(Self { bytes, at: 0, key: Vec::new() })
    }

    /// Returns the next key and value, none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Pair<'_>>, ContentsError> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let shared = number(&mut rest).and_then(|shared| usize::try_from(shared).ok());
        let shared = shared.filter(|shared| *shared <= self.key.len()).ok_or(ContentsError::Damaged)?;
        let end = bytes(&mut rest).ok_or(ContentsError::Damaged)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(end);
        let value = bytes(&mut rest).ok_or(ContentsError::Damaged)?;
        self.at = self.bytes.len() - rest.len();
        Ok(Some((&self.key, value)))
    }
}

/// Blocks in a file, of which the table is in memory.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    /// The first key of each block, and where it lies.
    table: Vec<(Vec<u8>, u64, usize)>,
}

impl Blocks {
    pub(super) fn open(file: File) -> Result<Self, ContentsError> {
        let length = file.metadata().map_err(ContentsError::Read)?.len();
        let trailer_at = length.checked_sub(TRAILER as u64).ok_or(ContentsError::Damaged)?;
        let magic = read_at(&file, 0, MAGIC.len())?;
        let trailer = read_at(&file, trailer_at, TRAILER)?;
        let word = |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().expect("eight bytes"));
        let (table_at, table_length) = (word(0), word(8));
        let is_right = magic == MAGIC && table_at.checked_add(table_length) == Some(trailer_at);
        let table_length = usize::try_from(table_length).ok().filter(|length| *length <= LONGEST_TABLE);
        let table_length = table_length.filter(|_| is_right).ok_or(ContentsError::Damaged)?;
        let packed = read_at(&file, table_at, table_length)?;
        let table = zstd::bulk::decompress(&packed, LONGEST_TABLE).map_err(|_| ContentsError::Damaged)?;
        let mut rest = table.as_slice();
        let mut table = Vec::new();
        while !rest.is_empty() {
            let first = bytes(&mut rest).ok_or(ContentsError::Damaged)?.to_vec();
            let offset = number(&mut rest).ok_or(ContentsError::Damaged)?;
            let length = number(&mut rest).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| *length <= LONGEST_BLOCK).ok_or(ContentsError::Damaged)?;
            table.push((first, offset, length));
        }
        Ok(Self { file, table })
    }

    #[cfg(test)]
    pub(super) fn length(&self) -> usize {
        self.table.len()
    }

    /// Visits the pairs from a key on, in order, until `visit` says no.
    pub(super) fn from(
        &self,
        key: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, ContentsError>,
    ) -> Result<(), ContentsError> {
        // The block before the first one that begins later may end with what is wanted.
        let start = self.table.partition_point(|(first, _, _)| first.as_slice() <= key).saturating_sub(1);
        for (_, offset, length) in &self.table[start..] {
            let mut pairs = Unpacker::new(&read_at(&self.file, *offset, *length)?)?;
            while let Some((found, value)) = pairs.next()? {
                if found >= key && !visit(found, value)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn read_at(file: &File, offset: u64, length: usize) -> Result<Vec<u8>, ContentsError> {
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ContentsError::Damaged),
        Err(error) => Err(ContentsError::Read(error)),
    }
}

fn push_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn push_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    push_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn bytes<'bytes>(from: &mut &'bytes [u8]) -> Option<&'bytes [u8]> {
    let length = usize::try_from(number(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}
