//! What has only sources: a source distribution is built in a sealed room, once, and its wheel is what others' are.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::{Index, Sdist, Wheel, program, sha256_hex, skip};

use crate::image::Layout;
use crate::town::{Ran, Town};

/// A backend that lies in the source distribution and needs nothing but Python.
pub(crate) const BACKEND: &str = r#"
import base64, hashlib, pathlib, zipfile

# Files that `imports` adds to the wheel.
EXTRA = {}
NAME, VERSION, MORE = pathlib.Path("about").read_text().split("\n", 2)

def get_requires_for_build_wheel(config_settings=None):
    return pathlib.Path("needs").read_text().split() if pathlib.Path("needs").exists() else []

def build_wheel(directory, config_settings=None, metadata_directory=None):
    if pathlib.Path("imports").exists():
        exec(pathlib.Path("imports").read_text())
    info, records = f"{NAME}-{VERSION}.dist-info", []
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        def add(path, content):
            content = content if isinstance(content, bytes) else content.encode()
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            records.append(f"{path},sha256={digest},{len(content)}")
        for path, content in EXTRA.items():
            add(path, content)
        add(f"{NAME}.py", f"VERSION = '{VERSION}'\n")
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n{MORE}")
        add(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        records.append(f"{info}/RECORD,,")
        wheel.writestr(f"{info}/RECORD", "\n".join(records) + "\n")
    return name
"#;

/// A source distribution of that backend's; `more` is what its metadata says besides name and version.
pub(crate) fn sdist(name: &str, requires: &[&str], more: &str) -> Sdist {
    let requires: Vec<String> = requires.iter().map(|line| format!("{line:?}")).collect();
    let pyproject = format!(
        "[build-system]\nrequires = [{}]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
        requires.join(", ")
    );
    Sdist::new(name, "1.0")
        .file("pyproject.toml", pyproject)
        .file("backend.py", BACKEND)
        .file("about", format!("{}\n1.0\n{more}", name.replace('-', "_")))
}

/// The same, whose needs nobody knows before it is built.
fn dynamic(name: &str, more: &str) -> Sdist {
    let info = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    sdist(name, &[], more).file("PKG-INFO", info)
}

/// A town with a project whose requirements come from an index of their own.
pub(crate) struct Shop {
    pub(crate) town: Town,
    uv: PathBuf,
    pub(crate) index: minke_testkit::Server,
}

/// Founds such a town; none where this machine cannot.
pub(crate) fn shop(index: Index, requirements: &str) -> Option<Shop> {
    let uv = program("uv")?;
    let town = Town::with(&[])?;
    town.write("shop/main.py", "");
    town.write("shop/requirements.txt", requirements);
    Some(Shop { town, uv, index: index.serve() })
}

impl Shop {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.minke(&[&["build", "--quiet", "shop"], arguments].concat())
    }

    pub(crate) fn minke(&self, arguments: &[&str]) -> Command {
        let mut command = self.town.command(arguments);
        command
            .env("PATH", self.uv.parent().expect("uv lies in a directory"))
            .env("UV_CACHE_DIR", self.town.path("cache-of-uv"))
            .env("UV_DEFAULT_INDEX", self.index.url_of("/simple/"))
            .env("NO_PROXY", "*");
        command
    }

    fn wheels(&self, arguments: &[&str]) -> Ran {
        let mut command = self.minke(&[&["wheels"], arguments].concat());
        self.town.finish(command.spawn().expect("minke starts"))
    }

    /// Builds; none where this machine refuses sealed rooms, outside of which no stranger's code runs.
    pub(crate) fn build(&self, arguments: &[&str]) -> Option<Ran> {
        let ran = self.town.finish(self.command(arguments).spawn().expect("minke starts"));
        if ran.stderr.contains("without a sealed room") {
            skip("this machine seals no rooms");
            return None;
        }
        Some(ran)
    }

    pub(crate) fn builds(&self, arguments: &[&str]) -> Option<Layout> {
        let ran = self.build(&[&["-o", "oci:layout"], arguments].concat())?;
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        Some(Layout::read(&self.town.path("layout"), None))
    }
}

