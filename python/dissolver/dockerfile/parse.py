"""From the text of a Dockerfile to its instructions."""

from __future__ import annotations

from dissolver.dockerfile.ast import Arg, Dockerfile, From, Instruction
from dissolver.dockerfile.instructions import read_instruction
from dissolver.dockerfile.statements import read_statements
from dissolver.errors import DockerfileError


def parse(text: str, *, name: str = "Dockerfile") -> Dockerfile:
    """Read a whole Dockerfile.

    Every instruction of the language is understood and checked as far as that is
    possible without values of variables; nothing is expanded. Any text gives an
    answer or a ``DockerfileError`` with a place, never another exception.

    Raises:
        DockerfileError: the file is not a Dockerfile.
    """
    cut = read_statements(text, name)
    instructions = tuple(read_instruction(statement) for statement in cut.statements)
    _check_beginning(instructions)
    return Dockerfile(cut.source, instructions, cut.directives, cut.escape)


def parse_instructions(text: str, *, name: str) -> tuple[Instruction, ...]:
    """Read instructions that belong to no Dockerfile, such as those of ``import --change``.

    Raises:
        DockerfileError: as ``parse``.
    """
    cut = read_statements(text, name)
    return tuple(read_instruction(statement) for statement in cut.statements)


def _check_beginning(instructions: tuple[Instruction, ...]) -> None:
    for instruction in instructions:
        if isinstance(instruction, From):
            return
        if not isinstance(instruction, Arg):
            raise DockerfileError(
                f"`{instruction.name}` stands before the first `FROM`",
                where=instruction.where,
                hint="start with `FROM IMAGE`; only `ARG` may come before it",
            )
    raise DockerfileError(
        "there is no `FROM`",
        where=instructions[-1].where,
        hint="name the image to build on with `FROM IMAGE`",
    )
