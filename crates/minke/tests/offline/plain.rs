//! The plain path: a project whose wheels are on the index becomes an image, and the image is there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use insta::assert_snapshot;
use minke_testkit::{Wheel, elf_shared_object};
use serde_json::Value;

use crate::debs::TOOL;
use crate::image::Layout;
use crate::town::Town;

/// A wheel with programs, data, a path file and a library that asks for the system's; and one that it needs.
pub(crate) fn wheels() -> [Wheel; 2] {
    let native = elf_shared_object("_native.so", &["libstdc++.so.6", "libgomp.so.1", "libc.so.6"], None);
    let hello = Wheel::new("toy-hello", "1.0")
        .tag("cp311-cp311-manylinux_2_17_x86_64")
        .file("toy_hello/__init__.py", "import toy_base\n\ndef main():\n    print(toy_base.ANSWER)\n")
        .file("toy_hello/data.txt", "data\n")
        .file("toy_hello/_native.so", native)
        .file("toy_hello.pth", "../../../more\n")
        .data_file("data", "share/toy-hello/readme", "shared\n")
        .data_script("toy-script", "#!python\nprint('a script')\n")
        .entry_point("toy-hello", "toy_hello:main")
        .requires("toy-base");
    let base = Wheel::new("toy-base", "2.0").file("toy_base.py", "ANSWER = 42\n");
    [hello, base]
}

