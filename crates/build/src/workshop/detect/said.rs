//! Sentences of packages' own that name what is missing, of forms that more than one package has.
//!
//! Nothing tells whether it is a library or a program that they name, so the archive is asked for both.

use super::{Question, is_name, unquoted};
use crate::contents::Missing;

/// Returns what a line says is missing.
pub(super) fn question(line: &str) -> Option<Question> {
    command(line).or_else(|| not_installed(line)).or_else(|| not_found_for(line)).or_else(|| headers(line))
}

/// `The 'apxs' command appears not to be installed`.
fn command(line: &str) -> Option<Question> {
    let (before, after) = line.split_once("' command ").or_else(|| line.split_once("` command "))?;
    let name = before.rsplit(['\'', '`']).next()?;
    let is_missed = ["not to be installed", "not found", "is missing", "could not be found"];
    let is_missed = is_missed.iter().any(|words| after.contains(words));
    (is_missed && is_name(name)).then(|| Question::System(vec![Missing::Program(name.to_owned())]))
}

/// `xmlsec1 is not installed or not in path.`
fn not_installed(line: &str) -> Option<Question> {
    let (before, _) = line.split_once(" is not installed")?;
    any_of(before.rsplit(' ').next()?)
}

/// `The headers or library files could not be found for jpeg,`.
fn not_found_for(line: &str) -> Option<Question> {
    let (_, after) = line.split_once("could not be found for ")?;
    any_of(after.split(' ').next()?.trim_end_matches([',', '.', ':', ';']))
}

/// `Did not find netCDF version 4 headers.`, whose names are seldom written as the library's file is.
fn headers(line: &str) -> Option<Question> {
    let (_, after) = line.split_once("not find ")?;
    let (before, _) = after.split_once(" headers")?;
    any_of(&before.split(' ').next()?.to_lowercase())
}

fn any_of(name: &str) -> Option<Question> {
    let name = unquoted(name);
    let stem = name.strip_prefix("lib").filter(|stem| stem.len() > 1).unwrap_or(name);
    let any = vec![
        Missing::PkgConfig(name.to_owned()),
        Missing::Library(stem.to_owned()),
        Missing::Program(name.to_owned()),
    ];
    // A word of the sentence is no name: "it is not installed".
    let is_word = ["it", "that", "this", "which", "library", "package", "and", "or"].contains(&name);
    (is_name(name) && !is_word).then_some(Question::System(any))
}

#[cfg(test)]
mod tests {
    use super::super::{Question, questions};

    fn asked(log: &str) -> Vec<String> {
        let what = |question: &Question| match question {
            Question::System(any) => {
                any.iter().map(|missing| missing.what()).collect::<Vec<_>>().join(" or ")
            }
            other => format!("{other:?}"),
        };
        questions(log).iter().map(what).collect()
    }

    #[test]
    fn a_command_that_is_not_installed_is_a_program() {
        let said = "RuntimeError: The 'apxs' command appears not to be installed or is not executable. Please check\n";
        assert_eq!(asked(said), ["the program `apxs`"]);
    }

    #[test]
    fn what_is_not_installed_may_be_a_library_or_a_program() {
        assert_eq!(
            asked("error: xmlsec1 is not installed or not in path.\n"),
            ["the pkg-config module `xmlsec1` or the library `-lxmlsec1` or the program `xmlsec1`"]
        );
        assert_eq!(asked("error: it is not installed\n"), [""; 0]);
    }

    #[test]
    fn headers_are_missed_for_a_library() {
        assert_eq!(
            asked("The headers or library files could not be found for jpeg,\na required dependency\n"),
            ["the pkg-config module `jpeg` or the library `-ljpeg` or the program `jpeg`"]
        );
    }
}
