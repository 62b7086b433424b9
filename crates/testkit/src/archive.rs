//! Writes a signed Debian archive to a directory, right or wrong in one chosen way.
//!
//! `dists/SUITE/InRelease`, `main/binary-ARCH/Packages` plain, gzipped and xzipped, `main/Contents-ARCH` gzipped, each
//! also by its hash, and `pool/`. Several suites may share a directory.
//!
//! Spec: <https://wiki.debian.org/DebianRepository/Format>

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{Compression, Deb, SignedBy, SigningKey, clearsign, compress, md5_hex, sha256_hex};

/// What is wrong with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFault {
    /// A byte of `InRelease` was changed after signing.
    TamperedRelease,
    /// `InRelease` isn't signed at all.
    UnsignedRelease,
    /// Text stands before the signed message, where a careless reader would believe it.
    TextBeforeMessage,
    /// Text stands after the signature.
    TextAfterMessage,
    /// Every `Packages` file differs from what `InRelease` says about it.
    TamperedPackages,
    /// Every `Packages` file is cut to half its size.
    TruncatedPackages,
    /// `Packages` gives a wrong hash for every package.
    WrongPackageHashes,
    /// `Packages` names files in the pool that aren't there.
    MissingPool,
    /// `Acquire-By-Hash` is promised, but there are no such files.
    MissingByHash,
    /// There are no lists of files, and none are promised.
    NoContents,
    /// `Packages` gives every package the file name `../../etc/passwd`.
    HostileFileNames,
}

/// An archive of one suite in the making.
#[derive(Debug, Clone)]
pub struct DebianArchive {
    suite: String,
    codename: String,
    date: String,
    valid_until: Option<String>,
    debs: Vec<(Deb, Vec<u8>)>,
    signers: Vec<(SigningKey, SignedBy)>,
    fault: Option<ArchiveFault>,
}

impl DebianArchive {
    /// Starts an empty archive of a suite (`trixie`), for amd64, of 2020-01-01, without `Valid-Until`.
    pub fn new(suite: &str) -> DebianArchive {
        DebianArchive {
            suite: suite.to_owned(),
            codename: suite.to_owned(),
            date: "Wed, 01 Jan 2020 00:00:00 UTC".to_owned(),
            valid_until: None,
            debs: Vec::new(),
            signers: Vec::new(),
            fault: None,
        }
    }

    /// Sets the `Suite` that its release file claims (`stable`), where that isn't its codename.
    pub fn claims_suite(mut self, suite: &str) -> DebianArchive {
        self.suite = suite.to_owned();
        self
    }

    /// Adds a package.
    pub fn package(mut self, deb: Deb) -> DebianArchive {
        let bytes = deb.build();
        self.debs.push((deb, bytes));
        self
    }

    /// Adds packages.
    pub fn packages(self, debs: impl IntoIterator<Item = Deb>) -> DebianArchive {
        debs.into_iter().fold(self, DebianArchive::package)
    }

    /// Signs with a key's subkey; several keys sign one after the other.
    pub fn sign_with(self, key: &SigningKey) -> DebianArchive {
        self.sign_by(key, SignedBy::Subkey)
    }

    /// Signs with one part of a key.
    pub fn sign_by(mut self, key: &SigningKey, by: SignedBy) -> DebianArchive {
        self.signers.push((key.clone(), by));
        self
    }

    /// Sets `Date`: `Sat, 09 Aug 2025 10:00:00 UTC`.
    pub fn date(mut self, date: &str) -> DebianArchive {
        self.date = date.to_owned();
        self
    }

    /// Sets `Valid-Until`, in the same form.
    pub fn valid_until(mut self, date: &str) -> DebianArchive {
        self.valid_until = Some(date.to_owned());
        self
    }

    /// Breaks the archive.
    pub fn fault(mut self, fault: ArchiveFault) -> DebianArchive {
        self.fault = Some(fault);
        self
    }

    /// Writes everything below a directory, which is made where it is missing.
    ///
    /// # Panics
    /// If something can't be written, or if no key was given to sign with.
    pub fn write_to(&self, dir: impl AsRef<Path>) {
        let dir = dir.as_ref();
        for (deb, bytes) in &self.debs {
            if self.fault != Some(ArchiveFault::MissingPool) {
                write(&dir.join(pool_path(deb)), bytes);
            }
        }
        let dist = dir.join("dists").join(&self.codename);
        let indexes = self.indexes();
        for (path, bytes) in &indexes {
            self.write_index(&dist, path, bytes);
        }
        write(&dist.join("InRelease"), self.in_release(&indexes).as_bytes());
    }

