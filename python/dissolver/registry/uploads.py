"""Blobs on their way into a registry (OCI distribution specification, "Pushing blobs").

A blob goes into an upload session: ``POST`` opens it, ``PATCH`` adds bytes, ``PUT``
names the digest and ends it. A connection that breaks is continued from where the
registry says that it stands; a session that is gone is begun anew.

A layer that is compressed for the push is sent while it grows: its digest, which only the
end of a session asks for, is known by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from dissolver.errors import RegistryError
from dissolver.registry.auth import pull_scope, push_scope
from dissolver.registry.client import BlobUnknown
from dissolver.registry.layer_push import descriptor_of, send_whole
from dissolver.registry.patience import (
    ATTEMPTS,
    LONGEST_REQUEST_SECONDS,
    REPEATED,
    wanted_seconds,
)
from dissolver.registry.transport import BLOCK_BYTES, Interrupted, named_url
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.image.manifest import Descriptor
    from dissolver.registry.client import Repository
    from dissolver.registry.transport import Answer, Transport
    from dissolver.store.outgoing import OutgoingLayer

OnSent = Callable[[int], None]

SMALL_BYTES = 1 << 20
"""Up to here a blob is sent with the request that ends its session: one less to make."""

WORTH_ASKING_BYTES = 8 << 20
"""With more than this to send, a registry is asked whether it has a layer by now known."""

_TYPE = "application/octet-stream"
_MOST_DIGITS = 19
_MANIFEST_ATTEMPTS = 3
"""A registry that is told of one blob by several clients at once may not know it for a moment."""


class _Known(Exception):
    """The registry has what is being sent."""


class _Pieces:
    """The bytes of a request, which may be sent once more, as when it asks for a login."""

    def __init__(self, make: Callable[[], Iterator[bytes]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[bytes]:
        return self._make()


class Uploads:
    """What is pushed to one repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._registry = repository.registry
        self._name = repository.name
        self._scopes = (push_scope(repository.name),)
        settings = repository.transport.settings.host(repository.label)
        self._chunk = settings.upload_chunk_bytes

    @property
    def label(self) -> str:
        """How messages call where blobs go."""
        return self._repository.label

    @property
    def transport(self) -> Transport:
        """What its requests go through."""
        return self._repository.transport

    def has(self, digest: str) -> bool:
        """Ask whether the repository has a blob.

        Raises:
            AccessDenied: pushing is not allowed.
            RegistryError: the registry fails.
        """
        answer = self._registry.request("HEAD", f"{self._name}/blobs/{digest}", scopes=self._scopes)
        with answer:
            if answer.status == 404:
                return False
            if answer.status != 200:
                raise self._refuse(answer)
            return True

    def mount(self, digest: str, source: str) -> bool:
        """Try to take a blob over from the repository ``source`` of the same registry."""
        path = f"{self._name}/blobs/uploads/?mount={quote(digest)}&from={quote(source, safe='')}"
        answer = self._registry.request(
            "POST",
            path,
            scopes=(*self._scopes, pull_scope(source)),
            headers={"Content-Length": "0"},
        )
        with answer:
            if answer.status == 202:
                # The registry has opened a session instead, which nobody will use.
                self._abandon(self._location(answer))
            return answer.status == 201

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Send a blob that is at hand.

        Raises:
            As ``send_file``.
        """

        def pieces(start: int, _end: int) -> Iterator[bytes]:
            yield content[start:]

        self._send(blob, pieces)

    def send_file(self, descriptor: int, blob: Descriptor, on_sent: OnSent) -> None:
        """Send what an open file holds from its start.

        Raises:
            AccessDenied: pushing is not allowed.
            RegistryError: the registry fails, or refuses the blob.
        """

        self._send(blob, self._reader(descriptor, on_sent))

    def send_layer(self, layer: OutgoingLayer, on_sent: OnSent) -> bool:
        """Send a layer, as it grows if it does; tell whether the repository lacked it.

        Raises:
            As ``send_file``, and as ``OutgoingLayer.finished``.
        """
        # Pieces of a set size say where they end before they are sent.
        if layer.is_whole or self._chunk or layer.beyond(SMALL_BYTES) <= SMALL_BYTES:
            return send_whole(self, layer, on_sent)
        session, done, failures = "", 0, 0
        try:
            session, _ = self._begin()
            session, done = self._stream(session, layer, on_sent)
        except Interrupted as error:
            failures = 1
            self._rest(error, failures)
            session, done = self._standing(session, layer.finished().size)
        except _Known:
            self._abandon(session)
            return False
        blob = descriptor_of(layer.finished())
        self._send(blob, self._reader(layer.file, on_sent), session, done, failures)
        return True

    def put_manifest(self, content: bytes, media_type: str, version: str) -> str:
        """Store a manifest under a tag or its digest; answer where it lies.

        What it names was brought before: a registry that does not know of that is asked again.

        Raises:
            AccessDenied: pushing is not allowed.
            RegistryError: the registry refuses it.
        """
        for attempt in range(1, _MANIFEST_ATTEMPTS + 1):
            answer = self._registry.request(
                "PUT",
                f"{self._name}/manifests/{version}",
                scopes=self._scopes,
                headers={"Content-Type": media_type},
                body=content,
            )
            with answer:
                if answer.status in (200, 201, 202):
                    return answer.headers.get("docker-content-digest", "")
                what = f"store the manifest `{self._name}:{version}`"
                refused = self._registry.refuse(answer, what, was_named_blobs=True)
            if not isinstance(refused, BlobUnknown) or attempt == _MANIFEST_ATTEMPTS:
                raise refused
            self.transport.patience.pause(attempt)
        raise AssertionError("the last attempt answers or raises")

    def _reader(self, file: int, on_sent: OnSent) -> Callable[[int, int], Iterator[bytes]]:
        """Return what reads from one byte of an open file to another, in pieces."""

        def pieces(start: int, end: int) -> Iterator[bytes]:
            while start < end:
                piece = self._read(file, start, end)
                yield piece
                start += len(piece)
                on_sent(start)

        return pieces

    def _read(self, file: int, start: int, end: int) -> bytes:
        self.transport.patience.check()
        with explained("read the layer"):
            piece = os.pread(file, min(BLOCK_BYTES, end - start), start)
        if not piece:
            raise RegistryError("the file of a layer is cut short")
        return piece

    def _send(
        self,
        blob: Descriptor,
        pieces: Callable[[int, int], Iterator[bytes]],
        session: str = "",
        done: int = 0,
        failures: int = 0,
    ) -> None:
        """Send what is missing of a blob, of which a ``session`` has ``done`` bytes."""
        piece = self._chunk
        while True:
            try:
                if not session:
                    session, piece = self._begin()
                    done = 0
                while done < blob.size and blob.size > SMALL_BYTES:
                    end = min(blob.size, done + (piece or blob.size))
                    session, done = self._patch(session, done, end, partial(pieces, done, end))
                    failures = 0
                rest = b"".join(pieces(done, blob.size)) if done < blob.size else b""
                self._finish(session, blob.digest, rest)
            except Interrupted as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                self._rest(error, failures)
                session, done = self._standing(session, blob.size)
            else:
                return

    def _rest(self, error: Interrupted, failures: int) -> None:
        """Wait as long as a server asks, or as is fit after so many failures."""
        if error.seconds is None:
            self.transport.patience.pause(failures)
        else:
            self.transport.patience.wait(error.seconds)

    def _begin(self) -> tuple[str, int]:
        """Open a session; tell how many bytes a piece is to have, 0 for all at once."""
        answer = self._registry.request(
            "POST",
            f"{self._name}/blobs/uploads/",
            scopes=self._scopes,
            headers={"Content-Length": "0"},
        )
        with answer:
            if answer.status != 202:
                raise self._refuse(answer)
            least = answer.headers.get("oci-chunk-min-length", "")
            piece = (
                max(self._chunk, int(least)) if self._chunk and least.isdecimal() else self._chunk
            )
            return self._location(answer), piece

    def _patch(
        self, session: str, start: int, end: int, make: Callable[[], Iterator[bytes]]
    ) -> tuple[str, int]:
        """Add a piece to a session; answer that, and how many bytes it has now."""
        span = {"Content-Length": str(end - start), "Content-Range": f"{start}-{end - 1}"}
        session, taken = self._add(session, span, make)
        return session, taken if max(1, start) < taken < end else end

    def _stream(self, session: str, layer: OutgoingLayer, on_sent: OnSent) -> tuple[str, int]:
        """Send a layer as it grows, in one request; answer as ``_patch``.

        Raises:
            _Known: the layer is whole by now, much of it is not sent, and need not be.
        """

        def grow() -> Iterator[bytes]:
            start, is_asked = 0, False
            while (end := layer.beyond(start)) > start:
                if layer.is_whole and not is_asked:
                    is_asked = True
                    if end - start > WORTH_ASKING_BYTES and self.has(layer.finished().digest):
                        raise _Known
                piece = self._read(layer.file, start, end)
                yield piece
                start += len(piece)
                on_sent(start)

        session, taken = self._add(session, {}, grow)
        size = layer.finished().size
        return session, taken if 1 < taken < size else size

    def _add(
        self, session: str, span: dict[str, str], make: Callable[[], Iterator[bytes]]
    ) -> tuple[str, int]:
        """Add bytes to a session; answer that, and how many bytes it says that it has.

        A registry may take less than it was sent. Other numbers are not to be believed: there
        are some that count each piece from 0, and the digest tells in the end.
        """
        answer = self._part("PATCH", session, {"Content-Type": _TYPE, **span}, _Pieces(make))
        with answer:
            if answer.status not in (200, 202, 204):
                raise self._refuse(answer)
            return self._location(answer), _last_byte(answer) + 1

    def _finish(self, session: str, digest: str, rest: bytes) -> None:
        parts = urlsplit(session)
        query = f"{parts.query}&" if parts.query else ""
        url = urlunsplit(parts._replace(query=f"{query}digest={quote(digest, safe='')}"))
        headers = {"Content-Type": _TYPE, "Content-Length": str(len(rest))}
        answer = self._part("PUT", url, headers, rest)
        with answer:
            if answer.status not in (201, 204):
                raise self._refuse(answer)

    def _part(
        self, method: str, url: str, headers: dict[str, str], body: Iterable[bytes] | bytes
    ) -> Answer:
        """Send a part of a session; an excuse of the server counts as a break."""
        answer = self._registry.request(
            method,
            url,
            scopes=self._scopes,
            headers=headers,
            body=body,
            repeats=False,
            follows=False,
        )
        # 411 wants to know the length before: what is sent again is whole, and says it.
        if answer.status in REPEATED or answer.status in (404, 411, 416):
            seconds = wanted_seconds(answer.headers.get("retry-after"))
            if seconds is not None and seconds > LONGEST_REQUEST_SECONDS:
                with answer:
                    raise self._refuse(answer)
            answer.close()
            raise Interrupted(
                f"`{self._registry.name}` could not take a part of a layer: status {answer.status}",
                seconds=seconds,
            )
        return answer

    def _standing(self, session: str, size: int) -> tuple[str, int]:
        """Ask how far a session is; one that is gone begins anew."""
        if not session:
            return "", 0
        try:
            answer = self._registry.request("GET", session, scopes=self._scopes, follows=False)
        except RegistryError:
            return "", 0
        with answer:
            last = _last_byte(answer)
            # `0-0` is what registries say of no byte as well as of one: begin anew then.
            if answer.status != 204 or not 0 < last < size:
                return "", 0
            return self._location(answer, session), last + 1

    def _abandon(self, session: str) -> None:
        try:
            self._registry.request(
                "DELETE", session, scopes=self._scopes, repeats=False, follows=False
            ).close()
        except RegistryError:
            return  # Registries forget sessions by themselves.

    def _location(self, answer: Answer, otherwise: str = "") -> str:
        target = answer.headers.get("location", otherwise)
        url = named_url(target, answer.url) if target else None
        if url is None:
            raise RegistryError(f"`{self._registry.name}` does not say where an upload goes on")
        found = urlsplit(url)
        if answer.url.startswith("https://") and found.scheme == "http":
            # Registries behind a proxy that adds the encryption often do not know of it.
            found = found._replace(scheme="https")
        return urlunsplit(found)

    def _refuse(self, answer: Answer, what: str = "") -> Exception:
        return self._registry.refuse(answer, what or f"push to `{self._name}`")


def _last_byte(answer: Answer) -> int:
    """Read the last byte that a registry says that it has, -1 where it says none."""
    first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    is_number = last.isdecimal() and len(last) <= _MOST_DIGITS
    return int(last) if first == "0" and is_number else -1
