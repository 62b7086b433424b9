//! Where the distribution's archives lie, in the order in which they are asked, and who says so.

use minke_distro::sources::{self, AptSource, Serves};
use minke_net::Mirror;

use crate::debian::DebianError;
use crate::request::Host;
use crate::settings::{Addresses, Origin, Said, Settings};

/// The mirrors of the two archives that a suite is made of.
pub(crate) struct Archives {
    /// Those of the suite and its updates; at least one.
    pub(crate) main: Vec<Mirror>,
    /// Those of its security updates.
    pub(crate) security: Vec<Mirror>,
}

/// Finds the archives: those of the settings, else those of this machine's own apt.
///
/// # Errors
/// [`DebianError::NoMirror`] where nothing names one; [`DebianError::Mirror`] for a setting that is no address.
pub(crate) fn find(settings: &Settings, host: &Host) -> Result<Archives, DebianError> {
    let said = |said: &Option<Said<Addresses>>, key| {
        said.as_ref().map_or_else(|| Ok(Vec::new()), |said| said_mirrors(said, key))
    };
    let main = said(&settings.mirror, "mirror")?;
    let security = said(&settings.security_mirror, "security-mirror")?;
    if !main.is_empty() {
        return Ok(Archives { main, security });
    }
    let main = of_apt(host, Serves::Main);
    let security = if security.is_empty() { of_apt(host, Serves::Security) } else { security };
    if main.is_empty() { Err(DebianError::NoMirror) } else { Ok(Archives { main, security }) }
}

fn said_mirrors(said: &Said<Addresses>, key: &str) -> Result<Vec<Mirror>, DebianError> {
    let named_by = match &said.origin {
        Origin::File(path) => format!("`{key}` in {}", path.display()),
        Origin::Environment(name) | Origin::Argument(name) => format!("`{name}`"),
        Origin::Default => format!("`{key}`"),
    };
    let mirror = |address: &String| {
        let base = address.parse();
        let base = base.map_err(|source| DebianError::Mirror { origin: said.origin.clone(), source })?;
        Ok(Mirror { base, named_by: named_by.clone() })
    };
    said.value.0.iter().map(mirror).collect()
}

/// Returns what apt's files name, in their order and each once.
fn of_apt(host: &Host, wanted: Serves) -> Vec<Mirror> {
    let entries = host.apt_sources.iter().flat_map(|(path, text)| {
        let is_deb822 = path.extension().is_some_and(|extension| extension == "sources");
        let entries = if is_deb822 { sources::parse_deb822(text) } else { sources::parse_list(text) };
        let named_by = path.display().to_string();
        entries.into_iter().map(move |entry| (named_by.clone(), entry))
    });
    let mut mirrors: Vec<Mirror> = Vec::new();
    for (named_by, AptSource { base, .. }) in entries.filter(|(_, entry)| entry.serves() == Some(wanted)) {
        if mirrors.iter().all(|mirror| mirror.base != base) {
            mirrors.push(Mirror { base, named_by });
        }
    }
    mirrors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &Settings, host: &Host) -> String {
        let Archives { main, security } = find(settings, host).unwrap();
        let line = |mirror: &Mirror| format!("{}, named by {}", mirror.base, mirror.named_by);
        let lines: Vec<_> =
            main.iter().map(line).chain(["---".to_owned()]).chain(security.iter().map(line)).collect();
        lines.join("\n")
    }

    fn machine() -> Host {
        let list = "deb http://old.test/debian bookworm main\ndeb http://safe.test bookworm-security main\n";
        let sources = "Types: deb\nURIs: http://z.test/debian http://a.test/debian/ http://old.test/debian\n\
            Suites: trixie\nComponents: main\n";
        let files = [("/etc/apt/sources.list", list), ("/etc/apt/sources.list.d/debian.sources", sources)];
        Host {
            apt_sources: files.map(|(path, text)| (path.into(), text.to_owned())).into(),
            ..Host::default()
        }
    }

    #[test]
    fn apts_addresses_count_in_their_order() {
        insta::assert_snapshot!(shown(&Settings::default(), &machine()), @r"
        http://old.test/debian, named by /etc/apt/sources.list
        http://z.test/debian, named by /etc/apt/sources.list.d/debian.sources
        http://a.test/debian/, named by /etc/apt/sources.list.d/debian.sources
        ---
        http://safe.test/, named by /etc/apt/sources.list
        ");
    }

    #[test]
    fn a_setting_comes_before_apts() {
        let said = |text: &str, origin| Some(Said { value: text.parse().unwrap(), origin });
        let file = Origin::File("minke.toml".into());
        let mirror = said("http://m.test/debian http://n.test/debian", file);
        let security_mirror = said("http://s.test", Origin::Environment("MINKE_DEBIAN_SECURITY_MIRROR"));
        let security_only = Settings { security_mirror: security_mirror.clone(), ..Settings::default() };
        let both = Settings { mirror, security_mirror, ..Settings::default() };
        insta::assert_snapshot!(shown(&both, &machine()), @r"
        http://m.test/debian, named by `mirror` in minke.toml
        http://n.test/debian, named by `mirror` in minke.toml
        ---
        http://s.test/, named by `MINKE_DEBIAN_SECURITY_MIRROR`
        ");
        assert!(shown(&security_only, &machine()).ends_with("named by `MINKE_DEBIAN_SECURITY_MIRROR`"));
    }
}
