"""What a day's work costs: one small change after the other, to an image in the tool's own store.

Every case begins where the one before has ended, and all that is downloaded is there before.
"""

import tomllib
from pathlib import Path
from statistics import median

from contenders import Minke, Peer, settle
from daemon import Daemon
from measure import Cost, measure
from projects import Project

COLD = "cold, downloads there"

CASES = [
    "nothing changed",
    "one line edited",
    "one requirement removed",
    "one requirement added",
    "the base updated",
    COLD,
]

PLAIN = "minke-none"
"""minke when it neither slims nor proves, as the peers don't."""

BASE = "bench/slim"
"""What the peer starts from."""

REPEATS = 5
"""What takes milliseconds is done so often, and the median counts."""

COLD_REPEATS = 3
"""A cold build by minke takes seconds, but disks are moody."""

ADDED = ["more-itertools", "boltons"]
"""What is there at first and removed; what is added then: pure Python without requirements of their own."""

Costs = dict[str, list[Cost]]


class Day:
    """The cases of one contender, as they are built."""

    def __init__(self, project: Project, locks: list[Path]):
        self.project = project
        self.locks = locks
        self.costs: Costs = {}

    def small_changes(self, build) -> None:
        """All cases in which the base stays as it is."""
        plain, _, other = self.locks
        for _ in range(REPEATS):
            self.note("nothing changed", build)
        for _ in range(REPEATS):
            self.project.edit()
            self.note("one line edited", build)
        self.project.use(plain)
        self.note("one requirement removed", build)
        self.project.use(other)
        self.note("one requirement added", build)

    def note(self, case: str, build) -> None:
        self.costs.setdefault(case, []).append(build(case))


def of_minke(minke: Minke, project: Project, locks: list[Path], traces: Path) -> Costs:
    """minke's costs; each case leaves a trace of what took how long."""
    day = Day(project, locks)
    traces.mkdir(exist_ok=True)

    def build(case: str) -> Cost:
        trace = traces / f"{project.app}-{CASES.index(case)}.json"
        return minke.build(project, more=("--timings", trace))

    # Nothing of another app's day is there, for the limit counts all wheels.
    minke.forget()
    system = project.place / "minke.lock"
    texts = []
    # Without the archive of security updates a lock has the packages as they were released.
    for env in [minke.env, minke.released()]:
        system.unlink(missing_ok=True)
        minke.run(project, "lock", env=env)
        texts.append(system.read_text())
        for lock in locks:
            project.use(lock)
            minke.build(project)
    updated, released = texts
    minke.keep_downloads()
    project.use(locks[1])
    minke.build(project)
    day.small_changes(build)
    if packages(updated) != packages(released):
        system.write_text(updated)
        day.note("the base updated", build)
    day.costs[COLD] = [cold(minke, project, build) for _ in range(COLD_REPEATS)]
    return day.costs


def packages(lock: str) -> list[str]:
    """The digests of a lock's packages: on some days there is no update to any of them."""
    platforms = tomllib.loads(lock)["platform"]
    return sorted(package["sha256"] for platform in platforms for package in platform["package"])


def cold(minke: Minke, project: Project, build) -> Cost:
    """What the first build of a project costs where only its downloads are there: they must be in the cache."""
    minke.keep_downloads()
    settle()
    return build(COLD)


def of_plain(minke: Minke, project: Project) -> Costs:
    """The cold build alone, by a minke that is asked for less."""
    minke.forget()
    minke.build(project)
    return {COLD: [cold(minke, project, lambda _: minke.build(project)) for _ in range(COLD_REPEATS)]}


def of_peer(peer: Peer, project: Project, locks: list[Path], daemon: Daemon) -> Costs:
    """The peer's costs: what it has downloaded is in a cache mount."""
    day = Day(project, locks)

    def build(_: str) -> Cost:
        return peer.build(project)

    for lock in locks:
        project.use(lock)
        peer.build(project)
    daemon.ask("builder", "prune", "--all", "--force", "--filter", "type=regular")
    project.use(locks[1])
    peer.build(project)
    day.small_changes(build)
    daemon.update_base(BASE)
    try:
        day.note("the base updated", build)
    finally:
        daemon.restore_base(BASE)
    daemon.ask("image", "rm", "--force", peer.tag(project), check=False)
    daemon.ask("builder", "prune", "--all", "--force", "--filter", "type=regular")
    settle()
    day.note(COLD, build)
    return day.costs


PACKAGES = "/app/.venv/lib/python3.13/site-packages"


def limit(minke: Minke, project: Project, program: Path) -> Cost:
    """What inflating, hashing and compressing the wheels costs, and compiling what is in them, and no more.

    The quickest of a few: what disturbs it would flatter minke.
    """
    squeeze = program, wheels(minke)
    costs = [least(minke, project, squeeze, ["-j", "0", PACKAGES]) for _ in range(COLD_REPEATS)]
    return min(costs, key=lambda cost: cost.seconds)


def wheels(minke: Minke) -> list[Path]:
    """The wheels that are in minke's cache."""
    return [blob for blob in (minke.cache / "v2/blobs").glob("*/*") if blob.open("rb").read(4) == b"PK\x03\x04"]


def least(minke: Minke, project: Project, squeeze: tuple[Path, list[Path]], compileall: list[str]) -> Cost:
    """The same of some wheels, what is in them being compiled by `compileall` with these arguments."""
    log = minke.out / "log"
    program, blobs = squeeze
    squeezed = measure([program, *blobs], log=log)
    compile_all = ["-m", "compileall", "-q", "-f", "--invalidation-mode=unchecked-hash"]
    run = [minke.binary, "run", "--user", "0", "--entrypoint", "python", f"{project.place.name}:latest"]
    # Some distributions ship files that aren't Python's, and the compiler says so by status 1.
    allowed = ["sh", "-c", '"$@" || [ $? = 1 ]', "sh"]
    compiled = measure([*allowed, *run, *compile_all, *compileall], log=log, env=minke.env)
    return squeezed + compiled


def table(costs: dict[str, Costs], limits: dict[str, Cost]) -> str:
    """One app: a row for each case, and how near each minke comes to its limit."""
    lines = ["| | minke (s) | slim (s) |", "| --- | ---: | ---: |"]
    for case in CASES:
        ours, theirs = ([cost.seconds for cost in costs.get(name, {}).get(case, [])] for name in ["minke", "slim"])
        ratio = f" → **{median(ours) / median(theirs):.2f}**" if ours and theirs else ""
        lines.append(f"| {case} | {shown(ours)} | {shown(theirs)}{ratio} |")
    plain = [cost.seconds for cost in costs[PLAIN][COLD]]
    lines.append(f"| the same with `--profile none` | {shown(plain)} | |")
    for name, least in limits.items():
        share = median(cost.seconds for cost in costs[name][COLD]) / least.seconds
        lines.append(f"| the limit of `{name}`, cold, and its part of it | {least.seconds:.2f} → **{share:.2f}** | |")
    return "\n".join(lines)


def shown(values: list[float]) -> str:
    """The median and the range."""
    if not values:
        return "–"
    text = f"{median(values):.2f}" if median(values) >= 1 else f"{median(values):.3f}"
    return f"{text} ({min(values):.2f}–{max(values):.2f})" if max(values) > min(values) else text
