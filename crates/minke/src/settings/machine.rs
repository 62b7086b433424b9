//! Files of this machine that say how it reaches the world: apt's sources, pip's and cargo's settings, passwords.
//!
//! They are read as texts and understood by the foreman. One that isn't there, may not be read, isn't UTF-8
//! or is larger than any person writes is passed over: every one of them is optional.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Settings that are larger than this were not written by a person.
const LIMIT: u64 = 1024 * 1024;

/// Reads apt's sources below a root directory: `sources.list`, then its parts in name order.
///
/// Spec: sources.list(5)
pub(super) fn apt_sources(root: &Path) -> Vec<(PathBuf, String)> {
    let apt = root.join("etc/apt");
    let parts = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
    let known =
        |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "list" || suffix == "sources");
    let mut parts: Vec<PathBuf> = parts.map(|part| part.path()).filter(known).collect();
    parts.sort();
    texts(std::iter::once(apt.join("sources.list")).chain(parts))
}

/// Reads pip's configuration files, the more general first.
///
/// `variable` tells an environment variable's value, unless it is empty.
///
/// Spec: <https://pip.pypa.io/en/stable/topics/configuration/#location>
pub(super) fn pip_config<'a>(
    root: &Path,
    home: Option<&Path>,
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Vec<(PathBuf, String)> {
    let path = |name| variable(name).map(PathBuf::from);
    let named = path("PIP_CONFIG_FILE");
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let shared = variable("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    let shared =
        std::env::split_paths(shared).map(|directory| root.join(within(&directory)).join("pip/pip.conf"));
    // A file that is named takes the place of the user's own.
    let home = home.filter(|_| !named.as_deref().is_some_and(Path::is_file));
    let own = path("XDG_CONFIG_HOME").or_else(|| Some(home?.join(".config")));
    let user = home.into_iter().flat_map(|home| {
        [Some(home.join(".pip/pip.conf")), own.as_ref().map(|own| own.join("pip/pip.conf"))]
    });
    let site = path("VIRTUAL_ENV").map(|environment| environment.join("pip.conf"));
    texts(shared.chain([root.join("etc/pip.conf")]).chain(user.flatten()).chain(site).chain(named))
}

/// Reads cargo's settings of the user's: in the directory that `CARGO_HOME` names, else at home.
///
/// Spec: <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>
pub(super) fn cargo_config(home: Option<&Path>, named: Option<&str>) -> Option<(PathBuf, String)> {
    let directory = named.map(PathBuf::from).or_else(|| Some(home?.join(".cargo")))?;
    // Where both are there, cargo takes the one without a suffix.
    texts(["config", "config.toml"].into_iter().map(|name| directory.join(name))).into_iter().next()
}

/// Reads the user's `netrc`: what `NETRC` names, else the one at home.
pub(super) fn netrc(home: Option<&Path>, named: Option<&str>) -> Option<String> {
    match named {
        Some(named) => text(Path::new(named)),
        None => text(&home?.join(".netrc")),
    }
}

/// Cuts the leading slash off, so that a path can be looked up below a root.
fn within(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn texts(paths: impl Iterator<Item = PathBuf>) -> Vec<(PathBuf, String)> {
    paths.filter_map(|path| text(&path).map(|text| (path, text))).collect()
}

fn text(path: &Path) -> Option<String> {
    // A pipe or a device of this name could be read for ever.
    let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    let mut text = String::new();
    let length = file.take(LIMIT + 1).read_to_string(&mut text).ok()?;
    (length as u64 <= LIMIT).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        root
    }

    /// Each file's text is its own name.
    fn names(texts: Vec<(PathBuf, String)>) -> Vec<String> {
        texts.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn apts_sources_come_in_apts_order() {
        let list = |name: &str| format!("etc/apt/sources.list.d/{name}");
        let files = [&list("b.sources"), &list("a.list"), &list("c.list.save"), "etc/apt/sources.list"];
        let root = machine(&files);
        assert_eq!(names(apt_sources(root.path())), [files[3], files[1], files[0]]);
        assert_eq!(names(apt_sources(&root.path().join("nowhere"))), [""; 0]);
    }

    #[test]
    fn pips_files_come_the_more_general_first() {
        let files = [
            "etc/xdg/pip/pip.conf",
            "etc/pip.conf",
            "home/.pip/pip.conf",
            "home/.config/pip/pip.conf",
            "env/pip.conf",
            "my.conf",
        ];
        let root = machine(&files);
        let home = root.path().join("home");
        let (environment, named) = (root.path().join("env"), root.path().join("my.conf"));
        let read = |named: Option<&Path>| {
            names(pip_config(root.path(), Some(&home), |name| match name {
                "VIRTUAL_ENV" => environment.to_str(),
                "PIP_CONFIG_FILE" => named.and_then(Path::to_str),
                _ => None,
            }))
        };
        assert_eq!(read(None), files[..5]);
        assert_eq!(read(Some(&named)), [files[0], files[1], files[4], files[5]]);
        assert_eq!(read(Some(Path::new("/dev/null"))), [""; 0]);
    }

    #[test]
    fn cargos_settings_lie_at_home_or_where_it_was_told() {
        let root = machine(&["home/.cargo/config.toml", "cargo/config.toml", "cargo/config"]);
        let read = |named: Option<&Path>| {
            let home = root.path().join("home");
            cargo_config(Some(&home), named.and_then(Path::to_str)).map(|(_, text)| text)
        };
        assert_eq!(read(None).as_deref(), Some("home/.cargo/config.toml"));
        assert_eq!(read(Some(&root.path().join("cargo"))).as_deref(), Some("cargo/config"));
        assert_eq!(read(Some(&root.path().join("nowhere"))), None);
    }

    #[test]
    fn what_nobody_wrote_by_hand_is_passed_over() {
        let root = machine(&[]);
        fs::write(root.path().join(".netrc"), "x".repeat(LIMIT as usize + 1)).unwrap();
        assert_eq!(netrc(Some(root.path()), None), None);
        fs::write(root.path().join(".netrc"), "machine host.test").unwrap();
        assert_eq!(netrc(Some(root.path()), None).as_deref(), Some("machine host.test"));
        assert_eq!(netrc(Some(root.path()), Some("/nowhere/netrc")), None);
    }
}
