//! Projects with a build system: their own wheel is built and installed, by a backend that lies in the project.

use std::process::Command;

use insta::assert_snapshot;
use minke_testkit::{Wheel, program, skip};

use crate::image::Layout;
use crate::town::{Ran, Town, User};

/// A backend that needs nothing but Python.
const BACKEND: &str = r#"
import os, pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        def add(path, text):
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
            import base64, hashlib
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            records.append(f"{path},sha256={digest},{len(text.encode())}")
        records = []
        for path in sorted(pathlib.Path("src/shop").rglob("*.py")):
            add(str(path.relative_to("src")), path.read_text())
        add("shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
        add("shop-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        add("shop-1.0.dist-info/entry_points.txt", "[console_scripts]\nshop = shop:main\n")
        records.append("shop-1.0.dist-info/RECORD,,")
        wheel.writestr("shop-1.0.dist-info/RECORD", "\n".join(records) + "\n")
    print("files:", *sorted(str(path) for path in pathlib.Path(".").rglob("*") if path.is_file()))
    return name
"#;

const PYPROJECT: &str = r#"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["tools"]

[project]
name = "shop"
version = "1.0"
dependencies = []
"#;

fn town() -> Option<Town> {
    program("uv")?;
    let town = Town::with(&[])?;
    town.write("shop/pyproject.toml", PYPROJECT);
    town.write("shop/pylock.toml", town.lock(&[]));
    town.write("shop/tools/backend.py", BACKEND);
    town.write("shop/src/shop/__init__.py", "def main():\n    print('sold')\n");
    Some(town)
}

fn command(town: &Town, arguments: &[&str]) -> Command {
    with_uv(town, &[&["build", "--quiet", "shop"], arguments].concat())
}

fn with_uv(town: &Town, arguments: &[&str]) -> Command {
    let uv = program("uv").expect("there was one before");
    let mut command = town.command(arguments);
    command
        .env("PATH", uv.parent().expect("uv lies in a directory"))
        .env("UV_CACHE_DIR", town.path("cache-of-uv"));
    command
}

fn build(town: &Town, arguments: &[&str]) -> Ran {
    town.finish(command(town, arguments).spawn().expect("minke starts"))
}

#[test]
fn a_package_is_built_and_installed_and_its_sources_stay_out() {
    let Some(town) = town() else { return };
    let ran = build(&town, &["-o", "oci:layout"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let layout = Layout::read(&town.path("layout"), None);
    let app = layout.below("/app");
    let own: Vec<&str> =
        app.lines().filter(|line| line.contains("shop") || !line.contains(".venv")).collect();
    assert_snapshot!(own.join("\n"), @r"
    /app dir 0755
    /app/.venv/bin/shop file 0755 107
    /app/.venv/lib/python3.11/site-packages/shop dir 0755
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info dir 0755
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/INSTALLER file 0644 6
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/METADATA file 0644 46
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/RECORD file 0644 587
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/REQUESTED file 0644 0
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/WHEEL file 0644 72
    /app/.venv/lib/python3.11/site-packages/shop-1.0.dist-info/entry_points.txt file 0644 35
    /app/.venv/lib/python3.11/site-packages/shop/__init__.py file 0644 30
    /app/.venv/lib/python3.11/site-packages/shop/__pycache__ dir 0755
    /app/.venv/lib/python3.11/site-packages/shop/__pycache__/__init__.cpython-311.pyc file 0644
    ");
    assert_eq!(layout.config["config"]["Entrypoint"], serde_json::json!(["shop"]));
    // Nothing but the lock is written into the project.
    assert_eq!(std::fs::read_dir(town.path("shop")).unwrap().count(), 5);
    assert_eq!(build(&town, &[]).stdout, ran.stdout);
}

#[test]
fn a_backend_that_fails_is_told_with_what_it_said() {
    let Some(town) = town() else { return };
    let with_backend = |text: &str| {
        town.write("shop/tools/backend.py", text);
        let seen = build(&town, &[]).seen();
        // Of a traceback, only the last line is always the same; advice follows it.
        let mut lines: Vec<&str> = seen.lines().collect();
        lines.drain(4..lines.len().max(6) - 2);
        lines.join("\n")
    };
    let returning = |name: &str| format!("def build_wheel(*_, **__):\n    return '{name}'\n");
    assert_snapshot!(with_backend("def build_wheel(*_, **__):\n    raise SystemExit('no wheel today')\n"), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` failed with exit code 1:
               no wheel today
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
    assert_snapshot!(with_backend("this is no Python"), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` failed with exit code 1:
               SyntaxError: invalid syntax
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
    assert_snapshot!(with_backend("x = 1\n"), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` failed with exit code 1:
               AttributeError: module 'backend' has no attribute 'build_wheel'
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
    assert_snapshot!(with_backend(&returning("not-there-1-py3-none-any.whl")), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` did not return the name of a wheel in the directory that it was given
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
    assert_snapshot!(with_backend(&returning("../../../etc/passwd")), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` did not return the name of a wheel in the directory that it was given
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
}

#[test]
fn a_backend_finds_no_network_and_no_files_of_ours() {
    let Some(town) = town() else { return };
    if !User::Myself.can_make_containers() {
        return skip("this machine seals no rooms");
    }
    town.write("secret", "a secret");
    let code = format!(
        r"
import os, socket
def build_wheel(*_, **__):
    found = []
    try:
        socket.create_connection(('{}', {}), timeout=5)
        found.append('network')
    except OSError:
        pass
    for path in [{:?}, '/root', '/home', '/proc/1/environ']:
        try:
            found.append((path, os.listdir(path) if os.path.isdir(path) else len(open(path).read())))
        except OSError:
            pass
    raise SystemExit(f'found {{found}}, variables {{sorted(os.environ)}}, user {{os.getuid() == 0}}')
",
        town.archive.host().split(':').next().unwrap(),
        town.archive.host().split(':').nth(1).unwrap(),
        town.path("secret").display(),
    );
    town.write("shop/tools/backend.py", code);
    let mut command = command(&town, &[]);
    let ran = town.finish(command.env("TOKEN", "sesame").spawn().unwrap());
    assert_snapshot!(ran.seen(), @r"
    status: 3
    stderr: error: cannot build the project
      because: cannot build `TOWN/shop`
      because: the build backend `backend` failed with exit code 1:
               found [('/root', []), ('/home', ['nonroot'])], variables ['CARGO_BUILD_JOBS', 'CMAKE_BUILD_PARALLEL_LEVEL', 'HOME', 'LC_ALL', 'MAKEFLAGS', 'MAX_JOBS', 'NPY_NUM_BUILD_JOBS', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONHASHSEED', 'PYTHONNOUSERSITE', 'PYTHONPATH', 'PYTHON_CPU_COUNT', 'SOURCE_DATE_EPOCH', 'TMPDIR', 'TZ'], user False
      help: the lines above are the backend's own; what it needs goes into `build-system.requires`
    ");
}

#[test]
fn what_only_the_backend_knows_is_asked_of_it_in_a_room_and_never_of_uv() {
    if program("uv").is_none() {
        return;
    }
    let Some(town) = Town::with(&[Wheel::new("toy-till", "1.0"), Wheel::new("toy-till", "2.0")]) else {
        return;
    };
    let needy = PYPROJECT.replace("dependencies = []", "dynamic = [\"dependencies\"]");
    town.write("shop/pyproject.toml", &needy);
    let left_here = town.path("left-here");
    let needs = |line: &str| {
        let told =
            BACKEND.replace("Version: 1.0\\n\")", &format!("Version: 1.0\\nRequires-Dist: {line}\\n\")"));
        let leaves = format!("with contextlib.suppress(OSError):\n    open({left_here:?}, 'w').close()\n");
        town.write("shop/tools/backend.py", format!("import contextlib\n{leaves}{told}"));
    };
    needs("toy-till<2");
    town.write("shop/src/shop/__init__.py", "def main():\n    print('sold')\n");
    let run = |arguments: &[&str]| {
        let mut command = with_uv(&town, arguments);
        command.env("UV_DEFAULT_INDEX", town.index.url_of("/simple/")).env("NO_PROXY", "*");
        town.finish(command.spawn().expect("minke starts"))
    };
    assert_snapshot!(run(&["plan", "--quiet", "shop"]).seen(), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: what `pyproject.toml` needs is known only when it is built
      help: `minke lock` builds it and writes down what it needs
    ");
    let locked = run(&["lock", "--quiet", "shop"]);
    assert_eq!(locked.status, 0, "{}", locked.stderr);
    let lock = std::fs::read_to_string(town.path("shop/pylock.toml")).unwrap();
    assert!(lock.contains("name = \"toy-till\"\nversion = \"1.0\""), "{lock}");
    needs("toy-till");
    let shown = run(&["lock", "--quiet", "shop", "--upgrade", "--dry-run"]);
    assert_snapshot!(shown.seen(), @r"
    status: 0
    stdout: name      before  after  of      why
    toy-till  1.0     2.0    python
    ");
    assert!(!left_here.exists(), "the backend's code has run outside a room");
}
