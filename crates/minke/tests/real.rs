//! The examples, for real: Debian's own packages, wheels from the package index, Docker, podman, skopeo, umoci.
//!
//! Needs the network for the two registries and, for the daemons, root; what cannot be done here is said and
//! skipped. One test runs at a time: they share daemons and ports.

#[path = "real/compiled.rs"]
mod compiled;
#[path = "real/databases.rs"]
mod databases;
#[path = "real/peers.rs"]
mod peers;
#[path = "real/platforms.rs"]
mod platforms;
#[path = "real/scanner.rs"]
mod scanner;
#[path = "real/travelling.rs"]
mod travelling;
#[path = "real/twice.rs"]
mod twice;
#[path = "real/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use peers::{Docker, Peer, Podman};
use world::{World, output, ran};

/// What each example says when it is run.
const SAYS: &[(&str, &[&str], &str)] = &[
    ("hello", &["--version"], "gunicorn (version"),
    ("data-science", &[], "matplotlib: a plot of (640, 480) pixels"),
    ("compiled", &["--version"], "2."),
    ("whale", &[], "There blows the whale! 1.2.0"),
];

#[test]
fn the_examples_run_in_docker_read_only_and_as_nobody() {
    let world = World::open();
    let Some(docker) = Docker::start() else { return };
    for (example, name) in world::EXAMPLES {
        let built = world
            .minke()
            .env("DOCKER_HOST", docker.host())
            .args(["build", "--load"])
            .arg(world.copy(example))
            .output();
        ran(&built.expect("minke starts"));
        assert!(docker.has(name), "docker lists {name}");
    }
    check_examples(&docker);
}

/// A job of a CI is such a container: no user namespaces, and a filter that refuses mounts.
#[test]
fn a_container_of_dockers_builds_and_says_what_running_takes() {
    let world = World::open();
    let Some(docker) = Docker::start() else { return };
    let load = world
        .minke()
        .env("DOCKER_HOST", docker.host())
        .args(["build", "--load"])
        .arg(world.copy("hello"))
        .output();
    ran(&load.expect("minke starts"));
    let work = world.project("confined", &[]);
    let project = work.join("shop");
    std::fs::create_dir(&project).expect("a new directory");
    std::fs::write(project.join("main.py"), "print('first')\n").expect("a new file");
    let cache = work.join("cache");
    let build = || {
        let mut minke = world.minke();
        minke.env("MINKE_CACHE", &cache).args(["build", "--quiet"]).arg(&project);
        output(&mut minke)
    };
    build();
    // The packages are here and locked: nothing is asked of the network that isn't there.
    std::fs::write(project.join("main.py"), "print('edited')\n").expect("the file is there");
    let program = Path::new(env!("CARGO_BIN_EXE_minke"));
    let mut confined = docker.confined("hello", &work, program);
    let inside = output(confined.args(["build", "--quiet", "--locked", "shop"]));
    assert_eq!(inside, build(), "the same image as outside");
    let mut confined = docker.confined("hello", &work, program);
    let refused = confined.args(["run", "shop"]).output().expect("docker starts");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--security-opt seccomp=unconfined"), "it names what to allow: {said}");
}

#[test]
fn the_examples_run_in_podman_read_only_and_as_nobody() {
    let world = World::open();
    let Some(podman) = Podman::find() else { return };
    for (example, name) in world::EXAMPLES {
        let archive = world.path(&format!("{name}.docker.tar"));
        world.build(example, &[&format!("docker-archive:{}", archive.display())]);
        podman.load(&archive);
    }
    check_examples(&podman);
}

/// Runs each example in a peer, and asks the one that serves.
fn check_examples(peer: &impl Peer) {
    for (name, arguments, expected) in SAYS {
        let said = output(&mut peer.run(name, arguments));
        assert!(said.contains(expected), "{name} says {said}");
    }
    let user = output(&mut peer.run_as(
        "hello",
        "python",
        &["-c", "import os; print(os.getuid(), os.access('/app', os.W_OK))"],
    ));
    assert_eq!(user.trim(), "65532 False");
    let port = world::free_port();
    let bind = format!("--bind=127.0.0.1:{port}");
    let server = peer.run_as("hello", "gunicorn", &["app:app", &bind, "--worker-tmp-dir=/dev/shm"]);
    world::with_server(server, port, |get| {
        assert_eq!(get("/"), "Hello from minke!\n");
        assert!(get("/whoami").contains("\"uid\":65532"), "{}", get("/whoami"));
    });
}

