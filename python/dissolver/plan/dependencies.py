"""What instructions take from elsewhere: ``COPY --from`` and ``RUN --mount=from=``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dissolver.dockerfile.ast import Copy, Instruction, Run, Word
from dissolver.errors import DockerfileError, UnknownStage
from dissolver.plan.bases import reference_of
from dissolver.plan.mount_options import origin_word
from dissolver.plan.origins import SCRATCH, EmptyOrigin, NamedContexts, Origin


class Use(msgspec.Struct, frozen=True):
    """One name behind ``from``: the instruction, the word, and whether an index will do."""

    instruction: Instruction
    word: Word
    takes_index: bool


def uses_of(instructions: Iterable[Instruction]) -> Iterator[Use]:
    """Find every name of another stage, image or context, in order.

    Raises:
        DockerfileError: a mount cannot be cut into options, or a variable stands there.
    """
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.origin is not None:
            yield Use(instruction, instruction.origin, True)
        elif isinstance(instruction, Run):
            for mount in instruction.mounts:
                word = origin_word(instruction, mount)
                if word is not None:
                    yield Use(instruction, word, False)


class OriginFinder:
    """Tells what the names behind ``from`` mean, with the names of all stages at hand."""

    def __init__(self, names: Sequence[str | None], contexts: NamedContexts) -> None:
        self._names = names
        self._contexts = contexts

    def find(self, use: Use, current: int) -> Origin:
        """Return what ``use`` in the stage with the index ``current`` means.

        Raises:
            DockerfileError: a variable stands there, or an index where none can be.
            UnknownStage: there is no stage with that index.
            BadReference: it is no stage, and no image can be called so.
        """
        text = use.word.text
        where = use.instruction.where_of(use.word)
        if "$" in text:
            raise DockerfileError(
                f"variables are not expanded in `{'--from' if use.takes_index else 'from'}`",
                where=where,
                hint=f"name a stage with `FROM {text} AS NAME`, and take files from that",
            )
        # Of several stages with one name, the nearest earlier one is meant; a later one is
        # found as well, to be refused by name.
        count = len(self._names)
        for index in (*reversed(range(current)), *reversed(range(current, count))):
            if self._names[index] == text.lower():
                return index
        if text.isascii() and text.isdecimal():
            if not use.takes_index:
                raise DockerfileError(
                    f"`--mount` takes no stage index, such as `{text}`",
                    where=where,
                    hint="name the stage with `AS NAME`, and mount from that",
                )
            return self._indexed(text, use)
        if text.lower() == SCRATCH:
            return EmptyOrigin()
        found = self._contexts.find(text)
        return reference_of(text, use.instruction, use.word) if found is None else found

    def _indexed(self, text: str, use: Use) -> int:
        index = int(text[:9])
        if index >= len(self._names):
            raise UnknownStage(
                f"invalid stage index `{text}`",
                where=use.instruction.where_of(use.word),
                hint=f"the stages are numbered from 0 to {len(self._names) - 1}",
            )
        return index
