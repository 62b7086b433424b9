//! Builds that are killed at any moment: the next one is right, the cache is whole, and nothing else has changed.
//!
//! Which moments is decided by a seed. `MINKE_KILLS` says how many (48 where it isn't set), `MINKE_KILL_SEED` which;
//! the figures of a long run stand in `docs/design/store.md`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use minke_testkit::Wheel;

use crate::caching::dropped;
use crate::debs::TOOL;
use crate::plain::wheels;
use crate::town::Town;

const BUILD: &[&str] =
    &["build", "--quiet", "shop", "--system-package", TOOL, "-o", "oci-archive:out/shop.tar"];

/// Numbers that are the same for the same seed.
///
/// Spec: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>
struct Dice(u64);

impl Dice {
    /// A number from 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}

/// What a build starts with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cache {
    /// Nothing.
    Fresh,
    /// The base's packages.
    Warm,
}

impl Cache {
    fn lay(self, town: &Town) {
        let cache = town.path("cache");
        let _ = fs::remove_dir_all(&cache);
        if self == Self::Warm {
            town.warm_cache();
        }
        fs::remove_dir_all(town.path("out")).and_then(|()| fs::create_dir(town.path("out"))).unwrap();
    }
}

/// The lock that a build writes into a project without one.
const LOCK: &str = "shop/minke.lock";

/// All files of the town but those of the cache, the output and the lock: their content, and when they were changed.
fn outside(town: &Town) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![town.path("")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            if [town.path("cache"), town.path("out"), town.path(LOCK)].contains(&path) {
                continue;
            }
            if metadata.is_dir() {
                pending.push(path.clone());
            }
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            // The project's own directory changes when a lock comes into it.
            let changed = if metadata.is_dir() { 0 } else { metadata.mtime_nsec() };
            found.insert(path, (content, changed));
        }
    }
    found
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// How long an undisturbed build takes, and what comes of it.
fn undisturbed(town: &Town, cache: Cache) -> (Duration, String, Vec<u8>) {
    cache.lay(town);
    let began = Instant::now();
    let built = town.builds(&BUILD[2..]);
    (began.elapsed(), built, fs::read(town.path("out/shop.tar")).unwrap())
}

#[test]
fn a_build_after_a_killed_one_is_as_if_nothing_had_been() {
    let mut wheels = wheels().to_vec();
    wheels.push(Wheel::new("toy-large", "1").file("toy_large.py", "X = [1, 2]\n".repeat(20_000)));
    let Some(town) = Town::without_cache(&wheels) else { return };
    town.project("shop", &wheels);
    fs::create_dir(town.path("out")).unwrap();
    let expected: BTreeMap<_, _> =
        [Cache::Fresh, Cache::Warm].map(|cache| (cache, undisturbed(&town, cache))).into();
    assert_eq!(expected[&Cache::Fresh].1, expected[&Cache::Warm].1);
    let (before, lock) = (outside(&town), fs::read(town.path(LOCK)).unwrap());
    let (count, seed) = (number("MINKE_KILLS", 48), number("MINKE_KILL_SEED", 1));
    let (mut dice, mut killed) = (Dice(seed), BTreeMap::from([(Cache::Fresh, 0), (Cache::Warm, 0)]));
    for round in 0..count {
        // Fresh builds take several times as long.
        let cache = if round % 8 == 0 { Cache::Fresh } else { Cache::Warm };
        let (took, built, archive) = &expected[&cache];
        cache.lay(&town);
        if round % 2 == 0 {
            fs::remove_file(town.path(LOCK)).unwrap();
        }
        let patience = took.mul_f64(dice.roll());
        let mut child = town.command(BUILD).spawn().expect("minke starts");
        sleep(patience);
        // It may be faster than it was at first.
        let _ = child.kill();
        let status = town.finish(child).status;
        *killed.get_mut(&cache).unwrap() += usize::from(status == 137);
        let told = format!("round {round} of seed {seed}: {cache:?}, killed after {patience:?}");
        assert!([0, 137].contains(&status), "{told}: {status}");
        assert!(outside(&town) == before, "{told}: something outside has changed");
        assert_eq!(dropped(&town), Vec::<serde_json::Value>::new(), "{told}");
        assert_eq!(town.builds(&BUILD[2..]), *built, "{told}");
        assert!(fs::read(town.path("out/shop.tar")).unwrap() == *archive, "{told}: another archive");
        assert_eq!(dropped(&town), Vec::<serde_json::Value>::new(), "{told}");
        assert_eq!(unfinished(&town), 0, "{told}: unfinished work is left");
        assert!(outside(&town) == before, "{told}: something outside has changed");
        assert!(fs::read(town.path(LOCK)).unwrap() == lock, "{told}: another lock");
        if round % 50 == 49 {
            println!("{} of {count} builds killed", round + 1);
        }
    }
    let times: Vec<_> = expected.iter().map(|(cache, (took, ..))| format!("{cache:?} {took:.1?}")).collect();
    println!("{count} builds of seed {seed}, undisturbed {}: killed {killed:?}", times.join(", "));
}

/// How many processes have left unfinished work; one that died before it had begun with any is no matter.
fn unfinished(town: &Town) -> usize {
    let left = fs::read_dir(town.path("cache/v2/scratch")).unwrap().flatten();
    left.filter(|entry| entry.path().join("lock").exists()).count()
}
