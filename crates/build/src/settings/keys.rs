//! The keys that `[tool.minke]` may have, so that a typing error is found and the right one named.

use crate::nearest::{nearest, suggestion};

/// A key that minke doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`{}", suggestion(nearest.as_slice()))]
pub struct UnknownKey {
    /// The key, with the tables it is in.
    pub key: String,
    /// The known key that differs least, if one is near.
    pub nearest: Option<String>,
}

const TOP: &[&str] = &[
    "annotations",
    "base",
    "build",
    "cache",
    "check",
    "check-scripts",
    "cmd",
    "compression",
    "debian",
    "entrypoint",
    "env",
    "extras",
    "files",
    "find-links",
    "groups",
    "healthcheck",
    "ignore",
    "labels",
    "layers",
    "likely-libraries",
    "no-binary",
    "optional-libraries",
    "package",
    "platform",
    "ports",
    "proof",
    "python",
    "shell",
    "slim",
    "stop-signal",
    "strict",
    "system-packages",
    "tools",
    "user",
    "volumes",
    "wheelhouse",
    "workdir",
];
const HEALTHCHECK: &[&str] = &["cmd", "interval", "retries", "start-period", "timeout"];
const PYTHON: &[&str] = &["sha256", "standalone"];
const BUILD: &[&str] = &["cflags", "config-settings", "env", "patch", "requires", "system"];
const CACHE: &[&str] = &["also"];
const SLIM: &[&str] = &["drop", "keep", "package", "profile", "rules"];
const SLIM_PACKAGE: &[&str] = &["drop", "keep", "rules"];
const DEBIAN: &[&str] = &["mirror", "security-mirror", "signed-by"];

/// Checks every key of the table and of those below it that have fixed keys.
pub(super) fn check(table: &toml::Table) -> Result<(), UnknownKey> {
    check_table(table, "", TOP)?;
    for (name, known) in [
        ("healthcheck", HEALTHCHECK),
        ("cache", CACHE),
        ("debian", DEBIAN),
        ("python", PYTHON),
        ("slim", SLIM),
    ] {
        if let Some(below) = table.get(name).and_then(toml::Value::as_table) {
            check_table(below, &format!("{name}."), known)?;
        }
    }
    let slim = table.get("slim").and_then(|slim| slim.get("package"));
    check_named(table.get("build"), "build", BUILD)?;
    check_named(slim, "slim.package", SLIM_PACKAGE)
}

/// Checks tables in which any distribution's name may stand.
fn check_named(tables: Option<&toml::Value>, prefix: &str, known: &[&str]) -> Result<(), UnknownKey> {
    for (name, below) in tables.and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(below) = below.as_table() {
            check_table(below, &format!("{prefix}.{name}."), known)?;
        }
    }
    Ok(())
}

fn check_table(table: &toml::Table, prefix: &str, known: &[&str]) -> Result<(), UnknownKey> {
    let unknown = table.keys().find(|key| !known.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| {
        let nearest = nearest(key, known.iter().copied()).next();
        Err(UnknownKey {
            key: format!("{prefix}{key}"),
            nearest: nearest.map(|known| format!("{prefix}{known}")),
        })
    })
}
