//! What the user wants: `[tool.minke]` or `minke.toml`, then the environment, then arguments.
//!
//! Each of the three is a [`Wishes`], in which everything is optional; [`Settings::of`] lays them over one
//! another, and each value still knows where it came from. Reading the environment and arguments is the
//! front desk's work.

mod building;
mod keys;
mod python;
mod slim;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use minke_cas::ImagePath;
use minke_python::PackageName;
use serde::Deserialize;

pub use building::{BuildIsolation, BuildTable, BuildWishes};
pub use keys::UnknownKey;
pub use python::{PythonWish, StandaloneWish};
pub use slim::{Profile, SlimTable, SlimWishes};

use crate::platform::Platform;
use crate::proof::Scripts;

/// Where a value was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In a file of the project's: `pyproject.toml` or `minke.toml`.
    File(PathBuf),
    /// In an environment variable of this name.
    Environment(&'static str),
    /// In an argument of this name.
    Argument(&'static str),
    /// Nowhere: it is minke's default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Environment(name) => write!(f, "in ${name}"),
            Self::Argument(name) => write!(f, "by {name}"),
            Self::Default => f.write_str("by default"),
        }
    }
}

/// A value and where it was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Where it was said.
    pub origin: Origin,
}

/// A command: a list of arguments, or one text that is split as a shell splits words.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "TextOrList")]
pub struct CommandLine(pub Vec<String>);

/// How a container is asked whether it is well.
///
/// Durations are seconds. Spec: Docker's image format, `Healthcheck` of the config.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Healthcheck {
    /// What to run in the container; exit status 0 means well.
    pub cmd: CommandLine,
    /// Seconds between two runs.
    pub interval: Option<u64>,
    /// Seconds after which a run has failed.
    pub timeout: Option<u64>,
    /// Seconds in which failures don't count.
    pub start_period: Option<u64>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
}

/// Addresses that serve the same: a list, or one text with blanks between them. At least one.
///
/// They are no addresses yet: what is none is told when it is known who said it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "TextOrList")]
pub struct Addresses(pub Vec<String>);

/// Where Debian's packages come from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DebianWishes {
    /// The archive's addresses, in the order in which they are asked.
    pub mirror: Option<Addresses>,
    /// The addresses of the archive of security updates.
    pub security_mirror: Option<Addresses>,
    /// A keyring to trust in place of Debian's own.
    pub signed_by: Option<PathBuf>,
}

/// Where else than in the cache is looked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CacheWishes {
    /// Caches that are looked into before anything is fetched or computed, and never written.
    pub also: Vec<PathBuf>,
}

/// How the image is cut into layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "LayersText")]
pub enum LayerPolicy {
    /// Base, system, one layer for each heavy distribution, the rest, the app.
    Shared {
        /// How many layers there are at most, from 5 to 100.
        budget: u8,
    },
    /// Everything in one layer.
    Single,
}

impl LayerPolicy {
    /// Layers that other images can share, ten at most.
    pub const SHARED: Self = Self::Shared { budget: 10 };
}

