//! What compilers are told where nobody says anything else: small code without debug information.

use std::collections::BTreeMap;

use minke_python::PackageName;

use super::recipe::Tools;
use crate::settings::BuildWishes;

/// What C and C++ compilers are told.
///
/// They come after the interpreter's own flags, which say `-g -O2`, and win over them.
const COMPILE: &str = "-Os -g0 -ffunction-sections -fdata-sections";

/// What the linker is told: nothing that isn't used, and no symbols that the loader doesn't read.
const LINK: &str = "-Wl,--gc-sections -Wl,--as-needed -Wl,-s";

/// What is built with `-O2` all the same, and why.
const FAST: [(&str, &str); 1] = [(
    "netcdf4",
    "functions that are `inline` in a header of its own, in C99's sense, are nowhere unless they are inlined",
)];

/// Returns what decides the bytes of what is built: by default, or as the settings say.
pub(super) fn environment(
    tools: Tools,
    name: Option<&PackageName>,
    wishes: Option<&BuildWishes>,
) -> BTreeMap<String, String> {
    let is_fast = |name: &PackageName| FAST.iter().any(|(fast, _)| *fast == name.as_str());
    let by_name = name.filter(|name| is_fast(name)).map(|_| "-O2");
    let said = wishes.and_then(|wishes| wishes.cflags.as_deref()).or(by_name);
    let mut all = BTreeMap::new();
    if tools == Tools::Compilers {
        // What is said comes last, where it wins.
        let compile = said.map_or_else(|| COMPILE.to_owned(), |said| format!("{COMPILE} {said}"));
        for (name, value) in [("CFLAGS", compile.as_str()), ("CXXFLAGS", &compile), ("LDFLAGS", LINK)] {
            all.insert(name.to_owned(), value.to_owned());
        }
    }
    all.extend(wishes.map(|wishes| wishes.env.clone()).unwrap_or_default());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(name: &str, wishes: Option<&BuildWishes>) -> String {
        environment(Tools::Compilers, Some(&name.parse().unwrap()), wishes).remove("CFLAGS").unwrap()
    }

    #[test]
    fn what_is_said_wins_over_what_is_known_and_that_over_what_is_usual() {
        let usual = "-Os -g0 -ffunction-sections -fdata-sections";
        assert_eq!(compile("toy", None), usual);
        assert_eq!(compile("netcdf4", None), format!("{usual} -O2"));
        let wishes = BuildWishes { cflags: Some("-O3".to_owned()), ..BuildWishes::default() };
        assert_eq!(compile("netcdf4", Some(&wishes)), format!("{usual} -O3"));
        assert_eq!(environment(Tools::Python, None, None), BTreeMap::new());
    }
}
