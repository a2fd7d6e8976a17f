"""The flags of each instruction, and what may be said with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dissolver.dockerfile.ast import Flag, Statement, Word
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import DockerfileError

Kind = Literal["text", "claim", "list"]
"""A flag with a value, one that is true or false, or one that may be repeated."""

FLAGS: dict[str, dict[str, Kind]] = {
    "ADD": {
        "chown": "text",
        "chmod": "text",
        "link": "claim",
        "keep-git-dir": "claim",
        "checksum": "text",
        "unpack": "claim",
        "exclude": "list",
    },
    "COPY": {
        "from": "text",
        "chown": "text",
        "chmod": "text",
        "link": "claim",
        "parents": "claim",
        "exclude": "list",
    },
    "FROM": {"platform": "text"},
    "HEALTHCHECK": {
        "interval": "text",
        "timeout": "text",
        "start-period": "text",
        "start-interval": "text",
        "retries": "text",
    },
    "RUN": {"mount": "list", "network": "text", "security": "text", "device": "list"},
}
"""Flags by instruction; instructions that are not listed have none."""


class FlagSet:
    """The flags of one statement, checked against what its instruction has."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._by_name: dict[str, list[Flag]] = {}
        known = FLAGS.get(statement.name, {})
        for flag in statement.flags:
            self._add(flag, known)

    def _add(self, flag: Flag, known: Mapping[str, Kind]) -> None:
        kind = known.get(flag.name)
        if kind is None:
            raise self._error(
                f"unknown flag `--{flag.name}` of `{self._statement.name}`",
                flag,
                did_you_mean(f"--{flag.name}", [f"--{name}" for name in known]),
            )
        if flag.name in self._by_name and kind != "list":
            raise self._error(f"duplicate flag specified: `--{flag.name}`", flag)
        if (flag.value is None and kind != "claim") or (kind == "claim" and flag.value == ""):
            raise self._error(
                f"missing a value on flag: `--{flag.name}`", flag, f"write `--{flag.name}=…`"
            )
        if kind == "claim" and flag.value and flag.value.lower() not in ("true", "false"):
            raise self._error(
                f"expecting boolean value for flag `--{flag.name}`, not: `{flag.value}`", flag
            )
        self._by_name.setdefault(flag.name, []).append(flag)

    def text(self, name: str) -> Word | None:
        """Return the value of a flag, with its place; nothing if it was not given or is empty."""
        values = self.texts(name)
        return values[-1] if values and values[-1].text else None

    def texts(self, name: str) -> tuple[Word, ...]:
        """Return all values of a flag that may be repeated."""
        return tuple(_value(flag) for flag in self._by_name.get(name, ()))

    def claim(self, name: str) -> bool | None:
        """Return what a true-or-false flag says; nothing if it was not given."""
        flags = self._by_name.get(name)
        return None if flags is None else (flags[-1].value or "true").lower() == "true"

    def _error(self, message: str, flag: Flag, hint: str | None = None) -> DockerfileError:
        return DockerfileError(message, hint=hint, where=self._statement.where_of(flag))


def _value(flag: Flag) -> Word:
    value = flag.value or ""
    # Where quotes were taken off, the value has no place of its own within the flag.
    as_written = flag.end - flag.start == len(flag.text)
    return Word(value, flag.end - len(value) if as_written and value else flag.start, flag.end)
