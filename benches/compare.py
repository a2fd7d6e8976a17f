"""Compares two runs: ``python -m benches.compare A.json B.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

NOISE = 0.05  # medians of the same code differ by this much between runs on a quiet machine


def medians(path: Path) -> dict[str, float]:
    """Read each benchmark's median in seconds from pytest-benchmark's JSON."""
    report = json.loads(path.read_text(encoding="utf-8"))
    return {bench["fullname"]: bench["stats"]["median"] for bench in report["benchmarks"]}


def compare(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Give a line for each benchmark of either run: both medians, ratio, verdict."""
    lines = [f"{'benchmark':<90}{'before':>10}{'after':>10}{'ratio':>8}"]
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            lines.append(f"{name:<90}{'only in ' + ('after' if old is None else 'before'):>28}")
            continue
        ratio = new / old
        verdict = "" if abs(ratio - 1) <= NOISE else ("slower" if ratio > 1 else "faster")
        lines.append(f"{name:<90}{old:>9.3f}s{new:>9.3f}s{ratio:>8.2f}  {verdict}")
    return lines


def main(words: list[str]) -> int:
    """Compare the two named files; 2 for wrong usage."""
    if len(words) != 2:
        print("usage: python -m benches.compare BEFORE.json AFTER.json", file=sys.stderr)
        return 2
    print("\n".join(compare(medians(Path(words[0])), medians(Path(words[1])))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
