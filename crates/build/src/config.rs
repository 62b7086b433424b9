//! The image's config: what the user wants, laid over what minke promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minke_cas::Epoch;
use minke_oci::{HealthTest, Healthcheck, Image, ImageConfig, Platform, PortError};

use crate::nearest::suggestion;
use crate::request::Entry;
use crate::settings::{Origin, Said, Settings};

/// The user whom a container runs as where nothing else is said; it owns nothing in the image.
pub(crate) const NONROOT: &str = "65532:65532";

/// Where the project lies and its container starts.
pub(crate) const HOME: &str = "/app";

/// A setting has a value that no container runtime takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// An environment variable cannot be called that, or hold that.
    #[error("`env` has the variable `{}`, whose name is empty or has a `=`, or that has a NUL", name.escape_debug())]
    Variable {
        /// Its name.
        name: String,
    },
    /// The user is none.
    #[error("`user` was set {origin} to `{user}`, which is no user")]
    User {
        /// Where it was said.
        origin: Origin,
        /// What was said.
        user: String,
    },
    /// The signal is none.
    #[error("`stop-signal` was set {origin} to `{signal}`, which is no signal")]
    Signal {
        /// Where it was said.
        origin: Origin,
        /// What was said.
        signal: String,
    },
    /// A glob of what slimming keeps or drops is none.
    #[error("`{glob}` in `slim.keep` or `slim.drop` is no glob")]
    Glob {
        /// What was said.
        glob: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A rule that is switched on or off isn't there.
    #[error("`slim.rules` names `{name}`, which is no rule{}", suggestion(nearest.as_slice()))]
    Rule {
        /// What was said.
        name: String,
        /// The rule whose name differs least.
        nearest: Option<String>,
    },
    /// The health check runs nothing.
    #[error("`healthcheck` was set {origin}, and its `cmd` is empty")]
    Healthcheck {
        /// Where it was said.
        origin: Origin,
    },
}

/// Checks the settings that go into the config, before anything is built.
///
/// # Errors
/// [`SettingError`] names the setting.
pub(crate) fn check(settings: &Settings) -> Result<(), SettingError> {
    let refused = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = settings.env.iter().find(refused) {
        return Err(SettingError::Variable { name: name.clone() });
    }
    if let Some(Said { value, origin }) = settings.user.as_ref().filter(|said| !is_user(&said.value)) {
        return Err(SettingError::User { origin: origin.clone(), user: value.clone() });
    }
    if let Some(Said { value, origin }) = settings.stop_signal.as_ref().filter(|said| !is_signal(&said.value))
    {
        return Err(SettingError::Signal { origin: origin.clone(), signal: value.clone() });
    }
    match &settings.healthcheck {
        Some(Said { value, origin }) if value.cmd.0.is_empty() => {
            Err(SettingError::Healthcheck { origin: origin.clone() })
        }
        _ => crate::slim::check(settings),
    }
}

/// `USER` or `USER:GROUP`, each a name or a number.
fn is_user(text: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() <= 2 && parts.into_iter().all(is_name)
}

/// A number or a name, with or without `SIG`, as Docker reads it.
fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time =
        |begin: &str| name.strip_prefix(begin).is_some_and(|rest| rest.parse::<u8>().is_ok_and(|n| n <= 15));
    SIGNALS.contains(&name) || real_time("RTMIN+") || real_time("RTMAX-")
}

/// Linux's signals, without `SIG`.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS", "RTMIN", "RTMAX",
];

/// Builds the config of an image.
///
/// # Errors
/// [`PortError`] if a port is none.
pub(crate) fn config(
    settings: &Settings,
    entry: &Entry,
    architecture: &str,
    created: Epoch,
) -> Result<ImageConfig, PortError> {
    let ports: Result<BTreeSet<_>, _> = settings.ports.iter().map(|port| port.to_string().parse()).collect();
    Ok(ImageConfig {
        platform: Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None },
        created: Some(created),
        user: Some(settings.user.as_ref().map_or(NONROOT, |said| said.value.as_str()).to_owned()),
        env: environment(settings),
        entrypoint: entry.entrypoint.clone(),
        cmd: entry.cmd.clone(),
        workdir: Some(settings.workdir.as_ref().map_or(HOME, |said| said.value.as_str()).to_owned()),
        labels: settings.labels.clone(),
        ports: ports?,
        volumes: settings.volumes.iter().map(ToString::to_string).collect(),
        stop_signal: settings.stop_signal.as_ref().map(|said| said.value.clone()),
        healthcheck: settings.healthcheck.as_ref().map(|said| healthcheck(&said.value)),
    })
}

