//! A town of one's own for each test: an archive, an index, a cache, a home, and `minke` to run in it.
//!
//! What is dear is made once: the archive's files, and a cache that has a base already, of which every town gets a
//! copy. Servers are each town's own, so that a test can count requests and break paths without asking anyone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use minke_testkit::{
    DebianArchive, Index, Server, SigningKey, Wheel, installed_debs, program, sha256_hex, skip,
    toy_python_debs,
};
use tempfile::TempDir;

use crate::debs;

/// The suite of the town's archive.
pub(crate) const SUITE: &str = "bookworm";

/// What all towns share.
struct Shared {
    /// The archive's files: `debian/` and `security/`.
    archive: PathBuf,
    /// The key that has signed it.
    key: PathBuf,
    /// A cache that has the base.
    cache: PathBuf,
}

/// A place of its own to build in.
pub(crate) struct Town {
    /// Where Debian's packages are.
    pub(crate) archive: Server,
    /// Where wheels are.
    pub(crate) index: Server,
    shared: &'static Shared,
    dir: TempDir,
    user: User,
}

/// Who runs `minke`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Myself,
    /// An ordinary user who owns nothing else.
    Nobody,
}

/// What was seen of a process.
pub(crate) struct Ran {
    /// Its exit status; 128 and the signal where one has ended it.
    pub(crate) status: i32,
    /// Its standard output, as it was.
    pub(crate) stdout: String,
    /// Its standard error, with the town's own places and addresses replaced.
    pub(crate) stderr: String,
}

impl Town {
    /// Founds a town whose cache has a base, and whose index has these wheels; none where this machine cannot.
    pub(crate) fn with(wheels: &[Wheel]) -> Option<Town> {
        let town = Town::without_cache(wheels)?;
        town.warm_cache();
        Some(town)
    }

    /// Lays a cache that has a base where there is none.
    pub(crate) fn warm_cache(&self) {
        let cache = self.path("cache");
        let copied = Command::new("cp").args(["-a", "--link"]).args([&self.shared.cache, &cache]).status();
        assert!(copied.expect("cp starts").success(), "cp copies a cache");
        // A lock that towns had in common would be one: that of the cache, and the listings beside rooms.
        fs::remove_file(cache.join("v2/lock")).expect("a cache has a lock");
        let rooms = fs::read_dir(cache.join("v2/rooms")).expect("a cache has rooms").flatten();
        for listing in rooms.map(|room| room.path()).filter(|path| path.is_file()) {
            let bytes = fs::read(&listing).expect("a listing can be read");
            fs::remove_file(&listing).expect("a listing can be removed");
            fs::write(&listing, bytes).expect("a listing can be written");
        }
    }

    /// Founds a town that has nothing in its cache.
    pub(crate) fn without_cache(wheels: &[Wheel]) -> Option<Town> {
        Some(Town::founded(shared()?, wheels))
    }

    fn founded(shared: &'static Shared, wheels: &[Wheel]) -> Town {
        let index = wheels.iter().fold(Index::new(), Index::wheel);
        let dir = tempfile::Builder::new()
            .prefix("town-")
            // Another user must be able to come in.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(own_directory())
            .expect("a temporary directory");
        fs::create_dir(dir.path().join("home")).expect("a new directory");
        Town {
            archive: Server::serve_dir(&shared.archive),
            index: index.serve(),
            shared,
            dir,
            user: User::Myself,
        }
    }

    /// The directory of what the archive's server has.
    pub(crate) fn archive_files(&self) -> &Path {
        &self.shared.archive
    }

    /// The path of something in the town.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Gives the town to an ordinary user, who runs `minke` from now on; only root can.
    pub(crate) fn hand_over(&mut self) {
        // What is linked to other towns' files would be given away with them.
        let steps = [
            "test ! -e cache || { cp --archive cache own-cache && rm --recursive cache && mv own-cache cache; }",
            &format!("cp '{}' minke", env!("CARGO_BIN_EXE_minke")),
            "chown --recursive --no-dereference 65534:65534 .",
        ];
        for step in steps {
            let done = Command::new("sh").args(["-c", step]).current_dir(self.dir.path()).status();
            assert!(done.expect("sh starts").success(), "{step}");
        }
        self.user = User::Nobody;
    }

    /// Writes a file below the town's directory.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory"))
            .and_then(|()| fs::write(&path, content))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    /// Writes a project: one `main.py`, and a lock that pins wheels of the index.
    pub(crate) fn project(&self, name: &str, wheels: &[Wheel]) {
        self.write(&format!("{name}/main.py"), "print('hello')\n");
        self.write(&format!("{name}/pylock.toml"), self.lock(wheels));
    }

    /// A `pylock.toml` that pins wheels where this town's index has them.
    pub(crate) fn lock(&self, wheels: &[Wheel]) -> String {
        let packages: String = wheels.iter().map(|wheel| self.locked(wheel)).collect();
        // The specification wants the key, even where there is nothing.
        let packages = if packages.is_empty() { "packages = []\n".to_owned() } else { packages };
        format!("lock-version = \"1.0\"\ncreated-by = \"toy town\"\n{packages}")
    }

    fn locked(&self, wheel: &Wheel) -> String {
        let bytes = wheel.build();
        format!(
            "\n[[packages]]\nname = \"{}\"\nversion = \"{}\"\n\n[[packages.wheels]]\nname = \"{}\"\nurl = \"{}\"\n\
             size = {}\nhashes = {{ sha256 = \"{}\" }}\n",
            wheel.name(),
            wheel.version(),
            wheel.file_name(),
            self.index.url_of(&format!("/files/{}", wheel.file_name())),
            bytes.len(),
            sha256_hex(&bytes),
        )
    }

