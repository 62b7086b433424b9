//! Reads an index line by line and keeps what is asked for: a third of its bytes.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

/// The longest line of Debian's has 70 kB.
const LONGEST_LINE: u64 = 1 << 20;

/// Tells whether a field is ever asked for.
fn is_kept(field: &[u8]) -> bool {
    matches!(
        field,
        b"Package"
            | b"Version"
            | b"Architecture"
            | b"Source"
            | b"Priority"
            | b"Essential"
            | b"Multi-Arch"
            | b"Depends"
            | b"Pre-Depends"
            | b"Provides"
            | b"Conflicts"
            | b"Breaks"
            | b"Filename"
            | b"Size"
            | b"SHA256"
            | b"Installed-Size"
    )
}

/// Reads stanzas and keeps the fields that are asked for.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

/// Where the values by which a stanza is filed lie in the text, so that they are looked for once.
#[derive(Default)]
pub(super) struct Head {
    pub(super) name: Option<Range<usize>>,
    pub(super) version: Option<Range<usize>>,
    pub(super) arch: Option<Range<usize>>,
    pub(super) provides: Option<Range<usize>>,
    pub(super) is_last: bool,
}

impl Head {
    fn place(&mut self, field: &[u8]) -> Option<&mut Option<Range<usize>>> {
        match field {
            b"Package" => Some(&mut self.name),
            b"Version" => Some(&mut self.version),
            b"Architecture" => Some(&mut self.arch),
            b"Provides" => Some(&mut self.provides),
            _ => None,
        }
    }

    /// Makes the value that ended here so much longer.
    fn continue_at(&mut self, end: usize, count: usize) {
        let places = [&mut self.name, &mut self.version, &mut self.arch, &mut self.provides];
        for place in places.into_iter().flatten().filter(|place| place.end == end) {
            place.end += count;
        }
    }
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(256 * 1024, reader), line: Vec::new() }
    }

    /// Appends the next stanza's fields to a text.
    pub(super) fn take_stanza(&mut self, text: &mut String) -> io::Result<Head> {
        let mut head = Head::default();
        let mut keeps = false;
        loop {
            self.line.clear();
            let count = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
            if count as u64 == LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is too long"));
            }
            if count == 0 || self.line == b"\n" || self.line == b"\r\n" {
                return Ok(Head { is_last: count == 0, ..head });
            }
            if matches!(self.line[0], b' ' | b'\t') {
                head.continue_at(text.len(), if keeps { count } else { 0 });
            } else {
                let end = self.line.iter().position(|byte| *byte == b':').unwrap_or_default();
                keeps = is_kept(&self.line[..end]);
                if let Some(place) = head.place(&self.line[..end]) {
                    *place = Some(text.len() + end + 1..text.len() + count);
                }
            }
            if keeps {
                let line = std::str::from_utf8(&self.line)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8"))?;
                text.push_str(line);
                if !line.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
    }
}
