use std::fs;

use super::*;
use crate::testing::Bench;
use crate::{Compression, save_docker_archive, save_oci_archive, write_layout};

fn image(bench: &Bench) -> Image {
    let layers = [
        bench.layer("base", &["/a = a", "/b -> a"], Compression::Gzip),
        bench.layer("app", &["/c = c"], Compression::None),
    ];
    bench.image(&layers)
}

fn origin(text: String) -> Origin {
    text.parse::<Destination>().unwrap().try_into().unwrap()
}

/// Reads an image into a store that has never seen it.
fn afresh(text: String) -> Result<Image, ImportError> {
    import(&Bench::new().store, &origin(text), &Platform::default())
}

#[test]
fn an_image_comes_back_from_every_form_as_it_was() {
    let bench = Bench::new();
    let (image, place) = (image(&bench), bench.directory.path().display().to_string());
    let name: Reference = "host.test/app:1".parse().unwrap();
    let tag: RefName = "1".parse().unwrap();
    write_layout(&bench.store, &image, format!("{place}/layout").as_ref(), Some(&tag)).unwrap();
    save_oci_archive(&bench.store, &image, Some(&tag), format!("{place}/oci.tar").as_ref()).unwrap();
    save_docker_archive(&bench.store, &image, &name, format!("{place}/docker.tar").as_ref()).unwrap();
    for text in [
        format!("oci:{place}/layout"),
        format!("oci:{place}/layout:1"),
        format!("oci-archive:{place}/oci.tar:1"),
        format!("oci-archive:{place}/docker.tar"),
        format!("docker-archive:{place}/docker.tar:host.test/app:1"),
        format!("docker-archive:{place}/docker.tar"),
    ] {
        assert_eq!(afresh(text.clone()).unwrap(), image, "{text}");
    }
}

#[test]
fn an_image_of_an_index_is_taken_by_platform() {
    let bench = Bench::new();
    let (image, layout) = (image(&bench), bench.directory.path().join("layout"));
    write_layout(&bench.store, &image, &layout, None).unwrap();
    let inner = fs::read(layout.join("index.json")).unwrap();
    let digest = Digest::of(&inner);
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    let entry = format!(r#"{{"mediaType":"{INDEX}","digest":"{digest}","size":{}}}"#, inner.len());
    fs::write(layout.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#)).unwrap();

    let from = format!("oci:{}", layout.display());
    assert_eq!(afresh(from.clone()).unwrap(), image);
    let arm = Platform { architecture: "arm64".to_owned(), ..Platform::default() };
    let refused = import(&bench.store, &origin(from), &arm).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{}` has no image for linux/arm64", layout.display()));
}

#[test]
fn what_is_not_there_is_named() {
    let bench = Bench::new();
    let (image, layout) = (image(&bench), bench.directory.path().join("layout"));
    write_layout(&bench.store, &image, &layout, Some(&"1".parse().unwrap())).unwrap();
    let place = layout.display();
    let error = |text: String| afresh(text).unwrap_err().to_string().replace(&place.to_string(), "LAYOUT");
    assert_eq!(error(format!("oci:{place}:2")), "`LAYOUT` has no single image that fits; it has 1");
    assert_eq!(error(format!("oci:{place}/none")), "`LAYOUT/none` has no `index.json`");
    assert_eq!(error(format!("oci-archive:{place}/none")), "cannot open `LAYOUT/none`");
    assert_eq!(
        error(format!("oci-archive:{place}/index.json")),
        "`LAYOUT/index.json` is not a tar that can be read"
    );
}

#[test]
fn a_blob_that_was_changed_is_refused() {
    let bench = Bench::new();
    let (image, layout) = (image(&bench), bench.directory.path().join("layout"));
    write_layout(&bench.store, &image, &layout, None).unwrap();
    fs::write(layout.join("blobs/sha256").join(image.layers[0].descriptor.digest.hex()), "other").unwrap();
    let refused = afresh(format!("oci:{}", layout.display())).unwrap_err();
    assert!(matches!(refused, ImportError::Store { source: StoreError::Mismatch { .. }, .. }), "{refused}");
}

#[test]
fn the_daemon_is_no_origin() {
    let daemon: Destination = "docker-daemon:app:1".parse().unwrap();
    assert_eq!(
        Origin::try_from(daemon).unwrap_err().to_string(),
        "an image cannot be read from the Docker daemon; save `app:1` to a file first"
    );
}