    /// The signed `InRelease`, for tests that need no files.
    ///
    /// # Panics
    /// If no key was given to sign with.
    pub fn in_release_text(&self) -> String {
        self.in_release(&self.indexes())
    }

    /// The `Packages` index of amd64, uncompressed.
    pub fn packages_text(&self) -> String {
        self.packages_for("amd64")
    }

    /// Index files by their path below the suite, as the release file vouches for them.
    fn indexes(&self) -> BTreeMap<String, Vec<u8>> {
        let mut indexes = BTreeMap::new();
        let text = self.packages_text();
        for compression in [Compression::None, Compression::Gz, Compression::Xz] {
            let path = format!("main/binary-amd64/Packages{}", compression.extension());
            indexes.insert(path, compress(text.as_bytes(), compression));
        }
        if self.fault != Some(ArchiveFault::NoContents) {
            for architecture in ["amd64", "all"] {
                let path = format!("main/Contents-{architecture}.gz");
                let list = self.contents_text(architecture);
                indexes.insert(path, compress(list.as_bytes(), Compression::Gz));
            }
        }
        indexes
    }

    /// The list of all files of one architecture's packages.
    pub fn contents_text(&self, architecture: &str) -> String {
        let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (deb, _) in self.debs.iter().filter(|(deb, _)| deb.architecture_name() == architecture) {
            for path in deb.paths() {
                owners.entry(path).or_default().push(format!("toys/{}", deb.name()));
            }
        }
        owners.into_iter().map(|(path, debs)| format!("{path:<60} {}\n", debs.join(","))).collect()
    }

    fn packages_for(&self, architecture: &str) -> String {
        let mut stanzas: Vec<String> = self
            .debs
            .iter()
            .filter(|(deb, _)| [architecture, "all"].contains(&deb.architecture_name()))
            .map(|(deb, bytes)| self.stanza(deb, bytes))
            .collect();
        stanzas.sort();
        stanzas.join("\n")
    }

    fn stanza(&self, deb: &Deb, bytes: &[u8]) -> String {
        let file_name = match self.fault {
            Some(ArchiveFault::HostileFileNames) => "../../etc/passwd".to_owned(),
            _ => pool_path(deb),
        };
        let sha256 = match self.fault {
            Some(ArchiveFault::WrongPackageHashes) => sha256_hex(b"something else"),
            _ => sha256_hex(bytes),
        };
        format!("{}Filename: {file_name}\nSize: {}\nSHA256: {sha256}\n", deb.control(), bytes.len())
    }

    fn release(&self, indexes: &BTreeMap<String, Vec<u8>>) -> String {
        let mut text = format!(
            "Origin: Toy Town\nLabel: Toy Town\nSuite: {}\nCodename: {}\nDate: {}\n",
            self.suite, self.codename, self.date
        );
        if let Some(until) = &self.valid_until {
            text.push_str(&format!("Valid-Until: {until}\n"));
        }
        text.push_str(
            "Acquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main\nDescription: toys\n",
        );
        text.push_str("MD5Sum:\n");
        for (path, bytes) in indexes {
            text.push_str(&format!(" {} {:>8} {path}\n", md5_hex(bytes), bytes.len()));
        }
        text.push_str("SHA256:\n");
        for (path, bytes) in indexes {
            text.push_str(&format!(" {} {:>8} {path}\n", sha256_hex(bytes), bytes.len()));
        }
        text
    }

    fn in_release(&self, indexes: &BTreeMap<String, Vec<u8>>) -> String {
        let text = self.release(indexes);
        if self.fault == Some(ArchiveFault::UnsignedRelease) {
            return text;
        }
        assert!(!self.signers.is_empty(), "an archive is signed, or has the fault `UnsignedRelease`");
        let signers: Vec<(&SigningKey, SignedBy)> = self.signers.iter().map(|(key, by)| (key, *by)).collect();
        let signed = clearsign(&text, &signers);
        match self.fault {
            Some(ArchiveFault::TamperedRelease) => signed.replace("Label: Toy Town", "Label: Toy Tower"),
            Some(ArchiveFault::TextBeforeMessage) => format!("Suite: evil\n\n{signed}"),
            Some(ArchiveFault::TextAfterMessage) => format!("{signed}\nSuite: evil\n"),
            _ => signed,
        }
    }

