//! Errors as they are read.

use super::*;
use crate::foreman::ImagesError;
use crate::settings::SurroundingsError;
use crate::task::UsageError;

fn damaged() -> Failure {
    Failure::Images(ImagesError::Image {
        name: "hello:latest".to_owned(),
        source: minke_cas::StoreError::Damaged { path: "/c/v2/blobs/ab".into() }.into(),
    })
}

#[test]
fn an_error_says_what_was_done_what_happened_and_what_to_do() {
    insta::assert_snapshot!(render(&damaged(), Paint::Plain), @r"
    error: cannot read the image `hello:latest`
      because: the image's parts cannot be read or kept
      because: `/c/v2/blobs/ab` in the cache is damaged
      help: build it again with `minke build`
    ");
}

#[test]
fn an_error_that_passes_another_on_says_it_once() {
    let failure = Failure::Usage(UsageError::Surroundings(SurroundingsError::NoCache));
    insta::assert_snapshot!(render(&failure, Paint::Plain), @r"
    error: nothing says where the cache is to lie: there is no home directory
      help: say it with `--cache-dir` or MINKE_CACHE
    ");
}

#[test]
fn colours_are_on_the_labels_only() {
    insta::assert_snapshot!(render(&damaged(), Paint::Colored).escape_debug(), @r"\u{1b}[31;1merror\u{1b}[0m: cannot read the image `hello:latest`\n\u{1b}[1m  because\u{1b}[0m: the image\'s parts cannot be read or kept\n\u{1b}[1m  because\u{1b}[0m: `/c/v2/blobs/ab` in the cache is damaged\n\u{1b}[32;1m  help\u{1b}[0m: build it again with `minke build`");
}

#[test]
fn further_lines_stand_below_the_first_and_cannot_steer_the_terminal() {
    insta::assert_snapshot!(line("  because", "  because", "line 1\nline 2\u{1b}[2J\n"), @r"
    because: line 1
             line 2\u{1b}[2J
    ");
}
