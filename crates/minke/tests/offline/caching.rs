//! `minke cache`, caches that cannot be written, and caches above others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::skip;
use serde_json::Value;

use crate::plain::wheels;
use crate::town::{Town, User};

/// What `minke cache verify` dropped.
pub(crate) fn dropped(town: &Town) -> Vec<Value> {
    let ran = town.minke(&["cache", "verify", "--quiet", "--json"]);
    assert!(ran.status <= 1, "{}", ran.seen());
    let said: Value = serde_json::from_str(&ran.stdout).expect("it says one object");
    let dropped = said["dropped"].as_array().expect("a list").clone();
    assert_eq!(ran.status == 1, !dropped.is_empty(), "{}", ran.seen());
    dropped
}

fn kinds(town: &Town) -> Vec<String> {
    let said: Value = serde_json::from_str(&town.succeeds(&["cache", "--json"]).stdout).expect("JSON");
    said["kinds"].as_object().expect("an object").keys().cloned().collect()
}

/// The first blob of a cache that is as large as a layer.
fn a_layer(cache: &Path) -> PathBuf {
    let shards = fs::read_dir(cache.join("v2/blobs")).unwrap().flatten();
    let blobs = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    let largest = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    largest.path()
}

#[test]
fn what_is_damaged_is_dropped_and_made_again() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let first = town.builds(&["shop"]);
    assert_eq!(dropped(&town), Vec::<Value>::new());
    let blob = a_layer(&town.path("cache"));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    // Other towns may share the file.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let told = town.minke(&["cache", "verify"]);
    assert_eq!(told.status, 1);
    assert!(
        told.stdout.contains("dropped the name `shop:latest`: its image is not whole\n"),
        "{}",
        told.seen()
    );
    assert_eq!(dropped(&town), Vec::<Value>::new());
    assert_eq!(town.succeeds(&["images", "-q"]).stdout, "");
    assert_eq!(town.builds(&["shop"]), first);
}

#[test]
fn images_outlive_what_they_were_made_of() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let first = town.builds(&["shop", "-o", "oci-archive:first.tar"]);
    assert_eq!(kinds(&town), ["blobs", "names", "notes", "packs", "results", "rooms"]);
    town.succeeds(&["cache", "gc", "--max-size", "0"]);
    assert_eq!(kinds(&town), ["blobs", "names"]);
    assert_runs(&town, &[]);
    assert_eq!(town.builds(&["shop", "-o", "oci-archive:second.tar"]), first);
    assert!(fs::read(town.path("first.tar")).unwrap() == fs::read(town.path("second.tar")).unwrap());
    assert_eq!(dropped(&town), Vec::<Value>::new());
    assert_snapshot!(town.succeeds(&["cache", "gc"]).stdout.split(';').next().unwrap(), @"nothing to drop");
    town.succeeds(&["cache", "clean", "--all"]);
    assert_eq!(kinds(&town), Vec::<String>::new());
    assert_eq!(town.builds(&["shop"]), first);
}

#[test]
fn the_place_of_the_cache_is_told_without_making_one() {
    let Some(town) = Town::without_cache(&[]) else { return };
    assert_snapshot!(town.redacted(&town.succeeds(&["cache", "dir"]).stdout), @"TOWN/cache");
    assert!(!town.path("cache").exists());
}

#[test]
fn a_cache_of_a_newer_version_is_refused() {
    let Some(town) = Town::without_cache(&[]) else { return };
    fs::create_dir_all(town.path("cache/v9")).unwrap();
    assert_snapshot!(town.minke(&["images"]).seen(), @r"
        status: 1
        stderr: error: cannot open the cache
          because: the cache in `TOWN/cache` is of format 9; this minke knows formats up to 2
          help: use the minke that made it; `--cache-dir` or MINKE_CACHE choose another place
    ");
}

#[test]
fn a_cache_that_cannot_be_written_serves_as_far_as_it_goes() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can have a cache that another user may not write");
    }
    let wheels = wheels();
    let Some(mut town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.project("stall", &wheels[1..]);
    let first = town.builds(&["shop"]);
    town.hand_over();
    let owned = Command::new("chown").args(["-R", "0:0"]).arg(town.path("cache")).status().unwrap();
    assert!(owned.success());
    assert_eq!(town.builds(&["shop", "-o", "oci:layout"]), first);
    assert!(town.path("layout/index.json").is_file());
    assert_eq!(town.succeeds(&["images", "-q"]).stdout, "shop:latest\n");
    assert_snapshot!(town.minke(&["build", "-q", "stall"]).seen(), @r"
        status: 1
        stderr: error: cannot write the layer of rest
          because: the layer's parts cannot be read or kept
          because: the cache in `TOWN/cache/v2` is read-only and has not got all that is needed
          help: choose a place that can be written with `--cache-dir` or MINKE_CACHE, and name this one in MINKE_CACHE_ALSO
    ");
    // With a place of one's own above it, all is well.
    let also = town.path("cache");
    let mut command = town.command(&["build", "-q", "stall"]);
    command.env("MINKE_CACHE", town.path("own")).env("MINKE_CACHE_ALSO", &also);
    assert_eq!(town.finish(command.spawn().unwrap()).status, 0);
}

#[test]
fn what_a_cache_below_has_is_neither_fetched_nor_made() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let first = town.builds(&["shop"]);
    town.index.forget();
    town.archive.forget();
    town.write("shop/minke.toml", "cache = { also = ['../cache', '/no/such/cache'] }\n");
    let own = town.path("own");
    let own = own.to_str().unwrap();
    let ran = town.succeeds(&["build", "shop", "--cache-dir", own]);
    assert_eq!(ran.stdout.trim_end(), first);
    assert!(
        ran.stderr.contains("note: there is no cache in `/no/such/cache`; going on without\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(town.index.counts().len(), 0);
    assert!(
        town.archive.counts().keys().all(|path| path.ends_with("InRelease")),
        "{:?}",
        town.archive.counts()
    );
    assert!(!town.path("own/v2/packs").read_dir().unwrap().any(|_| true), "nothing was unpacked");
    // The image is the own cache's, whatever becomes of the one below.
    fs::remove_dir_all(town.path("cache")).unwrap();
    assert_runs(&town, &["--cache-dir", own]);
}

/// The image that was built can be run, where containers can be made at all.
fn assert_runs(town: &Town, arguments: &[&str]) {
    if !User::Myself.can_make_containers() {
        return skip("this machine lets nobody make containers");
    }
    assert_eq!(town.minke(&[&["run"], arguments, &["shop"]].concat()).seen(), "status: 0\nstdout: hello\n");
}