#[test]
fn the_examples_run_here_as_root_and_as_an_ordinary_user() {
    let world = World::open();
    for (example, name) in world::EXAMPLES {
        world.build(example, &[]);
        let (_, arguments, expected) =
            SAYS.iter().find(|(image, _, _)| *image == name).expect("every example says something");
        for mut minke in world.minke_as_each_user() {
            let said = output(minke.args(["run", "--read-only", name]).args(*arguments));
            assert!(said.contains(expected), "{name} says {said}");
        }
    }
    for mut minke in world.minke_as_each_user() {
        let port = world::free_port();
        let bind = format!("--bind=127.0.0.1:{port}");
        minke.args([
            "run",
            "--read-only",
            "--entrypoint",
            "gunicorn",
            "hello",
            "app:app",
            "--worker-tmp-dir=/dev/shm",
            &bind,
        ]);
        world::with_server(minke, port, |get| assert_eq!(get("/"), "Hello from minke!\n"));
    }
}

#[test]
fn what_the_examples_promise_they_keep() {
    let world = World::open();
    for (example, name) in world::EXAMPLES {
        world.build(example, &[]);
        for minke in &mut world.minke_as_each_user() {
            let told: serde_json::Value =
                serde_json::from_str(&output(minke.args(["check", "--json", name])))
                    .expect("check prints JSON");
            assert_eq!(told["works"], true, "{name}");
            let tried = told["pythons"][0]["distributions"].as_array().expect("a list").len();
            assert!(tried > 1, "{name}: more than the standard library");
        }
    }
}

