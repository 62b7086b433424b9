//! The loader's list, held against `ldconfig`'s own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use minke_cas::{Digest, Entry, File, ImagePath, Mode, Tree};
use minke_elf::ldcache::{Listing, list, write};
use minke_elf::{Facts, is_elf};
use minke_testkit::{ElfObject, Machine};

/// A tree of libraries and what is known of each.
#[derive(Default)]
struct Libraries {
    tree: Tree,
    facts: BTreeMap<Digest, Facts>,
}

impl Libraries {
    fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        let digest = Digest::of(path.as_bytes());
        if is_elf(bytes) {
            self.facts.insert(digest, Facts::read(bytes).unwrap());
        }
        let file = File::new(digest, bytes.len() as u64, Mode::EXECUTABLE);
        self.tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        self
    }

    fn library(self, path: &str, soname: &str) -> Self {
        self.file(path, &ElfObject::new().soname(soname).build())
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.tree.insert(&path.parse().unwrap(), Entry::symlink(target)).unwrap();
        self
    }

    fn list(&self, directories: &[&str]) -> Listing {
        let directories: Vec<ImagePath> = directories.iter().map(|path| path.parse().unwrap()).collect();
        list(&self.tree, |file| self.facts.get(&file.content), &directories)
    }

    /// Says what is listed, and which links are missing, a line each.
    fn story(&self, directories: &[&str]) -> String {
        let Listing { entries, links } = self.list(directories);
        let entries = entries.into_iter().map(|entry| {
            let hwcaps = entry.hwcaps.map(|level| format!(" ({level})")).unwrap_or_default();
            format!("{} => {}{hwcaps}", entry.soname, entry.path)
        });
        let links = links.into_iter().map(|link| format!("link {} -> {}", link.path, link.target));
        entries.chain(links).collect::<Vec<_>>().join("\n")
    }
}

const LDCONFIG: &str = "/sbin/ldconfig";

/// What `ldconfig` prints of a cache, without the lines that name the file and its maker.
fn printed(cache: &Path) -> Vec<String> {
    let output = Command::new(LDCONFIG).arg("-p").arg("-C").arg(cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.starts_with('\t')).map(str::to_owned).collect()
}

fn is_there(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        eprintln!("skipped: {program} is missing");
    }
    there
}