impl Default for LayerPolicy {
    fn default() -> Self {
        Self::SHARED
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`\"shared\"`, `\"single\"` or `{ budget = 10 }` was expected")]
enum LayersText {
    Name(LayersName),
    Table(LayersTable),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LayersName {
    Shared,
    Single,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayersTable {
    budget: u8,
}

impl TryFrom<LayersText> for LayerPolicy {
    type Error = String;

    fn try_from(text: LayersText) -> Result<Self, String> {
        match text {
            LayersText::Name(LayersName::Shared) => Ok(Self::SHARED),
            LayersText::Name(LayersName::Single) => Ok(Self::Single),
            // Four layers have names of their own, and runtimes refuse more than some 120.
            LayersText::Table(LayersTable { budget }) if (5..=100).contains(&budget) => {
                Ok(Self::Shared { budget })
            }
            LayersText::Table(LayersTable { budget }) => Err(format!(
                "a budget of {budget} layers is none from 5 to 100; `layers = \"single\"` makes one"
            )),
        }
    }
}

/// How layers are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// gzip, which everything reads.
    #[default]
    Gzip,
    /// gzip, 3 % smaller, at an eighth of the speed: what the profile `smallest` takes where nothing else is said.
    GzipBest,
    /// Zstandard: smaller and faster, refused by Docker before 23 and by umoci.
    Zstd,
    /// Not at all.
    None,
}

/// Whether an image is only named if it is proved to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofPolicy {
    /// It is; where nothing can be proved, that is an error.
    Require,
    /// It is; where nothing can be proved, it is named, and says that it isn't proved.
    #[default]
    Auto,
    /// Nothing is proved.
    Off,
}

/// What one place says; everything is optional.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Wishes {
    /// The Python to build for: a version such as `3.13`, or an archive that has one.
    pub python: Option<PythonWish>,
    /// What the image is made upon: a Debian suite, or `scratch`.
    pub base: Option<String>,
    /// What the image is for, such as `linux/arm64`; this machine where nothing is said.
    pub platform: Option<Platform>,
    /// What the container always runs.
    pub entrypoint: Option<CommandLine>,
    /// The arguments it is run with where none are given; without an entry point, all that it runs.
    pub cmd: Option<CommandLine>,
    /// Environment variables of the container.
    pub env: BTreeMap<String, String>,
    /// Labels in the image's config.
    pub labels: BTreeMap<String, String>,
    /// Annotations on the image's manifest.
    pub annotations: BTreeMap<String, String>,
    /// Where the container starts.
    pub workdir: Option<ImagePath>,
    /// Whom it runs as: `name`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// Ports it listens on: `8000` or `53/udp`.
    pub ports: Vec<Port>,
    /// Directories that outlive it.
    pub volumes: Vec<ImagePath>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// How it is asked whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// Whether the image has a shell: `/bin/sh`, which is dash, and the programs of coreutils.
    pub shell: Option<bool>,
    /// Distribution packages to add.
    pub system_packages: Vec<String>,
    /// Programs to have at hand in a container: the distribution packages that have them.
    pub tools: Vec<String>,
    /// Libraries that the project does without: neither added nor missed, by soname or its beginning (`libfoo`).
    pub optional_libraries: Vec<String>,
    /// Whether libraries are added that wheels seem to load by name.
    pub likely_libraries: Option<bool>,
    /// Files to add: where in the image, from where in the project.
    pub files: BTreeMap<ImagePath, PathBuf>,
    /// Dependency groups to install besides the project's dependencies.
    pub groups: Vec<String>,
    /// The project's extras to install.
    pub extras: Vec<String>,
    /// Patterns to leave out, as in `.dockerignore`.
    pub ignore: Vec<String>,
    /// The workspace member to build.
    pub package: Option<String>,
    /// Whether two wheels that own one file with different contents are an error, and plugins that lack a library.
    pub strict: Option<bool>,
    /// How the image is cut into layers.
    pub layers: Option<LayerPolicy>,
    /// How layers are compressed.
    pub compression: Option<Packing>,
    /// Commands that must end well in the image before it is named.
    pub check: Vec<CommandLine>,
    /// Which programs of distributions must end as well with `--help` after slimming as before.
    pub check_scripts: Option<Scripts>,
    /// Whether the image must be proved to work.
    pub proof: Option<ProofPolicy>,
    /// Directories of wheels to look into besides the index.
    pub find_links: Vec<PathBuf>,
    /// Directories of wheels that are taken in place of building them.
    pub wheelhouse: Vec<PathBuf>,
    /// Distributions to build from their sources though they have wheels; `:all:` stands for all.
    pub no_binary: Vec<String>,
    /// How distributions are built from their sources.
    pub build: BuildTable,
    /// Where Debian's packages come from.
    pub debian: DebianWishes,
    /// Where else than in the cache is looked.
    pub cache: CacheWishes,
    /// What the image does without.
    pub slim: SlimTable,
}

/// A port and its protocol, `tcp` where none is said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "PortText")]
pub struct Port(String);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a port such as `8000` or `\"53/udp\"` was expected")]
enum PortText {
    Number(u16),
    Text(String),
}

impl TryFrom<PortText> for Port {
    type Error = String;

