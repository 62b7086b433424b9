//! Events as plain lines: few, for logs and for those who want to read rather than watch.

use minke_build::Event;

use super::complain;
use super::paint::Paint;
use super::report::name;
use super::text::{duration, harmless, wrap};
use crate::task::Verbosity;

/// Writes events to standard error as lines.
pub(crate) struct Lines {
    verbosity: Verbosity,
    paint: Paint,
    width: Option<usize>,
}

impl Lines {
    /// Starts with nothing written; without a width every text is one line, as programs like logs to be.
    pub(crate) fn new(verbosity: Verbosity, paint: Paint, width: Option<usize>) -> Self {
        Self { verbosity, paint, width }
    }

    /// Writes an event, if it is to be written.
    pub(crate) fn event(&self, event: &Event) {
        if let Some(line) = self.line(event) {
            complain(&line);
        }
    }

    /// Returns an event's line, if it has one.
    pub(crate) fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Finished { hop, took } if self.verbosity == Verbosity::Verbose => {
                Some(format!("{}: {}", name(*hop), duration(*took)))
            }
            Event::Started { .. } | Event::Finished { .. } => None,
            Event::Note(_) if self.verbosity == Verbosity::Quiet => None,
            Event::Note(text) => Some(format!("{}: {}", self.paint.strong("note"), self.fit("note", text))),
            Event::Warning(text) => {
                Some(format!("{}: {}", self.paint.doubtful("warning"), self.fit("warning", text)))
            }
        }
    }

    fn fit(&self, label: &str, text: &str) -> String {
        let text = harmless(text);
        match self.width {
            Some(width) => wrap(&text, width, label.len() + 2),
            None => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use minke_build::{Hop, Unit};

    use super::*;

    fn lines(verbosity: Verbosity) -> String {
        let lines = Lines::new(verbosity, Paint::Plain, None);
        let events = [
            Event::Started { hop: Hop::Fetch, unit: Unit::Bytes, meter: Arc::default() },
            Event::Note("the entry point is `hello`".to_owned()),
            Event::Warning("two wheels own `a.py`".to_owned()),
            Event::Finished { hop: Hop::Fetch, took: Duration::from_millis(1234) },
        ];
        events.iter().filter_map(|event| lines.line(event)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_terminal_gets_texts_that_fit() {
        let lines = Lines::new(Verbosity::Normal, Paint::Plain, Some(24));
        let said = lines.line(&Event::Warning("two wheels own `a.py`, one of them wins".to_owned()));
        insta::assert_snapshot!(said.unwrap(), @r"
        warning: two wheels own
                 `a.py`, one of
                 them wins
        ");
    }

    #[test]
    fn a_log_gets_few_lines() {
        insta::assert_snapshot!(lines(Verbosity::Quiet), @"warning: two wheels own `a.py`");
        insta::assert_snapshot!(lines(Verbosity::Normal), @r"
        note: the entry point is `hello`
        warning: two wheels own `a.py`
        ");
        insta::assert_snapshot!(lines(Verbosity::Verbose), @r"
        note: the entry point is `hello`
        warning: two wheels own `a.py`
        fetch: 1.2 s
        ");
    }
}
