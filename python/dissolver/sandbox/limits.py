"""Limits of resources as the command line writes them: ``nofile=1024:2048``."""

from __future__ import annotations

from collections.abc import Sequence

from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BadOption
from dissolver.sandbox.confinement import Limit

NAMES = (
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
"""The limits that Docker knows; the kernel's `as` is not among them."""

UNLIMITED = -1
HIGHEST = 2**63 - 1

FORMS = "write `NAME=SOFT[:HARD]`, such as `nofile=1024:2048`"


def parse_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Read limits in the order of their first mention; the last one of a name counts.

    Raises:
        BadOption: a text of another form.
    """
    return tuple({limit.name: limit for limit in map(parse_limit, texts)}.values())


def parse_limit(text: str) -> Limit:
    """Read ``name=soft[:hard]``; -1 is no limit, and without ``hard`` both are the same.

    Raises:
        BadOption: a text of another form, an unknown name, or the soft limit is above the hard.
    """
    name, equals, values = text.partition("=")
    if not equals:
        raise BadOption(f"`{text}` does not say what is limited to what", hint=FORMS)
    if name not in NAMES:
        known = ", ".join(f"`{one}`" for one in NAMES)
        raise BadOption(
            f"unknown limit `{name}` in `{text}`",
            hint=did_you_mean(name, NAMES) or f"the limits are {known}",
        )
    soft_text, colon, hard_text = values.partition(":")
    soft = _number(soft_text, text)
    hard = _number(hard_text, text) if colon else soft
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise BadOption(
            f"the soft limit in `{text}` is above the hard one",
            hint="the soft limit comes first: `NAME=SOFT:HARD`",
        )
    return Limit(name, soft, hard)


def _number(text: str, whole: str) -> int:
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST))
    number = int(text) if is_number else HIGHEST + 1
    if not UNLIMITED <= number <= HIGHEST:
        raise BadOption(f"`{text}` in `{whole}` is no limit", hint=FORMS)
    return number
