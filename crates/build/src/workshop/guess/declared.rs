//! What build files ask for in so many words: Meson, CMake, autoconf, and PEP 725.
//!
//! Only what they cannot do without. Names that are made of variables say nothing.
//!
//! Spec: <https://peps.python.org/pep-0725/>

use crate::contents::Missing;

/// Returns what `dependency('x')` in a `meson.build` asks for, where nothing says that it may be missing.
pub(super) fn of_meson(text: &str) -> Vec<Vec<Missing>> {
    let calls = calls(text, "dependency(");
    let needed =
        calls.filter(|call| !["required", "fallback", "disabler"].iter().any(|word| call.contains(word)));
    needed.filter_map(|call| quoted(call)).filter(|name| !is_mesons(name)).map(module).collect()
}

/// Returns what `find_package(X REQUIRED)` and `pkg_check_modules(X REQUIRED x)` of CMake's ask for.
pub(super) fn of_cmake(text: &str) -> Vec<Vec<Missing>> {
    let mut all = Vec::new();
    for call in calls(text, "find_package(").filter(|call| call.contains("REQUIRED")) {
        let name = call.split_whitespace().next().filter(|name| is_name(name) && !is_cmakes(name));
        all.extend(name.map(|name| {
            vec![Missing::CmakePackage(name.to_owned()), Missing::PkgConfig(name.to_lowercase())]
        }));
    }
    for call in calls(text, "pkg_check_modules(").chain(calls(text, "pkg_search_module(")) {
        let words = call.split_whitespace().skip(1).skip_while(|word| *word != "REQUIRED").skip(1);
        let names = words.filter(|word| word.to_uppercase() != **word).map(bare).filter(|name| is_name(name));
        all.extend(names.map(|name| vec![Missing::PkgConfig(name.to_owned())]));
    }
    all
}

/// Returns what `PKG_CHECK_MODULES([X], [x >= 1])` of autoconf's asks for, where it says no other way out.
pub(super) fn of_autoconf(text: &str) -> Vec<Vec<Missing>> {
    let of_call = |call: &str| -> Option<Vec<Vec<Missing>>> {
        let mut arguments = call.split(',');
        let modules = arguments.nth(1)?;
        if arguments.next().is_some() {
            return None;
        }
        let words = modules.split(|c: char| c.is_whitespace() || "[]".contains(c));
        let names = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).map(bare);
        Some(
            names
                .filter(|name| is_name(name))
                .map(|name| vec![Missing::PkgConfig(name.to_owned())])
                .collect(),
        )
    };
    calls(text, "PKG_CHECK_MODULES(").filter_map(of_call).flatten().collect()
}

/// Returns what the table `external` of a `pyproject.toml` asks for.
pub(super) fn of_external(pyproject: &toml::Table) -> Vec<Vec<Missing>> {
    let external = pyproject.get("external").and_then(toml::Value::as_table);
    let lists =
        ["build-requires", "host-requires"].iter().filter_map(|list| external?.get(*list)?.as_array());
    let lines = lists.flatten().filter_map(toml::Value::as_str);
    lines
        .filter_map(|line| {
            let line = line.trim_start_matches("dep:").trim_start_matches("pkg:");
            let line = line.split(['@', '?', ';', ' ']).next()?;
            match line.split('/').collect::<Vec<_>>().as_slice() {
                ["virtual:compiler", language] | ["virtual", "compiler", language] => {
                    let program = match *language {
                        "rust" => "cargo",
                        "fortran" => "gfortran",
                        "go" => "go",
                        _ => return None,
                    };
                    Some(vec![Missing::Program(program.to_owned())])
                }
                ["generic", name] if is_name(name) => Some(vec![
                    Missing::PkgConfig((*name).to_owned()),
                    Missing::PkgConfig(format!("lib{name}")),
                    Missing::Program((*name).to_owned()),
                    Missing::Library((*name).to_owned()),
                ]),
                _ => None,
            }
        })
        .collect()
}

fn module(name: &str) -> Vec<Missing> {
    vec![Missing::PkgConfig(name.to_owned()), Missing::CmakePackage(name.to_owned())]
}

