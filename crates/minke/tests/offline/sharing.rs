//! Many builds at once share one cache: all are right, and nothing is fetched twice.

use std::collections::BTreeMap;

use minke_testkit::Wheel;

use crate::caching::dropped;
use crate::plain::wheels;
use crate::town::Town;

/// Projects that have some wheels in common.
fn projects(town: &Town, wheels: &[Wheel]) -> [&'static str; 4] {
    town.project("shop", wheels);
    town.project("stall", &wheels[1..]);
    town.project("fair", &wheels[..wheels.len() - 1]);
    town.project("empty", &[]);
    ["shop", "stall", "fair", "empty"]
}

#[test]
fn eight_builds_at_once_fetch_each_file_once_and_are_all_right() {
    let mut wheels = wheels().to_vec();
    wheels.push(Wheel::new("toy-large", "1").file("toy_large.py", "X = 1\n".repeat(100_000)));
    let Some(town) = Town::without_cache(&wheels) else { return };
    let names = projects(&town, &wheels);
    let children: Vec<_> = (0..8)
        .map(|number| town.command(&["build", "--quiet", names[number % 4]]).spawn().expect("minke starts"))
        .collect();
    let built: Vec<_> = children.into_iter().map(|child| town.finish(child)).collect();
    let seen: Vec<_> = built.iter().map(|ran| (ran.status, ran.stderr.as_str())).collect();
    assert_eq!(seen, [(0, ""); 8]);
    let counts: BTreeMap<_, _> = town.archive.counts().into_iter().chain(town.index.counts()).collect();
    let twice: Vec<_> =
        counts.iter().filter(|(path, count)| !path.ends_with("InRelease") && **count > 1).collect();
    assert_eq!(twice, []);
    assert_eq!(dropped(&town), Vec::<serde_json::Value>::new());

    let other = Town::with(&wheels).expect("there was a town before");
    projects(&other, &wheels);
    for (number, ran) in built.iter().enumerate() {
        // The locks name the index's own address, which no image does.
        assert_eq!(ran.stdout.trim_end(), other.builds(&[names[number % 4]]));
    }
}
