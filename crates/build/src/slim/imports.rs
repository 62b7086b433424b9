//! Which modules a Python source names: in its imports, wherever they stand, and in strings that look like one.
//!
//! It is no parser: it finds statements that begin with `import` or `from`, whatever is around them, so that sources
//! of any version will do. What it finds too much keeps a file; it finds nothing too little but names that are put
//! together while the program runs.

use std::collections::BTreeSet;

/// Returns the dotted names that a source speaks of: modules that it imports, and what may be one.
///
/// `package` is the dotted name of the package that the source is in (its own, for an `__init__.py`), from which
/// relative imports are reckoned. Strings count if they are dotted names that begin with `top.` for one of `tops`.
pub(super) fn named(source: &str, package: &str, tops: &BTreeSet<String>) -> BTreeSet<String> {
    let mut reader = Reader { rest: source, package, tops, found: BTreeSet::new() };
    reader.read();
    reader.found
}

struct Reader<'source> {
    rest: &'source str,
    package: &'source str,
    tops: &'source BTreeSet<String>,
    found: BTreeSet<String>,
}

impl<'source> Reader<'source> {
    fn read(&mut self) {
        let mut is_start = true;
        while let Some(first) = self.rest.chars().next() {
            match first {
                '\n' | ';' | ':' => {
                    is_start = true;
                    self.skip(1);
                }
                ' ' | '\t' | '\r' | '\x0c' => self.skip(1),
                '#' => self.skip_line(),
                '"' | '\'' => {
                    self.string(first);
                    is_start = false;
                }
                _ if is_word(first) => {
                    let word = self.word();
                    match word {
                        "import" if is_start => self.import(),
                        "from" if is_start => self.from(),
                        _ => {}
                    }
                    is_start = false;
                }
                _ => {
                    self.skip(first.len_utf8());
                    is_start = false;
                }
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn skip_line(&mut self) {
        self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
    }

    fn word(&mut self) -> &'source str {
        let end = self.rest.find(|next| !is_word(next)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Reads a string to its end; one that ends nowhere ends with its line, or with the source.
    fn string(&mut self, quote: char) {
        let triple: &str = if quote == '"' { "\"\"\"" } else { "'''" };
        let close = if self.rest.starts_with(triple) { triple } else { &triple[..1] };
        self.skip(close.len());
        let inside = self.rest;
        loop {
            let end = self.rest.find(['\\', '\n', quote]);
            let Some(end) = end else {
                self.rest = "";
                return;
            };
            self.skip(end);
            if self.rest.starts_with('\\') {
                let escaped = self.rest[1..].chars().next().map_or(0, char::len_utf8);
                self.skip(1 + escaped);
            } else if self.rest.starts_with(close) {
                break;
            } else if self.rest.starts_with('\n') && close.len() == 1 {
                return;
            } else {
                self.skip(1);
            }
        }
        let text = &inside[..inside.len() - self.rest.len()];
        self.skip(close.len());
        self.note_text(text);
    }

    fn note_text(&mut self, text: &str) {
        let is_name = |part: &str| {
            part.chars().all(is_word) && part.chars().next().is_some_and(|first| !first.is_ascii_digit())
        };
        let is_dotted = text.len() < 200 && text.contains('.');
        if is_dotted && text.split('.').all(is_name) {
            let top = text.split('.').next().unwrap_or_default();
            if self.tops.contains(top) {
                self.found.insert(text.to_owned());
            }
        } else if let Some(relative) = text.strip_prefix('.').filter(|_| text.len() < 200) {
            // As `import_module(".x", __package__)` has it.
            let dots = 1 + relative.len() - relative.trim_start_matches('.').len();
            let name = relative.trim_start_matches('.');
            if !name.is_empty() && name.split('.').all(is_name) {
                self.found.extend(self.relative(dots, name));
            }
        }
    }

    /// `import a.b as c, d`.
    fn import(&mut self) {
        loop {
            self.blanks(Lines::One);
            let name = self.dotted();
            if name.is_empty() {
                return;
            }
            self.found.insert(name);
            self.alias(Lines::One);
            if !self.rest.starts_with(',') {
                return;
            }
            self.skip(1);
        }
    }

    /// `from ..a.b import c as d, (e, f)`.
    fn from(&mut self) {
        self.blanks(Lines::One);
        let mut dots = 0;
        while self.rest.starts_with('.') {
            dots += 1;
            self.skip(1);
            self.blanks(Lines::One);
        }
        // `from . import x` has no name.
        let has_name = dots == 0 || !self.is_next("import");
        let name = if has_name { self.dotted() } else { String::new() };
        self.blanks(Lines::One);
        if !self.is_next("import") {
            return;
        }
        let module = if dots == 0 { Some(name) } else { self.relative(dots, &name) };
        let Some(module) = module else { return };
        self.skip("import".len());
        if !module.is_empty() {
            self.found.insert(module.clone());
        }
        self.blanks(Lines::One);
        let lines = if self.rest.starts_with('(') { Lines::Many } else { Lines::One };
        if lines == Lines::Many {
            self.skip(1);
        }
        loop {
            self.blanks(lines);
            let name = self.word();
            if name.is_empty() {
                return;
            }
            self.found.insert(format!("{module}.{name}"));
            self.alias(lines);
            if !self.rest.starts_with(',') {
                return;
            }
            self.skip(1);
        }
    }

    fn alias(&mut self, lines: Lines) {
        self.blanks(lines);
        if self.is_next("as") {
            self.skip(2);
            self.blanks(lines);
            self.word();
            self.blanks(lines);
        }
    }

    fn is_next(&self, word: &str) -> bool {
        self.rest.strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_word))
    }

    fn dotted(&mut self) -> String {
        let mut name = self.word().to_owned();
        loop {
            self.blanks(Lines::One);
            if name.is_empty() || !self.rest.starts_with('.') {
                return name;
            }
            self.skip(1);
            self.blanks(Lines::One);
            name.push('.');
            name.push_str(self.word());
        }
    }

    /// Skips blanks, continued lines, and between brackets comments and line ends.
    fn blanks(&mut self, lines: Lines) {
        loop {
            let before = self.rest.len();
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\x0c']);
            for end in ["\\\n", "\\\r\n"] {
                self.rest = self.rest.strip_prefix(end).unwrap_or(self.rest);
            }
            if lines == Lines::Many {
                self.rest = self.rest.trim_start_matches('\n');
                if self.rest.starts_with('#') {
                    self.skip_line();
                }
            }
            if self.rest.len() == before {
                return;
            }
        }
    }

    /// Returns what a relative name stands for; none above the topmost package.
    fn relative(&self, dots: usize, name: &str) -> Option<String> {
        let mut package = self.package;
        for _ in 1..dots {
            package = package.rsplit_once('.')?.0;
        }
        Some(match (package, name) {
            (package, "") => package.to_owned(),
            ("", name) => name.to_owned(),
            (package, name) => format!("{package}.{name}"),
        })
    }
}

/// Where a statement may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(source: &str) -> Vec<String> {
        let tops = BTreeSet::from(["pkg".to_owned()]);
        named(source, "pkg.sub", &tops).into_iter().collect()
    }

