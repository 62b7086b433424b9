//! Which package has a file: Debian's Contents indices, kept so that a question costs a few milliseconds.
//!
//! A Contents index lists every file of every package, 760 MB of text for one architecture. [`Contents::build`] reads
//! it once, in bounded memory, and writes an index of what a build or a loader could miss: programs, libraries,
//! headers, and what tells builds of them (see `lines.rs` for the exact rule). [`Contents::open`] answers from that
//! file by reading the one or two of its blocks that can hold the answer, never all of it.
//!
//! Paths are those that a file has in an image: `/lib` of suites before the merge lies below `/usr`. Which of several
//! packages is the best is for the caller to say.
//!
//! Spec: <https://wiki.debian.org/DebianRepository/Format#A.22Contents.22_indices>

mod blocks;
mod lines;
mod sort;

use std::fs::File;
use std::io::{self, Read, Write};

use minke_cas::ImagePath;

use crate::compression::Compression;
use crate::name::PackageName;
use blocks::{Blocks, BlocksWriter};

/// The index of one Contents file.
#[derive(Debug)]
pub struct Contents {
    blocks: Blocks,
}

/// A file that some packages have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Listed {
    /// Where it lies in an image.
    pub path: ImagePath,
    /// The packages that have it, in the list's order.
    pub packages: Vec<PackageName>,
}

/// A Contents index cannot be read, or the file that was made of it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// It cannot be decompressed, or holds more than any index does.
    #[error("cannot read the list of files")]
    Read(#[source] io::Error),
    /// The index cannot be written.
    #[error("cannot write the index of files")]
    Write(#[source] io::Error),
    /// The index isn't what [`Contents::build`] wrote.
    #[error("the index of files is damaged")]
    Damaged,
}

/// Debian's longest has 600 MB.
const LONGEST_LIST: u64 = 4 << 30;

impl Contents {
    /// Reads a Contents file and writes the index of it; returns how many files that lists.
    ///
    /// What cannot be asked for is left out: paths that are no [`ImagePath`], and packages whose names are none.
    /// Memory stays below some 100 MB, whatever is read.
    ///
    /// # Errors
    /// [`ContentsError::Read`] for damaged or endless bytes; [`ContentsError::Write`].
    pub fn build(compression: Compression, bytes: impl Read, out: impl Write) -> Result<u64, ContentsError> {
        let decoder = compression.decoder(bytes, LONGEST_LIST).map_err(ContentsError::Read)?;
        let mut sorter = sort::Sorter::default();
        lines::read(decoder, |file, packages| sorter.add(file, packages)).map_err(ContentsError::Read)?;
        let mut writer = BlocksWriter::new(out);
        sorter.merge(|key, packages| writer.add(key, packages)).map_err(ContentsError::Write)?;
        writer.finish().map_err(ContentsError::Write)
    }

    /// Opens an index that [`Contents::build`] wrote; only its table of blocks is read.
    ///
    /// # Errors
    /// [`ContentsError::Read`]; [`ContentsError::Damaged`].
    pub fn open(file: File) -> Result<Self, ContentsError> {
        Ok(Self { blocks: Blocks::open(file)? })
    }

    /// Returns the packages that have a file, none if nobody has it.
    ///
    /// # Errors
    /// [`ContentsError::Read`]; [`ContentsError::Damaged`].
    pub fn packages_of(&self, path: &ImagePath) -> Result<Vec<PackageName>, ContentsError> {
        let (Some(name), Some(directory)) = (path.name(), path.parent()) else { return Ok(Vec::new()) };
        let directory = lines::merged(directory.relative());
        let mut found = Vec::new();
        self.each(&key(name, &directory), |at, packages| {
            let is_it = at == (name, &*directory);
            if is_it {
                found.extend(names(packages));
            }
            is_it
        })?;
        Ok(found)
    }

    /// Returns all files of a name, such as `libfoo.so.1` or `Python.h`, in the order of their directories.
    ///
    /// # Errors
    /// [`ContentsError::Read`]; [`ContentsError::Damaged`].
    pub fn under_name(&self, name: &str) -> Result<Vec<Listed>, ContentsError> {
        self.listed(name, |found, _| found == name, |_| true)
    }

    /// Returns all files whose paths end in some components: `pkgconfig/libfoo.pc`, `libxml/xmlversion.h`.
    ///
    /// # Errors
    /// [`ContentsError::Read`]; [`ContentsError::Damaged`].
    pub fn ending(&self, suffix: &str) -> Result<Vec<Listed>, ContentsError> {
        let suffix = suffix.trim_matches('/');
        let (above, name) = suffix.rsplit_once('/').unwrap_or(("", suffix));
        let ends = |directory: &str| {
            let rest = directory.strip_suffix(above);
            above.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        self.listed(name, |found, _| found == name, ends)
    }

    /// Returns the first files whose names begin so, `libfoo.so.` for one: in name order, `most` of them at most.
    ///
    /// # Errors
    /// [`ContentsError::Read`]; [`ContentsError::Damaged`].
    pub fn beginning(&self, start: &str, most: usize) -> Result<Vec<Listed>, ContentsError> {
        self.listed(start, |found, count| found.starts_with(start) && count < most, |_| true)
    }

    /// Collects the files from a name on for as long as a name and how many there are say so.
    fn listed(
        &self,
        from: &str,
        goes_on: impl Fn(&str, usize) -> bool,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Listed>, ContentsError> {
        let mut all = Vec::new();
        self.each(&key(from, ""), |(name, directory), packages| {
            let goes_on = goes_on(name, all.len());
            if goes_on && is_wanted(directory) {
                let path = ImagePath::from_archive(&format!("{directory}/{name}"));
                all.extend(path.ok().map(|path| Listed { path, packages: names(packages).collect() }));
            }
            goes_on
        })?;
        Ok(all)
    }

    /// Hands out the files from a key on, as name and directory, until it is told to stop.
    fn each(
        &self,
        from: &[u8],
        mut visit: impl FnMut((&str, &str), &str) -> bool,
    ) -> Result<(), ContentsError> {
        self.blocks.from(from, |key, packages| {
            let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ContentsError::Damaged);
            let file = text(key)?.split_once('\0').ok_or(ContentsError::Damaged)?;
            Ok(visit(file, text(packages)?))
        })
    }
}

/// What files are ordered by: all of one name lie together, whatever directories they are in.
fn key(name: &str, directory: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0", directory.as_bytes()].concat()
}

fn names(packages: &str) -> impl Iterator<Item = PackageName> {
    packages.split(',').filter_map(|name| name.parse().ok())
}

#[cfg(test)]
mod tests;
