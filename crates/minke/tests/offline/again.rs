//! Builds that have been done before, all or in part: nothing is done twice, and no change is missed.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use minke_testkit::Wheel;

use crate::image::Layout;
use crate::town::Town;

fn shop() -> Option<Town> {
    let wheel = Wheel::new("toy", "1").file("toy.py", "x = 1\n");
    let town = Town::with(std::slice::from_ref(&wheel))?;
    town.project("shop", &[wheel]);
    town.write("shop/other.py", "y = 2\n");
    Some(town)
}

/// The hops of a build that took part, but for those that always do.
fn work(town: &Town, arguments: &[&str]) -> String {
    let said = town.succeeds(&[&["build", "--verbose", "shop"], arguments].concat()).stderr;
    let hops =
        said.lines().take_while(|line| !line.starts_with("layer ")).filter_map(|line| line.split_once(": "));
    let always = ["plan", "project", "lock", "note", "bytecode", "layers", "deliver"];
    hops.map(|(hop, _)| hop).filter(|hop| !always.contains(hop)).collect::<Vec<_>>().join(" ")
}

/// The reasons that `--why` gives.
fn why(town: &Town, arguments: &[&str]) -> String {
    let said = town.succeeds(&[&["build", "--quiet", "--why", "shop"], arguments].concat()).stderr;
    said.lines().map(|line| line.trim_start_matches("why: ")).collect::<Vec<_>>().join("\n")
}

/// Builds with an empty cache, which no memory can deceive.
fn afresh(town: &Town) -> String {
    let mut command = town.command(&["build", "--quiet", "shop"]);
    let built = town.finish(command.env("MINKE_CACHE", town.path("fresh")).spawn().expect("minke starts"));
    assert_eq!(built.status, 0, "{}", built.stderr);
    fs::remove_dir_all(town.path("fresh")).expect("the cache can be removed");
    built.stdout.trim_end().to_owned()
}

#[test]
fn an_edit_unpacks_nothing_and_is_the_same_as_a_build_from_nothing() {
    let Some(town) = shop() else { return };
    town.builds(&["shop"]);
    assert_eq!(work(&town, &[]), "");
    town.write("shop/main.py", "print('edited')\n");
    assert_eq!(work(&town, &[]), "");
    assert_eq!(town.builds(&["shop"]), afresh(&town));
    town.write("shop/more.py", "");
    assert_eq!(work(&town, &[]), "unpack fetch fetch slim", "a new path may be in the way of another's");
    assert_eq!(town.builds(&["shop"]), afresh(&town));
}

#[test]
fn the_reasons_for_another_layer_are_its_fields() {
    let Some(town) = shop() else { return };
    assert_snapshot!(why(&town, &[]), @"no build of this name and platform is known to compare with");
    assert_snapshot!(why(&town, &[]), @"nothing has changed");
    town.write("shop/main.py", "print('edited')\n");
    fs::remove_file(town.path("shop/other.py")).unwrap();
    assert_snapshot!(why(&town, &["--system-package", "toy-tool"]), @r"
        app: /app/main.py was 03e693d9f2f6, is 2ae44e055a40
        app: /app/other.py is gone (f469842763db)
        system is new
    ");
    assert_snapshot!(why(&town, &["--compression", "none"]), @r"
        all layers: compression was gzip, is none
        system is gone
    ");
    let reasons = why(&town, &["--compression", "none", "--profile", "smallest"]);
    assert_snapshot!(reasons, @"all layers: profile was lean, is smallest");
}

/// Everything is rewritten in the same instant, as fast as a program can.
#[test]
fn a_change_in_the_same_tick_of_the_clock_is_not_missed() {
    let Some(town) = shop() else { return };
    let images: Vec<String> = (0..6)
        .map(|round| {
            town.write("shop/main.py", format!("print({round})\n"));
            town.builds(&["shop"])
        })
        .collect();
    for (index, image) in images.iter().enumerate() {
        assert_eq!(images.iter().position(|other| other == image), Some(index), "each edit is another image");
    }
}

#[test]
fn a_change_that_hides_behind_its_size_and_time_is_not_missed() {
    let Some(town) = shop() else { return };
    let path = town.path("shop/main.py");
    age(&path);
    let first = town.builds(&["shop"]);
    // Noted by now, for the file was old enough.
    assert_eq!(town.builds(&["shop"]), first);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "print('hellu')\n").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_ne!(town.builds(&["shop"]), first);
}

fn age(path: &Path) {
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
    // The time of change of the inode cannot be set: it has to pass.
    std::thread::sleep(std::time::Duration::from_millis(300));
}

#[test]
fn a_file_of_the_project_where_a_wheel_has_one_is_looked_at_anew_each_time() {
    let Some(town) = shop() else { return };
    let place = "/app/.venv/lib/python3.11/site-packages/toy.py";
    town.write("shop/minke.toml", format!("[files]\n\"{place}\" = \"own.py\"\n"));
    town.write("shop/own.py", "x = 1\n");
    town.builds(&["shop"]);
    town.write("shop/own.py", "x = 2\n");
    let built = town.minke(&["build", "--quiet", "shop", "-o", "oci:layout"]);
    assert_eq!(built.status, 0, "{}", built.stderr);
    let layout = Layout::read(&town.path("layout"), None);
    assert_eq!(layout.file(place), "x = 2\n");
}

#[test]
fn a_plan_says_what_goes_in_and_writes_nothing() {
    let Some(town) = shop() else { return };
    let planned = town.succeeds(&["plan", "--quiet", "shop", "--system-package", "toy-tool"]);
    let lines: Vec<&str> = planned.stdout.lines().filter(|line| !line.contains("  base  ")).collect();
    assert_snapshot!(lines.join("\n"), @r"
        shop:latest for linux/amd64: Python 3.11.2 on x86_64 with glibc 2.36, Debian bookworm: 35 packages
        name                   version            layer   kind         size  why
        toy-tool               1                  system  package     744 B  tool.minke.system-packages
        toy                    1                  rest    wheel       799 B  toy-1-py3-none-any.whl
        shop                                      app     files           -  the project has no build system
        unknown: which packages the wheels ask for: `minke lock` fetches the wheels and finds out
    ");
    assert!(!town.path("shop/minke.lock").exists());
    let json: serde_json::Value =
        serde_json::from_str(&town.succeeds(&["plan", "--json", "--quiet", "shop"]).stdout).unwrap();
    assert_eq!(json["platform"], "linux/amd64");
    town.builds(&["shop"]);
    let planned = town.succeeds(&["plan", "--quiet", "shop"]).stdout;
    assert!(!planned.contains("unknown"), "the lock knows: {planned}");
}
