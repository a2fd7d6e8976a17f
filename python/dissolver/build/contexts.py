"""Where the files of a build are: a directory, an archive, a URL, a repository; by name too."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from dissolver.build.context import BuildContext
from dissolver.build.definition import (
    DOCKERFILE_BYTES,
    Definition,
    check_context,
    find_in_layers,
    read_definition,
    read_ignore_beside,
    read_ignore_file,
)
from dissolver.build.layer_context import LayerContext
from dissolver.errors import BuildError, ContextError
from dissolver.plan.git_reference import parse_git_reference
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dissolver._core.layer import View
    from dissolver.build.definition import IgnoreFile
    from dissolver.build.events import OpenVertex, Progress
    from dissolver.build.fetching import Fetcher
    from dissolver.build.layer_context import Context
    from dissolver.build.request import BuildRequest
    from dissolver.build.together import Together
    from dissolver.build.url_files import UrlFile
    from dissolver.dockerfile.ast import Dockerfile
    from dissolver.plan.git_reference import GitReference
    from dissolver.store import Store

STDIN = "-"
KEEP_GIT_ARGUMENT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
FILE_NAME = "context"
"""What the file of a fetched context is called in its layer."""

_HTTP = ("http://", "https://")
_CHUNK_BYTES = 1 << 20
_TRUE = frozenset(("1", "true", "t", "TRUE", "True", "T"))
_HUB = re.compile(r"github\.com/[^#?]+")


@dataclass(frozen=True, slots=True)
class Opened:
    """A build's own context, and its Dockerfile.

    ``vertex`` is the one that read the Dockerfile.
    """

    context: Context
    definition: Definition
    dockerfile: Dockerfile
    vertex: OpenVertex


class _Read(NamedTuple):
    definition: Definition
    dockerfile: Dockerfile
    vertex: OpenVertex


class Contexts:
    """Opens contexts for one build."""

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        progress: Progress,
        fetcher: Fetcher,
        together: Together,
    ) -> None:
        self._store = store
        self._request = request
        self._progress = progress
        self._fetcher = fetcher
        self._together = together

    def open(self) -> Opened:
        """Find the context that the request names, and read the Dockerfile; no more is listed.

        Raises:
            ContextError: it does not exist, or cannot be read.
            BuildError: there is no Dockerfile, or something cannot be fetched.
        """
        request = self._request
        if request.context_file is not None:
            return self._received(request.context_file)
        git = git_context(request.context)
        if git is not None:
            return self._defined(self._repository(git, request.context, "the build context"))
        if is_url(request.context):
            return self._behind_url(request.context)
        request.refuse_moved()
        return self._directory()

    def named(self, name: str, value: str) -> Context:
        """Open a named context: a directory, a repository, or an archive behind a URL.

        Raises:
            ContextError, BuildError: as ``open``.
        """
        title = f"the context `{name}`"
        git = git_context(value)
        if git is not None:
            return self._repository(git, value, title)
        if is_url(value):
            layer, text = self._fetched(value, f"[context {name}] load {shown(value)}")
            if text is not None:
                raise ContextError(f"`{shown(value)}` is no archive, which {title} has to be")
            return LayerContext(self._store, layer, shown(value), title, keeps_owner=True)
        self._request.refuse_moved()
        root = check_context(value)
        ignore = read_ignore_beside(root)
        return self._with_rules(root, ignore, title)

    def _directory(self) -> Opened:
        request = self._request
        root = check_context(request.context)
        read = self._reading(lambda: read_definition(request, root))
        with self._progress.vertex("[internal] load .dockerignore") as ignoring:
            with ignoring.status("transferring context:") as status:
                ignore = read_ignore_file(read.definition, root)
                # BuildKit tells 2 bytes where nothing had to be sent.
                status.reached(max(ignore.size, 2))
            context = self._with_rules(root, ignore, "the build context")
        return Opened(context, *read)

    def _with_rules(self, root: Path, ignore: IgnoreFile, title: str) -> BuildContext:
        from dissolver.dockerfile.ignore import read_ignore

        patterns = tuple(read_ignore(ignore.text, name=ignore.name))
        context = self._together.context(
            (root, ignore.name, patterns, title),
            lambda: BuildContext(root, ignore, patterns, self._store, title),
        )
        if patterns:
            context.rules  # noqa: B018 - a malformed pattern is told here
        return context

    def _reading(self, read: Callable[[], Definition]) -> _Read:
        """Read the Dockerfile; a mistake in it is the failure of the vertex that does so."""
        from dissolver.dockerfile.parse import parse

        name = (self._request.dockerfile or "Dockerfile").rpartition("/")[2]
        with self._progress.vertex(f"[internal] load build definition from {name}") as vertex:
            with vertex.status("transferring dockerfile:") as status:
                definition = self._remote_definition(vertex) or read()
                status.reached(definition.size)
            return _Read(definition, parse(definition.text, name=definition.name), vertex)

    def _remote_definition(self, vertex: OpenVertex) -> Definition | None:
        """Read a Dockerfile that ``-f`` names by its URL."""
        named = self._request.dockerfile
        if named is None or not is_url(named) or self._request.dockerfile_text is not None:
            return None
        view, file = self._file(named, vertex)
        return _definition(view.read(f"/{file.name}", limit=DOCKERFILE_BYTES), shown(named))

    def _defined(self, context: LayerContext) -> Opened:
        """Read the Dockerfile out of a context that is no directory."""
        request = self._request

        def read() -> Definition:
            if request.dockerfile_text is not None:
                return read_definition(request, Path("/"))
            return find_in_layers(request, context.read)

        return Opened(context, *self._reading(read))

    def _empty(self, text: bytes, name: str) -> Opened:
        """Take a text for the Dockerfile of a build without any files."""
        if self._request.dockerfile is not None:
            raise BuildError(
                f"`{name}` is a Dockerfile, and so is `{self._request.dockerfile}`",
                hint="leave out `-f`, or name a directory or an archive as the context",
            )
        context = LayerContext(
            self._store, None, name, "the empty build context", keeps_owner=False
        )
        return Opened(context, *self._reading(lambda: _definition(text, "Dockerfile")))

    def _received(self, descriptor: int) -> Opened:
        """Read an archive, or a Dockerfile, out of an open file such as standard input."""
        from dissolver._core.compress import is_archive

        with (
            self._progress.vertex("[internal] load remote build context") as vertex,
            self._store.workspace() as directory,
        ):
            place = directory / "received"
            with vertex.status("transferring context:") as status:
                status.reached(_spool(descriptor, place))
            opened = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not is_archive(opened):
                    text = _limited(place)
                    layer = None
                else:
                    os.lseek(opened, 0, os.SEEK_SET)
                    with explained("store the build context"):
                        layer = self._store.layers.ingest(opened).diff_id
            finally:
                os.close(opened)
        if layer is None:
            return self._empty(text, STDIN)
        context = LayerContext(self._store, layer, STDIN, "the build context", keeps_owner=True)
        self._fetcher.temporary.append(layer)
        return self._defined(context)

    def _repository(self, reference: GitReference, text: str, title: str) -> LayerContext:
        keeps = reference.keeps_git_directory
        if keeps is None:
            keeps = self._request.build_args.get(KEEP_GIT_ARGUMENT, "") in _TRUE
        with self._progress.vertex(f"[internal] load git source {shown(text)}") as vertex:
            layer = self._fetcher.git(
                reference,
                checksum=reference.checksum,
                keeps_git_directory=keeps,
                vertex=vertex,
                build=shown(text),
                is_callers=True,
            )
        return LayerContext(self._store, layer, shown(text), title, keeps_owner=False)

    def _behind_url(self, url: str) -> Opened:
        layer, text = self._fetched(url, "[internal] load remote build context")
        if text is not None:
            return self._empty(text, shown(url))
        context = LayerContext(
            self._store, layer, shown(url), "the build context", keeps_owner=True
        )
        return self._defined(context)

    def _fetched(self, url: str, name: str) -> tuple[str | None, bytes | None]:
        """Fetch an archive, and answer its layer; or a text, and answer that."""
        from dissolver._core.compress import is_archive
        from dissolver.build.fetched_files import find_files, keep_layer, key_of

        with self._progress.vertex(name) as vertex, ExitStack() as stack:
            view, file = self._file(url, vertex)
            place = stack.enter_context(self._store.workspace()) / "fetched"
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            key = key_of("unpacked", file.digest)
            known = find_files(self._store, key, shown(url))
            if known is not None:
                return known.diff_id, None
            with explained("store the build context"):
                view.write(f"/{file.name}", descriptor)
                os.lseek(descriptor, 0, os.SEEK_SET)
                if not is_archive(descriptor):
                    return None, _limited(place)
                os.lseek(descriptor, 0, os.SEEK_SET)
                layer = self._store.layers.ingest(descriptor).diff_id
            facts = (("digest", file.digest),)
            keep_layer(self._store, layer, key=key, kind="http", build=shown(url), inputs=facts)
            return layer, None

    def _file(self, url: str, vertex: OpenVertex) -> tuple[View, UrlFile]:
        file = self._fetcher.url(url, FILE_NAME, checksum=None, vertex=vertex, build=shown(url))
        return self._store.layers.view([file.layer]), file


def is_url(text: str) -> bool:
    """Tell whether a context is behind a URL."""
    return text.startswith(_HTTP)


def git_context(text: str) -> GitReference | None:
    """Read a context that is a repository; nothing for any other.

    `github.com/user/repo` will do without a scheme, unless there is such a directory.

    Raises:
        DockerfileError: it is one, and its query or fragment makes no sense.
    """
    found = _HUB.match(text)
    if found is not None and not Path(text).exists():
        end = "" if found.group().endswith(".git") else ".git"
        text = f"https://{found.group()}{end}{text[found.end() :]}"
    return parse_git_reference(text)


def shown(text: str) -> str:
    """Write a URL without its credentials and its query, as messages and records may have it."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    fragment = f"#{unquote(parts.fragment)}" if parts.fragment else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{fragment}"


def _definition(data: bytes, name: str) -> Definition:
    from dissolver.dockerfile.source import decode_source

    return Definition(decode_source(data), name, len(data), None)


def _limited(place: Path) -> bytes:
    with place.open("rb") as file:
        data = file.read(DOCKERFILE_BYTES + 1)
    if len(data) > DOCKERFILE_BYTES:
        raise ContextError(
            "this is neither an archive nor a Dockerfile: it is too long",
            hint="a context is a tar, plain or compressed",
        )
    return data


def _spool(descriptor: int, place: Path) -> int:
    """Write everything that comes out of a descriptor to a file, and answer its length."""
    count = 0
    with explained("store the build context"), place.open("wb") as file:
        for chunk in _chunks(descriptor):
            file.write(chunk)
            count += len(chunk)
    return count


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        yield chunk
