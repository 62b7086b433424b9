//! Writes tiny ELF objects for 64-bit machines, byte by byte, without a compiler.
//!
//! What dynamic linking reads is all there and true: the real loader loads an object for its machine, and finds its
//! symbols. There is no code in it: every symbol is eight bytes of data that hold 42.
//!
//! Spec: <https://gabi.xinuos.com/>, symbol versions: <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html>

mod layout;
mod tables;

use layout::Layout;

/// The machine that an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// A shared object in the making; with an interpreter it counts as an executable.
///
/// Nothing is checked: an import of a version needs its file among those [`needed`](ElfObject::needed), for instance.
#[derive(Debug, Clone)]
pub struct ElfObject {
    machine: Machine,
    soname: Option<String>,
    needed: Vec<String>,
    runpath: Option<String>,
    rpath: Option<String>,
    interpreter: Option<String>,
    symbols: Vec<Symbol>,
    debug_bytes: usize,
}

#[derive(Debug, Clone)]
struct Symbol {
    name: String,
    origin: Origin,
}

/// Where a dynamic symbol comes from, and in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Defined(Option<String>),
    Imported(Option<Import>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    version: String,
    file: String,
}

/// Makes an x86-64 shared object that needs other files and looks for them in `runpath`.
pub fn elf_shared_object(soname: &str, needed: &[&str], runpath: Option<&str>) -> Vec<u8> {
    let object = needed.iter().fold(ElfObject::new().soname(soname), |object, file| object.needed(file));
    match runpath {
        Some(runpath) => object.runpath(runpath).build(),
        None => object.build(),
    }
}

impl Default for ElfObject {
    /// An x86-64 object without name and needs.
    fn default() -> ElfObject {
        ElfObject::new()
    }
}

impl ElfObject {
    /// Starts an x86-64 object without name and needs.
    pub fn new() -> ElfObject {
        ElfObject {
            machine: Machine::X86_64,
            soname: None,
            needed: Vec::new(),
            runpath: None,
            rpath: None,
            interpreter: None,
            symbols: Vec::new(),
            debug_bytes: 0,
        }
    }

    /// Sets the machine that it is for.
    pub fn machine(mut self, machine: Machine) -> ElfObject {
        self.machine = machine;
        self
    }

    /// Sets `DT_SONAME`.
    pub fn soname(mut self, name: &str) -> ElfObject {
        self.soname = Some(name.to_owned());
        self
    }

    /// Adds a `DT_NEEDED`.
    pub fn needed(mut self, file: &str) -> ElfObject {
        self.needed.push(file.to_owned());
        self
    }

    /// Sets `DT_RUNPATH`: `$ORIGIN/../x.libs`.
    pub fn runpath(mut self, path: &str) -> ElfObject {
        self.runpath = Some(path.to_owned());
        self
    }

    /// Sets the older `DT_RPATH`.
    pub fn rpath(mut self, path: &str) -> ElfObject {
        self.rpath = Some(path.to_owned());
        self
    }

    /// Sets the loader that it asks for: `/lib64/ld-linux-x86-64.so.2`.
    pub fn interpreter(mut self, path: &str) -> ElfObject {
        self.interpreter = Some(path.to_owned());
        self
    }

    /// Defines a symbol without a version.
    pub fn defines(self, name: &str) -> ElfObject {
        self.symbol(name, Origin::Defined(None))
    }

    /// Defines a symbol in a version: `("toy_add", "TOY_1.0")`.
    pub fn defines_versioned(self, name: &str, version: &str) -> ElfObject {
        self.symbol(name, Origin::Defined(Some(version.to_owned())))
    }

    /// Leaves a symbol undefined, without a version.
    pub fn imports(self, name: &str) -> ElfObject {
        self.symbol(name, Origin::Imported(None))
    }

    /// Leaves a symbol undefined that a file defines in a version: `("malloc", "GLIBC_2.2.5", "libc.so.6")`.
    pub fn imports_versioned(self, name: &str, version: &str, file: &str) -> ElfObject {
        let import = Import { version: version.to_owned(), file: file.to_owned() };
        self.symbol(name, Origin::Imported(Some(import)))
    }

    /// Adds a `.debug_info` section of so many bytes, which isn't loaded.
    pub fn debug_bytes(mut self, size: usize) -> ElfObject {
        self.debug_bytes = size;
        self
    }

    /// Builds the file.
    pub fn build(&self) -> Vec<u8> {
        Layout::of(self).write()
    }

