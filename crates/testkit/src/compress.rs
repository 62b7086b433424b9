//! The compressions that packages and indexes come in.

use std::io::{Read, Write};

use flate2::GzBuilder;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, at its fastest level, without name or time.
    Gz,
    /// xz, at its fastest level.
    Xz,
    /// Zstandard, at level 1.
    Zst,
}

impl Compression {
    /// The ending that a file so compressed carries: `.gz`, or nothing.
    pub fn extension(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gz => ".gz",
            Compression::Xz => ".xz",
            Compression::Zst => ".zst",
        }
    }
}

/// Compresses bytes.
pub fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gz => {
            let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).expect("a Vec takes everything");
            writer.finish().expect("a Vec takes everything")
        }
        Compression::Xz => liblzma::encode_all(bytes, 0).expect("a Vec takes everything"),
        Compression::Zst => zstd::encode_all(bytes, 1).expect("a Vec takes everything"),
    }
}

/// Undoes gzip, over all members.
///
/// # Panics
/// If the bytes aren't gzip, or end early.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).expect("whole gzip members");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compression_is_undone_by_its_decoder() {
        let bytes = b"a whale, a whale! ".repeat(100);
        assert_eq!(compress(&bytes, Compression::None), bytes);
        assert_eq!(gunzip(&compress(&bytes, Compression::Gz)), bytes);
        assert_eq!(liblzma::decode_all(&compress(&bytes, Compression::Xz)[..]).unwrap(), bytes);
        assert_eq!(zstd::decode_all(&compress(&bytes, Compression::Zst)[..]).unwrap(), bytes);
    }
}
