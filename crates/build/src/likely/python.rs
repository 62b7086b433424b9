//! Names of libraries in Python's files: the texts in calls of what loads libraries, and texts that can be nothing else.
//!
//! A file is read as tokens, not as a program: what a name is made of while it runs isn't known.

use std::iter::Peekable;
use std::str::CharIndices;

use super::Names;

/// What a file has that loads libraries by itself.
const MENTIONS: [&str; 4] = ["ctypes", "cffi", "dlopen", "find_library"];

/// What functions are called that load or find a library, in lower case.
const LOADERS: [&str; 8] =
    ["dlopen", "cdll", "pydll", "loadlibrary", "load_library", "find_library", "locate_library", "load_lib"];

/// Returns the names in each call, and each soname with a version that stands by itself.
pub(super) fn loaded(text: &str) -> Vec<Names> {
    if !MENTIONS.iter().any(|mention| text.contains(mention)) {
        return Vec::new();
    }
    let mut found: Vec<Names> = Vec::new();
    let mut open: Vec<Option<Vec<String>>> = Vec::new();
    let (mut word, mut before) = ("", "");
    for token in Tokens::of(text) {
        match token {
            Token::Word(next) => {
                before = word;
                word = next;
                continue;
            }
            Token::Open { is_call } => {
                let is_loader = is_call && !matches!(before, "def" | "class") && loads(word);
                open.push(is_loader.then(Vec::new));
            }
            Token::Close => {
                let names = open.pop().flatten().unwrap_or_default();
                found.extend((!names.is_empty()).then_some(Names(names)));
            }
            Token::Text(text) => match open.iter_mut().rev().find_map(Option::as_mut) {
                Some(names) => names.push(text.to_owned()),
                None if is_soname(text) => found.push(Names(vec![text.to_owned()])),
                None => {}
            },
            Token::Other => {}
        }
        (word, before) = ("", "");
    }
    found
}

fn loads(function: &str) -> bool {
    let function = function.to_lowercase();
    LOADERS.iter().any(|loader| function.contains(loader))
}

fn is_soname(text: &str) -> bool {
    text.strip_prefix("lib").and_then(|rest| rest.split_once(".so.")).is_some_and(|(name, version)| {
        !name.is_empty()
            && !name.contains(['/', '*', '{', '%', ' '])
            && version.split('.').all(|part| part.parse::<u32>().is_ok())
    })
}

enum Token<'text> {
    Word(&'text str),
    Text(&'text str),
    /// `is_call`: a parenthesis, which makes a call of the word before it.
    Open {
        is_call: bool,
    },
    Close,
    Other,
}

struct Tokens<'text> {
    text: &'text str,
    rest: Peekable<CharIndices<'text>>,
}

impl<'text> Tokens<'text> {
    fn of(text: &'text str) -> Self {
        Self { text, rest: text.char_indices().peekable() }
    }

    /// Reads on while letters are such, and returns where that ends.
    fn skip(&mut self, is_such: impl Fn(char) -> bool) -> usize {
        while self.rest.next_if(|(_, letter)| is_such(*letter)).is_some() {}
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// Reads a text whose opening quote, at `start`, was read. One of three quotes is never a name.
    fn quoted(&mut self, start: usize, quote: char) -> Token<'text> {
        let three: String = [quote; 3].iter().collect();
        if self.text[start..].starts_with(&three) {
            let after = start + 3;
            let end = self.text[after..].find(&three).map_or(self.text.len(), |length| after + length + 3);
            while self.rest.next_if(|(at, _)| *at < end).is_some() {}
            return Token::Other;
        }
        let mut is_escaped = false;
        while let Some((at, letter)) = self.rest.next_if(|(_, letter)| *letter != '\n') {
            match letter {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                _ if letter == quote => return Token::Text(&self.text[start + 1..at]),
                _ => {}
            }
        }
        Token::Other
    }
}

impl<'text> Iterator for Tokens<'text> {
    type Item = Token<'text>;

    fn next(&mut self) -> Option<Token<'text>> {
        self.skip(char::is_whitespace);
        let (at, letter) = self.rest.next()?;
        Some(match letter {
            '#' => {
                self.skip(|letter| letter != '\n');
                return self.next();
            }
            '"' | '\'' => self.quoted(at, letter),
            '(' => Token::Open { is_call: true },
            '[' | '{' => Token::Open { is_call: false },
            ')' | ']' | '}' => Token::Close,
            _ if letter.is_alphanumeric() || letter == '_' => {
                let end = self.skip(|letter| letter.is_alphanumeric() || letter == '_');
                let word = &self.text[at..end];
                let is_prefix = word.len() <= 2 && word.chars().all(|letter| "rRbBuUfF".contains(letter));
                match self.rest.peek().copied() {
                    Some((quote_at, quote @ ('"' | '\''))) if is_prefix => {
                        self.rest.next();
                        let text = self.quoted(quote_at, quote);
                        // What stands in braces there isn't known.
                        if word.to_lowercase().contains('f') { Token::Other } else { text }
                    }
                    _ => Token::Word(word),
                }
            }
            _ => Token::Other,
        })
    }
}
