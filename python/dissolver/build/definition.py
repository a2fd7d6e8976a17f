"""The Dockerfile and the ignore rules of a build: found, read, and bounded."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.build.beneath import LeadsOut, open_beneath
from dissolver.dockerfile.source import decode_source
from dissolver.errors import BuildError, ContextError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissolver.build.request import BuildRequest

DEFAULT_NAMES = ("Dockerfile", "dockerfile")

# Far beyond any real one, heredocs included, and little enough to hold in memory.
DOCKERFILE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Definition:
    """A Dockerfile's text, what to call it in messages, and its size in bytes.

    ``path`` is absolute, or ``None`` where the text came without a file.
    """

    text: str
    name: str
    size: int
    path: Path | None


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The text of the ignore file in effect, and where it lies if there is one."""

    text: str
    size: int
    path: Path | None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return ".dockerignore" if self.path is None else self.path.name


_FETCHED = ("http://", "https://", "git://", "ssh://")


def check_context(path: str) -> Path:
    """Answer the absolute path of the context directory, without symbolic links.

    Raises:
        ContextError: it does not exist, or is no directory.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        if path == "-" or path.startswith(_FETCHED):
            raise ContextError(
                f"`{path}` is no directory of this machine",
                hint="only a build fetches or receives its context: check a directory",
            ) from None
        if "://" in path:
            raise ContextError(
                f"nothing can be fetched from `{path}`",
                hint="a context is a directory, `-`, an `https://` address or a git repository",
            ) from None
        raise ContextError(
            f"the build context `{path}` does not exist",
            hint="the last argument of a build is the directory to copy files from, such as `.`",
        ) from None
    except OSError as error:
        raise ContextError(f"cannot read the build context `{path}`: {_why(error)}") from error
    if not stat.S_ISDIR(mode):
        raise ContextError(
            f"the build context `{path}` is not a directory",
            hint="name the directory, and the Dockerfile with `-f`",
        )
    return Path(path).resolve()


def read_definition(request: BuildRequest, context: Path) -> Definition:
    """Read the Dockerfile that ``request`` names, or else the context's own.

    Raises:
        BuildError: there is none, or it cannot be read.
    """
    if request.dockerfile_text is not None:
        size = len(request.dockerfile_text.encode(errors="surrogateescape"))
        return Definition(request.dockerfile_text, "Dockerfile", size, None)
    path, inside = _find(request.dockerfile, context)
    data = _read(path) if inside is None else _read_beneath(context, inside)
    return Definition(decode_source(data), _shown(path, context), len(data), path)


def read_ignore_file(definition: Definition, context: Path) -> IgnoreFile:
    """Read the ignore file in effect; an empty text stands for none.

    One named after the Dockerfile, next to it, wins over the context's.

    Raises:
        BuildError: it cannot be read as text.
    """
    candidates = [(context, ".dockerignore")]
    path = definition.path
    if path is not None:
        name = path.name + ".dockerignore"
        # Nobody has named this one: it may not lead further than to its own directory.
        beside = (path.parent, name)
        if path.is_relative_to(context):
            beside = (context, str(path.parent.relative_to(context) / name))
        candidates.insert(0, beside)
    return _first_ignore_file(candidates)


def _first_ignore_file(candidates: Sequence[tuple[Path, str]]) -> IgnoreFile:
    for root, inside in candidates:
        path = root / inside
        if not os.path.lexists(path):
            continue
        data = _read_beneath(root, inside, is_ignore_file=True)
        try:
            return IgnoreFile(data.decode("utf-8-sig"), len(data), path)
        except UnicodeDecodeError:
            raise BuildError(f"the ignore file `{path}` is not UTF-8 text") from None
    return IgnoreFile("", 0, None)


def read_ignore_beside(context: Path) -> IgnoreFile:
    """Read the ignore file of a context that has no Dockerfile; an empty text stands for none.

    Raises:
        BuildError: it cannot be read as text.
    """
    return _first_ignore_file([(context, ".dockerignore")])


def find_in_layers(request: BuildRequest, read: Callable[..., bytes | None]) -> Definition:
    """Read the Dockerfile of a context that is no directory.

    ``read`` gives the content of a file of the context, or nothing where there is none.

    Raises:
        BuildError: there is none.
    """
    named = request.dockerfile
    for name in (named,) if named is not None else DEFAULT_NAMES:
        data = read(f"/{name.lstrip('/')}", limit=DOCKERFILE_BYTES)
        if data is not None:
            return Definition(decode_source(data), name, len(data), None)
    what = "no Dockerfile" if named is None else f"no file `{named}`"
    raise BuildError(
        f"there is {what} in the build context",
        hint="`-f` takes a path inside of what is fetched or received",
    )


def _find(named: str | None, context: Path) -> tuple[Path, str | None]:
    """Find the Dockerfile, and where in the context it lies if it is there.

    One that the caller names elsewhere is theirs, with all links that lead to it.
    """
    if named is not None:
        path = Path(named).absolute()
        if not os.path.lexists(path):
            beside = context / named
            hint = f"it lies in the context: use `-f {beside}`" if beside.exists() else None
            raise BuildError(
                f"the Dockerfile `{named}` does not exist",
                hint=hint or "`-f` takes a path relative to the current directory",
            )
        # By the words it is called with, or by where its directory really is.
        for place in (Path(os.path.normpath(path)), path.parent.resolve() / path.name):
            if place.is_relative_to(context):
                return place, str(place.relative_to(context))
        return path, None
    for name in DEFAULT_NAMES:
        # A dangling link is found too: reading it tells more than "there is none".
        if os.path.lexists(context / name):
            return context / name, name
    raise BuildError(
        f"there is no Dockerfile in `{context}`",
        hint="create a file named `Dockerfile` there, or name one with `-f`",
    )


def _read(path: Path) -> bytes:
    """Read a file that the caller named."""
    # A pipe such as `-f <(generate)` is read; any other has no writer and would wait.
    waits = path.is_relative_to("/dev")
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if waits else os.O_NONBLOCK)
    try:
        return _content(os.open(path, flags), path, takes_all=waits)
    except _NoFile:
        raise BuildError(f"`{path}` is not a regular file") from None
    except OSError as error:
        raise BuildError(f"cannot read `{path}`: {_why(error)}") from error


def _read_beneath(root: Path, inside: str, *, is_ignore_file: bool = False) -> bytes:
    """Read a file of a directory, wherever that has its content from.

    What is read is quoted in messages, so a link may not lead to what is no part of it.
    """
    path = root / inside
    elsewhere = "" if is_ignore_file else ", or name it with `-f` where it is"
    try:
        return _content(open_beneath(root, inside), path)
    except LeadsOut as error:
        raise BuildError(
            f"`{root / error.link}` is a symbolic link that leads out of `{root}`",
            hint=f"put the file itself there{elsewhere}",
        ) from None
    except OSError as error:
        if is_ignore_file and error.errno != errno.EACCES:
            raise BuildError(
                f"the ignore file `{path}` is not a file",
                hint="as if there were none, all that it should exclude would be copied",
            ) from error
        if isinstance(error, _NoFile):
            raise BuildError(f"`{path}` is not a regular file") from None
        raise BuildError(f"cannot read `{path}`: {_why(error)}") from error


class _NoFile(OSError):
    """Something that is opened, and no ordinary file."""


def _content(descriptor: int, path: Path, *, takes_all: bool = False) -> bytes:
    try:
        if not takes_all and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _NoFile
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(DOCKERFILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > DOCKERFILE_BYTES:
        raise BuildError(f"`{path}` is larger than {DOCKERFILE_BYTES // 1024 // 1024} MiB")
    return data


def _shown(path: Path, context: Path) -> str:
    """Name the file as briefly as is clear: relative to the context when inside."""
    return str(path.relative_to(context)) if path.is_relative_to(context) else str(path)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
