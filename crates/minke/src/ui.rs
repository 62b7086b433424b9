//! The door to the terminal: draws what the foreman says, prints results, reports and errors.
//!
//! Standard output gets results only; everything else goes to standard error. A person at a terminal sees
//! bars while work lasts, a log gets few plain lines, a program gets JSON. Nobody waits for what is drawn:
//! events come over a channel and are shown by a thread of their own.

mod bars;
mod cache;
mod check;
mod columns;
mod errors;
mod json;
mod lines;
mod paint;
mod report;
mod slim;
mod text;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use minke_build::audit::{Audit, Repaired};
use minke_build::{Built, Event, Reporter};
use minke_cas::{Kind, Swept, Usage, Verified};

use crate::failure::Failure;
use crate::foreman::{
    Change, Checked, Housed, ImageLine, Libs, Made, Plan, Reason, Rules, SlimLedger, Terminal,
};
use crate::settings::Surroundings;
use crate::task::{Format, LedgerDetail, LibsShown, Manner, SlimTask, Verbosity};

use bars::Bars;
use json::JsonLines;
use lines::Lines;
use paint::{Medium, Paint};

pub(crate) use errors::{announce_bugs, blurt, usage};

/// How often is drawn at most: 15 times a second.
const FRAME: Duration = Duration::from_millis(67);

/// How wide a report is that no terminal shows.
const PLAIN_WIDTH: usize = 100;

/// The terminal, and how it is to be spoken to.
pub(crate) struct Screen {
    manner: Manner,
    stdout: Paint,
    stderr: Paint,
}

/// What is going on being shown, until it ends.
pub(crate) struct Showing {
    thread: JoinHandle<()>,
    curtain: Curtain,
}

/// Takes down what is being shown, at once and from any thread.
#[derive(Clone)]
pub(crate) struct Curtain {
    over: Arc<AtomicBool>,
    bars: Option<indicatif::MultiProgress>,
}

enum Show {
    Bars(Bars),
    Lines(Lines),
    Json(JsonLines),
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[source] io::Error);

/// Tells whether a container can be given this terminal: standard input and output both are one.
pub(crate) fn terminal() -> Terminal {
    match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => Terminal::Attached,
        false => Terminal::Plain,
    }
}

impl Screen {
    /// Opens the terminal for a manner of speaking.
    pub(crate) fn open(manner: Manner, around: &Surroundings) -> Self {
        let paint = |medium| Paint::choose(manner.color, around, medium);
        let (stdout, stderr) = (paint(Medium::of(&io::stdout())), paint(Medium::of(&io::stderr())));
        Self { manner, stdout, stderr }
    }

    /// Begins to show events; they are shown until [`Showing::end`].
    pub(crate) fn show(&self) -> (Reporter, Showing) {
        let (sender, receiver) = channel();
        let bars = (self.manner.format == Format::Text
            && self.manner.verbosity != Verbosity::Quiet
            && io::stderr().is_terminal())
        .then(bars::screen);
        let width = io::stderr().is_terminal().then(|| width_of(&io::stderr()));
        let lines = Lines::new(self.manner.verbosity, self.stderr, width);
        let mut show = match (self.manner.format, &bars) {
            (Format::Json, _) => Show::Json(JsonLines::new(self.manner.verbosity)),
            (Format::Text, Some(bars)) => Show::Bars(Bars::new(bars.clone(), lines)),
            (Format::Text, None) => Show::Lines(lines),
        };
        let curtain = Curtain { over: Arc::default(), bars };
        let over = Arc::clone(&curtain.over);
        let thread = std::thread::spawn(move || watch(&receiver, &mut show, &over));
        (Reporter::to(sender), Showing { thread, curtain })
    }