    #[test]
    fn imports_are_found_wherever_they_stand() {
        assert_eq!(of("import a.b as c, d"), ["a.b", "d"]);
        assert_eq!(
            of("def f():\n    if x: import a; from b import (c as d, # why\n  e,)"),
            ["a", "b", "b.c", "b.e"]
        );
        assert_eq!(of("try:\n\timport a \\\n , b\nexcept: pass"), ["a", "b"]);
        assert_eq!(of("from a import *"), ["a"]);
        assert_eq!(of("yield from imported\nx = from_import"), Vec::<String>::new());
    }

    #[test]
    fn relative_imports_begin_at_the_package() {
        assert_eq!(of("from . import x"), ["pkg.sub", "pkg.sub.x"]);
        assert_eq!(of("from .. tests.common import x"), ["pkg.tests.common", "pkg.tests.common.x"]);
        assert_eq!(of("from .... import x"), Vec::<String>::new());
        assert_eq!(of("import_module('.tests', __name__)"), ["pkg.sub.tests"]);
    }

    #[test]
    fn strings_and_comments_are_no_statements() {
        assert_eq!(of("'''\nimport a\n'''\n# import b\nx = 'it\\'s'; import c"), ["c"]);
        assert_eq!(of("x = 'never ends\nimport a"), ["a"]);
        assert_eq!(of("f\"\"\"import a\"\"\"\nr'\\'\nimport b"), ["b"]);
    }

    #[test]
    fn a_string_that_is_a_dotted_name_of_the_distribution_counts() {
        assert_eq!(of("load('pkg.tests.util', 'other.thing', 'pkg.no-name', 'pkg')"), ["pkg.tests.util"]);
    }

    proptest! {
        /// No text makes it panic or hang.
        #[test]
        fn any_text_is_read(text in "[a-c '\"\\\\\n.,()#:é]{0,40}(from|import)?[a-c '\"\\\\\n.,()#]{0,40}") {
            of(&text);
        }
    }
}
