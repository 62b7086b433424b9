//! What something takes to be built, as far as its files tell before anything was tried.

use minke_cas::Tree;

use super::recipe::{Recipe, Tools};

/// What is compiled.
const COMPILED: [&str; 14] =
    ["c", "cc", "cpp", "cxx", "c++", "f", "f90", "pyx", "pyf", "rs", "s", "S", "go", "asm"];

/// Returns what the files tell: whether anything of them is compiled.
pub(super) fn from_files(sources: &Tree) -> Recipe {
    let is_compiled = sources.files().any(|(path, _)| {
        let extension = path.name().and_then(|name| name.rsplit_once('.'));
        extension.is_some_and(|(_, extension)| COMPILED.contains(&extension))
    });
    let tools = if is_compiled { Tools::Compilers } else { Tools::Python };
    Recipe { tools, ..Recipe::default() }
}
