//! Real libraries, damaged: nothing panics or hangs, and what cannot be proved the same is never written.

#[path = "compact/judge.rs"]
mod judge;
#[path = "damaged/laws.rs"]
mod laws;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minke_elf::Facts;
use minke_testkit::Numbers;

const DIRECTORIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/lib",
];

/// What is larger only takes longer.
const LARGEST_BYTES: u64 = 80_000;

/// Some libraries of this machine, each time the same.
fn libraries() -> Vec<(PathBuf, Vec<u8>)> {
    let entries = DIRECTORIES.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_small = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() < LARGEST_BYTES)
    };
    let files = paths.into_iter().filter(|path| is_small(path));
    let files = files.filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes)));
    files.filter(|(_, bytes)| Facts::read(bytes).is_ok_and(|facts| facts.is_dynamic())).take(60).collect()
}

/// Where harm is done: in the headers, and where what they lead to begins.
fn tender_spot(bytes: &[u8], numbers: &mut Numbers) -> usize {
    let number =
        |at: usize| bytes.get(at..at + 8).map_or(0, |eight| u64::from_le_bytes(eight.try_into().unwrap()));
    let count =
        |at: usize| bytes.get(at..at + 2).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    let within = |start: u64, length: usize, numbers: &mut Numbers| {
        usize::try_from(start).unwrap_or(0).saturating_add(numbers.below(length.max(1)))
    };
    let (programs, sections) = (number(32), number(40));
    let at = match numbers.below(6) {
        0 => numbers.below(64),
        1 => within(programs, 56 * count(56), numbers),
        2 => within(sections, 64 * count(60), numbers),
        // What a section holds: symbols, versions, the dynamic section, names.
        3 | 4 => {
            let header = within(sections, 1, numbers).saturating_add(64 * numbers.below(count(60).max(1)));
            within(number(header.saturating_add(24)), 0x200, numbers)
        }
        _ => numbers.below(bytes.len()),
    };
    at % bytes.len()
}

fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let values = [0, 1, 2, 3, 8, 0x10, 0x18, 0x38, 0x40, 0x7f, 0x80, 0xf0, 0xfe, 0xff];
    for _ in 0..=numbers.below(4) {
        let at = tender_spot(bytes, numbers);
        // A byte, or a whole number that has become large.
        let length = [1, 1, 1, 4, 8][numbers.below(5)];
        let value = values[numbers.below(values.len())];
        let end = (at + length).min(bytes.len());
        bytes[at..end].fill(value);
    }
    match numbers.below(16) {
        0 => bytes.truncate(numbers.below(bytes.len())),
        1 => bytes.extend(std::iter::repeat_n(values[numbers.below(values.len())], numbers.below(5000))),
        _ => {}
    }
}

/// No damaged file takes longer, which a whole one takes a few milliseconds for.
const LONGEST: Duration = Duration::from_secs(5);

#[test]
fn four_thousand_damaged_libraries_end_in_a_true_copy_or_none() {
    let libraries = libraries();
    if libraries.is_empty() {
        eprintln!("skipped: this machine has no small libraries where they are looked for");
        return;
    }
    let mut numbers = Numbers::from_seed(0x1234_5678_9abc_def1);
    let (mut compacted, mut edited) = (0, 0);
    for round in 0..4_000 {
        let (path, whole) = &libraries[round % libraries.len()];
        let mut bytes = whole.clone();
        damage(&mut bytes, &mut numbers);
        let began = Instant::now();
        let file = format!("round {round}, {}", path.display());
        let outcome = std::panic::catch_unwind(|| {
            laws::reading(&bytes);
            (laws::compacting(&bytes), laws::editing(&bytes))
        });
        let Ok((is_compacted, is_edited)) = outcome else { panic!("{file}") };
        compacted += usize::from(is_compacted);
        edited += usize::from(is_edited);
        assert!(began.elapsed() < LONGEST, "{file}");
    }
    assert!(compacted > 400 && edited > 400, "{compacted} compacted, {edited} edited");
}
