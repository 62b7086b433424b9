//! The table that closes a build, and the list of images.

pub(crate) mod wheel;

use std::time::Duration;

use minke_build::needs::Weight;
use minke_build::{Built, Hop};

use super::columns::{lay_out, numbers, words};
use super::paint::Paint;
use super::text::{NARROW, clip, count, duration, harmless, size, wrap};
use crate::foreman::{Change, Housed, ImageLine, Libs, Made, Plan, Reason};

/// How wide the words are that lead the lines below the table, with the space after them.
const MARGIN: usize = 10;

/// No reason is shown at greater length.
const REASON: usize = 48;

/// What a hop must take to be worth a word.
const NOTICEABLE: Duration = Duration::from_millis(10);

/// Writes what was built: its layers, what was left out, what it runs and how long that took.
pub(crate) fn closing(built: &Built, took: Duration, width: usize, paint: Paint) -> String {
    let mut lines = layers(built, width, paint);
    let mut line = |label: &str, text: &str| {
        let label = paint.faint(format!("{label:<MARGIN$}"));
        lines.push(format!("{label}{}", wrap(&harmless(text), width, MARGIN)));
    };
    line("runs", &format!("{} ({})", command(built), built.entry.reason));
    if !built.left_out.is_empty() {
        line("left out", &left_out(built));
    }
    for output in &built.outputs {
        line("written", output);
    }
    if let Some(proof) = &built.proof {
        line("proof", proof);
    }
    if let Some(twin) = &built.twin {
        line("debug", twin);
    }
    line("took", &times(built, took));
    lines.join("\n")
}

fn layers(built: &Built, width: usize, paint: Paint) -> Vec<String> {
    let row = |name: &str, entries: u64, bytes: u64, compressed: u64| {
        [harmless(name).into_owned(), entries.to_string(), size(bytes), size(compressed)]
    };
    let mut rows: Vec<_> = built
        .layers
        .iter()
        .map(|layer| row(&layer.name, layer.entries, layer.size, layer.compressed_size))
        .collect();
    let sum = |of: fn(&minke_build::BuiltLayer) -> u64| built.layers.iter().map(of).sum();
    rows.push(row(
        "total",
        sum(|layer| layer.entries),
        sum(|layer| layer.size),
        sum(|layer| layer.compressed_size),
    ));
    let columns = [words("layer"), numbers("entries"), numbers("size"), numbers("compressed")];
    let mut lines = lay_out(&columns, &rows, width, paint);
    if let Some(total) = lines.last_mut() {
        *total = paint.strong(&total);
    }
    lines
}

/// What a container runs, as it would be typed in a shell.
fn command(built: &Built) -> String {
    let entry = &built.entry;
    let words = entry.entrypoint.iter().chain(&entry.cmd).map(|word| quoted(word));
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "-_./:=@%+,".contains(character);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn left_out(built: &Built) -> String {
    let (files, bytes) = built
        .left_out
        .values()
        .fold((0, 0), |(files, bytes), left_out| (files + left_out.files, bytes + left_out.bytes));
    let mut reasons: Vec<_> = built.left_out.iter().collect();
    reasons.sort_by_key(|(_, left_out)| std::cmp::Reverse(left_out.bytes));
    let reasons =
        reasons.iter().map(|(reason, left_out)| format!("{reason} {}", tight(&size(left_out.bytes))));
    format!("{} in {}: {}", tight(&size(bytes)), count(files, "file"), reasons.collect::<Vec<_>>().join(", "))
}

/// The whole time, then those hops that took a noticeable part of it, each once.
fn times(built: &Built, took: Duration) -> String {
    let mut hops: Vec<(Hop, Duration)> = Vec::new();
    for &(hop, took) in &built.timings {
        match hops.iter_mut().find(|(before, _)| *before == hop) {
            Some((_, sum)) => *sum += took,
            None => hops.push((hop, took)),
        }
    }
    let noticeable = hops.iter().filter(|(_, took)| *took >= NOTICEABLE);
    let shown = noticeable.map(|(hop, took)| format!("{}{NARROW}{}", name(*hop), tight(&duration(*took))));
    let shown: Vec<_> = shown.collect();
    match shown.is_empty() {
        true => duration(took),
        false => format!("{}: {}", duration(took), shown.join(", ")),
    }
}

/// Keeps a short text in one line.
fn tight(text: &str) -> String {
    text.replace(' ', &NARROW.to_string())
}

/// A hop's name in one word.
pub(crate) fn name(hop: Hop) -> &'static str {
    match hop {
        Hop::Project => "project",
        Hop::Lock => "lock",
        Hop::Plan => "plan",
        Hop::Fetch => "fetch",
        Hop::Wheels => "wheels",
        Hop::Unpack => "unpack",
        Hop::Slim => "slim",
        Hop::Bytecode => "bytecode",
        Hop::Layers => "layers",
        Hop::Proof => "proof",
        Hop::Deliver => "deliver",
        Hop::Verify => "verify",
    }
}