    /// Makes `minke` ready to run in the town, with nothing of this machine in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.user.command(match self.user {
            User::Myself => Path::new(env!("CARGO_BIN_EXE_minke")).to_owned(),
            User::Nobody => self.path("minke"),
        });
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("MINKE_CACHE", self.path("cache"))
            .env("MINKE_BASE", SUITE)
            .env("MINKE_DEBIAN_MIRROR", self.archive.url_of("/debian"))
            .env("MINKE_DEBIAN_SECURITY_MIRROR", self.archive.url_of("/security"))
            .env("MINKE_DEBIAN_SIGNED_BY", &self.shared.key)
            // This machine may have a pip.conf for everybody.
            .env("PIP_CONFIG_FILE", "/dev/null")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `minke`.
    pub(crate) fn minke(&self, arguments: &[&str]) -> Ran {
        self.finish(self.command(arguments).spawn().expect("minke starts"))
    }

    /// Runs `minke`, which must succeed.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> Ran {
        let ran = self.minke(arguments);
        assert_eq!(ran.status, 0, "minke {} said:\n{}", arguments.join(" "), ran.stderr);
        ran
    }

    /// Builds a project quietly and returns the reference that is printed.
    pub(crate) fn builds(&self, arguments: &[&str]) -> String {
        let ran = self.succeeds(&[&["build", "--quiet"], arguments].concat());
        assert_eq!(ran.stderr, "", "a quiet build without warnings says nothing");
        ran.stdout.trim_end().to_owned()
    }

    /// Waits for a process to end.
    pub(crate) fn finish(&self, child: Child) -> Ran {
        let Output { status, stdout, stderr } = child.wait_with_output().expect("a child can be waited for");
        let ended_by = status.signal().map(|signal| 128 + signal);
        Ran {
            status: status.code().or(ended_by).expect("it has ended"),
            stdout: String::from_utf8(stdout).expect("standard output is UTF-8"),
            stderr: self.redacted(&String::from_utf8(stderr).expect("standard error is UTF-8")),
        }
    }

    /// Replaces what differs from town to town.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let path = self.dir.path().to_str().expect("a temporary directory's name is UTF-8");
        text.replace(path, "TOWN")
            .replace(&self.archive.url(), "http://archive.test")
            .replace(&self.index.url(), "http://index.test")
            .replace(self.shared.key.to_str().expect("a UTF-8 name"), "KEY")
    }
}

impl User {
    /// Makes a program ready to be run by this user.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            User::Myself => Command::new(program),
            User::Nobody => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
                command
            }
        }
    }

    /// Asks util-linux for what a container needs: containers themselves, such as those of a CI, often refuse it.
    pub(crate) fn can_make_containers(self) -> bool {
        let Some(unshare) = program("unshare") else { return false };
        let mut command = self.command(unshare);
        command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "true"]);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Ran {
    /// The exit status and all that was said, to be compared whole.
    pub(crate) fn seen(&self) -> String {
        let mut seen = format!("status: {}\n", self.status);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                seen.push_str(&format!("{name}: {}\n", text.trim_end()));
            }
        }
        seen
    }
}

/// Makes what all towns share, when the first one asks.
fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match make_shared() {
        Ok(shared) => Some(shared),
        Err(reason) => {
            skip(&reason);
            None
        }
    });
    if shared.is_none() {
        skip("there is no town on this machine");
    }
    shared.as_ref()
}

fn make_shared() -> Result<Shared, String> {
    let mut packages = toy_python_debs()?;
    for deb in installed_debs(&["libgomp1", "libstdc++6"])? {
        if packages.iter().all(|there| there.name() != deb.name()) {
            packages.push(deb);
        }
    }
    packages.extend(debs::all());
    let root = own_directory();
    let key = SigningKey::new(1);
    let archive = root.join("archive");
    DebianArchive::new(SUITE).packages(packages).sign_with(&key).write_to(archive.join("debian"));
    DebianArchive::new("bookworm-updates").sign_with(&key).write_to(archive.join("debian"));
    DebianArchive::new("bookworm-security").sign_with(&key).write_to(archive.join("security"));
    let shared = Shared { archive, key: root.join("key.asc"), cache: root.join("cache") };
    fs::write(&shared.key, key.public_armored()).expect("a new file");
    warm_up(&shared);
    Ok(shared)
}

/// Builds a project that needs nothing, so that the cache has the base.
fn warm_up(shared: &Shared) {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        archive: shared.archive.clone(),
        key: shared.key.clone(),
        cache: shared.cache.clone(),
    }));
    let town = Town::founded(shared, &[]);
    town.project("first", &[]);
    town.builds(&["first"]);
    town.succeeds(&["rmi", "first"]);
    fs::rename(town.path("cache"), &shared.cache).expect("one file system");
}

/// Makes a directory for this process, and has it removed when the process has ended, however it ends: a test
/// binary itself runs nothing then.
fn own_directory() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    OWN.get_or_init(|| {
        let own = tempfile::Builder::new()
            .prefix("minke-offline-")
            // Another user must be able to come in.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory")
            .keep();
        let afterwards = "tail --pid=\"$1\" --follow /dev/null; rm --recursive --force \"$2\"";
        let waiting = Command::new("setsid")
            .args(["--fork", "sh", "-c", afterwards, "sh", &std::process::id().to_string()])
            .arg(&own)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(waiting.expect("setsid starts").success(), "something waits for the end");
        own
    })
}
