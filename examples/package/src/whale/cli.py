"""The `whale` command."""

from importlib.metadata import version
from importlib.resources import files

from blow import blow
from rich.console import Console


def main() -> None:
    picture = files("whale").joinpath("picture.txt").read_text(encoding="utf-8")
    console = Console(width=60, color_system=None)
    console.print(picture, end="")
    console.print(f"{blow('whale')} {version('whale')}")