/// Lays a config over that of the image below it, as a Dockerfile's instructions lie over those of its `FROM`.
///
/// What the image sets and the settings don't is kept: variables, labels, ports, volumes, user, signal and health
/// check. What runs, and where, is the project's.
pub(crate) fn upon(below: &ImageConfig, own: ImageConfig, settings: &Settings) -> ImageConfig {
    let mut env = below.env.clone();
    for (name, value) in own.env {
        let said = settings.env.contains_key(&name);
        match env.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) if said => *there = value,
            Some((_, there)) if name == "PATH" => *there = with_programs(there),
            Some(_) => {}
            None => env.push((name, value)),
        }
    }
    let mut labels = below.labels.clone();
    labels.extend(own.labels);
    let user = if settings.user.is_some() { own.user } else { below.user.clone().or(own.user) };
    ImageConfig {
        platform: below.platform.clone(),
        created: own.created,
        user,
        env,
        entrypoint: own.entrypoint,
        cmd: own.cmd,
        workdir: own.workdir,
        labels,
        ports: below.ports.union(&own.ports).copied().collect(),
        volumes: below.volumes.union(&own.volumes).cloned().collect(),
        stop_signal: own.stop_signal.or_else(|| below.stop_signal.clone()),
        healthcheck: own.healthcheck.or_else(|| below.healthcheck.clone()),
    }
}

/// Puts the venv's programs before a path, unless they are there, as upon an image of minke's own.
fn with_programs(path: &str) -> String {
    let programs = format!("{HOME}/.venv/bin");
    let is_there = path.split(':').next() == Some(programs.as_str());
    if is_there { path.to_owned() } else { format!("{programs}:{path}") }
}

/// Names the image below among the annotations of the one upon it.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md>
pub(crate) fn annotations_upon(
    below: &Image,
    mut annotations: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let digest = below.manifest.to_string();
    annotations.entry("org.opencontainers.image.base.digest".to_owned()).or_insert(digest);
    annotations
}

fn environment(settings: &Settings) -> Vec<(String, String)> {
    let ours = [
        ("PATH", format!("{HOME}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        // All bytecode is there and never out of date; what a container writes is lost with it.
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
    let kept = ours.filter(|(name, _)| !settings.env.contains_key(name));
    kept.chain(settings.env.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

fn healthcheck(wish: &crate::settings::Healthcheck) -> Healthcheck {
    Healthcheck {
        test: HealthTest::Command(wish.cmd.0.clone()),
        interval: wish.interval.map(Duration::from_secs),
        timeout: wish.timeout.map(Duration::from_secs),
        start_period: wish.start_period.map(Duration::from_secs),
        retries: wish.retries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{CommandLine, Healthcheck as Wish};

    fn said<T>(value: T) -> Option<Said<T>> {
        Some(Said { value, origin: Origin::Argument("--it") })
    }

    fn refused(settings: Settings) -> String {
        check(&settings).unwrap_err().to_string()
    }

    #[test]
    fn what_no_runtime_takes_is_refused_by_name() {
        let env = |name: &str| Settings {
            env: BTreeMap::from([(name.to_owned(), String::new())]),
            ..Settings::default()
        };
        insta::assert_snapshot!(refused(env("A=B")), @"`env` has the variable `A=B`, whose name is empty or has a `=`, or that has a NUL");
        insta::assert_snapshot!(refused(env("")), @"`env` has the variable ``, whose name is empty or has a `=`, or that has a NUL");
        let user = Settings { user: said("a:b:c".to_owned()), ..Settings::default() };
        insta::assert_snapshot!(refused(user), @"`user` was set by --it to `a:b:c`, which is no user");
        let signal = Settings { stop_signal: said("NOPE".to_owned()), ..Settings::default() };
        insta::assert_snapshot!(refused(signal), @"`stop-signal` was set by --it to `NOPE`, which is no signal");
        let cmd = CommandLine(Vec::new());
        let wish = Wish { cmd, interval: None, timeout: None, start_period: None, retries: None };
        let healthcheck = Settings { healthcheck: said(wish), ..Settings::default() };
        insta::assert_snapshot!(refused(healthcheck), @"`healthcheck` was set by --it, and its `cmd` is empty");
    }

    #[test]
    fn users_and_signals_are_written_as_runtimes_read_them() {
        assert!(["me", "0", "65532:65532", "me:web"].into_iter().all(is_user));
        assert!(!["", ":", "me:", ":0", "a b"].into_iter().any(is_user));
        assert!(["SIGTERM", "term", "9", "SIGRTMIN+3"].into_iter().all(is_signal));
        assert!(!["", "SIG", "0", "65", "RTMIN+99"].into_iter().any(is_signal));
    }
}
