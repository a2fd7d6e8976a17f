"""What a Dockerfile says: its instructions, each with its place in the text.

A ``Statement`` is one logical line, cut into keyword, flags and words; that much
works for any text. An ``Instruction`` is a statement that was understood. Offsets
count characters of the logical line, in which continued lines are joined;
``Statement.where_of`` turns them back into lines and columns of the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import msgspec

from dissolver.dockerfile.source import Source
from dissolver.errors import Where

_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


class Word(msgspec.Struct, frozen=True):
    """A part of a logical line as it is written: quotes kept, variables not replaced."""

    text: str
    start: int
    end: int


class Flag(msgspec.Struct, frozen=True):
    """A word that begins with ``--``, quotes removed; ``value`` is ``None`` without ``=``."""

    text: str
    name: str
    value: str | None
    start: int
    end: int


class Piece(msgspec.Struct, frozen=True):
    """Where a run of characters of a logical line comes from."""

    start: int
    line: int
    column: int


class Heredoc(msgspec.Struct, frozen=True):
    """A document inside the Dockerfile: ``<<NAME`` and the lines up to ``NAME``.

    ``body`` is as written, with line ends; ``expands`` says that the name was not
    quoted. Lines are those of the body, ``end_line`` that of the terminator.
    """

    name: str
    body: str
    expands: bool
    strips_tabs: bool
    descriptor: int
    line: int
    end_line: int

    @property
    def content(self) -> str:
        """The body without the leading tabs that ``<<-`` takes off."""
        if not self.strips_tabs:
            return self.body
        return _LEADING_TABS.sub("", self.body)


class Statement(msgspec.Struct, frozen=True):
    """One logical line: keyword, flags, the rest, and what follows it.

    ``text`` is the logical line without the white space around it. ``rest`` is the
    part behind the flags. ``words`` is the rest cut up as the keyword demands;
    ``is_json`` says that it was a JSON array. ``comments`` are the lines of the
    comment block right above.
    """

    source: Source
    keyword: str
    text: str
    line: int
    end_line: int
    pieces: tuple[Piece, ...]
    flags: tuple[Flag, ...] = ()
    rest: Word = Word("", 0, 0)
    words: tuple[Word, ...] = ()
    is_json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    has_blank_continuation: bool = False
    trigger: Statement | None = None

    @property
    def name(self) -> str:
        """The keyword in capitals."""
        return self.keyword.upper()

    @property
    def where(self) -> Where:
        """All lines of the statement, heredocs included."""
        return self.source.where(self.line, self.end_line)

    def where_of(self, part: Word | Flag) -> Where:
        """The line and columns of a part; the whole statement if it has no width."""
        if part.end <= part.start:
            return self.where
        starts = [piece.start for piece in self.pieces]
        index = bisect_right(starts, part.start) - 1
        piece = self.pieces[index]
        end = part.end
        if index + 1 < len(starts):
            end = min(end, starts[index + 1])
        column = piece.column + part.start - piece.start
        return self.source.where(piece.line, column=column, length=end - part.start)


class Instruction(msgspec.Struct, frozen=True):
    """A statement that was understood."""

    statement: Statement

    @property
    def name(self) -> str:
        """The keyword in capitals."""
        return self.statement.name

    @property
    def where(self) -> Where:
        """All lines of the instruction."""
        return self.statement.where

    def where_of(self, part: Word | Flag | None) -> Where:
        """The place of a part, or of the whole instruction."""
        return self.statement.where if part is None else self.statement.where_of(part)


class Command(msgspec.Struct, frozen=True):
    """What RUN, CMD, ENTRYPOINT or HEALTHCHECK start.

    In exec form ``words`` are the arguments. In shell form ``words`` has one text
    for the shell, or none.
    """

    words: tuple[str, ...]
    is_shell: bool
    heredocs: tuple[Heredoc, ...] = ()


class Pair(msgspec.Struct, frozen=True):
    """A name and its value in ENV or LABEL."""

    name: Word
    value: Word


class ArgDefinition(msgspec.Struct, frozen=True):
    """A name in ARG, and its default if it has one."""

    name: Word
    default: Word | None


class From(Instruction, frozen=True):
    """FROM: the base of a stage, its name, and the platform asked for."""

    image: Word
    alias: Word | None = None
    platform: Word | None = None


class Run(Instruction, frozen=True):
    """RUN: a command and how it is run."""

    command: Command
    mounts: tuple[Word, ...] = ()
    network: Word | None = None
    security: Word | None = None
    devices: tuple[Word, ...] = ()


class Transfer(Instruction, frozen=True):
    """What COPY and ADD have in common."""

    sources: tuple[Word, ...]
    destination: Word
    heredocs: tuple[Heredoc, ...] = ()
    chown: Word | None = None
    chmod: Word | None = None
    is_linked: bool = False
    keeps_parents: bool = False
    excludes: tuple[Word, ...] = ()


class Copy(Transfer, frozen=True):
    """COPY: files of the context, of a stage, or of an image."""

    origin: Word | None = None


class Add(Transfer, frozen=True):
    """ADD: files of the context, archives, URLs or git repositories."""

    checksum: Word | None = None
    keeps_git_directory: bool | None = None
    unpacks: bool | None = None


class Env(Instruction, frozen=True):
    """ENV: variables of the image; ``is_legacy`` is the form without ``=``."""

    pairs: tuple[Pair, ...]
    is_legacy: bool = False


class Label(Instruction, frozen=True):
    """LABEL: what the image says about itself."""

    pairs: tuple[Pair, ...]
    is_legacy: bool = False


class Arg(Instruction, frozen=True):
    """ARG: variables of the build."""

    definitions: tuple[ArgDefinition, ...]


class Cmd(Instruction, frozen=True):
    """CMD: what a container starts, or the arguments of its entrypoint."""

    command: Command


class Entrypoint(Instruction, frozen=True):
    """ENTRYPOINT: what a container always starts."""

    command: Command


class Expose(Instruction, frozen=True):
    """EXPOSE: ports that the image listens on."""

    ports: tuple[Word, ...]


class Volume(Instruction, frozen=True):
    """VOLUME: directories that outlive a container."""

    paths: tuple[Word, ...]


class User(Instruction, frozen=True):
    """USER: who runs what follows."""

    user: Word


class Workdir(Instruction, frozen=True):
    """WORKDIR: where what follows runs."""

    path: Word


class StopSignal(Instruction, frozen=True):
    """STOPSIGNAL: how a container is asked to end."""

    signal: Word


class Shell(Instruction, frozen=True):
    """SHELL: what shell forms are handed to."""

    words: tuple[str, ...]


class Maintainer(Instruction, frozen=True):
    """MAINTAINER: the author of the image."""

    author: Word


class Healthcheck(Instruction, frozen=True):
    """HEALTHCHECK: how to tell that a container works; no command means NONE.

    Times are in nanoseconds, 0 where nothing was said.
    """

    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Onbuild(Instruction, frozen=True):
    """ONBUILD: an instruction for the images built on this one, and its text."""

    trigger: Instruction
    expression: str


class Directive(msgspec.Struct, frozen=True):
    """A parser directive: ``# name=value`` at the top of the file."""

    name: str
    value: str
    line: int


class Dockerfile(msgspec.Struct, frozen=True):
    """A whole file, understood."""

    source: Source
    instructions: tuple[Instruction, ...]
    directives: tuple[Directive, ...] = ()
    escape: str = "\\"

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.source.name

    @property
    def where(self) -> Where:
        """The whole file, without its text: for errors that no line makes."""
        return Where(self.source.name, 1, 1)
