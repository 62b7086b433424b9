"""The example projects as the contenders get them: a copy each, with one lock for all."""

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# Where an app that serves says that it is well.
PATHS = {"hello": "/", "api": "/health", "notebook": "/api"}
APPS = ["hello", "data-science", "api", "notebook"]


class Project:
    """One contender's copy of an example."""

    def __init__(self, app: str, place: Path, lock: Path, examples: Path = EXAMPLES):
        self.app = app
        self.place = place
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(examples / app, place, ignore=shutil.ignore_patterns("*.lock", "pylock.toml", ".venv"))
        shutil.copy(lock, place / "pylock.toml")
        self.lock = lock
        self.source = sorted(place.rglob("*.py"))[0]
        self.edits = 0

    def use(self, lock: Path) -> None:
        """Has other requirements from now on."""
        shutil.copy(lock, self.place / "pylock.toml")

    def edit(self) -> None:
        """Changes one line of source."""
        self.edits += 1
        with self.source.open("a") as source:
            source.write(f"# edit {self.edits}\n")

    @property
    def settings(self) -> dict:
        """What the project tells minke, which the peers' containers are told by arguments."""
        own = self.place / "minke.toml"
        if own.exists():
            return tomllib.loads(own.read_text())
        return tomllib.loads((self.place / "pyproject.toml").read_text())["tool"]["minke"]

    @property
    def entrypoint(self) -> list[str]:
        said = self.settings["entrypoint"]
        return shlex.split(said) if isinstance(said, str) else said

    @property
    def address(self) -> str | None:
        """Where the app answers in its container, if it serves."""
        ports = self.settings.get("ports")
        return f"http://127.0.0.1:{ports[0]}{PATHS[self.app]}" if ports else None


def lock(app: str, work: Path, uv: Path, *more: str, python: str = "3.13", examples: Path = EXAMPLES) -> Path:
    """Resolves an example's requirements, and more, once, so that all contenders install the same files."""
    example = examples / app
    wanted = next(file for name in ["requirements.txt", "pyproject.toml"] if (file := example / name).exists())
    locked = work / "locks" / "-".join([app, *more]) / "pylock.toml"
    locked.parent.mkdir(parents=True, exist_ok=True)
    added = locked.with_name("more.in")
    added.write_text("\n".join(more))
    argv = [uv, "pip", "compile", "--quiet", "--upgrade", "--no-header", f"--python-version={python}"]
    argv += ["--python-platform=x86_64-manylinux_2_40", "--format=pylock.toml", "--output-file", locked, wanted, added]
    subprocess.run(argv, check=True, cwd=example, stdout=subprocess.DEVNULL)
    return locked
