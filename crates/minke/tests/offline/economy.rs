//! Nothing is fetched that isn't needed, and nothing twice.

use std::collections::BTreeMap;

use minke_testkit::Wheel;

use crate::plain::wheels;
use crate::town::Town;

/// What is asked for where everything else is in the cache.
const SIGNED_LISTS: [&str; 3] = [
    "/debian/dists/bookworm-updates/InRelease",
    "/debian/dists/bookworm/InRelease",
    "/security/dists/bookworm-security/InRelease",
];

fn once<'path>(paths: impl IntoIterator<Item = &'path str>) -> BTreeMap<String, usize> {
    paths.into_iter().map(|path| (path.to_owned(), 1)).collect()
}

#[test]
fn a_build_fetches_everything_once_and_the_next_one_nothing() {
    let wheels = wheels();
    let Some(town) = Town::without_cache(&wheels) else { return };
    town.project("shop", &wheels);
    let first = town.builds(&["shop"]);
    let twice: Vec<_> = town.archive.counts().into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(twice, []);
    let files = wheels.each_ref().map(|wheel| format!("/files/{}", wheel.file_name()));
    assert_eq!(town.index.counts(), once(files.iter().map(String::as_str)));
    let counts = town.archive.counts();
    let kinds: BTreeMap<&str, usize> = counts.keys().fold(BTreeMap::new(), |mut kinds, path| {
        let kind = path.rsplit(['/', '.']).next().unwrap();
        *kinds.entry(if path.contains("/by-hash/") { "index" } else { kind }).or_default() += 1;
        kinds
    });
    // Two of the three suites have the same index: an empty one.
    assert_eq!((kinds["InRelease"], kinds["index"], kinds.len()), (3, 2, 3), "{kinds:?}");

    let again = |arguments: &[&str], lists: &[&str]| {
        town.archive.forget();
        town.index.forget();
        let built = town.builds(arguments);
        assert_eq!(town.archive.counts(), once(lists.iter().copied()), "{arguments:?}");
        assert_eq!(town.index.counts(), once([]), "{arguments:?}");
        built
    };
    assert_eq!(again(&["shop"], &[]), first);
    town.succeeds(&["rmi", "shop"]);
    assert_eq!(again(&["shop"], &[]), first);
    again(&["shop", "--compression", "none"], &[]);
    town.project("stall", &wheels[1..]);
    // A project without a lock asks what there is today.
    again(&["stall"], &SIGNED_LISTS);
    again(&["stall"], &[]);
}

#[test]
fn what_does_not_apply_is_not_fetched() {
    let other_platform = Wheel::new("toy-native", "1").tag("cp311-cp311-win_amd64");
    let older_python = Wheel::new("toy-native", "1").tag("cp310-cp310-manylinux_2_17_x86_64");
    let newer_libc = Wheel::new("toy-native", "1").tag("cp311-cp311-manylinux_2_99_x86_64");
    let good =
        Wheel::new("toy-native", "1").tag("cp311-cp311-manylinux_2_28_x86_64").file("toy_native.py", "");
    let better =
        Wheel::new("toy-native", "1").tag("cp311-cp311-manylinux_2_34_x86_64").file("toy_native.py", "#");
    let marked = Wheel::new("toy-windows", "1");
    let all = [other_platform, older_python, newer_libc, good, better, marked];
    let Some(town) = Town::with(&all) else { return };
    // One package with five wheels, and one that a marker rules out.
    let lock = town.lock(&all);
    let mut parts = lock.split("\n[[packages]]\n");
    let head = parts.next().unwrap();
    let mut native = String::new();
    for part in parts.clone().take(5) {
        let (name, wheel) = part.split_once("\n[[packages.wheels]]").unwrap();
        if native.is_empty() {
            native.push_str(name);
        }
        native.push_str(&format!("\n[[packages.wheels]]{wheel}"));
    }
    let windows =
        parts.nth(5).unwrap().replace("version =", "marker = \"sys_platform == 'win32'\"\nversion =");
    town.write("shop/main.py", "");
    town.write("shop/pylock.toml", format!("{head}\n[[packages]]\n{native}\n[[packages]]\n{windows}"));
    town.builds(&["shop"]);
    assert_eq!(town.index.counts(), once(["/files/toy_native-1-cp311-cp311-manylinux_2_34_x86_64.whl"]));
}

#[test]
fn two_builds_at_once_share_a_cache() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.project("stall", &wheels);
    let mut children = Vec::new();
    for name in ["shop", "stall", "shop", "stall"] {
        children.push(
            town.command(&["build", "--quiet", name, "--system-package", "toy-tool", "-t", "same"])
                .spawn()
                .unwrap(),
        );
    }
    let ran: Vec<_> = children.into_iter().map(|child| town.finish(child)).collect();
    let first = ran[0].seen();
    assert!(first.starts_with("status: 0\nstdout: same@sha256:"), "{first}");
    assert_eq!(ran.iter().map(|ran| ran.seen()).collect::<Vec<_>>(), vec![first; 4]);
}
