use std::fs;
use std::io;

use super::*;
use crate::testing::{Bench, listing};

fn image(bench: &Bench, compression: Compression) -> Image {
    let layers = [
        bench.layer("base", &["/a = a"], compression),
        bench.layer("again", &["/a = a"], compression),
        bench.layer("app", &["/b = b"], compression),
    ];
    bench.image(&layers)
}

fn content(tar: &[u8], member: &str) -> String {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| &*entry.path_bytes() == member.as_bytes()).unwrap();
    io::read_to_string(entry).unwrap()
}

#[test]
fn an_archive_for_docker_is_a_layout_as_well() {
    let bench = Bench::new();
    let image = image(&bench, Compression::None);
    let mut tar = Vec::new();
    let name: Reference = "app:1.0".parse().unwrap();
    write_docker_archive(&bench.store, &image, &name, &mut tar).unwrap();
    // Three layers, two of them the same blob.
    insta::assert_snapshot!(listing(&tar), @r"
    0644 0:0 30 315532801 oci-layout
    0644 0:0 402 315532801 index.json
    0644 0:0 366 315532801 manifest.json
    0755 0:0 0 315532801 blobs/
    0755 0:0 0 315532801 blobs/sha256/
    0644 0:0 410 315532801 blobs/sha256/d578ba9660c537406cb7c14f8e294d43c8ac47cfad2d07f166d9ae21d8178cdc
    0644 0:0 2048 315532801 blobs/sha256/2094ff0cf221ebd3b39b0087f5b4d213a4aedba18be29116c530aea846279973
    0644 0:0 2048 315532801 blobs/sha256/71bc64cae7c73bf823dd28d7311913ca2feca07a40fa4faeb7e4efacd96de9f3
    0644 0:0 697 315532801 blobs/sha256/f168ace5cfe4378bca49b02bca70f0cd201619fd1bbbecd4bfae364aeb949f5a
    ");
    let [config, base, app, _] = image.blobs()[..] else { panic!("{:?}", image.blobs()) };
    let [config, base, app] = [config, base, app].map(|(digest, _)| blob_path(&digest));
    assert_eq!(
        content(&tar, "manifest.json"),
        format!(r#"[{{"Config":"{config}","RepoTags":["app:1.0"],"Layers":["{base}","{base}","{app}"]}}]"#)
    );
    let index: Index = serde_json::from_str(&content(&tar, "index.json")).unwrap();
    assert_eq!(index.manifests[0].annotation(CONTAINERD_NAME), Some("docker.io/library/app:1.0"));
    assert_eq!(index.manifests[0].annotation(REF_NAME), Some("1.0"));
    assert_eq!(index.manifests[0].digest, image.manifest);
}

#[test]
fn a_name_with_a_host_is_full_already() {
    let full = |text: &str| full_name(&text.parse().unwrap());
    assert_eq!(full("host.test:5000/app"), "host.test:5000/app:latest");
    assert_eq!(full("me/app:2"), "docker.io/me/app:2");
}

#[test]
fn the_same_image_is_the_same_archive() {
    let archive = || {
        let bench = Bench::new();
        let image = image(&bench, Compression::Zstd);
        let mut tar = Vec::new();
        write_oci_archive(&bench.store, &image, Some(&"x".parse().unwrap()), &mut tar).unwrap();
        tar
    };
    assert_eq!(archive(), archive());
}

#[test]
fn zstd_is_refused_for_docker() {
    let bench = Bench::new();
    let image = image(&bench, Compression::Zstd);
    let name = "app".parse().unwrap();
    let refused = write_docker_archive(&bench.store, &image, &name, io::sink()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the layer `base` is compressed with zstd, which an archive for `docker load` cannot hold"
    );
}

#[test]
fn a_file_is_replaced_only_by_a_whole_one() {
    let bench = Bench::new();
    let file = bench.directory.path().join("image.tar");
    let image = image(&bench, Compression::Gzip);
    let name = "app".parse().unwrap();
    save_docker_archive(&bench.store, &image, &name, &file).unwrap();
    let whole = fs::read(&file).unwrap();
    fs::remove_file(bench.store.blob_path(&image.layers[2].descriptor.digest)).unwrap();
    let refused = save_docker_archive(&bench.store, &image, &name, &file).unwrap_err();
    assert!(matches!(refused, OutputError::Store(_)), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), whole);
    let left = fs::read_dir(bench.directory.path()).unwrap().count();
    assert_eq!(left, 2, "the store and the archive");
}

#[test]
fn a_file_in_a_directory_that_is_not_there_is_named() {
    let bench = Bench::new();
    let file = bench.directory.path().join("missing/image.tar");
    let refused = save_oci_archive(&bench.store, &image(&bench, Compression::Gzip), None, &file).unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot write `{}`", file.display()));
}
