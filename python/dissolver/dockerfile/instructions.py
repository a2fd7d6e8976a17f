"""From statements to instructions: what each keyword demands of its words and flags."""

from __future__ import annotations

import re
from collections.abc import Callable

from dissolver.dockerfile import ast
from dissolver.dockerfile.ast import Command, Heredoc, Instruction, Statement, Word
from dissolver.dockerfile.durations import parse_duration
from dissolver.dockerfile.flags import FlagSet
from dissolver.dockerfile.heredoc import parse_marker
from dissolver.dockerfile.pairs import read_definitions, read_pairs
from dissolver.dockerfile.statements import KEYWORDS
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import DockerfileError, UnknownInstruction

STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*", re.ASCII)
"""What a stage may be called, once it is in lower case."""

NETWORK_MODES = ("default", "none", "host")
SECURITY_MODES = ("sandbox", "insecure")

SHORTEST_INTERVAL = 1_000_000
"""Shortest time in a health check, in nanoseconds: Docker's limit."""

MOST_RETRIES = 2**31 - 1
"""Docker keeps the number of retries in 32 bits."""


def read_instruction(statement: Statement) -> Instruction:
    """Understand one statement.

    Raises:
        DockerfileError: the keyword is unknown, or its words or flags are wrong.
    """
    reader = _READERS.get(statement.name)
    if reader is None:
        raise UnknownInstruction(
            f"unknown instruction `{statement.keyword}`",
            where=statement.where_of(Word(statement.keyword, 0, len(statement.keyword))),
            hint=did_you_mean(statement.name, KEYWORDS),
        )
    return reader(statement)


def _from(statement: Statement) -> Instruction:
    flags = FlagSet(statement)
    words = statement.words
    alias: Word | None = None
    if len(words) == 3 and words[1].text.lower() == "as":
        alias = words[2]
        if STAGE_NAME.fullmatch(alias.text.lower()) is None:
            raise DockerfileError(
                f"invalid name for build stage `{alias.text}`",
                where=statement.where_of(alias),
                hint="a stage name starts with a letter and has letters, digits, `-`, `_` and `.`",
            )
    elif len(words) != 1:
        raise DockerfileError(
            "`FROM` requires either one or three arguments",
            where=statement.where,
            hint="write `FROM IMAGE` or `FROM IMAGE AS NAME`",
        )
    return ast.From(statement, words[0], alias, flags.text("platform"))


def _run(statement: Statement) -> Instruction:
    flags = FlagSet(statement)
    return ast.Run(
        statement,
        _command(statement, statement.words),
        mounts=flags.texts("mount"),
        network=_one_of(statement, flags.text("network"), NETWORK_MODES, "network mode"),
        security=_one_of(statement, flags.text("security"), SECURITY_MODES, "security mode"),
        devices=flags.texts("device"),
    )


def _one_of(
    statement: Statement, value: Word | None, known: tuple[str, ...], what: str
) -> Word | None:
    if value is not None and value.text not in known:
        listed = ", ".join(f"`{name}`" for name in known)
        raise DockerfileError(
            f"invalid {what} `{value.text}`",
            where=statement.where_of(value),
            hint=did_you_mean(value.text, known) or f"it is one of {listed}",
        )
    return value


def _command(statement: Statement, words: tuple[Word, ...]) -> Command:
    return Command(tuple(word.text for word in words), not statement.is_json, statement.heredocs)


