//! Builds Debian packages, honest and dishonest ones.
//!
//! Spec: <https://manpages.debian.org/trixie/dpkg-dev/deb.5.en.html>

use std::collections::BTreeSet;

use crate::{Compression, TarEntry, TarKind, compress, md5_hex, tar};

/// What is wrong with a package as a file; what is wrong with its contents is a [`TarEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebFault {
    /// The file ends so many bytes into its data member.
    TruncatedData(usize),
    /// The data member's header promises so many bytes more than there are.
    OverstatedData(u64),
    /// The data member's header admits to so many bytes fewer than there are.
    UnderstatedData(u64),
    /// There is no control member.
    NoControl,
    /// There is no data member.
    NoData,
    /// `debian-binary` says `9.0`.
    UnknownFormat,
    /// The file doesn't begin as an ar archive does.
    NotAr,
    /// The data member's name says gzip, its bytes are something else.
    NotCompressed,
}

/// A Debian package in the making.
///
/// Paths are absolute (`/usr/bin/x`) and are written as dpkg writes them (`./usr/bin/x`), each directory above
/// before its first entry; nothing is checked. The same package always builds to the same bytes.
#[derive(Debug, Clone)]
pub struct Deb {
    name: String,
    version: String,
    architecture: String,
    fields: Vec<(String, String)>,
    control_files: Vec<TarEntry>,
    entries: Vec<TarEntry>,
    compression: Compression,
    fault: Option<DebFault>,
}

impl Deb {
    /// Starts an empty package for amd64, compressed with xz.
    pub fn new(name: &str, version: &str) -> Deb {
        Deb {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: Vec::new(),
            control_files: Vec::new(),
            entries: Vec::new(),
            compression: Compression::Xz,
            fault: None,
        }
    }

    /// Sets the architecture: `amd64` where not said, `all`, `arm64`.
    pub fn architecture(mut self, architecture: &str) -> Deb {
        self.architecture = architecture.to_owned();
        self
    }

    /// Adds a field to its control record; the same name again adds it again.
    pub fn field(mut self, name: &str, value: &str) -> Deb {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets `Depends`: `libc6 (>= 2.36), a | b`.
    pub fn depends(self, relations: &str) -> Deb {
        self.field("Depends", relations)
    }

    /// Sets `Pre-Depends`.
    pub fn pre_depends(self, relations: &str) -> Deb {
        self.field("Pre-Depends", relations)
    }

    /// Sets `Provides`.
    pub fn provides(self, relations: &str) -> Deb {
        self.field("Provides", relations)
    }

    /// Adds a file with mode 0644, owned by root.
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Deb {
        let entry = TarEntry::file(dotted(path), content);
        self.below_parents(path, entry)
    }

    /// Adds a symbolic link.
    pub fn symlink(self, path: &str, target: &str) -> Deb {
        let entry = TarEntry::symlink(dotted(path), target);
        self.below_parents(path, entry)
    }

    /// Adds a hard link to a file that was added before, by its path.
    pub fn hardlink(self, path: &str, target: &str) -> Deb {
        let entry = TarEntry::hardlink(dotted(path), dotted(target));
        self.below_parents(path, entry)
    }

    /// Adds a directory with mode 0755.
    pub fn dir(self, path: &str) -> Deb {
        let entry = TarEntry::dir(dotted(path) + "/");
        self.below_parents(path, entry)
    }

    /// Changes the mode of what was added last.
    ///
    /// # Panics
    /// If nothing was added yet.
    pub fn mode(mut self, mode: u32) -> Deb {
        self.entries.last_mut().expect("something was added before its mode").mode = mode;
        self
    }

    /// Changes the owner of what was added last.
    ///
    /// # Panics
    /// If nothing was added yet.
    pub fn owner(mut self, uid: u64, gid: u64) -> Deb {
        let entry = self.entries.last_mut().expect("something was added before its owner");
        (entry.uid, entry.gid) = (uid, gid);
        self
    }

    /// Adds an entry to its data as it is: `..` in the name, devices, links out, duplicates, lies about sizes.
    pub fn raw_tar_entry(mut self, entry: TarEntry) -> Deb {
        self.entries.push(entry);
        self
    }

    /// Adds a maintainer script or another file beside its control record (`postinst`, `conffiles`).
    pub fn control_file(mut self, name: &str, content: &str) -> Deb {
        let mode = if matches!(name, "preinst" | "postinst" | "prerm" | "postrm") { 0o755 } else { 0o644 };
        self.control_files.push(TarEntry { mode, ..TarEntry::file(format!("./{name}"), content) });
        self
    }

    /// Chooses how both members are compressed: xz where not said.
    pub fn compression(mut self, compression: Compression) -> Deb {
        self.compression = compression;
        self
    }

    /// Breaks the package.
    pub fn fault(mut self, fault: DebFault) -> Deb {
        self.fault = Some(fault);
        self
    }

    /// The package's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The package's architecture.
    pub fn architecture_name(&self) -> &str {
        &self.architecture
    }

    /// The file name that archives give it: `NAME_VERSION_ARCH.deb`, without the version's epoch.
    pub fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }

