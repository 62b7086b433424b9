//! A PostgreSQL and a MariaDB of the test's own: Debian's packages, on loopback, each as its own user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use minke_testkit::program;

use crate::world::{Ended, free_port, is_root, output, ran};

/// Two servers with data directories of their own, both ended by their pids.
pub(crate) struct Databases {
    // Before the directory, so that they have ended when it goes.
    _servers: [Ended; 2],
    directory: PathBuf,
    postgres_port: u16,
    mariadb_port: u16,
}

impl Databases {
    /// Makes and starts both, or says which one isn't installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(postgres) = postgres_programs() else {
            eprintln!("SKIPPED: Debian's package postgresql is not installed");
            return None;
        };
        let Some(mariadbd) = program("mariadbd").filter(|_| program("mariadb-install-db").is_some()) else {
            eprintln!("SKIPPED: Debian's package mariadb-server is not installed");
            return None;
        };
        let directory = PathBuf::from(format!("/tmp/minke-test-databases-{}", std::process::id()));
        let (postgres_port, mariadb_port) = (free_port(), free_port());
        let first = start_postgres(&postgres, &place(&directory, "postgres"), postgres_port);
        let second = start_mariadb(&mariadbd, &place(&directory, "mysql"), mariadb_port);
        Some(Self { _servers: [first, second], directory, postgres_port, mariadb_port })
    }

    /// Where the two are, as the example is told.
    pub(crate) fn variables(&self) -> [String; 2] {
        let (postgres, mariadb) = (self.postgres_port, self.mariadb_port);
        [
            format!("POSTGRES_URL=postgresql://whale@127.0.0.1:{postgres}/postgres"),
            format!("MARIADB_URL=mysql://whale:krill@127.0.0.1:{mariadb}/log"),
        ]
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Returns where the newest PostgreSQL's programs lie, which aren't on `PATH`.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().map(|entry| entry.path()).filter(|path| version(path).is_some());
    newest.max_by_key(version).map(|path| path.join("bin")).filter(|bin| bin.join("postgres").exists())
}

/// Makes a directory that belongs to a user of that name, or to this one where this one isn't root.
fn place(directory: &Path, user: &str) -> PathBuf {
    let place = directory.join(user);
    std::fs::create_dir_all(&place).expect("/tmp is writable");
    for directory in [directory, &place] {
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory, readable).expect("the directory is ours");
    }
    if is_root() {
        let id =
            |flag| output(Command::new("id").args([flag, user])).trim().parse().expect("ids are numbers");
        chown(&place, Some(id("-u")), Some(id("-g"))).expect("root may give its directories away");
    }
    place
}

/// A program as the user that its package made, or as this one where this one isn't root.
fn command_of(user: &str, program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn start_postgres(programs: &Path, place: &Path, port: u16) -> Ended {
    let data = place.join("data");
    let mut make = command_of("postgres", &programs.join("initdb"));
    make.args(["--no-sync", "--auth=trust", "--username=whale", "-D"]).arg(&data);
    ran(&make.output().expect("initdb starts"));
    let mut server = command_of("postgres", &programs.join("postgres"));
    server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "fsync=off"]);
    server.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    let server = spawn(server, place);
    wait("PostgreSQL", place, || {
        let mut asked = Command::new(programs.join("pg_isready"));
        asked.args(["--quiet", "-h", "127.0.0.1", "-p", &port.to_string()]);
        asked.status().is_ok_and(|status| status.success())
    });
    server
}

/// What is done before the server listens: a line is a statement.
const MARIADB_INIT: &str = "CREATE DATABASE log;\n\
    CREATE USER 'whale'@'127.0.0.1' IDENTIFIED BY 'krill';\n\
    GRANT ALL ON log.* TO 'whale'@'127.0.0.1';\n";

fn start_mariadb(mariadbd: &Path, place: &Path, port: u16) -> Ended {
    let at = |name: &str| place.join(name).display().to_string();
    std::fs::write(place.join("init.sql"), MARIADB_INIT).expect("/tmp is writable");
    let data = format!("--datadir={}", at("data"));
    let mut make = command_of("mysql", Path::new("mariadb-install-db"));
    make.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", &data]);
    ran(&make.output().expect("mariadb-install-db starts"));
    let mut server = command_of("mysql", mariadbd);
    server.args(["--no-defaults", "--skip-name-resolve", "--bind-address=127.0.0.1", &data]);
    server.args([format!("--port={port}"), format!("--socket={}", at("socket"))]);
    server.args([format!("--pid-file={}", at("pid")), format!("--init-file={}", at("init.sql"))]);
    let server = spawn(server, place);
    wait("MariaDB", place, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    server
}

fn spawn(mut server: Command, place: &Path) -> Ended {
    let log = std::fs::File::create(place.join("log")).expect("/tmp is writable");
    let errors = log.try_clone().expect("a file can be shared");
    Ended(server.stdout(log).stderr(errors).spawn().expect("the server starts"))
}

fn wait(name: &str, place: &Path, is_ready: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_ready() {
        let log = std::fs::read_to_string(place.join("log")).unwrap_or_default();
        assert!(began.elapsed() < Duration::from_secs(60), "{name} does not answer:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
