"""Compares an image with the same one slimmed, and writes the page about many of them."""

import re
from dataclasses import dataclass

HEAD = """# Distributions, slimmed

Popular distributions, each alone in an image of profile `{profile}`: every module that could be imported from an image
that nothing was taken from, imported again, each module of the distribution that isn't called `__main__`, private
ones and test suites among them.

* *lost*: modules that could be imported before and cannot after. That is what the page is about, and must be none.
* *taken*: modules that a rule is there to take (tests, examples), and what of test suites needs them.
* *bytes* are those of the layers, uncompressed and with bytecode.
* *rules take* is what the rules would take from the distribution and what it needs, without the base and without bytecode;
  *put back* is what of this the proof lifted, because something broke: a rule's exception that is missing.

Written by `tests/corpus/wheels --table`.
"""

TESTS = re.compile(r"(^|[._])((c|cy)?tests?|conftest|idle_test)([._]|$)")
SUFFIX = re.compile(r"(\.py|\.cpython-[^/]*\.so|\.abi3\.so|\.so)$")
PACKAGES = re.compile(r"^/app/\.venv/lib/python[^/]*/site-packages/")


@dataclass(frozen=True)
class Image:
    """What is known of one image."""

    built: dict
    """What `minke build --json` said."""
    outcome: dict[str, str]
    """Each module, and `+` or why it can't be imported."""
    ledger: dict
    """What `minke slim --json` says was taken."""

    def size(self) -> int:
        return sum(layer["size"] for layer in self.built["layers"])


def compare(before: Image, after: Image) -> dict:
    """Tells what slimming did to an image."""
    owners = [(one["owner"], removal) for one in after.ledger["taken"] for removal in one["removals"]]
    ours = [(owner, removal) for owner, removal in owners if removal["path"].startswith("/app/")]
    gone = {module(removal["path"]) for _, removal in ours if removal["effect"] == "gone"}
    good = [name for name, said in before.outcome.items() if said == "+"]
    lost = {name: after.outcome.get(name, "it is gone") for name in good if after.outcome.get(name) != "+"}
    # What lies at the top isn't anybody's example, and what is still there has to work.
    meant = {name for name in lost if TESTS.search(name) or ("." in name and name in gone and name not in after.outcome)}
    lost = {name: why for name, why in lost.items() if name not in meant}
    ladder = after.built["ladder"]
    return {
        "result": "broken" if lost else "whole",
        "modules": len(good),
        "taken": len(meant),
        "lost": lost,
        "bytes": {"none": before.size(), after.ledger["profile"]: after.size()},
        "rules": after.ledger["rules"],
        "rules_take": sum(removal["bytes"] for _, removal in ours) + sum(back["bytes"] for back in ladder["put_back"]),
        "put_back": ladder["put_back"],
    }


def module(path: str) -> str:
    """What a file below site-packages is imported as."""
    parts = SUFFIX.sub("", PACKAGES.sub("", path)).split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def page(corpus: list[dict], results: dict[tuple[str, str], dict], profile: str) -> str:
    lines = [
        "| distribution | rank | modules | lost | taken | bytes before | bytes after | rules take | put back |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    tally: dict[str, int] = {}
    detail, could, back = [], 0, 0
    for one in sorted(corpus, key=lambda one: one["name"]):
        known = results.get((one["name"], profile), {"result": "skipped" if "skip" in one else "not run"})
        tally[known["result"]] = tally.get(known["result"], 0) + 1
        begin = f"| {one['name']} | {one.get('rank', '')} |"
        if "modules" not in known:
            lines.append(f"{begin} {known['result']} | | | | | | |")
            if why := one.get("skip") or cause(known):
                detail.append(f"- {one['name']}: {known['result']}: {why}")
            continue
        put_back = sum(each["bytes"] for each in known["put_back"])
        could, back = could + known["rules_take"], back + put_back
        numbers = [known["modules"], len(known["lost"]), known["taken"], known["bytes"]["none"], known["bytes"][profile],
                   known["rules_take"], put_back]
        lines.append(f"{begin} {' | '.join(map(str, numbers))} |")
        for name, why in list(known["lost"].items())[:5]:
            detail.append(f"- {one['name']}: lost `{name}` ({why})")
        for each in known["put_back"]:
            detail.append(f"- {one['name']}: `{each['rule']}` was lifted for {each['owner']}, "
                          f"since `{each['broken']}` failed ({each['why']})")
    told = ", ".join(f"{count} {result}" for result, count in sorted(tally.items()))
    share = f"Of the {could / 1e6:.1f} MB that rules would take, {back / 1e6:.1f} MB were put back ({share_of(back, could)})."
    return "\n".join([HEAD.format(profile=profile).rstrip(), "", f"Of {len(corpus)}: {told}. {share}", "", *lines, "", *detail]).rstrip() + "\n"


def cause(known: dict) -> str:
    """The last line of what went wrong."""
    said = [line for each in known.get("error", []) for line in ([each] if isinstance(each, str) else each)]
    return said[-1].splitlines()[-1] if said and said[-1] else ""


def share_of(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "nothing"
