//! The keys that `[tool.minke]` may have, so that a typing error is found and the right one named.

/// A key that minke doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`{}", suggestion(nearest.as_deref()))]
pub struct UnknownKey {
    /// The key, with the tables it is in.
    pub key: String,
    /// The known key that differs least, if one is near.
    pub nearest: Option<String>,
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

const TOP: &[&str] = &[
    "annotations",
    "base",
    "build",
    "cache",
    "check",
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
const BUILD: &[&str] = &["cflags", "config-settings", "env", "requires", "system"];
const CACHE: &[&str] = &["also"];
const DEBIAN: &[&str] = &["mirror", "security-mirror", "signed-by"];

/// Checks every key of the table and of those below it that have fixed keys.
pub(super) fn check(table: &toml::Table) -> Result<(), UnknownKey> {
    check_table(table, "", TOP)?;
    for (name, known) in
        [("healthcheck", HEALTHCHECK), ("cache", CACHE), ("debian", DEBIAN), ("python", PYTHON)]
    {
        if let Some(below) = table.get(name).and_then(toml::Value::as_table) {
            check_table(below, &format!("{name}."), known)?;
        }
    }
    // Any distribution's name may stand there.
    for (name, below) in table.get("build").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(below) = below.as_table() {
            check_table(below, &format!("build.{name}."), BUILD)?;
        }
    }
    Ok(())
}

fn check_table(table: &toml::Table, prefix: &str, known: &[&str]) -> Result<(), UnknownKey> {
    let unknown = table.keys().find(|key| !known.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| {
        let nearest = known
            .iter()
            .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
            .filter(|(distance, _)| *distance <= 1 + key.len() / 3)
            .min();
        Err(UnknownKey {
            key: format!("{prefix}{key}"),
            nearest: nearest.map(|(_, candidate)| format!("{prefix}{candidate}")),
        })
    })
}
