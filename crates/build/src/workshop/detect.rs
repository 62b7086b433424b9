//! Reads from the log of a build that failed what it had looked for in vain.
//!
//! Each detector is a pure function from one line to questions. What is asked here is answered by who knows: the
//! archive's lists of files for what is of the system, the package index for Python's modules. A log says what was
//! missing in few ways, for few programs say it: compilers, linkers, pkg-config, CMake, Meson, shells, Python.
//! The rest is prose, which is read last and only where nothing plainer was said.

mod left_out;
mod said;

use crate::contents::Missing;

pub(super) use left_out::left_out;

/// Something that a build has missed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Question {
    /// One of these, of the system: the first that anybody has.
    System(Vec<Missing>),
    /// A Python module.
    Module(String),
    /// A compiler that is newer than any that the suite has, in the words of who wants it.
    TooOld(String),
}

/// Returns what a log says was missing, in its order and each thing once: plain words if there are any, else prose.
pub(super) fn questions(log: &str) -> Vec<Question> {
    let plain = unique(log.lines().flat_map(|line| DETECTORS.iter().filter_map(move |detect| detect(line))));
    if plain.is_empty() { unique(tried_by_pkg_config(log).into_iter().chain(prose(log))) } else { plain }
}

fn unique(questions: impl Iterator<Item = Question>) -> Vec<Question> {
    let mut all: Vec<Question> = Vec::new();
    for question in questions {
        if !all.contains(&question) {
            all.push(question);
        }
    }
    all
}

type Detector = fn(&str) -> Option<Question>;

const DETECTORS: [Detector; 11] = [
    header,
    library,
    shared_object,
    pkg_config,
    meson,
    cmake,
    program,
    program_of_python,
    program_in_prose,
    module,
    too_old,
];

/// Returns what stands between two texts.
fn between<'line>(line: &'line str, before: &str, after: &str) -> Option<&'line str> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.trim())
}

fn system(missing: Missing) -> Option<Question> {
    Some(Question::System(vec![missing]))
}

/// Tells whether a text could be the name of a file or a module, so that a sentence isn't taken for one.
fn is_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    (1..=100).contains(&text.len()) && text.chars().all(is_fine) && !text.starts_with(['.', '-'])
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(|c| "'\"`‘’“”".contains(c))
}

/// `x.c:1:10: fatal error: ffi.h: No such file or directory`; clang: `fatal error: 'ffi.h' file not found`.
fn header(line: &str) -> Option<Question> {
    let (_, rest) = line.split_once("fatal error: ")?;
    let gcc = rest.strip_suffix(": No such file or directory");
    let clang = rest.strip_suffix(" file not found");
    let header = unquoted(gcc.or(clang)?.trim());
    let is_header = !header.is_empty() && header.split('/').all(is_name);
    system(Missing::Header(header.to_owned())).filter(|_| is_header)
}

/// `/usr/bin/ld: cannot find -lfoo: No such file or directory`.
fn library(line: &str) -> Option<Question> {
    let (_, rest) = line.split_once("cannot find -l")?;
    let name = rest.split([':', ' ']).next()?;
    system(Missing::Library(name.to_owned())).filter(|_| is_name(name))
}

/// `libhdf5.so: cannot open shared object file: No such file or directory`, with a version or without.
fn shared_object(line: &str) -> Option<Question> {
    let (before, _) = line.split_once(": cannot open shared object file")?;
    let file = before.rsplit([' ', ':', '(', '/', '"']).next()?;
    if !is_name(file) {
        return None;
    }
    match file.strip_suffix(".so") {
        Some(stem) => system(Missing::Library(stem.strip_prefix("lib")?.to_owned())),
        None if file.contains(".so.") => system(Missing::Soname(file.to_owned())),
        None => None,
    }
}

/// `Package foo was not found in the pkg-config search path.`, `No package 'foo' found`,
/// `Package 'foo', required by 'virtual:world', not found`.
fn pkg_config(line: &str) -> Option<Question> {
    let searched = between(line, "Package ", " was not found in the pkg-config search path");
    let named = between(line, "No package '", "' found");
    let required = between(line, "Package '", "', required by").filter(|_| line.contains("not found"));
    let name = unquoted(searched.or(named).or(required)?);
    system(Missing::PkgConfig(name.to_owned())).filter(|_| is_name(name))
}

