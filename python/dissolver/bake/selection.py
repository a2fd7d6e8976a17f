"""Which targets are wanted, and what each of them comes to with what it inherits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dissolver.bake.overrides import WILDCARDS, by_target, matching, overridden, read_overrides
from dissolver.bake.target import Definition, Group, Target
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from dissolver.bake.entries import Entry
    from dissolver.bake.overrides import Override

DEFAULT = "default"
TARGET_SCHEME = "target:"
HOST_NETWORK = "network.host"

_DEEPEST = 200
"""Targets and groups that lead to each other, one behind the other."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The targets that are built, in an order in which what is needed comes first.

    ``groups`` are those that led to them, and one called ``default`` with what was asked for.
    ``said`` are targets with nothing but what overrides say of them.
    """

    targets: Mapping[str, Target]
    groups: Mapping[str, Group]
    said: tuple[Target, ...] = ()


def select(
    definition: Definition,
    wanted: Sequence[str] = (),
    *,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Selection:
    """Pick targets and groups by their names or patterns, and what they need.

    Raises:
        BakeFileError: there is no such target, or one needs itself.
    """
    for name in wanted:
        if "://" in name or name.startswith("git@"):
            raise BakeFileError(
                f"`{name}` is no target, and bake files are not read from repositories",
                hint="check the repository out, and bake there",
            )
    names = list(definition.targets)
    given = by_target(read_overrides(overrides, environment or {}), names)
    chooser = _Chooser(definition, given)
    asked = chooser.asked([name.replace(".", "_") for name in wanted] or [DEFAULT])
    found: dict[str, Target] = {}
    groups: dict[str, Group] = {}
    for name in asked:
        for target in chooser.in_group(name, groups, ()):
            if target not in found:
                found[target] = chooser.resolved(target)
    _add_default(asked, groups)
    targets: dict[str, Target] = {}
    for name in list(found):
        chooser.link(name, found, targets, ())
    return Selection(targets, groups, tuple(chooser.said.values()))


def _add_default(asked: Sequence[str], groups: dict[str, Group]) -> None:
    """Give what was asked for a name, as far as it has none."""
    if list(asked) == [DEFAULT] and DEFAULT in groups:
        before = groups[DEFAULT]
        groups[DEFAULT] = replace(before, targets=tuple(sorted(before.targets)))
        return
    before = groups.get(DEFAULT, Group(DEFAULT, ()))
    others = [name for name in asked if not (name == DEFAULT and DEFAULT in groups)]
    unique = dict.fromkeys((*before.targets, *others))
    groups[DEFAULT] = replace(before, targets=tuple(sorted(unique)))


class _Chooser:
    def __init__(self, definition: Definition, overrides: Mapping[str, Sequence[Override]]) -> None:
        self._definition = definition
        self._overrides = overrides
        self._inherited: dict[str, Target] = {}
        self.said: dict[str, Target] = {}

    def asked(self, wanted: Sequence[str]) -> list[str]:
        """Tell which targets and groups some names and patterns mean."""
        known = [*self._definition.groups, *self._definition.targets]
        found: dict[str, None] = {}
        for name in wanted:
            if WILDCARDS.isdisjoint(name):
                found[name] = None
                continue
            fitting = matching(name, known)
            if not fitting:
                raise BakeFileError(f"no target fits `{name}`")
            found.update(dict.fromkeys(fitting))
        return list(found)

    def in_group(self, name: str, groups: dict[str, Group], way: tuple[str, ...]) -> list[str]:
        """List the targets of a group, and note the groups that lead to them.

        A group that was noted before has no further ones.
        """
        group = self._definition.groups.get(name)
        if group is None or (name in way and name in self._definition.targets):
            return [name]
        if name in way:
            raise BakeFileError(
                f"the group `{name}` contains itself: {' → '.join((*way, name))}",
                where=group.where,
            )
        if name in groups:
            return []
        if len(way) >= _DEEPEST:
            raise BakeFileError("groups contain each other too deeply", where=group.where)
        groups[name] = group
        found: dict[str, None] = {}
        for target in group.targets:
            if target not in self._definition.groups:
                self._check(target, f"the group `{name}` has", group)
            found.update(dict.fromkeys(self.in_group(target, groups, (*way, name))))
        return list(found)

    def _check(self, name: str, who: str, group: Group) -> None:
        if name not in self._definition.targets:
            known = [*self._definition.targets, *self._definition.groups]
            raise BakeFileError(
                f"{who} `{name}`, and there is no such target",
                where=group.where,
                hint=did_you_mean(name, known),
            )

    def resolved(self, name: str) -> Target:
        """Give a target with all that it inherits, and with its defaults."""
        target = self._with_inherited(name, ()).without("inherits").tidied()
        if target.text("context") is None:
            target = target.changed("context", ".")
        if not target.text("dockerfile"):
            target = target.changed("dockerfile", "Dockerfile")
        return target.tidied()

    def _with_inherited(self, name: str, way: tuple[str, ...]) -> Target:
        if name not in self._inherited:
            self._inherited[name] = self._inheriting(name, way)
        return self._inherited[name]

    def _inheriting(self, name: str, way: tuple[str, ...]) -> Target:
        own = self._definition.targets.get(name)
        if own is None:
            raise self._missing(name, way)
        if name in way:
            raise BakeFileError(
                f"the target `{name}` inherits from itself: {' → '.join((*way, name))}",
                where=own.where_of("inherits"),
            )
        if len(way) >= _DEEPEST:
            raise BakeFileError("targets inherit too deeply", where=own.where_of("inherits"))
        target = Target(name)
        for parent in own.texts("inherits"):
            inherited = self._with_inherited(parent, (*way, name))
            target = target.merged(inherited.without("inherits"))
        target = replace(target.merged(own), where=own.where)
        words = self._overrides.get(name, ())
        if words:
            target = overridden(target, words)
            self.said[name] = overridden(Target(name), words)
        if target.text("network") == "host" and HOST_NETWORK not in target.texts("entitlements"):
            allowed = [*target.texts("entitlements"), HOST_NETWORK]
            before = target.settings.get("entitlements")
            where = target.settings["network"].where or (None if before is None else before.where)
            target = target.changed("entitlements", allowed, where)
        return target

    def _missing(self, name: str, way: tuple[str, ...]) -> BakeFileError:
        known = [*self._definition.targets, *self._definition.groups]
        hint = did_you_mean(name, known)
        if way:
            where = self._definition.targets[way[-1]].where_of("inherits")
            message = f"`{way[-1]}` inherits from `{name}`, and there is no such target"
            return BakeFileError(message, where=where, hint=hint)
        if hint is None and known:
            hint = "there is " + ", ".join(f"`{one}`" for one in known[:8])
        return BakeFileError(f"there is no target `{name}`", hint=hint)

    def link(
        self,
        name: str,
        found: dict[str, Target],
        targets: dict[str, Target],
        way: tuple[str, ...],
    ) -> None:
        """Put a target behind those that it takes files from."""
        if name in targets:
            return
        if name in way:
            raise BakeFileError(
                f"the target `{name}` takes files from itself: {' → '.join((*way, name))}",
                where=found[name].where_of("contexts"),
            )
        target = found[name]
        if len(way) >= _DEEPEST:
            where = target.where_of("contexts")
            raise BakeFileError("targets take files from each other too deeply", where=where)
        for other in linked_names(target).values():
            if other not in found:
                if other not in self._definition.targets:
                    raise BakeFileError(
                        f"`{name}` takes files from `{other}`, and there is no such target",
                        where=target.where_of("contexts"),
                        hint=did_you_mean(other, self._definition.targets),
                    )
                nowhere: list[Entry] = [{"type": "cacheonly"}]
                linked = self.resolved(other).changed("output", nowhere).tidied()
                found[other] = replace(linked, is_linked=True)
            self.link(other, found, targets, (*way, name))
            target = _entitled(target, targets[other])
        targets[name] = target


def linked_names(target: Target) -> dict[str, str]:
    """Tell which contexts of a target are other targets."""
    return {
        context: value.removeprefix(TARGET_SCHEME)
        for context, value in target.named("contexts").items()
        if value.startswith(TARGET_SCHEME)
    }


def _entitled(target: Target, other: Target) -> Target:
    """Give a target what one that it takes files from may do: the two are built together."""
    missing = [
        one for one in other.texts("entitlements") if one not in target.texts("entitlements")
    ]
    if not missing:
        return target
    allowed = [*target.texts("entitlements"), *missing]
    return target.changed("entitlements", allowed, target.where_of("contexts")).tidied()
