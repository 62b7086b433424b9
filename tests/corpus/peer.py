"""`pip wheel` in a minimal Debian with somebody's list of packages: what a Dockerfile's first stage does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from measure import ran

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import machine  # noqa: E402

SUITE = "trixie"

PIP = ["python3-pip", "python3-venv", "ca-certificates"]

PACKAGES = {
    # What most answers on the net begin with.
    "build-essential": ["build-essential", "python3-dev"],
    # The list of the image buildpack-deps, upon which python's own images without a suffix are made.
    "buildpack-deps": [
        *["build-essential", "python3-dev", "curl", "gnupg", "netbase", "sq", "wget", "tzdata"],
        *["git", "mercurial", "openssh-client", "subversion", "procps", "autoconf", "automake", "bzip2"],
        *["default-libmysqlclient-dev", "dpkg-dev", "file", "g++", "gcc", "imagemagick", "libbz2-dev", "libc6-dev"],
        *["libcurl4-openssl-dev", "libdb-dev", "libevent-dev", "libffi-dev", "libgdbm-dev", "libglib2.0-dev"],
        *["libgmp-dev", "libjpeg-dev", "libkrb5-dev", "liblzma-dev", "libmagickcore-dev", "libmagickwand-dev"],
        *["libmaxminddb-dev", "libncurses5-dev", "libncursesw5-dev", "libpng-dev", "libpq-dev", "libreadline-dev"],
        *["libsqlite3-dev", "libssl-dev", "libtool", "libwebp-dev", "libxml2-dev", "libxslt-dev", "libyaml-dev"],
        *["make", "patch", "unzip", "xz-utils", "zlib1g-dev"],
    ],
}


class Peer:
    """pip in one of the two Debians, which is made when it is missing."""

    def __init__(self, name: str, work: Path):
        self.name = name
        self.root = work / "roots" / name
        self.logs = work / "logs" / name
        self.logs.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            raise SystemExit("a peer needs root: it is run in a root directory of its own")
        if not self.root.exists():
            make(self.root, [*PIP, *PACKAGES[name]])

    def build(self, sdist: dict, limit_seconds: float) -> dict:
        """Makes a wheel of it, which isn't tried: that it is made counts as success."""
        name, version = sdist["name"], sdist["version"]
        log = self.logs / f"{name}.log"
        log.unlink(missing_ok=True)
        inside = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.root}/proc", "chroot", self.root]
        inside += ["/usr/bin/env", "-i", "HOME=/root", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/usr/sbin"]
        pip = ["python3", "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir=/tmp/wheels"]
        pip += [f"--no-binary={name}", f"{name}=={version}"]
        built = ran([*inside, *self.variables(), *pip], log, limit_seconds=limit_seconds)
        for left in (self.root / "tmp").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        result = {"seconds": round(built.seconds, 1), "cpu_seconds": round(built.cpu_seconds, 1)}
        if built.status is None:
            return result | {"result": "took too long", "error": []}
        if built.status != 0:
            return result | {"result": "failed", "error": built.errors.strip().splitlines()[-12:]}
        return result | {"result": "worked", "error": []}

    def variables(self) -> list[str]:
        """What pip has to know of this machine's package index; the certificates are its own."""
        wanted = {name: value for name, value in os.environ.items() if name in ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")}
        return [f"{name}={value}" for name, value in wanted.items()]


def make(root: Path, packages: list[str]) -> None:
    """Makes a minimal Debian with packages, which knows this machine's name servers and certificates."""
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", SUITE, unfinished]
    subprocess.run([*map(str, argv), *machine.apt_sources(SUITE)], check=True)
    shutil.copy("/etc/resolv.conf", unfinished / "etc/resolv.conf")
    shutil.copy(machine.certificates(), unfinished / "etc/ssl/certs/ca-certificates.crt")
    unfinished.rename(root)
