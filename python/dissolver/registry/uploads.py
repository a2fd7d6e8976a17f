"""Blobs on their way into a registry (OCI distribution specification, "Pushing blobs").

A blob goes into an upload session: ``POST`` opens it, ``PATCH`` adds bytes, ``PUT``
names the digest and ends it. A connection that breaks is continued from where the
registry says that it stands; a session that is gone is begun anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from dissolver.errors import RegistryError
from dissolver.registry.auth import pull_scope, push_scope
from dissolver.registry.patience import (
    ATTEMPTS,
    LONGEST_REQUEST_SECONDS,
    REPEATED,
    wanted_seconds,
)
from dissolver.registry.transport import BLOCK_BYTES, Interrupted
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.image.manifest import Descriptor
    from dissolver.registry.client import Repository
    from dissolver.registry.transport import Answer, Transport

OnSent = Callable[[int], None]

SMALL_BYTES = 1 << 20
"""Up to here a blob is sent with the request that ends its session: one less to make."""

_TYPE = "application/octet-stream"


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

        def pieces(start: int, end: int) -> Iterator[bytes]:
            while start < end:
                self._registry.transport.patience.check()
                with explained("read the layer"):
                    piece = os.pread(descriptor, min(BLOCK_BYTES, end - start), start)
                if not piece:
                    raise RegistryError(f"the file of the blob `{blob.digest}` is cut short")
                yield piece
                start += len(piece)
                on_sent(start)

        self._send(blob, pieces)

    def put_manifest(self, content: bytes, media_type: str, version: str) -> str:
        """Store a manifest under a tag or its digest; answer where it lies.

        Raises:
            AccessDenied: pushing is not allowed.
            RegistryError: the registry refuses it.
        """
        answer = self._registry.request(
            "PUT",
            f"{self._name}/manifests/{version}",
            scopes=self._scopes,
            headers={"Content-Type": media_type},
            body=content,
        )
        with answer:
            if answer.status not in (200, 201, 202):
                raise self._refuse(answer, f"store the manifest `{self._name}:{version}`")
            return answer.headers.get("docker-content-digest", "")

    def _send(self, blob: Descriptor, pieces: Callable[[int, int], Iterator[bytes]]) -> None:
        patience = self._registry.transport.patience
        failures, session, done, piece = 0, "", 0, self._chunk
        while True:
            try:
                if not session:
                    session, piece = self._begin()
                    done = 0
                while done < blob.size and blob.size > SMALL_BYTES:
                    end = min(blob.size, done + (piece or blob.size))
                    session, done = self._patch(session, done, end, pieces(done, end))
                    failures = 0
                rest = b"".join(pieces(done, blob.size)) if done < blob.size else b""
                self._finish(session, blob.digest, rest)
            except Interrupted as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                if error.seconds is None:
                    patience.pause(failures)
                else:
                    patience.wait(error.seconds)
                session, done = self._standing(session, blob.size)
            else:
                return

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

    def _patch(self, session: str, start: int, end: int, body: Iterator[bytes]) -> tuple[str, int]:
        """Add a piece to a session; answer that, and how many bytes it has now."""
        headers = {
            "Content-Type": _TYPE,
            "Content-Length": str(end - start),
            "Content-Range": f"{start}-{end - 1}",
        }
        answer = self._part("PATCH", session, headers, body)
        with answer:
            if answer.status not in (200, 202, 204):
                raise self._refuse(answer)
            # A registry may take less than it was sent. Other ranges are not believed: there
            # are some that count each piece from 0, and the digest tells in the end.
            taken = _last_byte(answer) + 1
            return self._location(answer), taken if max(1, start) < taken < end else end

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
        self, method: str, url: str, headers: dict[str, str], body: Iterator[bytes] | bytes
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
        if answer.status in REPEATED or answer.status in (404, 416):
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
        found = urlsplit(urljoin(answer.url, target))
        if not target or found.scheme not in ("http", "https"):
            raise RegistryError(f"`{self._registry.name}` does not say where an upload goes on")
        if answer.url.startswith("https://") and found.scheme == "http":
            # Registries behind a proxy that adds the encryption often do not know of it.
            found = found._replace(scheme="https")
        return urlunsplit(found)

    def _refuse(self, answer: Answer, what: str = "") -> Exception:
        return self._registry.refuse(answer, what or f"push to `{self._name}`")


def _last_byte(answer: Answer) -> int:
    """Read the last byte that a registry says that it has, -1 where it says none."""
    first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    return int(last) if first == "0" and last.isdecimal() else -1
