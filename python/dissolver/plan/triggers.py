"""ONBUILD: instructions that images keep for those who build on them."""

from __future__ import annotations

from collections.abc import Sequence

from dissolver.dockerfile.ast import Instruction, Onbuild
from dissolver.dockerfile.parse import parse_instructions
from dissolver.errors import DockerfileError, NotSupportedYet, Where

NOT_TRIGGERS = ("FROM", "MAINTAINER")
"""Instructions that no image may keep for others."""


def read_triggers(texts: Sequence[str], image: str, where: Where) -> tuple[Instruction, ...]:
    """Read the triggers of an image's configuration, in order.

    Their places are lines of a text of their own, called ``ONBUILD of IMAGE``: the
    Dockerfile that fires them does not hold them. ``where`` is its FROM.

    Raises:
        DockerfileError: one of them is no instruction, or none that can be kept.
    """
    triggers: list[Instruction] = []
    for text in texts:
        read = parse_instructions(text, name=f"ONBUILD of {image}")
        if len(read) != 1:
            raise DockerfileError(
                f"a trigger of `{image}` is not one instruction but {len(read)}", where=where
            )
        if read[0].name in NOT_TRIGGERS:
            raise DockerfileError(
                f"`{read[0].name}` isn't allowed as an `ONBUILD` trigger", where=read[0].where
            )
        triggers.append(read[0])
    return tuple(triggers)


def own_triggers(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Return what the ONBUILD instructions of a stage leave for the stages built on it."""
    return tuple(item.trigger for item in instructions if isinstance(item, Onbuild))


def check_triggers(texts: tuple[str, ...], is_fired: bool, where: Where) -> None:
    """Check that the triggers of a base image are not left out.

    Raises:
        NotSupportedYet: there are some, and nobody gave them to the graph.
    """
    if texts and not is_fired:
        raise NotSupportedYet(
            "the `ONBUILD` instructions of the base image are not carried out here", where=where
        )
