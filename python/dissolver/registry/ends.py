"""The two ends of a transfer: where images are had from, and where they are brought.

A repository is both. What else holds images, such as a layout on this machine, takes part in
every transfer by offering the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dissolver.image.digest import Digest
    from dissolver.image.manifest import Descriptor
    from dissolver.registry.client import Document
    from dissolver.registry.transport import Transport
    from dissolver.store.outgoing import OutgoingLayer


class Reading(Protocol):
    """Bytes that come, with what is said about them in the terms of HTTP."""

    @property
    def status(self) -> int:
        """200 for all of it, 206 for the rest that was asked for, 416 for nothing."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What is said about the bytes; ``content-range`` with 206."""

    @property
    def length(self) -> int | None:
        """The number of bytes that come, if it is told."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive."""

    def abort(self) -> None:
        """Make whoever reads fail now; from any thread."""

    def close(self) -> None:
        """Let go of where the bytes come from."""


class Provider(Protocol):
    """Where images are had from."""

    @property
    def label(self) -> str:
        """How messages call it."""

    @property
    def transport(self) -> Transport:
        """What waits, and is told to end."""

    def manifest(self, version: str) -> Document:
        """Give a manifest or an index by its digest, verified."""

    def blob(self, digest: str, *, offset: int = 0, size: int = 0) -> Reading:
        """Begin to give a blob of ``size`` bytes, from ``offset`` on where that can be."""

    def document_blob(self, digest: Digest, size: int) -> bytes:
        """Give a small blob whole, verified."""


class Receiver(Protocol):
    """Where images are brought. For several threads."""

    @property
    def label(self) -> str:
        """How messages call it."""

    @property
    def transport(self) -> Transport:
        """What waits, and is told to end."""

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there."""

    def mount(self, digest: str, source: str) -> bool:
        """Try to take a blob over from the repository ``source`` beside this one."""

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Bring a blob that is at hand."""

    def send_file(self, descriptor: int, blob: Descriptor, on_sent: Callable[[int], None]) -> None:
        """Bring what an open file holds from its start, which has been verified."""

    def send_layer(self, layer: OutgoingLayer, on_sent: Callable[[int], None]) -> bool:
        """Bring a layer that may still be growing; tell whether it had to be brought."""

    def put_manifest(self, content: bytes, media_type: str, version: str) -> str:
        """Store a manifest under a tag or its digest; answer the digest, where that is told."""