/// Returns the arguments of all calls of a function, up to the first closing parenthesis; comments are left out.
fn calls<'text>(text: &'text str, function: &'text str) -> impl Iterator<Item = &'text str> {
    text.match_indices(function).filter_map(move |(at, _)| {
        let before = text.get(..at)?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_word = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let arguments = text.get(at + function.len()..)?.split_once(')').map(|(arguments, _)| arguments)?;
        (!line.contains('#') && !line.trim_start().starts_with("dnl") && !is_word).then_some(arguments)
    })
}

fn quoted(call: &str) -> Option<&str> {
    let name = call.trim_start().strip_prefix('\'')?.split_once('\'')?.0;
    is_name(name).then_some(name)
}

/// Returns a module's name without the version that is asked for.
fn bare(word: &str) -> &str {
    word.split(['>', '<', '=', '"']).find(|part| !part.is_empty()).unwrap_or_default()
}

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    (2..60).contains(&name.len()) && name.chars().all(is_fine)
}

/// What Meson finds itself, or in Python.
fn is_mesons(name: &str) -> bool {
    [
        "python",
        "python3",
        "python-embed",
        "threads",
        "openmp",
        "numpy",
        "pybind11",
        "dl",
        "appleframeworks",
        "mpi",
    ]
    .contains(&name)
}

/// What CMake finds itself, or in Python.
fn is_cmakes(name: &str) -> bool {
    let lower = name.to_lowercase();
    [
        "python",
        "threads",
        "openmp",
        "pybind11",
        "nanobind",
        "numpy",
        "cython",
        "pkgconfig",
        "git",
        "mpi",
        "cuda",
    ]
    .iter()
    .any(|known| lower.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(asked: Vec<Vec<Missing>>) -> String {
        let any = |any: &Vec<Missing>| any.iter().map(Missing::what).collect::<Vec<_>>().join(" or ");
        asked.iter().map(any).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn meson_says_what_it_cannot_do_without() {
        let text = "cairo_dep = dependency('cairo', version: '>= 1.15')\nx = dependency('x11', required: get_option('x'))\n\
                    # dependency('no')\npython.dependency()\nthread_dep = dependency('threads')\ny = declare_dependency('zz')\n";
        insta::assert_snapshot!(said(of_meson(text)), @"the pkg-config module `cairo` or the CMake package `cairo`");
    }

    #[test]
    fn cmake_says_what_is_required() {
        let text = "find_package(Eigen3 3.4 REQUIRED NO_MODULE)\nfind_package(Qt5)\nfind_package(Python REQUIRED)\n\
                    pkg_check_modules(GLIB REQUIRED IMPORTED_TARGET glib-2.0>=2.60 ${MORE})\npkg_check_modules(A a)\n";
        insta::assert_snapshot!(said(of_cmake(text)), @r"
            the CMake package `Eigen3` or the pkg-config module `eigen3`
            the pkg-config module `glib-2.0`
        ");
    }

    #[test]
    fn autoconf_says_it_where_nothing_else_will_do() {
        let text = "PKG_CHECK_MODULES([DBUS], [dbus-1 >= 1.8 glib-2.0])\nPKG_CHECK_MODULES(X, x11, [true], [false])\n\
                    dnl PKG_CHECK_MODULES(N, no)\n";
        insta::assert_snapshot!(said(of_autoconf(text)), @r"
            the pkg-config module `dbus-1`
            the pkg-config module `glib-2.0`
        ");
    }

    #[test]
    fn a_project_may_say_what_is_no_pythons() {
        let text = "[external]\nbuild-requires = [\"virtual:compiler/c\", \"dep:virtual/compiler/rust\", \"pkg:generic/swig\"]\n\
                    host-requires = [\"dep:generic/openssl@>=3\", \"pkg:pypi/x\"]\n";
        insta::assert_snapshot!(said(of_external(&text.parse().unwrap())), @r"
            the program `cargo`
            the pkg-config module `swig` or the pkg-config module `libswig` or the program `swig` or the library `-lswig`
            the pkg-config module `openssl` or the pkg-config module `libopenssl` or the program `openssl` or the library `-lopenssl`
        ");
    }
}
