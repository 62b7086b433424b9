//! What images do without, by which rules, and what that saved.

use std::collections::BTreeMap;

use minke_build::slim::{Effect, How, Removal, Rule};

use super::columns::{lay_out, numbers, words};
use super::paint::Paint;
use super::text::{size, wrap};
use crate::foreman::{Ladder, Rules, SlimLedger};

/// How far what a rule says stands in.
const MARGIN: usize = 10;

/// Shows the steps to a small image: what each saved, and what was left after it.
pub(crate) fn ladder(ladder: &Ladder, width: usize, paint: Paint) -> String {
    let mut rows = vec![[
        "a full system, all files (estimated)".to_owned(),
        String::new(),
        String::new(),
        size(ladder.naive),
    ]];
    rows.extend(ladder.rungs.iter().map(|rung| {
        let sign = if rung.saved < 0 { "+" } else { "\u{2212}" };
        let saved = format!("{sign}{}", size(rung.saved.unsigned_abs()));
        [rung.name.clone(), saved, format!("{:.1} %", rung.percent.abs()), size(rung.left)]
    }));
    let title = words("what was done");
    let columns = [title, numbers("bytes"), numbers("share"), numbers("left")];
    let mut lines = lay_out(&columns, &rows, width, paint);
    if let Some(last) = lines.last_mut() {
        *last = paint.strong(&last);
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Lists the rules' names, the profiles with which they begin, and whose files they look at.
pub(crate) fn names(rules: &Rules, width: usize, paint: Paint) -> Vec<String> {
    let rows: Vec<_> = rules.iter().map(|rule| [rule.name.clone(), begins(rule), classes(rule)]).collect();
    lay_out(&[words("rule"), words("profile"), words("looks at")], &rows, width, paint)
}

/// Says all that each rule says.
pub(crate) fn told(rules: &Rules, width: usize, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in rules.iter() {
        let line = |label: &str, text: &str| {
            format!("{}{}", paint.faint(format!("{label:<MARGIN$}")), wrap(text, width, MARGIN))
        };
        lines.push(paint.strong(format!("{} ({}, {})", rule.name, begins(rule), classes(rule))));
        lines.push(line("why", &rule.why));
        lines.push(line("takes", &takes(rule)));
        if !rule.spare.is_empty() {
            lines.push(line("spares", &rule.spare.join(", ")));
        }
        for exception in &rule.exceptions {
            let paths = match &exception.paths[..] {
                [] => String::new(),
                paths => format!(" ({})", paths.join(", ")),
            };
            lines.push(line("not", &format!("{}{paths}: {}", exception.package, exception.reason)));
        }
        lines.push(String::new());
    }
    lines
}

/// Writes a rule as one line of JSON.
pub(crate) fn rule_json(rule: &Rule) -> String {
    serde_json::to_string(rule).expect("a rule has text keys")
}

/// Sums up what was taken away from an image, by owner and rule, the most first.
pub(crate) fn sums(ledger: &SlimLedger, width: usize, paint: Paint) -> Vec<String> {
    let mut sums: BTreeMap<(&str, &str), (usize, u64)> = BTreeMap::new();
    for taken in &ledger.taken {
        for removal in &taken.removals {
            let (files, bytes) = sums.entry((&taken.title, &removal.rule)).or_default();
            *files += 1;
            *bytes += removal.bytes;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(names, (_, bytes))| (std::cmp::Reverse(*bytes), *names));
    let row = |((owner, rule), (files, bytes)): &((&str, &str), (usize, u64))| {
        [(*owner).to_owned(), (*rule).to_owned(), files.to_string(), size(*bytes)]
    };
    let rows: Vec<_> = sums.iter().map(row).collect();
    let columns = [words("taken from"), words("by the rule"), numbers("files"), numbers("bytes")];
    let mut lines = lay_out(&columns, &rows, width, paint);
    lines.extend(ledger.lifts.iter().flat_map(|(owner, rules)| {
        rules
            .iter()
            .map(move |rule| format!("{owner}: `{rule}` was left out, because something broke with it"))
    }));
    lines
}

/// Lists what was taken away from an image, a file a line: path, rule, bytes, what became of it.
pub(crate) fn files(ledger: &SlimLedger) -> Vec<String> {
    let removals = ledger.taken.iter().flat_map(|taken| &taken.removals);
    let line = |removal: &Removal| {
        let became = match removal.effect {
            Effect::Gone => "gone",
            Effect::Smaller => "smaller",
            Effect::Linked => "a link",
        };
        format!("{}\t{}\t{}\t{became}", removal.path, removal.rule, removal.bytes)
    };
    removals.map(line).collect()
}

/// Writes a ledger as one line of JSON.
pub(crate) fn ledger_json(ledger: &SlimLedger) -> String {
    serde_json::to_string(ledger).expect("a ledger has text keys")
}

fn classes(rule: &Rule) -> String {
    let name = |class| match class {
        minke_build::slim::Class::Base => "base",
        minke_build::slim::Class::System => "system",
        minke_build::slim::Class::Distribution => "distributions",
    };
    rule.on.iter().copied().map(name).collect::<Vec<_>>().join(", ")
}

/// Says with which profile a rule begins.
fn begins(rule: &Rule) -> String {
    rule.profile.map_or_else(|| "if asked for".to_owned(), |profile| profile.to_string())
}

fn takes(rule: &Rule) -> String {
    match rule.how {
        How::Paths => rule.take.join(", "),
        How::Bytecode => format!("{}, where they have bytecode", rule.take.join(", ")),
        How::Unneeded => {
            format!("{}, where nothing that stays imports {}", rule.take.join(", "), rule.modules.join(", "))
        }
        How::Modules => format!("{}, where no other code names them", rule.take.join(", ")),
        How::Uncompiled => format!("the bytecode of {}", rule.take.join(", ")),
        How::Stubs => "`.pyi` files beside the modules that they describe".to_owned(),
        How::Unimported => {
            format!("directories called {}, without what is imported from them", rule.directories.join(", "))
        }
        How::Debug => "debug sections of libraries and programs".to_owned(),
        How::Symbols => "what no loader reads of libraries and programs".to_owned(),
        How::Doubled => "shared libraries that their distribution has in two builds".to_owned(),
        How::Equal => "shared libraries that another distribution has".to_owned(),
        How::Compatible => "shared libraries for which another distribution's can stand".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use minke_build::slim::Tally;

    use super::*;

    #[test]
    fn the_ladder_leads_down_to_what_is_left() {
        let tally = Tally {
            profile: "lean".to_owned(),
            system: 60_000_000,
            distributions: 400_000_000,
            rules: vec![("symbol-tables".to_owned(), 50_000_000), ("tests".to_owned(), 80_500_000)],
            put_back: Vec::new(),
            bytecode: 100_000_000,
            ledger: None,
            proved: true,
        };
        insta::assert_snapshot!(ladder(&Ladder::of(&tally, 1_000_000, 40_000_000), 80, Paint::Plain), @r"
            what was done                             bytes   share      left
            a full system, all files (estimated)                       1.4 GB
            files that the project ignores         −40.0 MB   2.8 %    1.4 GB
            a base of what is needed              −907.0 MB  64.4 %  461.0 MB
            symbol-tables                          −50.0 MB   3.6 %  411.0 MB
            tests                                  −80.5 MB   5.7 %  330.5 MB
            bytecode, for a fast start            +100.0 MB   7.1 %  430.5 MB
        ");
    }

    #[test]
    fn a_ledger_is_summed_up_by_owner_and_rule() {
        let removal = |path: &str, rule: &str, bytes, effect| Removal {
            path: path.parse().unwrap(),
            rule: rule.to_owned(),
            bytes,
            effect,
        };
        let taken = |title: &str, removals| minke_build::slim::Taken {
            owner: title.split(' ').next().unwrap().to_owned(),
            title: title.to_owned(),
            removals,
        };
        let ledger = SlimLedger {
            taken: vec![
                taken("libc6 2.41", vec![removal("/usr/lib/x.so", "symbol-tables", 10, Effect::Smaller)]),
                taken(
                    "numpy 2.3",
                    vec![
                        removal("/a/tests/b.py", "tests", 2_000_000, Effect::Gone),
                        removal("/a/tests/c.py", "tests", 1_000_000, Effect::Gone),
                    ],
                ),
            ],
            lifts: [("pandas".to_owned(), ["tests".to_owned()].into())].into(),
            ..SlimLedger::default()
        };
        insta::assert_snapshot!(sums(&ledger, 80, Paint::Plain).join("\n"), @r"
        taken from  by the rule    files   bytes
        numpy 2.3   tests              2  3.0 MB
        libc6 2.41  symbol-tables      1    10 B
        pandas: `tests` was left out, because something broke with it
        ");
        assert_eq!(files(&ledger)[1], "/a/tests/b.py\ttests\t2000000\tgone");
    }

    #[test]
    fn a_rule_says_why_and_whom_it_spares() {
        let lines = told(Rules::shipped(), 80, Paint::Plain).join("\n");
        let (_, rest) = lines.split_once("\nstubs (").unwrap();
        insta::assert_snapshot!(rest.split_once("\n\n").unwrap().0, @r"
            lean, distributions)
            why       A `.pyi` file beside its module is for type checkers and editors; the
                      interpreter never opens it.
            takes     `.pyi` files beside the modules that they describe
            not       {jedi,mypy,pyright,basedpyright,pytype,pyre-check,ty,pyrefly,python-lsp-server,monkeytype}:
                      stubs are its data: without typeshed it completes and checks nothing,
                      silently
        ");
    }
}
