use super::*;

use crate::testing::Bench;
use crate::{Compression, Descriptor, ImageConfig};
use std::collections::BTreeMap;

/// Makes members of a tar that no careful writer would make.
struct Raw(tar::Builder<Vec<u8>>);

impl Raw {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn member(mut self, path: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str) -> Self {
        self.member(path, tar::EntryType::Regular, "", path.as_bytes())
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Symlink, target, b"")
    }

    fn directory(self, path: &str) -> Self {
        self.member(path, tar::EntryType::Directory, "", b"")
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Link, target, b"")
    }
}

fn layer(bench: &Bench, raw: Raw) -> ImageLayer {
    let tar = raw.0.into_inner().unwrap();
    let (digest, size) = (bench.store.put(&tar).unwrap(), tar.len() as u64);
    let media_type = Compression::None.media_type().to_owned();
    let descriptor = Descriptor { media_type, digest, size };
    ImageLayer { name: String::new(), descriptor, diff_id: DiffId::of_uncompressed(digest) }
}

fn image(bench: &Bench, layers: Vec<Raw>) -> Image {
    let image = crate::write_image(&bench.store, &[], &ImageConfig::default(), BTreeMap::new()).unwrap();
    Image { layers: layers.into_iter().map(|raw| layer(bench, raw)).collect(), ..image }
}