#[test]
fn wheels_are_installed_into_a_venv() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.builds(&["shop", "-o", "oci:layout"]);
    let layout = Layout::read(&town.path("layout"), None);
    assert_snapshot!(layout.below("/app"), @r"
    /app dir 0755
    /app/.venv dir 0755
    /app/.venv/bin dir 0755
    /app/.venv/bin/python link 0777 -> ../../../usr/bin/python3.11
    /app/.venv/bin/python3 link 0777 -> python
    /app/.venv/bin/python3.11 link 0777 -> python
    /app/.venv/bin/toy-hello file 0755 112
    /app/.venv/bin/toy-script file 0755 42
    /app/.venv/lib dir 0755
    /app/.venv/lib/python3.11 dir 0755
    /app/.venv/lib/python3.11/site-packages dir 0755
    /app/.venv/lib/python3.11/site-packages/__pycache__ dir 0755
    /app/.venv/lib/python3.11/site-packages/__pycache__/toy_base.cpython-311.pyc file 0644
    /app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info dir 0755
    /app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info/INSTALLER file 0644 6
    /app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info/METADATA file 0644 50
    /app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info/RECORD file 0644 353
    /app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info/WHEEL file 0644 79
    /app/.venv/lib/python3.11/site-packages/toy_base.py file 0644 12
    /app/.venv/lib/python3.11/site-packages/toy_hello dir 0755
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info dir 0755
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info/INSTALLER file 0644 6
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info/METADATA file 0644 75
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info/RECORD file 0644 921
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info/WHEEL file 0644 101
    /app/.venv/lib/python3.11/site-packages/toy_hello-1.0.dist-info/entry_points.txt file 0644 46
    /app/.venv/lib/python3.11/site-packages/toy_hello.pth file 0644 14
    /app/.venv/lib/python3.11/site-packages/toy_hello/__init__.py file 0644 56
    /app/.venv/lib/python3.11/site-packages/toy_hello/__pycache__ dir 0755
    /app/.venv/lib/python3.11/site-packages/toy_hello/__pycache__/__init__.cpython-311.pyc file 0644
    /app/.venv/lib/python3.11/site-packages/toy_hello/_native.so file 0644 1000
    /app/.venv/lib/python3.11/site-packages/toy_hello/data.txt file 0644 5
    /app/.venv/lib64 link 0777 -> lib
    /app/.venv/pyvenv.cfg file 0644 70
    /app/.venv/share dir 0755
    /app/.venv/share/toy-hello dir 0755
    /app/.venv/share/toy-hello/readme file 0644 7
    /app/__pycache__ dir 0755
    /app/__pycache__/main.cpython-311.pyc file 0644
    /app/main.py file 0644 15
    ");
    assert_snapshot!(layout.file("/app/.venv/bin/toy-hello"), @r#"
    #!/app/.venv/bin/python
    import sys

    from toy_hello import main

    if __name__ == "__main__":
        sys.exit(main())
    "#);
    assert_snapshot!(layout.file("/app/.venv/bin/toy-script"), @r"
    #!/app/.venv/bin/python
    print('a script')
    ");
    assert_snapshot!(layout.file("/app/.venv/pyvenv.cfg"), @r"
    home = /usr/bin
    include-system-site-packages = false
    version = 3.11.2
    ");
    assert_snapshot!(layout.file("/app/.venv/lib/python3.11/site-packages/toy_base-2.0.dist-info/RECORD"), @r"
    toy_base-2.0.dist-info/INSTALLER,sha256=LW_V3sfGnYSAe36Zi_x0HiTQrg85BTu_pk6B16VB2BQ,6
    toy_base-2.0.dist-info/METADATA,sha256=MkWG8EJJ7zZH3XnV6SG3Qmy_JUTb-OXiWhAmgYKRRGA,50
    toy_base-2.0.dist-info/RECORD,,
    toy_base-2.0.dist-info/WHEEL,sha256=HTa_mFUFydfWnJH7zhKcaTUCmcCYwBfWanZ5yInf1GI,79
    toy_base.py,sha256=XbAo4nI7yIz1ZX-St4TyhoNlf3RZyvfwxUKZv2y0s_w,12
    ");
}

#[test]
fn a_librarys_needs_become_packages_of_the_system_layer() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.builds(&["shop", "-o", "oci:layout"]);
    let layout = Layout::read(&town.path("layout"), None);
    let owners = |layer: usize| -> String {
        let files = layout.files(layer);
        let records = files.keys().filter_map(|path| path.strip_prefix("/var/lib/dpkg/status.d/"));
        records.filter(|name| !name.ends_with(".md5sums")).collect::<Vec<_>>().join(" ")
    };
    assert_snapshot!(owners(0), @" base-files ca-certificates gcc-12-base libbz2-1.0 libc-bin libc6 libcom-err2 libcrypt1 libdb5.3 libexpat1 libffi8 libgcc-s1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblzma5 libncursesw6 libnsl2 libpython3.11-minimal libpython3.11-stdlib libreadline8 libsqlite3-0 libssl3 libtinfo6 libtirpc-common libtirpc3 libuuid1 media-types netbase python3.11-minimal readline-common tzdata zlib1g");
    assert_snapshot!(owners(1), @" libgomp1 libstdc++6");
}

#[test]
fn the_projects_files_go_to_app_under_the_ignore_rules() {
    let Some(town) = Town::with(&[]) else { return };
    let paths = r"
        .git/HEAD .github/ci.yml pylock.toml .env .env.example old/.env .venv/pyvenv.cfg env/pyvenv.cfg
        env/lib/x.py node_modules/x/y.js __pycache__/main.cpython-39.pyc tests/test_x.py
        shop/tests/test_y.py Dockerfile main.py shop/__init__.py shop/static/logo.svg notes.bak
        shop/keep.bak dist/x.whl data/big.bin data/small.txt secret.key öl.py
    ";
    for path in paths.split_whitespace() {
        town.write(&format!("shop/{path}"), "");
    }
    town.write("shop/.gitignore", "*.bak\n!keep.bak\n/dist/\n");
    town.write("shop/.dockerignore", "data\n!data/small.txt\n");
    town.write("shop/minke.toml", "ignore = ['*.key']\n");
    town.write("shop/pylock.toml", town.lock(&[]));
    town.write("shop/run.sh", "#!/bin/sh\n");
    fs::set_permissions(town.path("shop/run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(town.path("shop/main.py"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("shop/static", town.path("shop/static")).unwrap();
    let ran = town.succeeds(&["build", "--json", "--quiet", "shop", "-o", "oci:layout"]);
    let layout = Layout::read(&town.path("layout"), None);
    assert_snapshot!(layout.outside_the_venv(), @r"
    /app dir 0755
    /app/.env.example file 0644 0
    /app/__pycache__ dir 0755
    /app/__pycache__/main.cpython-311.pyc file 0644
    /app/__pycache__/öl.cpython-311.pyc file 0644
    /app/data dir 0755
    /app/data/small.txt file 0644 0
    /app/main.py file 0644 0
    /app/run.sh file 0755 10
    /app/shop dir 0755
    /app/shop/__init__.py file 0644 0
    /app/shop/__pycache__ dir 0755
    /app/shop/__pycache__/__init__.cpython-311.pyc file 0644
    /app/shop/keep.bak file 0644 0
    /app/shop/static dir 0755
    /app/shop/static/logo.svg file 0644 0
    /app/shop/tests dir 0755
    /app/shop/tests/__pycache__ dir 0755
    /app/shop/tests/__pycache__/test_y.cpython-311.pyc file 0644
    /app/shop/tests/test_y.py file 0644 0
    /app/static link 0777 -> shop/static
    /app/öl.py file 0644 0
    ");
    let built: Value = serde_json::from_str(&ran.stdout).unwrap();
    let left_out: Vec<String> = built["left_out"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(reason, left_out)| format!("{reason}: {}", left_out["files"]))
        .collect();
    assert_snapshot!(left_out.join("\n"), @r"
    .dockerignore: 1
    .gitignore: 2
    build files: 4
    foreign bytecode: 1
    secrets: 2
    tests: 1
    tool.minke.ignore: 1
    version control: 3
    virtual environments: 4
    ");
}

#[test]
fn standard_output_is_one_line_and_the_store_agrees_with_it() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.write("stall/app.py", "");
    let ran = town.succeeds(&["build", "shop", "-o", "oci:layout"]);
    let line = ran.stdout.trim_end();
    assert_eq!(ran.stdout, format!("{line}\n"));
    let (name, digest) = line.split_once('@').unwrap();
    assert_eq!(name, "shop");
    let layout = Layout::read(&town.path("layout"), None);
    assert_eq!(layout.index["manifests"][0]["digest"], digest);
    let stall = town.builds(&["stall", "-t", "host.test/market/stall:1.2"]);
    assert!(stall.starts_with("host.test/market/stall@sha256:"), "{stall}");

    assert_eq!(town.succeeds(&["images", "--quiet"]).stdout, "host.test/market/stall:1.2\nshop:latest\n");
    let table = town.succeeds(&["images"]).stdout.replace(&digest["sha256:".len()..][..12], "DIGEST");
    let row = table.lines().find(|row| row.starts_with("shop")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..4], ["shop:latest", "DIGEST", "linux/amd64", "4"]);

    for asked in ["shop", "shop:latest", line] {
        let told: Value = serde_json::from_str(&town.succeeds(&["inspect", "--json", asked]).stdout).unwrap();
        assert_eq!(told["digest"], digest, "{asked}");
        assert_eq!((&told["manifest"], &told["config"]), (&layout.manifest, &layout.config), "{asked}");
    }
    town.succeeds(&["rmi", "shop"]);
    assert_eq!(town.succeeds(&["images", "--quiet"]).stdout, "host.test/market/stall:1.2\n");
    assert_snapshot!(town.minke(&["inspect", "shop"]).seen(), @r"
    status: 1
    stderr: error: there is no image `shop:latest`; there is host.test/market/stall:1.2
      help: `minke images` lists all images
    ");
    assert_snapshot!(town.minke(&["rmi", "shop"]).seen(), @r"
    status: 1
    stderr: error: there is no image `shop:latest`; there is host.test/market/stall:1.2
      help: `minke images` lists all images
    ");
}

#[test]
fn settings_reach_the_config_from_file_environment_and_arguments() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/app.py", "");
    town.write(
        "shop/pyproject.toml",
        r#"
        [tool.minke]
        entrypoint = "python -m app"
        cmd = ["--port", "8000"]
        env = { FROM = "pyproject", FILE = "yes" }
        labels = { "org.opencontainers.image.title" = "A shop" }
        annotations = { "test.host.note" = "x" }
        ports = [8000, "53/udp"]
        volumes = ["/data"]
        stop-signal = "SIGINT"
        healthcheck = { cmd = "python -c 'pass'", interval = 30, retries = 2 }
        compression = "zstd"
        files = { "/etc/shop.conf" = "conf/shop.conf" }
        ignore = ["conf"]
        "#,
    );
    town.write("shop/conf/shop.conf", "open = true\n");
    town.write("shop/minke.toml", "env = { FROM = 'minke.toml' }\nuser = '1000:1000'\n");
    let mut command = town.command(&[
        "build",
        "-q",
        "shop",
        "-o",
        "oci:layout",
        "--env",
        "FROM=argument",
        "--workdir",
        "/srv",
    ]);
    command.env("MINKE_COMPRESSION", "gzip");
    let ran = town.finish(command.spawn().unwrap());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let layout = Layout::read(&town.path("layout"), None);
    let config = layout.config["config"].as_object().unwrap();
    let config: Vec<String> = config.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_snapshot!(config.join("\n"), @r#"
    Cmd: ["--port","8000"]
    Entrypoint: ["python","-m","app"]
    Env: ["PATH=/app/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","LANG=C.UTF-8","PYTHONUNBUFFERED=1","PYTHONDONTWRITEBYTECODE=1","FILE=yes","FROM=argument"]
    ExposedPorts: {"53/udp":{},"8000/tcp":{}}
    Healthcheck: {"Interval":30000000000,"Retries":2,"Test":["CMD","python","-c","pass"]}
    Labels: {"org.opencontainers.image.title":"A shop"}
    StopSignal: "SIGINT"
    User: "1000:1000"
    Volumes: {"/data":{}}
    WorkingDir: "/srv"
    "#);
    assert_snapshot!(layout.manifest["annotations"], @r#"{"test.host.note":"x"}"#);
    assert_snapshot!(layout.outside_the_venv(), @r"
    /app dir 0755
    /app/__pycache__ dir 0755
    /app/__pycache__/app.cpython-311.pyc file 0644
    /app/app.py file 0644 0
    /app/pyproject.toml file 0644 547
    ");
    assert_eq!(layout.file("/etc/shop.conf"), "open = true\n");
}

#[test]
fn layers_are_sorted_and_whole_and_own_each_file_once() {
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    town.builds(&["shop", "-o", "oci:shared"]);
    town.builds(&["shop", "-o", "oci:single", "--layers", "single"]);
    let (shared, single) =
        (Layout::read(&town.path("shared"), None), Layout::read(&town.path("single"), None));
    shared.assert_lawful();
    single.assert_lawful();
    assert_eq!((shared.layers.len(), single.layers.len()), (4, 1));
    let all = |layout: &Layout| {
        (0..layout.layers.len()).flat_map(|layer| layout.files(layer)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(all(&shared), all(&single), "how an image is cut doesn't change what is in it");
}

#[test]
fn packages_can_be_added_and_scripts_that_nobody_knows_are_told() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let ran = town.succeeds(&[
        "build",
        "-q",
        "shop",
        "--system-package",
        TOOL,
        "--system-package",
        "toy-scripted",
        "-o",
        "oci:layout",
    ]);
    assert_snapshot!(ran.stderr, @"warning: the postinst script of `toy-scripted` was not run, and what it does is not known to minke");
    assert_eq!(Layout::read(&town.path("layout"), None).file("/usr/share/toy-tool/data"), "a tool");
}

#[test]
fn a_library_that_nobody_supplies_is_told() {
    let wheel = Wheel::new("toy-lost", "1")
        .tag("cp311-abi3-linux_x86_64")
        .file("toy_lost.so", elf_shared_object("toy_lost.so", &["libnowhere.so.9"], None));
    let Some(town) = Town::with(std::slice::from_ref(&wheel)) else { return };
    town.project("shop", &[wheel]);
    assert_snapshot!(town.succeeds(&["build", "-q", "shop"]).stderr, @"warning: plugins of toy-lost lack `libnowhere.so.9`");
}

#[test]
fn what_was_done_is_told_on_standard_error() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let said = town.succeeds(&["build", "shop"]).stderr;
    // Sizes and what can be taken are this machine's packages', and times are its own.
    let told = said.lines().filter(|line| !line.contains('%'));
    let first_words: Vec<&str> = told.map(|line| line.split("  ").next().unwrap()).collect();
    assert_snapshot!(first_words.join("\n"), @r"
    note: base: Python 3.11.2 on x86_64 with glibc 2.36, Debian bookworm: 35 packages
    note: what was chosen is kept in the project as `minke.lock`
    what was done
    a full system, all files (estimated)

    layer
    base
    system
    rest
    app
    total
    runs
    left out
    took
    ");
    let said = town.succeeds(&["build", "--verbose", "shop"]).stderr;
    let hops =
        said.lines().take_while(|line| !line.starts_with("layer ")).filter_map(|line| line.split_once(": "));
    let hops: Vec<&str> = hops.map(|(hop, _)| hop).collect();
    assert_snapshot!(hops.join("\n"), @r"
    plan
    project
    lock
    note
    deliver
    ");
}

#[test]
fn timings_are_a_trace_of_what_was_done() {
    let wheel = Wheel::new("toy-timed", "1").file("toy_timed.py", b"TIMED = 1\n".to_vec());
    let Some(town) = Town::with(std::slice::from_ref(&wheel)) else { return };
    town.project("shop", &[wheel]);
    town.succeeds(&["build", "-q", "--timings", "trace.json", "shop"]);
    let trace: Value = serde_json::from_slice(&fs::read(town.path("trace.json")).unwrap()).unwrap();
    let begun: Vec<&str> = trace
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "B")
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    let wanted = ["hop", "fetch", "install wheel", "compile", "compress", "hash layer", "write layer"];
    assert!(wanted.iter().all(|name| begun.contains(name)), "{begun:?}");
    let ran = town.minke(&["build", "-q", "--timings", "nowhere/trace.json", "shop"]);
    assert_snapshot!(ran.stderr, @r"
    error: cannot write the timings to `TOWN/nowhere/trace.json`
      because: No such file or directory (os error 2)
      help: the image is built; give `--timings` a place that can be written
    ");
    assert_eq!(ran.status, 1);
}
