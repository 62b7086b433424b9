//! Reads a Contents file line by line and keeps what a build or a loader could miss.
//!
//! Kept: what lies below the directories of programs, libraries and headers; and of `/usr/share` what tells builds of
//! them. Left out are kernels, debug symbols, cross compilers, and Python's own packages, which come as wheels: five
//! files of six.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

/// The longest line of Debian's has 5 kB.
const LONGEST_LINE: u64 = 1 << 20;

/// `usr/lib32`, `usr/lib64` and `usr/libexec` begin like `usr/lib`.
const KEPT: [&str; 4] = ["usr/bin/", "usr/sbin/", "usr/lib", "usr/include/"];

const LEFT_OUT: [&str; 4] = ["usr/lib/debug/", "usr/lib/gcc-cross/", "usr/lib/modules/", "usr/lib/python3/"];

/// What is asked for below `/usr/share`, by what it lies below or ends in.
const SHARED: [&str; 3] = ["usr/share/pkgconfig/", "usr/share/cmake", "usr/share/aclocal"];
const SHARED_ENDINGS: [&str; 5] = [".pc", ".cmake", ".m4", ".h", ".hpp"];

/// What lay at the root before it was merged into `/usr`.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Hands out each file that is kept, without a leading slash, with the names of its packages, parted by commas.
pub(super) fn read(bytes: impl Read, mut keep: impl FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, bytes);
    let mut line = Vec::new();
    let mut names = String::new();
    loop {
        line.clear();
        let count = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if count as u64 == LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is too long"));
        }
        if count == 0 {
            return Ok(());
        }
        // Nobody asks for a path that isn't text. A heading, as old lists have one, is no path that is kept.
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        // Paths may have blanks; the list of packages has none.
        let Some((path, packages)) = text.trim_end().rsplit_once([' ', '\t']) else { continue };
        let path = path.trim_end().trim_start_matches("./").trim_start_matches('/');
        if !may_be_kept(path) {
            continue;
        }
        let path = merged(path);
        if !is_kept(&path) {
            continue;
        }
        names.clear();
        for package in packages.split(',') {
            // `libs/libfoo`, or `contrib/libs/libfoo`.
            let name = package.rsplit('/').next().unwrap_or(package);
            names.push_str(if names.is_empty() { "" } else { "," });
            names.push_str(name);
        }
        keep(&path, &names)?;
    }
}

/// Rewrites a path that lay at the root before the merge; without a leading slash.
pub(super) fn merged(path: &str) -> Cow<'_, str> {
    let first = path.split('/').next().unwrap_or(path);
    if MERGED.contains(&first) { format!("usr/{path}").into() } else { path.into() }
}

/// Tells quickly of most paths that they aren't kept: four of five are documentation, icons and translations.
fn may_be_kept(path: &str) -> bool {
    !path.starts_with("usr/share/doc/") && !path.contains('\0')
}

fn is_kept(path: &str) -> bool {
    if path.starts_with("usr/share/") {
        return SHARED.iter().any(|start| path.starts_with(start))
            || SHARED_ENDINGS.iter().any(|end| path.ends_with(end));
    }
    KEPT.iter().any(|start| path.starts_with(start)) && !LEFT_OUT.iter().any(|start| path.starts_with(start))
}
