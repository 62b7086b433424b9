//! Finds the programs that tests ask for a second opinion, and says loudly when one is missing.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Looks for a program on `PATH` (or takes an absolute path as it is), and says on stderr that the calling
/// test is skipped where there is none.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = env::var_os("PATH")
        .into_iter()
        .flat_map(|path| env::split_paths(&path).collect::<Vec<_>>())
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(&format!("there is no `{name}` on PATH"));
    }
    found
}

/// Says on stderr that the calling test is skipped, and why.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    eprintln!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
}

/// Looks for a Python that has pip; says that the test is skipped where there is none.
pub fn python_with_pip() -> Option<PathBuf> {
    let python = program("python3")?;
    let asked = Command::new(&python).args(["-m", "pip", "--version"]).output();
    if asked.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip("`python3` has no pip");
    None
}