    /// Writes what was built: one line or object on standard output, before it a table on standard error.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn built(&self, built: &Built, took: Duration) -> Result<(), OutputError> {
        if self.manner.format == Format::Json {
            return say(&json::built(built, took).to_string());
        }
        if self.manner.verbosity != Verbosity::Quiet {
            if let Some(ladder) = &built.ladder {
                complain(&slim::ladder(ladder, width_of(&io::stderr()), self.stderr));
            }
            complain(&report::closing(built, took, width_of(&io::stderr()), self.stderr));
        }
        say(&built.reference())
    }

    /// Lists images on standard output: a table, their names, or one object per line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn images(&self, images: &[ImageLine]) -> Result<(), OutputError> {
        let lines: Vec<String> = match (self.manner.format, self.manner.verbosity) {
            (Format::Json, _) => images.iter().map(json::image).collect(),
            (Format::Text, Verbosity::Quiet) => images.iter().map(|image| image.name.clone()).collect(),
            (Format::Text, _) => {
                // What goes to a program is not cut to a width.
                let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
                report::images(images, width, self.stdout)
            }
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Lists wheels on standard output: a table, their names, or one object per line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn wheels(&self, wheels: &[Housed]) -> Result<(), OutputError> {
        let lines: Vec<String> = match (self.manner.format, self.manner.verbosity) {
            (Format::Json, _) => wheels.iter().map(json::wheel).collect(),
            (Format::Text, Verbosity::Quiet) => wheels.iter().map(|wheel| wheel.name.clone()).collect(),
            (Format::Text, _) => report::wheels(wheels, self.table_width(), self.stdout),
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Writes what came of source distributions to standard output: a table, or one object per line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn made(&self, made: &[Made]) -> Result<(), OutputError> {
        let lines: Vec<String> = match (self.manner.format, made) {
            (Format::Json, _) => made.iter().map(json::made).collect(),
            (Format::Text, []) if self.manner.verbosity == Verbosity::Quiet => Vec::new(),
            (Format::Text, []) => vec!["everything has a wheel".to_owned()],
            (Format::Text, _) => report::made(made, self.table_width(), self.stdout),
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Returns how wide a table may be: what goes to a program is not cut.
    fn table_width(&self) -> usize {
        if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX }
    }

    /// Says on standard output what is different in locks: a table, or one object per line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn changes(&self, changes: &[Change]) -> Result<(), OutputError> {
        let lines: Vec<String> = match (self.manner.format, changes) {
            (Format::Json, _) => changes.iter().map(json::change).collect(),
            (Format::Text, []) if self.manner.verbosity == Verbosity::Quiet => Vec::new(),
            (Format::Text, []) => vec!["the locks are as they should be".to_owned()],
            (Format::Text, _) => {
                let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
                report::changes(changes, width, self.stdout)
            }
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Writes what lies in the cache: a table, or an object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn usage(&self, home: &Path, usage: &BTreeMap<Kind, Usage>) -> Result<(), OutputError> {
        if self.manner.format == Format::Json {
            return say(&cache::usage_json(home, usage).to_string());
        }
        let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
        cache::usage(usage, width, self.stdout).iter().try_for_each(|line| say(line))
    }

    /// Writes what was dropped from the cache: a line, or an object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn swept(&self, swept: &Swept) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&cache::swept_json(swept).to_string()),
            Format::Text => say(&cache::swept(swept)),
        }
    }

    /// Writes what was read and found wrong: lines, or an object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn verified(&self, verified: &Verified) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&cache::verified_json(verified).to_string()),
            Format::Text => cache::verified(verified).iter().try_for_each(|line| say(line)),
        }
    }

    /// Shows by which rules images do without something: a table, what each says, or one object per line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn rules(&self, rules: &Rules, shown: SlimTask) -> Result<(), OutputError> {
        let lines: Vec<String> = match (self.manner.format, shown) {
            (Format::Json, _) => rules.iter().map(slim::rule_json).collect(),
            (Format::Text, SlimTask::Names) => slim::names(rules, self.table_width(), self.stdout),
            (Format::Text, SlimTask::Rules) => slim::told(rules, width_of(&io::stdout()), self.stdout),
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Shows what was taken away from an image: sums, each file, or all of it as one line of JSON.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn ledger(
        &self,
        image: &str,
        ledger: Option<&SlimLedger>,
        detail: LedgerDetail,
    ) -> Result<(), OutputError> {
        let Some(ledger) = ledger else {
            return match self.manner.format {
                Format::Json => say("null"),
                Format::Text => {
                    say(&format!("nothing was taken away from `{image}`, as far as is known here"))
                }
            };
        };
        let lines = match (self.manner.format, detail) {
            (Format::Json, _) => vec![slim::ledger_json(ledger)],
            (Format::Text, LedgerDetail::Sums) => slim::sums(ledger, self.table_width(), self.stdout),
            (Format::Text, LedgerDetail::Files) => slim::files(ledger),
        };
        lines.iter().try_for_each(|line| say(line))
    }

    /// Writes a path to standard output, as it is.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn path(&self, path: &Path) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&serde_json::json!(path.display().to_string()).to_string()),
            Format::Text => say(&path.display().to_string()),
        }
    }

    /// Returns what tells of waits for other processes, where no events are shown.
    pub(crate) fn tell_waits(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let lines = Lines::new(self.manner.verbosity, self.stderr, None);
        let is_text = self.manner.format == Format::Text;
        Arc::new(move |what| {
            let event = Event::Note(format!("waiting for {what}"));
            if is_text {
                lines.event(&event);
            }
        })
    }

    /// Says on standard error why layers are other ones than at the last build.
    pub(crate) fn why(&self, reasons: Option<&[Reason]>) {
        let lines = match self.manner.format {
            Format::Json => vec![json::why(reasons)],
            Format::Text => report::why(reasons),
        };
        lines.iter().for_each(|line| complain(line));
    }

    /// Shows a plan on standard output: a table and what is unknown, or one object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn plan(&self, plan: &Plan) -> Result<(), OutputError> {
        if self.manner.format == Format::Json {
            return say(&serde_json::to_string(plan).expect("a plan has text keys"));
        }
        let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
        report::plan(plan, width, self.stdout).iter().try_for_each(|line| say(line))
    }

    /// Shows on standard output what of an image works: a table and what doesn't, or one object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn checked(&self, checked: &Checked) -> Result<(), OutputError> {
        if self.manner.format == Format::Json {
            return say(&serde_json::to_string(checked).expect("what was checked has text keys"));
        }
        let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
        check::checked(checked, width, self.stdout).iter().try_for_each(|line| say(line))
    }

    /// Shows what of the system some files need on standard output: a table, packages' names, or one object.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn libs(&self, libs: &Libs, shown: LibsShown) -> Result<(), OutputError> {
        if self.manner.format == Format::Json {
            return say(&serde_json::to_string(libs).expect("what files need has text keys"));
        }
        if shown == LibsShown::Packages {
            report::unsupplied(libs).iter().for_each(|line| complain(line));
            return libs.packages.iter().try_for_each(|name| say(name));
        }
        let width = if io::stdout().is_terminal() { width_of(&io::stdout()) } else { usize::MAX };
        report::libs(libs, width, self.stdout).iter().try_for_each(|line| say(line))
    }

    /// Writes on which systems a wheel works.
    ///
    /// # Errors
    /// [`OutputError`] if standard output is gone.
    pub(crate) fn audit(&self, audit: &Audit) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&serde_json::to_string(audit).expect("an audit has text keys")),
            Format::Text => report::wheel::audit(audit).iter().try_for_each(|line| say(line)),
        }
    }

    /// Writes what came of repairing a wheel.
    ///
    /// # Errors
    /// [`OutputError`] if standard output is gone.
    pub(crate) fn repaired(&self, repaired: &Repaired) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&serde_json::to_string(repaired).expect("it has text keys")),
            Format::Text => report::wheel::repaired(repaired).iter().try_for_each(|line| say(line)),
        }
    }

    /// Writes a value to standard output: laid out for a person, in one line for a program.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn value(&self, value: &serde_json::Value) -> Result<(), OutputError> {
        match self.manner.format {
            Format::Json => say(&value.to_string()),
            Format::Text => say(&format!("{value:#}")),
        }
    }

    /// Writes an error, what led to it and what to do about it to standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        match self.manner.format {
            Format::Json => complain(&json::failure(failure).to_string()),
            Format::Text => complain(&errors::render(failure, self.stderr)),
        }
    }
}