    fn try_from(text: PortText) -> Result<Self, String> {
        match text {
            PortText::Number(port) => Ok(Self(format!("{port}/tcp"))),
            PortText::Text(text) => text.parse(),
        }
    }
}

impl std::str::FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        match (port.parse::<u16>(), protocol) {
            (Ok(port), "tcp" | "udp" | "sctp") => Ok(Self(format!("{port}/{protocol}"))),
            _ => Err(format!("`{text}` is not a port such as `8000` or `53/udp`")),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts was expected")]
enum TextOrList {
    Text(String),
    List(Vec<String>),
}

impl TryFrom<TextOrList> for Addresses {
    type Error = String;

    fn try_from(value: TextOrList) -> Result<Self, String> {
        match value {
            TextOrList::Text(text) => text.parse(),
            TextOrList::List(list) if list.is_empty() => Err("an address was expected".to_owned()),
            TextOrList::List(list) => Ok(Self(list)),
        }
    }
}

impl std::str::FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(TextOrList::List(text.split_whitespace().map(str::to_owned).collect()))
    }
}

impl TryFrom<TextOrList> for CommandLine {
    type Error = String;

    fn try_from(value: TextOrList) -> Result<Self, String> {
        match value {
            TextOrList::List(words) => Ok(Self(words)),
            TextOrList::Text(text) => text.parse(),
        }
    }
}

impl std::str::FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or_else(|| format!("`{text}` has a quote that never ends"))?;
        Ok(Self(words))
    }
}

/// A file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It isn't TOML, or a value has the wrong type.
    #[error("{} is not right", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// It has a key that minke doesn't know.
    #[error("{} has an unknown key", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// Which key, and the nearest known one.
        source: UnknownKey,
    },
}

#[derive(Deserialize)]
struct Pyproject {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    minke: Option<Wishes>,
}

impl Wishes {
    /// Reads the text of a `minke.toml`.
    ///
    /// # Errors
    /// [`SettingsError`] names the file, the line and the key.
    pub fn from_minke_toml(path: &std::path::Path, text: &str) -> Result<Self, SettingsError> {
        let syntax = |source| SettingsError::Syntax { path: path.to_owned(), source };
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        keys::check(&table).map_err(|source| SettingsError::Unknown { path: path.to_owned(), source })?;
        toml::from_str(text).map_err(syntax)
    }

    /// Reads `[tool.minke]` in the text of a `pyproject.toml`, if it has one.
    ///
    /// # Errors
    /// As [`Wishes::from_minke_toml`].
    pub fn from_pyproject(path: &std::path::Path, text: &str) -> Result<Option<Self>, SettingsError> {
        let syntax = |source| SettingsError::Syntax { path: path.to_owned(), source };
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        let ours = table.get("tool").and_then(|tool| tool.get("minke"));
        let Some(ours) = ours else { return Ok(None) };
        // What is no table has no keys, and is refused below.
        if let Some(ours) = ours.as_table() {
            keys::check(ours).map_err(|source| SettingsError::Unknown { path: path.to_owned(), source })?;
        }
        // Read from the whole text again, so that an error names the line in the user's file.
        let pyproject: Pyproject = toml::from_str(text).map_err(syntax)?;
        Ok(pyproject.tool.and_then(|tool| tool.minke))
    }
}

