//! A Python from an archive, upon Debian's C library or upon nothing.

use std::collections::BTreeSet;
use std::fs;

use insta::assert_snapshot;
use minke_testkit::{
    Compression, Server, TarEntry, compress, sha256_hex, skip, standalone_python, static_python, tar,
};

use crate::image::Layout;
use crate::town::{Town, User};

/// A town with a project and an archive of Debian's Python beside it.
fn town() -> Option<Town> {
    let town = Town::with(&[])?;
    let archive = match standalone_python() {
        Ok(archive) => archive,
        Err(reason) => {
            skip(&reason);
            return None;
        }
    };
    town.write("shop/python.tar.gz", archive);
    town.write("shop/.dockerignore", "*.tar.gz\n");
    town.project("shop", &[]);
    Some(town)
}

fn wish(town: &Town, python: &str) {
    town.write("shop/minke.toml", format!("python = {python}\n"));
}

#[test]
fn a_python_that_needs_nothing_runs_upon_nothing() {
    let Some(town) = Town::with(&[]) else { return };
    match static_python() {
        Ok(archive) => town.write("shop/python.tar.gz", archive),
        Err(reason) => return skip(&reason),
    }
    town.project("shop", &[]);
    town.write(
        "shop/main.py",
        "import json, sys, zlib\nprint(json.dumps(sys.version_info[:2]), zlib.crc32(b'x'))\n",
    );
    wish(&town, "{ standalone = \"python.tar.gz\" }");
    town.builds(&["--base", "scratch", "shop", "-o", "oci:layout"]);
    let layout = Layout::read(&town.path("layout"), None);
    layout.assert_lawful();
    assert_eq!(layout.below("/usr/lib/"), "/usr/lib dir 0755", "nothing of a system is there");
    assert_eq!(layout.below("/var/lib/dpkg"), "");
    assert_eq!(layout.below("/app/python.tar.gz"), "", "the archive isn't the project's");
    if User::Myself.can_make_containers() {
        assert_eq!(town.succeeds(&["run", "shop"]).stdout, "[3, 11] 2363233923\n");
    }
}