/// The modules that lie in an image's environment.
pub(crate) fn modules(layout: &Layout) -> String {
    let all = layout.below("/app/.venv/lib/python3.11/site-packages");
    let names =
        all.lines().filter_map(|line| line.split_once(".py file")?.0.rsplit_once('/')).map(|(_, name)| name);
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_source_distribution_is_built_once_for_all_projects() {
    let tool = Wheel::new("toy-tool", "1.0").file("toy_tool.py", "");
    let index = Index::new().sdist(&sdist("toy-raw", &["toy-tool"], "")).wheel(&tool);
    let Some(shop) = shop(index, "toy-raw\n") else { return };
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    let lock = std::fs::read_to_string(shop.town.path("shop/minke.lock")).unwrap();
    let (_, recipe) = lock.split_once("[[sources]]").expect("a recipe was kept");
    let words: Vec<&str> = recipe.lines().filter(|line| !line.starts_with("sha256")).collect();
    assert_snapshot!(words.join("\n"), @r#"
    name = "toy_raw-1.0.tar.gz"
    for = "Python 3.11.2 on x86_64 with glibc 2.36"
    tools = "python"
    "#);
    // Another project that wants it finds it built: its room would say so if it ran.
    shop.town.write("shop/main.py", "print()\n");
    std::fs::remove_file(shop.town.path("shop/minke.lock")).unwrap();
    std::fs::remove_file(shop.town.path("shop/pylock.toml")).unwrap();
    let built = shop.town.path("cache/v2/memo/own-wheel-5");
    let count = || walk(&built);
    let before = count();
    shop.builds(&[]).unwrap();
    assert_eq!(count(), before);
    assert_eq!(shop.build(&["--locked"]).unwrap().status, 0);
}

/// How many files lie below a directory.
fn walk(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[test]
fn what_a_source_distribution_needs_is_found_out_by_building_it() {
    let index = Index::new()
        .sdist(&dynamic("toy-raw", "Requires-Dist: toy-lib>=2\n"))
        .wheel(&Wheel::new("toy-lib", "1.0").file("toy_lib.py", ""))
        .wheel(&Wheel::new("toy-lib", "2.0").file("toy_lib.py", ""));
    let Some(shop) = shop(index, "toy-raw\n") else { return };
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_lib toy_raw");
    // No trace of how uv was told.
    let lock = std::fs::read_to_string(shop.town.path("shop/pylock.toml")).unwrap();
    let raw: Vec<&str> = lock.lines().skip_while(|line| *line != "name = \"toy-raw\"").collect();
    assert_eq!(raw.iter().filter(|line| line.starts_with("wheels")).count(), 0, "{lock}");
}

#[test]
fn what_a_build_needs_is_built_first_where_it_has_no_wheel() {
    let index = Index::new()
        .sdist(&sdist("toy-raw", &["toy-tool"], "").file("imports", "import toy_tool"))
        .sdist(&sdist("toy-tool", &[], "").file("needs", "toy-lib").file("imports", "import toy_lib"))
        .wheel(&Wheel::new("toy-lib", "1.0").file("toy_lib.py", ""));
    let Some(shop) = shop(index, "toy-raw\n") else { return };
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    let lock = std::fs::read_to_string(shop.town.path("shop/minke.lock")).unwrap();
    let words = ["requires", "name = \"toy"];
    let (_, builds) = lock.split_once("[[build]]").expect("what the build needs was pinned");
    let lines: Vec<&str> =
        builds.lines().filter(|line| words.iter().any(|word| line.starts_with(word))).collect();
    assert_snapshot!(lines.join("\n"), @r#"
        requires = ["toy-lib"]
        name = "toy_lib-1.0-py3-none-any.whl"
        requires = ["toy-tool"]
        name = "toy_tool-1.0.tar.gz"
        name = "toy_raw-1.0.tar.gz"
        name = "toy_tool-1.0.tar.gz"
    "#);
    // Who knows nothing builds the same by the lock, and asks the index for no list.
    shop.index.forget();
    let own = shop.town.path("own-cache");
    let locked = shop.command(&["--locked"]).env("MINKE_CACHE", own).spawn().expect("minke starts");
    let locked = shop.town.finish(locked);
    assert_eq!(locked.status, 0, "{}", locked.stderr);
    let asked = shop.index.log().into_iter().filter(|request| request.path.starts_with("/simple/"));
    assert_eq!(asked.count(), 0);
}

#[test]
fn a_wheel_is_left_for_its_sources_where_that_is_asked_for() {
    let index = Index::new()
        .sdist(&sdist("toy", &[], ""))
        .wheel(&Wheel::new("toy", "1.0").file("toy_of_the_wheel.py", ""));
    let Some(shop) = shop(index, "toy\n") else { return };
    assert_snapshot!(modules(&shop.builds(&[]).unwrap()), @"toy_of_the_wheel");
    let Some(layout) = shop.builds(&["--no-binary", "toy"]) else { return };
    assert_snapshot!(modules(&layout), @"toy");
    assert_snapshot!(modules(&shop.builds(&["--no-binary", ":all:"]).unwrap()), @"toy");
}

#[test]
fn what_needs_itself_to_be_built_is_told_with_the_way() {
    let index =
        Index::new().sdist(&sdist("toy-hen", &["toy-egg"], "")).sdist(&sdist("toy-egg", &["toy-hen"], ""));
    let Some(shop) = shop(index, "toy-hen\n") else { return };
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: building `toy_hen-1.0.tar.gz` needs itself: toy-hen needs toy-egg needs toy-hen
          help: make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    ");
}

#[test]
fn a_build_that_fails_is_told_with_what_it_said() {
    let index = Index::new().sdist(&sdist("toy-raw", &[], "").file("imports", "raise SystemExit('no luck')"));
    let Some(shop) = shop(index, "toy-raw\n") else { return };
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r#"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot build `toy_raw-1.0.tar.gz`
          because: the build backend `backend` failed with exit code 1:
                   no luck
          help: say what it needs, as in `[tool.minke.build.toy_raw] system = ["libfoo-dev"]`, or `requires`, `env`
    "#);
}

#[test]
fn hostile_archives_are_refused() {
    let outside = minke_testkit::TarEntry::symlink("toy_raw-1.0/passwd", "../../etc/passwd");
    let sdist = sdist("toy-raw", &[], "").raw_tar_entry(outside);
    // A lock of the user's, for uv would refuse it first.
    let Some(shop) = shop(Index::new().sdist(&sdist), "") else { return };
    let url = shop.index.url_of(&format!("/files/{}", sdist.file_name()));
    let sha256 = minke_testkit::sha256_hex(&sdist.build());
    shop.town.write(
        "shop/pylock.toml",
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy-raw\"\nversion = \"1.0\"\n\
             sdist = {{ name = \"{}\", url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}\n",
            sdist.file_name()
        ),
    );
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot unpack the sources `toy_raw-1.0.tar.gz`
          because: its link `/toy_raw-1.0/passwd` leads to `../../etc/passwd`, which is outside or no file of it
          help: minke refuses archives that are not as packers make them; make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the wheel's directory with `--find-links`
    ");
}

#[test]
fn wheels_are_built_without_an_image_and_shared() {
    let fails = |sdist: Sdist| sdist.file("imports", "raise SystemExit('no luck')");
    let index = Index::new()
        .sdist(&sdist("toy-raw", &[], ""))
        .sdist(&fails(sdist("toy-bad", &[], "")))
        .sdist(&fails(dynamic("toy-mute", "")));
    let Some(shop) = shop(index, "toy-bad\ntoy-mute\ntoy-raw\n") else { return };
    let build = ["build", "-r", "shop/requirements.txt"];
    let ran = shop.wheels(&build);
    if ran.stdout.contains("without a sealed room") {
        return skip("this machine seals no rooms");
    }
    // How long it took is another time's.
    let what = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, version, .., last] if *version == "1.0" => format!("{name} {version} … {last}"),
            _ => line.to_owned(),
        }
    };
    let table: Vec<String> = ran.stdout.lines().skip(1).map(what).collect();
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    assert_snapshot!(table.join("\n"), @r"
        toy-bad 1.0 … built
        toy-mute 1.0 … built
        toy-raw 1.0 … toy_raw-1.0-py3-none-any.whl

        toy-bad:
          cannot build `toy_bad-1.0.tar.gz`
          the build backend `backend` failed with exit code 1:
          no luck

        toy-mute:
          cannot build `toy_mute-1.0.tar.gz`
          the build backend `backend` failed with exit code 1:
          no luck
    ");
    // Nothing is written beside a file of requirements.
    assert_eq!(std::fs::read_dir(shop.town.path("shop")).unwrap().count(), 2);

    let names = |ran: &Ran| {
        ran.stdout.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&shop.wheels(&["list"])), ["toy_raw-1.0-py3-none-any.whl"]);
    assert_eq!(shop.wheels(&["export", "wheelhouse"]).status, 0);
    assert!(shop.town.path("wheelhouse/SHA256SUMS").is_file());
    assert_eq!(names(&shop.wheels(&["gc"])), ["toy_raw-1.0-py3-none-any.whl"]);
    // A directory of wheels, such as a team's that nobody here may write to, serves as it is.
    let house = shop.town.path("wheelhouse");
    std::fs::set_permissions(&house, std::fs::Permissions::from_mode(0o555)).unwrap();
    let ran = shop.wheels(&[&build[..], &["--wheelhouse", "wheelhouse"]].concat());
    let table: Vec<String> = ran.stdout.lines().skip(1).take(1).map(what).collect();
    assert_eq!(table, ["toy-bad 1.0 … built"]);
    std::fs::set_permissions(&house, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(names(&shop.wheels(&["import", "wheelhouse"])), ["toy_raw-1.0-py3-none-any.whl"]);
    // What came from elsewhere isn't built: only the other is left.
    let ran = shop.wheels(&build);
    let table: Vec<String> = ran.stdout.lines().skip(1).take(1).map(what).collect();
    assert_snapshot!(table.join("\n"), @"toy-bad 1.0 … built");
}

#[test]
fn what_cannot_be_built_to_say_its_needs_is_in_no_lock() {
    let mute = dynamic("toy-mute", "Requires-Dist: toy-raw\n").file("imports", "raise SystemExit('no luck')");
    let index = Index::new().sdist(&sdist("toy-raw", &[], "")).sdist(&mute);
    let Some(shop) = shop(index, "toy-mute\n") else { return };
    let ran = shop.wheels(&["build", "shop"]);
    if ran.stdout.contains("without a sealed room") {
        return skip("this machine seals no rooms");
    }
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("cannot be built").count(), 1, "{}", ran.stdout);
    let told = "nothing is locked, and what toy-mute==1.0 needs is not built";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!shop.town.path("shop/pylock.toml").exists());
}