#[test]
fn the_base_keeps_its_promises() {
    let world = World::open();
    world.build_whole("hello", "hello-whole", &[]);
    let bind = format!("{}:/base.py:ro", world::inside("base.py").display());
    let run = |mut minke: Command| {
        output(minke.args(["run", "-v", &bind, "--entrypoint", "python", "hello-whole", "/base.py"]))
    };
    let said: Vec<String> = world.minke_as_each_user().into_iter().map(run).collect();
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    insta::assert_snapshot!(said[0], @r"
    locales: C.UTF-8
    certificates: over a hundred authorities, bundled and by hash
    libraries: libc.so.6 libm.so.6 libssl.so.3 libz.so.1 libsqlite3.so.0
    zones: Europe/Berlin
    user: root and nonroot
    modules: every module of the standard library imports
    bytecode: unchecked hashes, none missing
    read_only: nothing of the image can be written
    venv: /app/.venv
    no_tools: no shell, package manager or compiler
    ");
}

#[test]
fn a_shell_is_there_where_it_is_asked_for() {
    let world = World::open();
    let settings = "shell = true\nentrypoint = ['sh', '-c', 'echo $0 | tr a-z A-Z']\ncmd = ['whale']\n";
    let project = world.project("shell", &[("minke.toml", settings), ("main.py", "")]);
    ran(&world.minke().arg("build").arg(&project).args(["-t", "shell"]).output().expect("minke starts"));
    assert_eq!(output(world.minke().args(["run", "shell"])), "WHALE\n");
}

#[test]
fn settings_reach_the_image_and_extra_packages_work() {
    let world = World::open();
    let settings = r#"
        entrypoint = ["python", "main.py"]
        cmd = ["ask"]
        env = { COLOUR = "blue" }
        labels = { "org.opencontainers.image.title" = "a test" }
        annotations = { "org.opencontainers.image.licenses" = "MIT" }
        workdir = "/app/data"
        user = "nobody"
        ports = [8000, "53/udp"]
        volumes = ["/app/data"]
        stop-signal = "SIGINT"
        system-packages = ["libmagic1t64"]
        files = { "/opt/extra.txt" = "extra/note.txt", "/opt/all" = "extra" }
        healthcheck = { cmd = "python -V", interval = 30 }
    "#;
    let main = "import ctypes.util, os, sys\n\
        magic = ctypes.CDLL(ctypes.util.find_library('magic'))\n\
        print(sys.argv[1:], magic.magic_version() > 500, os.environ['COLOUR'], os.getcwd(), os.getuid())\n\
        print(open('/opt/extra.txt').read(), sorted(os.listdir('/opt/all')))\n";
    let project = world.project(
        "settings",
        &[("minke.toml", settings), ("requirements.txt", "# nothing\n"), ("main.py", main)],
    );
    std::fs::create_dir(project.join("extra")).expect("the project is ours");
    std::fs::write(project.join("extra/note.txt"), "noted").expect("the project is ours");
    std::fs::create_dir(project.join("data")).expect("the project is ours");
    std::fs::rename(project.join("main.py"), project.join("data/main.py")).expect("the project is ours");
    ran(&world.minke().args(["build", "-t", "settings"]).arg(&project).output().expect("minke starts"));
    let said = output(world.minke().args(["run", "settings"]));
    insta::assert_snapshot!(said, @r"
    ['ask'] True blue /app/data 65534
    noted ['note.txt']
    ");
    let text = output(world.minke().args(["inspect", "settings"]));
    let inspected: serde_json::Value = serde_json::from_str(&text).expect("inspect prints JSON");
    let mut config = inspected["config"]["config"].clone();
    config["Env"] = serde_json::Value::Null;
    let expected = serde_json::json!({
        "Cmd": ["ask"],
        "Entrypoint": ["python", "main.py"],
        "Env": null,
        "ExposedPorts": { "53/udp": {}, "8000/tcp": {} },
        "Healthcheck": { "Interval": 30_000_000_000_u64, "Test": ["CMD", "python", "-V"] },
        "Labels": { "org.opencontainers.image.title": "a test" },
        "StopSignal": "SIGINT",
        "User": "nobody",
        "Volumes": { "/app/data": {} },
        "WorkingDir": "/app/data",
    });
    assert_eq!(config, expected);
    assert_eq!(inspected["manifest"]["annotations"]["org.opencontainers.image.licenses"], "MIT");
}

#[test]
fn tls_is_checked_against_the_images_own_authorities() {
    let world = World::open();
    world.build("hello", &[]);
    let Some(server) = world::TlsServer::start(&world) else { return };
    let script = world::inside("tls.py");
    let binds = [
        format!("{}:/tls.py:ro", script.display()),
        format!("{}:/ca.pem:ro", server.certificate().display()),
    ];
    let mut minke = world.minke();
    minke.args(["run", "-v", &binds[0], "-v", &binds[1], "--entrypoint", "python", "hello", "/tls.py"]);
    let said = output(minke.arg(server.port().to_string()));
    assert_eq!(said, "refused: self-signed certificate\ntrusted: TLSv1.3\n");
}

#[test]
fn skopeo_and_umoci_accept_the_layout_and_agree_on_digests() {
    let world = World::open();
    let layout = world.path("layout");
    let reference = world.build("package", &[&format!("oci:{}:whale", layout.display())]);
    let digest = reference.split_once('@').expect("a reference has a digest").1.trim().to_owned();
    if world::has("skopeo") {
        let place = format!("oci:{}:whale", layout.display());
        let said = output(Command::new("skopeo").args([
            "inspect",
            "--format",
            "{{.Digest}} {{.Os}}/{{.Architecture}}",
            &place,
        ]));
        assert_eq!(said.trim(), format!("{digest} linux/amd64"));
        let manifest = output(Command::new("skopeo").args(["inspect", "--raw", &place]));
        assert_eq!(format!("sha256:{}", minke_testkit::sha256_hex(manifest.as_bytes())), digest);
    }
    if world::has("umoci") {
        let bundle = world.path("bundle");
        let image = format!("{}:whale", layout.display());
        ran(&Command::new("umoci")
            .args(["unpack", "--rootless", "--image", &image])
            .arg(&bundle)
            .output()
            .expect("umoci starts"));
        assert!(bundle.join("rootfs/app/.venv/bin/whale").is_file());
        let python = std::fs::read_link(bundle.join("rootfs/usr/bin/python3")).expect("python3 is a link");
        assert!(python.to_string_lossy().starts_with("python3."), "{}", python.display());
    }
}

#[test]
fn a_scanner_finds_every_package_and_every_distribution() {
    let world = World::open();
    let layout = world.path("scanned");
    world.build_whole("data-science", "data-science-whole", &["-o", &format!("oci:{}:x", layout.display())]);
    let found = scanner::scan(&layout);
    for package in
        ["libc6", "libpython3.13-stdlib", "libssl3t64", "ca-certificates", "libstdc++6", "tzdata", "zlib1g"]
    {
        assert!(found.debs.contains_key(package), "{package} is in {:?}", found.debs.keys());
    }
    for distribution in ["numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "python-dateutil"] {
        assert!(
            found.distributions.contains_key(distribution),
            "{distribution} is in {:?}",
            found.distributions.keys()
        );
    }
    // Whatever lies in the system's directories has an owner, but for what minke writes itself.
    let unowned: Vec<_> = found.unowned_libraries();
    assert!(unowned.is_empty(), "no package owns {unowned:?}");
    assert_eq!(
        found.checked_md5sums, found.listed_md5sums,
        "every file that a record lists and that is there has its sum"
    );
    assert!(found.checked_md5sums > 1000, "{}", found.checked_md5sums);
}

#[test]
fn a_distributions_layer_is_the_same_in_every_project() {
    let world = World::open();
    world.build("data-science", &[]);
    let both = world.layer_digests("data-science");
    // The same versions, in another order and without the rest.
    let lock = std::fs::read_to_string(world.copy("data-science").join("pylock.toml"))
        .expect("the build kept its lock");
    for (name, requirements) in
        [("alone", &["scikit-learn"][..]), ("reverse", &["scikit-learn", "pandas", "matplotlib"][..])]
    {
        let project = world.project(
            name,
            &[("main.py", "import sklearn"), ("requirements.txt", &pinned(&lock, requirements))],
        );
        ran(&world.minke().arg("build").arg(&project).output().expect("minke starts"));
        let layers = world.layer_digests(name);
        assert_eq!(layers.get("scikit-learn"), both.get("scikit-learn"), "scikit-learn in {name}");
        assert_eq!(layers.get("base"), both.get("base"), "the base in {name}");
    }
}

/// The requirements with the versions of a lock, the first one last.
fn pinned(lock: &str, names: &[&str]) -> String {
    let version = |name: &str| {
        let entry = lock.split("[[packages]]").find(|entry| entry.contains(&format!("name = \"{name}\"")));
        let line = entry
            .and_then(|entry| entry.lines().find(|line| line.starts_with("version = ")))
            .expect("it is in the lock");
        line.trim_start_matches("version = ").trim_matches('"').to_owned()
    };
    let all = ["numpy", "scipy"];
    let lines = names.iter().chain(&all).rev().map(|name| format!("{name}=={}\n", version(name)));
    lines.collect()
}

/// Asks objdump what a program needs, and dpkg whose that is.
fn packages_by_dpkg(program: &str) -> Option<BTreeSet<String>> {
    let said = |tool: &str, arguments: &[&str]| {
        let ran = Command::new(tool).args(arguments).output().ok()?;
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let headers = said("objdump", &["-p", program])?;
    let needed = headers.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
    let owner = |soname: &str| {
        let listed = said("dpkg-query", &["--search", &format!("*/{}", soname.trim())])?;
        let usual =
            listed.lines().find(|line| line.contains("-linux-gnu/") && line.matches('/').count() <= 4)?;
        Some(usual.split(':').next()?.to_owned())
    };
    needed.map(owner).collect()
}

#[test]
fn the_packages_of_a_programs_libraries_are_those_that_dpkg_names() {
    let world = World::open();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let Some(codename) = codename.filter(|_| release.lines().any(|line| line == "ID=debian")) else {
        return eprintln!("SKIPPED: this machine is no Debian");
    };
    for program in ["/usr/bin/dpkg", "/usr/bin/git", "/usr/bin/curl"] {
        let Some(expected) = packages_by_dpkg(program) else {
            eprintln!("SKIPPED: there is no objdump, or no {program}");
            continue;
        };
        let said = output(world.minke().args(["libs", "--packages", "--base", codename, program]));
        assert_eq!(said.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{program}");
    }
}