def _cmd(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Cmd(statement, _command(statement, statement.words))


def _entrypoint(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Entrypoint(statement, _command(statement, statement.words))


def _copy(statement: Statement) -> Instruction:
    flags = FlagSet(statement)
    sources, destination, heredocs = _sources_and_destination(statement)
    return ast.Copy(
        statement,
        sources,
        destination,
        heredocs=heredocs,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        is_linked=flags.claim("link") or False,
        keeps_parents=flags.claim("parents") or False,
        excludes=flags.texts("exclude"),
        origin=flags.text("from"),
    )


def _add(statement: Statement) -> Instruction:
    flags = FlagSet(statement)
    sources, destination, heredocs = _sources_and_destination(statement)
    return ast.Add(
        statement,
        sources,
        destination,
        heredocs=heredocs,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        is_linked=flags.claim("link") or False,
        excludes=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keeps_git_directory=flags.claim("keep-git-dir"),
        unpacks=flags.claim("unpack"),
    )


def _sources_and_destination(
    statement: Statement,
) -> tuple[tuple[Word, ...], Word, tuple[Heredoc, ...]]:
    words = _joined_markers(statement)
    if len(words) < 2:
        given = "only one was provided" if words else "none was provided"
        raise DockerfileError(
            f"`{statement.name}` requires at least two arguments, but {given}",
            where=statement.where,
            hint=f"write `{statement.name} SOURCE… DESTINATION`",
        )
    by_name = {heredoc.name: heredoc for heredoc in statement.heredocs}
    sources: list[Word] = []
    documents: list[Heredoc] = []
    for word in words[:-1]:
        document = _document(word, by_name)
        if document is None:
            sources.append(word)
        else:
            documents.append(document)
    if _document(words[-1], by_name) is not None:
        raise DockerfileError(
            f"`{statement.name}` cannot accept a heredoc as a destination",
            where=statement.where_of(words[-1]),
        )
    return tuple(sources), words[-1], tuple(documents)


def _document(word: Word, by_name: dict[str, Heredoc]) -> Heredoc | None:
    marker = parse_marker(word.text) if by_name and "<<" in word.text else None
    return None if marker is None else by_name.get(marker.name)


def _joined_markers(statement: Statement) -> tuple[Word, ...]:
    """Join ``<<`` and the name behind a space: together they are one marker."""
    if not statement.heredocs:
        return statement.words
    joined: list[Word] = []
    for word in statement.words:
        if joined and joined[-1].text in ("<<", "<<-"):
            marker = joined.pop()
            word = Word(marker.text + word.text, marker.start, word.end)
        joined.append(word)
    return tuple(joined)


def _env(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Env(statement, *read_pairs(statement))


def _label(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Label(statement, *read_pairs(statement))


def _arg(statement: Statement) -> Instruction:
    # Flags are dropped without a word: BuildKit does not look at them here either.
    return ast.Arg(statement, read_definitions(statement))


def _expose(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Expose(statement, _at_least_one(statement))


def _volume(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Volume(statement, _at_least_one(statement))


def _at_least_one(statement: Statement) -> tuple[Word, ...]:
    if not statement.words:
        raise DockerfileError(
            f"`{statement.name}` requires at least one argument", where=statement.where
        )
    return statement.words


def _user(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.User(statement, _exactly_one(statement))


def _workdir(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Workdir(statement, _exactly_one(statement))


def _stop_signal(statement: Statement) -> Instruction:
    return ast.StopSignal(statement, _exactly_one(statement))


def _maintainer(statement: Statement) -> Instruction:
    FlagSet(statement)
    return ast.Maintainer(statement, _exactly_one(statement))


def _exactly_one(statement: Statement) -> Word:
    if len(statement.words) != 1:
        raise DockerfileError(
            f"`{statement.name}` requires exactly one argument", where=statement.where
        )
    return statement.words[0]


def _shell(statement: Statement) -> Instruction:
    FlagSet(statement)
    if not statement.is_json:
        raise DockerfileError(
            "`SHELL` requires the arguments to be in JSON form",
            where=statement.where,
            hint='write `SHELL ["/bin/bash", "-c"]`',
        )
    return ast.Shell(statement, tuple(word.text for word in _at_least_one(statement)))


def _healthcheck(statement: Statement) -> Instruction:
    if not statement.words:
        raise DockerfileError("`HEALTHCHECK` requires at least one argument", where=statement.where)
    kind, *command = statement.words
    if kind.text.upper() == "NONE":
        if command:
            raise DockerfileError("`HEALTHCHECK NONE` takes no arguments", where=statement.where)
        return ast.Healthcheck(statement, None)
    if kind.text.upper() != "CMD":
        raise DockerfileError(
            f"unknown type `{kind.text}` in `HEALTHCHECK`",
            where=statement.where_of(kind),
            hint="try `CMD`",
        )
    flags = FlagSet(statement)
    if not command:
        raise DockerfileError("missing command after `HEALTHCHECK CMD`", where=statement.where)
    return ast.Healthcheck(
        statement,
        _command(statement, tuple(command)),
        interval=_interval(statement, flags, "interval"),
        timeout=_interval(statement, flags, "timeout"),
        start_period=_interval(statement, flags, "start-period"),
        start_interval=_interval(statement, flags, "start-interval"),
        retries=_retries(statement, flags.text("retries")),
    )


def _interval(statement: Statement, flags: FlagSet, name: str) -> int:
    value = flags.text(name)
    if value is None:
        return 0
    duration = parse_duration(value.text)
    if duration is None:
        raise DockerfileError(
            f"`{value.text}` is not a duration",
            where=statement.where_of(value),
            hint="durations read `30s`, `1m30s` or `500ms`",
        )
    if duration and duration < SHORTEST_INTERVAL:
        raise DockerfileError(
            f"`--{name}` cannot be less than 1ms", where=statement.where_of(value)
        )
    return duration


def _retries(statement: Statement, value: Word | None) -> int:
    if value is None:
        return 0
    digits = value.text.removeprefix("-").removeprefix("+")
    is_number = digits.isdecimal() and digits.isascii() and len(digits) <= 10
    number = int(value.text) if is_number and len(value.text) - len(digits) <= 1 else None
    if number is None or number > MOST_RETRIES:
        raise DockerfileError(
            f"`--retries` is not a number: `{value.text}`", where=statement.where_of(value)
        )
    if number < 0:
        raise DockerfileError(
            f"`--retries` cannot be negative ({number})", where=statement.where_of(value)
        )
    return number


def _onbuild(statement: Statement) -> Instruction:
    FlagSet(statement)
    trigger = statement.trigger
    if trigger is None:
        raise DockerfileError("`ONBUILD` requires at least one argument", where=statement.where)
    if trigger.name == "ONBUILD":
        raise DockerfileError(
            "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", where=statement.where
        )
    if trigger.name in ("FROM", "MAINTAINER"):
        raise DockerfileError(
            f"`{trigger.name}` isn't allowed as an `ONBUILD` trigger", where=statement.where
        )
    documents = "".join(f"\n{heredoc.body}{heredoc.name}" for heredoc in statement.heredocs)
    return ast.Onbuild(statement, read_instruction(trigger), trigger.text + documents)


_READERS: dict[str, Callable[[Statement], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