#[test]
fn a_wheel_in_place_of_building_says_what_it_needs() {
    let mute = dynamic("toy-mute", "").file("imports", "raise SystemExit('no luck')");
    let Some(shop) = shop(Index::new().sdist(&sdist("toy-raw", &[], "")).sdist(&mute), "toy-mute\n") else {
        return;
    };
    let wheel = Wheel::new("toy-mute", "1.0").file("toy_mute.py", "").requires("toy-raw");
    shop.town.write("house/toy_mute-1.0-py3-none-any.whl", wheel.build());
    let Some(layout) = shop.builds(&["--wheelhouse", "house"]) else { return };
    assert_snapshot!(modules(&layout), @"toy_mute toy_raw");
}

#[test]
fn sources_at_an_address_are_fetched_and_are_what_their_hash_says() {
    let raw = sdist("toy-raw", &[], "");
    let Some(shop) = shop(Index::new().sdist(&raw), "") else { return };
    let address = shop.index.url_of(&format!("/files/{}", raw.file_name()));
    let requirement = |hash: &str| format!("toy-raw @ {address}#sha256={hash}\n");
    shop.town.write("shop/requirements.txt", requirement(&sha256_hex(&raw.build())));
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    let lock = std::fs::read_to_string(shop.town.path("shop/pylock.toml")).unwrap();
    assert!(lock.contains(&sha256_hex(&raw.build())), "{lock}");
    // The next build asks nobody.
    shop.index.forget();
    shop.town.write("shop/main.py", "print()\n");
    shop.builds(&["--locked"]).unwrap();
    assert_eq!(shop.index.log().len(), 0);

    shop.town.write("shop/requirements.txt", requirement(&"0".repeat(64)));
    let refused = shop.build(&[]).unwrap();
    assert_eq!(refused.status, 1, "{}", refused.stderr);
}

