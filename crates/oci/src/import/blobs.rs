//! The files of a layout, whether they lie in a directory or in a tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use minke_cas::{Digest, ImagePath, Store};
use serde::de::DeserializeOwned;

use super::{ImportError, failed};
use crate::json::MAX_DOCUMENT;
use crate::tar::{Kind, TarReader};

/// Gives the files of a layout or archive by name.
pub(super) struct Blobs {
    path: PathBuf,
    /// Where the members of the tar lie; none for a directory.
    members: Option<BTreeMap<ImagePath, Member>>,
}

enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// Old archives have each layer once, and links where it comes again.
    Link(ImagePath),
}

impl Blobs {
    pub(super) fn layout(directory: &Path) -> Self {
        Self { path: directory.to_owned(), members: None }
    }

    /// Reads through a tar once and remembers what lies where.
    pub(super) fn archive(file: &Path) -> Result<Self, ImportError> {
        let damaged = |source| ImportError::Tar { path: file.to_owned(), source };
        let input = File::open(file).map_err(io_error("open", file))?;
        let mut tar =
            TarReader::new(Counted { inner: BufReader::with_capacity(256 * 1024, input), position: 0 });
        let mut members = BTreeMap::new();
        let mut last = String::new();
        while let Some(header) = tar.next(&last).map_err(damaged)? {
            // A name that no image can have is none that an archive's index asks for.
            if let Ok(path) = ImagePath::from_archive(&header.path) {
                let member = match &header.kind {
                    Kind::File => Some(Member::File { offset: tar.input().position, size: header.size }),
                    Kind::Symlink { target } | Kind::HardLink { target } => link(&path, &header.kind, target),
                    Kind::Directory | Kind::Other => None,
                };
                members.extend(member.map(|member| (path, member)));
            }
            last = header.path;
        }
        Ok(Self { path: file.to_owned(), members: Some(members) })
    }

    /// Returns the layout's directory or the archive.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of the layout.
    pub(super) fn open(&self, name: &str) -> Result<io::Take<File>, ImportError> {
        let missing = || ImportError::Missing { path: self.path.clone(), member: name.to_owned() };
        let path = ImagePath::from_archive(name).map_err(|_| missing())?;
        let Some(members) = &self.members else {
            let place = self.path.join(path.relative());
            return match File::open(&place) {
                Ok(file) => Ok(file.take(u64::MAX)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
                Err(error) => Err(io_error("open", &place)(error)),
            };
        };
        let member = match members.get(&path) {
            Some(Member::Link(target)) => members.get(target),
            member => member,
        };
        let Some(Member::File { offset, size }) = member else { return Err(missing()) };
        let mut file = File::open(&self.path).map_err(io_error("open", &self.path))?;
        file.seek(SeekFrom::Start(*offset)).map_err(io_error("read", &self.path))?;
        Ok(file.take(*size))
    }

    /// Reads a small file as JSON.
    pub(super) fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T, ImportError> {
        let mut bytes = Vec::new();
        let reader = self.open(name)?;
        reader.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(io_error("read", &self.path))?;
        let (path, member) = (self.path.clone(), name.to_owned());
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(ImportError::TooLarge { path, member });
        }
        serde_json::from_slice(&bytes).map_err(|source| ImportError::Json { path, member, source })
    }

    /// Takes a file whose digest nobody said into the store.
    pub(super) fn store(&self, store: &Store, name: &str) -> Result<(Digest, u64), ImportError> {
        let mut reader = BufReader::with_capacity(256 * 1024, self.open(name)?);
        let mut blob = store.blob_writer().map_err(|source| failed(self, source))?;
        io::copy(&mut reader, &mut blob).map_err(io_error("copy from", &self.path))?;
        blob.finish().map_err(|source| failed(self, source))
    }
}

/// A symlink's target lies beside it, a hard link's is a name in the archive.
fn link(path: &ImagePath, kind: &Kind, target: &str) -> Option<Member> {
    let target = match kind {
        Kind::HardLink { .. } => ImagePath::from_archive(target).ok()?,
        _ => {
            let mut at = path.parent()?;
            for component in target.split('/').filter(|component| !matches!(*component, "" | ".")) {
                at = if component == ".." { at.parent()? } else { at.join_str(component).ok()? };
            }
            at
        }
    };
    Some(Member::Link(target))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    move |source| ImportError::Io { action, path, source }
}

struct Counted<R> {
    inner: R,
    position: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