#[test]
fn a_python_from_an_archive_lies_in_usr_local_upon_a_base_that_has_none() {
    let Some(town) = town() else { return };
    wish(&town, "{ standalone = \"python.tar.gz\" }");
    let ran = town.succeeds(&["build", "shop", "-o", "oci:layout"]);
    let layout = Layout::read(&town.path("layout"), None);
    layout.assert_lawful();
    let base = ran.stderr.lines().find(|line| line.starts_with("note: base: ")).unwrap();
    let (said, packages) = base.rsplit_once(": ").unwrap();
    assert_eq!(said, "note: base: Python 3.11.2 on x86_64 with glibc 2.36, python.tar.gz, Debian bookworm");
    assert!(packages.ends_with(" packages"), "{base}");
    let programs = layout.below("/usr/local/bin");
    assert_snapshot!(programs.lines().filter(|line| !line.contains(" file ")).collect::<Vec<_>>().join("\n"), @r"
    /usr/local/bin dir 0755
    /usr/local/bin/python link 0777 -> python3.11
    /usr/local/bin/python3 link 0777 -> python3.11
    ");
    assert_eq!(layout.below("/usr/bin/python"), "", "the suite's own Python isn't there");
    assert_snapshot!(layout.file("/app/.venv/pyvenv.cfg"), @r"
    home = /usr/local/bin
    include-system-site-packages = false
    version = 3.11.2
    ");
    let packages = layout.below("/var/lib/dpkg/status.d/");
    let packages: BTreeSet<&str> = packages
        .lines()
        .filter_map(|line| line.split(' ').next()?.strip_prefix("/var/lib/dpkg/status.d/"))
        .filter(|name| !name.ends_with(".md5sums"))
        .collect();
    // What its extension modules are linked to, and nothing else's Python.
    for wanted in ["libc6", "libssl3", "libsqlite3-0", "libffi8", "ca-certificates", "tzdata"] {
        assert!(packages.contains(wanted), "{wanted} in {packages:?}");
    }
    assert!(!packages.iter().any(|name| name.contains("python")), "{packages:?}");
    let library = layout.below("/usr/local/lib/python3.11/");
    assert!(library.contains("/json/__pycache__/decoder.cpython-311.pyc file"), "its library is compiled");
    let bill: serde_json::Value =
        serde_json::from_str(&layout.file("/usr/local/share/sbom/python.cdx.json")).unwrap();
    let python = &bill["components"][0];
    assert_eq!(python["cpe"], "cpe:2.3:a:python:python:3.11.2:*:*:*:*:*:*:*");
    let archive = fs::read(town.path("shop/python.tar.gz")).unwrap();
    assert_eq!(python["hashes"][0]["content"], sha256_hex(&archive));
    // Another cache, the same image.
    let other = Town::with(&[]).unwrap();
    other.project("shop", &[]);
    other.write("shop/.dockerignore", "*.tar.gz\n");
    other.write("python.tar.gz", archive);
    assert_eq!(town.builds(&["shop"]), other.builds(&["shop", "--standalone", "python.tar.gz"]));
}

#[test]
fn it_runs() {
    let Some(town) = town() else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine makes no containers");
    }
    wish(&town, "{ standalone = \"python.tar.gz\" }");
    town.write(
        "shop/main.py",
        "import sys, ssl, sqlite3, lzma, bz2, ctypes, zoneinfo, readline\n\
         print(sys.executable, sys.prefix, sys.base_prefix, ssl.__cached__)\n\
         print(len(ssl.create_default_context().get_ca_certs()) > 50, zoneinfo.ZoneInfo('Europe/Paris'))\n",
    );
    town.builds(&["shop"]);
    let ran = town.succeeds(&["run", "shop"]);
    assert_snapshot!(ran.stdout, @r"
    /app/.venv/bin/python /app/.venv /usr/local /usr/local/lib/python3.11/__pycache__/ssl.cpython-311.pyc
    True Europe/Paris
    ");
}

#[test]
fn an_address_is_fetched_once_and_checked() {
    let Some(town) = town() else { return };
    let archive = fs::read(town.path("shop/python.tar.gz")).unwrap();
    let place = town.path("served");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("python.tar.gz"), &archive).unwrap();
    let server = Server::serve_dir(&place);
    let url = server.url_of("/python.tar.gz");
    wish(&town, &format!("{{ standalone = \"{url}\", sha256 = \"{}\" }}", sha256_hex(&archive)));
    town.builds(&["shop"]);
    town.builds(&["shop"]);
    assert_eq!(server.requests("/python.tar.gz"), 1, "the second build has it");
    let seen = |python: &str| {
        wish(&town, python);
        town.minke(&["build", "--quiet", "shop", "-t", "other"])
            .seen()
            .replace(&server.url(), "http://host.test")
    };
    assert_snapshot!(seen(&format!("{{ standalone = \"{url}\" }}")), @r#"
    status: 1
    stderr: error: cannot use the Python that was asked for
      because: `http://host.test/python.tar.gz` is an address, and its `sha256` is not said
      help: say it as in `python = { standalone = "https://host.test/python.tar.gz", sha256 = "…" }`
    "#);
}

#[test]
fn what_cannot_be_used_is_said_in_a_sentence() {
    let Some(town) = town() else { return };
    let refused = |python: &str| {
        wish(&town, python);
        town.refuses(&[])
    };
    let zeros = "0".repeat(64);
    let digest = sha256_hex(&fs::read(town.path("shop/python.tar.gz")).unwrap());
    let changed = refused(&format!("{{ standalone = \"python.tar.gz\", sha256 = \"{zeros}\" }}"));
    assert_snapshot!(changed.replace(&digest, "ACTUAL").replace(&zeros, "EXPECTED"), @r"
    status: 1
    stderr: error: cannot use the Python that was asked for
      because: `TOWN/shop/python.tar.gz` is not what was meant: its sha256 is sha256:ACTUAL, expected sha256:EXPECTED
      help: if you trust the file, correct `sha256`
    ");
    town.write("shop/no.tar.gz", "this is a text");
    assert_snapshot!(refused("{ standalone = \"no.tar.gz\" }"), @r"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: cannot unpack `no.tar.gz`
          because: it cannot be read
          because: the tar cannot be read to its end
          because: it is cut short
          help: name a .tar.gz or .tar.zst of an install tree, such as python-build-standalone's `install_only`
    ");
    assert_snapshot!(refused("{ standalone = \"nowhere.tar.gz\" }"), @r"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: cannot read `TOWN/shop/nowhere.tar.gz`
          because: cannot read what was to be stored
          because: No such file or directory (os error 2)
          help: name an archive that is there
    ");
    let hostile = [TarEntry::symlink("python", "/etc"), TarEntry::file("python/passwd", "x")];
    town.write("shop/hostile.tar.gz", compress(&tar(&hostile), Compression::Zst));
    assert_snapshot!(refused("{ standalone = \"hostile.tar.gz\" }"), @r"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: cannot unpack `hostile.tar.gz`
          because: its link `/python` leads to `/etc`, which is outside or no file of it
          help: name a .tar.gz or .tar.zst of an install tree, such as python-build-standalone's `install_only`
    ");
    let pypy = [TarEntry::file("pypy/bin/pypy3", "x"), TarEntry::file("pypy/lib/pypy3.10/os.py", "x")];
    town.write("shop/pypy.tar", tar(&pypy));
    assert_snapshot!(refused("{ standalone = \"pypy.tar\" }"), @r"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: `pypy.tar` has no `bin/python3.N` with its `lib/python3.N`
          help: name a .tar.gz or .tar.zst of an install tree, such as python-build-standalone's `install_only`
    ");
}

#[test]
fn one_that_doesnt_fit_is_refused_in_a_sentence() {
    let Some(town) = town() else { return };
    wish(&town, "{ standalone = \"python.tar.gz\" }");
    assert_snapshot!(town.refuses(&["--platform", "linux/arm64"]), @r"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: `python.tar.gz` is a Python for x86-64, and the image is for linux/arm64
          help: choose an archive for the image's platform, or say `platform`
    ");
    assert_snapshot!(town.refuses(&["--base", "scratch"]), @r#"
        status: 1
        stderr: error: cannot use the Python that was asked for
          because: `python.tar.gz` is a Python for the loader `/lib64/ld-linux-x86-64.so.2`, which `base = "scratch"` hasn't got
          help: choose a suite with `base`, or a build that brings what it needs
    "#);
    town.write(
        "shop/pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1\"\nrequires-python = \">=3.12\"\n",
    );
    assert_snapshot!(town.refuses(&[]), @r"
        status: 1
        stderr: error: the project's `requires-python` is `>=3.12`, and the image would have Python 3.11.2 on x86_64 with glibc 2.36
          help: choose another Python with `python`, or a suite that has it with `base`, or widen `requires-python`
    ");
    fs::remove_file(town.path("shop/minke.toml")).unwrap();
    assert_snapshot!(town.refuses(&["--base", "scratch"]), @r#"
        status: 1
        stderr: error: `base = "scratch"` has no Python, and no archive that has one was named
          help: name an archive of a Python that needs nothing of the system, as in `python = { standalone = "python.tar.gz" }`
    "#);
}

/// Serves an archive, its release's sums and a list that names it, and returns the server and the list's address.
fn managed(town: &Town, listed: impl Fn(&Server, &str) -> String) -> Server {
    let place = town.path("served");
    let archive = fs::read(town.path("shop/python.tar.gz")).unwrap();
    let release = place.join("releases/download/1");
    fs::create_dir_all(&release).unwrap();
    fs::create_dir_all(place.join("mirror/1")).unwrap();
    let name = "cpython-3.11.2+1-install_only.tar.gz";
    let digest = sha256_hex(&archive);
    for directory in [&release, &place.join("mirror/1")] {
        fs::write(directory.join(name), &archive).unwrap();
        fs::write(directory.join("SHA256SUMS"), format!("{}  other\n{digest}  {name}\n", "0".repeat(64)))
            .unwrap();
    }
    let server = Server::serve_dir(&place);
    fs::write(place.join("list.json"), listed(&server, &digest)).unwrap();
    server
}

/// An entry as in uv's own list.
fn entry(key: &str, patch: u8, url: &str, sha256: &str) -> String {
    format!(
        "\"{key}\": {{ \"name\": \"cpython\", \"arch\": {{ \"family\": \"x86_64\", \"variant\": null }}, \
         \"os\": \"linux\", \"libc\": \"gnu\", \"major\": 3, \"minor\": 11, \"patch\": {patch}, \
         \"prerelease\": \"\", \"url\": \"{url}\", \"sha256\": {sha256}, \"variant\": null }}"
    )
}

const RELEASED: &str = "/releases/download/1/cpython-3.11.2%2B1-install_only.tar.gz";

#[test]
fn a_version_that_the_suite_has_not_is_taken_from_uvs_list_by_its_settings() {
    let Some(town) = town() else { return };
    // The suite has 3.11.2 itself: what is asked for is a patch release that only the list has.
    let server = managed(&town, |server, digest| {
        let url = server.url_of(RELEASED);
        let older = entry("a", 1, &url, &format!("\"{}\"", "0".repeat(64)));
        let wanted = entry("b", 9, &url, &format!("\"{digest}\""));
        format!("{{ {older}, {wanted}, \"c\": {{ \"name\": \"odd\" }} }}")
    });
    let build = |arguments: &[&str], variables: &[(&str, String)]| {
        let mut command = town.command(&[&["build", "--quiet", "shop"], arguments].concat());
        command.envs(variables.iter().map(|(name, value)| (name, value.clone())));
        town.finish(command.spawn().unwrap())
    };
    let list = ("UV_PYTHON_DOWNLOADS_JSON_URL", server.url_of("/list.json"));
    let mirror = ("UV_PYTHON_INSTALL_MIRROR", server.url_of("/mirror"));
    let ran = build(&["--python", "3.11.9"], &[list.clone(), mirror]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!((server.requests(RELEASED), server.requests("/list.json")), (0, 1), "the mirror is asked");
    // It is locked by now: no list is asked again, and an empty cache gets the same.
    std::fs::remove_dir_all(town.path("cache")).unwrap();
    let again = build(&["--python", "3.11.9", "--locked"], &[]);
    assert_eq!((again.status, &again.stdout), (0, &ran.stdout), "{}", again.stderr);
    assert_eq!(
        (server.requests(RELEASED), server.requests("/list.json")),
        (1, 1),
        "its address is in the lock"
    );
    let direct = build(&["--standalone", "shop/python.tar.gz", "-t", "direct"], &[]);
    let digest = |reference: &str| reference.trim().split_once('@').unwrap().1.to_owned();
    assert_eq!(digest(&ran.stdout), digest(&direct.stdout), "a Python is what it is, wherever it came from");
    let refused = build(&["--python", "3.12"], &[list]).seen();
    assert_snapshot!(refused, @r"
        status: 1
        stderr: error: `python` was set by --python to 3.12, Debian bookworm has 3.11.2, and no other can be had
          because: uv knows no Python 3.12 for linux/amd64
          help: build for Python 3.11.2, or choose a suite that has yours with `base`
    ");
}

#[test]
fn where_no_list_is_named_uv_is_asked_and_the_releases_sums() {
    let Some(town) = town() else { return };
    let Some(uv) = minke_testkit::program("uv") else { return };
    let server = managed(&town, |server, _| {
        format!("{{ {} }}", entry("cpython-3.11.9-linux-x86_64-gnu", 9, &server.url_of(RELEASED), "null"))
    });
    town.write("uv.toml", format!("python-downloads-json-url = \"{}\"\n", server.url_of("/list.json")));
    let build = || {
        let mut command = town.command(&["build", "--quiet", "shop", "--python", "3.11.9"]);
        command
            .env("PATH", uv.parent().unwrap())
            .env("UV_CONFIG_FILE", town.path("uv.toml"))
            .env("UV_CACHE_DIR", town.path("cache-of-uv"));
        town.finish(command.spawn().unwrap())
    };
    let ran = build();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(server.requests("/releases/download/1/SHA256SUMS"), 1);
    fs::remove_file(town.path("served/releases/download/1/SHA256SUMS")).unwrap();
    fs::remove_file(town.path("shop/minke.lock")).unwrap();
    assert_snapshot!(build().seen().replace(&server.url(), "http://host.test"), @r#"
        status: 5
        stderr: error: `python` was set by --python to 3.11.9, Debian bookworm has 3.11.2, and no other can be had
          because: nothing says what `http://host.test/releases/download/1/cpython-3.11.2%2B1-install_only.tar.gz` hashes to
          because: there is nothing at http://host.test/releases/download/1/SHA256SUMS
          help: name the archive with its digest: `python = { standalone = "URL", sha256 = "…" }`
    "#);
}