#[test]
fn what_a_build_needs_from_an_address_is_pinned_too() {
    let tool = sdist("toy-tool", &[], "");
    let raw = sdist("toy-raw", &[], "").file("imports", "import toy_tool");
    let Some(shop) = shop(Index::new().sdist(&raw).sdist(&tool), "toy-raw\n") else { return };
    let address = shop.index.url_of(&format!("/files/{}", tool.file_name()));
    let settings = format!("[build.toy-raw]\nrequires = [\"toy-tool @ {address}\"]\n");
    shop.town.write("shop/minke.toml", settings);
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    // Who knows nothing builds the same by the lock, and asks nobody for a list.
    shop.index.forget();
    let locked = shop.command(&["--locked"]).env("MINKE_CACHE", shop.town.path("own-cache")).spawn();
    let locked = shop.town.finish(locked.expect("minke starts"));
    assert_eq!(locked.status, 0, "{}", locked.stderr);
    let asked: Vec<String> = shop.index.log().into_iter().map(|request| request.path).collect();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/simple/")).count(), 0, "{asked:?}");
}

#[test]
fn a_program_of_the_sources_finds_python_without_a_number() {
    let begins = "import subprocess\nsubprocess.run(['python', '-c', 'import toy_tool'], check=True)";
    let tool = Wheel::new("toy-tool", "1.0").file("toy_tool.py", "");
    let raw = sdist("toy-raw", &["toy-tool"], "").file("imports", begins);
    let Some(shop) = shop(Index::new().sdist(&raw).wheel(&tool), "toy-raw\n") else { return };
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
}

