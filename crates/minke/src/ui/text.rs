//! Numbers and words for people: sizes, durations, lines that fit.

use std::borrow::Cow;
use std::time::Duration;

/// A space at which [`wrap`] doesn't break: between a number and its unit.
pub(crate) const NARROW: char = '\u{a0}';

/// Writes a size in decimal units, as container tools do: `999 B`, `12.3 kB`, `1.2 GB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // From 999.95 on, one decimal would round to 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Writes a duration as precisely as it matters: `12 ms`, `3.4 s`, `2 min 05 s`.
pub(crate) fn duration(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        1_000..59_950 => format!("{:.1} s", took.as_secs_f64()),
        _ => {
            let secs = took.as_secs_f64().round() as u64;
            format!("{} min {:02} s", secs / 60, secs % 60)
        }
    }
}

/// Writes a number of things: `1 file`, `2 files`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Makes a foreign text safe to show: a control character other than a line's end is spelled out, so that a
/// name cannot move the cursor, hide a line or set a title.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |character: char| {
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (character.is_control() && character != '\n') || turns
    };
    if !text.contains(harmful) {
        return text.into();
    }
    text.chars()
        .flat_map(|character| {
            let spelled: Box<dyn Iterator<Item = char>> = match harmful(character) {
                true => Box::new(character.escape_default()),
                false => Box::new(std::iter::once(character)),
            };
            spelled
        })
        .collect()
}

/// Cuts a text to a number of characters, the last of them `…` where something is gone.
pub(crate) fn clip(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Breaks a text between words so that lines fit; a word that is longer than a line stays whole.
///
/// Each paragraph of the text starts a line; lines after the first are indented, the first is taken to be
/// by whoever writes what stands before it. A space that doesn't break ([`NARROW`]) ends as a plain one.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let fits = indent + line.chars().count() + 1 + word.chars().count() <= width;
            if !line.is_empty() && !fits {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join(&format!("\n{:indent$}", "")).replace(NARROW, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_and_never_four_digits() {
        let sizes = [0, 999, 1000, 1049, 999_949, 999_950, 45_100_000, 1_230_000_000, u64::MAX].map(size);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "1.0 kB", "999.9 kB", "1.0 MB", "45.1 MB", "1.2 GB", "18446744.1 TB"]
        );
    }

    #[test]
    fn durations_are_as_precise_as_they_matter() {
        let durations = [0, 999, 1000, 3449, 59_949, 59_950, 125_000]
            .map(|millis| duration(Duration::from_millis(millis)));
        assert_eq!(durations, ["0 ms", "999 ms", "1.0 s", "3.4 s", "59.9 s", "1 min 00 s", "2 min 05 s"]);
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\tc\nd\u{202e}"), "a\\u{1b}[2Jb\\r\\tc\nd\\u{202e}");
        assert!(matches!(harmless("größe 鯨"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(clip("scikit-learn", 12), "scikit-learn");
        assert_eq!(clip("scikit-learn", 8), "scikit-…");
    }

    #[test]
    fn lines_break_between_words_and_long_words_stay_whole() {
        insta::assert_snapshot!(wrap("one two three-and-a-half four\nnext five", 12, 2), @r"
        one two
          three-and-a-half
          four
          next five
        ");
    }
}
