"""YAML with the places of its values, in the form of YAML 1.2 that compose files use.

Only texts, numbers, booleans, lists and mappings are made of it, whatever its tags say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from dissolver.bake.hcl.source import Source, Span

_LARGEST_COUNT = 100_000
"""Values of one file, those behind aliases counted each time: more would be an attack."""

_INTEGER = re.compile(r"[-+]?\d+\Z")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MERGE = "<<"
RESET = "!reset"
OVERRIDE = "!override"

Plain: TypeAlias = "str | int | bool | list[Placed] | dict[str, Placed] | None"


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and its place.

    ``tag`` is ``!reset`` for one that takes away what earlier files said, and ``!override``
    for one that takes its place as a whole.
    """

    value: Plain
    span: Span
    tag: str = ""

    def fault(self, message: str, *, hint: str | None = None) -> BakeFileError:
        """Make an error about this place."""
        return self.span.fault(message, hint=hint)

    def mapping(self, what: str) -> dict[str, Placed]:
        """Take it for a mapping; nothing is an empty one.

        Raises:
            BakeFileError: it is none.
        """
        if self.value is None:
            return {}
        if isinstance(self.value, dict):
            return self.value
        raise self.fault(f"{what} has to be a mapping")

    def items(self, what: str) -> list[Placed]:
        """Take it for a list; nothing is an empty one.

        Raises:
            BakeFileError: it is none.
        """
        if self.value is None:
            return []
        if isinstance(self.value, list):
            return self.value
        raise self.fault(f"{what} has to be a list")

    def text(self, what: str) -> str:
        """Take it for a text, which numbers and booleans will do for.

        Raises:
            BakeFileError: it is none.
        """
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, str | int):
            return str(self.value)
        raise self.fault(f"{what} has to be a text")


def parse_yaml(source: Source) -> Placed:
    """Read a file that has one document.

    Raises:
        BakeFileError: it is no YAML.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(source.text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, source) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BakeFileError(f"`{source.name}` is no YAML: {error}") from None
    finally:
        loader.dispose()
    if node is None:
        return Placed(None, source.at_offset(0))
    try:
        return _Reader(source).value(node)
    except RecursionError:
        raise source.at_offset(0).fault("this is nested too deeply") from None


def _explained(error: Any, source: Source) -> BakeFileError:
    problem = str(error.problem or error).replace("'", "`")
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return BakeFileError(f"`{source.name}` is no YAML: {problem}")
    row = min(mark.line, len(source.lines) - 1)
    return source.span((row, mark.column), (row, mark.column + 1)).fault(
        f"this is no YAML: {problem}"
    )


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0
        self._open: list[Any] = []

    def value(self, node: Any) -> Placed:
        """Read a node and what is in it."""
        start, end = node.start_mark, node.end_mark
        span = self._source.span((start.line, start.column), (end.line, end.column))
        self._count += 1
        if self._count > _LARGEST_COUNT:
            raise span.fault("this file has too many values")
        if any(node is one for one in self._open):
            raise span.fault("this contains itself")
        tag = str(node.tag)
        if not tag.startswith("!"):
            tag = ""
        elif tag not in (RESET, OVERRIDE):
            raise span.fault(f"the tag `{tag}` means nothing here")
        self._open.append(node)
        try:
            return Placed(self._plain(node, span), span, tag)
        finally:
            self._open.pop()

    def _plain(self, node: Any, span: Span) -> Plain:
        if node.id == "scalar":
            return str(node.value) if node.style else scalar(node.value)
        if node.id == "sequence":
            return [self.value(item) for item in node.value]
        own: dict[str, Placed] = {}
        merged: dict[str, Placed] = {}
        for key, item in node.value:
            if key.id != "scalar":
                raise self.value(key).fault("a key has to be a text")
            if key.value == _MERGE and not key.style:
                for name, value in self._merged(item, span):
                    merged.setdefault(name, value)
                continue
            if key.value in own:
                raise self.value(key).fault(f"`{key.value}` is there twice")
            own[str(key.value)] = self.value(item)
        return {**merged, **own}

    def _merged(self, node: Any, span: Span) -> Iterator[tuple[str, Placed]]:
        value = self.value(node).value
        for one in value if isinstance(value, list) else [Placed(value, span)]:
            yield from one.mapping("what `<<` merges").items()


def scalar(text: str) -> Plain:
    """Read a word without quotes: a number, a boolean, nothing, or else a text."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text) and len(text) < 20 and str(int(text)) == text.removeprefix("+"):
        return int(text)
    # Everything else stays as it is written: `1.10` is a version more often than a number.
    return text
