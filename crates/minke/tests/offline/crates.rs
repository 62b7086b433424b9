//! What is written in Rust: its crates are fetched outside as they are locked, and found inside.

use insta::assert_snapshot;
use minke_testkit::{Crate, Index, Sdist, TarEntry, Wheel, crate_registry};

use crate::sources::{Shop, modules, sdist, shop};

/// A registry that no machine has, in whose place another is put.
const REGISTRY: &str = "registry+https://host.test/x/toy.test-index";

/// A source distribution that asks for maturin, with these crates in its lock; its backend runs some Python.
fn rusty(crates: &[Crate], code: &str) -> Sdist {
    let lock: String = crates.iter().map(|krate| krate.locked(REGISTRY)).collect();
    sdist("toy-raw", &["maturin>=1,<2"], "")
        .file("Cargo.toml", "[package]\nname = \"raw\"\n\n[dependencies]\ntoy-lib = \"1\"\n")
        .file("Cargo.lock", format!("version = 4\n\n{lock}"))
        .file("imports", code)
}

fn founded(sdist: &Sdist) -> Option<Shop> {
    let maturin = Wheel::new("maturin", "1.0").file("maturin.py", "");
    shop(Index::new().sdist(sdist).wheel(&maturin), "toy-raw\n")
}

/// Puts a registry in the place of the one that locks name, as a user of cargo's would.
fn configure(shop: &Shop, registry: &minke_testkit::Server) {
    let index = registry.url_of("/index/");
    let text = format!(
        "[source.toy-test]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+{index}\"\n"
    );
    shop.town.write("home/.cargo/config.toml", text);
}

#[test]
fn crates_are_fetched_once_and_found_in_the_room() {
    let library = Crate::new("toy-lib", "1.2.3").file("src/lib.rs", "// a library\n");
    let other = Crate::new("toy-windows", "0.1.0");
    let code = r#"
import json, os
home = pathlib.Path(os.environ["CARGO_HOME"])
assert (os.environ["CARGO_NET_OFFLINE"], pathlib.Path("/usr/bin/cargo").exists()) == ("true", True)
assert '[source."toy-test"]\nreplace-with = "minke"' in (home / "config.toml").read_text()
assert sorted(path.name for path in (home / "vendor").iterdir()) == ["toy-lib-1.2.3", "toy-windows-0.1.0"]
assert (home / "vendor/toy-lib-1.2.3/src/lib.rs").read_text() == "// a library\n"
assert len(json.loads((home / "vendor/toy-lib-1.2.3/.cargo-checksum.json").read_text())["package"]) == 64
(home / "written").write_text("")
"#;
    let crates = [library, other];
    let registry = crate_registry(&crates);
    let Some(shop) = founded(&rusty(&crates, code)) else { return };
    configure(&shop, &registry);
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    let counts: Vec<_> =
        registry.counts().into_iter().map(|(path, count)| format!("{count} {path}")).collect();
    assert_snapshot!(counts.join("\n"), @r"
        1 /files/toy-lib/1.2.3/download
        1 /files/toy-windows/0.1.0/download
        1 /index/config.json
    ");
    // Another wheel of the same crates: the registry isn't even asked where they are.
    registry.forget();
    shop.town.write("shop/minke.toml", "[build.toy-raw.env]\nANOTHER = \"1\"\n");
    shop.builds(&[]).unwrap();
    assert_eq!(registry.log().len(), 0);
    let lock = std::fs::read_to_string(shop.town.path("shop/minke.lock")).unwrap();
    let (_, recipe) = lock.split_once("[[sources]]").expect("a recipe was kept");
    let words: Vec<&str> = recipe.lines().filter(|line| !line.starts_with("sha256")).collect();
    assert_snapshot!(words.join("\n"), @r#"
        name = "toy_raw-1.0.tar.gz"
        for = "Python 3.11.2 on x86_64 with glibc 2.36"
        system = { "cargo" = ["the program `cargo`"] }
        tools = "compilers"
    "#);
}

#[test]
fn a_crate_that_is_not_as_it_is_locked_is_refused() {
    let honest = Crate::new("toy-lib", "1.2.3");
    let registry = crate_registry(&[honest.clone().file("build.rs", "fn main() {}")]);
    let Some(shop) = founded(&rusty(&[honest], "")) else { return };
    configure(&shop, &registry);
    let Some(ran) = shop.build(&[]) else { return };
    let seen = ran.seen().replace(&registry.host(), "HOST");
    assert_snapshot!(seen, @r"
        status: 5
        stderr: error: cannot build what has no wheel
          because: cannot get the crates that `toy_raw-1.0.tar.gz` is built with
          because: cannot fetch the crate toy-lib 1.2.3
          because: http://HOST/files/toy-lib/1.2.3/download is a different file than was expected (expected sha256:f651c9526cd8b597c5fdffe0558483953b614f48c3d37857d132a4b89085f9a6, got sha256:6f341ac34439a2739c8d4ed8031ebd9b70e75120a31c7eacf645fc8c3505b98b)
          help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
}

#[test]
fn a_hostile_crate_is_refused() {
    let outside = TarEntry::symlink("toy-lib-1.2.3/passwd", "../../../etc/passwd");
    let hostile = [Crate::new("toy-lib", "1.2.3").raw_tar_entry(outside)];
    let registry = crate_registry(&hostile);
    let Some(shop) = founded(&rusty(&hostile, "")) else { return };
    configure(&shop, &registry);
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot get the crates that `toy_raw-1.0.tar.gz` is built with
          because: cannot unpack the crate toy-lib 1.2.3
          because: its link `/toy-lib-1.2.3/passwd` leads to `../../../etc/passwd`, which is outside or no file of it
          help: minke refuses archives that are not as packers make them; make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    ");
}

#[test]
fn crates_that_nobody_pins_are_not_chosen() {
    let sdist = sdist("toy-raw", &["maturin"], "").file("Cargo.toml", "[dependencies]\ntoy-lib = \"1\"\n");
    let Some(shop) = founded(&sdist) else { return };
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot get the crates that `toy_raw-1.0.tar.gz` is built with
          because: its `Cargo.toml` asks for crates, and no `Cargo.lock` pins them
          help: minke doesn't choose crates: choose a version whose sources have a `Cargo.lock`, or make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    ");
}

#[test]
fn a_newer_rust_is_taken_where_the_suite_has_one() {
    let code = r#"
has = pathlib.Path("/usr/bin/cargo").read_text()
if not has.startswith(NEEDED):
    raise SystemExit(f"error: rustc {has} is not supported by the following packages:")
"#;
    let newer = rusty(&[], &code.replace("NEEDED", "'1.85'"));
    let Some(shop) = founded(&newer) else { return };
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    let newest = rusty(&[], &code.replace("NEEDED", "'1.99'"));
    let Some(shop) = founded(&newest) else { return };
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r#"
        status: 3
        stderr: error: cannot build what has no wheel
          because: `toy_raw-1.0.tar.gz` needs a newer Rust than the suite's cargo-web 1.85.0+dfsg3-1
          because: cannot build `toy_raw-1.0.tar.gz`, not even with cargo-web (a newer Rust than that of `cargo`)
          because: the build backend `backend` failed with exit code 1:
                   error: rustc 1.85.0+dfsg3-1 is not supported by the following packages:
          help: choose a newer suite with `base`, as in `base = "forky"`, or an older version of it; or make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    "#);
}