/// `ERROR: Dependency "cairo" not found, tried pkgconfig and cmake`, `ERROR: Dependency lookup for cairo with
/// method 'pkgconfig' failed`, `ERROR: Program 'flex' not found or not executable`, `C shared or static library
/// 'foo' not found`.
fn meson(line: &str) -> Option<Question> {
    let dependency = between(line, "Dependency \"", "\" not found")
        .or_else(|| between(line, "Dependency lookup for ", " with method"))
        .map(|name| vec![Missing::PkgConfig(name.to_owned()), Missing::CmakePackage(name.to_owned())]);
    let library = between(line, "library '", "' not found")
        .or_else(|| between(line, "library \"", "\" not found"))
        .map(|name| vec![Missing::Library(name.to_owned())]);
    dependency.or(library).filter(|all| all.iter().all(named)).map(Question::System)
}

/// `Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)`, and for what brings its own configuration
/// `Could not find a package configuration file provided by "Eigen3" with any of …`.
fn cmake(line: &str) -> Option<Question> {
    let configured = between(line, "package configuration file provided by \"", "\"");
    let found = between(line, "Could NOT find ", " (");
    let name = configured.or(found)?;
    let lower = name.to_lowercase();
    let all = vec![
        Missing::CmakePackage(name.to_owned()),
        Missing::PkgConfig(lower.clone()),
        Missing::Library(lower),
    ];
    all.iter().all(named).then_some(Question::System(all))
}

fn named(missing: &Missing) -> bool {
    match missing {
        Missing::Soname(name)
        | Missing::Library(name)
        | Missing::Header(name)
        | Missing::PkgConfig(name)
        | Missing::Program(name)
        | Missing::CmakePackage(name) => is_name(name),
        Missing::File(_) => true,
    }
}

/// What shells, make and Meson say: `/bin/sh: 1: swig: not found`, `make: swig: No such file or directory`,
/// `swig: command not found`, `unable to execute 'swig': No such file or directory`, `Program 'swig' not found`.
fn program(line: &str) -> Option<Question> {
    let of_shell = line
        .strip_suffix(": not found")
        .filter(|rest| rest.contains("sh: "))
        .or_else(|| line.strip_suffix(": command not found"))
        .or_else(|| {
            line.strip_suffix(": No such file or directory").filter(|rest| rest.starts_with("make: "))
        })
        .and_then(|rest| rest.rsplit([':', ' ']).next());
    let quoted = between(line, "unable to execute '", "'")
        .or_else(|| between(line, "Program '", "' not found"))
        .or_else(|| between(line, "Could not find program ", ",").map(unquoted))
        .or_else(|| between(line, "error: command '", "' failed: No such file or directory"))
        .or_else(|| of_shell_in_python(line));
    let name = of_shell.or(quoted)?.rsplit('/').next()?;
    system(Missing::Program(name.to_owned())).filter(|_| is_name(name))
}

/// `Command 'krb5-config --libs gssapi' returned non-zero exit status 127.`, which is how a shell says that there is
/// no such program.
fn of_shell_in_python(line: &str) -> Option<&str> {
    let command = between(line, "Command '", "' returned non-zero exit status 127")?;
    command.trim_start_matches("['").split([' ', '\'']).next()
}

/// `FileNotFoundError: [Errno 2] No such file or directory: 'mysql_config'`.
fn program_of_python(line: &str) -> Option<Question> {
    let name = between(line, "No such file or directory: '", "'").filter(|_| line.contains("[Errno 2]"))?;
    // A path is a file that the build itself should have, a suffix one that it reads.
    let is_program = is_name(name) && !name.contains('.');
    system(Missing::Program(name.to_owned())).filter(|_| is_program)
}