#[test]
fn a_library_is_listed_by_its_soname_with_or_without_its_link() {
    let libraries = Libraries::default()
        .library("/usr/lib/liba.so.1.2", "liba.so.1")
        .link("/usr/lib/liba.so.1", "liba.so.1.2")
        .link("/usr/lib/liba.so", "liba.so.1")
        .library("/usr/lib/libb.so.2.10", "libb.so.2")
        .library("/usr/lib/libb.so.2.9", "libb.so.2")
        .library("/usr/lib/libc.so.3.1", "libc.so.3")
        .library("/usr/lib/libc.so.3.2", "libc.so.3")
        .link("/usr/lib/libc.so.3", "libc.so.3.1")
        .file("/usr/lib/libplain.so", &ElfObject::new().build())
        .library("/usr/lib/libtrue.so.1", "libtrue.so.1");
    insta::assert_snapshot!(libraries.story(&["/usr/lib"]), @r"
        libtrue.so.1 => /usr/lib/libtrue.so.1
        libplain.so => /usr/lib/libplain.so
        libc.so.3 => /usr/lib/libc.so.3
        libb.so.2 => /usr/lib/libb.so.2
        liba.so.1 => /usr/lib/liba.so.1
        liba.so => /usr/lib/liba.so
        link /usr/lib/libb.so.2 -> libb.so.2.10
        link /usr/lib/libc.so.3 -> libc.so.3.2
    ");
}

#[test]
fn what_is_no_library_is_not_listed() {
    let program = ElfObject::new().interpreter("/lib64/ld.so").soname("libprogram.so").build();
    let libraries = Libraries::default()
        .file("/usr/lib/libscript.so", b"/* GNU ld script */")
        .file("/usr/lib/module.so", &ElfObject::new().build())
        .file("/usr/lib/libm.so.6-gdb.py", b"import gdb")
        .file("/usr/lib/libcut.so.1.dpkg-new", &program)
        .link("/usr/lib/libgone.so.1", "libgone.so.1.0")
        .link("/usr/lib/libdirectory.so.1", "directory")
        .library("/usr/lib/directory/libbelow.so.1", "libbelow.so.1")
        .library("/usr/lib/ld-linux.so.2", "ld-linux.so.2");
    insta::assert_snapshot!(libraries.story(&["/usr/lib", "/nowhere"]), @"ld-linux.so.2 => /usr/lib/ld-linux.so.2");
}

#[test]
fn one_directory_under_two_names_is_listed_once_by_the_first() {
    let libraries = Libraries::default().library("/usr/lib/liba.so.1", "liba.so.1").link("/lib", "usr/lib");
    insta::assert_snapshot!(libraries.story(&["/lib", "/usr/lib"]), @"liba.so.1 => /lib/liba.so.1");
}

#[test]
fn the_first_directory_comes_first() {
    let libraries = Libraries::default()
        .library("/usr/lib/liba.so.1", "liba.so.1")
        .library("/usr/local/lib/liba.so.1", "liba.so.1");
    insta::assert_snapshot!(libraries.story(&["/usr/local/lib", "/usr/lib"]), @r"
        liba.so.1 => /usr/local/lib/liba.so.1
        liba.so.1 => /usr/lib/liba.so.1
    ");
}

fn special() -> Libraries {
    let arm = ElfObject::new().machine(Machine::Aarch64).soname("liba.so.1").build();
    Libraries::default()
        .library("/usr/lib/liba.so.1", "liba.so.1")
        .library("/usr/lib/glibc-hwcaps/x86-64-v2/liba.so.1.2", "liba.so.1")
        .library("/usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1.2", "liba.so.1")
        .file("/usr/lib/arm/liba.so.1", &arm)
}

#[test]
fn special_directories_and_other_processors_have_lines_of_their_own() {
    insta::assert_snapshot!(special().story(&["/usr/lib", "/usr/lib/arm"]), @r"
        liba.so.1 => /usr/lib/arm/liba.so.1
        liba.so.1 => /usr/lib/glibc-hwcaps/x86-64-v2/liba.so.1.2 (x86-64-v2)
        liba.so.1 => /usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1.2 (x86-64-v3)
        liba.so.1 => /usr/lib/liba.so.1
    ");
}

#[test]
fn the_cache_does_not_depend_on_the_order_of_what_it_lists() {
    let mut entries = special().list(&["/usr/lib", "/usr/lib/arm"]).entries;
    let cache = write(&entries);
    entries.reverse();
    assert_eq!(write(&entries), cache);
    // Three sonames and paths that end in them: nothing is there twice.
    let text = cache.windows(10).filter(|window| *window == b"\0liba.so.1").count();
    assert_eq!(text, 0);
}

#[test]
fn ldconfig_reads_what_is_written() {
    if !is_there(LDCONFIG) {
        return;
    }
    let cache = tempfile::NamedTempFile::new().unwrap();
    fs::write(cache.path(), write(&special().list(&["/usr/lib", "/usr/lib/arm"]).entries)).unwrap();
    insta::assert_snapshot!(printed(cache.path()).join("\n").replace('\t', ""), @r#"
        liba.so.1 (libc6,AArch64) => /usr/lib/arm/liba.so.1
        liba.so.1 (libc6,x86-64, hwcap: "x86-64-v2") => /usr/lib/glibc-hwcaps/x86-64-v2/liba.so.1.2
        liba.so.1 (libc6,x86-64, hwcap: "x86-64-v3") => /usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1.2
        liba.so.1 (libc6,x86-64) => /usr/lib/liba.so.1
    "#);
    fs::write(cache.path(), write(&[])).unwrap();
    assert_eq!(printed(cache.path()), [""; 0]);
}

/// Puts what lies in one of this machine's directories into a tree.
fn add_directory(mut libraries: Libraries, directory: &str) -> Libraries {
    for entry in fs::read_dir(directory).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path().to_str().unwrap().to_owned();
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            libraries = libraries.link(&path, target.to_str().unwrap());
            // Some lead into directories that aren't listed themselves.
            if let Ok(end) = fs::canonicalize(&path)
                && end.is_file()
                && path.contains(".so")
            {
                libraries = libraries.file(end.to_str().unwrap(), &fs::read(&end).unwrap());
            }
        } else if kind.is_file() && path.contains(".so") {
            libraries = libraries.file(&path, &fs::read(&path).unwrap());
        } else if kind.is_dir() && path.contains("glibc-hwcaps") {
            libraries = add_directory(libraries, &path);
        }
    }
    libraries
}

#[test]
fn this_machine_is_listed_as_ldconfig_lists_it() {
    if !is_there(LDCONFIG) || !is_there("/usr/lib/x86_64-linux-gnu/libc.so.6") {
        return;
    }
    let directories = ["/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];
    let scratch = tempfile::tempdir().unwrap();
    let (theirs, ours, conf) =
        (scratch.path().join("theirs"), scratch.path().join("ours"), scratch.path().join("conf"));
    fs::write(&conf, directories.join("\n")).unwrap();
    let status =
        Command::new(LDCONFIG).args(["-i", "-X", "-C"]).arg(&theirs).arg("-f").arg(&conf).status().unwrap();
    assert!(status.success());

    let libraries = Libraries::default().link("/lib", "usr/lib");
    let libraries = directories
        .iter()
        .filter(|path| **path != "/lib")
        .fold(libraries, |all, path| add_directory(all, path));
    let listing = libraries.list(&directories);
    fs::write(&ours, write(&listing.entries)).unwrap();
    let (ours, theirs) = (printed(&ours), printed(&theirs));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (Vec::new(), Vec::new()));
    assert!(ours == theirs, "the same lines are in another order");
}