macro_rules! settings {
    ($(scalar $scalar:ident: $type:ty;)* $(merged $merged:ident: $merged_type:ty;)*) => {
        /// All that was wished, later places over earlier ones.
        ///
        /// Single values know where they were said; lists and tables hold what all places said together.
        #[derive(Clone, Debug, Default)]
        pub struct Settings {
            $(#[doc = concat!("See [`Wishes::", stringify!($scalar), "`].")]
            pub $scalar: Option<Said<$type>>,)*
            $(#[doc = concat!("See [`Wishes::", stringify!($merged), "`].")]
            pub $merged: $merged_type,)*
            /// Programs to start; see [`Wishes::check_scripts`].
            pub check_scripts: Scripts,
            /// The archive's addresses; see [`DebianWishes::mirror`].
            pub mirror: Option<Said<Addresses>>,
            /// The addresses of the archive of security updates; see [`DebianWishes::security_mirror`].
            pub security_mirror: Option<Said<Addresses>>,
            /// A keyring in place of Debian's own; see [`DebianWishes::signed_by`].
            pub signed_by: Option<Said<PathBuf>>,
            /// What strangers' code runs in; see [`BuildTable::isolation`].
            pub isolation: Option<Said<BuildIsolation>>,
            /// How single distributions are built; see [`BuildTable::distributions`].
            pub builds: BTreeMap<PackageName, BuildWishes>,
            /// Caches to look into; see [`CacheWishes::also`].
            pub cache_also: Vec<PathBuf>,
            /// How much the image does without; see [`SlimTable::profile`].
            pub profile: Option<Said<Profile>>,
            /// What slimming spares and takes; see [`SlimTable`].
            pub slim: SlimWishes,
            /// What it spares and takes of single packages; see [`SlimTable::package`].
            pub slim_packages: BTreeMap<PackageName, SlimWishes>,
        }

        impl Settings {
            /// Lays wishes over one another: a later one wins.
            pub fn of(places: impl IntoIterator<Item = (Origin, Wishes)>) -> Self {
                let mut settings = Self::default();
                for (origin, wishes) in places {
                    let said = || origin.clone();
                    $(if let Some(value) = wishes.$scalar {
                        settings.$scalar = Some(Said { value, origin: said() });
                    })*
                    $(settings.$merged.extend(wishes.$merged);)*
                    if let Some(scripts) = wishes.check_scripts {
                        settings.check_scripts = std::mem::take(&mut settings.check_scripts).and(scripts);
                    }
                    let DebianWishes { mirror, security_mirror, signed_by } = wishes.debian;
                    overlay(&mut settings.mirror, mirror, &origin);
                    overlay(&mut settings.security_mirror, security_mirror, &origin);
                    overlay(&mut settings.signed_by, signed_by, &origin);
                    let BuildTable { isolation, distributions } = wishes.build;
                    overlay(&mut settings.isolation, isolation, &origin);
                    settings.builds.extend(distributions);
                    let CacheWishes { also } = wishes.cache;
                    settings.cache_also.extend(also);
                    let SlimTable { profile, keep, drop, rules, package } = wishes.slim;
                    overlay(&mut settings.profile, profile, &origin);
                    settings.slim.keep.extend(keep);
                    settings.slim.drop.extend(drop);
                    settings.slim.rules.extend(rules);
                    settings.slim_packages.extend(package);
                }
                settings
            }
        }
    };
}

fn overlay<T>(place: &mut Option<Said<T>>, value: Option<T>, origin: &Origin) {
    if let Some(value) = value {
        *place = Some(Said { value, origin: origin.clone() });
    }
}

