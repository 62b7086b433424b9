"""How large images are, as Markdown: each example in each profile, beside the peers."""

from pathlib import Path
from string import Template

import report

TEMPLATE = Path(__file__).with_name("sizes.md.in")
TITLES = {"packed": "compressed", "unpacked": "unpacked"}
WANTED = {
    "hello": {"lean": 0.42}, "data-science": {"lean": 0.62, "smallest": 0.55}, "compiled": {"lean": 0.45},
    "notebook": {"lean": 0.70}, "api": {"lean": 0.58},
}
"""Shares of the slim peer, compressed, that an image shall not exceed."""

OLD_STACK = {"lean": 215, "smallest": 180}
"""MB, unpacked."""

STRIPPED = 0.9
"""The same share for all, of the peer stripped by hand."""


def page(apps: dict[str, dict[str, dict]], facts: dict[str, str]) -> str:
    """The whole page."""
    tables = "\n\n".join(f"## {app}\n\n{table(found)}" for app, found in apps.items())
    return Template(TEMPLATE.read_text()).substitute(facts, tables=tables, targets=targets(apps))


def table(found: dict[str, dict]) -> str:
    """One app: a row for each image."""
    peers = [name for name in ["slim", "stripped"] if name in found]
    heads = ["", "unpacked (MB)", "compressed (MB)", *(f"of {peer}'s, compressed" for peer in peers)]
    lines = [report.line(*heads), report.line("---", *["---:" for _ in heads[1:]])]
    for name, each in found.items():
        shares = ["" if name in peers else f"**{each['packed'] / found[peer]['packed']:.2f}**" for peer in peers]
        title = f"minke, `{name}`" if "seconds" in each else name
        lines.append(report.line(title, mb(each["unpacked"]), mb(each["packed"]), *shares))
    return "\n".join(lines)


def targets(apps: dict[str, dict[str, dict]]) -> str:
    """What was wanted, and what came of it."""
    lines = [report.line("what", "wanted", "found", ""), report.line("---", "---:", "---:", "---")]
    for app, wanted in WANTED.items():
        for profile, limit in wanted.items():
            lines += judged(apps, app, profile, "slim", limit)
    for app, found in apps.items():
        if "stripped" in found:
            lines += judged(apps, app, "lean", "stripped", STRIPPED)
    for profile, limit in OLD_STACK.items():
        if found := apps.get("stack-2020", {}).get(profile):
            lines.append(verdict(f"stack-2020, `{profile}`, unpacked MB", limit, found["unpacked"] / report.MB, ".0f"))
            bare = (found["files"] - found["bytecode"]) / report.MB
            lines.append(verdict(f"stack-2020, `{profile}`, its files without bytecode, MB", limit, bare, ".0f"))
    return "\n".join(lines)


def judged(apps: dict, app: str, profile: str, peer: str, limit: float) -> list[str]:
    found = apps.get(app, {})
    if profile not in found or peer not in found:
        return []
    share = found[profile]["packed"] / found[peer]["packed"]
    return [verdict(f"{app}, `{profile}`, of {peer}'s", limit, share, ".3f")]


def verdict(what: str, limit: float, found: float, form: str) -> str:
    return report.line(what, f"≤ {limit:{form}}", f"{found:{form}}", "met" if found <= limit else "**missed**")


def mb(size: int) -> str:
    return f"{size / report.MB:.1f}"
