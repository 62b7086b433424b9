//! The door to environment, home, current directory and clock: read once, handed down as values.
//!
//! No other module of minke asks the process for anything; a test makes a [`Surroundings`] by hand.

#![expect(
    clippy::disallowed_methods,
    reason = "door: the environment, home, directory and clock are read here"
)]

mod machine;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use minke_build::Host;
use minke_build::settings::{DebianWishes, Origin, Packing, PythonWish, Wishes};

/// What the process finds around it.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// The machine as the foreman may know it.
    pub(crate) host: Host,
    /// The command line, the program's name first.
    pub(crate) arguments: Vec<OsString>,
}

/// The surroundings don't say what minke must know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurroundingsError {
    /// The current directory cannot be told: it was removed, or may not be read.
    #[error("cannot tell the current directory")]
    Directory(#[source] io::Error),
    /// A variable's value is none of those that it may have.
    #[error("${name} is `{value}`, which is none of {known}")]
    Variable {
        /// Which variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values it may have.
        known: &'static str,
    },
    /// Nothing says where the cache is to lie.
    #[error("nothing says where the cache is to lie: there is no home directory")]
    NoCache,
}

impl Surroundings {
    /// Reads all there is to read.
    ///
    /// Variables whose name or value isn't UTF-8 are left out.
    ///
    /// # Errors
    /// [`SurroundingsError::Directory`].
    pub(crate) fn read() -> Result<Self, SurroundingsError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let mut host = Host {
            variables,
            home: home.clone(),
            directory: std::env::current_dir().map_err(SurroundingsError::Directory)?,
            // UTC, so that two machines that build at one moment agree on the day.
            today: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            apt_sources: machine::apt_sources(Path::new("/")),
            ..Host::default()
        };
        host.pip_config = machine::pip_config(Path::new("/"), home.as_deref(), |name| host.variable(name));
        host.cargo_config = machine::cargo_config(home.as_deref(), host.variable("CARGO_HOME"));
        host.netrc = machine::netrc(home.as_deref(), host.variable("NETRC"));
        Ok(Self { host, arguments: std::env::args_os().collect() })
    }

    /// Returns a variable's value; one that is empty counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.host.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns an absolute path for one that was said relative to the current directory.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.host.directory.join(path).components().collect()
    }

    /// Returns what the environment wishes, one entry for each variable that is set.
    ///
    /// # Errors
    /// [`SurroundingsError::Variable`].
    pub(crate) fn wishes(&self) -> Result<Vec<(Origin, Wishes)>, SurroundingsError> {
        type Wish = fn(&Surroundings, String) -> Option<Wishes>;
        const VARIABLES: [(&str, &str, Wish); 6] = [
            ("MINKE_PYTHON", "a version", |_, value| {
                Some(Wishes { python: Some(PythonWish::Version(value)), ..Wishes::default() })
            }),
            ("MINKE_BASE", "a base", |_, value| Some(Wishes { base: Some(value), ..Wishes::default() })),
            ("MINKE_DEBIAN_MIRROR", "an address", |_, value| {
                Some(debian(DebianWishes { mirror: value.parse().ok(), ..DebianWishes::default() }))
            }),
            ("MINKE_DEBIAN_SECURITY_MIRROR", "an address", |_, value| {
                Some(debian(DebianWishes { security_mirror: value.parse().ok(), ..DebianWishes::default() }))
            }),
            ("MINKE_DEBIAN_SIGNED_BY", "a file", |around, value| {
                let signed_by = Some(around.absolute(value.as_ref()));
                Some(debian(DebianWishes { signed_by, ..DebianWishes::default() }))
            }),
            ("MINKE_COMPRESSION", "`gzip`, `gzip-best`, `zstd` and `none`", |_, value| {
                let compression = match value.as_str() {
                    "gzip" => Packing::Gzip,
                    "gzip-best" => Packing::GzipBest,
                    "zstd" => Packing::Zstd,
                    "none" => Packing::None,
                    _ => return None,
                };
                Some(Wishes { compression: Some(compression), ..Wishes::default() })
            }),
        ];
        let said = VARIABLES.iter().filter_map(|said| Some((said, self.variable(said.0)?.to_owned())));
        said.map(|(&(name, known, wish), value)| {
            let refused = || SurroundingsError::Variable { name, value: value.clone(), known };
            Ok((Origin::Environment(name), wish(self, value.clone()).ok_or_else(refused)?))
        })
        .collect()
    }

    /// Returns where the cache lies: where it was said, else where caches lie.
    ///
    /// # Errors
    /// [`SurroundingsError::NoCache`] if nothing says it.
    ///
    /// Spec: <https://specifications.freedesktop.org/basedir-spec/0.8/>
    pub(crate) fn cache(&self, said: Option<&Path>) -> Result<PathBuf, SurroundingsError> {
        if let Some(said) = said.or_else(|| self.variable("MINKE_CACHE").map(Path::new)) {
            return Ok(self.absolute(said));
        }
        // The specification tells to ignore a path that is not absolute.
        let caches = self.variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = caches.or_else(|| Some(self.host.home.as_ref()?.join(".cache")));
        caches.map(|caches| caches.join("minke")).ok_or(SurroundingsError::NoCache)
    }

    /// Returns the caches to look into besides: those that were said, then those of the environment.
    pub(crate) fn cache_also(&self, said: &[PathBuf]) -> Vec<PathBuf> {
        let of_environment = self.variable("MINKE_CACHE_ALSO").map(std::env::split_paths);
        let of_environment = of_environment.into_iter().flatten().filter(|path| !path.as_os_str().is_empty());
        said.iter().cloned().chain(of_environment).map(|path| self.absolute(&path)).collect()
    }
}

