//! Which libraries a `setup.py` links extension modules with, where it says so in literals.

use crate::contents::Missing;

/// Returns the names in `libraries=["x", …]` and `"libraries": ["x", …]`; what is computed says nothing.
pub(super) fn libraries(text: &str) -> Vec<Vec<Missing>> {
    let lists = text.match_indices("libraries").filter_map(|(at, word)| {
        let line = text.get(..at)?.rsplit('\n').next()?;
        let is_word = !line.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let rest = text.get(at + word.len()..)?.trim_start_matches(['"', '\'']).trim_start();
        let list = rest.strip_prefix(['=', ':'])?.trim_start().strip_prefix('[')?;
        let (list, _) = list.split_once(']')?;
        (is_word && !line.contains('#')).then_some(list)
    });
    let names = lists.flat_map(|list| list.split(',')).filter_map(literal);
    names.map(|name| vec![Missing::Library(name.to_owned())]).collect()
}

fn literal(item: &str) -> Option<&str> {
    let item = item.trim();
    let quote = item.chars().next().filter(|c| "\"'".contains(*c))?;
    let name = item.strip_prefix(quote)?.strip_suffix(quote)?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    ((1..60).contains(&name.len()) && name.chars().all(is_fine)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_named_in_literals() {
        let text = "Extension('x', sources=['x.c'], libraries=[\"ssl\", 'crypto'])\nkwargs = {\"libraries\": ['pq']}\n\
                    # libraries=['no']\nlibraries = [name]\nlibraries == ['no']\nmy_libraries = ['no']\nlibraries=[";
        let said: Vec<String> = libraries(text).iter().flatten().map(Missing::what).collect();
        insta::assert_snapshot!(said.join(", "), @"the library `-lssl`, the library `-lcrypto`, the library `-lpq`");
    }
}
