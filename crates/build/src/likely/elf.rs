//! Texts in ELF files that are sonames.
//!
//! No section is looked up: whatever lies between two zero bytes is a text, the names of symbols among them.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// How much is looked at at once.
const CHUNK: usize = 1 << 20;

/// What a file calls that loads libraries.
const LOADER: &[u8] = b"dlopen";

/// No soname is longer.
const LONGEST: usize = 64;

/// Returns the texts that are sonames with a version, such as `libEGL.so.1`; none of a file that has no `dlopen`.
pub(super) fn sonames(mut reader: impl Read) -> io::Result<BTreeSet<String>> {
    let (mut found, mut is_loader) = (BTreeSet::new(), false);
    // A zero byte before the first one; of each chunk the end is looked at again, for a name may lie across.
    let mut bytes = vec![0];
    loop {
        let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut bytes)?;
        for text in bytes.split(|byte| *byte == 0) {
            is_loader |= text == LOADER;
            found.extend(soname(text));
        }
        if read == 0 {
            return Ok(if is_loader { found } else { BTreeSet::new() });
        }
        bytes.drain(..bytes.len().saturating_sub(LONGEST + 2));
    }
}

fn soname(text: &[u8]) -> Option<String> {
    let text = text.strip_prefix(b"lib").filter(|_| text.len() <= LONGEST)?;
    let text = str::from_utf8(text).ok()?;
    let (name, version) = text.rsplit_once(".so.")?;
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    let is_version = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_soname = !name.is_empty() && name.chars().all(is_fine) && version.split('.').all(is_version);
    is_soname.then(|| format!("lib{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soname_between_zero_bytes_is_found_wherever_it_lies() {
        for place in [0, CHUNK - 5, CHUNK - 1, CHUNK, 2 * CHUNK - 3] {
            let mut bytes = vec![0; place];
            bytes.extend(b"\0libEGL.so.1\0 libnot.so.2\0libplain.so\0libx.so.\0");
            assert_eq!(sonames(&bytes[..]).unwrap(), BTreeSet::new(), "nothing is loaded");
            bytes.extend(b"dlopen\0");
            assert_eq!(sonames(&bytes[..]).unwrap(), ["libEGL.so.1".to_owned()].into(), "{place}");
        }
    }
}
