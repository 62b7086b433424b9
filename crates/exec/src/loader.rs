//! Starts a program of a room through the room's own loader, without a namespace.
//!
//! `ROOM/…/ld-linux… --library-path … ROOM/usr/bin/python3.13` works for any user in any container, of any
//! distribution: neither the host's C library nor its search path is asked. Absolute paths that the
//! program opens are still the host's; only what it finds relative to itself is the room's. musl's loader takes
//! the same library path. A program that is linked statically asks for no loader and is started as it is.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use minke_cas::ImagePath;

/// A program cannot be started through its room's loader.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// Something isn't in the room.
    #[error("`{path}` is not in the room `{}`", room.display())]
    Missing {
        /// The room.
        room: PathBuf,
        /// What is missing there.
        path: ImagePath,
    },
    /// The program is a script, or is for another kind of machine.
    #[error("`{path}` is not a program that this machine runs")]
    NotNative {
        /// The program.
        path: ImagePath,
    },
    /// A file of the room cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A program of a room, and the loader that starts it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    room: PathBuf,
    /// None for a program that is linked statically.
    loader: Option<PathBuf>,
    program: PathBuf,
}

/// How a file is started.
#[derive(PartialEq, Eq, Debug)]
enum Start {
    /// By this loader.
    Loader(ImagePath),
    /// By the kernel alone.
    Alone,
    /// Not on this machine.
    Never,
}

impl Loaded {
    /// Reads which loader the program asks for and finds it in the room.
    pub(crate) fn in_room(room: &Path, program: &ImagePath) -> Result<Self, LoaderError> {
        let place = find(room, program)?;
        let read = |source| LoaderError::Io { path: place.clone(), source };
        let mut file = fs::File::open(&place).map_err(read)?;
        let loader = match start_of(&mut file).map_err(read)? {
            Start::Loader(loader) => Some(find(room, &loader)?),
            Start::Alone => None,
            Start::Never => return Err(LoaderError::NotNative { path: program.clone() }),
        };
        // The name under which it was asked for, not the one at the end of its links: Python looks for
        // its library relative to that.
        let program = room.join(program.relative());
        Ok(Self { room: room.to_owned(), loader, program })
    }

    /// Returns the command that starts the program, with an empty environment and no arguments of its own.
    pub(crate) fn command(&self) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.env_clear().args(&words[1..]);
        command
    }

    /// Returns the words that start the program, for who writes a command line of them.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let Some(loader) = &self.loader else { return vec![self.program.clone().into()] };
        let mut words = vec![loader.clone().into_os_string()];
        // musl's loader has no cache, and refuses options that it doesn't know.
        let is_musl = loader.file_name().is_some_and(|name| name.to_string_lossy().contains("musl"));
        words.extend((!is_musl).then(|| "--inhibit-cache".into()));
        words.extend(["--library-path".into(), self.library_path().into(), self.program.clone().into()]);
        words
    }

    /// Returns where the program lies.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn library_path(&self) -> String {
        let triplet = if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };
        let below = [
            format!("usr/local/lib/{triplet}"),
            "usr/local/lib".to_owned(),
            format!("usr/lib/{triplet}"),
            format!("lib/{triplet}"),
            "usr/lib64".to_owned(),
            "usr/lib".to_owned(),
            "lib".to_owned(),
        ];
        let directories = below.map(|directory| self.room.join(directory).to_string_lossy().into_owned());
        directories.join(":")
    }
}

/// Follows the room's symlinks as a process would whose root it is.
fn find(room: &Path, path: &ImagePath) -> Result<PathBuf, LoaderError> {
    let missing = || LoaderError::Missing { room: room.to_owned(), path: path.clone() };
    let mut pending: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut at = ImagePath::root();
    let mut links = 0;
    while let Some(component) = pending.pop() {
        match component.as_str() {
            "" | "." => continue,
            ".." => {
                at = at.parent().unwrap_or(at);
                continue;
            }
            _ => {}
        }
        let next = at.join_str(&component).map_err(|_| missing())?;
        let place = room.join(next.relative());
        let kind = fs::symlink_metadata(&place).map_err(|_| missing())?.file_type();
        if !kind.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let target = fs::read_link(&place).ok().filter(|_| links <= 40).ok_or_else(missing)?;
        let target = target.to_str().ok_or_else(missing)?;
        if target.starts_with('/') {
            at = ImagePath::root();
        }
        pending.extend(target.rsplit('/').map(str::to_owned));
    }
    Ok(room.join(at.relative()))
}

