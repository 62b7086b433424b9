//! Packs what this machine has installed into debs again, so that an image can be made without a network.
//!
//! The packages carry their real names, versions, relations and files, but for manuals, translations and documents
//! other than copyright notices. Files that were changed or removed after installation are packed as they are now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::{Compression, Deb, TarEntry, TarKind};

const DATABASE: &str = "/var/lib/dpkg";

/// The fields of an installed package's record that its deb had, too.
const FIELDS: [&str; 17] = [
    "Source",
    "Essential",
    "Protected",
    "Priority",
    "Section",
    "Installed-Size",
    "Multi-Arch",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Replaces",
    "Maintainer",
    "Description",
];

type Record = BTreeMap<String, String>;

/// Packs this machine's own Python 3.11, everything it needs and what an image has beside it, as Debian 12's debs:
/// an archive of the suite `bookworm` made of them serves a whole build.
///
/// # Errors
/// Says why where this machine isn't a Debian 12 with that Python.
pub fn toy_python_debs() -> Result<Vec<Deb>, String> {
    let owner = fs::read_to_string(format!("{DATABASE}/info/python3.11-minimal.list")).unwrap_or_default();
    if !owner.lines().any(|path| path == "/usr/bin/python3.11") || !Path::new("/usr/bin/python3.11").is_file()
    {
        return Err("this machine has no /usr/bin/python3.11 from Debian's python3.11-minimal".to_owned());
    }
    installed_debs(&[
        "base-files",
        "base-passwd",
        "ca-certificates",
        "libc-bin",
        "media-types",
        "netbase",
        "python3",
        "python3.11",
        "tzdata",
    ])
}

/// Packs installed packages and everything that they depend on, ordered by name, uncompressed.
///
/// # Errors
/// Says what is missing where one of them, or something it depends on, isn't installed here.
pub fn installed_debs(roots: &[&str]) -> Result<Vec<Deb>, String> {
    let installed = installed_records()?;
    let chosen = closure(&installed, roots)?;
    chosen.iter().map(|name| pack(&installed[name])).collect()
}

fn installed_records() -> Result<BTreeMap<String, Record>, String> {
    let path = format!("{DATABASE}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let records = text.split("\n\n").map(record).filter(|record| {
        record.get("Status").is_some_and(|status| status == "install ok installed")
            && record.get("Architecture").is_some_and(|name| ["amd64", "all"].contains(&name.as_str()))
    });
    Ok(records.map(|record| (record["Package"].clone(), record)).collect())
}

fn record(stanza: &str) -> Record {
    let mut record = Record::new();
    let mut current: Option<String> = None;
    for line in stanza.lines() {
        match (line.starts_with([' ', '\t']), &current) {
            (true, Some(name)) => {
                let value = record.get_mut(name).expect("the current field was stored");
                value.push('\n');
                value.push_str(line);
            }
            _ => {
                let Some((name, value)) = line.split_once(':') else { continue };
                record.insert(name.to_owned(), value.trim().to_owned());
                current = Some(name.to_owned());
            }
        }
    }
    record
}

/// Every package that the roots need, by the first alternative that is installed here.
fn closure(installed: &BTreeMap<String, Record>, roots: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut chosen = BTreeSet::new();
    let mut waiting: VecDeque<String> = roots.iter().map(|&name| name.to_owned()).collect();
    while let Some(name) = waiting.pop_front() {
        let record =
            installed.get(&name).ok_or_else(|| format!("`{name}` isn't installed on this machine"))?;
        if !chosen.insert(name.clone()) {
            continue;
        }
        for field in ["Depends", "Pre-Depends"] {
            for group in record.get(field).into_iter().flat_map(|relations| relations.split(',')) {
                let supplier = group.split('|').map(bare_name).find_map(|wanted| supplier(installed, wanted));
                let unmet =
                    || format!("nothing installed on this machine supplies `{}` for `{name}`", group.trim());
                waiting.push_back(supplier.ok_or_else(unmet)?);
            }
        }
    }
    Ok(chosen)
}

fn supplier(installed: &BTreeMap<String, Record>, wanted: &str) -> Option<String> {
    if installed.contains_key(wanted) {
        return Some(wanted.to_owned());
    }
    let provides = |record: &Record| {
        record.get("Provides").is_some_and(|names| names.split(',').any(|name| bare_name(name) == wanted))
    };
    installed.iter().find(|(_, record)| provides(record)).map(|(name, _)| name.clone())
}

