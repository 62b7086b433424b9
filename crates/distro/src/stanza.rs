//! Control stanzas: `Field: value` lines, continued by lines that begin with a blank.
//!
//! Spec: <https://www.debian.org/doc/debian-policy/ch-controlfields.html#syntax-of-control-files>

/// Returns the fields of one stanza in order; a value keeps its inner line ends but no blanks round it.
///
/// A line that is neither field nor continuation is [`None`]; comments (`#`) are skipped.
pub(crate) fn fields(stanza: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    let mut rest = stanza;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let field = take_field(&mut rest);
            if field.starts_with('#') || field.trim().is_empty() {
                continue;
            }
            let split = field.split_once(':').filter(|(name, _)| lawful(name));
            return Some(split.map(|(name, value)| (name, value.trim())));
        }
    })
}

/// Returns the value of a field, whatever the case of its name.
pub(crate) fn field<'text>(stanza: &'text str, name: &str) -> Option<&'text str> {
    fields(stanza).flatten().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Returns the stanzas of a text, which blank lines part.
pub(crate) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let length = stanza_length(rest);
            let (stanza, after) = rest.split_at(length);
            rest = after.split_once('\n').map_or("", |(_, after)| after);
            if !stanza.trim().is_empty() {
                return Some(stanza);
            }
        }
    })
}

fn stanza_length(text: &str) -> usize {
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            break;
        }
        length += line.len();
    }
    length
}

fn take_field<'text>(rest: &mut &'text str) -> &'text str {
    let mut length = 0;
    for line in rest.split_inclusive('\n') {
        if length > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        length += line.len();
    }
    let (field, after) = rest.split_at(length);
    *rest = after;
    field
}

fn lawful(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_on_where_lines_begin_with_a_blank() {
        let stanza = "Package: a\n# a remark\nDepends: b,\n c\nnonsense\n";
        let found: Vec<_> = fields(stanza).collect();
        assert_eq!(found, [Some(("Package", "a")), Some(("Depends", "b,\n c")), None]);
        assert_eq!(field(stanza, "depends"), Some("b,\n c"));
    }

    #[test]
    fn blank_lines_part_stanzas() {
        let found: Vec<_> = stanzas("\n\nA: 1\nB: 2\n \n\nC: 3").collect();
        assert_eq!(found, ["A: 1\nB: 2\n", "C: 3"]);
    }
}
