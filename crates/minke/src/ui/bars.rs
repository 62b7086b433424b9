//! Progress for who watches: one bar for each hop that lasts, gone when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use minke_build::{Event, Hop, Unit};
use minke_cas::Meter;

use super::complain;
use super::lines::Lines;
use super::text::size;

/// A hop that takes less than this is never drawn.
const SILENCE: Duration = Duration::from_millis(250);

/// Frames a second, at most.
const RATE: u8 = 15;

/// Draws bars on standard error, and above them the lines that stay.
pub(crate) struct Bars {
    screen: MultiProgress,
    lines: Lines,
    under_way: BTreeMap<Hop, Bar>,
}

struct Bar {
    unit: Unit,
    meter: Arc<Meter>,
    since: Instant,
    drawn: Option<ProgressBar>,
}

/// Makes what bars are drawn on.
pub(crate) fn screen() -> MultiProgress {
    MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(RATE))
}

impl Bars {
    /// Starts with nothing drawn.
    pub(crate) fn new(screen: MultiProgress, lines: Lines) -> Self {
        Self { screen, lines, under_way: BTreeMap::new() }
    }

    /// Takes note of an event, and writes its line above the bars if it has one.
    pub(crate) fn event(&mut self, event: Event) {
        let line = self.lines.line(&event);
        match event {
            Event::Started { hop, unit, meter } => {
                let bar = Bar { unit, meter, since: Instant::now(), drawn: None };
                self.under_way.insert(hop, bar).inspect(|before| before.erase(&self.screen));
            }
            Event::Finished { hop, .. } => {
                self.under_way.remove(&hop).inspect(|bar| bar.erase(&self.screen));
            }
            Event::Note(_) | Event::Warning(_) => {}
        }
        if let Some(line) = line {
            self.screen.suspend(|| complain(&line));
        }
    }

    /// Draws all hops that have lasted long enough.
    pub(crate) fn frame(&mut self) {
        let lasting = self.under_way.iter_mut().filter(|(_, bar)| bar.since.elapsed() >= SILENCE);
        for (hop, bar) in lasting {
            bar.draw(*hop, &self.screen);
        }
    }

    /// Removes all that is drawn.
    pub(crate) fn end(&mut self) {
        for bar in std::mem::take(&mut self.under_way).values() {
            bar.erase(&self.screen);
        }
    }
}

impl Bar {
    fn draw(&mut self, hop: Hop, screen: &MultiProgress) {
        let (done, total) = self.meter.reading();
        let drawn = self.drawn.get_or_insert_with(|| {
            screen.add(ProgressBar::no_length().with_prefix(label(hop)).with_style(style(total)))
        });
        let message = reading(self.unit, done, total);
        if total > 0 && drawn.message() == message {
            return;
        }
        drawn.set_style(style(total));
        drawn.set_length(total.max(done));
        drawn.set_position(done);
        drawn.set_message(message);
        drawn.tick();
    }

    fn erase(&self, screen: &MultiProgress) {
        if let Some(drawn) = &self.drawn {
            drawn.finish_and_clear();
            screen.remove(drawn);
        }
    }
}

/// Work whose extent nobody knows yet has no bar, only a sign of life.
fn style(total: u64) -> ProgressStyle {
    let template = match total {
        0 => "{prefix:<18} {spinner} {msg}",
        _ => "{prefix:<18} {wide_bar} {msg}",
    };
    ProgressStyle::with_template(template)
        .expect("the template is one")
        .progress_chars("━╸ ")
        .tick_chars("⠋⠙⠸⠴⠦⠇ ")
}

fn label(hop: Hop) -> &'static str {
    match hop {
        Hop::Project => "reading project",
        Hop::Lock => "resolving",
        Hop::Plan => "choosing packages",
        Hop::Fetch => "fetching",
        Hop::Wheels => "building wheels",
        Hop::Unpack => "unpacking",
        Hop::Slim => "slimming",
        Hop::Bytecode => "compiling bytecode",
        Hop::Layers => "writing layers",
        Hop::Proof => "proving",
        Hop::Deliver => "delivering",
        Hop::Verify => "reading the cache",
    }
}

/// How far a hop is: `1.2 MB of 3.4 MB`, `12 of 34`, nothing where nothing is counted.
fn reading(unit: Unit, done: u64, total: u64) -> String {
    let shown = |amount: u64| match unit {
        Unit::Bytes => size(amount),
        Unit::Pieces => amount.to_string(),
    };
    match (done, total) {
        (0, 0) => String::new(),
        (done, 0) => shown(done),
        (done, total) => format!("{}/{}", shown(done), shown(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_as_much_as_is_known() {
        assert_eq!(reading(Unit::Bytes, 0, 0), "");
        assert_eq!(reading(Unit::Bytes, 1500, 0), "1.5 kB");
        assert_eq!(reading(Unit::Bytes, 1500, 3_000_000), "1.5 kB/3.0 MB");
        assert_eq!(reading(Unit::Pieces, 3, 18), "3/18");
    }
}
