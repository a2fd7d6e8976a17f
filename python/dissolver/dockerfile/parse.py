"""From the text of a Dockerfile to its instructions."""

from __future__ import annotations

from dissolver.dockerfile.ast import Arg, Dockerfile, From, Instruction, Statement
from dissolver.dockerfile.faults import Faults
from dissolver.dockerfile.instructions import read_instruction
from dissolver.dockerfile.statements import read_statements
from dissolver.errors import DockerfileError, UnknownInstruction

_OFTEN_CONTINUED = ("RUN", "COPY", "ADD", "ENV", "LABEL", "CMD", "ENTRYPOINT", "HEALTHCHECK")
"""Instructions that people write on several lines."""


def parse(text: str, *, name: str = "Dockerfile") -> Dockerfile:
    """Read a whole Dockerfile.

    Every instruction of the language is understood and checked as far as that is
    possible without values of variables; nothing is expanded. Any text gives an
    answer or a ``DockerfileError`` with a place, never another exception.

    Raises:
        DockerfileError: the file is not a Dockerfile.
        DockerfileErrors: there are several mistakes in it.
    """
    faults = Faults()
    cut = read_statements(text, name, faults)
    instructions = _read_instructions(cut.statements, cut.escape, faults)
    if not faults:
        _check_beginning(instructions)
    faults.raise_any()
    return Dockerfile(cut.source, instructions, cut.directives, cut.escape)


def _read_instructions(
    statements: tuple[Statement, ...], escape: str, faults: Faults
) -> tuple[Instruction, ...]:
    instructions: list[Instruction] = []
    previous: Statement | None = None
    is_known = True
    for statement in statements:
        try:
            instructions.append(read_instruction(statement))
            is_known = True
        except UnknownInstruction as error:
            # Lines of a continuation that was forgotten all look like instructions.
            if is_known:
                error.hint = error.hint or _continuation_hint(previous, statement, escape)
                faults.add(error)
            is_known = False
        except DockerfileError as error:
            faults.add(error)
            is_known = True
        previous = statement
    return tuple(instructions)


def _continuation_hint(previous: Statement | None, statement: Statement, escape: str) -> str | None:
    if previous is None or previous.name not in _OFTEN_CONTINUED or previous.heredocs:
        return None
    if previous.end_line + 1 != statement.line:
        return None
    return f"to continue `{previous.name}`, end line {previous.end_line} with `{escape}`"


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
