//! Packs an installed Python as an archive of a relocatable install tree, such as python-build-standalone makes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::{Compression, TarEntry, compress, tar};

/// What no interpreter in an image needs, and would make the archive several times as large.
const LEFT_OUT: [&str; 8] =
    ["__pycache__", "test", "tests", "dist-packages", "site-packages", "idlelib", "tkinter", "ensurepip"];

/// Packs this machine's own Python 3.11 of Debian's, which finds its library beside itself wherever it lies.
///
/// # Errors
/// Says what is missing where this machine has none.
pub fn standalone_python() -> Result<Vec<u8>, String> {
    standalone_archive(Path::new("/usr"), "3.11")
}

/// Packs the Python of a prefix, such as pyenv's: its program, its library, and the header that says its version.
///
/// # Errors
/// Says what is missing where the prefix has no such Python.
pub fn standalone_archive(prefix: &Path, short: &str) -> Result<Vec<u8>, String> {
    Ok(compress(&tar(&standalone_entries(prefix, short)?), Compression::Gz))
}

/// Returns the entries of what [`standalone_archive`] packs.
///
/// # Errors
/// As [`standalone_archive`].
pub fn standalone_entries(prefix: &Path, short: &str) -> Result<Vec<TarEntry>, String> {
    let program = prefix.join(format!("bin/python{short}"));
    let missing = |error| format!("cannot read {}: {error}", program.display());
    let content = fs::read(&program).map_err(missing)?;
    let script = "import sys; print('\\n'.join('#define PY_%s_VERSION %d' % pair for pair in \
                  zip(['MAJOR', 'MINOR', 'MICRO'], sys.version_info)))";
    let header = Command::new(&program).args(["-I", "-S", "-c", script]).output().map_err(missing)?;
    let mut entries = vec![
        TarEntry { mode: 0o755, ..TarEntry::file(format!("python/bin/python{short}"), content) },
        TarEntry::symlink("python/bin/python3", format!("python{short}")),
        TarEntry::file(format!("python/include/python{short}/patchlevel.h"), header.stdout),
        TarEntry::dir("python/lib/"),
    ];
    add(&mut entries, &prefix.join(format!("lib/python{short}")), &format!("python/lib/python{short}"))?;
    Ok(entries)
}

/// Links this machine's own Python 3.11 of Debian's into a program that needs nothing, and packs it.
///
/// # Errors
/// Says what is missing where this machine has no compiler, or no libraries to link statically.
pub fn static_python() -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot link a static Python: {error}");
    let directory = tempfile::tempdir().map_err(failed)?;
    let (source, program) = (directory.path().join("main.c"), directory.path().join("python"));
    let main = "#include <Python.h>\nint main(int c, char **v) { return Py_BytesMain(c, v); }\n";
    fs::write(&source, main).map_err(failed)?;
    let linked = Command::new("gcc")
        .args(["-O1", "-static", "-I/usr/include/python3.11", "-o"])
        .args([&program, &source])
        .arg(format!("-L/usr/lib/python3.11/config-3.11-{}-linux-gnu", std::env::consts::ARCH))
        .args(["-lpython3.11", "-lexpat", "-lz", "-lm", "-lpthread", "-ldl", "-lutil"])
        .output()
        .map_err(failed)?;
    if !linked.status.success() {
        return Err(format!("cannot link a static Python: {}", String::from_utf8_lossy(&linked.stderr)));
    }
    let mut entries = standalone_entries(Path::new("/usr"), "3.11")?;
    // Extension modules and links to the system's files are what it does without.
    entries.retain(|entry| !String::from_utf8_lossy(&entry.name).contains("/lib-dynload"));
    for entry in entries.iter_mut().filter(|entry| entry.name == b"python/bin/python3.11") {
        entry.content = fs::read(&program).map_err(failed)?;
    }
    Ok(compress(&tar(&entries), Compression::Gz))
}

fn add(entries: &mut Vec<TarEntry>, directory: &Path, name: &str) -> Result<(), String> {
    let failed = |error| format!("cannot read {}: {error}", directory.display());
    entries.push(TarEntry::dir(format!("{name}/")));
    let mut below: Vec<_> =
        fs::read_dir(directory).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    below.sort_by_key(fs::DirEntry::file_name);
    for entry in below {
        let file_name = entry.file_name().into_string().expect("CPython's names are UTF-8");
        let kind = entry.file_type().map_err(failed)?;
        let (path, name) = (entry.path(), format!("{name}/{file_name}"));
        let left_out = LEFT_OUT.contains(&file_name.as_str()) || file_name.starts_with("config-");
        if left_out {
            continue;
        }
        if kind.is_dir() {
            add(entries, &path, &name)?;
        } else if kind.is_file() {
            let mode = entry.metadata().map_err(failed)?.permissions().mode();
            entries.push(TarEntry { mode, ..TarEntry::file(name, fs::read(&path).map_err(failed)?) });
        } else if let Ok(target) = fs::read_link(&path)
            && target.is_relative()
        {
            entries.push(TarEntry::symlink(name, target.to_str().expect("CPython's names are UTF-8")));
        }
    }
    Ok(())
}
