"""How long a fresh container takes until the whole stack is imported: from its process's start, by its own clock."""

from statistics import median

import report
from contenders import Minke, Peer
from daemon import Daemon
from projects import Project

STACKS = {
    "data-science": "numpy, pandas, scipy.optimize, scipy.stats, sklearn.ensemble, sklearn.model_selection, matplotlib.pyplot",
}
REPEATS = 7

CLOCK = """
import os, time
ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
print(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
"""


def table(contenders: list[tuple[Minke | Peer, Project]], daemon: Daemon) -> str:
    """All contenders in turn, each a container of its own, with nothing of its image in memory and with all of it."""
    images = {contender.name: (contender.image(project, daemon), project) for contender, project in contenders}
    cases = {"nothing in memory (s)": True, "everything in memory (s)": False}
    found: dict[str, dict[str, list[float]]] = {case: {name: [] for name in images} for case in cases}
    for _ in range(REPEATS):
        for name, (image, project) in images.items():
            # What was just forgotten and read again is all in memory.
            for case, is_dropped in cases.items():
                found[case][name].append(imported(image, project, daemon, is_dropped))
    lines = [report.line("", *images), report.line("---", *["---:" for _ in images])]
    for case, times in found.items():
        ours = median(times["minke"])
        lines.append(report.line(case, *(report.cell(each, ".2f", None if name == "minke" else ours)
                                         for name, each in times.items())))
    return "\n".join(lines)


def imported(image: str, project: Project, daemon: Daemon, is_dropped: bool) -> float:
    """Seconds of one container."""
    if is_dropped:
        with open("/proc/sys/vm/drop_caches", "w") as caches:
            caches.write("3\n")
    sealed = ["--read-only", "--tmpfs=/tmp", "--user=65532:65532", "--network=none", "--cap-drop=ALL"]
    sealed += [f"--env={name}={value}" for name, value in project.settings.get("env", {}).items()]
    program = project.entrypoint[0]
    return float(daemon.ask("run", "--rm", *sealed, f"--entrypoint={program}", image, "-c",
                            f"import {STACKS[project.app]}{CLOCK}").split()[-1])
