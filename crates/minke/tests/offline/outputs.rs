//! Where images go besides the store.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use insta::assert_snapshot;
use minke_testkit::list_tar;
use serde_json::Value;

use crate::image::Layout;
use crate::plain::wheels;
use crate::town::Town;

/// Unpacks an archive beside itself and reads it as a layout.
fn unpacked(archive: &Path) -> Layout {
    let dir = archive.with_extension("unpacked");
    tar::Archive::new(fs::File::open(archive).expect("it was written"))
        .unpack(&dir)
        .expect("it is a tar file");
    Layout::read(&dir, None)
}

#[test]
fn a_layout_keeps_the_images_of_its_other_tags() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let tags = |town: &Town| -> Vec<(String, String)> {
        let index = Layout::read(&town.path("layout"), None).index;
        let entries = index["manifests"].as_array().unwrap().iter().map(|entry| {
            let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("");
            (tag.to_owned(), entry["digest"].as_str().unwrap().to_owned())
        });
        entries.collect()
    };
    let digest = |reference: String| reference.split_once('@').unwrap().1.to_owned();
    let one = digest(town.builds(&["shop", "-o", "oci:layout:1.0"]));
    town.write("shop/main.py", "print('two')\n");
    let two = digest(town.builds(&["shop", "-o", "oci:layout:2.0"]));
    assert_eq!(tags(&town), [("1.0".to_owned(), one.clone()), ("2.0".to_owned(), two)]);
    assert_eq!(Layout::read(&town.path("layout"), Some("1.0")).file("/app/main.py"), "print('hello')\n");
    assert_eq!(Layout::read(&town.path("layout"), Some("2.0")).file("/app/main.py"), "print('two')\n");

    town.write("shop/main.py", "print('three')\n");
    let three = digest(town.builds(&["shop", "-o", "oci:layout:2.0"]));
    assert_eq!(tags(&town), [("1.0".to_owned(), one), ("2.0".to_owned(), three)]);
}

#[test]
fn archives_hold_what_the_layout_holds() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let outputs = [
        "-o",
        "oci:layout",
        "-o",
        "oci-archive:shop.oci.tar",
        "-o",
        "docker-archive:shop.docker.tar:host.test/shop:1.2",
    ];
    let built = town.builds(&[&["shop"], &outputs[..]].concat());
    let layout = Layout::read(&town.path("layout"), None);
    let digest = built.split_once('@').unwrap().1;
    for name in ["shop.oci.tar", "shop.docker.tar"] {
        let archive = unpacked(&town.path(name));
        assert_eq!(archive.index["manifests"][0]["digest"], digest, "{name}");
        assert_eq!((&archive.manifest, &archive.config), (&layout.manifest, &layout.config), "{name}");
        assert!(archive.layers == layout.layers, "{name} has other layers");
    }
    let manifest = fs::read(town.path("shop.docker.unpacked/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest.as_array().unwrap().len(), 1);
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["host.test/shop:1.2"]));
    let blobs = |key: &str| manifest[0][key].clone();
    let config: Value = serde_json::from_slice(
        &fs::read(town.path("shop.docker.unpacked").join(blobs("Config").as_str().unwrap())).unwrap(),
    )
    .unwrap();
    assert_eq!(config, layout.config);
    assert_eq!(blobs("Layers").as_array().unwrap().len(), layout.layers.len());
}

#[test]
fn archives_are_the_same_bytes_every_time() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    for transport in ["oci-archive", "docker-archive"] {
        town.builds(&["shop", "-o", &format!("{transport}:one.tar"), "-o", &format!("{transport}:two.tar")]);
        let (one, two) = (fs::read(town.path("one.tar")).unwrap(), fs::read(town.path("two.tar")).unwrap());
        assert!(one == two, "{transport}: {} against {}", list_tar(&one), list_tar(&two));
    }
}

