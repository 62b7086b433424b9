//! Decompression of foreign bytes with bounded memory and a bounded result.

use std::io::{self, BufReader, Read};

use serde::{Deserialize, Serialize};

/// How a file of an archive is compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
    /// Not at all.
    None,
}

/// `xz -9` needs 65 MiB; what wants more is an attack on our memory.
const XZ_MEMORY_BYTES: u64 = 160 << 20;

impl Compression {
    /// Returns what a file name ends in, with its dot; nothing for [`Compression::None`].
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::None => "",
        }
    }

    /// Reads the compression off what follows a file's stem, none for a suffix that isn't known.
    pub(crate) fn from_suffix(suffix: &str) -> Option<Self> {
        [Self::Xz, Self::Gzip, Self::Zstd, Self::None].into_iter().find(|kind| kind.suffix() == suffix)
    }

    /// Wraps a compressed reader; whoever gets more than `limit` bytes from it gets an error instead.
    pub(crate) fn decoder<'r>(
        self,
        reader: impl Read + 'r,
        limit: u64,
    ) -> io::Result<Limited<Box<dyn Read + 'r>>> {
        let inner: Box<dyn Read + 'r> = match self {
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    XZ_MEMORY_BYTES,
                    liblzma::stream::CONCATENATED,
                )?;
                Box::new(liblzma::read::XzDecoder::new_stream(reader, stream))
            }
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(BufReader::new(reader))?),
            Self::None => Box::new(reader),
        };
        Ok(Limited { inner, left: limit })
    }
}

/// A reader that fails with [`io::ErrorKind::FileTooLarge`] when it gives more than it may.
pub(crate) struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "more bytes than were allowed"))?;
        Ok(count)
    }
}

/// Tells whether an error is [`Limited`]'s.
pub(crate) fn is_too_large(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compressed(kind: Compression, bytes: &[u8]) -> Vec<u8> {
        match kind {
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 3).unwrap(),
            Compression::None => bytes.to_vec(),
        }
    }

    const ALL: [Compression; 4] = [Compression::Xz, Compression::Gzip, Compression::Zstd, Compression::None];

    #[test]
    fn what_was_compressed_reads_back() {
        for kind in ALL {
            let bytes = compressed(kind, b"some bytes");
            let mut read = Vec::new();
            kind.decoder(&bytes[..], 10).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, b"some bytes", "{kind:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_its_limit() {
        for kind in ALL {
            let bytes = compressed(kind, &vec![0; 1 << 20]);
            let error = io::copy(&mut kind.decoder(&bytes[..], 1000).unwrap(), &mut io::sink()).unwrap_err();
            assert!(is_too_large(&error), "{kind:?}: {error}");
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        for kind in [Compression::Xz, Compression::Gzip, Compression::Zstd] {
            let bytes = compressed(kind, &[7; 4096]);
            let cut = &bytes[..bytes.len() - 3];
            assert!(io::copy(&mut kind.decoder(cut, 1 << 20).unwrap(), &mut io::sink()).is_err(), "{kind:?}");
        }
    }
}