/// A relation's package, without bounds and architecture.
fn bare_name(relation: &str) -> &str {
    relation.trim().split([' ', '(', ':']).next().unwrap_or_default()
}

fn pack(record: &Record) -> Result<Deb, String> {
    let (name, architecture) = (&record["Package"], &record["Architecture"]);
    let mut deb =
        Deb::new(name, &record["Version"]).architecture(architecture).compression(Compression::None);
    for field in FIELDS {
        if let Some(value) = record.get(field) {
            deb = deb.field(field, value);
        }
    }
    for file in ["conffiles", "preinst", "postinst", "prerm", "postrm", "triggers", "shlibs", "symbols"] {
        if let Some(text) = info(name, architecture, file) {
            deb = deb.control_file(file, &text);
        }
    }
    let list = info(name, architecture, "list").ok_or_else(|| format!("dpkg lists no files of `{name}`"))?;
    let paths: BTreeSet<&str> = list.lines().collect();
    for path in paths.iter().filter(|path| belongs(path)) {
        if let Some(entry) = entry(path, &paths)? {
            deb = deb.raw_tar_entry(entry);
        }
    }
    Ok(deb)
}

fn info(name: &str, architecture: &str, file: &str) -> Option<String> {
    let plain = format!("{DATABASE}/info/{name}.{file}");
    let qualified = format!("{DATABASE}/info/{name}:{architecture}.{file}");
    fs::read_to_string(plain).or_else(|_| fs::read_to_string(qualified)).ok()
}

fn belongs(path: &str) -> bool {
    let left_out = ["/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/share/lintian"];
    let documents = path.starts_with("/usr/share/doc/") && !path.ends_with("/copyright");
    !documents && !left_out.iter().any(|dir| path.starts_with(dir))
}

/// Makes the entry of an installed path; nothing where it is gone by now.
fn entry(path: &str, paths: &BTreeSet<&str>) -> Result<Option<TarEntry>, String> {
    if path == "/." {
        return Ok(Some(TarEntry::dir("./")));
    }
    let Ok(own) = fs::symlink_metadata(path) else { return Ok(None) };
    // `/lib` is a link on a merged system, but a directory in the packages of one that isn't.
    let below = format!("{path}/");
    let holds_others = paths.range(below.as_str()..).next().is_some_and(|next| next.starts_with(&below));
    let name = format!(".{path}");
    let entry = if own.is_dir() || (own.is_symlink() && holds_others) {
        let mode = if own.is_dir() { own.permissions().mode() & 0o7777 } else { 0o755 };
        TarEntry::new(name + "/", TarKind::Directory, mode)
    } else if own.is_symlink() {
        let target = fs::read_link(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        TarEntry::symlink(name, target.into_os_string().into_vec())
    } else {
        let content = fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        TarEntry { mode: own.permissions().mode() & 0o7777, ..TarEntry::file(name, content) }
    };
    Ok(Some(TarEntry { uid: u64::from(own.uid()), gid: u64::from(own.gid()), ..entry }))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{program, skip};

    #[test]
    fn the_packed_python_runs_where_dpkg_unpacks_it() {
        let Some(dpkg_deb) = program("dpkg-deb") else { return };
        let debs = match toy_python_debs() {
            Ok(debs) => debs,
            Err(reason) => return skip(&reason),
        };
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for deb in &debs {
            let file = dir.path().join("x.deb");
            fs::write(&file, deb.build()).unwrap();
            let unpacked = Command::new(&dpkg_deb).arg("-x").arg(&file).arg(&root).status().unwrap();
            assert!(unpacked.success(), "{}", deb.name());
        }
        let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|dir| root.join(dir));
        let output = Command::new(root.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"))
            .arg("--library-path")
            .arg(std::env::join_paths(&libraries).unwrap())
            .arg(root.join("usr/bin/python3.11"))
            .args(["-I", "-S", "-c"])
            .arg("import sys, ssl, sqlite3, lzma, bz2, ctypes, json; print(sys.prefix, json.__file__)")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).replace(&root.display().to_string(), "ROOT");
        assert_eq!(said, "ROOT/usr ROOT/usr/lib/python3.11/json/__init__.py\n");
    }

    #[test]
    fn what_is_not_installed_is_named() {
        if !Path::new(DATABASE).is_dir() {
            return skip("this machine has no dpkg");
        }
        assert_eq!(
            installed_debs(&["no-such-toy"]).unwrap_err(),
            "`no-such-toy` isn't installed on this machine"
        );
    }
}