    fn write_index(&self, dist: &Path, path: &str, bytes: &[u8]) {
        let written = match self.fault {
            Some(ArchiveFault::TamperedPackages) => bytes.iter().map(|byte| byte ^ 1).collect(),
            Some(ArchiveFault::TruncatedPackages) => bytes[..bytes.len() / 2].to_vec(),
            _ => bytes.to_vec(),
        };
        let file = dist.join(path);
        write(&file, &written);
        if self.fault != Some(ArchiveFault::MissingByHash) {
            let dir = file.parent().expect("an index lies in a directory").join("by-hash/SHA256");
            write(&dir.join(sha256_hex(bytes)), &written);
        }
    }
}

fn pool_path(deb: &Deb) -> String {
    let first = deb.name().chars().next().expect("a package has a name");
    format!("pool/main/{first}/{}/{}", deb.name(), deb.file_name())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file lies in a directory"))
        .and_then(|()| fs::write(path, bytes))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{KeyState, program};

    fn plain(deb: Deb) -> Deb {
        deb.compression(Compression::None)
    }

    fn sample() -> DebianArchive {
        DebianArchive::new("trixie")
            .claims_suite("stable")
            .package(plain(Deb::new("toy-b", "1:2-1").depends("toy-a (>= 1)").file("/usr/share/b", "b")))
            .package(plain(Deb::new("toy-a", "1").architecture("all").file("/usr/share/a", "a")))
    }

    /// Lets apt-get read the archive and download a package: what went wrong, or which files came.
    fn judged(archive: &DebianArchive, key: &SigningKey) -> Option<String> {
        let apt = program("apt-get")?;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        // apt's sandbox user must be able to come in.
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        archive.write_to(root.join("archive"));
        fs::write(root.join("key.asc"), key.public_armored()).unwrap();
        for place in ["state/lists/partial", "cache/archives/partial", "etc", "here"] {
            fs::create_dir_all(root.join(place)).unwrap();
        }
        let at = root.display();
        fs::write(root.join("status"), "").unwrap();
        let source = format!("deb [signed-by={at}/key.asc arch=amd64] file:{at}/archive trixie main\n");
        fs::write(root.join("sources.list"), source).unwrap();
        let config = format!(
            "Dir::State \"{at}/state\";\nDir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
             Dir::Etc \"{at}/etc\";\nDir::Etc::sourcelist \"{at}/sources.list\";\nDir::Log \"{at}\";\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n"
        );
        fs::write(root.join("apt.conf"), config).unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new(&apt)
                .args(arguments)
                .current_dir(root.join("here"))
                .env("APT_CONFIG", root.join("apt.conf"))
                .env("LC_ALL", "C")
                .output()
                .unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let steps: [&[&str]; 2] =
            [&["update", "-o", "APT::Update::Error-Mode=any"], &["download", "toy-a", "toy-b"]];
        for step in steps {
            let (ok, said) = run(step);
            if !ok {
                return Some(format!("{} failed: {}", step[0], reason(&said)));
            }
        }
        Some(
            crate::tree_dump(root.join("here")).lines().map(|line| line.split(' ').next().unwrap()).collect(),
        )
    }

    /// The part of apt's complaint that doesn't depend on paths.
    fn reason(said: &str) -> &'static str {
        let known = [
            "Hash Sum mismatch",
            "File has unexpected size",
            "BADSIG",
            "EXPKEYSIG",
            "REVKEYSIG",
            "NO_PUBKEY",
            "is expired",
            "Clearsigned file isn't valid",
            "File not found",
            "is not signed",
        ];
        known
            .into_iter()
            .find(|phrase| said.contains(phrase))
            .unwrap_or_else(|| panic!("unknown complaint: {said}"))
    }

    #[test]
    fn apt_accepts_the_archive_and_downloads_from_it() {
        let key = SigningKey::new(1);
        let Some(said) = judged(&sample().sign_with(&key), &key) else { return };
        assert_eq!(said, "/toy-a_1_all.deb/toy-b_1%3a2-1_amd64.deb");
        assert_eq!(judged(&sample().sign_by(&key, SignedBy::Primary), &key).unwrap(), said);
        let two = sample().sign_with(&SigningKey::new(2)).sign_with(&key);
        assert_eq!(judged(&two, &key).unwrap(), said);
    }

    #[test]
    fn apt_refuses_a_faulty_archive() {
        let key = SigningKey::new(1);
        let faults = [
            ArchiveFault::TamperedRelease,
            ArchiveFault::UnsignedRelease,
            ArchiveFault::TextBeforeMessage,
            ArchiveFault::TextAfterMessage,
            ArchiveFault::TamperedPackages,
            ArchiveFault::TruncatedPackages,
            ArchiveFault::WrongPackageHashes,
            ArchiveFault::MissingPool,
        ];
        let mut report = String::new();
        for fault in faults {
            let Some(said) = judged(&sample().sign_with(&key).fault(fault), &key) else { return };
            report.push_str(&format!("{fault:?}: {said}\n"));
        }
        insta::assert_snapshot!(report, @r"
        TamperedRelease: update failed: BADSIG
        UnsignedRelease: update failed: Clearsigned file isn't valid
        TextBeforeMessage: update failed: Clearsigned file isn't valid
        TextAfterMessage: update failed: is not signed
        TamperedPackages: update failed: Hash Sum mismatch
        TruncatedPackages: update failed: Hash Sum mismatch
        WrongPackageHashes: download failed: Hash Sum mismatch
        MissingPool: download failed: File not found
        ");
    }

    #[test]
    fn apt_refuses_keys_and_dates_that_are_over() {
        let good = SigningKey::new(1);
        let revoked = SigningKey::with_state(1, KeyState::Revoked);
        let expired = SigningKey::with_state(1, KeyState::SubkeyExpires(crate::FIXTURE_TIME + 1));
        let Some(said) = judged(&sample().sign_with(&revoked), &revoked) else { return };
        assert_eq!(said, "update failed: REVKEYSIG");
        assert_eq!(judged(&sample().sign_with(&expired), &expired).unwrap(), "update failed: EXPKEYSIG");
        assert_eq!(
            judged(&sample().sign_with(&SigningKey::new(2)), &good).unwrap(),
            "update failed: NO_PUBKEY"
        );
        let stale = sample().sign_with(&good).valid_until("Wed, 08 Jan 2020 00:00:00 UTC");
        assert_eq!(judged(&stale, &good).unwrap(), "update failed: is expired");
    }

    #[test]
    fn packages_and_release_are_as_specified() {
        let archive = sample().sign_with(&SigningKey::new(1)).valid_until("Wed, 08 Jan 2020 00:00:00 UTC");
        insta::assert_snapshot!(archive.packages_text(), @r"
        Package: toy-a
        Version: 1
        Architecture: all
        Maintainer: Toy Town <toys@host.test>
        Installed-Size: 1
        Description: toy-a, a toy
        Filename: pool/main/t/toy-a/toy-a_1_all.deb
        Size: 7360
        SHA256: 51f0b0ab5976de9d136345630b6463ae208afd72da5befbb88316458fecc73f6

        Package: toy-b
        Version: 1:2-1
        Architecture: amd64
        Maintainer: Toy Town <toys@host.test>
        Installed-Size: 1
        Depends: toy-a (>= 1)
        Description: toy-b, a toy
        Filename: pool/main/t/toy-b/toy-b_2-1_amd64.deb
        Size: 7360
        SHA256: eaf53197b4099af7a21856bb5831cd7c653902e77e221d1bae2b6b7be442f670
        ");
        let release = archive.in_release_text();
        let list = archive.contents_text("all");
        insta::assert_snapshot!(list, @"usr/share/a                                                  toys/toy-a");
        let (head, _) = release.split_once("MD5Sum:").unwrap();
        insta::assert_snapshot!(head, @r"
        -----BEGIN PGP SIGNED MESSAGE-----
        Hash: SHA256

        Origin: Toy Town
        Label: Toy Town
        Suite: stable
        Codename: trixie
        Date: Wed, 01 Jan 2020 00:00:00 UTC
        Valid-Until: Wed, 08 Jan 2020 00:00:00 UTC
        Acquire-By-Hash: yes
        Architectures: all amd64
        Components: main
        Description: toys
        ");
    }
}
