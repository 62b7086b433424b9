//! How an error is written: what was being done, what happened, what to do.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::process::ExitCode;

use clap::ValueEnum;

use super::paint::{Medium, Paint};
use super::text::harmless;
use super::{complain, say};
use crate::advice::{Exit, advise};
use crate::arguments::Color;
use crate::failure::Failure;
use crate::settings::Surroundings;

/// Writes an error for a person.
///
/// ```text
/// error: cannot fetch numpy 2.1.3
///   because: the server sent other bytes than were pinned
///   because: expected sha256:7a2c10…, got sha256:91ff03…
///   help: if you trust the new file, remove it from the lock
/// ```
pub(crate) fn render(failure: &Failure, paint: Paint) -> String {
    let mut lines = Vec::new();
    let mut texts = chain(failure);
    lines.extend(texts.next().map(|text| line(&paint.bad("error"), "error", &text)));
    lines.extend(texts.map(|text| line(&paint.strong("  because"), "  because", &text)));
    lines.push(line(&paint.good("  help"), "  help", &advise(failure).help));
    lines.join("\n")
}

/// Returns an error's own text and those of its sources; one that only passes its source on is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> impl Iterator<Item = String> {
    let mut texts: Vec<String> =
        successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    texts.dedup();
    texts.into_iter()
}

/// Lines after the first stand below its text.
fn line(label: &str, width_as: &str, text: &str) -> String {
    let indent = " ".repeat(width_as.len() + 2);
    format!("{label}: {}", harmless(text.trim_end()).replace('\n', &format!("\n{indent}")))
}

/// Writes an error when nobody knows yet how the user wants it: in plain words.
pub(crate) fn blurt(failure: &Failure) -> ExitCode {
    complain(&render(failure, Paint::Plain));
    advise(failure).exit.into()
}

/// Writes what clap says of a command line: help to standard output, a complaint to standard error.
pub(crate) fn usage(said: &clap::Error, around: &Surroundings) -> ExitCode {
    let wants_help = !said.use_stderr();
    let medium = if wants_help { Medium::of(&io::stdout()) } else { Medium::of(&io::stderr()) };
    let text = match Paint::choose(color_as_typed(around), around, medium) {
        Paint::Plain => said.render().to_string(),
        Paint::Colored => said.render().ansi().to_string(),
    };
    if !wants_help {
        complain(text.trim_end());
        return Exit::Usage.into();
    }
    match say(text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => blurt(&error.into()),
    }
}

/// Finds `--color` in a command line that cannot be read as a whole.
fn color_as_typed(around: &Surroundings) -> Color {
    let words: Vec<_> = around.arguments.iter().map(|word| word.to_string_lossy()).collect();
    let joined = words.iter().find_map(|word| word.strip_prefix("--color="));
    let apart = words.windows(2).find(|pair| pair[0] == "--color").map(|pair| &*pair[1]);
    joined.or(apart).and_then(|when| Color::from_str(when, false).ok()).unwrap_or(Color::Auto)
}

/// Makes a panic read like an error that asks to be reported.
pub(crate) fn announce_bugs() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("something impossible happened");
        complain(&format!(
            "error: minke has a bug{place}\n  because: {}\n  help: please report it with what you typed; what \
             was built before is not harmed",
            harmless(what).replace('\n', "\n           ")
        ));
    }));
}

#[cfg(test)]
mod tests;
