//! What single wheels need, and what came of repairing them.

use minke_build::audit::{Audit, Outside, Refusal, Repaired};

use super::super::text::{harmless, size};

/// So much is said of what stands against a tag; `--json` says all.
const MOST: usize = 6;

/// Says on which systems a wheel works, what it needs of them, and why not of older ones.
pub(crate) fn audit(audit: &Audit) -> Vec<String> {
    let Audit { wheel, tag, alias, files, carried, outside, refused, ignored } = audit;
    let alias = alias.as_ref().map(|alias| format!(" ({alias})")).unwrap_or_default();
    let mut lines = vec![format!("{wheel}: {tag}{alias}")];
    if *files > 0 {
        let names: Vec<&str> = carried.iter().map(String::as_str).collect();
        let names =
            if names.is_empty() { String::new() } else { format!("; libraries: {}", names.join(", ")) };
        lines.push(format!("  carries {files} ELF {}{names}", if *files == 1 { "file" } else { "files" }));
    }
    for (soname, Outside { supplied, found, versions, needed_by }) in outside {
        let newest: Vec<&str> = newest(versions.iter().map(String::as_str));
        let asked = if newest.is_empty() { String::new() } else { format!(" ({})", newest.join(", ")) };
        let whence = match (supplied, found) {
            (Some(_), _) => String::new(),
            (None, Some(found)) => format!("; no tag promises it, here it is {}", found.display()),
            (None, None) => "; no tag promises it, and it isn't here".to_owned(),
        };
        let by = match needed_by.len() {
            1 => needed_by.first().cloned().unwrap_or_default(),
            count => format!("{count} files"),
        };
        lines.push(format!("  needs {soname}{asked}, for {by}{whence}"));
    }
    if let Some(Refusal { tag, because }) = refused.first() {
        lines.push(format!("  is not {tag}:"));
        lines.extend(because.iter().take(MOST).map(|obstacle| format!("    {obstacle}")));
        if because.len() > MOST {
            lines.push(format!("    and {} more", because.len() - MOST));
        }
    }
    lines.extend(ignored.iter().map(|(file, why)| format!("  left out {file}: {why}")));
    lines.iter().map(|line| harmless(line).into_owned()).collect()
}

/// Returns of each kind of version the newest one.
fn newest<'a>(versions: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let number = |version: &str| -> Vec<u32> {
        let rest = version.rsplit_once('_').map_or(version, |(_, rest)| rest);
        rest.split('.').map(|part| part.parse().unwrap_or_default()).collect()
    };
    let mut newest = std::collections::BTreeMap::<&str, &str>::new();
    for version in versions {
        let kind = version.rsplit_once('_').map_or(version, |(kind, _)| kind);
        let known = newest.entry(kind).or_insert(version);
        if number(version) > number(known) {
            *known = version;
        }
    }
    newest.into_values().collect()
}

/// Says where a repaired wheel lies, and what was copied into it.
pub(crate) fn repaired(repaired: &Repaired) -> Vec<String> {
    let Repaired { wheel, tag: _, grafts, before, after } = repaired;
    let mut lines = vec![format!("{} ({}, was {})", wheel.display(), size(*after), size(*before))];
    lines.extend(grafts.iter().map(|graft| {
        let package = graft.package.as_deref().and_then(|package| package.split('?').next());
        let package = package.map(|package| format!(" of {package}")).unwrap_or_default();
        format!("  {} from {}{package}", graft.file, graft.from.display())
    }));
    lines.iter().map(|line| harmless(line).into_owned()).collect()
}
