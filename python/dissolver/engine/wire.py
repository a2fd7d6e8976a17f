"""Values of the engine as JSON: what crosses between a proxy and its worker.

Plain JSON types stand for themselves. Everything else is an object with one key
that begins with ``$``: ``$tuple``, ``$bytes`` (base64), ``$path``, ``$fd`` (the
number of a passed descriptor), ``$cancel``, ``$callback`` (its name), ``$error``, and
``$value``, an instance of one of the package's own classes by its fields. A mapping
with keys that are no texts, or begin with ``$``, is ``$map``, a list of pairs.

Only classes of this package are ever looked up, and only those that hold data:
dataclasses, structs and errors.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from dissolver.errors import DissolverError

_PACKAGE = "dissolver."


class Descriptor(int):
    """The number of an open file that the receiver is to use as well."""


class Encoder:
    """Turns one call's values into JSON types, setting aside what JSON cannot carry."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.callbacks: dict[str, Callable[..., object]] = {}
        self.cancel: threading.Event | None = None

    def encode(self, value: object, name: str = "") -> Any:
        """Turn ``value`` into JSON types; ``name`` is what a callback is called.

        Raises:
            TypeError: a value of a kind that does not cross.
        """
        if value is None or isinstance(value, bool | float | str):
            return value
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, list):
            return [self.encode(item) for item in value]
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, threading.Event):
            self.cancel = value
            return {"$cancel": True}
        fields = _fields(value)
        if fields is not None:
            content = {key: self.encode(getattr(value, key)) for key in fields}
            return {"$value": [_name(type(value)), content]}
        if isinstance(value, DissolverError):
            state = {key: self.encode(item) for key, item in vars(value).items() if key[0] != "_"}
            return {"$error": [_name(type(value)), state]}
        return self._other(value, name)

    def _integer(self, value: int) -> Any:
        if isinstance(value, Descriptor):
            self.descriptors.append(int(value))
            return {"$fd": len(self.descriptors) - 1}
        return int(value)

    def _mapping(self, value: Mapping[Any, object]) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self.encode(item) for key, item in value.items()}
        return {"$map": [[self.encode(key), self.encode(item)] for key, item in value.items()]}

    def _other(self, value: object, name: str) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            return {"$bytes": base64.b64encode(value).decode()}
        if isinstance(value, tuple):
            return {"$tuple": [self.encode(item) for item in value]}
        if isinstance(value, PurePath):
            return {"$path": str(value)}
        if isinstance(value, frozenset | set):
            return {"$tuple": [self.encode(item) for item in sorted(value)]}
        if callable(value) and name:
            self.callbacks[name] = value
            return {"$callback": name}
        raise TypeError(f"a {type(value).__name__} cannot cross to another process")


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Turns JSON types back into values; what was set aside is put in again."""

    descriptors: tuple[int, ...] = ()
    callback: Callable[[str], Callable[..., object]] | None = None
    cancel: threading.Event | None = None

    def decode(self, value: Any) -> Any:
        """Turn JSON types into the value they stand for.

        Raises:
            ValueError, TypeError: they stand for nothing that this package has.
        """
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        tag, content = next(iter(value.items()), ("", None))
        if not tag.startswith("$"):
            return {key: self.decode(item) for key, item in value.items()}
        return self._tagged(tag, content)

    def _tagged(self, tag: str, content: Any) -> Any:
        match tag:
            case "$tuple":
                return tuple(self.decode(item) for item in content)
            case "$map":
                return {self.decode(key): self.decode(item) for key, item in content}
            case "$bytes":
                return base64.b64decode(content)
            case "$path":
                return Path(content)
            case "$fd":
                return Descriptor(self.descriptors[content])
            case "$cancel":
                return self.cancel
            case "$callback" if self.callback is not None:
                return self.callback(content)
            case "$value":
                return self._instance(*content)
            case "$error":
                return self._error(*content)
        raise ValueError(f"`{tag}` stands for nothing")

    def _instance(self, name: str, content: dict[str, Any]) -> Any:
        kind = _class(name)
        if not (dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)):
            raise TypeError(f"`{name}` holds no data")
        return kind(**{key: self.decode(item) for key, item in content.items()})

    def _error(self, name: str, state: dict[str, Any]) -> DissolverError:
        kind = _class(name)
        if not issubclass(kind, DissolverError):
            raise TypeError(f"`{name}` is no error")
        # The constructors of errors differ; their fields are all there is to them.
        error = kind.__new__(kind)
        fields = {key: self.decode(item) for key, item in state.items()}
        Exception.__init__(error, fields.get("message", ""))
        vars(error).update(fields)
        return error


def _fields(value: object) -> tuple[str, ...] | None:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value) if field.init)
    return None


def _name(kind: type) -> str:
    if not kind.__module__.startswith(_PACKAGE):
        raise TypeError(f"a {kind.__name__} cannot cross to another process")
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type:
    module, _, attribute = name.partition(":")
    if not module.startswith(_PACKAGE):
        raise ValueError(f"`{name}` is not of this package")
    kind = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(kind, type):
        raise TypeError(f"there is no class `{name}`")
    return kind
