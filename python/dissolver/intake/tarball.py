"""Images from a root file system in a tar: a file, a URL, or standard input."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.intake.changes import with_changes
from dissolver.intake.ingestion import Ingestion
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from dissolver._core.layer import LayerInfo
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.store import Store

CHUNK_BYTES = 1 << 20
"""How much of a download is handed on at once."""

_GRACE_SECONDS = 0.2
"""How long a connection that broke may take to say so, once half a tar was read."""

TIMEOUT_SECONDS = 60.0
"""How long a server may stay silent."""


def import_tarball(
    store: Store,
    source: str | os.PathLike[str] | int,
    tags: Sequence[Reference] = (),
    *,
    changes: Sequence[str] = (),
    message: str = "",
    platform: Platform | None = None,
) -> Image:
    """Make an image of the root file system in ``source`` and give it ``tags``.

    ``source`` is a path, an ``http`` or ``https`` URL, or an open file; the tar in
    it may be compressed. ``changes`` are Dockerfile instructions for the image's
    configuration, checked before anything is read. It is for ``platform``, by default that of
    the machine. Nothing is kept on failure.

    Raises:
        IntakeError: the source cannot be read, or a change is not one.
        CoreFailure: it is no tar, or one that would escape from its root.
        DockerfileError: a mistake in a change.
    """
    config = with_changes(_empty_config(platform), changes)
    comment = message or f"Imported from {_name(source)}"
    with store.lock_shared():
        # Whether a download was complete is known when it is closed.
        with _opened(source) as descriptor:
            layer = _ingest(store, descriptor)
        return store.images.put(_with_layer(config, layer.diff_id, comment), tags=tags)


def _ingest(store: Store, descriptor: int) -> LayerInfo:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        # A file keeps nobody waiting, and the core itself hears signals between blocks.
        with explained("store the layer"):
            return store.layers.ingest(descriptor)
    return Ingestion(store.layers, descriptor).result()


def _name(source: str | os.PathLike[str] | int) -> str:
    return "-" if isinstance(source, int) else os.fspath(source)


@contextmanager
def _opened(source: str | os.PathLike[str] | int) -> Iterator[int]:
    if isinstance(source, int):
        if os.isatty(source):
            raise IntakeError(
                "a terminal is no archive", hint="redirect a file: `dissolver import - < FILE`"
            )
        yield source
    elif (text := os.fspath(source)).startswith(("http://", "https://")):
        with _download(text) as descriptor:
            yield descriptor
    else:
        descriptor = _open_file(Path(text))
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _open_file(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise IntakeError(f"cannot open the archive `{path}`: {reason}") from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IntakeError(
            f"`{path}` is a directory",
            hint=f"pack it first: `tar -C {path} -c . | dissolver import -`",
        )
    return descriptor


@contextmanager
def _download(url: str) -> Iterator[int]:
    """Fetch ``url`` in a thread, and give the reading end of the pipe it writes to."""
    response = _request(url)
    reading, writing = os.pipe()
    failures: list[Exception] = []
    given_up = threading.Event()

    def fetch() -> None:
        try:
            _pump(response, writing, given_up)
        except BrokenPipeError:
            pass  # The reader has seen enough, and says itself what was wrong.
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            failures.append(error)
        finally:
            os.close(writing)
            response.close()

    # Not waited for when the reader fails: a silent server would hold that up.
    thread = threading.Thread(target=fetch, name="download", daemon=True)
    thread.start()
    try:
        yield reading
    except Exception:
        # What the reader says of a download that broke is only its consequence: the cause goes
        # first, and where there is none the reader's own error goes on.
        thread.join(_GRACE_SECONDS)
        if failures:
            raise _failed(url, failures[0]) from failures[0]
        raise
    except BaseException:
        given_up.set()
        raise
    finally:
        os.close(reading)
    thread.join()
    if failures:
        raise _failed(url, failures[0]) from failures[0]


def _request(url: str) -> HTTPResponse:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(url, headers={"User-Agent": "dissolver"})  # noqa: S310
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            raise IntakeError(
                f"`{url}` answered {error.code} {error.reason}".rstrip(), hint="check the address"
            ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _failed(url, error) from error
    return response


def _pump(response: HTTPResponse, writing: int, given_up: threading.Event) -> None:
    expected = response.headers.get("Content-Length")
    received = 0
    while chunk := response.read(CHUNK_BYTES):
        received += len(chunk)
        if given_up.is_set():
            raise IntakeError("it was interrupted")
        view = memoryview(chunk)
        while view:
            view = view[os.write(writing, view) :]
    if expected is not None and expected.isdecimal() and received != int(expected):
        raise IntakeError(f"the connection ended after {received} of {expected} bytes")


def _failed(url: str, error: Exception) -> IntakeError:
    if isinstance(error, IntakeError):
        return IntakeError(f"cannot fetch `{url}`: {error.message}", hint="try again")
    reason = getattr(error, "reason", error)
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return IntakeError(
        f"cannot fetch `{url}`: {text.lower()}", hint="check the address and the network"
    )


def _empty_config(platform: Platform | None) -> ImageConfig:
    from dissolver.image.config import ImageConfig
    from dissolver.image.platform import platform_of_machine

    platform = platform or platform_of_machine(os.uname().machine)
    return ImageConfig(platform.architecture, platform.os, platform.variant)


def _with_layer(config: ImageConfig, diff_id: str, comment: str) -> ImageConfig:
    from dissolver.image.config import HistoryEntry
    from dissolver.image.mutate import with_layer

    return with_layer(config, diff_id, HistoryEntry(created=time.time_ns(), comment=comment))