/// Reads how a file is started: the loader's name is in a 64-bit little-endian ELF program's `PT_INTERP`.
///
/// Spec: <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>
fn start_of(file: &mut (impl Read + Seek)) -> io::Result<Start> {
    const PT_INTERP: u32 = 3;
    const LONGEST_NAME: u64 = 4096;
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let Some(header) = read_at::<64>(file, 0)? else { return Ok(Start::Never) };
    if header[..6] != *b"\x7fELF\x02\x01" || field::<2>(&header, 18) != machine.to_le_bytes() {
        return Ok(Start::Never);
    }
    let table = u64::from_le_bytes(field(&header, 32));
    let (size, count) = (u16::from_le_bytes(field(&header, 54)), u16::from_le_bytes(field(&header, 56)));
    for index in 0..u64::from(count) {
        let Some(offset) = table.checked_add(index * u64::from(size)) else { return Ok(Start::Never) };
        let Some(segment) = read_at::<56>(file, offset)? else { return Ok(Start::Never) };
        if u32::from_le_bytes(field(&segment, 0)) != PT_INTERP {
            continue;
        }
        let length = u64::from_le_bytes(field(&segment, 32)).min(LONGEST_NAME);
        let mut name = Vec::new();
        file.seek(SeekFrom::Start(u64::from_le_bytes(field(&segment, 8))))?;
        file.take(length).read_to_end(&mut name)?;
        let name = String::from_utf8(name).unwrap_or_default();
        let loader = ImagePath::from_archive(name.split('\0').next().unwrap_or_default());
        return Ok(loader.ok().filter(|path| !path.is_root()).map_or(Start::Never, Start::Loader));
    }
    Ok(Start::Alone)
}

fn read_at<const N: usize>(file: &mut (impl Read + Seek), offset: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(offset))?;
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("the header is longer than its fields' offsets")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn start(bytes: &[u8]) -> Start {
        start_of(&mut Cursor::new(bytes)).unwrap()
    }

    fn elf(offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = 3;
        bytes[72..80].copy_from_slice(&offset.to_le_bytes());
        bytes[96..104].copy_from_slice(&length.to_le_bytes());
        bytes.extend(b"/lib64/ld.so\0");
        bytes
    }

    #[test]
    fn the_loader_is_read_from_the_program() {
        assert_eq!(start(&elf(120, 13)), Start::Loader("/lib64/ld.so".parse().unwrap()));
        // What follows the name's end is no part of it.
        let mut patched = elf(120, 13);
        patched[124] = 0;
        assert_eq!(start(&patched), Start::Loader("/lib".parse().unwrap()));
    }

    #[test]
    fn a_program_without_a_loader_starts_alone() {
        let mut alone = elf(120, 13);
        alone[64] = 1;
        assert_eq!(start(&alone), Start::Alone);
    }

    #[test]
    fn scripts_cut_files_and_wild_offsets_name_no_loader() {
        let whole = elf(120, 13);
        let mut other_machine = whole.clone();
        other_machine[18] = 3;
        for bytes in [&b"#!/bin/sh\n"[..], b"", &whole[..100], &other_machine, &elf(u64::MAX / 2, u64::MAX)] {
            assert_eq!(start(bytes), Start::Never);
        }
    }

    #[test]
    fn links_are_followed_inside_the_room() {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir_all(room.path().join("usr/lib")).unwrap();
        fs::write(room.path().join("usr/lib/ld.so"), "").unwrap();
        std::os::unix::fs::symlink("/usr/lib", room.path().join("lib")).unwrap();
        std::os::unix::fs::symlink("../../../../../usr/lib/ld.so", room.path().join("usr/lib/ld")).unwrap();
        std::os::unix::fs::symlink("loop", room.path().join("loop")).unwrap();
        let found = find(room.path(), &"/lib/ld".parse().unwrap()).unwrap();
        assert_eq!(found, room.path().join("usr/lib/ld.so"));
        assert!(find(room.path(), &"/loop".parse().unwrap()).is_err());
        assert!(find(room.path(), &"/etc/passwd".parse().unwrap()).is_err());
    }
}
