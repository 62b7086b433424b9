//! What a `setup.py` says in literals: which libraries it links extension modules with, which programs it asks for them.

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

/// Returns the programs that tell where a library lies, such as `pcre2-config`, where a text begins with their name.
pub(super) fn programs(text: &str) -> Vec<Missing> {
    let starts = text.match_indices(['"', '\'']).filter_map(|(at, _)| text.get(at + 1..));
    let words = starts.filter_map(|text| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._+-".contains(c)))?;
        let ends_well = text.get(end..)?.starts_with([' ', '"', '\'']);
        text.get(..end).filter(|_| ends_well)
    });
    let is_of_library = |word: &&str| {
        let stem = word.strip_suffix("-config").unwrap_or_default();
        stem.starts_with(|c: char| c.is_ascii_alphabetic())
            && stem.len() < 40
            && stem != "pkg"
            && !stem.starts_with("python")
    };
    words.filter(is_of_library).map(|word| Missing::Program(word.to_owned())).collect()
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
    fn programs_are_named_where_a_command_begins() {
        let text = "libs = spcall('pcre2-config --libs8')\nmain = os.environ.get('X', \"xml2-config\")\n\
                    spcall(\"pkg-config --libs x\") or 'python3-config' or '--with-foo-config' or 'see foo-config.h'\n\
                    '-config' \"a";
        let said: Vec<String> = programs(text).iter().map(Missing::what).collect();
        insta::assert_snapshot!(said.join(", "), @"the program `pcre2-config`, the program `xml2-config`");
    }

    #[test]
    fn libraries_are_named_in_literals() {
        let text = "Extension('x', sources=['x.c'], libraries=[\"ssl\", 'crypto'])\nkwargs = {\"libraries\": ['pq']}\n\
                    # libraries=['no']\nlibraries = [name]\nlibraries == ['no']\nmy_libraries = ['no']\nlibraries=[";
        let said: Vec<String> = libraries(text).iter().flatten().map(Missing::what).collect();
        insta::assert_snapshot!(said.join(", "), @"the library `-lssl`, the library `-lcrypto`, the library `-lpq`");
    }
}
