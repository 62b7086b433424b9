//! The README says what minke reads: every setting with an example that is one, every variable, every status.

use std::collections::BTreeSet;
use std::path::Path;

use minke_build::settings::{BuildTable, CacheWishes, DebianWishes, SlimTable, Wishes};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns the first cells of the table that has this title.
fn first_cells(title: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with(&format!("| {title} |"))).skip(2);
    let rows = table.map_while(|line| line.strip_prefix("| "));
    rows.map(|row| row.split(" | ").next().unwrap().to_owned()).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line and a row for each setting")]
fn every_setting_has_an_example_that_is_one() {
    let lines: Vec<_> =
        first_cells("setting").iter().map(|cell| cell.trim_matches('`').to_owned() + "\n").collect();
    let wishes = Wishes::from_minke_toml(Path::new("README.md"), &lines.concat()).unwrap();
    // Taken apart without `..`, so that a new setting doesn't compile until it stands here and there.
    let Wishes {
        python,
        base,
        platform,
        entrypoint,
        cmd,
        env,
        labels,
        annotations,
        workdir,
        user,
        ports,
        volumes,
        stop_signal,
        healthcheck,
        shell,
        system_packages,
        tools,
        optional_libraries,
        likely_libraries,
        files,
        groups,
        extras,
        ignore,
        package,
        strict,
        layers,
        compression,
        find_links,
        wheelhouse,
        no_binary,
        check,
        check_scripts,
        proof,
        build: BuildTable { isolation, distributions },
        debian: DebianWishes { mirror, security_mirror, signed_by },
        cache: CacheWishes { also },
        slim: SlimTable { profile, keep, drop, rules, package: slimmed },
    } = wishes;
    let set = [
        ("python", python.is_some()),
        ("base", base.is_some()),
        ("platform", platform.is_some()),
        ("entrypoint", entrypoint.is_some()),
        ("cmd", cmd.is_some()),
        ("env", !env.is_empty()),
        ("labels", !labels.is_empty()),
        ("annotations", !annotations.is_empty()),
        ("workdir", workdir.is_some()),
        ("user", user.is_some()),
        ("ports", !ports.is_empty()),
        ("volumes", !volumes.is_empty()),
        ("stop-signal", stop_signal.is_some()),
        ("healthcheck", healthcheck.is_some()),
        ("shell", shell.is_some()),
        ("system-packages", !system_packages.is_empty()),
        ("tools", !tools.is_empty()),
        ("optional-libraries", !optional_libraries.is_empty()),
        ("likely-libraries", likely_libraries.is_some()),
        ("files", !files.is_empty()),
        ("groups", !groups.is_empty()),
        ("extras", !extras.is_empty()),
        ("ignore", !ignore.is_empty()),
        ("package", package.is_some()),
        ("strict", strict.is_some()),
        ("layers", layers.is_some()),
        ("compression", compression.is_some()),
        ("find-links", !find_links.is_empty()),
        ("wheelhouse", !wheelhouse.is_empty()),
        ("no-binary", !no_binary.is_empty()),
        ("check", !check.is_empty()),
        ("check-scripts", check_scripts.is_some()),
        ("proof", proof.is_some()),
        ("build.isolation", isolation.is_some()),
        ("build.NAME", !distributions.is_empty()),
        ("debian.mirror", mirror.is_some()),
        ("debian.security-mirror", security_mirror.is_some()),
        ("debian.signed-by", signed_by.is_some()),
        ("cache.also", !also.is_empty()),
        ("slim.profile", profile.is_some()),
        ("slim.keep", !keep.is_empty()),
        ("slim.drop", !drop.is_empty()),
        ("slim.rules", !rules.is_empty()),
        ("slim.package.NAME", !slimmed.is_empty()),
    ];
    let unset: Vec<_> = set.iter().filter(|(_, is_set)| !is_set).map(|(name, _)| name).collect();
    assert!(unset.is_empty(), "README.md has no example of {unset:?}");
}

#[test]
fn every_variable_of_minkes_own_is_named() {
    let source = std::fs::read_to_string(root().join("crates/minke/src/settings.rs")).unwrap();
    let read: BTreeSet<_> =
        source.split('"').filter(|text| text.starts_with("MINKE_")).map(str::to_owned).collect();
    let cells = first_cells("environment variable").join(" ");
    let named: BTreeSet<_> =
        cells.split('`').filter(|text| text.starts_with("MINKE_")).map(str::to_owned).collect();
    assert_eq!(named, read);
}

#[test]
fn exit_statuses_are_those_of_the_architecture() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| status |")).skip(2);
    let planned: Vec<_> = table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let told = first_cells("exit status");
    // The last row is one signal's in one place and all signals' in the other.
    assert_eq!(told[..told.len() - 1], planned[..planned.len() - 1]);
}
