"""Steps that run more often than they have to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dissolver.dockerfile.ast import Arg, Command, Env, Instruction, Label, Run, Word
from dissolver.plan.checks import rules
from dissolver.plan.checks.context import is_broad, local_sources
from dissolver.plan.checks.ecosystems import Ecosystem, installer_of, is_slow, prepared_by
from dissolver.plan.checks.findings import Edit, Finding
from dissolver.plan.checks.subject import Listing, Point, Subject

# Names of arguments whose value is another one in every build. `CACHEBUST` and the like are
# left out: those who write them want their steps to run again.
_CHANGING = (
    r"(?:^|_)(?:(?:git|vcs|ci|build|source|code)_?(?:sha|hash|ref|rev|revision|commit|number|date|"
    r"time|timestamp|id|tag|version)|commit(?:_?(?:sha|hash|id|ref))?|revision|timestamp|sha|"
    r"short_?sha|date|buildnumber)$"
)

_APT_UPDATE = r"\bapt(?:-get)?(?:\s+-\S+)*\s+update\b"
_APT_INSTALL = r"\bapt(?:-get)?(?:\s+-\S+)*\s+(?:install|build-dep|upgrade|dist-upgrade)\b"
_ONLY_UPDATE = r"apt(?:-get)?(?:\s+-[\w-]+)*\s+update(?:\s+-[\w-]+)*"
_OTHER_OPERATORS = r";|\|\||(?<!&)&(?!&)|\n|#|\|"


def text_of(command: Command) -> str:
    """Return what a command does, heredocs included, for a search."""
    bodies = "".join(f"\n{heredoc.content}" for heredoc in command.heredocs)
    return " ".join(command.words) + bodies


class InstallWatch:
    """Watches stages for a COPY of everything in front of an install that needs a few files."""

    def __init__(self) -> None:
        self._stage = -1
        self._broad: Point | None = None
        self._prepared: set[str] = set()

    def see(self, point: Point) -> Iterator[Finding]:
        """Look at the next instruction; the finding is told at the COPY."""
        if point.stage.index != self._stage:
            self._stage, self._broad, self._prepared = point.stage.index, None, set()
        instruction = point.instruction
        if isinstance(instruction, Run):
            command = text_of(instruction.command)
            if self._broad is None:
                self._prepared |= prepared_by(command)
                return
            found = installer_of(command)
            has_cache = any("type=cache" in mount.text for mount in instruction.mounts)
            if found is None or has_cache or found[0].name in self._prepared:
                return
            yield from _broad_copy(self._broad, *found)
            self._prepared.add(found[0].name)
        elif self._broad is None and any(is_broad(source) for source in local_sources(point)):
            self._broad = point


def _broad_copy(point: Point, ecosystem: Ecosystem, command: str) -> Iterator[Finding]:
    files = _manifests(point.subject.listing, ecosystem)
    if not files:
        return
    shown = ", ".join(f"`{name}`" for name in files)
    how = f", and run {ecosystem.hint} on them" if ecosystem.hint else ""
    yield Finding(
        rules.COPY_BEFORE_INSTALL,
        f"`{command}` runs again whenever any file changes; copy {shown} first{how}, "
        "and everything else behind it",
        point.instruction.where,
    )


def _manifests(listing: Listing | None, ecosystem: Ecosystem) -> tuple[str, ...]:
    """Name the files that decide about dependencies.

    Where the context is known, only those that are there; none of them means that the
    project lies deeper, or has no dependencies.
    """
    if listing is None:
        return ecosystem.manifests[:2]
    there = listing.visible
    return tuple(name for name in ecosystem.manifests if name in there or f"{name}/" in there)


def changing_arguments(subject: Subject) -> Iterator[Finding]:
    """Find arguments that change with every build in front of slow steps that never name them."""
    for stage in subject.graph.needed:
        for index, instruction in enumerate(stage.instructions):
            if not isinstance(instruction, Arg):
                continue
            for definition in instruction.definitions:
                name = definition.name.text
                if not re.search(_CHANGING, name, re.IGNORECASE):
                    continue
                slow = _slow_behind(stage.instructions[index + 1 :], name)
                if slow is not None:
                    yield Finding(
                        rules.CHANGING_ARG_BEFORE_RUN,
                        f"`{name}` changes with every build, and so the step on line "
                        f"{slow.statement.line}, which never names it, is never cached; move "
                        "the `ARG` down to where it is used",
                        instruction.where,
                    )


def _slow_behind(instructions: Sequence[Instruction], name: str) -> Run | None:
    """Find the first slow RUN in front of the first instruction that uses the argument.

    A variable that is made of it changes as often, and is a further name of it. A label
    uses nothing: it can move as well.
    """
    names = [name]
    for instruction in instructions:
        mention = re.compile(rf"\b(?:{'|'.join(re.escape(each) for each in names)})\b")
        if _mentions(instruction, mention):
            if isinstance(instruction, Env):
                names += [
                    pair.name.text for pair in instruction.pairs if mention.search(pair.value.text)
                ]
            elif not isinstance(instruction, Label):
                return None
        elif isinstance(instruction, Run) and is_slow(text_of(instruction.command)):
            return instruction
    return None


def _mentions(instruction: Instruction, mention: re.Pattern[str]) -> bool:
    statement = instruction.statement
    bodies = any(mention.search(heredoc.body) for heredoc in statement.heredocs)
    return bodies or mention.search(statement.text) is not None


def apart_updates(subject: Subject) -> Iterator[Finding]:
    """Find ``apt-get update`` in another step than the install that needs its lists."""
    for stage in subject.graph.needed:
        update: Run | None = None
        previous: Instruction | None = None
        for instruction in stage.instructions:
            if isinstance(instruction, Run):
                command = text_of(instruction.command)
                is_apt = "apt" in command
                updates = is_apt and re.search(_APT_UPDATE, command) is not None
                installs = is_apt and re.search(_APT_INSTALL, command) is not None
                if update is not None and installs and not updates:
                    joined = _joined(update, instruction) if previous is update else ()
                    yield Finding(
                        rules.APT_UPDATE_APART,
                        "`apt-get update` is cached apart from the install on line "
                        f"{instruction.statement.line}, which finds no package any more once "
                        "the lists are old; run both in one step",
                        update.where,
                        joined,
                    )
                    update = None
                if updates:
                    update = None if installs else instruction
            previous = instruction


def _joined(update: Run, install: Run) -> tuple[Edit, ...]:
    """Join two steps with ``&&``, where that changes nothing but their number."""
    first, second = update.statement, install.statement
    is_plain = all(
        run.command.is_shell and not run.command.heredocs and not run.statement.flags
        for run in (update, install)
    )
    if not is_plain or first.end_line + 1 != second.line or second.comments:
        return ()
    if not re.fullmatch(_ONLY_UPDATE, first.rest.text):
        return ()
    if re.search(_OTHER_OPERATORS, second.rest.text):
        return ()
    end = first.where_of(first.rest)
    begin = second.where_of(Word(second.rest.text[:1], second.rest.start, second.rest.start + 1))
    if end.column is None or begin.column is None or first.line != first.end_line:
        return ()
    if begin.line != second.line or end.length != len(first.rest.text):
        return ()
    return (Edit(end.line, end.column + end.length, begin.line, begin.column, " && "),)
