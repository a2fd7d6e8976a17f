"""``--set``: values that take the place of those in files."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dissolver.bake.attributes import RULES, Content, Kind, combined
from dissolver.bake.entries import Entry, read_entries
from dissolver.bake.hcl.values import Value, ValueFault, to_boolean
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dissolver.bake.target import Target

_ALIASES = {"platform": "platforms", "secrets": "secret", "outputs": "output"}
_OUTPUTS = ("push", "load")
_FIXED = ("inherits", "description")
"""What only a file may say."""

_ALWAYS_ADDS = ("annotations", "entitlements", "attest")
_BOOLEANS = {"1": True, "t": True, "0": False, "f": False}
WILDCARDS = frozenset("*?[]")


@dataclass(frozen=True, slots=True)
class Override:
    """``pattern.attribute=value``, as it was written in ``word``.

    ``name`` is what of the attribute is meant: ``VERSION`` in ``app.args.VERSION=1``.
    """

    word: str
    pattern: str
    attribute: str
    name: str | None
    value: str
    adds: bool = False


def read_overrides(words: Iterable[str], environment: Mapping[str, str]) -> list[Override]:
    """Read the words of ``--set``; an argument without a value takes that of the environment.

    Raises:
        BakeFileError: one does not say what it has to.
    """
    found: list[Override] = []
    for word in words:
        path, equals, value = word.partition("=")
        adds = path.endswith("+")
        pattern, _, rest = path.removesuffix("+").partition(".")
        key, _, name = rest.partition(".")
        attribute = _ALIASES.get(key, key)
        if not (pattern and key):
            raise _fault(word, "it has to be `TARGET.KEY=VALUE`")
        if attribute in _FIXED or (attribute not in RULES and attribute not in _OUTPUTS):
            raise _fault(word, f"there is no `{key}` that could be set")
        needs_name = attribute in RULES and RULES[attribute].kind is Kind.NAMED
        if needs_name and not name:
            raise _fault(word, f"it has to be `TARGET.{key}.NAME=VALUE`")
        if name and not needs_name:
            raise _fault(word, f"`{key}` has no parts with names")
        if adds and attribute in RULES and RULES[attribute].kind in (Kind.TEXT, Kind.SWITCH):
            raise _fault(word, f"nothing can be added to `{key}`")
        if not equals:
            if attribute != "args":
                raise _fault(word, "it has no value")
            if name not in environment:
                continue
            value = environment[name]
        found.append(Override(word, pattern, attribute, name or None, value, adds))
    return found


def _fault(word: str, why: str) -> BakeFileError:
    return BakeFileError(f"`--set {word}`: {why}")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """List the names that a pattern with ``*``, ``?`` and ``[…]`` fits."""
    return [name for name in names if fnmatchcase(name, pattern)]


def by_target(
    overrides: Iterable[Override], names: Sequence[str]
) -> Mapping[str, Sequence[Override]]:
    """Tell which overrides each target has.

    Raises:
        BakeFileError: one is for no target.
    """
    found: dict[str, list[Override]] = {}
    for override in overrides:
        pattern = override.pattern
        chosen = [pattern] if pattern in names else matching(pattern, names)
        if not chosen:
            error = _fault(override.word, f"there is no target `{pattern}`")
            error.hint = did_you_mean(pattern, names)
            raise error
        for name in chosen:
            found.setdefault(name, []).append(override)
    return found


def overridden(target: Target, overrides: Sequence[Override]) -> Target:
    """Give a target with what ``--set`` says of it.

    Raises:
        BakeFileError: a value does not fit its attribute.
    """
    replaced: set[str] = set()
    for override in overrides:
        try:
            if override.attribute in _OUTPUTS:
                target = _with_output(target, override)
            else:
                target = _with(target, override, is_first=override.attribute not in replaced)
        except ValueFault as fault:
            raise _fault(override.word, str(fault)) from None
        replaced.add(override.attribute)
    return target


def _with(target: Target, override: Override, *, is_first: bool) -> Target:
    attribute = override.attribute
    before = target.settings.get(attribute)
    content = _content(override)
    adds = override.adds or attribute in _ALWAYS_ADDS or not is_first
    if before is None:
        return target.changed(attribute, content)
    # Where something of a file remains, its place does: a file's wishes have to be allowed.
    if isinstance(content, dict):
        return target.changed(attribute, combined(attribute, before.content, content), before.where)
    if adds and isinstance(content, list):
        together = [*before.content, *content]  # type: ignore[misc]
        return target.changed(attribute, together, before.where)
    return target.changed(attribute, content)


def _content(override: Override) -> Content:
    kind = RULES[override.attribute].kind
    if kind is Kind.SWITCH:
        return _switch(override.value)
    if kind is Kind.NAMED:
        return {str(override.name): override.value}
    if kind is Kind.ENTRIES:
        values: list[Value] = [override.value]
        return read_entries(override.attribute, values)
    return [override.value] if kind is Kind.TEXTS else override.value


def _switch(text: str) -> bool:
    known = _BOOLEANS.get(text.lower())
    return to_boolean(text.lower()) if known is None else known


def _with_output(target: Target, override: Override) -> Target:
    is_on = _switch(override.value)
    setting = target.settings.get("output")
    entries = list(setting.content) if setting is not None else []  # type: ignore[arg-type]
    outputs: list[Entry] = [dict(entry) for entry in entries if isinstance(entry, dict)]
    if override.attribute == "push":
        outputs = _pushing(outputs) if is_on else _not_pushing(outputs)
    elif is_on:
        outputs = _loading(outputs)
    return target.changed("output", outputs, None if setting is None else setting.where)


def _pushing(outputs: list[Entry]) -> list[Entry]:
    """Have an image pushed, unless the target makes something else than images."""
    pushed = [_in_order({**one, "push": "true"}) if one["type"] == "image" else one
              for one in outputs]  # fmt: skip
    if all(one["type"] == "docker" for one in outputs):
        pushed.append({"push": "true", "type": "image"})
    return pushed


def _not_pushing(outputs: list[Entry]) -> list[Entry]:
    kept = [one for one in outputs if one["type"] != "registry"]
    return [_in_order({**one, "push": "false"}) if one["type"] == "image" else one for one in kept]


def _loading(outputs: list[Entry]) -> list[Entry]:
    """Have an image kept, unless the target makes something else than images."""
    if any(one["type"] not in ("docker", "image", "registry", "oci") for one in outputs):
        return outputs
    if any(one["type"] == "docker" and not one.get("dest") for one in outputs):
        return outputs
    return [*outputs, {"type": "docker"}]


def _in_order(entry: Entry) -> Entry:
    return {key: entry[key] for key in sorted(entry)}
