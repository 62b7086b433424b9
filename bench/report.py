"""Medians and ratios, as Markdown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from string import Template

from contenders import Turn

TEMPLATE = Path(__file__).with_name("benchmarks.md.in")
MB, MIB = 10**6, 2**20


@dataclass
class Way:
    """All that was measured of one app on one way to an archive."""

    turns: list[Turn] = field(default_factory=list)
    unpacked: int = 0
    packed: int = 0


App = dict[str, Way]
"""The ways by name; minke is one of them."""

ROWS: list[tuple[str, Callable[[Way], list[float]], str]] = [
    ("image, unpacked (MB)", lambda way: [way.unpacked / MB], ".1f"),
    ("archive on disk (MB)", lambda way: [way.packed / MB], ".1f"),
    ("cold, to an archive (s)", lambda way: [turn.cold.seconds for turn in way.turns], ".1f"),
    ("the same, base not ready (s)", lambda way: [turn.first.seconds for turn in way.turns if turn.first], ".1f"),
    ("one line edited, to the tool's own store (s)", lambda way: [turn.kept.seconds for turn in way.turns], ".2f"),
    ("one line edited, to an archive (s)", lambda way: [turn.warm.seconds for turn in way.turns], ".2f"),
    ("peak memory, cold (MiB)", lambda way: [turn.cold.peak_bytes / MIB for turn in way.turns], ".0f"),
    ("CPU, cold (s)", lambda way: [turn.cold.cpu_seconds for turn in way.turns], ".1f"),
]


def write(apps: dict[str, App], facts: dict[str, str]) -> str:
    """The whole page."""
    tables = "\n\n".join(f"## {name}\n\n{table(app)}" for name, app in apps.items())
    return Template(TEMPLATE.read_text()).substitute(facts, tables=tables)


def table(app: App) -> str:
    """One app: a row for each measure, a column for each way."""
    lines = [line("", *app), line("---", *["---:" for _ in app])]
    for title, values, form in ROWS:
        ours = median(values(app["minke"])) if "minke" in app else None
        lines.append(line(title, *(cell(values(way), form, None if name == "minke" else ours)
                                   for name, way in app.items())))
    return "\n".join(lines)


def cell(values: list[float], form: str, ours: float | None) -> str:
    """The median; its range where there is one; and what part of it minke needs."""
    if not values:
        return "–"
    middle = median(values)
    text = f"{middle:{form}}"
    if max(values) > min(values):
        text += f" ({min(values):{form}}–{max(values):{form}})"
    if ours is not None and middle > 0:
        text += f" → **{ours / middle:.2f}**"
    return text


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