/// Lists images, one a line, under titles.
pub(crate) fn images(images: &[ImageLine], width: usize, paint: Paint) -> Vec<String> {
    let columns = [words("name"), words("digest"), words("platform"), numbers("layers"), numbers("size")];
    let rows: Vec<_> = images
        .iter()
        .map(|image| {
            [
                harmless(&image.name).into_owned(),
                image.digest.hex()[..12].to_owned(),
                harmless(&image.platform).into_owned(),
                image.layers.to_string(),
                size(image.size),
            ]
        })
        .collect();
    lay_out(&columns, &rows, width, paint)
}

/// Writes why layers are other ones than before, one line for each reason.
pub(crate) fn why(reasons: Option<&[Reason]>) -> Vec<String> {
    let Some(reasons) = reasons else {
        return vec!["why: no build of this name and platform is known to compare with".to_owned()];
    };
    if reasons.is_empty() {
        return vec!["why: nothing has changed".to_owned()];
    }
    let line = |reason: &Reason| {
        let Reason { layer, field, before, after } = reason;
        let what = field.as_ref().map_or_else(|| layer.clone(), |field| format!("{layer}: {field}"));
        let how = match (before, after) {
            (None, _) if field.is_none() => "is new".to_owned(),
            (_, None) if field.is_none() => "is gone".to_owned(),
            (None, Some(after)) => format!("is new ({after})"),
            (Some(before), None) => format!("is gone ({before})"),
            (before, after) => {
                let said = |value: &Option<String>| value.clone().unwrap_or_default();
                format!("was {}, is {}", said(before), said(after))
            }
        };
        format!("why: {} {}", harmless(&what), harmless(&how))
    };
    reasons.iter().map(line).collect()
}

