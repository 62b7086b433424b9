"""The contenders, and one turn of each: cold, then after edits.

*Cold* means that nothing of the app is there, neither downloads nor results, while what all apps share is
ready: the peers' base images are in the daemon, and minke's cache holds what a build of an empty project
leaves. An image counts as made when it lies on disk as one compressed archive.
"""

import atexit
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import bases
import machine
from daemon import DOCKER, Daemon
from measure import Cost, measure
from projects import Project

BENCH = Path(__file__).resolve().parent
PATIENCE_SECONDS = 60

ROOM_BYTES = 20_000_000_000
"""What is left free on the disk."""

DOWNLOADS = [b"PK\x03\x04", b"!<ar"]
"""What wheels and Debian packages begin with."""


@dataclass(frozen=True)
class Turn:
    """What one way to an archive cost, once."""

    cold: Cost
    """From nothing to an archive."""
    kept: Cost
    """From one edited line to an image in the tool's own store."""
    warm: Cost
    """From one edited line to an archive."""
    archive: Path
    first: Cost | None = None
    """From nothing at all, the shared parts included, to an archive; only minke makes these itself."""


class Minke:
    """minke itself, perhaps with further arguments: one command, straight to an archive."""

    def __init__(self, binary: Path, work: Path, uv: Path, name: str = "minke", more: tuple[str, ...] = ()):
        self.binary = binary
        self.name = name
        self.ways = [name]
        self.more = more
        self.out = work / name
        self.cache = self.out / "cache"
        self.ready = self.out / "ready"
        self.aside = self.out / "aside"
        atexit.register(self.clean)
        self.out.mkdir(exist_ok=True)
        self.env = {**os.environ, "MINKE_CACHE": str(self.cache), "UV_CACHE_DIR": str(self.cache / "uv")}
        self.env["PATH"] = f"{uv.parent}:{self.env['PATH']}"

    def prepare(self) -> None:
        """Builds an empty project into an empty cache, and keeps the cache."""
        empty = self.out / "empty"
        empty.mkdir(exist_ok=True)
        (empty / "main.py").write_text("print('There she blows')\n")
        (empty / "pyproject.toml").write_text('[project]\nname = "empty"\nversion = "1"\n')
        for cache in [self.cache, self.ready]:
            self.put_aside(cache)
        measure([self.binary, "build", "--quiet", *self.more, empty], log=self.out / "log", env=self.env)
        self.cache.rename(self.ready)

    def turn(self, project: Project) -> dict[str, Turn]:
        archive = self.out / f"{project.app}.tar"
        # The system's side is locked beforehand, as Python's is on all sides.
        measure([self.binary, "lock", "--quiet", project.place], log=self.out / "log", env=self.env)
        self.forget()
        first = self.build(project, archive)
        self.forget()
        shutil.copytree(self.ready, self.cache, symlinks=True)
        settle()
        cold = self.build(project, archive)
        project.edit()
        kept = self.build(project)
        project.edit()
        warm = self.build(project, archive)
        return {self.name: Turn(cold, kept, warm, archive, first)}

    def forget(self) -> None:
        """Empties the cache wholly."""
        self.put_aside(self.cache)
        settle()

    def put_aside(self, directory: Path) -> None:
        """Takes a directory out of the way; it is removed where the disk fills, or in the end.

        For minutes after large removals ext4 without a journal makes new files many times more slowly.
        """
        if shutil.disk_usage(self.out).free < ROOM_BYTES:
            self.clean()
        if directory.exists():
            self.aside.mkdir(exist_ok=True)
            directory.rename(self.aside / str(time.time_ns()))

    def clean(self) -> None:
        """Removes what was put aside."""
        shutil.rmtree(self.aside, ignore_errors=True)

    def run(self, project: Project, command: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Runs another command for a project, which isn't measured."""
        measure([self.binary, command, "--quiet", *arguments, project.place], log=self.out / "log", env=env or self.env)

    def released(self) -> dict[str, str]:
        """An environment in which the archive of security updates isn't known."""
        suite = machine.apt_sources(bases.SUITE)[0].split()
        return {**self.env, "MINKE_DEBIAN_MIRROR": suite[2]}

    def keep_downloads(self) -> None:
        """Empties the cache but for what a build of an empty project leaves, and for wheels and packages."""
        blobs = [blob for blob in (self.cache / "v2/blobs").glob("*/*") if blob.open("rb").read(4) in DOWNLOADS]
        kept = self.out / "downloads"
        shutil.rmtree(kept, ignore_errors=True)
        for blob in blobs:
            place = kept / blob.relative_to(self.cache)
            place.parent.mkdir(parents=True, exist_ok=True)
            blob.rename(place)
        self.forget()
        shutil.copytree(self.ready, self.cache, symlinks=True)
        shutil.copytree(kept, self.cache, dirs_exist_ok=True)

    def build(self, project: Project, archive: Path | None = None, more: tuple = ()) -> Cost:
        argv = [self.binary, "build", "--quiet", "--locked", *self.more, *more, project.place]
        if archive:
            archive.unlink(missing_ok=True)
            argv += ["-o", f"docker-archive:{archive}:{self.tag(project)}"]
        return measure(argv, log=self.out / "log", env=self.env)

    def image(self, project: Project, daemon: Daemon) -> str:
        """The image's name in the daemon."""
        daemon.ask("load", "--quiet", "--input", str(self.out / f"{project.app}.tar"))
        return self.tag(project)

    def tag(self, project: Project) -> str:
        return f"bench/{self.name}-{project.app}:latest"


class Peer:
    """`docker build` of one Dockerfile, and the two usual ways from the daemon to a compressed archive."""

    def __init__(self, name: str, work: Path, daemon: Daemon):
        self.dockerfile = BENCH / f"{name}.Dockerfile"
        self.name = name
        self.daemon = daemon
        self.out = work / name
        self.out.mkdir(exist_ok=True)
        self.ways = [f"{name}, save and gzip", f"{name}, skopeo"]

    def prepare(self) -> None:
        """Nothing to do: the bases are there."""

    def turn(self, project: Project) -> dict[str, Turn]:
        self.daemon.ask("builder", "prune", "--all", "--force")
        self.daemon.ask("image", "rm", "--force", self.tag(project), check=False)
        self.daemon.ask("image", "prune", "--force")
        settle()
        cold = self.build(project)
        cold_ends = self.ends(project)
        project.edit()
        warm = self.build(project)
        warm_ends = self.ends(project)
        return {
            way: Turn(cold + cold_ends[way][0], warm, warm + warm_ends[way][0], warm_ends[way][1])
            for way in self.ways
        }

    def tag(self, project: Project) -> str:
        return f"bench/{self.name}-{project.app}:latest"

    def build(self, project: Project) -> Cost:
        argv = [DOCKER, "build", "--network=host", f"--secret=id=certificates,src={machine.certificates()}"]
        return self.measure([*argv, f"--file={self.dockerfile}", f"--tag={self.tag(project)}", project.place])

    def ends(self, project: Project) -> dict[str, tuple[Cost, Path]]:
        """From the daemon's store to an archive, both ways."""
        gzipped, copied = self.out / f"{project.app}.tar.gz", self.out / f"{project.app}.oci.tar"
        for archive in [gzipped, copied]:
            archive.unlink(missing_ok=True)
        pipe = f"set -o pipefail; {DOCKER} save {self.tag(project)} | gzip > {gzipped}"
        copy = ["skopeo", "copy", f"--src-daemon-host={self.daemon.host}"]
        copy += [f"docker-daemon:{self.tag(project)}", f"oci-archive:{copied}"]
        by_gzip, by_skopeo = self.ways
        return {
            by_gzip: (self.measure(["bash", "-c", pipe]), gzipped),
            by_skopeo: (self.measure(copy), copied),
        }

    def measure(self, argv: list) -> Cost:
        return measure(argv, log=self.out / "log", daemons=(self.daemon.pid,), env=self.daemon.env)

    def image(self, project: Project, _: Daemon) -> str:
        """The image's name in the daemon."""
        return self.tag(project)


def settle() -> None:
    """Lets nobody pay for what another has left to be written."""
    os.sync()


def answers(image: str, project: Project, daemon: Daemon) -> None:
    """Runs an image read-only, as nobody, without a network, and sees that its app does its work."""
    sealed = ["--read-only", "--user=65532:65532", "--network=none", "--cap-drop=ALL"]
    sealed += [f"--env={name}={value}" for name, value in project.settings.get("env", {}).items()]
    program, *arguments = project.entrypoint
    start = [f"--entrypoint={program}", image, *arguments]
    if not project.address:
        daemon.ask("run", "--rm", *sealed, *start)
        return
    container = daemon.ask("run", "--detach", *sealed, *start).strip()
    ask = f"import urllib.request as r; r.urlopen({project.address!r}, timeout=5).read()"
    give_up = time.monotonic() + PATIENCE_SECONDS
    try:
        while "ok" not in daemon.ask("exec", container, "python", "-c", f"{ask}; print('ok')", check=False):
            if time.monotonic() > give_up:
                raise SystemExit(f"{image} doesn't answer at {project.address}:\n{daemon.ask('logs', container)}")
            time.sleep(0.5)
    finally:
        daemon.ask("rm", "--force", container)


def peers_versions(uv: Path) -> str:
    """The peers' programs, by version."""
    docker = subprocess.check_output([DOCKER, "--version"], text=True).split()[2].rstrip(",")
    installer = subprocess.check_output([uv, "--version"], text=True).split()[1]
    copier = subprocess.check_output(["skopeo", "--version"], text=True).split()[2]
    return f"docker {docker} with BuildKit, uv {installer}, skopeo {copier}"