#[test]
fn a_file_that_is_there_is_replaced_at_once() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.write("out/shop.tar", "what was here before");
    let mut before = fs::File::open(town.path("out/shop.tar")).unwrap();
    town.builds(&["shop", "-o", "oci-archive:out/shop.tar"]);
    let mut text = String::new();
    before.read_to_string(&mut text).unwrap();
    assert_eq!(text, "what was here before", "who reads the old file reads all of it");
    unpacked(&town.path("out/shop.tar"));
    fs::remove_dir_all(town.path("out/shop.unpacked")).unwrap();
    assert_eq!(fs::read_dir(town.path("out")).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn what_cannot_be_written_is_an_error_but_the_image_is_kept() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let failed = |output: &str| {
        let ran = town.minke(&["build", "--quiet", "shop", "-o", output]);
        assert_eq!(town.succeeds(&["images", "--quiet"]).stdout, "shop:latest\n");
        town.succeeds(&["rmi", "shop"]);
        ran.seen()
    };
    assert_snapshot!(failed("oci-archive:no/such/directory/shop.tar"), @r"
    status: 1
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci-archive:no/such/directory/shop.tar`
      because: cannot write `TOWN/no/such/directory/shop.tar`
      because: No such file or directory (os error 2)
      help: make the directory first, or name another place
    ");
    assert_snapshot!(failed("oci-archive:shop"), @r"
    status: 1
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci-archive:shop`
      because: cannot write `TOWN/shop`
      because: Is a directory (os error 21)
      help: name another place, or remove what is there
    ");
    town.write("file", "");
    assert_snapshot!(failed("oci:file"), @r"
    status: 1
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci:file`
      because: cannot read `TOWN/file`
      because: Not a directory (os error 20)
      help: name another place, or remove what is there
    ");
    assert_snapshot!(failed("oci:shop"), @r"
    status: 1
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci:shop`
      because: `TOWN/shop` is not empty and not an OCI layout
      help: name an empty directory, or one that is a layout; nothing was changed
    ");
}

#[test]
fn a_daemon_is_found_where_docker_host_says() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let with = |docker_host: &str| {
        let mut command = town.command(&["build", "--quiet", "shop", "--load"]);
        let docker_host = docker_host.replace("TOWN", town.path("").to_str().unwrap().trim_end_matches('/'));
        town.finish(command.env("DOCKER_HOST", docker_host).spawn().unwrap()).seen()
    };
    assert_snapshot!(with("unix://TOWN/docker.sock"), @r"
    status: 5
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot load `shop:latest` into Docker
      because: there is no Docker socket at `TOWN/docker.sock`
      help: see that Docker runs and that you may use its socket; DOCKER_HOST names another
    ");
    assert_snapshot!(with("tcp://host.test:2375"), @r"
    status: 2
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: `DOCKER_HOST` is `tcp://host.test:2375`, and only `unix://` sockets are known
      help: set it to `unix:///path/to/docker.sock`
    ");
}

#[test]
fn layers_are_compressed_as_asked() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let magic = |how: &str| -> Vec<(String, [u8; 4])> {
        let dir = format!("layout-{how}");
        town.builds(&["shop", "--compression", how, "-o", &format!("oci:{dir}")]);
        let blob = |digest: &Value| {
            let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            fs::read(town.path(&dir).join("blobs/sha256").join(hex)).unwrap()
        };
        let index: Value =
            serde_json::from_slice(&fs::read(town.path(&dir).join("index.json")).unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0]["digest"])).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| {
            let kind = layer["mediaType"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
            (kind, blob(&layer["digest"])[..4].try_into().unwrap())
        });
        layers.collect()
    };
    assert!(magic("gzip").iter().all(|(kind, magic)| kind == "tar+gzip" && magic[..2] == [0x1f, 0x8b]));
    assert!(
        magic("zstd").iter().all(|(kind, magic)| kind == "tar+zstd" && *magic == [0x28, 0xb5, 0x2f, 0xfd])
    );
    assert!(magic("none").iter().all(|(kind, _)| kind == "tar"));
}
