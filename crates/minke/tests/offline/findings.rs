//! What building takes is found out: guessed from the sources, read from what a build says, added where it was left out.

use insta::assert_snapshot;
use minke_testkit::{ElfObject, Index, Sdist, skip};

use crate::sources::{Shop, sdist, shop};

/// A backend's lines that add an extension module where a header is, and say what is missing where it isn't.
const OPTIONAL: &str = r#"
import sys
if pathlib.Path("/usr/include/toyhorn.h").exists():
    EXTRA["toy_raw_fast.so"] = pathlib.Path("module").read_bytes()
else:
    print("src/fast.c:1:10: fatal error: toyhorn.h: No such file or directory", file=sys.stderr)
"#;

/// A source distribution in C whose backend runs some Python.
fn compiled(code: &str) -> Sdist {
    sdist("toy-raw", &[], "").file("src/slow.c", "").file("imports", code)
}

fn founded(sdist: &Sdist) -> Option<Shop> {
    shop(Index::new().sdist(sdist), "toy-raw\n")
}

/// What the lock says of how it was built, and the notes that say that it was built again.
fn story(shop: &Shop) -> Option<String> {
    let ran = shop.town.finish(shop.minke(&["build", "shop"]).spawn().expect("minke starts"));
    if ran.stderr.contains("without a sealed room") {
        skip("this machine seals no rooms");
        return None;
    }
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lock = std::fs::read_to_string(shop.town.path("shop/minke.lock")).unwrap();
    let (_, recipe) = lock.split_once("[[sources]]").expect("a recipe was kept");
    let system = recipe.lines().find(|line| line.starts_with("system")).unwrap_or("system: none");
    let again = ran.stderr.lines().filter(|line| line.contains("built again"));
    Some(again.chain([system]).map(|line| line.trim_start().to_owned() + "\n").collect())
}

#[test]
fn what_a_build_left_out_for_want_of_a_header_is_built_again_with_it() {
    let module = ElfObject::new().needed("libc.so.6").defines("PyInit_toy_raw_fast").build();
    let Some(shop) = founded(&compiled(OPTIONAL).file("module", module)) else { return };
    let Some(story) = story(&shop) else { return };
    assert_snapshot!(story, @r#"
        note: `toy_raw-1.0.tar.gz` left something out: it is built again with libtoyhorn-dev (the header `toyhorn.h`), to compare
        system = { "libtoyhorn-dev" = ["the header `toyhorn.h`"] }
    "#);
}

#[test]
fn what_is_missed_and_brings_nothing_is_left_out() {
    let code = r#"
import sys
print("x.c:1:10: fatal error: toyhorn.h: No such file or directory", file=sys.stderr)
"#;
    let Some(shop) = founded(&compiled(code)) else { return };
    let Some(told) = story(&shop) else { return };
    assert_snapshot!(told, @r"
        note: `toy_raw-1.0.tar.gz` left something out: it is built again with libtoyhorn-dev (the header `toyhorn.h`), to compare
        system: none
    ");
    // It is known now, and not tried again.
    shop.town.write("shop/more.py", "");
    assert_snapshot!(story(&shop).unwrap(), @"system: none");
}

#[test]
fn a_better_wheel_that_cannot_be_built_leaves_the_first_one() {
    let code = r#"
import sys
if pathlib.Path("/usr/include/toyhorn.h").exists():
    sys.exit("toyhorn.h is too old")
print("x.c:1:10: fatal error: toyhorn.h: No such file or directory", file=sys.stderr)
"#;
    let Some(shop) = founded(&compiled(code)) else { return };
    let Some(told) = story(&shop) else { return };
    assert_snapshot!(told, @r"
        note: `toy_raw-1.0.tar.gz` left something out: it is built again with libtoyhorn-dev (the header `toyhorn.h`), to compare
        system: none
    ");
}

#[test]
fn what_sources_include_and_are_linked_with_is_there_at_the_first_try() {
    let code = r#"
if not pathlib.Path("/usr/include/toyhorn.h").exists():
    raise SystemExit("x.c:1:10: fatal error: toyhorn.h: No such file or directory")
"#;
    let including = compiled(code).file("src/horn.c", "#include <toyhorn.h>\n");
    let Some(shop) = founded(&including) else { return };
    let Some(told) = story(&shop) else { return };
    assert_snapshot!(told, @r#"system = { "libtoyhorn-dev" = ["the header `toyhorn.h`"] }"#);
    let linked = compiled(code).file("setup.py", "Extension('x', ['src/slow.c'], libraries=['toyhorn'])\n");
    let shop = founded(&linked).unwrap();
    assert_snapshot!(story(&shop).unwrap(), @r#"system = { "libtoyhorn-dev" = ["the library `-ltoyhorn`"] }"#);
}

#[test]
fn a_guess_that_does_harm_is_taken_back() {
    let code = r#"
if pathlib.Path("/usr/include/toyhorn.h").exists():
    raise SystemExit("this horn is out of tune")
"#;
    let including = compiled(code).file("src/horn.c", "#include <toyhorn.h>\n");
    let Some(shop) = founded(&including) else { return };
    let Some(told) = story(&shop) else { return };
    assert_snapshot!(told, @r"
        note: `toy_raw-1.0.tar.gz` is built again without what was guessed
        system: none
    ");
}
