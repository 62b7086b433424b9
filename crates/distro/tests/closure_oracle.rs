//! Closures compared with apt's, on a real archive: this machine's own mirror, asked for trixie.
//!
//! apt-get and this room read the same index files; apt's only simulates, with nothing installed and nothing
//! recommended, in a directory of its own. Every difference stands in a table with its reason. Skipped, and says
//! so, where there is no apt-get, apt's sources name no Debian mirror or it cannot be reached.

#[path = "closure_oracle/apt.rs"]
mod apt;
#[path = "closure_oracle/differences.rs"]
mod differences;

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::Digest;
use minke_distro::{
    AnyOf, Arch, Closure, ClosureError, ClosureOptions, Compression, PackageIndex, PackageName, Suite,
    closure, setup,
};

use apt::{Apt, Mirror};
use differences::{DIFFERENCES, Difference};

/// The suite that is asked for.
const SUITE: &str = "trixie";

/// What decides which packages are drawn.
const SEED: &str = "minke";

/// How many are drawn.
const DRAWN: usize = 200;

/// Packages that are compared besides: the largest closures, and those that projects ask for.
const NAMED: [&str; 4] = ["build-essential", "ffmpeg", "libopencv-dev", "graphviz"];

fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// Reads the index that apt reads too.
fn read() -> Result<(Mirror, PackageIndex), &'static str> {
    let suite: Suite = SUITE.parse().expect("a suite's name");
    let mirror = Mirror::copy(&suite)?;
    let mut index = PackageIndex::new(Arch::Amd64);
    for copied in &mirror.archives {
        let added = index.add(&copied.archive, Compression::None, copied.packages.as_bytes());
        added.expect("the archive's index is right");
    }
    Ok((mirror, index))
}

/// Draws packages: those whose names hash lowest with the seed, so that a new package moves few.
fn drawn(index: &PackageIndex) -> BTreeSet<PackageName> {
    let by_hash: BTreeMap<Digest, &str> =
        index.names().map(|name| (Digest::of(format!("{SEED}/{name}").as_bytes()), name)).collect();
    let names = by_hash.into_values().take(DRAWN).chain(NAMED);
    names.map(|name| name.parse().expect("an index has packages' names")).collect()
}

fn names(closure: &Closure) -> BTreeSet<String> {
    closure.packages.keys().map(ToString::to_string).collect()
}

/// What differs between the two answers for one root, none if they agree.
fn compare(
    root: &PackageName,
    ours: Result<Closure, ClosureError>,
    theirs: Option<BTreeSet<String>>,
) -> Option<Difference> {
    let difference = |only_apt: BTreeSet<String>, only_minke: BTreeSet<String>| {
        let joined = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        let (only_apt, only_minke) = (joined(only_apt), joined(only_minke));
        Some(Difference { root: root.to_string(), only_apt, only_minke })
    };
    match (ours.map(|closure| names(&closure)), theirs) {
        (Ok(ours), Some(theirs)) if ours == theirs => None,
        (Ok(ours), Some(theirs)) => difference(
            theirs.difference(&ours).cloned().collect(),
            ours.difference(&theirs).cloned().collect(),
        ),
        (Err(_), None) => None,
        (Ok(_), None) => difference(["(an error)".to_owned()].into(), BTreeSet::new()),
        (Err(error), Some(_)) => difference(BTreeSet::new(), [format!("({error})")].into()),
    }
}

#[test]
fn closures_are_those_of_apt_without_recommendations() {
    let (mirror, index) = match read() {
        Ok(read) => read,
        Err(reason) => return skip(reason),
    };
    let roots: Vec<PackageName> = drawn(&index).into_iter().collect();
    let names = roots.iter().map(ToString::to_string).collect();
    let Some(apt) = Apt::reading(&mirror, &names) else { return skip("there is no apt-get") };
    let judge = |root: &PackageName| {
        let ours = closure(&index, &[root.clone()].into(), &ClosureOptions::default());
        compare(root, ours, apt.closure(root.as_str()))
    };
    let mut found: Vec<Difference> = std::thread::scope(|scope| {
        let half = roots.len().div_ceil(2);
        let threads: Vec<_> = roots
            .chunks(half)
            .map(|roots| scope.spawn(|| roots.iter().filter_map(judge).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("judging doesn't panic")).collect()
    });
    found.sort();
    let known: Vec<Difference> = DIFFERENCES.iter().map(Difference::known).collect();
    assert_eq!(found, known, "differences without a reason, or reasons without a difference");
}

#[test]
fn what_is_left_out_by_name_is_all_that_a_base_lacks() {
    let (_mirror, index) = match read() {
        Ok(read) => read,
        Err(reason) => return skip(reason),
    };
    let options = ClosureOptions { left_out: setup::left_out() };
    for root in drawn(&index) {
        let Ok(whole) = closure(&index, &[root.clone()].into(), &ClosureOptions::default()) else { continue };
        let reduced =
            closure(&index, &[root.clone()].into(), &options).expect("leaving out makes nothing impossible");
        for (name, chosen) in &reduced.packages {
            let package = &chosen.package;
            for need in package.pre_depends.iter().chain(&package.depends) {
                assert!(is_met(need, &reduced, &whole, &options), "{root}: {name} needs `{need}`");
            }
        }
    }
}

/// Tells whether a need is met by what is there, or by something that is left out by name.
fn is_met(need: &AnyOf, reduced: &Closure, whole: &Closure, options: &ClosureOptions) -> bool {
    need.0.iter().any(|relation| {
        let there = reduced.packages.values().any(|chosen| chosen.package.satisfies(relation));
        let left_out = whole
            .packages
            .iter()
            .any(|(name, chosen)| options.left_out.contains_key(name) && chosen.package.satisfies(relation));
        there || left_out || options.left_out.contains_key(&relation.name)
    })
}
