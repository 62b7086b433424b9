//! Writes zip files, honest and dishonest ones.
//!
//! By hand, because libraries refuse the names, flags and sizes that hostile archives have. No zip64: fixtures are
//! small.
//!
//! Spec: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::Write as _;

use flate2::Crc;
use flate2::write::DeflateEncoder;

/// The lie that an entry of a zip file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZipLie {
    /// The local header gives another name than the central directory.
    LocalName(Vec<u8>),
    /// Both headers admit to this many bytes of content, whatever there is.
    Size(u32),
    /// Both headers give a wrong checksum.
    Checksum,
    /// The headers say that the content is encrypted.
    Encrypted,
    /// The headers name a method of compression that nobody knows.
    Method,
}

/// One entry of a zip file; nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipEntry {
    /// Its name, byte for byte as in the headers.
    pub name: Vec<u8>,
    /// Its content: for a symbolic link, the target.
    pub content: Vec<u8>,
    /// The Unix mode with the file's type: `0o100644`, `0o040755`, `0o120777`.
    pub mode: u32,
    /// What is wrong with it.
    pub lie: Option<ZipLie>,
}

impl ZipEntry {
    /// Makes a regular file with mode 0644.
    pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> ZipEntry {
        ZipEntry { name: name.into(), content: content.into(), mode: 0o100_644, lie: None }
    }

    /// Makes a symbolic link.
    pub fn symlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> ZipEntry {
        ZipEntry { mode: 0o120_777, ..ZipEntry::file(name, target) }
    }

    /// Makes a directory; its name should end in a slash.
    pub fn dir(name: impl Into<Vec<u8>>) -> ZipEntry {
        ZipEntry { mode: 0o040_755, ..ZipEntry::file(name, "") }
    }
}

/// Writes entries as one zip file: deflated, dated 2020-01-01, made on Unix.
pub fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        append(&mut out, &mut directory, entry);
    }
    let count = short(entries.len());
    let (offset, size) = (long(out.len()), long(directory.len()));
    out.extend(directory);
    out.extend(*b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn append(out: &mut Vec<u8>, directory: &mut Vec<u8>, entry: &ZipEntry) {
    let mut checksum = Crc::new();
    checksum.update(&entry.content);
    let packed = deflated(&entry.content);
    let local_name = match &entry.lie {
        Some(ZipLie::LocalName(name)) => name,
        _ => &entry.name,
    };
    let size = match entry.lie {
        Some(ZipLie::Size(size)) => size,
        _ => long(entry.content.len()),
    };
    // Bit 11: the name is UTF-8.
    let flags: u16 = if entry.lie == Some(ZipLie::Encrypted) { 0x0801 } else { 0x0800 };
    let method: u16 = if entry.lie == Some(ZipLie::Method) { 77 } else { 8 };
    let wrong = u32::from(entry.lie == Some(ZipLie::Checksum));
    let mut common = Vec::new();
    common.extend(20_u16.to_le_bytes());
    common.extend(flags.to_le_bytes());
    common.extend(method.to_le_bytes());
    common.extend(0_u16.to_le_bytes());
    common.extend(((40_u16 << 9) | (1 << 5) | 1).to_le_bytes());
    common.extend((checksum.sum() ^ wrong).to_le_bytes());
    common.extend(long(packed.len()).to_le_bytes());
    common.extend(size.to_le_bytes());

    let offset = long(out.len());
    out.extend(*b"PK\x03\x04");
    out.extend(&common);
    out.extend(short(local_name.len()).to_le_bytes());
    out.extend([0, 0]);
    out.extend(local_name);
    out.extend(packed);

    directory.extend(*b"PK\x01\x02");
    directory.extend([20, 3]);
    directory.extend(&common);
    directory.extend(short(entry.name.len()).to_le_bytes());
    directory.extend([0; 8]);
    directory.extend((entry.mode << 16).to_le_bytes());
    directory.extend(offset.to_le_bytes());
    directory.extend(&entry.name);
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn short(number: usize) -> u16 {
    u16::try_from(number).expect("fixtures need no zip64")
}

fn long(number: usize) -> u32 {
    u32::try_from(number).expect("fixtures need no zip64")
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    fn read(entry: ZipEntry) -> Result<String, String> {
        let bytes = zip(&[entry]);
        let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let mut file = archive.by_index(0).map_err(|error| error.to_string())?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        Ok(format!("{} {:o} {text}", file.name().unwrap(), file.unix_mode().unwrap()))
    }

    #[test]
    fn another_reader_finds_names_modes_and_contents() {
        assert_eq!(read(ZipEntry::file("a/é", "hello")).unwrap(), "a/é 100644 hello");
        assert_eq!(read(ZipEntry::symlink("l", "../x")).unwrap(), "l 120777 ../x");
        assert_eq!(read(ZipEntry::dir("d/")).unwrap(), "d/ 40755 ");
    }

    #[test]
    fn another_reader_finds_the_lies() {
        let lying = |lie| read(ZipEntry { lie: Some(lie), ..ZipEntry::file("a", "hello") }).unwrap_err();
        assert_eq!(lying(ZipLie::Checksum), "Invalid checksum");
        assert_eq!(lying(ZipLie::Encrypted), "unsupported Zip archive: Password required to decrypt file");
    }
}
