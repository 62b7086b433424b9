//! What came of checking an image.

use minke_build::check::{Checked, CheckedDistribution, CheckedPython, Failure, Score, Weight};

use super::columns::{lay_out, numbers, words};
use super::paint::Paint;
use super::text::{count, harmless, wrap};

/// How wide the words are that lead the lines below the table, with the space after them.
const MARGIN: usize = 10;

/// How many failures of one weight are listed.
const LISTED: usize = 20;

/// Lists what is installed for each Python of an image, how much of it works, and what doesn't.
pub(crate) fn checked(checked: &Checked, width: usize, paint: Paint) -> Vec<String> {
    checked.pythons.iter().flat_map(|python| of_python(python, width, paint)).collect()
}

fn of_python(python: &CheckedPython, width: usize, paint: Paint) -> Vec<String> {
    let mut lines = table(python, width, paint);
    for weight in [Weight::Broken, Weight::Doubtful, Weight::Optional] {
        let failures: Vec<&Failure> =
            python.failures.iter().filter(|failure| failure.weight == weight).collect();
        // What nobody promised is a matter of what else is installed, and is much.
        let listed = if weight == Weight::Optional { 0 } else { LISTED };
        let line = |text: &str| {
            let label = paint.faint(format!("{:<MARGIN$}", label(weight)));
            format!("{label}{}", wrap(&harmless(text), width, MARGIN))
        };
        lines.extend(failures.iter().take(listed).map(|failure| line(&told(failure))));
        match failures.len().saturating_sub(listed) as u64 {
            0 => {}
            more if listed > 0 => lines.push(line(&format!("and {more} more; `--json` lists all"))),
            more => lines.push(line(&format!("{} would work with more installed", count(more, "thing")))),
        }
    }
    lines
}

/// Makes the table of what works; of programs it speaks only where some were started.
fn table(python: &CheckedPython, width: usize, paint: Paint) -> Vec<String> {
    let columns = [
        words("distribution"),
        words("version"),
        numbers("modules"),
        numbers("entry points"),
        numbers("libraries"),
        numbers("scripts"),
    ];
    let row = |distribution: &CheckedDistribution| {
        let CheckedDistribution { name, version, modules, entry_points, libraries, scripts } = distribution;
        let scores = [modules, entry_points, libraries, scripts].map(score);
        let [modules, entry_points, libraries, scripts] = scores;
        let [name, version] = [name, version].map(|text| harmless(text).into_owned());
        [name, version, modules, entry_points, libraries, scripts]
    };
    let rows = python.distributions.iter().map(row);
    if python.distributions.iter().any(|distribution| !distribution.scripts.is_empty()) {
        return lay_out(&columns, &rows.collect::<Vec<_>>(), width, paint);
    }
    let rows: Vec<_> = rows
        .map(|[name, version, modules, entries, libraries, _]| [name, version, modules, entries, libraries])
        .collect();
    let [name, version, modules, entries, libraries, _] = columns;
    lay_out(&[name, version, modules, entries, libraries], &rows, width, paint)
}

fn score(score: &Score) -> String {
    match *score {
        Score { tried: 0, .. } => "-".to_owned(),
        Score { tried, work } if tried == work => tried.to_string(),
        Score { tried, work } => format!("{work} of {tried}"),
    }
}

fn label(weight: Weight) -> &'static str {
    match weight {
        Weight::Broken => "broken",
        Weight::Doubtful => "doubtful",
        Weight::Optional => "optional",
    }
}

/// Says what doesn't work and why.
fn told(failure: &Failure) -> String {
    let Failure { weight: _, of, what, name, why } = failure;
    let whose = if of.is_empty() { String::new() } else { format!(" of {of}") };
    format!("{what} `{name}`{whose}: {why}")
}
