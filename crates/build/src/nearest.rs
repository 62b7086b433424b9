//! What somebody may have meant by a name that nothing has.

use std::collections::BTreeSet;

/// How many near names are listed at most.
const LISTED: usize = 3;

/// Returns the names that differ least from one, the nearest first; none where no name is near.
///
/// The distance is Damerau's and Levenshtein's: letters added, left out, changed, or exchanged with the next.
pub(crate) fn nearest<'known>(
    name: &str,
    known: impl IntoIterator<Item = &'known str>,
) -> impl Iterator<Item = String> {
    let near = known.into_iter().filter_map(|there| {
        let distance = strsim::damerau_levenshtein(name, there);
        (distance <= 1 + name.len() / 4).then_some((distance, there))
    });
    // One name may be known several times.
    let near: BTreeSet<(usize, &str)> = near.collect();
    near.into_iter().take(LISTED).map(|(_, there)| there.to_owned()).collect::<Vec<_>>().into_iter()
}

/// Returns the end of a sentence that says what was meant; nothing where that can't be guessed.
pub(crate) fn suggestion(nearest: &[String]) -> String {
    let quoted: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; did you mean {only}?"),
        Some((last, others)) => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first_and_others_are_not_near() {
        let near =
            |name: &str| nearest(name, ["tools", "tool", "total", "tools", "python"]).collect::<Vec<_>>();
        assert_eq!(near("tolo"), ["tool", "tools"]);
        assert_eq!(suggestion(&near("tolo")), "; did you mean `tool` or `tools`?");
        assert_eq!(suggestion(&near("pyhton")), "; did you mean `python`?");
        assert_eq!(suggestion(&near("zlib")), "");
    }
}
