//! Caches that were damaged from outside: whatever is missing or cut short, no wrong image comes of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plain::wheels;
use crate::town::{Ran, Town};

/// Builds, does something to the cache, and builds again: both references, or what was said the second time.
fn after(damage: impl Fn(&Path)) -> Option<(String, Ran)> {
    let wheels = wheels();
    let town = Town::with(&wheels)?;
    town.project("shop", &wheels);
    let first = town.builds(&["shop"]);
    damage(&town.path("cache/v2"));
    let second = town.minke(&["build", "--quiet", "shop", "-o", "oci:layout"]);
    if second.status == 0 {
        // Whatever it took from the cache must be whole.
        crate::image::Layout::read(&town.path("layout"), None).assert_lawful();
    }
    Some((first, second))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of the cache").flatten();
    let below = entries.flat_map(|entry| match entry.file_type().expect("an entry has a type") {
        kind if kind.is_dir() => files(&entry.path()),
        _ => vec![entry.path()],
    });
    below.collect()
}

/// Replaces a file, whose name other caches may share, with the first half of it.
fn cut(path: &Path) {
    let bytes = fs::read(path).expect("a file of the cache");
    fs::remove_file(path).expect("it can be removed");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written");
}

#[test]
fn results_that_are_missing_or_cut_short_are_made_again() {
    for directory in ["rooms", "names"] {
        let missing = after(|cache| fs::remove_dir_all(cache.join(directory)).expect("it is there"));
        let Some((first, second)) = missing else { return };
        assert_eq!(
            (second.stderr.as_str(), second.stdout.trim_end()),
            ("", first.as_str()),
            "no {directory}"
        );
    }
    let cut = after(|cache| files(&cache.join("memo")).iter().for_each(|path| cut(path)));
    let Some((first, second)) = cut else { return };
    assert_eq!((second.stderr.as_str(), second.stdout.trim_end()), ("", first.as_str()), "memo cut short");
}

#[test]
fn bytes_that_are_missing_or_cut_short_are_never_taken() {
    for directory in ["blobs", "packs"] {
        let missing = after(|cache| fs::remove_dir_all(cache.join(directory)).expect("it is there"));
        let cut = after(|cache| files(&cache.join(directory)).iter().for_each(|path| cut(path)));
        for (first, second) in [missing, cut].into_iter().flatten() {
            let made_again = second.status == 0 && second.stdout.trim_end() == first;
            let told = second.status == 1 && second.stderr.starts_with("error: cannot ");
            assert!(made_again || told, "{directory}: {}", second.seen());
        }
    }
}
