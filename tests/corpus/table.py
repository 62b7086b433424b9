"""The page: what worked, by whom, what it took, and why the rest failed."""

from collections import Counter

BY = ["minke", "build-essential", "buildpack-deps"]

HEAD = """# Source distributions, with nothing configured

Popular source distributions, each built alone by minke into an image with no other setting than `no-binary`, and
imported there. Beside it, `pip wheel` on the same versions in a minimal Debian of the same suite with
`build-essential` and `python3-dev`, and in one with the packages of the image buildpack-deps; there a wheel that
is made counts as success and isn't tried. What was not run counts as failed.

Written by `tests/corpus/run --table`, from what `tests/corpus/run` and its `--peer` recorded.
"""


def page(corpus: list[dict], results: dict[tuple[str, str, str], dict]) -> str:
    """Makes the page from the list and what became of each."""
    rows = [
        (sdist, {by: results.get((by, sdist["name"], sdist["version"])) for by in BY})
        for sdist in sorted(corpus, key=lambda sdist: sdist["name"])
    ]
    return "\n".join([HEAD, summary(rows), by_kind(rows), costs(rows), each(rows), failures(rows)])


def worked(one: dict | None) -> bool:
    return one is not None and one["result"] == "worked"


def summary(rows: list) -> str:
    lines = ["| | all | light | heavy | run |", "| --- | --- | --- | --- | --- |"]
    for by in BY:
        parts = [rows, [row for row in rows if not row[0].get("heavy")], [row for row in rows if row[0].get("heavy")]]
        cells = [share([one[by] for _, one in part]) for part in parts]
        run = sum(one[by] is not None for _, one in rows)
        lines.append(f"| {by} | {' | '.join(cells)} | {run} of {len(rows)} |")
    both = [one for _, one in rows if all(one[by] is not None for by in BY)]
    if both:
        cells = ", ".join(f"{by} {share([one[by] for one in both])}" for by in BY)
        lines += ["", f"Of the {len(both)} that all three have run: {cells}."]
    return "\n".join([*lines, ""])


def share(all: list[dict | None]) -> str:
    """How many of all worked."""
    good = sum(map(worked, all))
    return f"{good} of {len(all)} ({good / len(all):.0%})" if all else "none"


def by_kind(rows: list) -> str:
    kinds = sorted({sdist["kind"] for sdist, _ in rows})
    lines = ["| kind | " + " | ".join(BY) + " |", "| --- |" + " --- |" * len(BY)]
    for kind in kinds:
        part = [one for sdist, one in rows if sdist["kind"] == kind]
        lines.append(f"| {kind} | " + " | ".join(share([one[by] for one in part]) for by in BY) + " |")
    return "\n".join([*lines, ""])


def costs(rows: list) -> str:
    """How many rounds those took that worked."""
    mine = [one["minke"] for _, one in rows if worked(one["minke"])]
    rounds = Counter(one["rounds"] for one in mine)
    told = ", ".join(f"{count} in {number}" for number, count in sorted(rounds.items()))
    without = sum(not one["system"] for one in mine)
    return f"Rounds that those of minke took that worked: {told}. {without} of them needed no package but compilers.\n"


def each(rows: list) -> str:
    lines = [
        "| source | kind | minke | seconds | CPU | rounds | what it found out | build-essential | buildpack-deps |",
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- |",
    ]
    for sdist, one in rows:
        mine = one["minke"]
        spent = [f"{mine['seconds']:.0f}", f"{mine['cpu_seconds']:.0f}", str(mine["rounds"])] if mine else ["", "", ""]
        system = (mine or {}).get("system", {})
        found = "; ".join(f"`{package}`: {', '.join(why)}" for package, why in system.items())
        peers = [said(one[by]) for by in BY[1:]]
        name = f"{sdist['name']} {sdist['version']}"
        lines.append("| " + " | ".join([name, sdist["kind"], said(mine), *spent, found, *peers]) + " |")
    return "\n".join([*lines, ""])


def said(one: dict | None) -> str:
    return "not run" if one is None else one["result"]


def failures(rows: list) -> str:
    """What minke failed at, and why."""
    parts = ["## What failed", ""]
    if unknown := [sdist["name"] for sdist, one in rows if one["minke"] is None]:
        parts += [f"Not run: {', '.join(unknown)}.", ""]
    for sdist, one in rows:
        if one["minke"] is None or worked(one["minke"]):
            continue
        parts += [f"**{sdist['name']} {sdist['version']}**: {sdist.get('reason', 'nobody has found out why yet.')}", ""]
        error = one["minke"].get("error", [])
        parts += ["```", *error, "```", ""] if error else []
    return "\n".join(parts) if len(parts) > 2 else "Nothing failed.\n"