impl Showing {
    /// Shows what has been said so far, and then nothing more.
    pub(crate) fn end(self, reporter: Reporter) {
        // The thread ends when the last reporter is gone; should one have been kept, the curtain ends it.
        drop(reporter);
        self.curtain.over.store(true, Ordering::Relaxed);
        // A thread that panicked has said so, and what it was to show is no part of the result.
        let _ = self.thread.join();
    }

    /// Returns what can take the show down early.
    pub(crate) fn curtain(&self) -> Curtain {
        self.curtain.clone()
    }
}

impl Curtain {
    /// Draws nothing any more and removes what is drawn.
    pub(crate) fn fall(&self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(bars) = &self.bars {
            // Nothing can be done about a terminal that is gone.
            let _ = bars.clear();
        }
    }
}

fn watch(events: &Receiver<Event>, show: &mut Show, over: &AtomicBool) {
    let mut drawn = Instant::now();
    loop {
        match events.recv_timeout(FRAME.saturating_sub(drawn.elapsed())) {
            Ok(event) => show.event(event),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if over.load(Ordering::Relaxed) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if drawn.elapsed() >= FRAME && !over.load(Ordering::Relaxed) {
            drawn = Instant::now();
            show.frame();
        }
    }
    show.end();
}

impl Show {
    fn event(&mut self, event: Event) {
        match self {
            Self::Bars(bars) => bars.event(event),
            Self::Lines(lines) => lines.event(&event),
            Self::Json(json) => json.event(event),
        }
    }

    fn frame(&mut self) {
        match self {
            Self::Bars(bars) => bars.frame(),
            Self::Lines(_) => {}
            Self::Json(json) => json.frame(),
        }
    }

    fn end(&mut self) {
        if let Self::Bars(bars) = self {
            bars.end();
        }
    }
}

/// Writes a line to standard output; that nobody reads on is no error.
fn say(line: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// Writes a line to standard error, where there is nobody left to tell if that fails.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn width_of(stream: &impl std::os::fd::AsFd) -> usize {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => PLAIN_WIDTH,
    }
}
