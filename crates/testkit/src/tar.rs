//! Writes tar files, honest and dishonest ones.
//!
//! By hand, because libraries refuse the names, kinds and sizes that hostile archives have. Names and link
//! targets over 100 bytes get GNU `L` and `K` records, as dpkg and GNU tar write them; pax records only where
//! an entry asks for them.
//!
//! Spec: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>

/// What a tar entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to the target.
    Symlink(Vec<u8>),
    /// A hard link to another entry's name.
    Hardlink(Vec<u8>),
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// Whatever this type byte means.
    Other(u8),
}

/// One entry of a tar file; nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Its name, byte for byte as in the header.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u64,
    /// Its group's number.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// What follows its header.
    pub content: Vec<u8>,
    /// The size that the header claims, where it isn't the content's.
    pub claimed_size: Option<u64>,
    /// Records of a pax header in front of it.
    pub pax: Vec<(String, String)>,
}

impl TarEntry {
    /// Makes a regular file with mode 0644.
    pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> TarEntry {
        TarEntry { content: content.into(), ..TarEntry::new(name, TarKind::File, 0o644) }
    }

    /// Makes a directory with mode 0755; its name should end in a slash.
    pub fn dir(name: impl Into<Vec<u8>>) -> TarEntry {
        TarEntry::new(name, TarKind::Directory, 0o755)
    }

    /// Makes a symbolic link.
    pub fn symlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> TarEntry {
        TarEntry::new(name, TarKind::Symlink(target.into()), 0o777)
    }

    /// Makes a hard link to the entry called `target`.
    pub fn hardlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> TarEntry {
        TarEntry::new(name, TarKind::Hardlink(target.into()), 0o644)
    }

    /// Makes an entry of any kind, owned by root, from 2020-01-01, without content.
    pub fn new(name: impl Into<Vec<u8>>, kind: TarKind, mode: u32) -> TarEntry {
        TarEntry {
            name: name.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: crate::FIXTURE_TIME,
            content: Vec::new(),
            claimed_size: None,
            pax: Vec::new(),
        }
    }
}

/// Writes entries as one tar file, with its end marker.
pub fn tar(entries: &[TarEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        append(&mut out, entry);
    }
    out.extend([0; 1024]);
    out
}

fn append(out: &mut Vec<u8>, entry: &TarEntry) {
    if !entry.pax.is_empty() {
        let records: Vec<u8> = entry.pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
        let header = TarEntry::new("./PaxHeaders/x", TarKind::Other(b'x'), 0o644);
        append_plain(out, &TarEntry { content: records, ..header });
    }
    if entry.name.len() > 100 {
        append_plain(out, &long_record(b'L', &entry.name));
    }
    match &entry.kind {
        TarKind::Symlink(target) | TarKind::Hardlink(target) if target.len() > 100 => {
            append_plain(out, &long_record(b'K', target));
        }
        _ => {}
    }
    append_plain(out, entry);
}

fn long_record(kind: u8, text: &[u8]) -> TarEntry {
    let content = [text, b"\0"].concat();
    TarEntry { mtime: 0, content, ..TarEntry::new("././@LongLink", TarKind::Other(kind), 0o644) }
}

/// A record says its own length, the digits of that length included.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length);
    format!("{} {key}={value}\n", length.expect("some length fits")).into_bytes()
}

fn append_plain(out: &mut Vec<u8>, entry: &TarEntry) {
    let mut header = [0_u8; 512];
    put(&mut header[..100], &entry.name);
    octal(&mut header[100..108], u64::from(entry.mode));
    octal(&mut header[108..116], entry.uid);
    octal(&mut header[116..124], entry.gid);
    octal(&mut header[124..136], entry.claimed_size.unwrap_or(entry.content.len() as u64));
    octal(&mut header[136..148], entry.mtime);
    header[148..156].fill(b' ');
    header[257..265].copy_from_slice(b"ustar  \0");
    let kind = match &entry.kind {
        TarKind::File => b'0',
        TarKind::Hardlink(target) => {
            put(&mut header[157..257], target);
            b'1'
        }
        TarKind::Symlink(target) => {
            put(&mut header[157..257], target);
            b'2'
        }
        TarKind::CharDevice(major, minor) | TarKind::BlockDevice(major, minor) => {
            octal(&mut header[329..337], u64::from(*major));
            octal(&mut header[337..345], u64::from(*minor));
            if matches!(entry.kind, TarKind::CharDevice(..)) { b'3' } else { b'4' }
        }
        TarKind::Directory => b'5',
        TarKind::Fifo => b'6',
        TarKind::Other(byte) => *byte,
    };
    header[156] = kind;
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    put(&mut header[148..156], format!("{sum:06o}\0 ").as_bytes());
    out.extend(header);
    out.extend(&entry.content);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Numbers too large for octal digits are written in base 256, as GNU tar does.
fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let text = format!("{number:0digits$o}");
    if text.len() <= digits {
        put(field, text.as_bytes());
        return;
    }
    field.fill(0);
    field[0] = 0x80;
    let end = field.len();
    field[end - 8..].copy_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_tar;

    #[test]
    fn every_kind_of_entry_is_read_back_by_another_reader() {
        let long = format!("./{}", "long/".repeat(40));
        let pax = TarEntry { pax: vec![("path".into(), "./pax-name".into())], ..TarEntry::file("./x", "12") };
        let bytes = tar(&[
            TarEntry::dir("./"),
            TarEntry { uid: 65532, gid: 7, ..TarEntry::file("./a", "hello") },
            TarEntry::symlink("./l", "a"),
            TarEntry::symlink(format!("{long}l"), format!("{long}t")),
            TarEntry::hardlink("./h", "./a"),
            TarEntry::new("./dev/null", TarKind::CharDevice(1, 3), 0o666),
            TarEntry::new("./dev/sda", TarKind::BlockDevice(8, 0), 0o660),
            TarEntry::new("./pipe", TarKind::Fifo, 0o600),
            pax,
        ]);
        insta::assert_snapshot!(list_tar(&bytes).replace(&long, "LONG"), @r"
        ./ dir 0755 0:0 1577836800
        ./a file 0644 65532:7 1577836800 5
        ./l link 0777 0:0 1577836800 -> a
        LONGl link 0777 0:0 1577836800 -> LONGt
        ./h hard 0644 0:0 1577836800 -> ./a
        ./dev/null char 0666 0:0 1577836800
        ./dev/sda block 0660 0:0 1577836800
        ./pipe fifo 0600 0:0 1577836800
        ./pax-name file 0644 0:0 1577836800 2
        ");
    }
}
