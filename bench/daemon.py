"""A Docker daemon of our own: it has its own directory and socket, and leaves the machine's one alone.

There is no bridge and no firewall rule; containers and builds use the host's network. The programs are
the distribution's: another `docker` that comes first on PATH may have lost its BuildKit.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

DOCKER = "/usr/bin/docker"
DOCKERD = "/usr/sbin/dockerd"
PATIENCE_SECONDS = 60


class Daemon:
    """A running `dockerd`; leaving its `with` block stops it and keeps its images."""

    def __init__(self, work: Path):
        self.work = work / "docker"
        self.work.mkdir(parents=True, exist_ok=True)
        # A socket's path may not be longer than 107 bytes, so it can't always lie in the work directory.
        self.run = Path(tempfile.mkdtemp(prefix="minke-bench-"))
        self.host = f"unix://{self.run}/docker.sock"
        self.env = {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}

    def __enter__(self) -> "Daemon":
        argv = [DOCKERD, "-H", self.host, "--data-root", self.work / "data", "--exec-root", self.run / "exec"]
        argv += ["-p", self.run / "pid", "--iptables=false", "--bridge=none"]
        with (self.work / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.__exit__()
                raise SystemExit(f"dockerd doesn't answer; see {self.work / 'log'}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.run, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def update_base(self, base: str) -> None:
        """Puts a base in the place of another that differs from it by one small file."""
        self.ask("tag", f"{base}:latest", f"{base}:before")
        self.ask("build", "--network=none", "--tag", f"{base}:latest", "-", stdin=f"FROM {base}:before\nRUN echo > /etc/updated\n")

    def restore_base(self, base: str) -> None:
        """Undoes that."""
        self.ask("tag", f"{base}:before", f"{base}:latest")

    def answers(self) -> bool:
        return subprocess.run([DOCKER, "version"], env=self.env, capture_output=True).returncode == 0

    def ask(self, *argv: str, check: bool = True, stdin: str | None = None) -> str:
        """The output of a docker command that isn't measured."""
        done = subprocess.run(
            [DOCKER, *argv], env=self.env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if check and done.returncode != 0:
            raise SystemExit(f"`docker {' '.join(argv)}` failed:\n{done.stdout}")
        return done.stdout
