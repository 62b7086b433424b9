//! Sorts files by their names in bounded memory: runs that are sorted and packed, then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::blocks::{Packer, Unpacker};
use super::key;

/// How many bytes of keys and values are sorted at once.
const RUN: usize = 16 << 20;

/// How much of a run is packed into one piece.
const PIECE: usize = 128 * 1024;

/// How much the packed runs may take: five times what Debian's longest list does.
const MOST_PACKED: usize = 64 << 20;

/// Packed again soon, so that speed counts.
const LEVEL: i32 = 1;

/// A key and its value.
type OwnPair = (Box<[u8]>, Box<[u8]>);

/// Takes pairs in any order.
#[derive(Default)]
pub(super) struct Sorter {
    pairs: Vec<OwnPair>,
    bytes: usize,
    runs: Vec<Run>,
    packed: usize,
}

/// Sorted pairs, packed in pieces.
type Run = Vec<Vec<u8>>;

impl Sorter {
    /// Adds a file without a leading slash and the list of its packages.
    pub(super) fn add(&mut self, file: &str, packages: &str) -> io::Result<()> {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
        let key = key(name, directory).into_boxed_slice();
        self.bytes += key.len() + packages.len();
        self.pairs.push((key, packages.as_bytes().into()));
        if self.bytes >= RUN { self.end_run() } else { Ok(()) }
    }

    fn end_run(&mut self) -> io::Result<()> {
        self.pairs.sort_unstable();
        let mut run = Run::new();
        let mut piece = Packer::default();
        for (key, packages) in self.pairs.drain(..) {
            piece.add(&key, &packages);
            if piece.bytes.len() >= PIECE {
                run.extend(piece.take(LEVEL)?);
            }
        }
        run.extend(piece.take(LEVEL)?);
        self.bytes = 0;
        self.packed += run.iter().map(Vec::len).sum::<usize>();
        self.runs.push(run);
        if self.packed > MOST_PACKED {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more files than any archive has"));
        }
        Ok(())
    }

    /// Hands out all pairs in order.
    pub(super) fn merge(mut self, mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        self.end_run()?;
        let mut runs: Vec<Reader> = self.runs.into_iter().map(Reader::new).collect();
        let mut heads = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|(key, value)| Reverse((key, value, number))));
        }
        while let Some(Reverse((key, value, number))) = heads.pop() {
            take(&key, &value)?;
            heads.extend(runs[number].next()?.map(|(key, value)| Reverse((key, value, number))));
        }
        Ok(())
    }
}

/// Reads a run, of which one piece is unpacked at a time.
struct Reader {
    pieces: std::vec::IntoIter<Vec<u8>>,
    piece: Option<Unpacker>,
}

impl Reader {
    fn new(run: Run) -> Self {
        Self { pieces: run.into_iter(), piece: None }
    }

    fn next(&mut self) -> io::Result<Option<OwnPair>> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some(piece) = &mut self.piece
                && let Some((key, value)) = piece.next().map_err(damaged)?
            {
                return Ok(Some((key.into(), value.into())));
            }
            match self.pieces.next() {
                Some(packed) => self.piece = Some(Unpacker::new(&packed).map_err(damaged)?),
                None => return Ok(None),
            }
        }
    }
}
