//! `RECORD`: which files an installed distribution has, with their hashes and sizes.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minke_cas::Digest;
use sha2::{Digest as _, Sha384, Sha512};

/// A `RECORD`, by path; it is written sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The files, by their path relative to `site-packages`.
    pub entries: BTreeMap<String, RecordEntry>,
}

/// What a `RECORD` says of one file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordEntry {
    /// The hash; `RECORD` itself has none.
    pub hash: Option<RecordHash>,
    /// The length in bytes.
    pub size: Option<u64>,
}

/// A hash of an algorithm that is good enough for wheels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordHash {
    /// What nearly every wheel has.
    Sha256(Digest),
    /// SHA-384, 48 bytes.
    Sha384(Vec<u8>),
    /// SHA-512, 64 bytes.
    Sha512(Vec<u8>),
}

/// A `RECORD` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A line isn't three comma-separated fields.
    #[error("line {line} of RECORD is not `path,hash,size`")]
    Malformed {
        /// Which line, from one.
        line: usize,
    },
    /// One path stands there twice.
    #[error("RECORD lists `{path}` twice")]
    Twice {
        /// Which path.
        path: String,
    },
    /// A hash is of a weak or unknown algorithm, or malformed.
    #[error("RECORD's hash of `{path}` is `{hash}`; sha256, sha384 or sha512 is needed")]
    Hash {
        /// Of which file.
        path: String,
        /// What stands there.
        hash: String,
    },
}

impl Record {
    /// Reads a `RECORD`.
    ///
    /// # Errors
    /// [`RecordError`] for the first line that isn't right.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut entries = BTreeMap::new();
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut line = 1;
        while !rest.is_empty() {
            let (fields, after, lines) = row(rest).ok_or(RecordError::Malformed { line })?;
            let [path, hash, size] = match <[String; 3]>::try_from(fields) {
                Ok(fields) => fields,
                Err(fields) if fields.iter().all(String::is_empty) && fields.len() == 1 => {
                    (rest, line) = (after, line + lines);
                    continue;
                }
                Err(_) => return Err(RecordError::Malformed { line }),
            };
            let size = match &*size {
                "" => None,
                digits => Some(digits.parse().map_err(|_| RecordError::Malformed { line })?),
            };
            let hash = match &*hash {
                "" => None,
                text => Some(
                    RecordHash::parse(text)
                        .ok_or_else(|| RecordError::Hash { path: path.clone(), hash: text.to_owned() })?,
                ),
            };
            if entries.insert(path.clone(), RecordEntry { hash, size }).is_some() {
                return Err(RecordError::Twice { path });
            }
            (rest, line) = (after, line + lines);
        }
        Ok(Self { entries })
    }

    /// Writes the entries in the order of their paths, a line each.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (path, entry) in &self.entries {
            let hash = entry.hash.as_ref().map_or(String::new(), RecordHash::to_text);
            let size = entry.size.map_or(String::new(), |size| size.to_string());
            writeln!(text, "{},{hash},{size}", quoted(path)).expect("a string takes all");
        }
        text
    }
}

impl RecordEntry {
    /// Describes a file whose content is known.
    pub fn of(content: Digest, size: u64) -> Self {
        Self { hash: Some(RecordHash::Sha256(content)), size: Some(size) }
    }
}

