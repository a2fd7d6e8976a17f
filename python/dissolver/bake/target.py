"""What bake files describe: targets, and groups of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dissolver.bake.attributes import RULES, Content, Kind, combined, tidied
from dissolver.errors import BakeFileError, Where

_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an attribute, and where it was given; ``None`` where no file says any of it."""

    content: Content
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One build, as files describe it: attributes by their names.

    ``where`` is the place of its name. ``is_linked`` marks one that is only built because
    another one takes files from it. ``reads`` are files that values of it were taken from, by
    their paths, and where they are named.
    """

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    where: Where | None = None
    is_linked: bool = False
    reads: Mapping[str, Where] = field(default_factory=dict)

    def merged(self, later: Target) -> Target:
        """Give the target with what a later description of it says."""
        settings = dict(self.settings)
        for name, setting in later.settings.items():
            before = settings.get(name)
            content = combined(name, None if before is None else before.content, setting.content)
            # What the command line adds to has the place that it had.
            where = setting.where or (None if before is None else before.where)
            settings[name] = Setting(content, where)
        return replace(
            self,
            settings=settings,
            where=self.where or later.where,
            reads={**self.reads, **later.reads},
        )

    def changed(self, name: str, content: Content, where: Where | None = None) -> Target:
        """Give the target with another value of one attribute."""
        return replace(self, settings={**self.settings, name: Setting(content, where)})

    def without(self, *names: str) -> Target:
        """Give the target without some attributes."""
        kept = {name: one for name, one in self.settings.items() if name not in names}
        return replace(self, settings=kept)

    def tidied(self) -> Target:
        """Give the target without what says nothing, the attributes in their order."""
        settings: dict[str, Setting] = {}
        for name in RULES:
            if name not in self.settings:
                continue
            setting = self.settings[name]
            content = tidied(setting.content)
            if name == "contexts" and isinstance(content, dict):
                content = {key: text for key, text in content.items() if text} or None
            if content is not None:
                settings[name] = Setting(content, setting.where)
        return replace(self, settings=settings)

    # What the attributes say -----------------------------------------------------

    def where_of(self, attribute: str) -> Where | None:
        """Give the place of an attribute."""
        setting = self.settings.get(attribute)
        return self.where if setting is None or setting.where is None else setting.where

    def text(self, attribute: str) -> str | None:
        """Give the text of an attribute."""
        content = self._content(attribute, Kind.TEXT)
        return content if isinstance(content, str) else None

    def switch(self, attribute: str) -> bool:
        """Tell whether a switch is on."""
        return self._content(attribute, Kind.SWITCH) is True

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Give the texts of an attribute."""
        content = self._content(attribute, Kind.TEXTS)
        return tuple(map(str, content)) if isinstance(content, list) else ()

    def named(self, attribute: str) -> dict[str, str]:
        """Give the texts of an attribute by their names."""
        content = self._content(attribute, Kind.NAMED)
        if not isinstance(content, dict):
            return {}
        return {name: text for name, text in content.items() if text is not None}

    def entries(self, attribute: str) -> tuple[Mapping[str, object], ...]:
        """Give the records of an attribute."""
        content = self._content(attribute, Kind.ENTRIES)
        if not isinstance(content, list):
            return ()
        return tuple(entry for entry in content if isinstance(entry, dict))

    def _content(self, attribute: str, kind: Kind) -> Content | None:
        if RULES[attribute].kind is not kind:
            raise KeyError(attribute)
        setting = self.settings.get(attribute)
        return None if setting is None else setting.content


@dataclass(frozen=True, slots=True)
class Group:
    """Targets and groups under one name."""

    name: str
    targets: tuple[str, ...]
    description: str = ""
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class VariableRow:
    """A variable of the files: its value as text, the type that it was declared with."""

    name: str
    value: str | None
    type: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """What all files together describe."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    variables: tuple[VariableRow, ...] = ()


def check_name(name: str, where: Where | None) -> None:
    """Refuse a name that a target cannot have.

    Raises:
        BakeFileError: it has other characters.
    """
    if not _NAME.match(name):
        raise BakeFileError(
            f"`{name}` cannot be the name of a target",
            where=where,
            hint="names have letters, digits, `_` and `-`; `sanitize` makes such names",
        )
