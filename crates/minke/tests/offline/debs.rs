//! The packages of the town's archive besides this machine's own: a few odd ones, and one package for each thing that a hostile package may try.

use minke_testkit::{Compression, Deb, DebFault, TarEntry, TarKind, elf_shared_object};

/// A small package that is like any other.
pub(crate) const TOOL: &str = "toy-tool";

/// Where its file lies on the archive's server.
pub(crate) const TOOL_PATH: &str = "/debian/pool/main/t/toy-tool/toy-tool_1_amd64.deb";

/// What hostile packages try; each is a package `evil-NAME`.
pub(crate) const HOSTILE: [&str; 16] = [
    "above-the-root",
    "block-device",
    "bomb",
    "character-device",
    "cut-short",
    "duplicate",
    "fifo",
    "file-over-directory",
    "hard-link-out",
    "link-out",
    "no-ar",
    "no-control",
    "no-data",
    "not-compressed",
    "overstated",
    "through-a-link",
];

/// What only builds need: a header, the library that it is for, and a program that tells where they lie.
fn headers() -> [Deb; 1] {
    [Deb::new("libtoyhorn-dev", "1")
        .file("/usr/include/toyhorn.h", "int toyhorn(void);\n")
        .file("/usr/bin/toyhorn-config", "#!/bin/sh\n")
        .file("/usr/lib/x86_64-linux-gnu/libtoyhorn.a", "!<arch>\n")]
}

/// All of them.
pub(crate) fn all() -> Vec<Deb> {
    let tool = Deb::new(TOOL, "1").file("/usr/share/toy-tool/data", "a tool");
    let scripted = Deb::new("toy-scripted", "1")
        .file("/usr/share/toy-scripted/data", "x")
        .control_file("postinst", "#!/bin/sh\nmake-it-so\n");
    let absolute = Deb::new("toy-absolute", "1").raw_tar_entry(TarEntry::file("/etc/toy-absolute", "x"));
    let busybox = Deb::new("busybox-static", "1").file("/usr/bin/busybox", "many programs in one");
    let terminals = Deb::new("ncurses-base", "1").file("/usr/lib/terminfo/x/xterm", "a terminal");
    let odd = [tool, scripted, absolute, busybox, terminals];
    HOSTILE
        .iter()
        .map(|name| hostile(name))
        .chain(odd)
        .chain(libraries())
        .chain(rust())
        .chain(headers())
        .collect()
}

/// Packages with libraries that no table knows: one that another one needs, and a dearer one that has the same.
fn libraries() -> [Deb; 4] {
    let library = |soname: &str| elf_shared_object(soname, &["libc.so.6"], None);
    let place = |name: &str| format!("/usr/lib/x86_64-linux-gnu/{name}");
    [
        Deb::new("libtoysound7", "1")
            .symlink(&place("libtoysound.so.7"), "libtoysound.so.7.0.1")
            .file(&place("libtoysound.so.7.0.1"), library("libtoysound.so.7"))
            .depends("libtoywave1"),
        Deb::new("libtoywave1", "1").file(&place("libtoywave.so.1"), library("libtoywave.so.1")),
        Deb::new("libtoysound-dear7", "1")
            .file(&place("libtoysound.so.7"), library("libtoysound.so.7"))
            .file("/usr/share/toysound/samples", vec![7; 9000])
            .compression(Compression::None),
        Deb::new("libtoyhuge1", "1")
            .file(&place("libtoyhuge.so.1"), library("libtoyhuge.so.1"))
            .file("/usr/share/toyhuge/samples", vec![7; 2 << 20])
            .compression(Compression::None),
    ]
}

/// Two packages that have a cargo, of which one is newer.
fn rust() -> [Deb; 2] {
    let rust = |name: &str, version: &str| Deb::new(name, version).file("/usr/bin/cargo", version);
    [rust("cargo", "0.66.0+ds1-1"), rust("cargo-web", "1.85.0+dfsg3-1")]
}

fn hostile(name: &str) -> Deb {
    let deb = Deb::new(&format!("evil-{name}"), "1").compression(Compression::Gz);
    let fine = || deb.clone().file("/usr/share/evil/data", "x");
    let raw = |entry: TarEntry| fine().raw_tar_entry(entry);
    let device = |kind| raw(TarEntry::new("./usr/share/evil/device", kind, 0o666));
    match name {
        "above-the-root" => raw(TarEntry::file("./usr/../../etc/passwd", "x")),
        "block-device" => device(TarKind::BlockDevice(8, 0)),
        // 80 MiB of zeros, which the control record doesn't mention.
        "bomb" => fine()
            .field("Installed-Size", "1")
            .raw_tar_entry(TarEntry::file("./usr/share/evil/zeros", vec![0; 80 << 20])),
        "character-device" => device(TarKind::CharDevice(1, 1)),
        "cut-short" => fine().fault(DebFault::TruncatedData(20)),
        "duplicate" => raw(TarEntry::file("./usr/share/evil/data", "y")),
        "fifo" => device(TarKind::Fifo),
        "file-over-directory" => raw(TarEntry::file("./usr/share/evil", "x")),
        "hard-link-out" => raw(TarEntry::hardlink("./usr/share/evil/passwd", "../../../etc/passwd")),
        "link-out" => raw(TarEntry::symlink("./usr/share/evil/etc", "../../../../etc")),
        "no-ar" => fine().fault(DebFault::NotAr),
        "no-control" => fine().fault(DebFault::NoControl),
        "no-data" => fine().fault(DebFault::NoData),
        "not-compressed" => fine().fault(DebFault::NotCompressed),
        "overstated" => fine().fault(DebFault::OverstatedData(1000)),
        "through-a-link" => raw(TarEntry::symlink("./usr/share/evil/etc", "/etc"))
            .raw_tar_entry(TarEntry::file("./usr/share/evil/etc/passwd", "x")),
        other => unreachable!("`{other}` is no kind of hostility"),
    }
}
