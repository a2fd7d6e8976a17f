"""What this version builds: the rest of the language is understood, and refused by name."""

from __future__ import annotations

from dissolver.dockerfile.ast import Add, Copy, Instruction, Onbuild, Run
from dissolver.dockerfile.heredoc import parse_marker
from dissolver.errors import NotSupportedYet


def check_supported(instruction: Instruction) -> None:
    """Check that ``instruction`` can be built.

    Raises:
        NotSupportedYet: it cannot; the message names the instruction or its flag.
    """
    if isinstance(instruction, Add):
        raise _refusal(instruction, "`ADD`", "use `COPY` for files of the context")
    if isinstance(instruction, Onbuild):
        raise _refusal(instruction, "`ONBUILD`", "write the instruction in the file that needs it")
    if isinstance(instruction, Run):
        _check_run(instruction)
    if isinstance(instruction, Copy):
        _check_copy(instruction)


def _check_run(run: Run) -> None:
    for flag in run.statement.flags:
        if flag.name in ("mount", "security", "device"):
            raise NotSupportedYet(
                f"`RUN --{flag.name}` is not supported yet", where=run.where_of(flag)
            )
    heredocs = run.command.heredocs
    if heredocs and heredocs[0].content.startswith("#!") and _is_only_heredoc(run):
        raise _refusal(
            run,
            "`RUN` of a heredoc that begins with `#!`",
            f"hand it to its program: `RUN PROGRAM <<{heredocs[0].name}`",
        )


def _is_only_heredoc(run: Run) -> bool:
    return bool(run.command.words) and parse_marker(run.command.words[0]) is not None


def _check_copy(copy: Copy) -> None:
    if copy.heredocs:
        raise _refusal(copy, "`COPY` of a heredoc", "write the text with `RUN cat <<EOF >FILE`")
    claims = {"link": copy.is_linked, "parents": copy.keeps_parents, "exclude": True}
    for flag in copy.statement.flags:
        if claims.get(flag.name, False):
            raise NotSupportedYet(
                f"`COPY --{flag.name}` is not supported yet", where=copy.where_of(flag)
            )


def _refusal(instruction: Instruction, what: str, hint: str) -> NotSupportedYet:
    return NotSupportedYet(f"{what} is not supported yet", hint=hint, where=instruction.where)