/// Applies the layers and lists the paths with what they hold.
fn flat(layers: Vec<Raw>) -> Result<String, String> {
    let bench = Bench::new();
    let image = image(&bench, layers);
    let tree = flatten(&bench.store, &image).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let text = format!("{error}{}", source.unwrap_or_default());
        text.split(' ')
            .map(|word| if word.starts_with("sha256:") { "LAYER" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    })?;
    assert_eq!(flatten(&bench.store, &image).unwrap(), tree, "remembered changes say the same");
    let lines = tree.walk().map(|(path, entry)| match entry {
        Entry::Directory(_) => format!("{path}/"),
        Entry::Symlink(link) => format!("{path} -> {}", link.target),
        Entry::File(file) => {
            format!("{path} = {}", String::from_utf8(bench.store.read_file(file).unwrap()).unwrap())
        }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn whiteouts_delete_what_lower_layers_have_and_nothing_of_their_own() {
    let lower = Raw::new().file("a/one").file("a/two").file("b/three").file("b/four/five").file("c");
    let upper = Raw::new()
        .file("a/.wh.one")
        .file("a/one/new")
        .file("b/six")
        .file("b/.wh..wh..opq")
        .file(".wh.c")
        .file(".wh.never-there")
        .file(".wh..wh.plnk");
    insta::assert_snapshot!(flat(vec![lower, upper]).unwrap(), @r"
    /a/
    /a/one/
    /a/one/new = a/one/new
    /a/two = a/two
    /b/
    /b/six = b/six
    ");
}

#[test]
fn an_upper_layer_replaces_and_merges() {
    let lower = Raw::new().file("a").file("b/one").symlink("c", "b");
    let upper =
        Raw::new().directory("a/").file("a/in").directory("b").file("b/two").directory("c").file("b/one");
    insta::assert_snapshot!(flat(vec![lower, upper]).unwrap(), @r"
    /a/
    /a/in = a/in
    /b/
    /b/one = b/one
    /b/two = b/two
    /c/
    ");
}

#[test]
fn links_on_the_way_are_followed_inside_the_root() {
    let lower = Raw::new()
        .symlink("lib", "usr/lib")
        .directory("usr/lib")
        .symlink("up", "../../../etc")
        .symlink("abs", "/usr");
    let upper =
        Raw::new().file("lib/libz.so").file("up/passwd").file("/abs/bin/x").hard_link("y", "lib/libz.so");
    insta::assert_snapshot!(flat(vec![lower, upper]).unwrap(), @r"
    /abs -> /usr
    /etc/
    /etc/passwd = up/passwd
    /lib -> usr/lib
    /up -> ../../../etc
    /usr/
    /usr/bin/
    /usr/bin/x = /abs/bin/x
    /usr/lib/
    /usr/lib/libz.so = lib/libz.so
    /y = lib/libz.so
    ");
}

#[test]
fn what_minke_wrote_is_not_unpacked_unless_its_contents_are_gone() {
    let bench = Bench::new();
    let image = bench.image(&[bench.layer("x", &["/a = content", "/d/"], Compression::Gzip)]);
    let pack = PackId::of(MEMO, &image.layers[0].diff_id.digest());
    let tree = flatten(&bench.store, &image).unwrap();
    assert!(!bench.store.has_pack(pack));
    std::fs::remove_file(bench.store.blob_path(&Digest::of(b"content"))).unwrap();
    assert_eq!(flatten(&bench.store, &image).unwrap(), tree);
    assert!(bench.store.has_pack(pack));
}

#[test]
fn devices_are_passed_over() {
    let raw = Raw::new()
        .member("dev/null", tar::EntryType::Char, "", b"")
        .member("dev/sda", tar::EntryType::Block, "", b"")
        .member("pipe", tar::EntryType::Fifo, "", b"")
        .file("a");
    assert_eq!(flat(vec![raw]).unwrap(), "/a = a");
}

#[test]
fn hostile_layers_are_refused() {
    let error = |raw: Raw| flat(vec![raw]).unwrap_err();
    insta::assert_snapshot!(
        [
            error(Raw::new().file("../a")),
            error(Raw::new().file("a").hard_link("b", "../../etc/passwd")),
            error(Raw::new().hard_link("b", "nowhere")),
            error(Raw::new().directory("d").hard_link("b", "d")),
            error(Raw::new().file("a").file("a/b")),
            error(Raw::new().symlink("a", "b").symlink("b", "a").file("a/c")),
        ]
        .join("\n"),
        @r"
        the layer LAYER has a name that no image can have: `..` has a component that no directory entry can have
        the layer LAYER has a name that no image can have: `..` has a component that no directory entry can have
        the hard link `/b` in the layer LAYER leads to `/nowhere`, which is not a file
        the hard link `/b` in the layer LAYER leads to `/d`, which is not a file
        the layer LAYER has an entry that cannot be placed: `/a/b` cannot be placed: `/a` is not a directory
        `/a/c` in the layer LAYER leads through too many symlinks
        "
    );
}

#[test]
fn a_tree_cannot_be_made_deeper_than_linux_allows() {
    let deep = |mut raw: Raw, path: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o755);
        raw.0.append_data(&mut header, path, std::io::empty()).unwrap();
        raw
    };
    let below = "d/".repeat(40);
    let linked = (0..30).fold(Raw::new().directory(&below).symlink("s0", &below), |raw, index| {
        let through = format!("s{index}/{below}");
        raw.directory(&through).symlink(&format!("s{}", index + 1), &through)
    });
    let refused = "the layer LAYER has a path of more than 4096 bytes";
    assert_eq!(flat(vec![deep(Raw::new(), &"d/".repeat(2100))]).unwrap_err(), refused);
    assert_eq!(flat(vec![deep(linked, &format!("s30/{}", "e/".repeat(1000)))]).unwrap_err(), refused);
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let bench = Bench::new();
    let mut image = image(&bench, vec![Raw::new().file("a")]);
    image.layers[0].diff_id = DiffId::of_uncompressed(Digest::of(b"other"));
    assert!(matches!(flatten(&bench.store, &image), Err(FlattenError::DiffId { .. })));
    image.layers[0].descriptor.media_type = "text/plain".to_owned();
    assert!(matches!(flatten(&bench.store, &image), Err(FlattenError::Image(ImageError::MediaType { .. }))));
    image.layers[0].descriptor.media_type = Compression::Gzip.media_type().to_owned();
    assert!(matches!(flatten(&bench.store, &image), Err(FlattenError::Tar { .. })));
}
