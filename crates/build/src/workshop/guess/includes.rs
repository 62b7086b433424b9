//! Which headers a source's text includes whatever it is compiled for.
//!
//! What stands under a condition may be for another system or optional and is passed over; a whole file in `#ifndef` and
//! `#define` of one name is under none. Cython's `cdef extern from "x.h"` counts as well.

/// Returns the headers that a text includes without a condition, in its order.
pub(super) fn headers(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut conditions = 0_usize;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(directive) = line.strip_prefix('#').map(str::trim_start) {
            let (word, rest) = directive.split_once(|c: char| !c.is_alphabetic()).unwrap_or((directive, ""));
            match word {
                "ifndef" if is_guard(rest, lines.peek().copied()) => {}
                "if" | "ifdef" | "ifndef" => conditions += 1,
                // The guard's own ends the file.
                "endif" => conditions = conditions.saturating_sub(1),
                "include" if conditions == 0 => found.extend(directive.get(7..).and_then(named)),
                _ => {}
            }
        } else if let Some(rest) = line.strip_prefix("cdef extern from ") {
            found.extend(named(rest));
        }
    }
    found
}

/// Tells whether `#ifndef NAME` is followed by `#define NAME`.
fn is_guard(name: &str, next: Option<&str>) -> bool {
    let defined = next.and_then(|next| next.trim().strip_prefix('#')?.trim_start().strip_prefix("define"));
    defined.is_some_and(|defined| defined.split_whitespace().next() == Some(name.trim()))
}

/// Returns what stands between quotes or angle brackets, if that is a header's name.
fn named(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let close = match text.chars().next()? {
        '<' => '>',
        '"' => '"',
        '\'' => '\'',
        _ => return None,
    };
    let (name, _) = text.get(1..)?.split_once(close)?;
    let name = name.strip_prefix('<').unwrap_or(name).trim_end_matches('>');
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    let has_suffix = [".h", ".hpp", ".hh", ".hxx"].iter().any(|suffix| name.ends_with(suffix));
    (has_suffix
        && name.len() < 100
        && name.chars().all(is_fine)
        && !name.contains("..")
        && !name.starts_with('/'))
    .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_under_a_condition_is_passed_over() {
        let text = "#ifndef X_H\n#define X_H\n#include <lber.h>\n#ifdef _WIN32\n# include <windows.h>\n#else\n\
                    #include <a.h>\n#endif\n  #  include \"libpq-fe.h\"\n#if 0\n#if 1\n#endif\n#include <b.h>\n#endif\n\
                    #include <c.h>\n#endif\n";
        assert_eq!(headers(text), ["lber.h", "libpq-fe.h", "c.h"]);
    }

    #[test]
    fn cython_says_it_in_its_own_words() {
        let text = "cdef extern from \"libxml/tree.h\" nogil:\n    cdef extern from \"<zlib.h>\":\ncdef extern from *:\n";
        assert_eq!(headers(text), ["libxml/tree.h", "zlib.h"]);
    }

    #[test]
    fn what_is_no_name_of_a_header_is_none() {
        let text = "#include\n#include MACRO\n#include <vector>\n#include <../x.h>\n#include \"x\n#include </etc/x.h>\n#\n";
        assert_eq!(headers(text), [""; 0]);
    }
}
