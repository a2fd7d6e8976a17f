"""Functions of texts and of paths."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissolver.bake.functions.table import FunctionTable
from dissolver.bake.hcl.limits import refuse_larger
from dissolver.bake.hcl.values import Value, ValueFault, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = FunctionTable()
provide = TABLE.provide

_GROUP = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


@provide("lower", "text")
def lower(text: str) -> Value:
    """Write all letters small."""
    return text.lower()


@provide("upper", "text")
def upper(text: str) -> Value:
    """Write all letters large."""
    return text.upper()


@provide("title", "text")
def title(text: str) -> Value:
    """Begin every word with a capital letter."""
    return re.sub(r"(?<!\w)[^\W\d_]", lambda match: match[0].upper(), text)


@provide("strlen", "text")
def length(text: str) -> Value:
    """Count the characters."""
    return len(text)


@provide("byteslen", "text")
def byte_length(text: str) -> Value:
    """Count the bytes."""
    return len(text.encode())


@provide("bytesslice", "text", "integer", "integer")
def byte_slice(text: str, offset: int, count: int) -> Value:
    """Take bytes out of the middle."""
    data = text.encode()
    if not 0 <= offset <= offset + count <= len(data):
        raise ValueFault(f"there are {len(data)} bytes alone")
    return data[offset : offset + count].decode("utf-8", "replace")


@provide("reverse", "text")
def reverse(text: str) -> Value:
    """Write it from its end."""
    return text[::-1]


@provide("substr", "text", "integer", "integer")
def substring(text: str, offset: int, count: int) -> Value:
    """Take characters out; a negative offset counts from the end, -1 characters are all."""
    start = max(len(text) + offset, 0) if offset < 0 else offset
    return text[start:] if count < 0 else text[start : start + count]


@provide("chomp", "text")
def chomp(text: str) -> Value:
    """Leave out the line ends at the end."""
    return text.rstrip("\r\n")


@provide("indent", "integer", "text")
def indent(count: int, text: str) -> Value:
    """Put blanks behind every line end."""
    if not 0 <= count <= 1000:
        raise ValueFault(f"it cannot be indented by {count}")
    return replace(text, "\n", "\n" + " " * count)


@provide("trim", "text", "text")
def trim(text: str, characters: str) -> Value:
    """Leave out characters of a set at both ends."""
    return text.strip(characters)


@provide("trimspace", "text")
def trim_space(text: str) -> Value:
    """Leave out the blanks at both ends."""
    return text.strip()


@provide("trimprefix", "text", "text")
def trim_prefix(text: str, prefix: str) -> Value:
    """Leave out what it begins with."""
    return text.removeprefix(prefix)


@provide("trimsuffix", "text", "text")
def trim_suffix(text: str, suffix: str) -> Value:
    """Leave out what it ends with."""
    return text.removesuffix(suffix)


@provide("replace", "text", "text", "text")
def replace(text: str, old: str, new: str) -> Value:
    """Put a text in the place of another one, everywhere."""
    refuse_larger(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


@provide("split", "text", "text")
def split(separator: str, text: str) -> Value:
    """Cut a text up."""
    return list(text.split(separator)) if separator else list(text)


@provide("join", "text", rest="list")
def join(separator: str, *lists: list[Value]) -> Value:
    """Put the texts of lists one behind the other."""
    texts = [to_text(item) for items in lists for item in items]
    refuse_larger(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


@provide("sanitize", "text")
def sanitize(text: str) -> Value:
    """Leave what the name of a target may have; the rest becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


@provide("basename", "text")
def base_name(path: str) -> Value:
    """Give the last part of a path."""
    bare = path.rstrip("/")
    return posixpath.basename(bare) if bare else ("/" if path else ".")


@provide("dirname", "text")
def directory_name(path: str) -> Value:
    """Give the directory of a path."""
    return posixpath.normpath(posixpath.dirname(path) or ".")


@provide("homedir")
def home() -> Value:
    """Give the caller's home directory."""
    return str(Path("~").expanduser())


# Patterns ------------------------------------------------------------------------


def _compiled(pattern: str) -> Any:
    """Read a pattern in the syntax that buildx has, for an engine whose time is linear."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        raise ValueFault(f"`{pattern}` is no pattern: {why}") from None


def _captured(match: Any) -> Value:
    """Give what a pattern caught: by name, by place, or all of it."""
    if match.re.groupindex:
        return dict(match.groupdict())
    if match.re.groups:
        return list(match.groups())
    whole: str = match[0]
    return whole


@provide("regex", "text", "text")
def search(pattern: str, text: str) -> Value:
    """Give what a pattern finds first."""
    match = _compiled(pattern).search(text)
    if match is None:
        raise ValueFault(f"`{pattern}` is nowhere in `{text}`")
    return _captured(match)


@provide("regexall", "text", "text")
def search_all(pattern: str, text: str) -> Value:
    """Give all that a pattern finds."""
    return [_captured(match) for match in _found(pattern, text)]


@provide("regex_replace", "text", "text", "text")
def replace_all(text: str, pattern: str, new: str) -> Value:
    """Replace what a pattern finds; ``$1`` and ``${name}`` stand for what it caught."""
    parts: list[str] = []
    start = size = 0
    for match in _found(pattern, text):
        parts += [text[start : match.start()], _filled(new, match)]
        start = match.end()
        size += len(parts[-1])
        refuse_larger(size)
    return "".join([*parts, text[start:]])


def _found(pattern: str, text: str) -> Iterator[Any]:
    """Go through what a pattern finds; nothing at the end of something is not found, as in Go."""
    end = -1
    for match in _compiled(pattern).finditer(text):
        if match.end() > match.start() or match.start() != end:
            yield match
        end = match.end()


def _filled(new: str, match: Any) -> str:
    def group(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
        key: str | int = int(name) if name.isdecimal() else name
        try:
            return match[key] or ""
        except IndexError:
            return ""  # As Go has it: what the pattern does not have is empty.

    return _GROUP.sub(group, new)
