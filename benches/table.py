"""One table of a run: each work in a block, each builder in a line, with its ratio."""

from __future__ import annotations

from typing import Any


def _median(bench: dict[str, Any]) -> float:
    stats = bench.get("stats", bench)
    return float(stats["median"])


def render(benches: list[dict[str, Any]]) -> list[str]:
    """Give the table's lines; ratios are of dissolver's median against each other's.

    A ratio above 1 means that dissolver is that many times faster; the floor's line
    shows how many times the floor dissolver takes.
    """
    blocks: dict[str, list[dict[str, Any]]] = {}
    for bench in benches:
        blocks.setdefault(bench["group"] or bench["name"], []).append(bench)
    lines = ["", f"{'work':<44}{'builder':<24}{'median':>10}{'min':>9}{'max':>9}{'n':>4}  against"]
    for group, members in blocks.items():
        own = next((b for b in members if b["extra_info"].get("builder") == "dissolver"), None)
        for bench in members:
            stats = bench.get("stats", bench)
            name = bench["extra_info"].get("builder", "-")
            against = ""
            if own is not None and bench is not own:
                ratio = _median(own) / _median(bench)
                against = (
                    f"dissolver takes {ratio:.2f} x this"
                    if name.startswith("floor")
                    else f"dissolver is {1 / ratio:.1f} x faster"
                )
            lines.append(
                f"{group:<44}{name:<24}{_median(bench):>9.3f}s{stats['min']:>8.3f}s"
                f"{stats['max']:>8.3f}s{stats['rounds']:>4}  {against}"
            )
            for key, value in bench["extra_info"].items():
                if key not in ("builder", "version"):
                    lines.append(f"{'':<44}  {key}: {value}")
    return lines
