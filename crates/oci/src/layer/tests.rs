use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, PackId};
use proptest::prelude::*;

use super::*;
use crate::segment::compress_segment;
use crate::testing::{Bench, image_path, listing, noise, segment, spec};
use crate::{Packed, flatten, write_packed};

const EVERY: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

#[test]
fn a_layer_lists_directories_first_then_each_segment() {
    let bench = Bench::new();
    let mut app = bench.tree(&["/app/main.py = print()", "/app/link -> main.py", "/usr/lib/größe.txt = x"]);
    app.set_directory(&image_path("/app"), Mode::from_bits(0o750), Owner { uid: 65532, gid: 65532 }).unwrap();
    let twins = bench.tree(&["/usr/lib/a.so * 5000", "/usr/lib/b.so * 5000", "/usr/lib/c.so * 100"]);
    let mut layer = spec("x", vec![segment("twins", twins), segment("app", app)]);
    layer.segments[1].epoch = Epoch::from_secs(1_700_000_000);
    layer.directories = bench.tree(&["/tmp/", "/usr/share/empty/"]);
    layer.directories.set_directory(&image_path("/tmp"), Mode::from_bits(0o1777), Owner::default()).unwrap();
    let layer = write_layer(&bench.store, &layer, Compression::Gzip, &Meter::default()).unwrap();
    insta::assert_snapshot!(listing(&bench.tar(&layer)), @r"
    0750 65532:65532 0 315532801 app/
    1777 0:0 0 315532801 tmp/
    0755 0:0 0 315532801 usr/
    0755 0:0 0 315532801 usr/lib/
    0755 0:0 0 315532801 usr/share/
    0755 0:0 0 315532801 usr/share/empty/
    0755 0:0 5000 315532801 usr/lib/a.so
    0755 0:0 0 315532801 usr/lib/b.so == usr/lib/a.so
    0755 0:0 100 315532801 usr/lib/c.so
    0777 0:0 0 1700000000 app/link -> main.py
    0644 0:0 7 1700000000 app/main.py
    0644 0:0 1 1700000000 usr/lib/größe.txt
    ");
    assert_eq!(layer.entries, 12);
}

#[test]
fn the_tar_is_what_the_diff_id_says() {
    let bench = Bench::new();
    // More than one member, and a file that lies across the cut.
    let tree = bench.tree(&["/a * 3000000", "/b * 2500000", "/c = small"]);
    for compression in EVERY {
        let spec = spec("x", vec![segment("a", tree.clone()), segment("b", bench.tree(&["/d = d"]))]);
        let meter = Meter::default();
        let layer = write_layer(&bench.store, &spec, compression, &meter).unwrap();
        let tar = bench.tar(&layer);
        assert_eq!(layer.diff_id, DiffId::of_uncompressed(Digest::of(&tar)));
        assert_eq!(layer.tar_size, tar.len() as u64);
        assert_eq!(tar.len() % 512, 0);
        assert_eq!(tar.windows(1).rev().take_while(|byte| byte == b"\0").count().min(1024), 1024);
        let (done, expected) = meter.reading();
        assert_eq!((done, expected), (layer.tar_size - 1024, layer.tar_size - 1024));
    }
}

#[test]
fn a_layer_that_was_written_before_is_found() {
    let bench = Bench::new();
    let first = bench.layer("one", &["/a = a"], Compression::Gzip);
    let again = bench.layer("another name", &["/a = a"], Compression::Gzip);
    assert_eq!(again, Layer { name: "another name".to_owned(), ..first.clone() });
    std::fs::remove_file(bench.store.blob_path(&first.descriptor.digest)).unwrap();
    assert_eq!(bench.layer("one", &["/a = a"], Compression::Gzip), first);
    assert!(bench.store.has(&first.descriptor.digest));
}

#[test]
fn a_segment_is_the_same_whatever_it_is_called_and_wherever_its_bytes_lie() {
    let bench = Bench::new();
    let loose = bench.tree(&["/a * 6000"]);
    let mut pack = bench.store.pack_writer(PackId::of("test-1", &Digest::of(b""))).unwrap();
    let (content, size) = pack.add(&noise(6000)[..]).unwrap();
    let id = pack.finish().unwrap();
    let mut packed = Tree::new();
    let file = minke_cas::File { pack: Some(id), ..minke_cas::File::new(content, size, Mode::EXECUTABLE) };
    packed.insert(&image_path("/a"), file.into()).unwrap();

    let one = compress_segment(&bench.store, &segment("one", loose), Compression::Gzip).unwrap();
    std::fs::remove_file(bench.store.blob_path(&one.digest)).unwrap();
    let two = compress_segment(&bench.store, &segment("two", packed), Compression::Gzip).unwrap();
    assert_eq!(one, two);
}

#[test]
fn what_would_make_a_bad_layer_is_refused() {
    let bench = Bench::new();
    let error = |segments: &[&[&str]]| {
        let named = segments.iter().zip(["first", "second"]);
        let segments = named.map(|(lines, name)| segment(name, bench.tree(lines))).collect();
        let spec = spec("x", segments);
        write_layer(&bench.store, &spec, Compression::None, &Meter::default()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            error(&[&["/a = 1"], &["/a = 1"]]),
            error(&[&["/lib -> usr/lib"], &["/lib/x = 1"]]),
            error(&[&["/a/.wh.b = 1"]]),
            error(&[&["/.wh.a/b = 1"]]),
            error(&[&["/a -> \0"]]),
        ]
        .join("\n"),
        @r"
        `/a` of second is in the layer already, from first
        `/lib` of first is in the layer already, from second
        `/a/.wh.b` has a name that starts with `.wh.`, which deletes files when a layer is unpacked
        `/.wh.a` has a name that starts with `.wh.`, which deletes files when a layer is unpacked
        the symlink `/a` has a target that no file system can hold
        "
    );
}

#[test]
fn two_opinions_on_a_directory_are_refused_unless_one_is_plain() {
    let bench = Bench::new();
    let tree = |file: &str, mode: u32| {
        let mut tree = bench.tree(&[file]);
        tree.set_directory(&image_path("/d"), Mode::from_bits(mode), Owner::default()).unwrap();
        tree
    };
    let write = |first: u32, second: u32| {
        let segments =
            vec![segment("first", tree("/d/a = 1", first)), segment("second", tree("/d/b = 1", second))];
        let layer = write_layer(&bench.store, &spec("x", segments), Compression::None, &Meter::default());
        layer.map(|layer| listing(&bench.tar(&layer)).lines().next().unwrap().to_owned())
    };
    assert_eq!(write(0o755, 0o700).unwrap(), "0700 0:0 0 315532801 d/");
    assert_eq!(write(0o700, 0o755).unwrap(), "0700 0:0 0 315532801 d/");
    let refused = write(0o700, 0o1777).unwrap_err().to_string();
    assert_eq!(refused, "`/d` has one mode or owner in first and another in second");
}

#[test]
fn a_content_of_another_size_is_refused() {
    let bench = Bench::new();
    let mut pack = bench.store.pack_writer(PackId::of("test-1", &Digest::of(b""))).unwrap();
    let (content, _) = pack.add(&b"four"[..]).unwrap();
    let id = pack.finish().unwrap();
    let mut tree = Tree::new();
    let file = minke_cas::File { pack: Some(id), ..minke_cas::File::new(content, 5, Mode::REGULAR) };
    tree.insert(&image_path("/a"), file.into()).unwrap();
    let refused = compress_segment(&bench.store, &segment("x", tree), Compression::Gzip).unwrap_err();
    assert_eq!(refused.to_string(), "`/a` has 4 bytes where its tree says 5");
}

#[test]
fn a_large_segment_is_the_same_on_any_number_of_threads() {
    let layers = EVERY.map(|compression| {
        [1, 2, 5].map(|threads| {
            let bench = Bench::new();
            let lines = ["/a * 9000000", "/b = text", "/c * 5000000"];
            in_threads(threads, || bench.layer("x", &lines, compression))
        })
    });
    for [one, two, five] in layers {
        assert_eq!((&one, &one), (&two, &five));
    }
}

/// A file's or symlink's place, what it is, and how it is owned.
type Line = (String, u8, usize, u32, u32);

fn line() -> impl Strategy<Value = Line> {
    let name = prop::sample::select(vec!["a", "b", "ü", "lib", "x".repeat(120).leak(), "y.py"]);
    let path = prop::collection::vec(name, 1..6).prop_map(|names| format!("/{}", names.join("/")));
    let mode = prop::sample::select(vec![0o644, 0o755, 0o4755, 0o600]);
    let owner = prop::sample::select(vec![0, 65532, 3_000_000]);
    (path, 0..6u8, prop::sample::select(vec![0, 1, 511, 512, 5000, 70_000]), mode, owner)
}

/// Places what can be placed; what is in the way stays.
fn tree_of(bench: &Bench, lines: &[Line]) -> Tree {
    let mut tree = Tree::new();
    for (path, kind, size, mode, uid) in lines {
        let owner = Owner { uid: *uid, gid: *uid };
        let entry = match kind {
            0 => Entry::Symlink(minke_cas::Symlink { target: format!("../{size}"), owner }),
            1 => Entry::directory(),
            _ => match bench.file(&noise(*size), Mode::from_bits(*mode)) {
                Entry::File(file) => Entry::File(minke_cas::File { owner, ..file }),
                other => other,
            },
        };
        let _ = tree.insert(&image_path(path), entry);
    }
    tree
}

/// Distributes a tree's entries over segments by their paths, so that none has them twice.
fn dealt(tree: &Tree, count: u64) -> LayerSpec {
    let segments = (0..count).map(|index| {
        let mine = |path: &ImagePath, _: &Entry| path.as_str().len() as u64 % count == index;
        segment(&index.to_string(), tree.filter(mine))
    });
    spec("x", segments.collect())
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same tree is the same layer, in whatever order it was put together and on however many threads.
    #[test]
    fn the_same_tree_is_the_same_layer(lines in prop::collection::vec(line(), 0..20), count in 1..4u64) {
        let (bench, other) = (Bench::new(), Bench::new());
        let tree = tree_of(&bench, &lines);
        let mut again = Tree::new();
        let mut entries: Vec<_> = tree_of(&other, &lines).walk().map(|(path, entry)| (path, entry.clone())).collect();
        entries.reverse();
        for (path, entry) in entries {
            let _ = again.insert(&path, entry);
        }
        prop_assert_eq!(&tree, &again);
        let write = |bench: &Bench, tree: &Tree, threads| in_threads(threads, || {
            write_layer(&bench.store, &dealt(tree, count), Compression::Gzip, &Meter::default()).unwrap()
        });
        prop_assert_eq!(write(&bench, &tree, 1), write(&other, &again, 4));
    }

    /// From segments that were packed before, a layer is the same as from their trees.
    #[test]
    fn a_layer_of_packed_segments_is_the_same(lines in prop::collection::vec(line(), 0..20), count in 1..4u64) {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let (bench, other) = (Bench::new(), Bench::new());
            let spec = dealt(&tree_of(&bench, &lines), count);
            let layer = write_layer(&bench.store, &spec, compression, &Meter::default()).unwrap();
            let spec = dealt(&tree_of(&other, &lines), count);
            let pack = |segment| Packed::new(&other.store, segment, compression).unwrap();
            let packed: Vec<_> = spec.segments.iter().map(pack).collect();
            let parts = (spec.name.as_str(), packed.as_slice());
            let meter = Meter::default();
            prop_assert_eq!(&write_packed(&other.store, parts, &spec.directories, compression, &meter).unwrap(), &layer);
            prop_assert_eq!(other.tar(&layer), bench.tar(&layer));
        }
    }

    /// However a tree is dealt over segments, its layer has every path once, parents before children, hard
    /// links only to what came before in the same segment, and unpacks to the tree.
    #[test]
    fn a_layer_unpacks_to_its_tree(lines in prop::collection::vec(line(), 0..20), count in 1..4u64) {
        let bench = Bench::new();
        let tree = tree_of(&bench, &lines);
        let spec = dealt(&tree, count);
        let layer = write_layer(&bench.store, &spec, Compression::Zstd, &Meter::default()).unwrap();
        let image = bench.image(std::slice::from_ref(&layer));
        prop_assert_eq!(&flatten(&bench.store, &image).unwrap(), &tree);
        // A store that has only the blobs must unpack them.
        let other = Bench::new();
        for (digest, _) in image.blobs() {
            other.store.put(&bench.store.read_blob(&digest).unwrap()).unwrap();
        }
        prop_assert_eq!(flatten(&other.store, &image).unwrap(), tree);

        let segment_of: BTreeMap<_, _> = spec.segments.iter().flat_map(|segment| {
            segment.tree.walk().map(|(path, _)| (path.relative().to_owned(), segment.name.clone()))
        }).collect();
        let tar = bench.tar(&layer);
        let mut seen = BTreeSet::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let path = path.trim_end_matches('/').to_owned();
            if let Some((parent, _)) = path.rsplit_once('/') {
                prop_assert!(seen.contains(parent), "{} before its parent", path);
            }
            if entry.header().entry_type().is_hard_link() {
                let target = String::from_utf8(entry.link_name_bytes().unwrap().into_owned()).unwrap();
                prop_assert!(seen.contains(&target));
                prop_assert_eq!(&segment_of[&target], &segment_of[&path]);
            }
            prop_assert!(seen.insert(path.clone()), "{} is there twice", path);
        }
        prop_assert_eq!(seen.len() as u64, layer.entries);
    }
}