/// What packages say of programs: `Error: pg_config executable not found.`, `` Could not find `dot` executable! ``,
/// `Did not find executable gdal-config on sys.prefix or on PATH`, `can't find Rust compiler`.
fn program_in_prose(line: &str) -> Option<Question> {
    let lower = line.to_lowercase();
    if ["find rust compiler", "rust not found", "cargo, the rust package manager, is not installed"]
        .iter()
        .any(|said| lower.contains(said))
    {
        return system(Missing::Program("cargo".to_owned()));
    }
    let not_found = [" executable not found", " program not found"];
    let before = not_found.iter().find_map(|said| lower.split_once(said)).map(|(before, _)| before);
    let named = before.and_then(|before| before.rsplit(' ').next());
    let after = lower.split_once("not find executable ").and_then(|(_, after)| after.split(' ').next());
    let name = unquoted(named.or_else(|| between(&lower, "could not find ", " executable")).or(after)?);
    system(Missing::Program(name.to_owned())).filter(|_| is_name(name))
}

/// `ModuleNotFoundError: No module named 'numpy'`.
fn module(line: &str) -> Option<Question> {
    let (_, rest) = line.split_once("No module named ")?;
    let name = unquoted(rest.split([';', ' ', ',']).next()?).split('.').next()?;
    (is_name(name) && !name.starts_with('_')).then(|| Question::Module(name.to_owned()))
}

/// Tells whether a log is of one who wants a newer compiler.
pub(super) fn wants_newer(log: &str) -> bool {
    questions(log).iter().any(|question| matches!(question, Question::TooOld(_)))
}

/// cargo: `error: package `x` cannot be built because it requires rustc 1.85 or newer, while …`, or
/// `rustc 1.63.0 is not supported by the following packages`.
fn too_old(line: &str) -> Option<Question> {
    let says = |words: &str| line.contains(words);
    // The last is how a crate fails that doesn't say which compiler it needs.
    let in_other_words = [
        "does not understand this lock file",
        "-Znext-lockfile-bump",
        "this version of Cargo is older than the",
        "does not match extension requirement",
        "error[E0658]: ",
    ];
    let is_old = in_other_words.iter().any(|words| says(words))
        || (says("requires rustc") && says("or newer"))
        || (says("rustc") && says("is not supported by the following package"))
        || says("feature `edition2024` is required");
    is_old.then(|| Question::TooOld(line.trim().to_owned()))
}

/// Modules that were asked for one after the other with `pkg-config --exists`, any of which would have done.
fn tried_by_pkg_config(log: &str) -> Option<Question> {
    let names = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("pkg-config --exists ")?;
        let name = unquoted(rest.split_whitespace().next()?.trim_end_matches('\''));
        is_name(name).then(|| Missing::PkgConfig(name.to_owned()))
    });
    let mut all: Vec<Missing> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    (!all.is_empty()).then_some(Question::System(all))
}

/// Names of libraries before the words that ask for their development packages: `make sure the libxml2 and
/// libxslt development packages are installed`, `the headers of zlib were not found`.
fn prose(log: &str) -> Vec<Question> {
    let asks = |line: &&str| {
        let lower = line.to_lowercase();
        [
            "development package",
            "development header",
            "dev package",
            "headers or library",
            "-dev",
            "is required",
            "could not find",
            "not found",
            "make sure",
        ]
        .iter()
        .any(|words| lower.contains(words))
    };
    log.lines().filter_map(said::question).chain(log.lines().filter(asks).flat_map(prose_of)).collect()
}

/// Returns the names in a line that a library could have.
fn prose_of(line: &str) -> Vec<Question> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "_+-.".contains(c)))
        .map(|word| word.trim_end_matches(['.', '-']))
        .filter_map(|word| word.strip_prefix("lib").filter(|stem| stem.len() > 1))
        .filter(|stem| is_name(stem) && !matches!(*stem, "rary" | "raries"))
        .map(|stem| {
            let stem = stem.strip_suffix("-dev").or_else(|| stem.strip_suffix("-devel")).unwrap_or(stem);
            Question::System(vec![
                Missing::Library(stem.to_owned()),
                Missing::PkgConfig(format!("lib{stem}")),
                Missing::PkgConfig(stem.to_owned()),
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests;