fn debian(debian: DebianWishes) -> Wishes {
    Wishes { debian, ..Wishes::default() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes surroundings without a home, in `/srv`, with these variables.
    pub(crate) fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let host = Host {
            variables,
            home: None,
            directory: "/srv".into(),
            today: jiff::civil::date(2026, 1, 2),
            jobs: 2,
            ..Host::default()
        };
        Surroundings { host, arguments: Vec::new() }
    }

    #[test]
    fn the_cache_lies_where_it_is_said_and_else_where_caches_lie() {
        let all = [("MINKE_CACHE", "c"), ("XDG_CACHE_HOME", "/x")];
        let cache = |around: &Surroundings, said: Option<&str>| {
            around.cache(said.map(Path::new)).unwrap().display().to_string()
        };
        assert_eq!(cache(&surroundings(&all), Some("d")), "/srv/d");
        assert_eq!(cache(&surroundings(&all), None), "/srv/c");
        assert_eq!(cache(&surroundings(&all[1..]), None), "/x/minke");
        let mut home = surroundings(&[("MINKE_CACHE", ""), ("XDG_CACHE_HOME", "relative")]);
        home.host.home = Some("/home/u".into());
        assert_eq!(cache(&home, None), "/home/u/.cache/minke");
        assert!(matches!(surroundings(&[]).cache(None), Err(SurroundingsError::NoCache)));
    }

    #[test]
    fn caches_below_come_from_arguments_and_then_the_environment() {
        let around = surroundings(&[("MINKE_CACHE_ALSO", "/a:b::")]);
        assert_eq!(around.cache_also(&["c".into()]), ["/srv/c", "/a", "/srv/b"].map(PathBuf::from));
        assert_eq!(surroundings(&[]).cache_also(&[]), Vec::<PathBuf>::new());
    }

    #[test]
    fn each_variable_is_one_wish_that_knows_its_name() {
        let around = surroundings(&[
            ("MINKE_PYTHON", "3.13"),
            ("MINKE_BASE", "trixie"),
            ("MINKE_DEBIAN_MIRROR", "http://mirror.test/debian http://other.test/debian"),
            ("MINKE_DEBIAN_SECURITY_MIRROR", "http://mirror.test/security"),
            ("MINKE_DEBIAN_SIGNED_BY", "key.asc"),
            ("MINKE_COMPRESSION", "zstd"),
            ("PATH", "/bin"),
        ]);
        let settings = minke_build::settings::Settings::of(around.wishes().unwrap());
        let said = |text: String, origin: &Origin| format!("{text} {origin}");
        let python = settings.python.unwrap();
        let base = settings.base.unwrap();
        let mirror = settings.mirror.unwrap();
        let security = settings.security_mirror.unwrap();
        let key = settings.signed_by.unwrap();
        let compression = settings.compression.unwrap();
        let all = [
            said(format!("{:?}", python.value), &python.origin),
            said(base.value, &base.origin),
            said(mirror.value.0.join(" and "), &mirror.origin),
            said(security.value.0.join(" and "), &security.origin),
            said(key.value.display().to_string(), &key.origin),
            said(format!("{:?}", compression.value), &compression.origin),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        Version("3.13") in $MINKE_PYTHON
        trixie in $MINKE_BASE
        http://mirror.test/debian and http://other.test/debian in $MINKE_DEBIAN_MIRROR
        http://mirror.test/security in $MINKE_DEBIAN_SECURITY_MIRROR
        /srv/key.asc in $MINKE_DEBIAN_SIGNED_BY
        Zstd in $MINKE_COMPRESSION
        "#);
    }

    #[test]
    fn a_variable_with_an_impossible_value_is_named() {
        let error = surroundings(&[("MINKE_COMPRESSION", "lzma")]).wishes().unwrap_err();
        insta::assert_snapshot!(error, @"$MINKE_COMPRESSION is `lzma`, which is none of `gzip`, `gzip-best`, `zstd` and `none`");
    }
}
