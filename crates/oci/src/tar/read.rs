//! Reads foreign tars: member by member, without ever holding more than a header in memory.
//!
//! Knows ustar, pax and GNU long names, numbers in octal and base 256. Sparse members are refused; pax
//! times, owner names and extended attributes are passed over, and so are global pax headers.

use std::io::{self, Read};

use minke_cas::{Mode, Owner};

use super::{BLOCK, USTAR, checksum, field};

/// More than any path or set of attributes that a file system can hold.
const MAX_EXTENSION: u64 = 1024 * 1024;

/// No file system has larger files; what is added to it cannot overflow.
const MAX_SIZE: u64 = 1 << 60;

/// Reads a tar; as a [`Read`] it gives the content of the current member.
pub(crate) struct TarReader<R> {
    input: R,
    /// Of the current member's content.
    left: u64,
    padding: u64,
}

/// A member's header, extensions applied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) mode: Mode,
    pub(crate) owner: Owner,
    pub(crate) size: u64,
}

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink {
        target: String,
    },
    HardLink {
        target: String,
    },
    /// A device, a FIFO, or something that no image needs.
    Other,
}

/// A tar is not one, or holds what cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes end inside a member, or the reader below failed.
    #[error("the tar cannot be read to its end")]
    Input(#[source] io::Error),
    /// A header's checksum or one of its numbers is wrong.
    #[error("the tar has a damaged header after `{after}`")]
    Header {
        /// The last member that was read.
        after: String,
    },
    /// A name is not UTF-8.
    #[error("the tar has a name that is not UTF-8: `{name}`")]
    Name {
        /// The name, with what isn't UTF-8 replaced.
        name: String,
    },
    /// A pax header or long name is larger than any that makes sense.
    #[error("the tar has a header of {size} bytes")]
    Extension {
        /// How large it says it is.
        size: u64,
    },
    /// A member is sparse.
    #[error("`{path}` is a sparse file, which layers should not have")]
    Sparse {
        /// Which one.
        path: String,
    },
}

