//! What something takes to be built, as far as its files tell before anything was tried.
//!
//! A guess only saves a round: what isn't guessed is missed and asked for, and what nobody has is not guessed. It is
//! made of what the sources cannot do without, and of what one package alone has; headers of other systems, of tests and of
//! what is bundled don't count, nor what brings much with it.

mod declared;
mod includes;
mod setup;

use std::collections::BTreeSet;

use minke_cas::{File, ImagePath, Tree};

use super::Workshop;
use super::learn::DEAREST_GUESS;
use super::make::Order;
use super::recipe::{Recipe, Tools};
use crate::contents::Missing;

/// What is compiled.
const COMPILED: [&str; 15] =
    ["c", "cc", "cpp", "cxx", "c++", "f", "f90", "pyx", "pyf", "i", "rs", "s", "S", "go", "asm"];

/// What includes headers.
const INCLUDING: [&str; 11] = ["c", "cc", "cpp", "cxx", "h", "hh", "hpp", "i", "pyx", "pxd", "pxi"];

/// Requirements of what is written in another language than C, and the program that compiles it.
const LANGUAGES: [(&str, &str); 2] = [("maturin", "cargo"), ("setuptools-rust", "cargo")];

/// Directories of what isn't built, or is somebody else's, or for another system.
const ELSEWHERE: [&str; 22] = [
    "test",
    "tests",
    "testing",
    "doc",
    "docs",
    "example",
    "examples",
    "benchmark",
    "benchmarks",
    "vendor",
    "vendored",
    "third_party",
    "thirdparty",
    "3rdparty",
    "deps",
    "extern",
    "external",
    "subprojects",
    "win32",
    "windows",
    "macos",
    "osx",
];

/// Directories of headers that Python's packages bring.
const OF_PYTHON: [&str; 3] = ["numpy/", "pybind11/", "nanobind/"];

/// A longer text isn't read, nor more texts than this.
const LONGEST: u64 = 1 << 20;
const MOST_TEXTS: usize = 3000;

/// More is never asked.
const MOST_QUESTIONS: usize = 60;

/// Sources that name more programs are lists of programs.
const MOST_PROGRAMS: usize = 10;

impl Workshop<'_> {
    /// Returns what is sure: what the kinds of an order's files and its requirements tell.
    pub(super) fn plain(&self, order: &Order<'_>) -> Recipe {
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

    /// Returns what is likely besides: what an order's texts tell.
    pub(super) fn guess(&self, order: &Order<'_>, plain: &Recipe) -> Recipe {
        let mut recipe = plain.clone();
        if let Some(yard) = self.yard.as_ref().filter(|_| recipe.tools == Tools::Compilers) {
            for any in self.questions(&order.sources).into_iter().take(MOST_QUESTIONS) {
                self.supply_only(yard, &mut recipe, (&any, DEAREST_GUESS));
            }
        }
        recipe
    }

    /// Returns the programs that the sources' own Python may ask for a library without a word about it.
    pub(super) fn programs(&self, sources: &Tree) -> Vec<Missing> {
        let is_script = |path: &ImagePath| {
            path.components().count() == 1 && path.name().is_some_and(|name| name.ends_with(".py"))
        };
        let scripts = sources.files().filter(|(path, file)| file.size <= LONGEST && is_script(path));
        let mut all: Vec<Missing> =
            scripts.take(MOST_TEXTS).flat_map(|(_, file)| setup::programs(&self.text_of(file))).collect();
        all.sort();
        all.dedup();
        all.truncate(MOST_PROGRAMS);
        all
    }

    /// Returns what the texts of some sources ask for, the declared first.
    fn questions(&self, sources: &Tree) -> Vec<Vec<Missing>> {
        let files = sources.files().filter(|(path, file)| file.size <= LONGEST && !is_elsewhere(path));
        let own: BTreeSet<String> = sources
            .files()
            .flat_map(|(path, _)| path.components().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let (mut declared, mut headers) = (Vec::new(), BTreeSet::new());
        let wanted = files.filter(|(path, _)| reader(path).is_some());
        for (path, file) in wanted.take(MOST_TEXTS) {
            match reader(&path) {
                Some(Reader::Declared(read)) => declared.extend(read(&self.text_of(file))),
                Some(Reader::Includes) => {
                    let text = self.text_of(file);
                    headers.extend(includes::headers(&text).into_iter().map(str::to_owned));
                }
                None => {}
            }
        }
        let is_foreign = |header: &String| {
            let name = header.rsplit('/').next().unwrap_or_default();
            !own.contains(name) && !OF_PYTHON.iter().any(|start| header.starts_with(start))
        };
        let headers = headers.into_iter().filter(is_foreign).map(|header| vec![Missing::Header(header)]);
        // A directory or file of a library's name is that library, brought along.
        let is_brought = |name: &String| {
            [name.clone(), format!("lib{name}"), format!("{name}.c")].iter().any(|name| own.contains(name))
        };
        declared.retain(|any| !matches!(any.as_slice(), [Missing::Library(name)] if is_brought(name)));
        declared.into_iter().chain(headers).collect()
    }

    /// What cannot be read tells nothing.
    fn text_of(&self, file: &File) -> String {
        self.store
            .read_file(file)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

/// Who reads a file for a guess.
enum Reader {
    Declared(fn(&str) -> Vec<Vec<Missing>>),
    Includes,
}

fn reader(path: &ImagePath) -> Option<Reader> {
    let name = path.name()?;
    Some(match name {
        "meson.build" => Reader::Declared(declared::of_meson),
        "CMakeLists.txt" => Reader::Declared(declared::of_cmake),
        "configure.ac" => Reader::Declared(declared::of_autoconf),
        "setup.py" => Reader::Declared(setup::libraries),
        "pyproject.toml" => Reader::Declared(|text| declared::of_external(&text.parse().unwrap_or_default())),
        _ => {
            let (_, suffix) = name.rsplit_once('.')?;
            return INCLUDING.contains(&suffix).then_some(Reader::Includes);
        }
    })
}

fn is_elsewhere(path: &ImagePath) -> bool {
    path.components().any(|name| ELSEWHERE.contains(&name.to_lowercase().as_str()))
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
pub(super) fn name_of(requirement: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = requirement.trim().split(|c| !is_name(c)).next().unwrap_or_default();
    name.to_lowercase().replace(['_', '.'], "-")
}
