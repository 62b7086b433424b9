//! Modules that stand where one of the standard library was, and say which setting brings it back.
//!
//! A file that raises, rather than a finder that is asked first: it costs nothing until somebody imports it, and works
//! with `python -I -S`, where nothing of a site is loaded.

use minke_cas::ImagePath;

use super::modules::in_library;

/// Extension modules without a Python module in front of them that goes with them: `dbm.ndbm`, which imports everything
/// from the first, stays.
const BARE: [&str; 2] = ["_dbm", "readline"];

/// Returns the top-level module of the standard library that a removed file belonged to, and where a file that
/// stands for it lies.
pub(super) fn library_module(path: &ImagePath) -> Option<(&str, ImagePath)> {
    let below = in_library(path)?;
    let library = path.as_str().strip_suffix(below)?;
    let name = match below.split_once('/') {
        // What extension modules are for is Python modules in front of them to say, but where one has only its name.
        Some(("lib-dynload", extension)) => extension.split('.').next().filter(|name| BARE.contains(name)),
        Some(("__pycache__", _)) => None,
        Some((package, "__init__.py")) => Some(package),
        Some(_) => None,
        None => below.strip_suffix(".py"),
    }?;
    Some((name, format!("{library}{name}.py").parse().ok()?))
}

/// Returns the source of a module that stands for one that a rule took.
pub(super) fn hint(name: &str, rule: &str) -> String {
    format!(
        "raise ModuleNotFoundError(\n    \"`{name}` was left out of this image by the rule `{rule}`; \"\n    \
         \"`rules = {{ {rule} = false }}` in [tool.minke.slim] brings it back\",\n    name=\"{name}\",\n)\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(String, String)> {
        let path = path.parse().unwrap();
        library_module(&path).map(|(name, place)| (name.to_owned(), place.to_string()))
    }

    #[test]
    fn a_package_and_a_module_are_stood_for_by_one_file() {
        let found = |name: &str, place: &str| Some((name.to_owned(), place.to_owned()));
        assert_eq!(of("/usr/lib/python3.13/test/__init__.py"), found("test", "/usr/lib/python3.13/test.py"));
        assert_eq!(
            of("/usr/local/lib/python3.9/turtle.py"),
            found("turtle", "/usr/local/lib/python3.9/turtle.py")
        );
        let place = "/usr/lib/python3.13/lib-dynload/_dbm.cpython-313-x86_64-linux-gnu.so";
        assert_eq!(of(place), found("_dbm", "/usr/lib/python3.13/_dbm.py"));
        assert_eq!(of("/usr/lib/python3.13/test/support/__init__.py"), None);
        assert_eq!(of("/usr/lib/python3.13/lib-dynload/_testcapi.cpython-313.so"), None);
        assert_eq!(of("/app/.venv/lib/python3.13/site-packages/turtle.py"), None);
    }

    #[test]
    fn the_hint_names_the_rule_and_the_setting() {
        insta::assert_snapshot!(hint("turtle", "python-gui"), @r#"
        raise ModuleNotFoundError(
            "`turtle` was left out of this image by the rule `python-gui`; "
            "`rules = { python-gui = false }` in [tool.minke.slim] brings it back",
            name="turtle",
        )
        "#);
    }
}
