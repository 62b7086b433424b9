//! The JSON of configs, manifests, indexes and layouts, as the specifications spell it.
//!
//! Every document is written compactly, fields in the order in which they stand here and maps in key order.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/spec.md>

use std::collections::BTreeMap;
use std::time::Duration;

use minke_cas::{DiffId, Digest, Epoch};
use serde::{Deserialize, Serialize};

use crate::{Descriptor, HealthTest, Healthcheck, ImageConfig, Platform};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What `oci-layout` says.
pub(crate) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The name that an index gives a manifest.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name that containerd gives an image; it takes it before [`REF_NAME`], which is only a tag.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Longer than any manifest, config or index that a registry takes.
pub(crate) const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// Writes a document.
pub(crate) fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document has text keys")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// One entry of `index.json`; what minke doesn't know of it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexEntry {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<IndexPlatform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IndexPlatform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: Option<String>,
    pub(crate) manifests: Vec<IndexEntry>,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, serde_json::Value>,
}

impl Index {
    pub(crate) fn new(manifests: Vec<IndexEntry>) -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests, rest: BTreeMap::new() }
    }
}

impl IndexEntry {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// One image of `manifest.json` in what `docker save` writes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerImage {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    architecture: String,
    os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    #[serde(default)]
    config: Option<Start>,
    pub(crate) rootfs: RootFs,
    #[serde(default)]
    pub(crate) history: Option<Vec<History>>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    pub(crate) diff_ids: Vec<DiffId>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) empty_layer: Option<bool>,
}

type Set = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Start {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<Set>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Set>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
}

/// Durations are nanoseconds; absent and 0 mean that the runtime's default holds.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<i64>,
}

impl Config {
    pub(crate) fn new(settings: &ImageConfig, layers: impl Iterator<Item = (String, DiffId)>) -> Self {
        let created = settings.created.map(rfc3339);
        let (history, diff_ids) = layers
            .map(|(created_by, diff_id)| {
                let created_by = Some(created_by);
                (History { created: created.clone(), created_by, empty_layer: None }, diff_id)
            })
            .unzip();
        Self {
            created,
            architecture: settings.platform.architecture.clone(),
            os: settings.platform.os.clone(),
            variant: settings.platform.variant.clone(),
            config: Some(Start::new(settings)),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
            history: Some(history),
        }
    }

    /// Puts the layers and history of a config below this one's own.
    pub(crate) fn upon(mut self, below: Self) -> Self {
        let count = below.rootfs.diff_ids.len();
        let is_whole = |history: &Vec<History>| {
            history.iter().filter(|entry| entry.empty_layer != Some(true)).count() == count
        };
        let unsaid = || vec![History { created: None, created_by: None, empty_layer: None }; count];
        let mut history = below.history.filter(is_whole).unwrap_or_else(unsaid);
        history.extend(self.history.unwrap_or_default());
        self.history = Some(history);
        let mut diff_ids = below.rootfs.diff_ids;
        diff_ids.extend(self.rootfs.diff_ids);
        self.rootfs.diff_ids = diff_ids;
        self
    }

    pub(crate) fn settings(self) -> ImageConfig {
        let platform = Platform { os: self.os, architecture: self.architecture, variant: self.variant };
        let created = self.created.as_deref().and_then(epoch);
        let start = self.config.unwrap_or_default();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let env = start.env.unwrap_or_default().into_iter().map(|line| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (line, String::new()),
        });
        ImageConfig {
            platform,
            created,
            user: said(start.user),
            env: env.collect(),
            entrypoint: start.entrypoint.unwrap_or_default(),
            cmd: start.cmd.unwrap_or_default(),
            workdir: said(start.working_dir),
            labels: start.labels.unwrap_or_default(),
            ports: start
                .exposed_ports
                .unwrap_or_default()
                .keys()
                .filter_map(|port| port.parse().ok())
                .collect(),
            volumes: start.volumes.unwrap_or_default().into_keys().collect(),
            stop_signal: said(start.stop_signal),
            healthcheck: start.healthcheck.and_then(Health::meant),
        }
    }
}

impl Start {
    fn new(settings: &ImageConfig) -> Self {
        let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        let set = |names: Vec<String>| {
            let set: Set = names.into_iter().map(|name| (name, BTreeMap::new())).collect();
            (!set.is_empty()).then_some(set)
        };
        let env: Vec<_> = settings.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            user: settings.user.clone(),
            exposed_ports: set(settings.ports.iter().map(ToString::to_string).collect()),
            env: words(&env),
            entrypoint: words(&settings.entrypoint),
            cmd: words(&settings.cmd),
            healthcheck: settings.healthcheck.as_ref().map(Health::new),
            volumes: set(settings.volumes.iter().cloned().collect()),
            working_dir: settings.workdir.clone(),
            labels: (!settings.labels.is_empty()).then(|| settings.labels.clone()),
            stop_signal: settings.stop_signal.clone(),
        }
    }
}

impl Health {
    fn new(check: &Healthcheck) -> Self {
        let test = match &check.test {
            HealthTest::Disabled => vec!["NONE".to_owned()],
            HealthTest::Command(words) => [&["CMD".to_owned()], &words[..]].concat(),
            HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        };
        let nanoseconds =
            |duration: Option<Duration>| Some(i64::try_from(duration?.as_nanos()).unwrap_or(i64::MAX));
        Self {
            test: Some(test),
            interval: nanoseconds(check.interval),
            timeout: nanoseconds(check.timeout),
            start_period: nanoseconds(check.start_period),
            retries: check.retries.map(i64::from),
        }
    }

    /// Returns the check that this means; none where it says only "as in the base".
    fn meant(self) -> Option<Healthcheck> {
        let test = match self.test?.split_first()? {
            (kind, _) if kind == "NONE" => HealthTest::Disabled,
            (kind, words) if kind == "CMD" => HealthTest::Command(words.to_vec()),
            (kind, [line]) if kind == "CMD-SHELL" => HealthTest::Shell(line.clone()),
            _ => return None,
        };
        let duration = |nanoseconds: Option<i64>| {
            let nanoseconds = u64::try_from(nanoseconds?).ok().filter(|count| *count > 0)?;
            Some(Duration::from_nanos(nanoseconds))
        };
        Some(Healthcheck {
            test,
            interval: duration(self.interval),
            timeout: duration(self.timeout),
            start_period: duration(self.start_period),
            retries: self.retries.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0),
        })
    }
}

/// Writes a time as in `1980-01-01T00:00:01Z`; what lies after the year 9999 becomes its end.
fn rfc3339(epoch: Epoch) -> String {
    let time = i64::try_from(epoch.as_secs()).ok().and_then(|secs| jiff::Timestamp::from_second(secs).ok());
    let last = || {
        jiff::Timestamp::from_second(jiff::Timestamp::MAX.as_second()).expect("whole seconds are in range")
    };
    time.unwrap_or_else(last).to_string()
}

fn epoch(text: &str) -> Option<Epoch> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Epoch::from_secs(u64::try_from(time.as_second()).unwrap_or(0)))
}
