"""The functions of ``--format`` templates, and how their values become text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping


def go_text(value: object) -> str:
    """Write a value as Go does: ``[a b]``, ``map[k:v]``, ``true``, ``<nil>``."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = sorted((str(key), go_text(item)) for key, item in value.items())
        return "map[" + " ".join(f"{key}:{item}" for key, item in pairs) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    return str(value)


def is_true(value: object) -> bool:
    """Tell whether ``if`` takes the value for true: not empty, not zero."""
    return bool(value)


def to_json(value: object) -> str:
    """Write a value as JSON on one line."""
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if value is None or isinstance(value, dict):
            # As in Go, what a map does not have is an empty value, not a mistake.
            value = (value or {}).get(key, "")
        elif isinstance(value, (list, tuple, str)) and isinstance(key, int):
            value = value[key]
        else:
            raise TypeError(f"cannot index `{go_text(value)}`")
    return value


def _length(value: object) -> int:
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise ValueError(f"`{go_text(value)}` has no length")


def _printf(form: object, *values: object) -> str:
    rest = list(values)

    def written(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        if not rest:
            raise ValueError(f"`{match[0]}` has no value")
        value = rest.pop(0)
        if match[2] == "q":
            return f"%{match[1]}s" % to_json(go_text(value))
        if match[2] == "d" and not isinstance(value, int):
            raise ValueError(f"`{go_text(value)}` is not a whole number")
        return f"%{match[1]}{'d' if match[2] == 'd' else 's'}" % (
            value if match[2] == "d" else go_text(value)
        )

    return re.sub(r"%([-+ 0-9.]*)([sdvq%])", written, str(form))


def _joined(values: object, separator: object) -> str:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"`{go_text(values)}` is not a list")
    return str(separator).join(go_text(value) for value in values)


def _truncate(text: object, length: object) -> str:
    return str(text)[: int(str(length))]


def _pad(text: object, before: object, after: object) -> str:
    return " " * int(str(before)) + str(text) + " " * int(str(after))


def _both(*values: object) -> object:
    return next((value for value in values if not is_true(value)), values[-1])


def _either(*values: object) -> object:
    return next((value for value in values if is_true(value)), values[-1])


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "json": to_json,
    "upper": lambda text: str(text).upper(),
    "lower": lambda text: str(text).lower(),
    "title": lambda text: str(text).title(),
    "split": lambda text, separator: str(text).split(str(separator)),
    "join": _joined,
    "truncate": _truncate,
    "pad": _pad,
    "len": _length,
    "index": _index,
    "print": lambda *values: "".join(go_text(value) for value in values),
    "println": lambda *values: " ".join(go_text(value) for value in values) + "\n",
    "printf": _printf,
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda first, second: first != second,
    "not": lambda value: not is_true(value),
    "and": _both,
    "or": _either,
}