/// What pax and GNU headers say about the member that follows.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    sparse: bool,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// Passes over what is left of the current member and reads the next one's header; none at the end.
    pub(crate) fn next(&mut self, after: &str) -> Result<Option<Header>, TarError> {
        let damaged = || TarError::Header { after: after.to_owned() };
        let mut extensions = Extensions::default();
        loop {
            self.skip().map_err(TarError::Input)?;
            let Some(block) = self.block().map_err(TarError::Input)? else { return Ok(None) };
            if number(&block[field::CHECKSUM]) != Some(checksum(&block)) {
                return Err(damaged());
            }
            let size = number(&block[field::SIZE]).filter(|size| *size <= MAX_SIZE).ok_or_else(damaged)?;
            match block[field::TYPE] {
                b'x' => extensions.read_pax(&self.extension(size)?).ok_or_else(damaged)?,
                b'L' => extensions.path = Some(until_nul(&self.extension(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.extension(size)?).to_vec()),
                b'g' => self.expect_content(size),
                _ => {
                    let header = extensions.apply(&block, size)?.ok_or_else(damaged)?;
                    self.expect_content(header.size);
                    return Ok(Some(header));
                }
            }
        }
    }

    /// Returns the input, which stands at the current member's content if that wasn't read.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// Passes over all that is left, the bytes after the end marker included, and gives the input back.
    pub(crate) fn finish(mut self) -> Result<R, TarError> {
        io::copy(&mut self.input, &mut io::sink()).map_err(TarError::Input)?;
        Ok(self.input)
    }

    fn expect_content(&mut self, size: u64) {
        self.left = size;
        self.padding = super::padding(size);
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::Extension { size });
        }
        self.expect_content(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(TarError::Input)?;
        Ok(bytes)
    }

    fn skip(&mut self) -> io::Result<()> {
        let (left, padding) = (self.left, self.padding);
        (self.left, self.padding) = (0, 0);
        let mut pass = |count| io::copy(&mut (&mut self.input).take(count), &mut io::sink());
        if pass(left)? < left {
            return Err(cut_short());
        }
        // umoci ends a layer that it inserts with the last content, and Go's reader, which all runtimes use, takes that.
        pass(padding).map(|_| ())
    }

    /// Reads a header block; none at the end of the input or at a block of zeros.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut bytes = Vec::with_capacity(BLOCK);
        (&mut self.input).take(BLOCK as u64).read_to_end(&mut bytes)?;
        match <[u8; BLOCK]>::try_from(bytes) {
            Ok(block) => Ok((block != [0; BLOCK]).then_some(block)),
            Err(bytes) if bytes.is_empty() => Ok(None),
            Err(_) => Err(cut_short()),
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.input.read(&mut buffer[..wanted])? {
            0 => Err(cut_short()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Extensions {
    /// Reads `LENGTH KEY=VALUE\n`, again and again; none if that isn't what is there.
    fn read_pax(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
            bytes = &bytes[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let decimal = || std::str::from_utf8(value).ok()?.parse().ok();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal()?),
                b"uid" => self.uid = Some(decimal()?),
                b"gid" => self.gid = Some(decimal()?),
                _ => self.sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Some(())
    }

    /// Puts a header together with what came before it; none if one of its numbers is wrong.
    fn apply(self, block: &[u8; BLOCK], size: u64) -> Result<Option<Header>, TarError> {
        let path = text(self.path.unwrap_or_else(|| header_path(block)))?;
        let target = text(self.link.unwrap_or_else(|| until_nul(&block[field::LINK]).to_vec()))?;
        let kind = match block[field::TYPE] {
            b'S' => return Err(TarError::Sparse { path }),
            _ if self.sparse => return Err(TarError::Sparse { path }),
            b'5' => Kind::Directory,
            // Before ustar, a directory was a file whose name ends in a slash.
            b'0' | b'\0' if path.ends_with('/') => Kind::Directory,
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::HardLink { target },
            b'2' => Kind::Symlink { target },
            _ => Kind::Other,
        };
        // A hard link may say the size of what it links to, but nothing follows it.
        let size = match kind {
            Kind::File | Kind::Other => self.size.unwrap_or(size),
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => 0,
        };
        let id = |said: Option<u64>, field| u32::try_from(said.or_else(|| number(field))?).ok();
        let uid = id(self.uid, &block[field::UID]);
        let gid = id(self.gid, &block[field::GID]);
        let (Some(uid), Some(gid), Some(mode)) = (uid, gid, number(&block[field::MODE])) else {
            return Ok(None);
        };
        let mode = Mode::from_bits((mode & 0o7777) as u32);
        Ok((size <= MAX_SIZE).then_some(Header { path, kind, mode, owner: Owner { uid, gid }, size }))
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut short")
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn text(bytes: Vec<u8>) -> Result<String, TarError> {
    String::from_utf8(bytes)
        .map_err(|error| TarError::Name { name: String::from_utf8_lossy(error.as_bytes()).into_owned() })
}

fn header_path(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&block[field::NAME]);
    let prefix = until_nul(&block[field::PREFIX]);
    // GNU's headers keep times where the prefix would be.
    if prefix.is_empty() || block[field::MAGIC][..6] != USTAR[..6] {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// Reads octal digits between blanks and NULs, or GNU's big-endian base 256; an empty field is 0.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let positive = field[0] == 0x80;
        let (high, low) = field[1..].split_at(field.len().saturating_sub(9));
        let fits = positive && high.iter().all(|byte| *byte == 0);
        return fits.then(|| low.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    }
    let digits = std::str::from_utf8(until_nul(field)).ok()?.trim_matches(' ');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(Header, Vec<u8>)>, TarError> {
        let mut reader = TarReader::new(bytes);
        let mut members = Vec::new();
        while let Some(header) = reader.next("")? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).map_err(TarError::Input)?;
            members.push((header, content));
        }
        Ok(members)
    }

    fn gnu(path: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(5_000_000);
        header.set_gid(7);
        builder.append_data(&mut header, path, content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_tar_of_another_writer_is_read() {
        let path = "long/".repeat(60) + "name";
        let members = all(&gnu(&path, b"content")).unwrap();
        let header = Header {
            path,
            kind: Kind::File,
            mode: Mode::from_bits(0o640),
            owner: Owner { uid: 5_000_000, gid: 7 },
            size: 7,
        };
        assert_eq!(members, [(header, b"content".to_vec())]);
    }

    #[test]
    fn a_tar_that_is_cut_short_is_refused() {
        let whole = gnu("file", &[7; 1000]);
        for length in [1, 100, 513, 1500] {
            assert!(matches!(all(&whole[..length]), Err(TarError::Input(_))), "{length}");
        }
    }

    #[test]
    fn a_damaged_header_is_refused() {
        let mut bytes = gnu("file", b"");
        bytes[3] = b'x';
        assert_eq!(all(&bytes).unwrap_err().to_string(), "the tar has a damaged header after ``");
    }

    #[test]
    fn an_enormous_name_is_refused_before_it_is_read() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        assert_eq!(
            all(header.as_bytes()).unwrap_err().to_string(),
            "the tar has a header of 1099511627776 bytes"
        );
    }

    proptest! {
        /// Whatever the bytes are, reading them ends without a panic.
        #[test]
        fn any_bytes_are_read_or_refused(
            type_flag in prop::sample::select(b"0125xgLKS7".to_vec()),
            field in prop::collection::vec(any::<u8>(), 0..200),
            at in 0usize..300,
            content in prop::collection::vec(any::<u8>(), 0..2048),
        ) {
            let mut block = [0; BLOCK];
            block[field::NAME][..4].copy_from_slice(b"name");
            block[field::MAGIC].copy_from_slice(USTAR);
            block[field::SIZE][..5].copy_from_slice(b"00400");
            block[at..at + field.len()].copy_from_slice(&field);
            block[field::TYPE] = type_flag;
            let sum = format!("{:06o}\0 ", checksum(&block));
            block[field::CHECKSUM].copy_from_slice(sum.as_bytes());
            let _ = all(&[&block[..], &content].concat());
        }
    }
}
