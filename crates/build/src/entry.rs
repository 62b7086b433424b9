//! What a container of the image runs, and why that.

use std::collections::BTreeSet;

use minke_cas::ImagePath;

use crate::project::Shape;
use crate::request::Entry;
use crate::settings::Settings;

/// What is known of a project when its entry point is decided.
pub struct Clues<'project> {
    /// What the project is.
    pub shape: &'project Shape,
    /// The project's own console scripts.
    pub scripts: &'project [String],
    /// The text of its Procfile, if it has one.
    pub procfile: Option<&'project str>,
    /// Those of [`landmarks`] that are files of the project's.
    pub landmarks: &'project BTreeSet<ImagePath>,
    /// Where Python looks for them: the site-packages of a package that is installed, or `/app`.
    pub import_root: &'project ImagePath,
    /// The import name that the project's name suggests.
    pub module: &'project str,
}

/// Decides the entry point: the setting, the script that is called as the project is, the only script, Procfile's `web`,
/// `python -m NAME`, the only `main.py` or `app.py`, and at last Python itself.
pub fn decide(settings: &Settings, clues: &Clues<'_>) -> Entry {
    let words = |line: &crate::settings::CommandLine| line.0.clone();
    let cmd = settings.cmd.as_ref().map(|said| words(&said.value)).unwrap_or_default();
    if let Some(said) = &settings.entrypoint {
        let reason = format!("`entrypoint` was set {}", said.origin);
        return Entry { entrypoint: words(&said.value), cmd, reason };
    }
    if let Some(said) = &settings.cmd {
        return Entry { entrypoint: Vec::new(), cmd, reason: format!("`cmd` was set {}", said.origin) };
    }
    let (entrypoint, reason) = guess(clues);
    Entry { entrypoint, cmd, reason }
}

/// Returns the files that decide what a container runs, if they are there.
pub fn landmarks(import_root: &ImagePath, module: &str) -> BTreeSet<ImagePath> {
    let names = [format!("{module}/__main__.py"), "main.py".to_owned(), "app.py".to_owned()];
    names.iter().filter_map(|name| import_root.join_str(name).ok()).collect()
}

fn guess(clues: &Clues<'_>) -> (Vec<String>, String) {
    if let Shape::Script(name) = clues.shape {
        return (vec!["python".to_owned(), name.clone()], "it is the script that was built".to_owned());
    }
    let is_called_so = |script: &&String| script.replace('-', "_") == clues.module;
    if let Some(script) = clues.scripts.iter().find(is_called_so) {
        return (vec![script.clone()], format!("`{script}` is called as its distribution is"));
    }
    if let [script] = clues.scripts {
        return (vec![script.clone()], format!("`{script}` is the project's only script"));
    }
    if let Some(words) = clues.procfile.and_then(web_process) {
        return (words, "it is the Procfile's `web` process".to_owned());
    }
    let python = |arguments: &[&str]| {
        ["python"].iter().chain(arguments).map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    if has_file(clues, &format!("{}/__main__.py", clues.module)) {
        return (python(&["-m", clues.module]), format!("`{}` has a `__main__`", clues.module));
    }
    let mains: Vec<_> = ["main.py", "app.py"].into_iter().filter(|name| has_file(clues, name)).collect();
    if let [main] = mains[..] {
        // A package's modules lie in site-packages, where only `-m` finds them.
        let is_copied = clues.import_root.as_str() == crate::config::HOME;
        let arguments = if is_copied { vec![main] } else { vec!["-m", main.trim_end_matches(".py")] };
        return (python(&arguments), format!("`{main}` lies in the project's root"));
    }
    let found = match clues.scripts.len() {
        0 => "no script, Procfile, `__main__` or `main.py` was found",
        _ => "the project has several scripts",
    };
    (python(&[]), format!("{found}; set `entrypoint` in [tool.minke] to run something else"))
}

fn has_file(clues: &Clues<'_>, relative: &str) -> bool {
    let path = clues.import_root.join_str(relative).ok();
    path.is_some_and(|path| clues.landmarks.contains(&path))
}

/// Reads the `web` line; one that needs a shell is left alone, since the image has none.
fn web_process(procfile: &str) -> Option<Vec<String>> {
    let line = procfile.lines().find_map(|line| line.strip_prefix("web:"))?.trim();
    let needs_shell = line.contains(['$', '|', '>', '<', '&', ';', '`']);
    (!line.is_empty() && !needs_shell).then(|| shlex::split(line)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{CommandLine, Origin, Said};

    fn decided(settings: &Settings, scripts: &[&str], procfile: Option<&str>, files: &[&str]) -> String {
        let scripts: Vec<_> = scripts.iter().map(|&script| script.to_owned()).collect();
        let import_root = "/app".parse().unwrap();
        let clues = Clues {
            shape: &Shape::Files,
            scripts: &scripts,
            procfile,
            landmarks: &files.iter().map(|path| path.parse().unwrap()).collect(),
            import_root: &import_root,
            module: "pkg",
        };
        let entry = decide(settings, &clues);
        format!("{} {}: {}", entry.entrypoint.join(" "), entry.cmd.join(" "), entry.reason)
    }

    #[test]
    fn clues_are_taken_in_order() {
        let none = Settings::default();
        let all = ["/app/pkg/__main__.py", "/app/main.py"];
        insta::assert_snapshot!(decided(&none, &["run"], Some("web: gunicorn x"), &all), @"run : `run` is the project's only script");
        insta::assert_snapshot!(decided(&none, &["a", "pkg"], Some("web: gunicorn x"), &all), @"pkg : `pkg` is called as its distribution is");
        insta::assert_snapshot!(decided(&none, &["a", "b"], Some("web: gunicorn x -b :80"), &all), @"gunicorn x -b :80 : it is the Procfile's `web` process");
        insta::assert_snapshot!(decided(&none, &[], Some("web: x $PORT"), &all), @"python -m pkg : `pkg` has a `__main__`");
        insta::assert_snapshot!(decided(&none, &[], None, &["/app/app.py"]), @"python app.py : `app.py` lies in the project's root");
        insta::assert_snapshot!(decided(&none, &[], None, &["/app/app.py", "/app/main.py"]), @"python : no script, Procfile, `__main__` or `main.py` was found; set `entrypoint` in [tool.minke] to run something else");
    }

    #[test]
    fn a_setting_decides_and_says_where_it_stands() {
        let entrypoint =
            Said { value: CommandLine(vec!["x".to_owned()]), origin: Origin::Argument("--entrypoint") };
        let settings = Settings { entrypoint: Some(entrypoint), ..Settings::default() };
        insta::assert_snapshot!(decided(&settings, &["run"], None, &[]), @"x : `entrypoint` was set by --entrypoint");
    }
}
