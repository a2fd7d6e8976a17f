"""Functions of semantic versions (https://semver.org)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dissolver.bake.functions.table import FunctionTable
from dissolver.bake.hcl.values import Value, ValueFault

TABLE = FunctionTable()
provide = TABLE.provide

_VERSION = re.compile(
    r"v?(?P<major>\d{1,20}|[xX*])(?:\.(?P<minor>\d{1,20}|[xX*]))?(?:\.(?P<patch>\d{1,20}|[xX*]))?"
    r"(?:-(?P<before>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\Z"
)
_CONDITION = re.compile(r"(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*([^\s,=<>!~^]+)")
_RANGE = re.compile(r"(\S+)\s+-\s+(\S+)")


class Version(NamedTuple):
    """The numbers of a version, and what orders it among the ones before the release."""

    major: int
    minor: int
    patch: int
    before: tuple[tuple[int, int, str], ...]

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Major, minor and patch."""
        return self.major, self.minor, self.patch


_RELEASED = ((2, 0, ""),)
"""Greater than every version before the release."""


def _read(text: str) -> tuple[Version, int]:
    """Read a version, and count the numbers that it says."""
    match = _VERSION.match(text)
    if match is None:
        raise ValueFault(f"`{text}` is no version like `1.2.3`")
    numbers: list[int] = []
    for part in (match["major"], match["minor"], match["patch"]):
        if part is None or not part.isdecimal():
            break
        numbers.append(int(part))
    said = len(numbers)
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    before = match["before"]
    order = _RELEASED if before is None else tuple(_order(part) for part in before.split("."))
    return Version(major, minor, patch, order), said


def _order(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdecimal() and len(part) <= 20 else (1, 0, part)


@provide("semvercmp", "text", "text")
def satisfies(version: str, constraint: str) -> Value:
    """Tell whether a version is as a constraint says: ``>= 1.2, < 2``, ``^1.2``, ``1.x``."""
    found, said = _read(version)
    if not said:
        raise ValueFault(f"`{version}` is no version like `1.2.3`")
    alternatives = constraint.split("||")
    return any(_keeps_all(found, alternative) for alternative in alternatives)


def _keeps_all(version: Version, conditions: str) -> bool:
    text = _RANGE.sub(r">=\1, <=\2", conditions.strip())
    left = _CONDITION.sub("", text).strip(" ,")
    if left or not text:
        raise ValueFault(f"`{conditions.strip()}` is no constraint like `>= 1.2`")
    return all(_keeps(version, sign, wanted) for sign, wanted in _CONDITION.findall(text))


_COMPARISONS: Mapping[str, Callable[[Version, Version], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "=>": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=<": operator.le,
}


def _keeps(version: Version, sign: str, text: str) -> bool:
    wanted, said = _read(text)
    if version.before != _RELEASED and wanted.before == _RELEASED:
        # One before a release is only meant where the constraint says one, too.
        return False
    if sign in ("", "="):
        return version == wanted if said == 3 else version.numbers[:said] == wanted.numbers[:said]
    if sign == "!=":
        return version != wanted if said == 3 else version.numbers[:said] != wanted.numbers[:said]
    if sign in ("~", "~>"):
        fixed = min(said, 2)
        return version >= wanted and version.numbers[:fixed] == wanted.numbers[:fixed]
    if sign == "^":
        leading = next((i for i, one in enumerate(wanted.numbers[:said]) if one), said - 1)
        return version >= wanted and version.numbers[: leading + 1] == wanted.numbers[: leading + 1]
    if sign == ">" and said < 3:
        return version.numbers[:said] > wanted.numbers[:said]
    if sign in ("<=", "=<") and said < 3:
        return version.numbers[:said] <= wanted.numbers[:said]
    return _COMPARISONS[sign](version, wanted)
