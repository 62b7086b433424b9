//! An image as the base: its layers and config are kept, its Python is found and asked.

use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::{Compression, compress, program, sha256_hex, skip};
use serde_json::{Value, json};

use crate::image::Layout;
use crate::town::{Town, User};

/// A town with a base image in `base`, made by minke of the town's own packages, and a project to put upon it.
fn town() -> Option<Town> {
    let town = Town::with(&[])?;
    town.write("below/data.txt", "below");
    town.write("below/pylock.toml", town.lock(&[]));
    let about = "env = { FROM_BELOW = \"1\", LANG = \"C\" }\nlabels = { below = \"yes\", both = \"below\" }\n\
                 user = \"1000:1000\"\nports = [9000]\nstop-signal = \"SIGINT\"\n";
    town.write("below/minke.toml", about);
    town.builds(&["below", "-o", "oci:base:1", "-o", "docker-archive:base.tar"]);
    town.project("shop", &[]);
    town.write("shop/minke.toml", "labels = { both = \"shop\" }\nports = [8000]\n");
    // No archive of packages is there: none is needed.
    town.archive.fault("/debian/dists/bookworm/InRelease", minke_testkit::Fault::Status(503));
    Some(town)
}

fn layers(layout: &Layout) -> Vec<&Value> {
    layout.manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect()
}

#[test]
fn layers_are_kept_as_they_are_and_the_config_is_laid_over() {
    let Some(town) = town() else { return };
    town.archive.forget();
    let reference = town.builds(&["shop", "--base", "oci:base:1", "-o", "oci:layout"]);
    assert_eq!(town.archive.counts(), [].into(), "the archive isn't opened");
    let (below, image) = (Layout::read(&town.path("base"), None), Layout::read(&town.path("layout"), None));
    let (kept, ours) = (layers(&below), layers(&image));
    assert_eq!(ours[..kept.len()], kept);
    assert_eq!(ours.len(), kept.len() + 2, "the venv and the project");
    let history = |layout: &Layout| layout.config["history"].as_array().unwrap().clone();
    assert_eq!(history(&image)[..kept.len()], history(&below));
    assert_snapshot!(serde_json::to_string_pretty(&image.config["config"]).unwrap(), @r#"
        {
          "Entrypoint": [
            "python",
            "main.py"
          ],
          "Env": [
            "PATH=/app/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "FROM_BELOW=1",
            "LANG=C"
          ],
          "ExposedPorts": {
            "8000/tcp": {},
            "9000/tcp": {}
          },
          "Labels": {
            "below": "yes",
            "both": "shop"
          },
          "StopSignal": "SIGINT",
          "User": "1000:1000",
          "WorkingDir": "/app"
        }
    "#);
    assert_eq!(
        image.manifest["annotations"]["org.opencontainers.image.base.digest"],
        below.index["manifests"][0]["digest"]
    );
    assert_snapshot!(image.outside_the_venv(), @r"
        /app dir 0755
        /app/__pycache__ dir 0755
        /app/__pycache__/main.cpython-311.pyc file 0644
        /app/data.txt file 0644 5
        /app/main.py file 0644 15
    ");
    // From another transport, with another cache: the same.
    let other = Town::with(&[]).unwrap();
    other.project("shop", &[]);
    other.write("shop/minke.toml", fs::read(town.path("shop/minke.toml")).unwrap());
    fs::copy(town.path("base.tar"), other.path("shop/base.tar")).unwrap();
    other.write("shop/.dockerignore", "base.tar\n");
    let ran =
        other.succeeds(&["build", "shop", "--base", "docker-archive:shop/base.tar", "-o", "oci:layout"]);
    assert!(
        ran.stderr
            .contains("note: base: Python 3.11.2 on x86_64 with glibc 2.36, docker-archive:shop/base.tar: "),
        "{}",
        ran.stderr
    );
    assert_eq!(layers(&Layout::read(&other.path("layout"), None)), ours);
    assert_eq!(town.builds(&["shop", "--base", "oci:base:1"]), reference);
}

#[test]
fn it_runs_upon_it() {
    let Some(town) = town() else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine makes no containers");
    }
    town.write(
        "shop/main.py",
        "import os, sys\nprint(sys.prefix, os.environ['FROM_BELOW'], os.getuid(), open('data.txt').read())\n",
    );
    town.builds(&["shop", "--base", "oci:base"]);
    assert_eq!(town.succeeds(&["run", "shop"]).stdout, "/app/.venv 1 1000 below\n");
}

#[test]
fn one_that_another_tool_has_changed_is_taken_as_it_is() {
    let Some(town) = town() else { return };
    let Some(umoci) = program("umoci") else { return };
    let umoci = |arguments: &[&str]| {
        let done = Command::new(&umoci).args(arguments).current_dir(town.path("")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    town.write("extra/added.txt", "added");
    town.write(
        "shop/main.py",
        "import os\nprint(open('/srv/extra/added.txt').read(), os.path.exists('/app/data.txt'))\n",
    );
    umoci(&["insert", "--rootless", "--image", "base:1", "extra", "/srv/extra"]);
    umoci(&["insert", "--rootless", "--image", "base:1", "--whiteout", "/app/data.txt"]);
    umoci(&[
        "config",
        "--image",
        "base:1",
        "--config.env",
        "PATH=/nowhere:/usr/bin",
        "--config.workingdir",
        "/srv",
    ]);
    town.builds(&["shop", "--base", "oci:base:1", "-o", "oci:layout"]);
    let (below, image) =
        (Layout::read(&town.path("base"), Some("1")), Layout::read(&town.path("layout"), None));
    assert_eq!(layers(&image)[..layers(&below).len()], layers(&below));
    let config = &image.config["config"];
    assert_eq!(config["WorkingDir"], "/app");
    let env: Vec<&str> = config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"PATH=/app/.venv/bin:/nowhere:/usr/bin"), "{env:?}");
    if User::Myself.can_make_containers() {
        assert_eq!(town.succeeds(&["run", "shop"]).stdout, "added False\n");
    }
}

/// Writes a layout with one layer, made by hand.
fn write_layout(dir: &Path, layer: &[u8], media_type: &str, architecture: &str) {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let hex = sha256_hex(bytes);
        fs::write(dir.join("blobs/sha256").join(&hex), bytes).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    };
    let (digest, size) = put(&compress(layer, Compression::Zst));
    let config = json!({
        "architecture": architecture, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256_hex(layer))] },
    });
    let (config, config_size) = put(config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
        "layers": [{ "mediaType": media_type, "digest": digest, "size": size }],
    });
    let (manifest, manifest_size) = put(manifest.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size,
        }],
    });
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
}

