//! What is built from sources: the example that asks real databases, and sources that need nothing said.

use std::process::Command;

use crate::databases::Databases;
use crate::peers::Podman;
use crate::scanner;
use crate::world::{World, free_port, output, ran, with_server};

#[test]
fn the_compiled_example_asks_both_databases_here_and_in_podman() {
    let world = World::open();
    let Some(databases) = Databases::start() else { return };
    let archive = world.path("compiled.docker.tar");
    world.build("compiled", &[&format!("docker-archive:{}", archive.display())]);
    let [first, second] = databases.variables();
    for mut minke in world.minke_as_each_user() {
        minke.args(["run", "--read-only", "-e", &first, "-e", &second, "compiled"]);
        check_answers(minke);
    }
    let Some(podman) = Podman::find() else { return };
    podman.load(&archive);
    check_answers(podman.run_with(&[first, second], "compiled"));
}

/// Starts the server that a command leads to, and asks it for what each database has.
fn check_answers(mut server: Command) {
    let port = free_port();
    server.arg(format!("--http=127.0.0.1:{port}"));
    with_server(server, port, |get| {
        let answers: String = ["/whales.json", "/whales.xml", "/ships.json", "/ships.xml"].map(get).concat();
        insta::allow_duplicates! {
            insta::assert_snapshot!(answers, @r#"
            {"whales": [{"name": "blue", "metres": 27}, {"name": "humpback", "metres": 14}, {"name": "minke", "metres": 8}]}
            <whales><entry name="blue" metres="27"/><entry name="humpback" metres="14"/><entry name="minke" metres="8"/></whales>
            {"ships": [{"name": "Esperanza", "metres": 72}, {"name": "Rainbow Warrior", "metres": 58}]}
            <ships><entry name="Esperanza" metres="72"/><entry name="Rainbow Warrior" metres="58"/></ships>
            "#);
        }
    });
}

#[test]
fn nothing_of_what_the_compiled_example_was_built_with_is_in_its_image() {
    let world = World::open();
    let layout = world.path("compiled.layout");
    world.build("compiled", &[&format!("oci:{}:x", layout.display())]);
    let found = scanner::scan(&layout);
    let of_builds = |name: &&String| {
        ["-dev", "-doc"].iter().any(|end| name.ends_with(end))
            || ["gcc", "g++", "cpp", "binutils", "make", "pkgconf", "libc6-dev"].contains(&name.as_str())
    };
    assert_eq!(found.debs.keys().filter(of_builds).collect::<Vec<_>>(), [""; 0]);
    // The libraries of each are there, with their records.
    for package in ["libmariadb3", "libpq5", "libpython3.13", "libxml2", "libxslt1.1"] {
        assert!(found.debs.contains_key(package), "{package} is in {:?}", found.debs.keys());
    }
    let (ours, system): (Vec<_>, Vec<_>) = found.paths().partition(|path| path.starts_with("app/"));
    let is_for_builds = |path: &&&String| {
        [".h", ".hpp", ".a", ".la", ".o", ".pc", ".c"].iter().any(|end| path.ends_with(end))
    };
    assert_eq!(system.iter().filter(is_for_builds).collect::<Vec<_>>(), [&""; 0]);
    // lxml's and mysqlclient's own wheels hold some, for those who build upon lxml.
    let packages = ["lxml/", "MySQLdb/"].map(|name| format!("app/.venv/lib/python3.13/site-packages/{name}"));
    let foreign =
        ours.iter().filter(is_for_builds).filter(|path| !packages.iter().any(|p| path.starts_with(p)));
    assert_eq!(foreign.collect::<Vec<_>>(), [&""; 0]);
    let programs = system.iter().filter_map(|path| path.strip_prefix("usr/bin/"));
    assert_eq!(programs.collect::<Vec<_>>(), ["python3.13"]);
}

#[test]
fn sources_in_c_are_built_where_nothing_says_how() {
    let world = World::open();
    // The last one has no pyproject.toml, and its setup.py begins with `import numpy`.
    let names = ["markupsafe", "psutil", "hdmedians"];
    let settings = format!("no-binary = {names:?}\n");
    let main = "import markupsafe, markupsafe._speedups, numpy, psutil, hdmedians\n\
        print(markupsafe.escape('<whale>'), psutil.Process().pid > 0)\n\
        print(numpy.asarray(hdmedians.geomedian(numpy.array([[0., 4., 2.], [0., 0., 3.]]))).round(1))\n";
    let project = world.project(
        "sources",
        &[("minke.toml", &settings), ("requirements.txt", &names.join("\n")), ("main.py", main)],
    );
    ran(&world.minke().arg("build").arg(&project).output().expect("minke starts"));
    let said = output(world.minke().args(["run", "--read-only", "sources"]));
    insta::assert_snapshot!(said, @r"
        &lt;whale&gt; True
        [2.  1.2]
    ");
    let listed = output(world.minke().args(["wheels", "list"]));
    for name in names {
        assert!(listed.contains(&format!("{name}-")), "{name} was built:\n{listed}");
    }
}
