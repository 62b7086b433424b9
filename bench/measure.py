"""Runs one command and says what it cost: seconds, CPU seconds, peak memory.

A command's cost includes all its descendants, and what daemons that work for it spent meanwhile.
Memory is the sum of the proportional set sizes of all these processes, looked at ten times a second: a page
that n of them have mapped counts 1/n for each, a short peak can be missed (so it is never less than the
largest single process, as the kernel noted it), and page cache that nobody has mapped counts for nobody.
"""

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What a command cost."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    others_cpu_seconds: float
    """What everything else on the machine spent meanwhile: noise."""

    def __add__(self, later: "Cost") -> "Cost":
        """The cost of one command after another."""
        return Cost(
            self.seconds + later.seconds,
            self.cpu_seconds + later.cpu_seconds,
            max(self.peak_bytes, later.peak_bytes),
            self.others_cpu_seconds + later.others_cpu_seconds,
        )


class Failed(Exception):
    """A command ended with another status than 0."""

    def __init__(self, argv: list[str], status: int, log: Path):
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        super().__init__(f"`{' '.join(map(str, argv))}` ended with {status}; the end of {log}:\n{tail}")


def measure(
    argv: list[str],
    *,
    log: Path,
    daemons: tuple[int, ...] = (),
    env: dict[str, str] | None = None,
) -> Cost:
    """Runs `argv` to its end, its output appended to `log`, and returns what it cost.

    `daemons` are processes, alive before and after, that work on the command's behalf.
    """
    with log.open("ab") as output:
        output.write(f"$ {' '.join(map(str, argv))}\n".encode())
        output.flush()
        spent_before = sum(spent(tree(daemons)).values())
        busy_before, start = busy(), time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        with Watch((process.pid, *daemons)) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            seconds, busy_meanwhile = time.monotonic() - start, busy() - busy_before
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(argv, process.returncode, log)
    spent_by_daemons = sum(spent(tree(daemons)).values()) - spent_before
    cpu_seconds = usage.ru_utime + usage.ru_stime + spent_by_daemons
    return Cost(
        seconds,
        cpu_seconds,
        max(watch.peak_bytes, usage.ru_maxrss * 1024),
        max(0.0, busy_meanwhile - cpu_seconds),
    )


class Watch:
    """Looks at the memory of some processes and their descendants for as long as it is open."""

    def __init__(self, roots: tuple[int, ...]):
        self.roots = roots
        self.peak_bytes = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        while not self.over.wait(INTERVAL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(map(held, tree(self.roots))))

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()


def tree(roots: tuple[int, ...]) -> set[int]:
    """The processes `roots` and all their descendants that are alive."""
    if not roots:
        return set()
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        process = waiting.pop()
        found.add(process)
        waiting += children.get(process, [])
    return found


def spent(processes: set[int]) -> dict[int, float]:
    """CPU seconds of each process and of the children that it has waited for."""
    return {pid: sum(map(int, fields[11:15])) / TICK for pid in processes if (fields := stat(pid))}


def busy() -> float:
    """CPU seconds of the whole machine since it started, but for idling and waiting."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / TICK


def held(process: int) -> int:
    """Bytes of memory that a process holds now, its part of what it shares (proc(5)); none if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def stat(process: int) -> list[str] | None:
    """The fields of `/proc/PID/stat` after the program's name, which may itself hold spaces and brackets."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
