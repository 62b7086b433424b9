"""minke on one source distribution: an image of nothing else, in which it is imported."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

from measure import ran

MAIN = """import importlib

for name in {names!r}:
    importlib.import_module(name)
print("imported")
"""


class Minke:
    """minke itself, with the cache that `MINKE_CACHE` names."""

    name = "minke"

    def __init__(self, program: Path, work: Path):
        if not program.exists():
            raise SystemExit(f"{program} is missing: run `cargo build --release`, or name another by --minke")
        self.program = program
        self.projects = work / "projects"
        self.logs = work / "logs" / self.name
        self.logs.mkdir(parents=True, exist_ok=True)
        self.env = {**os.environ, "NO_COLOR": "1"}

    def build(self, sdist: dict, limit_seconds: float) -> dict:
        """Builds it and imports it, and says what became of that."""
        name, version = sdist["name"], sdist["version"]
        project = self.projects / name
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        (project / "requirements.txt").write_text("\n".join([f"{name}=={version}", *sdist.get("with", [])]) + "\n")
        (project / "minke.toml").write_text(f'no-binary = ["{name}"]\n')
        (project / "main.py").write_text(MAIN.format(names=sdist.get("import", [])))
        log = self.logs / f"{name}.log"
        log.unlink(missing_ok=True)
        image = f"corpus-{name}"
        argv = [self.program, "build", "--json", "-t", image, project]
        built = ran(argv, log, limit_seconds=limit_seconds, env=self.env)
        result = {"seconds": round(built.seconds, 1), "cpu_seconds": round(built.cpu_seconds, 1)}
        rounds = again(built.errors, name)
        result["rounds"] = 1 + len(rounds)
        result["system"] = found(project / "minke.lock", name) or {package: why for one in rounds for package, why in one}
        if built.status is None:
            return result | {"result": "took too long", "error": []}
        if built.status != 0:
            return result | {"result": "failed", "error": reason(built.errors)}
        # Some are programs and have nothing to import.
        program = sdist.get("run")
        argv = [self.program, "run", "--read-only", "--network", "none"]
        argv += ["--entrypoint", program[0], image, *program[1:]] if program else [image]
        started = ran(argv, log, limit_seconds=120, env=self.env)
        ran([self.program, "rmi", image], log, limit_seconds=60, env=self.env)
        if started.status != 0:
            return result | {"result": "import failed", "error": started.errors.strip().splitlines()[-5:]}
        return result | {"result": "worked", "error": []}


def found(lock: Path, name: str) -> dict[str, list[str]]:
    """Returns the system's packages and the requirements that the build was given, with the reason of each."""
    if not lock.exists():
        return {}
    recipes = tomllib.loads(lock.read_text()).get("sources", [])
    same = [one for one in recipes if stem(one["name"]).startswith(stem(name))]
    given = [recipe.get(kind, {}) for recipe in same for kind in ("system", "requires")]
    return {what: why for one in given for what, why in one.items()}


def again(errors: str, name: str) -> list[list[tuple[str, list[str]]]]:
    """Returns what each further round was begun with, as the notes say it: packages, each with its reason."""
    notes = [event["text"] for event in events(errors) if event.get("event") == "note"]
    mine = [note for note in notes if stem(note.strip("`")).startswith(stem(name)) and AGAIN in note]
    return [
        [(package, [why]) for package, why in re.findall(r"([^ ,(]+) \((.*?)\)(?:, |$)", note.split(AGAIN)[1])]
        for note in mine
    ]


AGAIN = " is built again with "


def events(errors: str) -> list[dict]:
    """Returns what minke told, which is a JSON object a line."""
    return [json.loads(line) for line in errors.splitlines() if line.startswith("{") and line.endswith("}")]


def stem(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def reason(errors: str) -> list[str]:
    """Returns what went wrong: what was being done, and the last lines of who did it."""
    for event in events(errors):
        if event.get("event") == "error":
            parts = [event["message"], *event.get("because", [])]
            lines = [line for part in parts for line in part.splitlines() if line.strip()]
            return lines if len(lines) <= 12 else [*lines[:3], "…", *lines[-8:]]
    return errors.strip().splitlines()[-12:]
