//! `update-alternatives --install`, where a script says nothing more than that.
//!
//! Several packages of the same kind (implementations of BLAS) offer a file under one name, and the one of the
//! highest priority is linked there, by way of `/etc/alternatives`.
//!
//! Spec: <https://manpages.debian.org/trixie/dpkg/update-alternatives.1.en.html>

use std::collections::BTreeMap;

use minke_cas::ImagePath;

use super::{Additions, SetupError};
use crate::deb::{Control, Script, merged};

/// One link that a package offers to be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Alternative {
    name: String,
    link: String,
    target: String,
    priority: i64,
}

/// Tells whether a script does nothing but install alternatives that can be read.
pub(super) fn are_all(script: &str) -> bool {
    commands(script).all(|words| is_idle(&words) || installed(&words).is_some())
}

/// Adds the links of the alternatives with the highest priority; of equal ones the first package's.
pub(super) fn add<'control>(
    additions: &mut Additions<'_>,
    controls: impl IntoIterator<Item = &'control Control>,
) -> Result<(), SetupError> {
    let mut best: BTreeMap<String, Alternative> = BTreeMap::new();
    let mut controls: Vec<_> = controls.into_iter().collect();
    controls.sort_by(|one, other| one.package.cmp(&other.package));
    for script in controls.iter().filter_map(|control| control.scripts.get(&Script::Postinst)) {
        for alternative in commands(script).filter_map(|words| installed(&words)).flatten() {
            let rival = best.get(&alternative.name);
            if rival.is_none_or(|rival| rival.priority < alternative.priority)
                && additions.has(&alternative.target)
            {
                best.insert(alternative.name.clone(), alternative);
            }
        }
    }
    for alternative in best.into_values() {
        let middle = format!("/etc/alternatives/{}", alternative.name);
        additions.link(&middle, &alternative.target)?;
        additions.link(merged(&Additions::path(&alternative.link)).as_str(), &middle)?;
    }
    Ok(())
}

/// Returns a script's commands as words, lines that end in a backslash joined.
fn commands(script: &str) -> impl Iterator<Item = Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let lines: Vec<Vec<String>> = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().take_while(|word| !ends(word)).map(str::to_owned).collect())
        .collect();
    lines.into_iter()
}

/// Tells whether a word ends what matters of a command: a remark, or what to do if it fails.
fn ends(word: &str) -> bool {
    word.starts_with('#') || word == "||"
}

/// What a script may say without doing anything, as debhelper writes it round what matters.
fn is_idle(words: &[String]) -> bool {
    let line = words.join(" ");
    let idle = ["set -e", "exit 0", "fi", "esac", ";;", "configure)", "case \"$1\" in", "*)", ":", "true"];
    let opening = ["if [ \"$1\" = \"configure\" ]", "if [ \"$1\" = configure ]", "if [ \"$1\" != upgrade ]"];
    // It mends what an older version of the package left behind.
    let mending = "dpkg-maintscript-helper ";
    idle.contains(&line.as_str())
        || opening.iter().any(|opening| line.starts_with(opening))
        || line.starts_with(mending)
}

/// Reads `update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…`.
fn installed(words: &[String]) -> Option<Vec<Alternative>> {
    let mut words = words.iter().map(|word| word.trim_matches('"')).filter(|word| *word != "--quiet");
    if !matches!(words.next()?, "update-alternatives" | "/usr/bin/update-alternatives")
        || words.next()? != "--install"
    {
        return None;
    }
    let mut found = vec![alternative(&mut words)?];
    let priority = words.next()?.parse().ok()?;
    while let Some(word) = words.next() {
        if word != "--slave" {
            return None;
        }
        found.push(alternative(&mut words)?);
    }
    found.iter_mut().for_each(|alternative| alternative.priority = priority);
    Some(found)
}

fn alternative<'words>(words: &mut impl Iterator<Item = &'words str>) -> Option<Alternative> {
    let (link, name, target) = (words.next()?, words.next()?, words.next()?);
    let is_path = |text: &str| text.parse::<ImagePath>().is_ok() && !text.contains(['$', '`']);
    let is_name = name.parse::<minke_cas::Name>().is_ok() && !name.contains(['$', '`']);
    (is_path(link) && is_path(target) && is_name).then(|| Alternative {
        name: name.to_owned(),
        link: link.to_owned(),
        target: target.to_owned(),
        priority: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLAS: &str = "#!/bin/sh\nset -e\n\nupdate-alternatives --install /usr/lib/libblas.so.3 \\\n\
        \tlibblas.so.3 /usr/lib/blas/libblas.so.3 10\n\nexit 0\n";

    #[test]
    fn a_script_that_only_installs_alternatives_is_accounted_for() {
        assert!(are_all(BLAS));
        assert!(!are_all("update-alternatives --install \"$LINK\" a /b 1"));
        assert!(!are_all("set -e\nfc-cache -s\n"));
    }

    #[test]
    fn remarks_between_the_lines_are_skipped() {
        let script = "update-alternatives --quiet \\\n  --install /usr/bin/cc cc /usr/bin/gcc 20 \\\n#  --slave x\n\
            update-alternatives --install /lib/cpp cpp /usr/bin/cpp 10 || true\n\
            dpkg-maintscript-helper rm_conffile /etc/x 1 -- \"$@\"\n";
        assert!(are_all(script));
        let links: Vec<_> =
            commands(script).filter_map(|words| installed(&words)).flatten().map(|one| one.link).collect();
        assert_eq!(links, ["/usr/bin/cc", "/lib/cpp"]);
    }

    #[test]
    fn slaves_share_their_masters_priority() {
        let words: Vec<String> = "update-alternatives --install /a a /x/a 5 --slave /b b /x/b"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let found = installed(&words).unwrap();
        assert_eq!(
            found.iter().map(|one| (one.link.as_str(), one.priority)).collect::<Vec<_>>(),
            [("/a", 5), ("/b", 5)]
        );
    }
}
