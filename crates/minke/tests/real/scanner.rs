//! Reads an image as vulnerability scanners do: layer by layer, dpkg's records and `dist-info` directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use minke_testkit::{gunzip, md5_hex};

/// What a scanner sees.
#[derive(Default)]
pub(crate) struct Found {
    /// Debian packages by name, with their version.
    pub(crate) debs: BTreeMap<String, String>,
    /// Python distributions by normalised name, with their version.
    pub(crate) distributions: BTreeMap<String, String>,
    /// How many files the packages' records list that are in the image.
    pub(crate) listed_md5sums: usize,
    /// How many of those have the recorded sum.
    pub(crate) checked_md5sums: usize,
    owned: BTreeSet<String>,
    paths: BTreeSet<String>,
}

impl Found {
    /// Returns every file's path, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.paths.iter()
    }

    /// Returns the shared libraries in the system's directories that no record lists.
    pub(crate) fn unowned_libraries(&self) -> Vec<&String> {
        let system =
            |path: &&String| path.starts_with("usr/lib/") && path.contains(".so") && !path.ends_with(".pyc");
        self.paths.iter().filter(system).filter(|path| !self.owned.contains(*path)).collect()
    }
}

pub(crate) fn scan(layout: &Path) -> Found {
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(layout.join(path)).expect("the layout has it")).expect("it is JSON")
    };
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    let index = json("index.json");
    let manifest = json(&blob(index["manifests"][0]["digest"].as_str().expect("an index names manifests")));
    let mut files = BTreeMap::new();
    for layer in manifest["layers"].as_array().expect("a manifest has layers") {
        let path = blob(layer["digest"].as_str().expect("a layer has a digest"));
        let tar = gunzip(&fs::read(layout.join(path)).expect("the layout has it"));
        let mut archive = tar::Archive::new(&tar[..]);
        for entry in archive.entries().expect("a layer is a tar") {
            let mut entry = entry.expect("a layer is a tar");
            let path =
                entry.path().expect("names are UTF-8").to_string_lossy().trim_end_matches('/').to_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("a layer is a tar");
            let linked = entry.header().entry_type().is_hard_link();
            let target = entry.link_name().ok().flatten().filter(|_| linked);
            let content = target
                .map_or(content, |target| files.get(&*target.to_string_lossy()).cloned().unwrap_or_default());
            if entry.header().entry_type().is_file() || linked {
                files.insert(path, content);
            }
        }
    }
    read(&files)
}

fn read(files: &BTreeMap<String, Vec<u8>>) -> Found {
    let mut found = Found { paths: files.keys().cloned().collect(), ..Found::default() };
    for (path, content) in files {
        let text = || String::from_utf8_lossy(content).into_owned();
        if let Some(name) = path.strip_prefix("var/lib/dpkg/status.d/") {
            match name.strip_suffix(".md5sums") {
                Some(_) => sums(&text(), files, &mut found),
                None => {
                    let stanza = text();
                    found.debs.insert(field(&stanza, "Package"), field(&stanza, "Version"));
                }
            }
        } else if path.ends_with(".dist-info/METADATA") {
            let metadata = text();
            let name = field(&metadata, "Name").to_lowercase().replace(['_', '.'], "-");
            found.distributions.insert(name, field(&metadata, "Version"));
        }
    }
    found
}

/// Compares what a package's record lists with what is there; names are as on a merged `/usr`.
fn sums(text: &str, files: &BTreeMap<String, Vec<u8>>, found: &mut Found) {
    for line in text.lines() {
        let (sum, path) = line.split_once("  ").expect("a line has a sum and a path");
        let merged = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|top| path.starts_with(top));
        let path = if merged { format!("usr/{path}") } else { path.to_owned() };
        if let Some(content) = files.get(&path) {
            found.listed_md5sums += 1;
            found.checked_md5sums += usize::from(md5_hex(content) == sum);
        }
        found.owned.insert(path);
    }
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).to_owned()
}