#[test]
fn where_no_index_has_what_a_build_missed_its_own_words_are_told() {
    let raw = sdist("toy-raw", &[], "").file("imports", "import toy_nowhere");
    let Some(shop) = shop(Index::new().sdist(&raw), "toy-raw\n") else { return };
    let Some(ran) = shop.build(&[]) else { return };
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("toy")).collect();
    assert_snapshot!(told.join("\n"), @r#"
      because: cannot build `toy_raw-1.0.tar.gz`
               ModuleNotFoundError: No module named 'toy_nowhere'
      help: say what it needs, as in `[tool.minke.build.toy_raw] system = ["libfoo-dev"]`, or `requires`, `env`
    "#);
}

#[test]
fn a_diff_of_the_users_mends_what_cannot_be_built() {
    let broken = sdist("toy-raw", &[], "").file("imports", "raise SystemExit('no luck')\n");
    let Some(shop) = shop(Index::new().sdist(&broken), "toy-raw\n") else { return };
    shop.town.write("shop/minke.toml", "[build.toy-raw]\npatch = [\"fix.diff\"]\n");
    let diff = |line: &str| format!("--- a/imports\n+++ b/imports\n@@ -1 +1 @@\n-{line}\n+pass\n");
    shop.town.write("shop/fix.diff", diff("raise SystemExit('no luck')"));
    let Some(layout) = shop.builds(&[]) else { return };
    assert_snapshot!(modules(&layout), @"toy_raw");
    shop.town.write("shop/fix.diff", diff("raise SystemExit('good luck')"));
    let Some(ran) = shop.build(&[]) else { return };
    assert_snapshot!(ran.seen(), @r"
        status: 3
        stderr: error: cannot build what has no wheel
          because: cannot apply the patch `fix.diff` to `toy_raw-1.0.tar.gz`
          because: `/imports` has not the lines that it changes at line 1
          help: make the diff anew from the files of this version: `diff -Naur old new`, with one directory before each path
    ");
}
