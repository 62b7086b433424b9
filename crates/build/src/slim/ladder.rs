//! What each step towards a small image saved, as a table: the ladder.

use minke_cas::Digest;
use serde::{Deserialize, Serialize};

use super::PutBack;

/// What a fat base has: a full system with compilers, headers and a Python, in bytes when installed.
///
/// The sum of the `Installed-Size` of the 439 packages that compilers, the usual development libraries, version control
/// and Python come to in an empty system, from bookworm's index of 2026-11-22 (967,476,224); suites differ by a few percent.
const FAT_BASE: u64 = 967_000_000;

/// What was there before slimming, and what came of it; remembered with the layers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The profile, as settings write it.
    pub profile: String,
    /// The bytes of distribution packages and of what minke adds to them.
    pub system: u64,
    /// The bytes of installed distributions.
    pub distributions: u64,
    /// The bytes that each rule saved, or would have saved but for what was put back, in the rules' order.
    pub rules: Vec<(String, u64)>,
    /// What was put back, by the proof or for what the project imports.
    pub put_back: Vec<PutBack>,
    /// The bytes of bytecode that was made.
    pub bytecode: u64,
    /// The ledger, a blob in the store.
    pub ledger: Option<Digest>,
    /// Whether what is left was tried.
    pub proved: bool,
}

/// One step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Rung {
    /// What was done.
    pub name: String,
    /// By how many bytes it makes the image smaller; less than nothing if it makes it larger.
    pub saved: i64,
    /// How many bytes are left after it.
    pub left: u64,
    /// What is saved of the naive image, in percent.
    pub percent: f64,
}

/// The steps from the image that nobody thought about to this one, in uncompressed bytes of files.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ladder {
    /// The profile, as settings write it.
    pub profile: String,
    /// What the image would have without any of it; its base is estimated.
    pub naive: u64,
    /// The steps, in order.
    pub rungs: Vec<Rung>,
    /// What is left.
    pub left: u64,
    /// What was put back, which is the last step but bytecode.
    pub put_back: Vec<PutBack>,
    /// The ledger of all that was removed, a blob in the store.
    pub ledger: Option<Digest>,
}

impl Ladder {
    /// Makes the ladder of an image; `own` and `left_out` are the bytes of the project's files that went in, and
    /// that did not.
    pub fn of(tally: &Tally, own: u64, left_out: u64) -> Self {
        let naive = FAT_BASE.max(tally.system) + tally.distributions + own + left_out;
        let mut ladder = Self {
            profile: tally.profile.clone(),
            naive,
            rungs: Vec::new(),
            left: naive,
            put_back: tally.put_back.clone(),
            ledger: tally.ledger,
        };
        ladder.step("files that the project ignores", signed(left_out));
        ladder.step("a base of what is needed", signed(FAT_BASE.saturating_sub(tally.system)));
        for (rule, bytes) in &tally.rules {
            ladder.step(rule, signed(*bytes));
        }
        let put_back: u64 = tally.put_back.iter().map(|rule| rule.bytes).sum();
        ladder.step("what was put back", -signed(put_back));
        ladder.step("bytecode, for a fast start", -signed(tally.bytecode));
        ladder
    }

    fn step(&mut self, name: &str, saved: i64) {
        if saved == 0 {
            return;
        }
        self.left = self.left.saturating_add_signed(-saved);
        let percent = (saved as f64 * 1000.0 / self.naive as f64).round() / 10.0;
        self.rungs.push(Rung { name: name.to_owned(), saved, left: self.left, percent });
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rungs_lead_from_the_naive_image_to_what_is_left() {
        let tally = Tally {
            profile: "lean".to_owned(),
            system: 50_000_000,
            distributions: 400_000_000,
            rules: vec![("tests".to_owned(), 80_000_000), ("headers".to_owned(), 0)],
            put_back: vec![PutBack {
                owner: "a".to_owned(),
                rule: "tests".to_owned(),
                bytes: 30_000_000,
                broken: "a".to_owned(),
                why: "it fails".to_owned(),
            }],
            bytecode: 100_000_000,
            ledger: None,
            proved: true,
        };
        let ladder = Ladder::of(&tally, 1_000, 2_000);
        assert_eq!(ladder.naive, FAT_BASE + 400_003_000);
        assert_eq!(ladder.left, 500_001_000);
        let names: Vec<&str> = ladder.rungs.iter().map(|rung| rung.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "files that the project ignores",
                "a base of what is needed",
                "tests",
                "what was put back",
                "bytecode, for a fast start"
            ]
        );
        let last = ladder.rungs.last().unwrap();
        assert_eq!((last.saved, last.left), (-100_000_000, ladder.left));
    }
}
