//! Trees and archives as text, one line an entry, to be compared whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::sha256_hex;

/// Lists a tar file, uncompressed, in its own order: `NAME KIND MODE UID:GID MTIME [SIZE | -> TARGET]`.
///
/// Ends with a line that says so where the file breaks off or isn't tar.
pub fn list_tar(bytes: &[u8]) -> String {
    let mut archive = ::tar::Archive::new(bytes);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return format!("(not a tar file: {error})\n"),
    };
    entries
        .map(|entry| entry.map_or_else(|error| format!("(broken: {error})\n"), |entry| tar_line(&entry)))
        .collect()
}

fn tar_line(entry: &::tar::Entry<'_, &[u8]>) -> String {
    use ::tar::EntryType;
    let header = entry.header();
    let number = |result: std::io::Result<u64>| result.map_or("?".to_owned(), |number| number.to_string());
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => "file",
        EntryType::Directory => "dir",
        EntryType::Symlink => "link",
        EntryType::Link => "hard",
        EntryType::Char => "char",
        EntryType::Block => "block",
        EntryType::Fifo => "fifo",
        _ => "other",
    };
    let tail = match (kind, entry.link_name_bytes()) {
        ("link" | "hard", Some(target)) => format!(" -> {}", String::from_utf8_lossy(&target)),
        ("file", _) => format!(" {}", entry.size()),
        _ => String::new(),
    };
    format!(
        "{} {kind} {:04o} {}:{} {}{tail}\n",
        String::from_utf8_lossy(&entry.path_bytes()),
        header.mode().unwrap_or(0),
        number(header.uid()),
        number(header.gid()),
        number(header.mtime()),
    )
}

/// Lists everything below a directory, sorted by path, without owners and times, which depend on who runs the test:
/// `/PATH dir MODE`, `/PATH file MODE SIZE SHA256[..8]`, `/PATH link TARGET`.
///
/// # Panics
/// If something can't be read.
pub fn tree_dump(dir: impl AsRef<Path>) -> String {
    let mut out = String::new();
    dump_into(&mut out, dir.as_ref(), "");
    out
}

fn dump_into(out: &mut String, dir: &Path, prefix: &str) {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", dir.display()))
        .map(|entry| entry.expect("a readable directory").file_name())
        .collect();
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let shown = format!("{prefix}/{}", name.to_string_lossy());
        let meta = fs::symlink_metadata(&path).expect("an entry that was just listed");
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_symlink() {
            let target = fs::read_link(&path).expect("a link that was just listed");
            out.push_str(&format!("{shown} link {}\n", target.display()));
        } else if meta.is_dir() {
            out.push_str(&format!("{shown} dir {mode:04o}\n"));
            dump_into(out, &path, &shown);
        } else if meta.is_file() {
            let content = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {shown}: {error}"));
            out.push_str(&format!(
                "{shown} file {mode:04o} {} {}\n",
                content.len(),
                &sha256_hex(&content)[..8]
            ));
        } else {
            out.push_str(&format!("{shown} other {mode:04o}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TarEntry, tar};

    #[test]
    fn a_directory_is_listed_in_order_with_contents_and_targets() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "abc").unwrap();
        fs::set_permissions(dir.path().join("d"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.path().join("d/f"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("d/f", dir.path().join("a")).unwrap();
        insta::assert_snapshot!(tree_dump(dir.path()), @r"
        /a link d/f
        /d dir 0755
        /d/f file 0640 3 ba7816bf
        ");
    }

    #[test]
    fn a_tar_file_that_breaks_off_says_so() {
        let bytes = tar(&[TarEntry::file("a", "x".repeat(2000))]);
        assert_eq!(
            list_tar(&bytes[..1000]),
            "a file 0644 0:0 1577836800 2000\n(broken: unexpected EOF during skip)\n"
        );
    }
}
