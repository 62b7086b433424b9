//! A place to build the examples in, and what tests ask of programs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The examples, by directory and by the name of their image.
pub(crate) const EXAMPLES: [(&str, &str); 4] =
    [("hello", "hello"), ("data-science", "data-science"), ("compiled", "compiled"), ("package", "whale")];

/// Where an ordinary user finds what it needs: no path above it may be closed to him.
const NOBODYS: &str = "/tmp/minke-test-nobody";

/// One test at a time: they share a cache, daemons and two cores.
static TURN: Mutex<()> = Mutex::new(());

/// A directory that anyone may look into, kept between tests of one run so that downloads are shared.
pub(crate) struct World {
    root: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    pub(crate) fn open() -> Self {
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real");
        std::fs::create_dir_all(&root).expect("the target directory is writable");
        let world = Self { root, _turn: turn };
        // The cache of each user, and what the examples become, are made anew by whoever needs them.
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).expect("an earlier run's output can be removed");
        } else if path.exists() {
            std::fs::remove_file(&path).expect("an earlier run's output can be removed");
        }
        path
    }

    /// Returns the copy of an example that is built: minke keeps a lock in it.
    pub(crate) fn copy(&self, example: &str) -> PathBuf {
        let copy = self.root.join("projects").join(example);
        if !copy.exists() {
            copy_directory(&repository().join("examples").join(example), &copy);
        }
        copy
    }

    pub(crate) fn project(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let directory = self.path(name);
        std::fs::create_dir_all(&directory).expect("the target directory is writable");
        for (file, text) in files {
            std::fs::write(directory.join(file), text).expect("the target directory is writable");
        }
        directory
    }

    /// Builds an example and returns the line that minke prints.
    pub(crate) fn build(&self, example: &str, outputs: &[&str]) -> String {
        let mut minke = self.minke();
        minke.arg("build").arg(self.copy(example));
        for place in outputs {
            minke.args(["-o", place]);
        }
        output(&mut minke)
    }

    /// Builds an example with all that its packages have, under a name of its own.
    pub(crate) fn build_whole(&self, example: &str, name: &str, more: &[&str]) -> String {
        let mut minke = self.minke();
        minke.arg("build").arg(self.copy(example)).args(["--profile", "none", "-t", name]);
        output(minke.args(more))
    }

    pub(crate) fn minke(&self) -> Command {
        let mut minke = Command::new(env!("CARGO_BIN_EXE_minke"));
        minke.env("MINKE_CACHE", self.root.join("cache")).stdin(Stdio::null());
        minke
    }

    /// minke as this user and, where this one is root, as an ordinary one with the same images.
    pub(crate) fn minke_as_each_user(&self) -> Vec<Command> {
        let mut all = vec![self.minke()];
        if !is_root() {
            eprintln!("SKIPPED as root: the tests were started by an ordinary user");
            return all;
        }
        let home = Path::new(NOBODYS);
        let _ = std::fs::remove_dir_all(home);
        std::fs::create_dir_all(home).expect("/tmp is writable");
        copy_directory(Path::new(env!("CARGO_BIN_EXE_minke")), &home.join("minke"));
        // The names and blobs are what an image is; packs and rooms come back by themselves.
        for part in ["blobs", "names"] {
            let from = self.root.join("cache/v2").join(part);
            ran(&Command::new("cp")
                .arg("-r")
                .arg(from)
                .arg({
                    let to = home.join("cache/v2");
                    std::fs::create_dir_all(&to).expect("/tmp is writable");
                    to
                })
                .output()
                .expect("cp starts"));
        }
        ran(&Command::new("chown").args(["-R", "65534:65534"]).arg(home).output().expect("chown starts"));
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(home.join("minke"));
        nobody.env("MINKE_CACHE", home.join("cache")).env("HOME", home).current_dir("/").stdin(Stdio::null());
        all.push(nobody);
        all
    }

    /// Returns the digests of a named image's layers, by what its history calls them.
    pub(crate) fn layer_digests(&self, image: &str) -> BTreeMap<String, String> {
        let text = output(self.minke().args(["inspect", image]));
        let value: serde_json::Value = serde_json::from_str(&text).expect("inspect prints JSON");
        let layers = value["manifest"]["layers"].as_array().expect("a manifest has layers").iter();
        let history = value["config"]["history"].as_array().expect("a config has a history").iter();
        let name = |entry: &serde_json::Value| {
            entry["created_by"].as_str().unwrap_or_default().trim_start_matches("minke: ").to_owned()
        };
        let digest = |layer: &serde_json::Value| layer["digest"].as_str().unwrap_or_default().to_owned();
        history.map(name).zip(layers.map(digest)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A gigabyte of blobs that the cache has, too.
        let _ = std::fs::remove_dir_all(NOBODYS);
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a copy has a directory")).expect("the place is writable");
    ran(&Command::new("cp").arg("-rL").arg(from).arg(to).output().expect("cp starts"));
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// Returns a script that is run in images.
pub(crate) fn inside(name: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inside").join(name);
    // An ordinary user must be able to reach what is mounted for it.
    let copy = Path::new("/tmp/minke-test-inside");
    std::fs::create_dir_all(copy).expect("/tmp is writable");
    let copy = copy.join(name);
    std::fs::copy(&script, &copy).expect("the script is there");
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644)).expect("the copy is ours");
    copy
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Tells whether a program is there, and says that its tests are skipped if not.
pub(crate) fn has(program: &str) -> bool {
    let found = minke_testkit::program(program).is_some();
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// Runs a command that must succeed, and returns what it prints.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    ran(&output);
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

pub(crate) fn ran(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("loopback has a free port")
        .port()
}

/// Starts a server, waits until its port answers, lets the caller ask it, and ends it by pid.
pub(crate) fn with_server(mut command: Command, port: u16, ask: impl FnOnce(&dyn Fn(&str) -> String)) {
    let mut server =
        Ended(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the server starts"));
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "the server does not answer");
        if let Some(status) = server.0.try_wait().expect("the server is our child") {
            let mut said = String::new();
            let _ = server.0.stderr.take().expect("it was asked for").read_to_string(&mut said);
            panic!("the server has ended: {status}\n{said}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    ask(&|path| get(port, path));
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server answers");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out can be set");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.contains(" 200 "), "{head}");
    body.to_owned()
}

/// A child that is ended when the test is, by SIGTERM and then by SIGKILL.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..100 {
            if self.0.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A TLS server on the loopback whose certificate nobody knows.
pub(crate) struct TlsServer {
    _process: Ended,
    certificate: PathBuf,
    port: u16,
}

impl TlsServer {
    pub(crate) fn start(world: &World) -> Option<Self> {
        if !has("openssl") {
            return None;
        }
        let directory = Path::new("/tmp/minke-test-tls");
        let _ = std::fs::remove_dir_all(directory);
        std::fs::create_dir_all(directory).expect("/tmp is writable");
        let (certificate, key) = (directory.join("ca.pem"), world.path("tls.key"));
        ran(&Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl starts"));
        let port = free_port();
        let server = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-accept", &port.to_string(), "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let server = Ended(server);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "openssl does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { _process: server, certificate, port })
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
