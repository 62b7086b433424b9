//! Small trees and images for tests.

use std::collections::BTreeMap;
use std::io::Read;

use minke_cas::{Entry, Epoch, File, ImagePath, Meter, Mode, Owner, Store, Tree};

use crate::{Compression, Image, ImageConfig, Layer, LayerSpec, Segment, write_image, write_layer};

/// A store that is gone with the test.
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        Self { directory, store }
    }

    pub(crate) fn file(&self, content: &[u8], mode: Mode) -> Entry {
        Entry::File(File::new(self.store.put(content).unwrap(), content.len() as u64, mode))
    }

    /// Makes a tree: `dir/` is a directory, `a -> b` a symlink, `a = text` a file, `a * N` a file of N bytes.
    pub(crate) fn tree(&self, lines: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for line in lines {
            let (path, entry) = if let Some((path, target)) = line.split_once(" -> ") {
                (path, Entry::symlink(target))
            } else if let Some((path, text)) = line.split_once(" = ") {
                (path, self.file(text.as_bytes(), Mode::REGULAR))
            } else if let Some((path, size)) = line.split_once(" * ") {
                (path, self.file(&noise(size.parse().unwrap()), Mode::EXECUTABLE))
            } else {
                (line.trim_end_matches('/'), Entry::directory())
            };
            tree.insert(&image_path(path), entry).unwrap();
        }
        tree
    }

    pub(crate) fn layer(&self, name: &str, lines: &[&str], compression: Compression) -> Layer {
        let spec = spec(name, vec![segment(name, self.tree(lines))]);
        write_layer(&self.store, &spec, compression, &Meter::default()).unwrap()
    }

    pub(crate) fn image(&self, layers: &[Layer]) -> Image {
        write_image(&self.store, layers, &ImageConfig::default(), BTreeMap::new()).unwrap()
    }

    /// Returns a layer's tar, uncompressed by what isn't ours.
    pub(crate) fn tar(&self, layer: &Layer) -> Vec<u8> {
        let blob = self.store.open_blob(&layer.descriptor.digest).unwrap();
        let mut tar = Vec::new();
        match Compression::of_media_type(&layer.descriptor.media_type).unwrap() {
            Compression::Gzip | Compression::GzipBest => {
                flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar)
            }
            Compression::Zstd => zstd::Decoder::new(blob).unwrap().read_to_end(&mut tar),
            Compression::None => { blob }.read_to_end(&mut tar),
        }
        .unwrap();
        tar
    }
}

pub(crate) fn image_path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

pub(crate) fn segment(name: &str, tree: Tree) -> Segment {
    Segment { name: name.to_owned(), tree, epoch: Epoch::FIXED }
}

pub(crate) fn spec(name: &str, segments: Vec<Segment>) -> LayerSpec {
    LayerSpec { name: name.to_owned(), segments, directories: Tree::new() }
}

/// Bytes that compress badly and are always the same.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = size as u32 | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(size)
    .collect()
}

/// Lists a tar as another implementation reads it: mode, owner, size, path, link.
pub(crate) fn listing(tar: &[u8]) -> String {
    let mut archive = tar::Archive::new(tar);
    let lines = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|target| {
            let arrow = if header.entry_type().is_hard_link() { "==" } else { "->" };
            format!(" {arrow} {}", String::from_utf8_lossy(&target))
        });
        let Owner { uid, gid } =
            Owner { uid: header.uid().unwrap() as u32, gid: header.gid().unwrap() as u32 };
        format!(
            "{:04o} {uid}:{gid} {} {} {path}{}",
            header.mode().unwrap(),
            entry.size(),
            header.mtime().unwrap(),
            link.unwrap_or_default()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}
