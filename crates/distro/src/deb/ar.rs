//! The outermost layer of a package file: a few members, one after the other.
//!
//! dpkg's `ar` has neither the long names nor the symbol tables of others, so that a header is all there is.

use std::io::{self, Read};

use super::DebError;

/// Reads members in order; reading from it reads the current member.
pub(super) struct Ar<R> {
    inner: R,
    size: u64,
    left: u64,
    is_short: bool,
}

/// What the header of a member says.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

impl<R: Read> Ar<R> {
    /// Reads the magic bytes.
    pub(super) fn open(mut inner: R) -> Result<Self, DebError> {
        let mut magic = [0; 8];
        inner.read_exact(&mut magic).map_err(|_| DebError::NotADeb)?;
        if magic != *b"!<arch>\n" {
            return Err(DebError::NotADeb);
        }
        Ok(Self { inner, size: 0, left: 0, is_short: false })
    }

    /// Skips what is left of a member and reads the next one's header, none at the end.
    pub(super) fn next_member(&mut self) -> Result<Option<Member>, DebError> {
        let padding = self.size % 2;
        io::copy(self, &mut io::sink()).map_err(|error| self.failure("ar", error))?;
        let mut header = Vec::new();
        let failed = |source| DebError::Damaged { member: "ar", source };
        // Some tools leave the last padding byte out.
        io::copy(&mut self.inner.by_ref().take(padding), &mut io::sink()).map_err(failed)?;
        self.inner.by_ref().take(60).read_to_end(&mut header).map_err(failed)?;
        if header.is_empty() {
            return Ok(None);
        }
        let member = header_of(&header).ok_or(DebError::NotADeb)?;
        (self.size, self.left) = (member.size, member.size);
        Ok(Some(member))
    }

    /// Says what went wrong while this member was read.
    pub(super) fn failure(&self, member: &'static str, source: io::Error) -> DebError {
        if self.is_short {
            let have = self.size - self.left;
            return DebError::Truncated { member: member.to_owned(), have, want: self.size };
        }
        DebError::Damaged { member, source }
    }
}

fn header_of(header: &[u8]) -> Option<Member> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() == 60 && text.is_ascii())?;
    text.ends_with("`\n").then_some(())?;
    // dpkg ends names with nothing, GNU ar with a slash.
    let name = text[..16].trim_end().trim_end_matches('/').to_owned();
    let size = text[48..58].trim_end();
    size.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some(Member { name, size: size.parse().ok()? })
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        self.left -= count as u64;
        if count == 0 {
            self.is_short = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}