    fn symbol(mut self, name: &str, origin: Origin) -> ElfObject {
        self.symbols.push(Symbol { name: name.to_owned(), origin });
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::{program, python_with_pip};

    fn sample() -> ElfObject {
        ElfObject::new()
            .soname("libtoy.so.1")
            .needed("libc.so.6")
            .runpath("$ORIGIN/../toy.libs")
            .defines("toy_plain")
            .defines_versioned("toy_old", "TOY_1.0")
            .defines_versioned("toy_new", "TOY_2.0")
            .imports("toy_elsewhere")
            .imports_versioned("malloc", "GLIBC_2.2.5", "libc.so.6")
            .imports_versioned("memcpy", "GLIBC_2.14", "libc.so.6")
            .debug_bytes(1000)
    }

    fn readelf(bytes: &[u8], arguments: &[&str]) -> Option<String> {
        let readelf = program("readelf")?;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.so"), bytes).unwrap();
        let output = Command::new(readelf)
            .args(arguments)
            .arg("x.so")
            .current_dir(dir.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    /// Lines that hold a phrase, their blanks squeezed and addresses left out.
    fn picked(text: &str, phrases: &[&str]) -> String {
        let lines = text.lines().filter(|line| phrases.iter().any(|phrase| line.contains(phrase)));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    #[test]
    fn readelf_finds_names_needs_and_paths() {
        let Some(text) = readelf(&sample().build(), &["--dynamic", "--wide"]) else { return };
        insta::assert_snapshot!(picked(&text, &["NEEDED", "SONAME", "PATH"]), @r"
        0x0000000000000001 (NEEDED) Shared library: [libc.so.6]
        0x000000000000000e (SONAME) Library soname: [libtoy.so.1]
        0x000000000000001d (RUNPATH) Library runpath: [$ORIGIN/../toy.libs]
        ");
        let old = ElfObject::new()
            .rpath("/opt")
            .interpreter("/lib64/ld-linux-x86-64.so.2")
            .machine(Machine::Aarch64);
        let text =
            readelf(&old.build(), &["--dynamic", "--program-headers", "--file-header", "--wide"]).unwrap();
        insta::assert_snapshot!(picked(&text, &["RPATH", "interpreter", "Machine", "Type: "]), @r"
        Type: DYN (Shared object file)
        Machine: AArch64
        [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]
        0x000000000000000f (RPATH) Library rpath: [/opt]
        ");
    }

    #[test]
    fn readelf_finds_symbols_in_their_versions() {
        let Some(text) = readelf(&sample().build(), &["--dyn-syms", "--wide"]) else { return };
        insta::assert_snapshot!(picked(&text, &["GLOBAL"]), @r"
        1: 00000000000003d0 8 OBJECT GLOBAL DEFAULT 8 toy_plain
        2: 00000000000003d0 8 OBJECT GLOBAL DEFAULT 8 toy_old@@TOY_1.0
        3: 00000000000003d0 8 OBJECT GLOBAL DEFAULT 8 toy_new@@TOY_2.0
        4: 0000000000000000 0 NOTYPE GLOBAL DEFAULT UND toy_elsewhere
        5: 0000000000000000 0 NOTYPE GLOBAL DEFAULT UND malloc@GLIBC_2.2.5 (5)
        6: 0000000000000000 0 NOTYPE GLOBAL DEFAULT UND memcpy@GLIBC_2.14 (4)
        ");
        let text = readelf(&sample().build(), &["--version-info", "--wide"]).unwrap();
        insta::assert_snapshot!(picked(&text, &["Name:", "File:"]), @r"
        000000: Rev: 1 Flags: BASE Index: 1 Cnt: 1 Name: libtoy.so.1
        0x001c: Rev: 1 Flags: none Index: 2 Cnt: 1 Name: TOY_1.0
        0x0038: Rev: 1 Flags: none Index: 3 Cnt: 1 Name: TOY_2.0
        000000: Version: 1 File: libc.so.6 Cnt: 2
        0x0010: Name: GLIBC_2.14 Flags: none Version: 4
        0x0020: Name: GLIBC_2.2.5 Flags: none Version: 5
        ");
    }

    #[test]
    fn readelf_finds_every_section() {
        let Some(text) = readelf(&sample().build(), &["--sections", "--wide"]) else { return };
        let names = text.lines().filter_map(|line| line.split_once("] ."));
        let names: Vec<&str> = names.map(|(_, rest)| rest.split(' ').next().unwrap()).collect();
        assert_eq!(
            names.join(" "),
            "hash dynsym dynstr gnu.version gnu.version_d gnu.version_r dynamic data debug_info shstrtab"
        );
    }

    #[test]
    fn the_real_loader_loads_an_object_and_finds_its_symbols_through_another() {
        let Some(python) = python_with_pip() else { return };
        if !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            return crate::skip("this isn't an x86-64 machine with glibc");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("libtoy.so.1"), sample().build()).unwrap();
        let user = elf_shared_object("libuser.so", &["libtoy.so.1"], Some("$ORIGIN"));
        fs::write(dir.path().join("libuser.so"), user).unwrap();
        let code =
            "import ctypes, sys; print(ctypes.c_int64.in_dll(ctypes.CDLL(sys.argv[1]), 'toy_old').value)";
        let output =
            Command::new(python).args(["-c", code]).arg(dir.path().join("libuser.so")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n");
    }
}
