//! Docker and podman, as they are installed here: no daemon runs, and no image can be pulled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{has, is_root, output, ran};

/// Something that runs images, read-only, with this machine's network.
pub(crate) trait Peer {
    /// Runs an image's own entry point.
    fn run(&self, image: &str, arguments: &[&str]) -> Command;
    /// Runs another program of an image.
    fn run_as(&self, image: &str, program: &str, arguments: &[&str]) -> Command;
}

/// A Docker daemon of the test's own, on a socket of its own, ended by its pid.
pub(crate) struct Docker {
    daemon: Child,
    directory: PathBuf,
}

impl Docker {
    pub(crate) fn start() -> Option<Self> {
        if !is_root() {
            eprintln!("SKIPPED: Docker's daemon needs root");
            return None;
        }
        if !has("dockerd") || !Path::new(CLIENT).exists() {
            return None;
        }
        let directory = PathBuf::from(format!("/tmp/minke-test-docker-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("/tmp is writable");
        let at = |name: &str| directory.join(name);
        let daemon = Command::new("dockerd")
            .arg("-H")
            .arg(format!("unix://{}", at("socket").display()))
            .args(["--iptables=false", "--bridge=none", "--data-root"])
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("-p")
            .arg(at("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).expect("/tmp is writable"))
            .spawn()
            .expect("dockerd starts");
        let docker = Self { daemon, directory };
        let began = Instant::now();
        while !docker.command(&["version"]).output().expect("docker starts").status.success() {
            let log = std::fs::read_to_string(docker.directory.join("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(60), "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(docker)
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.directory.join("socket").display())
    }

    /// Runs a program of this machine's in a container of an image, with Docker's own restrictions and root's
    /// capabilities there, on a directory that it may write.
    pub(crate) fn confined(&self, image: &str, directory: &Path, program: &Path) -> Command {
        let mut command = self.command(&["run", "--rm", "--network", "none", "--user", "0", "-w", "/here"]);
        command.arg("-v").arg(format!("{}:/here", directory.display()));
        command.arg("-v").arg(format!("{}:/program:ro", program.display()));
        command.args([
            "-e",
            "HOME=/here",
            "-e",
            "MINKE_CACHE=/here/cache",
            "--entrypoint",
            "/program",
            image,
        ]);
        command
    }

    pub(crate) fn has(&self, image: &str) -> bool {
        !output(&mut self.command(&["images", "-q", image])).trim().is_empty()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut docker = Command::new(CLIENT);
        docker.env("DOCKER_HOST", self.host()).args(arguments).stdin(Stdio::null());
        docker
    }
}

/// The client of Debian's own package: another one may come first on `PATH`.
const CLIENT: &str = "/usr/bin/docker";

const RUN: [&str; 5] = ["run", "--rm", "--read-only", "--network", "host"];

impl Peer for Docker {
    fn run(&self, image: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&RUN);
        command.arg(image).args(arguments);
        command
    }

    fn run_as(&self, image: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&RUN);
        command.args(["--entrypoint", program, image]).args(arguments);
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
        // The daemon leaves this mounted, and nothing can be removed below it.
        let _ = Command::new("umount").arg(self.directory.join("exec/netns/default")).status();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// podman, with storage of the test's own.
pub(crate) struct Podman {
    root: PathBuf,
}

impl Podman {
    pub(crate) fn find() -> Option<Self> {
        if !is_root() {
            eprintln!("SKIPPED: rootless podman needs subordinate ids, which nobody has set up here");
            return None;
        }
        let root = PathBuf::from(format!("/tmp/minke-test-podman-{}", std::process::id()));
        (has("podman") && has("runc")).then_some(Self { root })
    }

    pub(crate) fn load(&self, archive: &Path) {
        ran(&self.command(&["load", "-q", "-i"]).arg(archive).output().expect("podman starts"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut podman = Command::new("podman");
        // crun refuses mixed versions of control groups, and some machines don't let limits be raised.
        podman
            .args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--root"])
            .arg(self.root.join("root"));
        podman.arg("--runroot").arg(self.root.join("run")).args(arguments).stdin(Stdio::null());
        podman
    }

    fn container(&self) -> Command {
        self.container_with(&[])
    }

    /// Runs an image's own entry point with environment variables.
    pub(crate) fn run_with(&self, variables: &[String], image: &str) -> Command {
        let mut command = self.container_with(variables);
        command.arg(image);
        command
    }

    fn container_with(&self, variables: &[String]) -> Command {
        let mut command = self.command(&RUN);
        command.args(variables.iter().flat_map(|variable| ["-e", variable]));
        command.args(["--pull=never", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]);
        command
    }
}

impl Peer for Podman {
    fn run(&self, image: &str, arguments: &[&str]) -> Command {
        let mut command = self.container();
        command.arg(image).args(arguments);
        command
    }

    fn run_as(&self, image: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.container();
        command.args(["--entrypoint", program, image]).args(arguments);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command(&["system", "reset", "--force"]).output();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
