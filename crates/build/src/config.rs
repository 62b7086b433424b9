//! The image's config: what the user wants, laid over what minke promises.

use std::collections::BTreeSet;
use std::time::Duration;

use minke_cas::Epoch;
use minke_oci::{HealthTest, Healthcheck, ImageConfig, Platform, PortError};

use crate::request::Entry;
use crate::settings::Settings;

/// The user whom a container runs as where nothing else is said; it owns nothing in the image.
pub(crate) const NONROOT: &str = "65532:65532";

/// Where the project lies and its container starts.
pub(crate) const HOME: &str = "/app";

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
