"""How minke's costs grow: with ten thousand files in the app or left out, and with a requirement that is much work.

They are measured beside what they are to be compared with: the same project without the files, and a program that only
inflates, hashes, compresses and compiles the same wheel.
"""

import shutil
import tomllib
from pathlib import Path
from statistics import median

import daily
from contenders import Minke, settle
from measure import Cost, measure
from projects import Project

FILES = 10_000
REPEATS = 9

REQUIREMENTS = {"boltons": ["boltons"], "sympy": ["sympy", "mpmath"]}
"""What is added, and what is in its wheels, for the compiler: thirty modules; fifteen hundred, with what it needs."""


def table(minke: Minke, project: Project, locks: list[Path], limit: Path) -> str:
    """What minke takes for an app as it is and as it has grown."""
    lines = ["| minke (s) | as it is | grown | ratio |", "| --- | ---: | ---: | ---: |"]
    small = changes(minke, project)
    environment = project.place / ".venv"
    many_files(environment)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    beside = changes(minke, project)
    shutil.rmtree(environment)
    many_files(project.place / "many")
    large = changes(minke, project)
    for grown, what in [(beside, "files in a virtual environment"), (large, "more files")]:
        for case in small:
            ratio = median(grown[case]) / median(small[case])
            lines.append(
                f"| {case}, {FILES:,} {what} | {daily.shown(small[case])} | {daily.shown(grown[case])} | {ratio:.2f} |"
            )
    plain, *more = locks
    for (name, places), lock in zip(REQUIREMENTS.items(), more) if limit.exists() else []:
        least, added = requirement(minke, project, (plain, lock), (limit, places))
        ratio = added.seconds / least.seconds
        lines.append(
            f"| {name} fetched and added, beside its fetch and the limit for it alone "
            f"| {least.seconds:.2f} | {added.seconds:.2f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def changes(minke: Minke, project: Project) -> dict[str, list[float]]:
    """Seconds of builds of an unchanged tree, and after one line was edited."""
    minke.build(project)
    # Files that have just changed are read again, as git does.
    settle()
    minke.build(project)
    unchanged = [minke.build(project).seconds for _ in range(REPEATS)]
    edited = []
    for _ in range(REPEATS):
        project.edit()
        edited.append(minke.build(project).seconds)
    return {daily.CASES[0]: unchanged, daily.CASES[1]: edited}


def many_files(root: Path) -> None:
    """Writes small modules, a hundred in a directory."""
    for number in range(FILES):
        module = root / f"part{number // 100}" / f"m{number}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"def f{number}(x):\n    return [x + {number} for _ in range({number})]\n")


def requirement(
    minke: Minke, project: Project, locks: tuple[Path, Path], limit: tuple[Path, list[str]]
) -> tuple[Cost, Cost]:
    """The least that a requirement can cost, fetched by curl, and what adding it costs."""
    program, places = limit
    plain, more = locks
    minke.forget()
    wheels = []
    for lock in locks:
        project.use(lock)
        minke.run(project, "lock")
        minke.build(project)
        wheels.append(daily.wheels(minke))
    minke.keep_downloads()
    project.use(plain)
    minke.build(project)
    copies = minke.out / "wheels"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    # Its wheels are fetched, too.
    new = [Path(shutil.move(wheel, copies)) for wheel in wheels[1] if wheel not in wheels[0]]
    settle()
    project.use(more)
    added = minke.build(project)
    # What a module is compiled to depends on those before it, so that one process compiles all of a distribution.
    compileall = [f"{daily.PACKAGES}/{place}" for place in places]
    least = daily.least(minke, project, (program, new), compileall)
    for address in addresses(more) - addresses(plain):
        fetched = ["curl", "--silent", "--show-error", "--fail", "--output", copies / "fetched", address]
        least += measure(fetched, log=minke.out / "log")
    return least, added


def addresses(lock: Path) -> set[str]:
    """Where the wheels of a lock lie; those that are added have one for all platforms."""
    packages = tomllib.loads(lock.read_text())["packages"]
    return {wheel["url"] for package in packages for wheel in package.get("wheels", [])}