impl RecordHash {
    fn parse(text: &str) -> Option<Self> {
        let (algorithm, encoded) = text.split_once('=')?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
        match (algorithm, bytes.len()) {
            ("sha256", 32) => Some(Self::Sha256(Digest::from_bytes(bytes.try_into().ok()?))),
            ("sha384", 48) => Some(Self::Sha384(bytes)),
            ("sha512", 64) => Some(Self::Sha512(bytes)),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        let (algorithm, bytes) = match self {
            Self::Sha256(digest) => ("sha256", &digest.as_bytes()[..]),
            Self::Sha384(bytes) => ("sha384", &bytes[..]),
            Self::Sha512(bytes) => ("sha512", &bytes[..]),
        };
        format!("{algorithm}={}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns what must see the bytes besides the sha256 that the store takes anyway.
    pub(crate) fn extra_hasher(&self) -> Option<ExtraHasher> {
        match self {
            Self::Sha256(_) => None,
            Self::Sha384(_) => Some(ExtraHasher::Sha384(Sha384::new())),
            Self::Sha512(_) => Some(ExtraHasher::Sha512(Sha512::new())),
        }
    }

    /// Tells whether a content has this hash; `extra` is what [`RecordHash::extra_hasher`] began.
    pub(crate) fn matches(&self, content: &Digest, extra: Option<ExtraHasher>) -> bool {
        match (self, extra) {
            (Self::Sha256(digest), _) => digest == content,
            (Self::Sha384(bytes), Some(ExtraHasher::Sha384(hasher))) => bytes[..] == hasher.finalize()[..],
            (Self::Sha512(bytes), Some(ExtraHasher::Sha512(hasher))) => bytes[..] == hasher.finalize()[..],
            (Self::Sha384(_) | Self::Sha512(_), _) => false,
        }
    }
}

/// A hash besides sha256 that is being computed.
pub(crate) enum ExtraHasher {
    Sha384(Sha384),
    Sha512(Sha512),
}

impl ExtraHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }
}

/// Takes one row of comma-separated values off a text: its fields, the rest, and how many lines it had.
fn row(text: &str) -> Option<(Vec<String>, &str, usize)> {
    let mut fields = Vec::new();
    let mut rest = text;
    let mut lines = 1;
    loop {
        let field;
        if let Some(inside) = rest.strip_prefix('"') {
            (field, rest) = quoted_field(inside)?;
            lines += field.matches('\n').count();
        } else {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            field = rest[..end].trim_end_matches('\r').to_owned();
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => {
                let rest = rest.strip_prefix('\r').unwrap_or(rest);
                let after = if rest.is_empty() { rest } else { rest.strip_prefix('\n')? };
                return Some((fields, after, lines));
            }
        }
    }
}

/// Reads up to the closing quote; a doubled quote stands for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

fn quoted(path: &str) -> String {
    if path.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", path.replace('"', "\"\""))
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_read_and_written_sorted() {
        let digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let text =
            format!("\u{feff}b.py,{digest},0\r\n\"a,\"\"b\"\".py\",{digest}=,\r\n\r\na.dist-info/RECORD,,");
        let record = Record::parse(&text).unwrap();
        assert_eq!(record.entries["b.py"], RecordEntry::of(Digest::of(b""), 0));
        assert_eq!(
            record.to_text(),
            format!("\"a,\"\"b\"\".py\",{digest},\na.dist-info/RECORD,,\nb.py,{digest},0\n")
        );
    }

    #[test]
    fn malformed_lines_weak_hashes_and_repetitions_are_refused() {
        let said = |text: &str| Record::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                "a.py",
                "a.py,,\nb.py,,,\n",
                "a.py,,\n\"b\n.py,,",
                "\"a\nb\",,\nc,,x",
                "\"a\"b,,",
                "a.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0",
                "a.py,sha256=abc,0",
                "a.py,,\na.py,,",
            ]
            .map(said)
            .join("\n"),
            @r"
        line 1 of RECORD is not `path,hash,size`
        line 2 of RECORD is not `path,hash,size`
        line 2 of RECORD is not `path,hash,size`
        line 3 of RECORD is not `path,hash,size`
        line 1 of RECORD is not `path,hash,size`
        RECORD's hash of `a.py` is `md5=1B2M2Y8AsgTpgAmY7PhCfg`; sha256, sha384 or sha512 is needed
        RECORD's hash of `a.py` is `sha256=abc`; sha256, sha384 or sha512 is needed
        RECORD lists `a.py` twice
        "
        );
    }

    proptest! {
        /// Reading what was written gives the same entries.
        #[test]
        fn a_record_survives_being_written(paths in prop::collection::btree_set("[a-c,\"\n\r /é]{1,6}", 0..6)) {
            // A row that holds nothing but an empty path is an empty line: no file is called so.
            let entries = paths
                .into_iter()
                .map(|path| (path.clone(), RecordEntry::of(Digest::of(path.as_bytes()), path.len() as u64)))
                .collect();
            let record = Record { entries };
            prop_assert_eq!(Record::parse(&record.to_text()), Ok(record));
        }

        /// No text makes the parser panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[a,\"\n\r=0]{0,20}") {
            let _ = Record::parse(&text);
        }
    }
}
