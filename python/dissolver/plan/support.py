"""What is planned and not carried out yet: one list, shortened as the builder grows.

Every part of the language becomes a step. A builder that met one it cannot carry
out would have to leave it out, so lowering asks here first and refuses by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from dissolver.dockerfile.ast import Instruction
from dissolver.errors import NotSupportedYet, Where
from dissolver.plan.steps import RunStep, Step


class Feature(msgspec.Struct, frozen=True):
    """A part of the language: what to call it, the flag that asks for it, and what to try."""

    name: str
    is_used: Callable[[Step], bool]
    flag: str | None = None
    hint: str | None = None


NOT_CARRIED_OUT: tuple[Feature, ...] = (
    Feature("`RUN --security=insecure`",
            lambda step: isinstance(step, RunStep) and step.security == "insecure", "security"),
)  # fmt: skip
"""What the builder does not do yet. Take a line out when it does."""


def check_carried_out(instruction: Instruction, step: Step) -> None:
    """Check that the builder can do ``step``, which ``instruction`` asks for.

    Raises:
        NotSupportedYet: it cannot; the message names what.
    """
    for feature in NOT_CARRIED_OUT:
        if feature.is_used(step):
            raise NotSupportedYet(
                f"{feature.name} is not supported yet",
                hint=feature.hint,
                where=next(_places(instruction, feature.flag), instruction.where),
            )


def check_triggers(texts: tuple[str, ...], is_fired: bool, where: Where) -> None:
    """Check that the triggers of a base image are not left out.

    Raises:
        NotSupportedYet: there are some, and nobody gave them to the graph.
    """
    if texts and not is_fired:
        raise NotSupportedYet(
            "the `ONBUILD` instructions of the base image are not carried out here", where=where
        )


def _places(instruction: Instruction, flag: str | None) -> Iterator[Where]:
    for given in instruction.statement.flags:
        if given.name == flag:
            yield instruction.where_of(given)