settings! {
    scalar python: PythonWish;
    scalar base: String;
    scalar platform: Platform;
    scalar entrypoint: CommandLine;
    scalar cmd: CommandLine;
    scalar workdir: ImagePath;
    scalar user: String;
    scalar stop_signal: String;
    scalar healthcheck: Healthcheck;
    scalar package: String;
    scalar strict: bool;
    scalar shell: bool;
    scalar likely_libraries: bool;
    scalar layers: LayerPolicy;
    scalar compression: Packing;
    scalar proof: ProofPolicy;
    merged env: BTreeMap<String, String>;
    merged labels: BTreeMap<String, String>;
    merged annotations: BTreeMap<String, String>;
    merged ports: Vec<Port>;
    merged volumes: Vec<ImagePath>;
    merged system_packages: Vec<String>;
    merged tools: Vec<String>;
    merged optional_libraries: Vec<String>;
    merged files: BTreeMap<ImagePath, PathBuf>;
    merged groups: Vec<String>;
    merged extras: Vec<String>;
    merged ignore: Vec<String>;
    merged find_links: Vec<PathBuf>;
    merged wheelhouse: Vec<PathBuf>;
    merged no_binary: Vec<String>;
    merged check: Vec<CommandLine>;
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use minke_cas::Digest;

    use super::*;

    fn read(text: &str) -> Result<Wishes, String> {
        Wishes::from_minke_toml(Path::new("minke.toml"), text).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        insta::assert_snapshot!(read("entrypont = 'x'").unwrap_err(), @"minke.toml has an unknown key: `entrypont`; did you mean `entrypoint`?");
        insta::assert_snapshot!(read("[debian]\nmiror = 'x'").unwrap_err(), @"minke.toml has an unknown key: `debian.miror`; did you mean `debian.mirror`?");
        insta::assert_snapshot!(read("zzzzzzz = 1").unwrap_err(), @"minke.toml has an unknown key: `zzzzzzz`");
    }

    #[test]
    fn a_wrong_type_names_line_and_column() {
        insta::assert_snapshot!(read("python = '3.13'\nports = ['http']").unwrap_err(), @r"
        minke.toml is not right: TOML parse error at line 2, column 9
          |
        2 | ports = ['http']
          |         ^^^^^^^^
        `http` is not a port such as `8000` or `53/udp`
        ");
    }

    #[test]
    fn later_places_win_and_tables_grow() {
        let file = read("python = '3.12'\nbase = 'trixie'\nenv = { A = '1', B = '1' }").unwrap();
        let argument = Wishes {
            python: Some(PythonWish::Version("3.13".to_owned())),
            env: BTreeMap::from([("B".to_owned(), "2".to_owned())]),
            ..Wishes::default()
        };
        let places = [(Origin::File("minke.toml".into()), file), (Origin::Argument("--python"), argument)];
        let settings = Settings::of(places);
        assert_eq!(settings.python.unwrap().origin, Origin::Argument("--python"));
        assert_eq!(settings.base.unwrap().origin, Origin::File("minke.toml".into()));
        assert_eq!(settings.env.into_values().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn mirrors_are_one_or_many_but_not_none() {
        let mirrors = |text: &str| read(text).map(|wishes| wishes.debian.mirror.unwrap().0);
        assert_eq!(mirrors("debian.mirror = 'http://a.test'"), Ok(vec!["http://a.test".to_owned()]));
        let both = Ok(vec!["http://a.test".to_owned(), "http://b.test".to_owned()]);
        assert_eq!(mirrors("debian.mirror = 'http://a.test  http://b.test'"), both);
        assert_eq!(mirrors("debian.mirror = ['http://a.test', 'http://b.test']"), both);
        assert!(mirrors("debian.mirror = ''").is_err() && mirrors("debian.mirror = []").is_err());
    }

    #[test]
    fn programs_to_start_are_none_all_or_named() {
        let scripts =
            |text: &str| read(&format!("check-scripts = {text}")).map(|wishes| wishes.check_scripts.unwrap());
        assert_eq!(scripts("true"), Ok(Scripts::All));
        assert_eq!((scripts("false"), scripts("[]")), (Ok(Scripts::None), Ok(Scripts::None)));
        let named = |name: &str| Scripts::Named([name.to_owned()].into());
        assert_eq!(scripts("['httpx']"), Ok(named("httpx")));
        assert!(scripts("'httpx'").is_err() && scripts("[1]").is_err());
        let wishes = |name: &str| Wishes { check_scripts: Some(named(name)), ..Wishes::default() };
        let places = ["a", "b"].map(|name| (Origin::Default, wishes(name)));
        assert_eq!(Settings::of(places).check_scripts, named("a").and(named("b")));
    }

    #[test]
    fn layers_have_a_name_or_a_budget() {
        let layers = |text: &str| read(&format!("layers = {text}")).map(|wishes| wishes.layers.unwrap());
        assert_eq!(layers("'single'"), Ok(LayerPolicy::Single));
        assert_eq!(layers("'shared'"), Ok(LayerPolicy::Shared { budget: 10 }));
        assert_eq!(layers("{ budget = 100 }"), Ok(LayerPolicy::Shared { budget: 100 }));
        for wrong in
            ["{ budget = 4 }", "{ budget = 101 }", "{ budget = 300 }", "'many'", "{}", "{ budgets = 5 }"]
        {
            assert!(layers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_project_without_our_table_wishes_nothing() {
        let text = "[project]\nname = 'x'\n[tool.other]\nbase = 1";
        assert_eq!(Wishes::from_pyproject(Path::new("pyproject.toml"), text).unwrap(), None);
    }

    #[test]
    fn a_table_of_ours_that_is_none_is_refused() {
        let error = Wishes::from_pyproject(Path::new("pyproject.toml"), "[tool]\nminke = 'x'").unwrap_err();
        assert!(matches!(error, SettingsError::Syntax { .. }), "{error}");
    }

    #[test]
    fn a_python_is_a_version_or_an_archive() {
        let python = |text: &str| read(text).map(|wishes| wishes.python.unwrap());
        assert_eq!(python("python = '3.12'"), Ok(PythonWish::Version("3.12".to_owned())));
        let digest = Digest::of(b"");
        let table = format!("python = {{ standalone = 'p.tar.gz', sha256 = '{}' }}", digest.hex());
        let wish = StandaloneWish { place: "p.tar.gz".to_owned(), sha256: Some(digest) };
        assert_eq!(python(&table), Ok(PythonWish::Standalone(wish.clone())));
        assert_eq!(format!("p.tar.gz#sha256={}", digest.hex()).parse(), Ok(wish));
        insta::assert_snapshot!(python("python = { standalon = 'x' }").unwrap_err(), @"minke.toml has an unknown key: `python.standalon`; did you mean `python.standalone`?");
        insta::assert_snapshot!(python("python = { standalone = 'x', sha256 = '7' }").unwrap_err(), @r"
        minke.toml is not right: TOML parse error at line 1, column 10
          |
        1 | python = { standalone = 'x', sha256 = '7' }
          |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        `7` is not a sha256 digest (64 lower-case hex digits, with or without `sha256:`)
        ");
    }

    #[test]
    fn builds_are_told_by_the_distributions_name() {
        let text =
            "[build]\nisolation = 'none'\n[build.Python_LDAP]\ncflags = '-O3'\nsystem = ['libldap-dev']";
        let wishes = BuildWishes {
            cflags: Some("-O3".to_owned()),
            system: vec!["libldap-dev".to_owned()],
            ..BuildWishes::default()
        };
        let distributions = BTreeMap::from([("python-ldap".parse().unwrap(), wishes)]);
        let table = BuildTable { isolation: Some(BuildIsolation::None), distributions };
        assert_eq!(read(text).unwrap().build, table);
        insta::assert_snapshot!(read("[build.x]\ncflag = ''").unwrap_err(), @"minke.toml has an unknown key: `build.x.cflag`; did you mean `build.x.cflags`?");
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        let wishes = read("entrypoint = \"python -m 'a b'\"\ncmd = ['x y']").unwrap();
        assert_eq!(wishes.entrypoint.unwrap().0, ["python", "-m", "a b"]);
        assert_eq!(wishes.cmd.unwrap().0, ["x y"]);
    }
}
