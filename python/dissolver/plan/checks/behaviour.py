"""What instructions do: variables, commands, directories, secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dissolver.dockerfile.ast import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Run,
    StopSignal,
    User,
    Volume,
    Word,
    Workdir,
)
from dissolver.dockerfile.expand import expand_words, unset_in_document
from dissolver.dockerfile.ignore import clean_path
from dissolver.dockerfile.suggest import nearest
from dissolver.errors import DockerfileError
from dissolver.plan.arguments import NOT_IN_ENVIRONMENT
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Edit, Finding, removing_lines, replacing
from dissolver.plan.checks.subject import Point, Subject
from dissolver.plan.scope import joined_path

MOST_COMPARED = 200
"""Variables up to which a misspelt one is compared with all of them: 1,000 take 4 ms."""

_SECRET = frozenset(
    ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd")
) | frozenset(("secret", "token"))
_HARMLESS = frozenset(("public", "file", "version"))

# Words that a shell would hand to a program as they are.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@%+,=-")
_SHELL_BUILTINS = frozenset(
    ("cd", "exec", "exit", "export", "set", "source", "umask", "unset", "ulimit", "trap", "eval")
) | frozenset((".", ":", "wait", "command", "read", "shift", "alias", "type", "jobs"))


def undefined_variables(point: Point) -> Iterator[Finding]:
    """Find variables in expanded words that nothing has set."""
    if not point.knows_base:
        return
    scope = point.scope
    unset = dict.fromkeys(_unset_names(point))
    for name in unset:
        if name in scope.args or name in NOT_IN_ENVIRONMENT:
            continue
        meant = nearest(name, scope.env) if len(scope.env) <= MOST_COMPARED else None
        offer = f" (did you mean ${meant}?)" if meant else ""
        yield Finding(
            rules.UNDEFINED_VAR,
            f"Usage of undefined variable '${name}'{offer}",
            point.instruction.where,
        )


def _unset_names(point: Point) -> Iterator[str]:
    escape = point.subject.dockerfile.escape
    env = point.scope.env
    for word in expanded_words(point.instruction):
        if "$" not in word.text:
            continue
        try:
            yield from sorted(expand_words(word.text, env, escape).unset)
        except DockerfileError:
            continue
    if isinstance(point.instruction, Copy | Add):
        for document in point.instruction.heredocs:
            if document.expands and "$" in document.body:
                yield from sorted(unset_in_document(document.content, env))


def expanded_words(instruction: Instruction) -> Iterator[Word]:
    """Yield the words of an instruction that the builder expands."""
    match instruction:
        case Env() | Label():
            for pair in instruction.pairs:
                yield pair.name
                yield pair.value
        case Arg():
            for definition in instruction.definitions:
                if definition.default is not None:
                    yield definition.default
        case Copy() | Add():
            yield from instruction.sources
            yield instruction.destination
            yield from (word for word in (instruction.chown, instruction.chmod) if word)
            if isinstance(instruction, Add) and instruction.checksum is not None:
                yield instruction.checksum
        case Expose():
            yield from instruction.ports
        case Volume():
            yield from instruction.paths
        case User():
            yield instruction.user
        case Workdir():
            yield instruction.path
        case StopSignal():
            yield instruction.signal
        case Run():
            yield from instruction.mounts


def shell_commands(point: Point) -> Iterator[Finding]:
    """Find CMD and ENTRYPOINT in shell form where the shell is the default one."""
    instruction = point.instruction
    if not isinstance(instruction, Cmd | Entrypoint) or not instruction.command.is_shell:
        return
    if point.scope.run.shell:
        return
    yield Finding(
        rules.JSON_ARGS_RECOMMENDED,
        f"JSON arguments recommended for {instruction.statement.keyword} to prevent unintended "
        "behavior related to OS signals",
        instruction.where,
        _as_json(point, instruction),
    )


def _as_json(point: Point, instruction: Cmd | Entrypoint) -> tuple[Edit, ...]:
    """Rewrite a command whose words mean the same with and without a shell.

    An entrypoint in exec form hands on what a command says, and one in shell form does
    not: where the stage has both, somebody has to decide.
    """
    other = Entrypoint if isinstance(instruction, Cmd) else Cmd
    if any(isinstance(item, other) for item in point.stage.all_instructions):
        return ()
    words = " ".join(instruction.command.words).split()
    if not words or not all(_PLAIN.issuperset(word) for word in words):
        return ()
    if words[0] in _SHELL_BUILTINS or "=" in words[0] or instruction.command.heredocs:
        return ()
    return replacing(instruction, instruction.statement.rest, json.dumps(words))


def relative_directories(point: Point) -> Iterator[Finding]:
    """Find a first WORKDIR that depends on the base image's."""
    instruction = point.instruction
    if not isinstance(instruction, Workdir) or point.has_workdir:
        return
    path = point.scope.expand(instruction, instruction.path)
    if path.startswith("/"):
        return
    absolute = clean_path(joined_path(point.scope.directory, path))
    can_fix = point.knows_base and path == instruction.path.text
    yield Finding(
        rules.WORKDIR_RELATIVE_PATH,
        f'Relative workdir "{path}" can have unexpected results if the base image changes',
        instruction.where,
        replacing(instruction, instruction.path, absolute) if can_fix else (),
    )


def repeated_instructions(subject: Subject) -> Iterator[Finding]:
    """Find CMD, ENTRYPOINT and HEALTHCHECK that a later one of the stage replaces."""
    for stage in subject.graph.needed:
        last: dict[str, Instruction] = {}
        for instruction in stage.instructions:
            if not isinstance(instruction, Cmd | Entrypoint | Healthcheck):
                continue
            earlier = last.get(instruction.name)
            if earlier is not None:
                statement = earlier.statement
                yield Finding(
                    rules.MULTIPLE_INSTRUCTIONS_DISALLOWED,
                    f"Multiple {statement.keyword} instructions should not be used in the same "
                    "stage because only the last one will be used",
                    earlier.where,
                    (removing_lines(statement.line, statement.end_line),),
                )
            last[instruction.name] = instruction


def secret_names(point: Point) -> Iterator[Finding]:
    """Find ARG and ENV whose names say that they hold a secret."""
    instruction = point.instruction
    names: list[str] = []
    if isinstance(instruction, Env):
        names = [point.scope.expand(instruction, pair.name) for pair in instruction.pairs]
    elif isinstance(instruction, Arg):
        names = [definition.name.text for definition in instruction.definitions]
    for name in names:
        parts = set(name.lower().split("_"))
        if parts & _SECRET and not parts & _HARMLESS:
            yield Finding(
                rules.SECRETS_USED_IN_ARG_OR_ENV,
                "Do not use ARG or ENV instructions for sensitive data "
                f'({instruction.name} "{name}")',
                instruction.where,
            )
