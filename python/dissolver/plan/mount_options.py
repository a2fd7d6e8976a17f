"""The options of ``RUN --mount``: from ``type=cache,target=/x`` to mounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec

from dissolver.dockerfile.ast import Run, Word
from dissolver.dockerfile.ignore import clean_path
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import DockerfileError
from dissolver.plan.mounts import (
    SECRET_DIRECTORY,
    SSH_DIRECTORY,
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    Sharing,
    SshMount,
    TmpfsMount,
)
from dissolver.plan.origins import EmptyOrigin, Origin
from dissolver.plan.scope import Scope, joined_path
from dissolver.plan.sizes import FORMS, parse_bytes

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")

KEYS = {
    "type": "type",
    "from": "from",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "readwrite": "readwrite",
    "rw": "readwrite",
    "id": "id",
    "sharing": "sharing",
    "required": "required",
    "size": "size",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}
"""Every key that an option may have, and which one it stands for."""

_ONLY_FOR = {
    "required": ("secret", "ssh"),
    "size": ("tmpfs",),
    "env": ("secret",),
    "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
}
"""Keys that some types have; those that are not listed may be said of any."""

_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_HIGHEST_ID = 2**32 - 1


class Option(msgspec.Struct, frozen=True):
    """One option as written: its key, as one of ``KEYS``, its value, and the whole word."""

    key: str
    value: str | None
    word: Word


def origin_word(run: Run, mount: Word) -> Word | None:
    """Return the name behind ``from`` in a mount, with its place; nothing if there is none.

    A tmpfs has no files of anybody, whatever it says.

    Raises:
        DockerfileError: the options cannot be told apart.
    """
    found: Word | None = None
    for option in _options(run, mount):
        if option.key == "type" and (option.value or "").lower() == "tmpfs":
            return None
        if option.key == "from" and option.value:
            found = _value_word(option)
    return found


def lower_mounts(run: Run, scope: Scope, origin: Callable[[Word], Origin]) -> tuple[Mount, ...]:
    """Turn the mounts of a RUN into values; ``origin`` tells what a name behind ``from`` means.

    Raises:
        DockerfileError: an option is unknown, or does not fit the type, or its value
            is none.
    """
    mounts: list[Mount] = []
    for word in run.mounts:
        sockets = sum(isinstance(mount, SshMount) for mount in mounts)
        mounts.append(_MountReader(run, word, scope).read(origin, sockets))
    return tuple(mounts)


class _MountReader:
    """Reads one mount: its options by key, the last of each."""

    def __init__(self, run: Run, word: Word, scope: Scope) -> None:
        self._run = run
        self._word = word
        self._scope = scope
        self._values: dict[str, str | None] = {}
        self._words: dict[str, Word] = {}
        for option in _options(run, word):
            self._words[option.key] = option.word
            # Taken out first, so that the order is that of the last mentions.
            self._values.pop(option.key, None)
            self._values[option.key] = self._expanded(option)
        self.type = self._choice("type", "mount type", TYPES) or "bind"
        self._check_keys()

    def _expanded(self, option: Option) -> str | None:
        if option.value is None or option.key == "from":
            return option.value
        return self._scope.expand(self._run, _value_word(option))

    def read(self, origin: Callable[[Word], Origin], sockets: int) -> Mount:
        """Make the mount; ``sockets`` counts the agents that the RUN has mounted before."""
        match self.type:
            case "cache":
                return self._cache(origin)
            case "tmpfs":
                return TmpfsMount(self._target(), self._size(), self._is_read_only(default=False))
            case "secret":
                return self._secret()
            case "ssh":
                return self._ssh(sockets)
            case _:
                return BindMount(
                    self._target(), self._source(), self._origin(origin), self._is_read_only()
                )

    def _cache(self, origin: Callable[[Word], Origin]) -> CacheMount:
        seed = self._origin(origin)
        is_seeded = seed is not None and not isinstance(seed, EmptyOrigin)
        if not is_seeded and self._source() != "/":
            raise self._error("a cache has a `source` only `from` somewhere", "source")
        return CacheMount(
            target=self._target(),
            id=self._text("id") or clean_path(self._text("target") or ""),
            sharing=self._sharing(),
            is_read_only=self._is_read_only(default=False),
            is_seeded=is_seeded,
            origin=seed if is_seeded else None,
            source=self._source(),
            mode=self._mode(),
            uid=self._number("uid"),
            gid=self._number("gid"),
        )

    def _sharing(self) -> Sharing:
        asked = self._choice("sharing", "sharing value", get_args(Sharing)) or "shared"
        known: tuple[Sharing, ...] = get_args(Sharing)
        return next(sharing for sharing in known if sharing == asked)

    def _secret(self) -> SecretMount:
        target, env = self._text("target"), self._text("env")
        name, source = self._text("id"), self._text("source")
        if not (target or name or source):
            raise self._error("invalid secret mount: one of source, target required")
        if name and source:
            raise self._error("both source and id can't be set", "source")
        name = source or name or target.rstrip("/").rpartition("/")[2]
        if not target and not env:
            target = f"{SECRET_DIRECTORY}/{name.rstrip('/').rpartition('/')[2]}"
        return SecretMount(
            id=name,
            target=self._absolute(target) if target else None,
            env=env or None,
            is_required=self._claim("required") or False,
            mode=_or_default(self._mode(), 0o400),
            uid=self._number("uid") or 0,
            gid=self._number("gid") or 0,
        )

    def _ssh(self, sockets: int) -> SshMount:
        if self._text("source"):
            raise self._error("ssh mount does not support source", "source")
        target = self._text("target")
        return SshMount(
            id=self._text("id") or "default",
            target=self._absolute(target) if target else f"{SSH_DIRECTORY}/ssh_agent.{sockets}",
            is_required=self._claim("required") or False,
            mode=_or_default(self._mode(), 0o600),
            uid=self._number("uid") or 0,
            gid=self._number("gid") or 0,
        )

    def _check_keys(self) -> None:
        if self.type == "secret":
            for key in ("from", "sharing"):
                if key in self._values:
                    verb = "have a from" if key == "from" else "define sharing"
                    raise self._error(f"secret mount should not {verb}", key)
        if "sharing" in self._values and self.type != "cache":
            raise self._error(f"invalid cache sharing set for {self.type} mount", "sharing")
        for key, types in _ONLY_FOR.items():
            if key not in self._values or self.type in types:
                continue
            if key in ("mode", "uid", "gid"):
                raise self._error(f"`{key}` is not allowed for `{self.type}` mounts", key)
            raise self._error(f"unexpected key `{key}` for mount type `{self.type}`", key)

    def _target(self) -> str:
        path = self._absolute(self._text("target"))
        if path == "/":
            raise self._error(
                f"invalid mount target `{self._text('target')}`",
                "target",
                "name a directory with `target=…`; it cannot be the root",
            )
        return path

    def _absolute(self, path: str) -> str:
        return clean_path(joined_path(self._scope.directory, path)) if path else "/"

    def _source(self) -> str:
        return clean_path("/" + self._text("source"))

    def _origin(self, origin: Callable[[Word], Origin]) -> Origin:
        name = self._values.get("from")
        if not name:
            return None
        option = self._words["from"]
        return origin(Word(name, option.end - len(name), option.end))

    def _is_read_only(self, *, default: bool = True) -> bool:
        """Tell whether the mount is read-only; of ``ro`` and ``rw``, the later one counts."""
        answer = default
        for key in self._values:
            if key in ("readonly", "readwrite"):
                answer = (self._claim(key) or False) == (key == "readonly")
        return answer

    def _text(self, key: str) -> str:
        return self._values.get(key) or ""

    def _choice(self, key: str, what: str, known: tuple[str, ...]) -> str | None:
        value = self._values.get(key)
        if value is None or value.lower() in known:
            return None if value is None else value.lower()
        listed = ", ".join(f"`{name}`" for name in known)
        raise self._error(
            f"unsupported {what} `{value}`", key, did_you_mean(value, known) or f"use {listed}"
        )

    def _claim(self, key: str) -> bool | None:
        if key not in self._values:
            return None
        value = self._values[key]
        truth = True if value is None else _TRUTHS.get(value)
        if truth is None:
            raise self._error(f"invalid value for `{key}`: `{value}`", key, "use `true` or `false`")
        return truth

    def _number(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is None:
            return None
        is_number = value.isascii() and value.isdecimal() and len(value.lstrip("0")) <= 10
        if not is_number or int(value) > _HIGHEST_ID:
            raise self._error(f"invalid value `{value}` for `{key}`", key, "it is a number")
        return int(value)

    def _mode(self) -> int | None:
        value = self._values.get("mode")
        if value is None:
            return None
        digits = value.lstrip("0")
        if not value or set(value) - set("01234567") or len(digits) > 4 or int(value, 8) > 0o7777:
            raise self._error(
                f"invalid value `{value}` for mode", "mode", "a mode is octal, such as `0755`"
            )
        return int(value, 8)

    def _size(self) -> int | None:
        value = self._values.get("size")
        if value is None:
            return None
        size = parse_bytes(value)
        if size is None:
            raise self._error(f"invalid value for size: `{value}`", "size", FORMS)
        return size or None

    def _error(
        self, message: str, key: str | None = None, hint: str | None = None
    ) -> DockerfileError:
        word = self._word if key is None else self._words.get(key, self._word)
        return DockerfileError(message, where=self._run.where_of(word), hint=hint)


def _options(run: Run, mount: Word) -> list[Option]:
    """Cut a mount into its options.

    Raises:
        DockerfileError: a quote is wrong, a key is unknown, or lacks its value.
    """
    found: list[Option] = []
    for text, start, end in _fields(run, mount):
        name, equals, value = text.partition("=")
        word = _part(mount, text, start, end)
        key = KEYS.get(name.lower())
        if key is None and equals:
            raise DockerfileError(
                f"unexpected key `{name}` in `{text}`",
                where=run.where_of(word),
                hint=did_you_mean(name, KEYS),
            )
        if key is None or (not equals and key not in ("readonly", "readwrite", "required")):
            raise DockerfileError(
                f"invalid field `{text}` must be a key=value pair", where=run.where_of(word)
            )
        found.append(Option(key, value if equals else None, word))
    return found


def _fields(run: Run, mount: Word) -> list[tuple[str, int, int]]:
    """Cut a text at commas as CSV has it: a field in double quotes may hold commas.

    Returns:
        Each field without its quotes, and where it begins and ends in the text.
    """
    text = mount.text
    fields: list[tuple[str, int, int]] = []
    position = 0
    while position <= len(text):
        if text.startswith('"', position):
            field, end = _quoted(text, position)
        else:
            comma = text.find(",", position)
            end = len(text) if comma < 0 else comma
            field = text[position:end]
            if '"' in field:
                end = -1
        if end < 0 or (end < len(text) and text[end] != ","):
            raise DockerfileError(
                f"a quote is out of place in `--mount={text}`",
                where=run.where_of(mount),
                hint="put a whole `key=value` between double quotes",
            )
        fields.append((field, position, end))
        position = end + 1
    return fields


def _quoted(text: str, start: int) -> tuple[str, int]:
    """Read a field in double quotes, where two of them are one; the end is -1 if it has none."""
    parts: list[str] = []
    position = start + 1
    while True:
        end = text.find('"', position)
        if end < 0:
            return "", -1
        parts.append(text[position:end])
        if not text.startswith('"', end + 1):
            return '"'.join(parts), end + 1
        position = end + 2


def _part(mount: Word, text: str, start: int, end: int) -> Word:
    """Return a field as a word, with its place if the mount stands there as it reads."""
    if mount.end - mount.start != len(mount.text):
        return Word(text, mount.start, mount.end)
    return Word(text, mount.start + start, mount.start + end)


def _value_word(option: Option) -> Word:
    value = option.value or ""
    is_exact = option.word.end - option.word.start == len(option.word.text)
    start = option.word.end - len(value) if is_exact and value else option.word.start
    return Word(value, start, option.word.end)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value
