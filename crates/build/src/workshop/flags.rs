//! What compilers are told where nobody says anything else: small code without debug information.

use std::collections::BTreeMap;

use super::recipe::Tools;
use crate::settings::BuildWishes;

/// What C and C++ compilers are told.
///
/// They come after the interpreter's own flags, which say `-g -O2`, and win over them.
const COMPILE: &str = "-Os -g0 -ffunction-sections -fdata-sections";

/// What the linker is told: nothing that isn't used, and no symbols that the loader doesn't read.
const LINK: &str = "-Wl,--gc-sections -Wl,--as-needed -Wl,-s";

/// Returns what decides the bytes of what is built: by default, or as the settings say.
pub(super) fn environment(tools: Tools, wishes: Option<&BuildWishes>) -> BTreeMap<String, String> {
    let said = wishes.and_then(|wishes| wishes.cflags.as_deref());
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
