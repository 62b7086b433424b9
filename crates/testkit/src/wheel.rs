//! Builds wheels, honest and dishonest ones.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::collections::BTreeMap;

use crate::sha256_urlsafe;
use crate::zip::{ZipEntry, ZipLie, zip};

/// What is wrong with a wheel; hostile names, duplicates and links need no fault, they are only files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WheelFault {
    /// There is no `RECORD`.
    NoRecord,
    /// There is no `WHEEL`.
    NoWheelFile,
    /// There is no `METADATA`.
    NoMetadata,
    /// `RECORD` gives another hash for this file.
    WrongHash(String),
    /// `RECORD` gives another size for this file.
    WrongSize(String),
    /// `RECORD` doesn't name this file.
    Unrecorded(String),
    /// `RECORD` names this file, which isn't there.
    Absent(String),
    /// `RECORD` gives no hash for this file.
    NoHash(String),
    /// `RECORD` hashes this file with MD5, which the specification forbids.
    WeakHash(String),
    /// `WHEEL` says version 2.0.
    NewerFormat,
    /// `METADATA` says `other 9.9`, unlike the names of file and directory.
    OtherName,
    /// The file ends after so many bytes.
    Truncated(usize),
    /// The zip entry of this file lies.
    Zip(String, ZipLie),
}

/// A wheel in the making.
///
/// `RECORD`, `WHEEL` and `METADATA` are right unless a [`WheelFault`] says otherwise; names are not checked. The
/// same wheel always builds to the same bytes, its files in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Wheel {
    name: String,
    version: String,
    tags: Vec<String>,
    build: Option<String>,
    purelib: Purelib,
    metadata: Vec<(String, String)>,
    entries: Vec<ZipEntry>,
    entry_points: BTreeMap<String, Vec<String>>,
    faults: Vec<WheelFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purelib {
    Pure,
    Platform,
}