#[test]
fn what_is_no_base_is_said_in_a_sentence() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    let layer = minke_testkit::tar(&[minke_testkit::TarEntry::file("etc/x", "x")]);
    write_layout(&town.path("empty"), &layer, zstd, "amd64");
    write_layout(&town.path("arm"), &layer, zstd, "arm64");
    let other = minke_testkit::tar(&[minke_testkit::TarEntry::file("etc/y", "y")]);
    write_layout(&town.path("odd"), &other, "application/x-odd", "amd64");
    let script = minke_testkit::TarEntry {
        mode: 0o755,
        ..minke_testkit::TarEntry::file("usr/bin/python3", "#!/bin/sh\n")
    };
    write_layout(&town.path("shim"), &minke_testkit::tar(&[script]), zstd, "amd64");
    let refused = |base: &str| town.refuses(&["--base", base]);
    assert_snapshot!(refused("oci:nowhere"), @r"
        status: 1
        stderr: error: cannot use `oci:nowhere` as a base
          because: it cannot be read
          because: `TOWN/nowhere` has no `index.json`
          help: write the image again, with `skopeo copy` or `docker save`
    ");
    assert_snapshot!(refused("oci:"), @r#"
        status: 1
        stderr: error: cannot use `oci:` as a base
          because: it is not written as the place of an image
          because: `oci:` says how but not where
          help: say it as in `base = "oci:DIR:TAG"`, `oci-archive:FILE` or `docker-archive:FILE`
    "#);
    assert_snapshot!(refused("docker-daemon:shop:latest"), @r#"
        status: 1
        stderr: error: cannot use `docker-daemon:shop:latest` as a base
          because: it is not in a file
          because: an image cannot be read from the Docker daemon; save `shop:latest` to a file first
          help: say it as in `base = "oci:DIR:TAG"`, `oci-archive:FILE` or `docker-archive:FILE`
    "#);
    assert_snapshot!(refused("oci:empty"), @r"
        status: 1
        stderr: error: cannot use `oci:empty` as a base
          because: it has no Python in any of /usr/local/bin, /usr/bin, /bin
          help: choose an image that has the Python you want, or a suite with `base`
    ");
    assert_snapshot!(refused("oci:arm"), @r"
        status: 1
        stderr: error: cannot use `oci:arm` as a base
          because: it is for linux/arm64, and linux/amd64 is wanted
          help: choose an image for this machine, or a suite with `base`
    ");
    assert_snapshot!(refused("oci:odd"), @r"
        status: 1
        stderr: error: cannot use `oci:odd` as a base
          because: its layers cannot be unpacked
          because: the image has a layer that cannot be read
          because: the layer sha256:cbd155abe001e8e9f7a89127a68389a75771adf6c0af50d6c3941b6a97089bab has the media type `application/x-odd`, which is no layer's
          help: write the image again, with `skopeo copy` or `docker save`
    ");
    assert_snapshot!(refused("oci:shim"), @r"
        status: 1
        stderr: error: cannot use `oci:shim` as a base
          because: its `/usr/bin/python3` cannot be started
          because: `/usr/bin/python3` is not a program that this machine runs
          help: choose an image that has the Python you want, or a suite with `base`
    ");
    assert_snapshot!(refused("oci:empty:other"), @r"
        status: 1
        stderr: error: cannot use `oci:empty:other` as a base
          because: it cannot be read
          because: `TOWN/empty` has no single image that fits; it has one without a name
          help: write the image again, with `skopeo copy` or `docker save`
    ");
}

#[test]
fn what_an_image_as_base_cannot_have() {
    let Some(town) = town() else { return };
    let refused = |more: &[&str]| {
        town.minke(&[&["build", "--quiet", "shop", "--base", "oci:base:1"], more].concat()).seen()
    };
    assert_snapshot!(refused(&["--python", "3.12"]), @r"
        status: 1
        stderr: error: cannot use `oci:base:1` as a base
          because: its `/usr/bin/python3.11` is cpython 3.11.2, and Python 3.12 is wanted
          help: choose an image that has the Python you want, or a suite with `base`
    ");
    assert_snapshot!(refused(&["--system-package", "curl"]), @r"
        status: 1
        stderr: error: `curl` is a distribution's package, and the base is oci:base:1: 4 layers, 16.0 MB
          help: choose a suite with `base`, or leave the package away
    ");
    assert_snapshot!(refused(&["--standalone", "x.tar.gz"]), @r"
        status: 1
        stderr: error: `oci:base:1` is an image with a Python of its own, and an archive with another was named
          help: leave `python` away, or name a suite or `scratch` with `base`
    ");
}