    /// Its control record, the mandatory fields first.
    pub fn control(&self) -> String {
        let size: usize = self.entries.iter().map(|entry| entry.content.len().div_ceil(1024)).sum();
        let mut fields = vec![
            ("Package", self.name.clone()),
            ("Version", self.version.clone()),
            ("Architecture", self.architecture.clone()),
            ("Maintainer", "Toy Town <toys@host.test>".to_owned()),
            ("Installed-Size", size.to_string()),
        ];
        fields.retain(|(name, _)| !self.fields.iter().any(|(own, _)| own == name));
        fields.extend(self.fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
        if !self.fields.iter().any(|(name, _)| name == "Description") {
            fields.push(("Description", format!("{}, a toy", self.name)));
        }
        fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    /// The paths of its files and links, without a leading slash.
    pub fn paths(&self) -> Vec<String> {
        let files = self.entries.iter().filter(|entry| entry.kind != TarKind::Directory);
        let path =
            |entry: &TarEntry| String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
        files.map(path).collect()
    }

    /// Its `md5sums`: every file with content, in order of appearance.
    pub fn md5sums(&self) -> String {
        self.entries
            .iter()
            .filter(|entry| entry.kind == TarKind::File)
            .map(|entry| {
                let name = String::from_utf8_lossy(&entry.name);
                format!("{}  {}\n", md5_hex(&entry.content), name.trim_start_matches("./"))
            })
            .collect()
    }

    /// Builds the file.
    pub fn build(&self) -> Vec<u8> {
        let mut control = vec![
            TarEntry::dir("./"),
            TarEntry::file("./control", self.control()),
            TarEntry::file("./md5sums", self.md5sums()),
        ];
        control.extend(self.control_files.iter().cloned());
        let data = match self.fault {
            Some(DebFault::NotCompressed) => b"this is no archive at all".to_vec(),
            _ => compress(&tar(&self.entries), self.compression),
        };
        let ending = match self.fault {
            Some(DebFault::NotCompressed) => ".gz",
            _ => self.compression.extension(),
        };
        let format: &[u8] = if self.fault == Some(DebFault::UnknownFormat) { b"9.0\n" } else { b"2.0\n" };
        let mut out =
            if self.fault == Some(DebFault::NotAr) { b"!<arsch>".to_vec() } else { b"!<arch>\n".to_vec() };
        append_member(&mut out, "debian-binary", format, format.len() as u64);
        if self.fault != Some(DebFault::NoControl) {
            let control = compress(&tar(&control), self.compression);
            let name = format!("control.tar{}", self.compression.extension());
            append_member(&mut out, &name, &control, control.len() as u64);
        }
        let size = data.len() as u64;
        let (data, claimed) = match self.fault {
            Some(DebFault::NoData) => return out,
            Some(DebFault::TruncatedData(keep)) => (&data[..keep], size),
            Some(DebFault::OverstatedData(more)) => (&data[..], size + more),
            Some(DebFault::UnderstatedData(fewer)) => (&data[..], size - fewer),
            _ => (&data[..], size),
        };
        append_member(&mut out, &format!("data.tar{ending}"), data, claimed);
        out
    }

    fn below_parents(mut self, path: &str, entry: TarEntry) -> Deb {
        let known: BTreeSet<&[u8]> = self.entries.iter().map(|entry| entry.name.as_slice()).collect();
        let missing: Vec<TarEntry> = parents(path)
            .into_iter()
            .filter(|name| !known.contains(name.as_bytes()))
            .map(TarEntry::dir)
            .collect();
        self.entries.extend(missing);
        self.entries.push(entry);
        self
    }
}

fn dotted(path: &str) -> String {
    format!("./{}", path.trim_matches('/'))
}

/// The directories above a path, outermost first: `./`, `./usr/`, `./usr/bin/`.
fn parents(path: &str) -> Vec<String> {
    let dotted = dotted(path);
    dotted.match_indices('/').map(|(end, _)| dotted[..=end].to_owned()).collect()
}

fn append_member(out: &mut Vec<u8>, name: &str, content: &[u8], claimed_size: u64) {
    let header = format!("{name:<16}{:<12}0     0     100644  {claimed_size:<10}`\n", crate::FIXTURE_TIME);
    out.extend(header.bytes());
    out.extend(content);
    if content.len() % 2 == 1 {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::program;

    fn sample() -> Deb {
        Deb::new("hello", "1:1.0-1")
            .depends("libc6 (>= 2.36), a | b")
            .file("/usr/bin/hello", "#!/bin/sh\n")
            .mode(0o755)
            .symlink("/usr/bin/hi", "hello")
            .dir("/var/lib/hello")
            .owner(65532, 65532)
            .file(&format!("/usr/share/{}f", "deep/".repeat(30)), "x")
            .hardlink("/usr/bin/hallo", "/usr/bin/hello")
            .control_file("postinst", "#!/bin/sh\ntrue\n")
    }

    fn judged(deb: &Deb, arguments: &[&str]) -> Option<(bool, String)> {
        let dpkg_deb = program("dpkg-deb")?;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        fs::write(&path, deb.build()).unwrap();
        let output = Command::new(dpkg_deb)
            .args(arguments)
            .arg(&path)
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        Some((output.status.success(), text))
    }

    #[test]
    fn dpkg_lists_what_was_put_in_whatever_the_compression() {
        for compression in [Compression::None, Compression::Gz, Compression::Xz, Compression::Zst] {
            let Some((true, list)) = judged(&sample().compression(compression), &["--contents"]) else {
                return;
            };
            let deep = "deep/".repeat(30);
            let list: Vec<&str> = list.lines().filter(|line| !line.ends_with("deep/")).collect();
            insta::allow_duplicates! {
                insta::assert_snapshot!(list.join("\n").replace(&deep, "DEEP/"), @r"
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./usr/
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./usr/bin/
                -rwxr-xr-x 0/0              10 2020-01-01 00:00 ./usr/bin/hello
                lrwxrwxrwx 0/0               0 2020-01-01 00:00 ./usr/bin/hi -> hello
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./var/
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./var/lib/
                drwxr-xr-x 65532/65532       0 2020-01-01 00:00 ./var/lib/hello/
                drwxr-xr-x 0/0               0 2020-01-01 00:00 ./usr/share/
                -rw-r--r-- 0/0               1 2020-01-01 00:00 ./usr/share/DEEP/f
                hrw-r--r-- 0/0               0 2020-01-01 00:00 ./usr/bin/hallo link to ./usr/bin/hello
                ");
            }
        }
    }

    #[test]
    fn dpkg_reads_the_control_record() {
        let Some((ok, fields)) = judged(&sample(), &["--field"]) else { return };
        assert!(ok);
        assert_eq!(fields, sample().control());
        insta::assert_snapshot!(fields, @r"
        Package: hello
        Version: 1:1.0-1
        Architecture: amd64
        Maintainer: Toy Town <toys@host.test>
        Installed-Size: 2
        Depends: libc6 (>= 2.36), a | b
        Description: hello, a toy
        ");
    }

    #[test]
    fn dpkg_refuses_broken_files_as_broken() {
        let faults = [
            DebFault::TruncatedData(50),
            DebFault::OverstatedData(1000),
            DebFault::NoControl,
            DebFault::NoData,
            DebFault::UnknownFormat,
            DebFault::NotAr,
            DebFault::NotCompressed,
        ];
        for fault in faults {
            let Some((ok, _)) = judged(&sample().fault(fault), &["--contents"]) else { return };
            assert!(!ok, "{fault:?}");
        }
    }

    #[test]
    fn md5sums_name_files_only() {
        let deb = Deb::new("a", "1").file("/x", "abc").symlink("/y", "x");
        assert_eq!(deb.md5sums(), "900150983cd24fb0d6963f7d28e17f72  x\n");
    }
}
