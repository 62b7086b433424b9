//! What building takes is found out: guessed from the sources, read from what a build says, added where it was left out.

use insta::assert_snapshot;
use minke_testkit::{ElfObject, Index, Sdist, Wheel, skip};

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
fn a_program_that_the_build_asks_without_a_word_is_there_at_the_second_try() {
    let code = r#"
if pathlib.Path("/usr/bin/toyhorn-config").exists():
    EXTRA["toy_raw_fast.so"] = pathlib.Path("module").read_bytes()
"#;
    let module = ElfObject::new().needed("libc.so.6").defines("PyInit_toy_raw_fast").build();
    let asking = compiled(code).file("module", module).file("setup.py", "spawn('toyhorn-config --libs')\n");
    let Some(shop) = founded(&asking) else { return };
    let Some(story) = story(&shop) else { return };
    assert_snapshot!(story, @r#"
        note: `toy_raw-1.0.tar.gz` left something out: it is built again with libtoyhorn-dev (the program `toyhorn-config`), to compare
        system = { "libtoyhorn-dev" = ["the program `toyhorn-config`"] }
    "#);
}

#[test]
fn what_is_too_old_for_its_build_system_is_built_with_that_of_its_time() {
    let tool = |version| Wheel::new("toy-tool", version).file("toy_tool.py", format!("MAJOR = {version}\n"));
    let code = "import toy_tool\nif toy_tool.MAJOR > 1.0: raise SystemExit('toy_tool has no whistle')\n";
    let raw = || sdist("toy-raw", &["toy-tool"], "").file("imports", code);
    let index = |published: &str| {
        let tools = Index::new().wheel(&tool("1.0")).uploaded("2020-01-01T00:00:00Z");
        let tools = tools.wheel(&tool("2.0")).uploaded("2021-01-01T00:00:00Z");
        tools.sdist(&raw()).uploaded(published)
    };
    let Some(of_then) = shop(index("2020-06-01T00:00:00Z"), "toy-raw\n") else { return };
    let Some(told) = story(&of_then) else { return };
    assert_snapshot!(told, @r"
        note: `toy_raw-1.0.tar.gz` is built again with what it needed when it was published: toy-tool==1.0
        system: none
    ");
    let lock = std::fs::read_to_string(of_then.town.path("shop/minke.lock")).unwrap();
    let requires = lock.lines().find(|line| line.starts_with("requires = {"));
    assert_snapshot!(requires.unwrap(), @r#"requires = { "toy-tool==1.0" = ["the newest one when this was published"] }"#);
    // What is of now has nothing older.
    let of_now = shop(index("2022-01-01T00:00:00Z"), "toy-raw\n").unwrap();
    let ran = of_now.build(&[]).unwrap();
    assert!(!ran.stderr.contains("published"), "{}", ran.stderr);
    assert_eq!(ran.status, 3);
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
