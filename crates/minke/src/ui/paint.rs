//! Colours, which only ever repeat what the words say.

use std::fmt::Display;
use std::io::IsTerminal;

use owo_colors::Style;

use crate::arguments::Color;
use crate::settings::Surroundings;

/// What a stream ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Medium {
    /// A terminal.
    Terminal,
    /// A file, a pipe, nothing.
    Other,
}

impl Medium {
    /// Tells what a stream ends in.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        if stream.is_terminal() { Self::Terminal } else { Self::Other }
    }
}

/// Whether a stream is written in colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paint {
    /// As it is.
    Plain,
    /// With ANSI colours.
    Colored,
}

impl Paint {
    /// Decides for a stream.
    ///
    /// Spec: <https://no-color.org/>
    pub(crate) fn choose(color: Color, around: &Surroundings, medium: Medium) -> Self {
        let can = medium == Medium::Terminal && around.variable("TERM") != Some("dumb");
        let may = around.variable("NO_COLOR").is_none();
        match color {
            Color::Always => Self::Colored,
            Color::Never => Self::Plain,
            Color::Auto if can && may => Self::Colored,
            Color::Auto => Self::Plain,
        }
    }

    /// What went wrong.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.styled(text, Style::new().red().bold())
    }

    /// What may be wrong.
    pub(crate) fn doubtful(self, text: impl Display) -> String {
        self.styled(text, Style::new().yellow().bold())
    }

    /// What helps.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.styled(text, Style::new().green().bold())
    }

    /// What matters most.
    pub(crate) fn strong(self, text: impl Display) -> String {
        self.styled(text, Style::new().bold())
    }

    /// What matters least.
    pub(crate) fn faint(self, text: impl Display) -> String {
        self.styled(text, Style::new().dimmed())
    }

    fn styled(self, text: impl Display, style: Style) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Colored => style.style(text).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::surroundings;

    #[test]
    fn no_color_and_dumb_terminals_are_heeded_unless_told_otherwise() {
        let choose = |color, variables: &[(&str, &str)], medium| {
            Paint::choose(color, &surroundings(variables), medium)
        };
        assert_eq!(choose(Color::Auto, &[], Medium::Terminal), Paint::Colored);
        assert_eq!(choose(Color::Auto, &[("NO_COLOR", "")], Medium::Terminal), Paint::Colored);
        assert_eq!(choose(Color::Auto, &[("NO_COLOR", "1")], Medium::Terminal), Paint::Plain);
        assert_eq!(choose(Color::Auto, &[("TERM", "dumb")], Medium::Terminal), Paint::Plain);
        assert_eq!(choose(Color::Auto, &[], Medium::Other), Paint::Plain);
        assert_eq!(choose(Color::Always, &[("NO_COLOR", "1")], Medium::Other), Paint::Colored);
        assert_eq!(choose(Color::Never, &[], Medium::Terminal), Paint::Plain);
    }

    #[test]
    fn plain_paint_leaves_no_trace() {
        assert_eq!(Paint::Plain.bad("x"), "x");
        assert_eq!(Paint::Colored.bad("x"), "\u{1b}[31;1mx\u{1b}[0m");
    }
}
