//! What something takes to be built, as far as its files tell before anything was tried.
//!
//! A guess only saves a round: what isn't guessed is missed and asked for, and what nobody has is not guessed.

use minke_cas::Tree;

use super::Workshop;
use super::make::Order;
use super::recipe::{Recipe, Tools};
use crate::contents::Missing;

/// What is compiled.
const COMPILED: [&str; 14] =
    ["c", "cc", "cpp", "cxx", "c++", "f", "f90", "pyx", "pyf", "rs", "s", "S", "go", "asm"];

/// Requirements of what is written in another language than C, and the program that compiles it.
const LANGUAGES: [(&str, &str); 2] = [("maturin", "cargo"), ("setuptools-rust", "cargo")];

impl Workshop<'_> {
    /// Returns what an order's files and requirements tell.
    pub(super) fn guess(&self, order: &Order<'_>) -> Recipe {
        let mut recipe = from_files(&order.sources);
        let Some(yard) = &self.yard else { return recipe };
        let names: Vec<String> = order.system.requires.iter().map(|line| name_of(line)).collect();
        for (_, program) in LANGUAGES.iter().filter(|(name, _)| names.iter().any(|there| there == name)) {
            recipe.tools = Tools::Compilers;
            // What cannot be found out now is asked again when it is missed, and told then.
            _ = self.supply_one(yard, &mut recipe, &[Missing::Program((*program).to_owned())]);
        }
        recipe
    }
}

/// Returns what the files tell: whether anything of them is compiled.
fn from_files(sources: &Tree) -> Recipe {
    let is_compiled = sources.files().any(|(path, _)| {
        let extension = path.name().and_then(|name| name.rsplit_once('.'));
        extension.is_some_and(|(_, extension)| COMPILED.contains(&extension))
    });
    let tools = if is_compiled { Tools::Compilers } else { Tools::Python };
    Recipe { tools, ..Recipe::default() }
}

/// Returns the name that a requirement begins with, as all write it.
fn name_of(requirement: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = requirement.trim().split(|c| !is_name(c)).next().unwrap_or_default();
    name.to_lowercase().replace(['_', '.'], "-")
}
