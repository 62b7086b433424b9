"""What this machine says of itself: its processor, its package sources, its certificates."""

import datetime
import os
import platform
from pathlib import Path


def describe() -> str:
    """The machine in one line."""
    processor = field("/proc/cpuinfo", "model name") or platform.machine()
    memory_gib = int(field("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    return f"{os.cpu_count()} × {processor}, {memory_gib:.0f} GiB, Linux {platform.release().split('-')[0]}"


def today() -> str:
    """The date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def certificates() -> Path:
    """The bundle of certificates that this machine's programs trust."""
    return Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")


def apt_sources(suite: str) -> list[str]:
    """This machine's own Debian sources, in apt's one-line form, with its release's name replaced by `suite`."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release["VERSION_CODENAME"].strip('"')
    lines = []
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in file.read_text().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != "#")
            keyring = fields.get("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg")
            lines += [
                f"deb [signed-by={keyring}] {address} {named.replace(codename, suite)} main"
                for address in fields.get("URIs", "").split()
                for named in fields.get("Suites", "").split()
                if named.split("-")[0] == codename and "main" in fields.get("Components", "")
            ]
    if not lines:
        raise SystemExit("no source of Debian packages in /etc/apt/sources.list.d/*.sources names this release")
    return lines


def field(file: str, name: str) -> str:
    """The first value of `name: value` in a file of the kernel's."""
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
