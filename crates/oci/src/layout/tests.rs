use std::path::PathBuf;

use super::*;
use crate::testing::Bench;
use crate::{Compression, ImageLayer};

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

/// Makes an image with one file of this text.
fn image(bench: &Bench, text: &str) -> Image {
    bench.image(&[bench.layer("app", &[&format!("/a = {text}")], Compression::Gzip)])
}

/// Lists names and digests as `index.json` has them.
fn names(directory: &Path) -> Vec<(Option<String>, minke_cas::Digest)> {
    let index = read_index(&directory.join("index.json")).unwrap();
    let name = |entry: &IndexEntry| (entry.annotation(REF_NAME).map(str::to_owned), entry.digest);
    index.manifests.iter().map(name).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_layout_holds_what_the_image_consists_of() {
    let bench = Bench::new();
    let (image, layout) = (image(&bench, "1"), bench.directory.path().join("new/layout"));
    write_layout(&bench.store, &image, &layout, Some(&name("1.0"))).unwrap();
    let mut expected: Vec<_> =
        image.blobs().iter().map(|(digest, _)| layout.join("blobs/sha256").join(digest.hex())).collect();
    expected.sort();
    assert_eq!(files(&layout.join("blobs/sha256")), expected);
    assert_eq!(files(&layout), ["blobs", "index.json", "oci-layout"].map(|file| layout.join(file)));
    assert_eq!(fs::read_to_string(layout.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let [(digest, size), ..] = image.blobs()[image.blobs().len() - 1..] else { unreachable!() };
    assert_eq!(
        fs::read_to_string(layout.join("index.json")).unwrap(),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size},"platform":{{"architecture":"amd64","os":"linux"}},"annotations":{{"{REF_NAME}":"1.0"}}}}]}}"#,
            crate::json::INDEX
        )
    );
}

#[test]
fn other_names_stay_and_the_same_name_is_replaced() {
    let bench = Bench::new();
    let layout = bench.directory.path().join("layout");
    let images = ["1", "2", "3"].map(|text| image(&bench, text));
    write_layout(&bench.store, &images[0], &layout, Some(&name("a"))).unwrap();
    write_layout(&bench.store, &images[0], &layout, Some(&name("b"))).unwrap();
    write_layout(&bench.store, &images[1], &layout, None).unwrap();
    write_layout(&bench.store, &images[2], &layout, Some(&name("a"))).unwrap();
    write_layout(&bench.store, &images[2], &layout, None).unwrap();
    let expected = [
        (Some("b".to_owned()), images[0].manifest),
        (Some("a".to_owned()), images[2].manifest),
        (None, images[2].manifest),
    ];
    assert_eq!(names(&layout), expected);
}

#[test]
fn a_failure_leaves_the_layout_as_it_was() {
    let bench = Bench::new();
    let layout = bench.directory.path().join("layout");
    let (good, mut bad) = (image(&bench, "1"), image(&bench, "2"));
    write_layout(&bench.store, &good, &layout, Some(&name("a"))).unwrap();
    let missing = ImageLayer {
        descriptor: crate::Descriptor { size: 77, ..bad.layers[0].descriptor.clone() },
        ..bad.layers[0].clone()
    };
    bad.layers.push(missing);
    let refused = write_layout(&bench.store, &bad, &layout, Some(&name("a"))).unwrap_err();
    assert!(matches!(refused, OutputError::Size { expected: 77, .. }), "{refused}");
    assert_eq!(names(&layout), [(Some("a".to_owned()), good.manifest)]);
    assert!(files(&layout.join("blobs/sha256")).iter().all(|file| file.extension().is_none()));
    let unfinished = files(&layout.join("blobs/sha256"))
        .into_iter()
        .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with('.'));
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn a_directory_with_other_things_in_it_is_refused() {
    let bench = Bench::new();
    let directory = bench.directory.path().join("home");
    fs::create_dir(&directory).unwrap();
    write_layout(&bench.store, &image(&bench, "1"), &directory, None).unwrap();
    fs::remove_file(directory.join("oci-layout")).unwrap();
    let refused = write_layout(&bench.store, &image(&bench, "1"), &directory, None).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{}` is not empty and not an OCI layout", directory.display()));
}

#[test]
fn an_index_that_is_none_is_refused() {
    let bench = Bench::new();
    let layout = bench.directory.path().join("layout");
    write_layout(&bench.store, &image(&bench, "1"), &layout, None).unwrap();
    fs::write(layout.join("index.json"), "[]").unwrap();
    let refused = write_layout(&bench.store, &image(&bench, "1"), &layout, None).unwrap_err();
    assert!(matches!(refused, OutputError::Index { .. }), "{refused}");
    assert_eq!(fs::read_to_string(layout.join("index.json")).unwrap(), "[]");
}