impl Wheel {
    /// Starts an empty pure wheel, tagged `py3-none-any`.
    pub fn new(name: &str, version: &str) -> Wheel {
        Wheel {
            name: name.to_owned(),
            version: version.to_owned(),
            tags: Vec::new(),
            build: None,
            purelib: Purelib::Pure,
            metadata: Vec::new(),
            entries: Vec::new(),
            entry_points: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// Sets its tag, which may be compressed: `cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64`.
    /// A tag that doesn't end in `-any` makes the wheel one for `platlib`.
    pub fn tag(mut self, tag: &str) -> Wheel {
        self.tags = vec![tag.to_owned()];
        self.purelib = if tag.ends_with("-any") { Purelib::Pure } else { Purelib::Platform };
        self
    }

    /// Sets its build tag: `1`.
    pub fn build_tag(mut self, build: &str) -> Wheel {
        self.build = Some(build.to_owned());
        self
    }

    /// Adds a file, not executable.
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Wheel {
        self.raw_zip_entry(ZipEntry::file(path, content))
    }

    /// Adds an executable file.
    pub fn executable(self, path: &str, content: impl Into<Vec<u8>>) -> Wheel {
        self.raw_zip_entry(ZipEntry { mode: 0o100_755, ..ZipEntry::file(path, content) })
    }

    /// Adds a file that installers put where `scheme` (`scripts`, `data`, `headers`, `purelib`, `platlib`) says.
    pub fn data_file(self, scheme: &str, path: &str, content: impl Into<Vec<u8>>) -> Wheel {
        let path = format!("{}.data/{scheme}/{path}", self.stem());
        self.file(&path, content)
    }

    /// Adds a script: `#!python` in its first line is to be replaced by installers.
    pub fn data_script(self, name: &str, content: impl Into<Vec<u8>>) -> Wheel {
        let path = format!("{}.data/scripts/{name}", self.stem());
        self.executable(&path, content)
    }

    /// Adds a symbolic link, which wheels may not have.
    pub fn symlink(self, path: &str, target: &str) -> Wheel {
        self.raw_zip_entry(ZipEntry::symlink(path, target))
    }

    /// Adds a zip entry as it is.
    pub fn raw_zip_entry(mut self, entry: ZipEntry) -> Wheel {
        self.entries.push(entry);
        self
    }

    /// Adds a console script: `entry_point("hello", "hello:main")`.
    pub fn entry_point(self, name: &str, object: &str) -> Wheel {
        self.entry_point_in("console_scripts", name, object)
    }

    /// Adds an entry point of any group (`gui_scripts`).
    pub fn entry_point_in(mut self, group: &str, name: &str, object: &str) -> Wheel {
        self.entry_points.entry(group.to_owned()).or_default().push(format!("{name} = {object}"));
        self
    }

    /// Adds a requirement: `x>=1; extra == "y"`.
    pub fn requires(self, requirement: &str) -> Wheel {
        self.metadata("Requires-Dist", requirement)
    }

    /// Sets the Python versions that it accepts: `>=3.9`.
    pub fn requires_python(self, specifiers: &str) -> Wheel {
        self.metadata("Requires-Python", specifiers)
    }

    /// Adds a field to `METADATA`.
    pub fn metadata(mut self, field: &str, value: &str) -> Wheel {
        self.metadata.push((field.to_owned(), value.to_owned()));
        self
    }

    /// Breaks the wheel; several faults add up.
    pub fn fault(mut self, fault: WheelFault) -> Wheel {
        self.faults.push(fault);
        self
    }

    /// The distribution's name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The distribution's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The value of a field of `METADATA`, the first one of that name.
    pub fn metadata_value(&self, field: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Its file name: `NAME-VERSION[-BUILD]-TAG.whl`.
    pub fn file_name(&self) -> String {
        let build = self.build.as_ref().map(|build| format!("-{build}")).unwrap_or_default();
        format!("{}{build}-{}.whl", self.stem(), self.tag_text())
    }

    /// Its `METADATA`.
    pub fn metadata_text(&self) -> String {
        let (name, version) = match self.has(&WheelFault::OtherName) {
            true => ("other", "9.9"),
            false => (self.name.as_str(), self.version.as_str()),
        };
        let more: String = self.metadata.iter().map(|(field, value)| format!("{field}: {value}\n")).collect();
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
    }

    /// Builds the file.
    pub fn build(&self) -> Vec<u8> {
        let info = format!("{}.dist-info", self.stem());
        let mut entries = self.entries.clone();
        if !self.has(&WheelFault::NoMetadata) {
            entries.push(ZipEntry::file(format!("{info}/METADATA"), self.metadata_text()));
        }
        if !self.has(&WheelFault::NoWheelFile) {
            entries.push(ZipEntry::file(format!("{info}/WHEEL"), self.wheel_text()));
        }
        if !self.entry_points.is_empty() {
            entries.push(ZipEntry::file(format!("{info}/entry_points.txt"), self.entry_points_text()));
        }
        if !self.has(&WheelFault::NoRecord) {
            let record = self.record(&entries, &format!("{info}/RECORD"));
            entries.push(ZipEntry::file(format!("{info}/RECORD"), record));
        }
        for fault in &self.faults {
            if let WheelFault::Zip(path, lie) = fault {
                let entry = entries.iter_mut().find(|entry| entry.name == path.as_bytes());
                entry.expect("a fault names a file of the wheel").lie = Some(lie.clone());
            }
        }
        let mut bytes = zip(&entries);
        for fault in &self.faults {
            if let WheelFault::Truncated(keep) = fault {
                bytes.truncate(*keep);
            }
        }
        bytes
    }

    fn has(&self, fault: &WheelFault) -> bool {
        self.faults.contains(fault)
    }

    /// `NAME-VERSION` as file names have it.
    fn stem(&self) -> String {
        format!("{}-{}", self.name.replace(['-', '.'], "_"), self.version)
    }

    fn tag_text(&self) -> String {
        self.tags.first().cloned().unwrap_or_else(|| "py3-none-any".to_owned())
    }

    fn wheel_text(&self) -> String {
        let version = if self.has(&WheelFault::NewerFormat) { "2.0" } else { "1.0" };
        let purelib = self.purelib == Purelib::Pure;
        let mut text = format!("Wheel-Version: {version}\nGenerator: toy town\nRoot-Is-Purelib: {purelib}\n");
        for tag in expanded(&self.tag_text()) {
            text.push_str(&format!("Tag: {tag}\n"));
        }
        if let Some(build) = &self.build {
            text.push_str(&format!("Build: {build}\n"));
        }
        text
    }

    fn entry_points_text(&self) -> String {
        self.entry_points
            .iter()
            .map(|(group, lines)| format!("[{group}]\n{}\n\n", lines.join("\n")))
            .collect()
    }

    fn record(&self, entries: &[ZipEntry], own_name: &str) -> String {
        let mut text = String::new();
        for entry in entries {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if !self.has(&WheelFault::Unrecorded(name.clone())) && !name.ends_with('/') {
                text.push_str(&self.record_line(name, &entry.content));
            }
        }
        for fault in &self.faults {
            if let WheelFault::Absent(name) = fault {
                text.push_str(&self.record_line(name.clone(), b""));
            }
        }
        text + own_name + ",,\n"
    }

    fn record_line(&self, name: String, content: &[u8]) -> String {
        let more = usize::from(self.has(&WheelFault::WrongSize(name.clone())));
        let size = content.len() + more;
        let shown = if name.contains([',', '"', '\n']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.clone()
        };
        if self.has(&WheelFault::NoHash(name.clone())) {
            format!("{shown},,\n")
        } else if self.has(&WheelFault::WrongHash(name.clone())) {
            format!("{shown},sha256={},{size}\n", sha256_urlsafe(b"something else"))
        } else if self.has(&WheelFault::WeakHash(name)) {
            format!("{shown},md5=1B2M2Y8AsgTpgAmY7PhCfg,{size}\n")
        } else {
            format!("{shown},sha256={},{size}\n", sha256_urlsafe(content))
        }
    }
}

/// A compressed tag set stands for the product of its parts.
fn expanded(tag: &str) -> Vec<String> {
    let parts: Vec<Vec<&str>> = tag.splitn(3, '-').map(|part| part.split('.').collect()).collect();
    let [pythons, abis, platforms] = parts.as_slice() else { return vec![tag.to_owned()] };
    let mut tags = Vec::new();
    for python in pythons {
        for abi in abis {
            tags.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::judge::python_with_pip;
    use crate::tree_dump;

    fn sample() -> Wheel {
        Wheel::new("toy-hello", "1.0")
            .file("toy_hello/__init__.py", "def main():\n    print('hello')\n")
            .file("toy_hello/data,1.txt", "x")
            .entry_point("toy-hello", "toy_hello:main")
            .entry_point_in("gui_scripts", "toy-window", "toy_hello:main")
            .data_script("toy-script", "#!python\nprint('script')\n")
            .data_file("data", "share/toy/x.txt", "shared")
            .data_file("purelib", "toy_pure.py", "")
            .requires("toy-other>=1; extra == 'more'")
            .requires_python(">=3.8")
    }

    /// Installs a wheel with pip and says what went wrong, if anything.
    fn install(python: &Path, wheel: &Wheel, dir: &Path) -> Result<(), String> {
        let file = dir.join(wheel.file_name());
        fs::write(&file, wheel.build()).unwrap();
        let output = Command::new(python)
            .args([
                "-m",
                "pip",
                "--isolated",
                "--disable-pip-version-check",
                "install",
                "--no-index",
                "--no-deps",
            ])
            .args(["--no-compile", "--root-user-action=ignore", "--prefix"])
            .arg(dir.join("prefix"))
            .arg(&file)
            .output()
            .unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    #[test]
    fn pip_installs_every_kind_of_file() {
        let Some(python) = python_with_pip() else { return };
        let dir = tempfile::tempdir().unwrap();
        install(&python, &sample(), dir.path()).unwrap();
        let dump = tree_dump(dir.path().join("prefix"));
        let files: Vec<&str> = dump
            .lines()
            .filter(|line| line.contains(" file "))
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let files = files.join("\n");
        let version =
            files.lines().find_map(|line| line.split('/').find(|part| part.starts_with("python3"))).unwrap();
        // Debian's own pip installs below `local`, and calls the directory otherwise.
        let files = files.replace(version, "python3.X").replace("/local/", "/");
        insta::assert_snapshot!(files.replace("dist-packages", "site-packages"), @r"
        /bin/toy-hello
        /bin/toy-script
        /bin/toy-window
        /lib/python3.X/site-packages/toy_hello/__init__.py
        /lib/python3.X/site-packages/toy_hello/data,1.txt
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/INSTALLER
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/METADATA
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/RECORD
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/REQUESTED
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/WHEEL
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/direct_url.json
        /lib/python3.X/site-packages/toy_hello-1.0.dist-info/entry_points.txt
        /lib/python3.X/site-packages/toy_pure.py
        /share/toy/x.txt
        ");
    }

    #[test]
    fn pip_refuses_what_it_checks() {
        let Some(python) = python_with_pip() else { return };
        let init = "toy_hello/__init__.py".to_owned();
        let faults = [
            WheelFault::NoRecord,
            WheelFault::NoWheelFile,
            WheelFault::NoMetadata,
            WheelFault::NewerFormat,
            WheelFault::Truncated(300),
            WheelFault::Zip(init.clone(), ZipLie::Encrypted),
            WheelFault::Zip(init.clone(), ZipLie::Checksum),
            WheelFault::Zip(init.clone(), ZipLie::LocalName(b"other.py".to_vec())),
            WheelFault::Zip(init, ZipLie::Method),
        ];
        for fault in faults {
            let dir = tempfile::tempdir().unwrap();
            assert!(install(&python, &sample().fault(fault.clone()), dir.path()).is_err(), "{fault:?}");
        }
    }

    #[test]
    fn record_wheel_and_metadata_are_as_specified() {
        let wheel =
            Wheel::new("a.b", "1").tag("cp313-abi3-manylinux_2_17_x86_64.linux_x86_64").build_tag("2");
        let wheel = wheel.file("x,y.py", "abc").requires("c");
        assert_eq!(wheel.file_name(), "a_b-1-2-cp313-abi3-manylinux_2_17_x86_64.linux_x86_64.whl");
        let entries = [ZipEntry::file("x,y.py", "abc")];
        insta::assert_snapshot!(
            format!("{}---\n{}---\n{}", wheel.metadata_text(), wheel.wheel_text(), wheel.record(&entries, "R")),
            @r#"
        Metadata-Version: 2.1
        Name: a.b
        Version: 1
        Requires-Dist: c
        ---
        Wheel-Version: 1.0
        Generator: toy town
        Root-Is-Purelib: false
        Tag: cp313-abi3-manylinux_2_17_x86_64
        Tag: cp313-abi3-linux_x86_64
        Build: 2
        ---
        "x,y.py",sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3
        R,,
        "#
        );
    }
}
