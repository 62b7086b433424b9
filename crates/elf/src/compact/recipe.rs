//! How a new file is put together from parts of an old one.
//!
//! A recipe holds the few bytes that are new and says where the others are taken from, so that a library of a
//! gigabyte is written without being in memory.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// A file to be made from parts of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// In order and without gaps.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    /// Where it lies in the new file.
    range: Range<u64>,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Bytes of the old file, from this offset on.
    Old(u64),
    Zeros,
    New(Vec<u8>),
}

impl Source {
    /// Returns what is left of it after so many bytes.
    fn after(&self, bytes: u64) -> Self {
        match self {
            Source::Old(offset) => Source::Old(offset + bytes),
            Source::Zeros => Source::Zeros,
            Source::New(new) => Source::New(new[bytes as usize..].to_vec()),
        }
    }
}

impl Recipe {
    /// Makes a recipe for an empty file.
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// Returns how many bytes the new file has.
    pub fn length(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.range.end)
    }

    /// Returns the new file, read from the old one.
    pub fn view<R: Read + Seek>(&self, original: R) -> View<'_, R> {
        View { recipe: self, original, position: 0 }
    }

    /// Returns the new file's bytes.
    ///
    /// # Errors
    /// Those of reading the old file, which must be the one that the recipe was made for.
    pub fn bytes(&self, original: impl Read + Seek) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.length() as usize);
        self.view(original).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Adds a part of the old file at the end, after zeros up to where it is to lie.
    pub(super) fn push_old(&mut self, at: u64, old: Range<u64>) {
        self.pad(at);
        self.push(old.end - old.start, Source::Old(old.start));
    }

    /// Adds new bytes at the end, after zeros up to where they are to lie.
    pub(super) fn push_new(&mut self, at: u64, bytes: Vec<u8>) {
        self.pad(at);
        self.push(bytes.len() as u64, Source::New(bytes));
    }

    /// Makes the new file at least so long, with zeros.
    pub(super) fn pad(&mut self, length: u64) {
        self.push(length.saturating_sub(self.length()), Source::Zeros);
    }

    /// Puts new bytes over what was said before; the file becomes no longer.
    pub(super) fn patch(&mut self, at: u64, bytes: Vec<u8>) {
        let over = at..at + bytes.len() as u64;
        let mut patch = Some(Piece { range: over.clone(), source: Source::New(bytes) });
        let mut pieces = Vec::with_capacity(self.pieces.len() + 2);
        for piece in self.pieces.drain(..) {
            let Piece { range, source } = piece;
            if range.start < over.start {
                let end = range.end.min(over.start);
                pieces.push(Piece { range: range.start..end, source: source.clone() });
            }
            if range.end > over.start {
                pieces.extend(patch.take());
            }
            if range.end > over.end {
                let start = range.start.max(over.end);
                let source = source.after(start - range.start);
                pieces.push(Piece { range: start..range.end, source });
            }
        }
        self.pieces = pieces;
    }

    fn push(&mut self, bytes: u64, source: Source) {
        let start = self.length();
        if bytes > 0 {
            self.pieces.push(Piece { range: start..start + bytes, source });
        }
    }

    /// Returns the piece that holds a place; none at or after the end.
    fn at(&self, position: u64) -> Option<&Piece> {
        self.pieces.get(self.pieces.partition_point(|piece| piece.range.end <= position))
    }
}

/// A file that a [`Recipe`] describes, to be read like any other.
#[derive(Debug)]
pub struct View<'recipe, R> {
    recipe: &'recipe Recipe,
    original: R,
    position: u64,
}

impl<R: Read + Seek> Read for View<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(Piece { range, source }) = self.recipe.at(self.position) else { return Ok(0) };
        let within = self.position - range.start;
        let size = buffer.len().min((range.end - self.position) as usize);
        let buffer = &mut buffer[..size];
        match source {
            Source::Old(offset) => {
                self.original.seek(SeekFrom::Start(offset + within))?;
                self.original.read_exact(buffer)?;
            }
            Source::Zeros => buffer.fill(0),
            Source::New(bytes) => buffer.copy_from_slice(&bytes[within as usize..][..size]),
        }
        self.position += size as u64;
        Ok(size)
    }
}

impl<R> Seek for View<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.recipe.length().checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_patch_goes_over_pieces_and_splits_them() {
        let mut recipe = Recipe::new();
        recipe.push_old(0, 2..5);
        recipe.push_new(5, b"new".to_vec());
        recipe.push_old(8, 0..2);
        let bytes = |recipe: &Recipe| recipe.bytes(Cursor::new(b"abcdefgh")).unwrap();
        assert_eq!(bytes(&recipe), b"cde\0\0newab");
        let mut split = recipe.clone();
        split.patch(1, b"-".to_vec());
        assert_eq!(bytes(&split), b"c-e\0\0newab");
        recipe.patch(2, b"12345678".to_vec());
        assert_eq!(bytes(&recipe), b"cd12345678");
        recipe.patch(0, b"0".to_vec());
        assert_eq!(bytes(&recipe), b"0d12345678");
    }

    #[test]
    fn a_view_is_read_from_anywhere() {
        let mut recipe = Recipe::new();
        recipe.push_old(3, 1..4);
        let mut view = recipe.view(Cursor::new(b"abcdefgh"));
        assert_eq!(view.seek(SeekFrom::End(-2)).unwrap(), 4);
        let mut rest = String::new();
        view.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cd");
        assert!(view.seek(SeekFrom::Current(-7)).is_err());
    }
}
