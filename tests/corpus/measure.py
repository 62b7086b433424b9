"""One command, to its end or to its limit, and what it took."""

import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int | None
    """`None` if it was ended because it took too long."""
    output: str
    errors: str
    seconds: float
    cpu_seconds: float


def ran(argv: list, log: Path, *, limit_seconds: float, env: dict[str, str] | None = None) -> Ran:
    """Runs a command; what it says is kept in `log` as well."""
    before, began = spent(), time.monotonic()
    # A session of its own, so that all of it can be ended.
    process = subprocess.Popen(
        list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", env=env, start_new_session=True,
    )
    status: int | None
    try:
        output, errors = process.communicate(timeout=limit_seconds)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        output, errors = process.communicate()
        status = None
    with log.open("a") as file:
        file.write(f"$ {' '.join(map(str, argv))}\n{errors}{output}")
    return Ran(status, output, errors, time.monotonic() - began, spent() - before)


def spent() -> float:
    """The CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
