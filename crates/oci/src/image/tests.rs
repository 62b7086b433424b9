use std::time::Duration;

use minke_cas::Epoch;

use super::*;
use crate::testing::Bench;
use crate::{HealthTest, Healthcheck, Platform};

fn settings() -> ImageConfig {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    ImageConfig {
        platform: Platform {
            variant: Some("v8".to_owned()),
            architecture: "arm64".to_owned(),
            ..Platform::default()
        },
        created: Some(Epoch::FIXED),
        user: Some("65532".to_owned()),
        env: vec![("PATH".to_owned(), "/app/.venv/bin".to_owned()), ("A".to_owned(), "b=c".to_owned())],
        entrypoint: owned(&["app"]),
        cmd: owned(&["--port", "8000"]),
        workdir: Some("/app".to_owned()),
        labels: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into(),
        ports: ["8000", "53/udp"].map(|port| port.parse().unwrap()).into(),
        volumes: ["/data".to_owned()].into(),
        stop_signal: Some("SIGINT".to_owned()),
        healthcheck: Some(Healthcheck {
            test: HealthTest::Command(owned(&["app", "check"])),
            interval: Some(Duration::from_secs(30)),
            timeout: Some(Duration::from_millis(1500)),
            start_period: None,
            retries: Some(3),
        }),
    }
}

#[test]
fn a_config_says_all_of_it_in_a_fixed_order() {
    let bench = Bench::new();
    let layer = bench.layer("base", &["/a = a"], Compression::None);
    let image = write_image(&bench.store, &[layer], &settings(), BTreeMap::new()).unwrap();
    let config = String::from_utf8(bench.store.read_blob(&image.config).unwrap()).unwrap();
    insta::assert_snapshot!(config, @r#"{"created":"1980-01-01T00:00:01Z","architecture":"arm64","os":"linux","variant":"v8","config":{"User":"65532","ExposedPorts":{"53/udp":{},"8000/tcp":{}},"Env":["PATH=/app/.venv/bin","A=b=c"],"Entrypoint":["app"],"Cmd":["--port","8000"],"Healthcheck":{"Test":["CMD","app","check"],"Interval":30000000000,"Timeout":1500000000,"Retries":3},"Volumes":{"/data":{}},"WorkingDir":"/app","Labels":{"a":"1","b":"2"},"StopSignal":"SIGINT"},"rootfs":{"type":"layers","diff_ids":["sha256:2094ff0cf221ebd3b39b0087f5b4d213a4aedba18be29116c530aea846279973"]},"history":[{"created":"1980-01-01T00:00:01Z","created_by":"minke: base"}]}"#);
}

#[test]
fn a_manifest_names_config_and_layers() {
    let bench = Bench::new();
    let layer = bench.layer("base", &["/a = a"], Compression::None);
    let annotations = BTreeMap::from([("z".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
    let image = write_image(&bench.store, &[layer], &ImageConfig::default(), annotations).unwrap();
    let manifest = String::from_utf8(bench.store.read_blob(&image.manifest).unwrap()).unwrap();
    insta::assert_snapshot!(manifest, @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:76251a194fc1b1252339ec9f92f9ef053a577221c75b9d41de678819720931d6","size":204},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:2094ff0cf221ebd3b39b0087f5b4d213a4aedba18be29116c530aea846279973","size":2048}],"annotations":{"a":"2","z":"1"}}"#);
}

#[test]
fn an_image_reads_back_as_it_was_written() {
    let bench = Bench::new();
    let layers = [
        bench.layer("base", &["/a = a"], Compression::Gzip),
        bench.layer("app", &["/b = b"], Compression::Zstd),
    ];
    for settings in [settings(), ImageConfig::default()] {
        let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let image = write_image(&bench.store, &layers, &settings, annotations).unwrap();
        assert_eq!(Image::load(&bench.store, &image.manifest).unwrap(), image);
    }
}

#[test]
fn what_others_write_is_read() {
    let bench = Bench::new();
    let config = bench
        .store
        .put(
            br#"{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09.123456789+02:00",
            "config":{"Entrypoint":null,"Cmd":["sh"],"Env":["A=1","B"],"ExposedPorts":{"80/tcp":{},"90-99/tcp":{}},
            "Volumes":null,"User":"","WorkingDir":"","OnBuild":null,"Healthcheck":{"Test":[]}},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","empty_layer":true}]}"#,
        )
        .unwrap();
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{config}","size":1}},"layers":[]}}"#
    );
    let manifest = bench.store.put(manifest.as_bytes()).unwrap();
    let expected = ImageConfig {
        created: Some(Epoch::from_secs(1_714_972_089)),
        env: vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())],
        cmd: vec!["sh".to_owned()],
        ports: ["80/tcp".parse().unwrap()].into(),
        ..ImageConfig::default()
    };
    assert_eq!(Image::load(&bench.store, &manifest).unwrap().settings, expected);
}

#[test]
fn more_layers_than_can_be_stacked_are_refused() {
    let bench = Bench::new();
    let layers = vec![bench.layer("x", &["/a = a"], Compression::None); 128];
    let refused = write_image(&bench.store, &layers, &ImageConfig::default(), BTreeMap::new()).unwrap_err();
    assert_eq!(refused.to_string(), "the image has 128 layers; more than 127 cannot be stacked");
}

#[test]
fn a_manifest_and_a_config_that_disagree_are_refused() {
    let bench = Bench::new();
    let config = bench
        .store
        .put(br#"{"architecture":"a","os":"b","rootfs":{"type":"layers","diff_ids":[]}}"#)
        .unwrap();
    let layer = Digest::of(b"layer");
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{config}","size":1}},
        "layers":[{{"mediaType":"x","digest":"{layer}","size":1}}]}}"#
    );
    let manifest = bench.store.put(manifest.as_bytes()).unwrap();
    let refused = Image::load(&bench.store, &manifest).unwrap_err();
    assert_eq!(refused.to_string(), format!("the manifest {manifest} has 1 layers, its config 0"));
    assert!(matches!(Image::load(&bench.store, &config), Err(ImageError::Json { .. })));
    assert!(matches!(Image::load(&bench.store, &layer), Err(ImageError::Store(StoreError::Missing { .. }))));
}
