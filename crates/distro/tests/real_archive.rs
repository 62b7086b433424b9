//! The whole room on a real archive: this machine's own mirror, asked for trixie.
//!
//! Skipped, and says so, where apt's sources name no Debian mirror or it cannot be reached. What was downloaded
//! is kept below the target directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::civil::Date;
use minke_cas::{Digest, Source, SourceUrl, Store, Tree};
use minke_distro::{
    Arch, Archive, Closure, ClosureOptions, Contents, ContentsArch, Keyring, PackageIndex, Release, Suite,
    closure, deb, setup, sources, status,
};

fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

fn fetch(url: &SourceUrl) -> Option<Vec<u8>> {
    let arguments = ["-sSf", "--max-time", "120", url.with_secrets().as_str()];
    let output = Command::new("curl").args(arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn fetch_pinned(source: &Source) -> Option<Vec<u8>> {
    let kept = downloads().join(source.digest.hex());
    if let Ok(bytes) = fs::read(&kept) {
        return Some(bytes);
    }
    let bytes = fetch(&source.url)?;
    assert_eq!(
        (Digest::of(&bytes), Some(bytes.len() as u64)),
        (source.digest, source.size),
        "{}",
        source.url
    );
    fs::write(kept, &bytes).unwrap();
    Some(bytes)
}

fn downloads() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-archive");
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Today, as the archive's own clock has it: its updates are signed anew every few hours.
fn today() -> Date {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = jiff::Timestamp::from_second(now.as_secs().cast_signed()).unwrap();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn mirrors() -> Option<sources::Mirrors> {
    let read = |directory: &str| -> Vec<sources::AptSource> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| (entry.path(), fs::read_to_string(entry.path()).unwrap_or_default()))
            .flat_map(|(path, text)| match path.extension().and_then(|name| name.to_str()) {
                Some("sources") => sources::parse_deb822(&text),
                Some("list") => sources::parse_list(&text),
                _ => Vec::new(),
            })
            .collect()
    };
    let mut known = read("/etc/apt/sources.list.d");
    known.extend(sources::parse_list(&fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()));
    sources::Mirrors::find(&known)
}

fn index(archives: &[Archive], arch: Arch) -> Option<PackageIndex> {
    let mut index = PackageIndex::new(arch);
    for archive in archives {
        let release =
            Release::verify(&fetch(&archive.in_release().unwrap())?, &Keyring::debian(), today()).unwrap();
        release.expect_suite(&archive.suite).unwrap();
        let file = release.index("main", arch).remove(0);
        let bytes = fetch_pinned(&archive.index(&file).unwrap())?;
        let archive = Arc::new(archive.clone());
        let began = std::time::Instant::now();
        let count = index.add(&archive, file.compression, &bytes[..]).unwrap();
        eprintln!(
            "{} signed by {}: {count} packages, {:?}",
            archive.suite,
            release.signed_by,
            began.elapsed()
        );
    }
    Some(index)
}

fn python_closure(index: &PackageIndex) -> Closure {
    let roots = setup::base_roots(setup::python_minor(index).unwrap());
    closure(index, &roots, &ClosureOptions { left_out: setup::left_out() }).unwrap()
}

#[test]
fn trixies_python_base_unpacks_from_a_real_archive() {
    let Some(mirrors) = mirrors() else { return skip("apt's sources name no Debian mirror") };
    let archives = mirrors.archives(&"trixie".parse::<Suite>().unwrap()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    for arch in [Arch::Amd64, Arch::Arm64] {
        let Some(index) = index(&archives, arch) else { return skip("the mirror cannot be reached") };
        let chosen = python_closure(&index);
        let mut base = Tree::new();
        let mut controls = BTreeMap::new();
        for (name, chosen) in &chosen.packages {
            let source = chosen.package.file().unwrap();
            let Some(bytes) = fetch_pinned(&source) else { return skip("the mirror cannot be reached") };
            let unpacked = deb::unpack(&bytes[..], &store, deb::pack_id(&source.digest)).unwrap();
            let (tree, _) = setup::part(name, &unpacked.tree);
            let size: u64 = tree.files().map(|(_, file)| file.size).sum();
            let package = &chosen.package;
            eprintln!("{size:>9} {:>9} {name} {} ({})", package.size_bytes, package.version, chosen.why);
            if let Some(setup::NotRun { script, .. }) = setup::not_run(&unpacked.control) {
                eprintln!("          ^ its {script:?} is not accounted for");
            }
            base =
                base.join(&tree).unwrap().join(&status::record(&unpacked.control, &store).unwrap()).unwrap();
            controls.insert(name.clone(), unpacked.control);
        }
        for (name, left) in &chosen.left_out {
            eprintln!("left out: {name} ({}), wanted by {:?}", left.reason, left.wanted_by);
        }
        let additions = setup::additions(&base, controls.values(), &store).unwrap();
        let whole = base.join(&additions).unwrap();
        let size: u64 = whole.files().map(|(_, file)| file.size).sum();
        eprintln!("{arch}: {} packages, {size} bytes", chosen.packages.len());
        for path in [
            "/usr/bin/python3",
            "/etc/ssl/certs/ca-certificates.crt",
            "/usr/lib/ssl/cert.pem",
            "/etc/localtime",
            "/usr/sbin/ldconfig",
            "/lib/../etc/os-release",
        ] {
            let path = minke_cas::ImagePath::root().join_str(&path[1..].replace("lib/../", "")).unwrap();
            assert!(whole.resolve_file(&path).is_some(), "{path}");
        }
        if let Some(directory) = std::env::var_os("MINKE_TEST_DUMP") {
            fs::write(Path::new(&directory).join(format!("{arch}.txt")), format!("{additions:?}\n{whole:?}"))
                .unwrap();
        }
    }
}

/// What builds ask for in vain on a bare system, and who has it.
const ASKED: [(&str, &str, &str); 9] = [
    ("Python.h", "/usr/include/python3.13/Python.h", "libpython3.13-dev"),
    ("libxml/xmlversion.h", "/usr/include/libxml2/libxml/xmlversion.h", "libxml2-dev"),
    ("pkgconfig/libpng.pc", "/usr/lib/x86_64-linux-gnu/pkgconfig/libpng.pc", "libpng-dev"),
    ("bin/pg_config", "/usr/bin/pg_config", "libpq-dev"),
    ("libpq.so", "/usr/lib/x86_64-linux-gnu/libpq.so", "libpq-dev"),
    ("libgomp.so.1", "/usr/lib/x86_64-linux-gnu/libgomp.so.1", "libgomp1"),
    ("libxcb-cursor.so.0", "/usr/lib/x86_64-linux-gnu/libxcb-cursor.so.0", "libxcb-cursor0"),
    ("Eigen/Dense", "/usr/include/eigen3/Eigen/Dense", "libeigen3-dev"),
    ("Eigen3Config.cmake", "/usr/share/eigen3/cmake/Eigen3Config.cmake", "libeigen3-dev"),
];

#[test]
fn trixies_lists_of_files_answer_what_builds_ask() {
    let Some(mirrors) = mirrors() else { return skip("apt's sources name no Debian mirror") };
    let archive = mirrors.archives(&"trixie".parse::<Suite>().unwrap()).unwrap().remove(0);
    let Some(in_release) = fetch(&archive.in_release().unwrap()) else {
        return skip("the mirror cannot be reached");
    };
    let release = Release::verify(&in_release, &Keyring::debian(), today()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut indexes = Vec::new();
    for arch in [ContentsArch::Native(Arch::Amd64), ContentsArch::All] {
        let file = release.contents("main", arch).remove(0);
        let Some(bytes) = fetch_pinned(&archive.index(&file).unwrap()) else {
            return skip("the mirror cannot be reached");
        };
        let began = std::time::Instant::now();
        let path = home.path().join(format!("{arch:?}"));
        let count = Contents::build(file.compression, &bytes[..], fs::File::create(&path).unwrap()).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        eprintln!("{arch:?}: {count} files, {size} of {} bytes, {:?}", file.size_bytes, began.elapsed());
        indexes.push(Contents::open(fs::File::open(path).unwrap()).unwrap());
    }
    for (ending, path, package) in ASKED {
        let began = std::time::Instant::now();
        let found: Vec<_> = indexes.iter().flat_map(|index| index.ending(ending).unwrap()).collect();
        eprintln!("{ending}: {} in {:?}", found.len(), began.elapsed());
        let listed = found.iter().find(|listed| listed.path.as_str() == path);
        let packages = listed.map(|listed| listed.packages.iter().map(|name| name.as_str()).collect());
        assert_eq!(packages, Some(vec![package]), "{ending}: {found:?}");
    }
}
