"""What the peers start from, made once and kept in the work directory and the daemon.

* `slim` is what a slim image with Debian's own Python holds: a minimal Debian, apt and shell included,
  without manuals and translations. Debian's scripts compile the standard library's bytecode.
* `workshop` is the same with a linker's tools, for the stage in which the second peer strips.
* `bare` is distroless-like: the packages that a Python without optional parts needs, unpacked and nothing
  else. No shell, no package manager. Bytecode and the loader's cache are made, as an expert would.
* `tools` holds the uv program and strip.py, for the stages that build.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import machine
from daemon import Daemon

SUITE = "trixie"
PYTHON = "python3.13"

SLIM_PACKAGES = ["python3", "ca-certificates", "netbase", "tzdata"]

# The list of distroless' Python image, without what only older Pythons needed, and its C and C++ libraries.
BARE_PACKAGES = [
    *["base-files", "ca-certificates", "media-types", "netbase", "tzdata"],
    *["libc6", "libc-bin", "libgcc-s1", "libgomp1", "libstdc++6"],
    *["libbz2-1.0", "libdb5.3t64", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libreadline8t64"],
    *["libsqlite3-0", "libssl3t64", "libtinfo6", "libuuid1", "libzstd1", "zlib1g"],
    *["libpython3.13-minimal", "libpython3.13-stdlib", "python3.13-minimal"],
]

UNREAD = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"]


def make(work: Path, daemon: Daemon, names: list[str] | None = None) -> None:
    """Makes the bases that are missing, all or some, and gives them to the daemon as `bench/NAME`."""
    rootfs = work / "bases"
    rootfs.mkdir(exist_ok=True)
    for name in names or MAKERS:
        tar = rootfs / f"{name}.tar"
        if name == "tools" or not tar.exists():
            print(f"making the base `{name}`", file=sys.stderr)
            unfinished = tar.with_suffix(".unfinished.tar")
            MAKERS[name](work, unfinished)
            unfinished.rename(tar)
            daemon.ask("image", "rm", f"bench/{name}", check=False)
        if not daemon.ask("image", "ls", "-q", f"bench/{name}"):
            daemon.ask("import", str(tar), f"bench/{name}:latest")


def slim(_: Path, tar: Path) -> None:
    debootstrap(tar, SLIM_PACKAGES)


def workshop(_: Path, tar: Path) -> None:
    debootstrap(tar, [*SLIM_PACKAGES, "binutils"])


def debootstrap(tar: Path, packages: list[str]) -> None:
    """A minimal Debian with `packages`, without what the official slim images leave out."""
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
    argv += [f"--dpkgopt=path-exclude=/{place}/*" for place in UNREAD]
    argv += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    run([*argv, SUITE, tar, *machine.apt_sources(SUITE)])


def bare(_: Path, tar: Path) -> None:
    root = tar.with_suffix("")
    shutil.rmtree(root, ignore_errors=True)
    for place in ["bin", "sbin", "lib", "lib64"]:
        (root / "usr" / place).mkdir(parents=True)
        (root / place).symlink_to(f"usr/{place}")
    for deb in download(root.with_suffix(".debs")):
        run(["dpkg-deb", "--extract", deb, root])
        record(deb, root / "var/lib/dpkg/status.d")
    copyrights = {file.relative_to(root): file.read_bytes() for file in root.glob("usr/share/doc/*/copyright")}
    for place in UNREAD:
        shutil.rmtree(root / place, ignore_errors=True)
    for name, text in copyrights.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(text)
    configure(root)
    run(["chroot", root, f"/usr/bin/{PYTHON}", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash",
         f"/usr/lib/{PYTHON}"])
    run(["tar", "--create", "--numeric-owner", "--file", tar, "--directory", root, "."])
    shutil.rmtree(root)


def download(place: Path) -> list[Path]:
    """The packages of the bare base, by an apt that knows nothing of this machine's state."""
    shutil.rmtree(place, ignore_errors=True)
    for directory in ["lists/partial", "archives/partial"]:
        (place / directory).mkdir(parents=True)
    (place / "sources.list").write_text("\n".join(machine.apt_sources(SUITE)) + "\n")
    (place / "status").touch()
    options = {
        "Dir::Etc::SourceList": place / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": place / "lists",
        "Dir::State::Status": place / "status",
        "Dir::Cache": place,
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "--quiet=2", *(f"-o{key}={value}" for key, value in options.items())]
    run([*apt, "update"])
    run([*apt, "download", *BARE_PACKAGES], cwd=place)
    return sorted(place.glob("*.deb"))


def record(deb: Path, place: Path) -> None:
    """Leaves a package's record where scanners of distroless images look for it."""
    place.mkdir(parents=True, exist_ok=True)
    fields = subprocess.check_output(["dpkg-deb", "--field", deb])
    (place / deb.name.split("_")[0]).write_bytes(fields)


def configure(root: Path) -> None:
    """Does by hand what the packages' scripts would have done and a Python program notices."""
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    nonroot = root / "home/nonroot"
    nonroot.mkdir(parents=True)
    os.chown(nonroot, 65532, 65532)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    bundle = b"".join(file.read_bytes() for file in sorted(root.glob("usr/share/ca-certificates/mozilla/*.crt")))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(bundle)
    (root / "usr/lib/ssl").mkdir(exist_ok=True)
    (root / "usr/lib/ssl/certs").symlink_to("/etc/ssl/certs")
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (root / "usr/bin/python3").symlink_to(PYTHON)
    run(["ldconfig", "-r", root])


def tools(work: Path, tar: Path) -> None:
    run(["tar", "--create", "--numeric-owner", "--owner=0", "--group=0", "--file", tar,
         "--directory", install_uv(work).parent, "uv", "--directory", Path(__file__).parent, "strip.py"])


def install_uv(work: Path) -> Path:
    """Where uv is: from the package index, as any Python program, with pip's own settings."""
    place = work / "uv"
    if not (place / "bin/uv").exists():
        run([sys.executable, "-m", "venv", place])
        run([place / "bin/pip", "install", "--quiet", "uv"])
    return place / "bin/uv"


def run(argv: list, **options) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, **options)


MAKERS = {"slim": slim, "workshop": workshop, "bare": bare, "tools": tools}
