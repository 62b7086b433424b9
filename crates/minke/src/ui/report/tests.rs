//! Reports at the widths that terminals have.

use std::collections::BTreeMap;

use minke_build::project::left_out::LeftOut;
use minke_build::{BuiltLayer, Entry};
use minke_cas::Digest;

use super::*;

fn layer(name: &str, entries: u64, size: u64) -> BuiltLayer {
    let digest = Digest::of(name.as_bytes());
    BuiltLayer { name: name.to_owned(), digest, size, compressed_size: size / 3, entries }
}

fn built() -> Built {
    let left_out = |files, bytes| LeftOut { files, bytes };
    Built {
        name: "data-science:latest".to_owned(),
        digest: Digest::of(b"image"),
        ladder: None,
        layers: vec![
            layer("base", 1234, 45_100_000),
            layer("scientific-python-distribution", 6021, 221_300_000),
            layer("app", 3, 2_100),
        ],
        entry: Entry {
            entrypoint: vec!["python".to_owned(), "-m".to_owned(), "my app".to_owned()],
            cmd: vec!["--port=8000".to_owned()],
            reason: "the project's only script".to_owned(),
        },
        left_out: BTreeMap::from([
            ("version control".to_owned(), left_out(120, 3_400_000)),
            ("virtual environments".to_owned(), left_out(20_000, 880_000_000)),
        ]),
        timings: vec![
            (Hop::Project, Duration::from_millis(2)),
            (Hop::Lock, Duration::from_millis(412)),
            (Hop::Fetch, Duration::from_millis(2_000)),
            (Hop::Unpack, Duration::from_millis(9)),
            (Hop::Fetch, Duration::from_millis(600)),
            (Hop::Layers, Duration::from_millis(3_141)),
        ],
        outputs: vec!["oci-archive:/tmp/image.tar".to_owned()],
        why: None,
        twin: None,
        proof: Some("2 of 2 checks".to_owned()),
    }
}

#[test]
fn the_closing_table_fits_a_wide_terminal() {
    let report = closing(&built(), Duration::from_millis(6_543), 100, Paint::Plain);
    insta::assert_snapshot!(report, @r"
    layer                           entries      size  compressed
    base                               1234   45.1 MB     15.0 MB
    scientific-python-distribution     6021  221.3 MB     73.8 MB
    app                                   3    2.1 kB       700 B
    total                              7258  266.4 MB     88.8 MB
    runs      python -m 'my app' --port=8000 (the project's only script)
    left out  883.4 MB in 20120 files: virtual environments 880.0 MB, version control 3.4 MB
    written   oci-archive:/tmp/image.tar
    proof     2 of 2 checks
    took      6.5 s: lock 412 ms, fetch 2.6 s, layers 3.1 s
    ");
}

#[test]
fn the_closing_table_fits_forty_columns() {
    let report = closing(&built(), Duration::from_millis(6_543), 40, Paint::Plain);
    assert!(report.lines().all(|line| line.chars().count() <= 40), "{report}");
    insta::assert_snapshot!(report, @r"
    layer      entries      size  compressed
    base          1234   45.1 MB     15.0 MB
    scientif…     6021  221.3 MB     73.8 MB
    app              3    2.1 kB       700 B
    total         7258  266.4 MB     88.8 MB
    runs      python -m 'my app' --port=8000
              (the project's only script)
    left out  883.4 MB in 20120 files:
              virtual environments 880.0 MB,
              version control 3.4 MB
    written   oci-archive:/tmp/image.tar
    proof     2 of 2 checks
    took      6.5 s: lock 412 ms,
              fetch 2.6 s, layers 3.1 s
    ");
}

#[test]
fn a_build_of_nothing_has_a_table_too() {
    let mut built = built();
    built.layers.clear();
    built.left_out.clear();
    built.timings.clear();
    built.outputs.clear();
    insta::assert_snapshot!(closing(&built, Duration::from_millis(12), 80, Paint::Plain), @r"
    layer  entries  size  compressed
    total        0   0 B         0 B
    runs      python -m 'my app' --port=8000 (the project's only script)
    proof     2 of 2 checks
    took      12 ms
    ");
}

#[test]
fn colours_change_no_column() {
    let mut plain = String::new();
    let mut escaped = false;
    for character in closing(&built(), Duration::from_millis(6_543), 60, Paint::Colored).chars() {
        match character {
            '\u{1b}' => escaped = true,
            'm' if escaped => escaped = false,
            _ if escaped => {}
            character => plain.push(character),
        }
    }
    assert_eq!(plain, closing(&built(), Duration::from_millis(6_543), 60, Paint::Plain));
}

#[test]
fn images_are_listed_under_titles() {
    let image = |name: &str, size| ImageLine {
        name: name.to_owned(),
        digest: Digest::of(name.as_bytes()),
        size,
        layers: 4,
        platform: "linux/amd64".to_owned(),
    };
    let list = [image("data-science:latest", 158_000_000), image("hello:1.0", 27_300_000)];
    insta::assert_snapshot!(images(&list, usize::MAX, Paint::Plain).join("\n"), @r"
    name                 digest        platform     layers      size
    data-science:latest  4d237ece3765  linux/amd64       4  158.0 MB
    hello:1.0            b5809af22391  linux/amd64       4   27.3 MB
    ");
}