/// Writes a plan.
pub(crate) fn plan(plan: &Plan, width: usize, paint: Paint) -> Vec<String> {
    let Plan { name, platform, target, base, items, likely, unknown } = plan;
    let columns =
        [words("name"), words("version"), words("layer"), words("kind"), numbers("size"), words("why")];
    let row = |item: &minke_build::plan::Item| {
        let size = item.size.map_or_else(|| "-".to_owned(), size);
        let text = |text: &str| harmless(text).into_owned();
        let why = clip(&harmless(&item.why), REASON).into_owned();
        [text(&item.name), text(&item.version), text(&item.layer), item.kind.to_owned(), size, why]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    let mut lines = vec![harmless(&format!("{name} for {platform}: {target}, {base}")).into_owned()];
    lines.extend(lay_out(&columns, &rows, width, paint));
    let likely = likely.iter().map(|minke_build::plan::Likely { library, package, by }| {
        let told =
            format!("likely: `{library}` of {package}, which {by} seems to load; `likely-libraries` adds it");
        harmless(&told).into_owned()
    });
    lines.extend(likely);
    lines.extend(unknown.iter().map(|unknown| format!("unknown: {}", harmless(unknown))));
    lines
}

/// Writes which libraries some files need, and who has them.
pub(crate) fn libs(libs: &Libs, width: usize, paint: Paint) -> Vec<String> {
    let columns = [words("library"), words("package"), numbers("brings"), words("kind"), words("needed by")];
    let row = |library: &minke_build::libs::Library| {
        let minke_build::libs::Library { soname, weight, package, bytes, needed_by } = library;
        let more = match needed_by.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let first = needed_by.first().map(String::as_str).unwrap_or_default();
        let text = |text: &str| harmless(text).into_owned();
        let brings = package.as_ref().map_or_else(|| "-".to_owned(), |_| size(*bytes));
        [text(soname), text(package.as_deref().unwrap_or("-")), brings, kind(*weight), text(first) + &more]
    };
    let rows: Vec<_> = libs.libraries.iter().map(row).collect();
    lay_out(&columns, &rows, width, paint)
}

fn kind(weight: Weight) -> String {
    match weight {
        Weight::Required => "required",
        Weight::Optional => "plugin",
        Weight::OneOf => "one of",
        Weight::Likely => "likely",
    }
    .to_owned()
}

/// Says of each library that nobody has it.
pub(crate) fn unsupplied(libs: &Libs) -> Vec<String> {
    let lacking = libs.libraries.iter().filter(|library| library.package.is_none());
    let line = |library: &minke_build::libs::Library| {
        let by = library.needed_by.first().map(String::as_str).unwrap_or_default();
        harmless(&format!("warning: `{}` is not in {}; `{by}` needs it", library.soname, libs.suite))
            .into_owned()
    };
    lacking.map(line).collect()
}

/// Lists wheels and what each was built from.
pub(crate) fn wheels(wheels: &[Housed], width: usize, paint: Paint) -> Vec<String> {
    let columns = [words("wheel"), numbers("size"), words("sha256"), words("from"), words("for")];
    let row = |wheel: &Housed| {
        [
            harmless(&wheel.name).into_owned(),
            size(wheel.size),
            wheel.digest.hex()[..12].to_owned(),
            harmless(&wheel.sources).into_owned(),
            harmless(&wheel.target).into_owned(),
        ]
    };
    let rows: Vec<_> = wheels.iter().map(row).collect();
    lay_out(&columns, &rows, width, paint)
}

/// Says what came of each source distribution; under the table, all that a failure said.
pub(crate) fn made(made: &[Made], width: usize, paint: Paint) -> Vec<String> {
    let columns = [words("name"), words("version"), numbers("size"), numbers("took"), words("wheel")];
    let row = |made: &Made| {
        let size = if made.wheel.is_some() { size(made.size) } else { "-".to_owned() };
        let wheel = made.wheel.as_deref().unwrap_or("cannot be built");
        [
            harmless(&made.name).into_owned(),
            harmless(&made.version).into_owned(),
            size,
            duration(made.took),
            harmless(wheel).into_owned(),
        ]
    };
    let rows: Vec<_> = made.iter().map(row).collect();
    let failed = made.iter().filter(|made| made.wheel.is_none());
    let reasons = failed.flat_map(|made| {
        let because = made.because.iter().flat_map(|reason| reason.lines());
        let lines = because.map(|line| format!("  {}", harmless(line)));
        [String::new(), format!("{}:", harmless(&made.name))].into_iter().chain(lines)
    });
    lay_out(&columns, &rows, width, paint).into_iter().chain(reasons).collect()
}

/// Writes what is different in locks.
pub(crate) fn changes(changes: &[Change], width: usize, paint: Paint) -> Vec<String> {
    let columns = [words("name"), words("before"), words("after"), words("of"), words("why")];
    let said = |text: &Option<String>| harmless(text.as_deref().unwrap_or("-")).into_owned();
    let row = |change: &Change| {
        let Change { of, name, before, after, why } = change;
        let name = harmless(name).into_owned();
        [
            name,
            said(before),
            said(after),
            harmless(of).into_owned(),
            clip(&harmless(why), REASON).into_owned(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    lay_out(&columns, &rows, width, paint)
}

#[cfg(test)]
mod tests;
