"""FROM: what a stage starts from, and for which platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from dissolver.dockerfile.ast import From, Instruction, Word
from dissolver.dockerfile.expand import expand, expand_words
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BadPlatform, BadReference, DockerfileError
from dissolver.image.platform import Platform, parse_platform
from dissolver.image.reference import Reference, parse_reference
from dissolver.plan.origins import SCRATCH, NamedContext, NamedContexts


class ScratchBase(msgspec.Struct, frozen=True):
    """Nothing at all: ``FROM scratch``."""


class StageBase(msgspec.Struct, frozen=True):
    """The result of an earlier stage."""

    index: int


class ImageBase(msgspec.Struct, frozen=True):
    """An image that is pulled or lies in the store."""

    reference: Reference


class ContextBase(msgspec.Struct, frozen=True):
    """The files of a named context, with the configuration of ``scratch``."""

    context: NamedContext


Base: TypeAlias = ScratchBase | StageBase | ImageBase | ContextBase


class BaseReader:
    """Reads FROM lines with the arguments that are in effect there."""

    def __init__(
        self,
        arguments: Mapping[str, str],
        contexts: NamedContexts,
        platform: Platform,
        escape: str,
    ) -> None:
        self._arguments = arguments
        self._contexts = contexts
        self._platform = platform
        self._escape = escape

    def replacement(self, name: str | None) -> Base | None:
        """Return the named context that takes the place of a whole stage, if one does."""
        found = None if name is None else self._contexts.find(name)
        return None if found is None else _context_base(found)

    def base(self, head: From, names: Sequence[str | None]) -> Base:
        """Read what a stage starts from; ``names`` are those of the earlier stages.

        Raises:
            DockerfileError: the name is blank or cannot be expanded.
            BadReference: it is neither a stage's nor an image's.
        """
        name = self._expanded(head, head.image)
        if not name:
            raise DockerfileError(
                f"base name `{head.image.text}` should not be blank",
                where=head.where_of(head.image),
                hint=self._blank_hint(head.image),
            )
        for index in reversed(range(len(names))):
            if names[index] == name.lower():
                return StageBase(index)
        if name == SCRATCH:
            return ScratchBase()
        found = self._contexts.find(name)
        if found is not None:
            return _context_base(found)
        return ImageBase(reference_of(name, head, head.image))

    def platform(self, head: From) -> Platform:
        """Read which platform a stage is for; the default one where it does not say.

        Raises:
            DockerfileError: the text is blank or cannot be expanded.
            BadPlatform: it is no platform.
        """
        if head.platform is None:
            return self._platform
        text = self._expanded(head, head.platform)
        where = head.where_of(head.platform)
        if not text:
            raise DockerfileError(
                f"the platform `{head.platform.text}` is blank",
                where=where,
                hint=self._blank_hint(head.platform),
            )
        try:
            return parse_platform(text, default=self._platform)
        except BadPlatform as error:
            error.where = where
            raise

    def _expanded(self, head: From, word: Word) -> str:
        try:
            return expand(word.text, self._arguments, self._escape)
        except DockerfileError as error:
            error.where = error.where or head.where_of(word)
            raise

    def _blank_hint(self, word: Word) -> str | None:
        unset = sorted(expand_words(word.text, self._arguments, self._escape).unset)
        if not unset:
            return None
        offered = did_you_mean(unset[0], self._arguments)
        return offered or f"declare `ARG {unset[0]}=…` before the first `FROM`"


def reference_of(name: str, instruction: Instruction, word: Word) -> Reference:
    """Read an image's name; an error gets the word's place.

    Raises:
        BadReference: no image can be called so.
    """
    try:
        return parse_reference(name)
    except BadReference as error:
        error.where = instruction.where_of(word)
        raise


def _context_base(found: Reference | NamedContext) -> Base:
    return ContextBase(found) if isinstance(found, NamedContext) else ImageBase(found)
