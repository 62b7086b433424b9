//! Reads an image that was written as an OCI layout, with nothing of minke's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use minke_testkit::{gunzip, list_tar, sha256_hex};
use serde_json::Value;

/// An image in a layout on disk.
pub(crate) struct Layout {
    /// Its `index.json`.
    pub(crate) index: Value,
    /// The manifest of the image.
    pub(crate) manifest: Value,
    /// Its config.
    pub(crate) config: Value,
    /// Its layers' tar files, lowest first.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Layout {
    /// Reads the image of a tag, or the only one.
    pub(crate) fn read(dir: &Path, tag: Option<&str>) -> Layout {
        let index = json(&fs::read(dir.join("index.json")).expect("a layout has an index"));
        let manifests = index["manifests"].as_array().expect("an index lists manifests");
        let is_wanted = |entry: &&Value| {
            let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
            tag.is_none_or(|tag| name == tag)
        };
        let manifest =
            json(&blob(dir, &manifests.iter().find(is_wanted).expect("the tag is there")["digest"]));
        let config = json(&blob(dir, &manifest["config"]["digest"]));
        let layers = manifest["layers"].as_array().expect("a manifest lists layers");
        let layers = layers.iter().map(|layer| gunzip(&blob(dir, &layer["digest"]))).collect();
        Layout { index, manifest, config, layers }
    }

    /// Each layer's entries, as `list_tar` shows them.
    pub(crate) fn listings(&self) -> Vec<String> {
        self.layers.iter().map(|layer| list_tar(layer)).collect()
    }

    /// Everything of all layers below a path, in path order, without owners, times and the size of bytecode, which
    /// is the interpreter's own business: `PATH KIND MODE [SIZE | -> TARGET]`.
    pub(crate) fn below(&self, directory: &str) -> String {
        let listings = self.listings();
        let wanted = |line: &&str| line.starts_with(&directory[1..]);
        let lines: BTreeSet<String> =
            listings.iter().flat_map(|listing| listing.lines()).filter(wanted).map(short).collect();
        lines.into_iter().collect::<Vec<_>>().join("\n")
    }

    /// Everything below `/app` but the virtual environment.
    pub(crate) fn outside_the_venv(&self) -> String {
        let all = self.below("/app");
        all.lines().filter(|line| !line.starts_with("/app/.venv")).collect::<Vec<_>>().join("\n")
    }

    /// The files of a layer that have content, by absolute path, with their digests.
    pub(crate) fn files(&self, layer: usize) -> BTreeMap<String, String> {
        let contents = contents(&self.layers[layer]);
        contents.into_iter().map(|(path, bytes)| (format!("/{path}"), sha256_hex(&bytes))).collect()
    }

    /// Asserts what is true of every image that is built without an epoch of its own: in each layer every path comes
    /// once, after the directory that it is in, at the fixed time; no two layers have one file.
    pub(crate) fn assert_lawful(&self) {
        let mut owned = BTreeSet::new();
        for listing in self.listings() {
            let mut here = BTreeSet::new();
            for line in listing.lines() {
                let mut words = line.split(' ');
                let (path, kind) = (words.next().expect("a path"), words.next().expect("a kind"));
                let parent =
                    path.trim_end_matches('/').rsplit_once('/').map(|(parent, _)| format!("{parent}/"));
                assert!(
                    parent.is_none_or(|parent| here.contains(&parent)),
                    "{path} comes before its directory"
                );
                assert!(here.insert(path.to_owned()), "{path} is there twice");
                assert!(kind == "dir" || owned.insert(path.to_owned()), "two layers have {path}");
                assert!(matches!(kind, "dir" | "file" | "link" | "hard"), "{line}");
                assert!(!path.contains(".wh."), "{path} takes something away");
                assert!(line.contains(" 315532801"), "{line}");
            }
        }
    }

    /// The content of a file.
    pub(crate) fn file(&self, path: &str) -> String {
        let found = self.layers.iter().rev().find_map(|layer| contents(layer).remove(&path[1..]));
        String::from_utf8(found.unwrap_or_else(|| panic!("the image has no {path}"))).expect("it is text")
    }
}

/// A line of a listing without owner and time.
fn short(line: &str) -> String {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let (path, rest) = (words[0].trim_end_matches('/'), words.get(5).copied().unwrap_or_default());
    let rest = if path.ends_with(".pyc") { "" } else { rest };
    format!("/{path} {} {} {rest}", words[1], words[2]).trim_end().to_owned()
}

/// Says how two layouts of what should be one image differ: which layer, and which entries of it.
pub(crate) fn difference(one: &Layout, other: &Layout) -> String {
    let mut said = Vec::new();
    for (name, one, other) in
        [("config", &one.config, &other.config), ("manifest", &one.manifest, &other.manifest)]
    {
        if one != other {
            said.push(format!("{name}: {one:#}\nagainst {other:#}"));
        }
    }
    for (number, (one, other)) in
        one.layers.iter().zip(&other.layers).enumerate().filter(|(_, (one, other))| one != other)
    {
        said.push(format!("layer {number}:"));
        let (ours, theirs) = (entries(one), entries(other));
        let paths = ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>();
        for path in paths {
            let (ours, theirs) = (ours.get(path), theirs.get(path));
            if ours != theirs {
                said.push(format!("  {path}: {} against {}", shown(ours), shown(theirs)));
            }
        }
    }
    said.join("\n")
}

type Seen = (String, String);

fn shown(entry: Option<&Seen>) -> String {
    entry.map_or("nothing".to_owned(), |(line, digest)| format!("`{line}` {digest}"))
}

/// Every entry's line and the digest of its content, by path.
fn entries(layer: &[u8]) -> BTreeMap<String, Seen> {
    let contents = contents(layer);
    let seen = |line: &str| {
        let path = line.split(' ').next().expect("a line starts with a path");
        let digest = contents.get(path).map(|bytes| sha256_hex(bytes)[..12].to_owned()).unwrap_or_default();
        (path.to_owned(), (line.to_owned(), digest))
    };
    list_tar(layer).lines().map(seen).collect()
}

/// The contents of the files of a tar file, by path.
fn contents(layer: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().expect("a layer is a tar file");
    entries
        .map(|entry| {
            let mut entry = entry.expect("a layer is whole");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("a layer is whole");
            (path, bytes)
        })
        .collect()
}

fn blob(dir: &Path, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().expect("a digest is text");
    let hex = digest.strip_prefix("sha256:").expect("a digest is of SHA-256");
    let bytes = fs::read(dir.join("blobs/sha256").join(hex)).expect("every blob is there");
    assert_eq!(sha256_hex(&bytes), hex, "every blob is what its name says");
    bytes
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("it is JSON")
}
