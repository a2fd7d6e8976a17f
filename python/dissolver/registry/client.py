"""One registry that answers, and the repositories in it (OCI distribution specification)."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dissolver.errors import (
    AccessDenied,
    ContentMismatch,
    DissolverError,
    NotInRegistry,
    RegistryError,
    RegistryUnreachable,
)
from dissolver.image import media_types
from dissolver.image.digest import HEX_LENGTHS, Digest, digest_of
from dissolver.image.manifest import MANIFEST_LIMIT
from dissolver.registry.auth import Authorizer, pull_scope
from dissolver.registry.endpoints import endpoints, is_loopback
from dissolver.registry.transport import (
    REACH_SECONDS,
    BadCertificate,
    Interrupted,
    Request,
    named_url,
    shown,
)

if TYPE_CHECKING:
    from dissolver.registry.credentials import CredentialStore
    from dissolver.registry.endpoints import Endpoint
    from dissolver.registry.transport import Answer, Body, Transport

ACCEPTED = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_INDEX,
        media_types.DOCKER_MANIFEST,
    )
)
FAULT_LIMIT = 1 << 16
TAGS_LIMIT = 4 << 20
MOST_PAGES = 1000
_LOGINS = 3
_NO_BLOB = frozenset(("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"))
_LINK = re.compile(r'<([^>]+)>\s*;[^,]*rel="?next"?')


class BlobUnknown(RegistryError):
    """A registry that does not know a blob that a manifest names."""


class Registry:
    """A registry at an address that has answered."""

    def __init__(
        self, transport: Transport, endpoint: Endpoint, base: str, authorizer: Authorizer
    ) -> None:
        self.transport = transport
        self.endpoint = endpoint
        self.base = base
        self.authorizer = authorizer

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.endpoint.name

    def repository(self, name: str) -> Repository:
        """Name a repository in it; nothing is asked."""
        return Repository(self, name)

    def request(
        self,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        repeats: bool = True,
        follows: bool = True,
    ) -> Answer:
        """Send a request with what the registry wants to know about who asks.

        ``path`` begins below ``/v2/``, or is a whole URL. ``repeats`` says that the request may be
        sent again when a server has an excuse; a login is asked for in any case, so a ``body``
        that can be read once is for requests whose login is known.

        Raises:
            AccessDenied: the credentials do not suffice.
            RegistryError: as ``Transport.ask``.
        """
        url = path if "://" in path else f"{self.base}/v2/{path}"
        # Where an upload goes on may be another host: it is not told who asks.
        is_own = urlsplit(url).netloc == urlsplit(self.base).netloc
        for attempt in range(_LOGINS):
            sent = self.authorizer.headers(scopes) if is_own else {}
            made = Request(method, url, headers or {}, sent, body, follows)
            if repeats:
                answer = self.transport.ask(lambda made=made: made, self.endpoint)  # type: ignore[misc]
            else:
                answer = self.transport.send(made, self.endpoint)
            # What another host wants to know, where a redirect led, is no challenge of this one.
            is_asked = is_own and urlsplit(answer.url).netloc == urlsplit(self.base).netloc
            if answer.status != 401 or not is_asked or attempt == _LOGINS - 1:
                return answer
            if not self.authorizer.challenged(answer, scopes, sent):
                return answer
            answer.close()
        raise AssertionError("the last attempt answers")

    def refuse(self, answer: Answer, what: str, *, was_named_blobs: bool = False) -> DissolverError:
        """Make the error that an answer means; ``what`` completes "cannot …".

        ``was_named_blobs`` says that the request named blobs, which may be what is not known.
        """
        codes, words = self._faults(answer)
        said = f": {words}" if words else f": status {answer.status}"
        where = f"`{self.name}`"
        if answer.status in (401, 403) or "DENIED" in codes or "UNAUTHORIZED" in codes:
            known = self.authorizer.is_known
            hint = (
                "the account that is logged in may lack the right"
                if known
                else f"if it is private, log in first: `dissolver login {self.name}`"
            )
            return AccessDenied(f"{where} denies access: cannot {what}{said}", hint=hint)
        if was_named_blobs and not codes.isdisjoint(_NO_BLOB):
            return BlobUnknown(f"cannot {what}: {where} answers{said}")
        if answer.status == 404:
            return NotInRegistry(f"cannot {what}: {where} does not have it")
        if answer.status == 429:
            return RegistryError(
                f"cannot {what}: {where} has had too many requests{said}",
                hint="wait a while, or log in, which most registries count for more",
            )
        return RegistryError(f"cannot {what}: {where} answers{said}")

    def _faults(self, answer: Answer) -> tuple[frozenset[str], str]:
        """Read why a registry refuses: its codes, and its words as they may be shown."""
        try:
            found = [one for one in answer.json(FAULT_LIMIT)["errors"] if isinstance(one, dict)]
        except (DissolverError, ValueError, KeyError, TypeError):
            return frozenset(), ""
        codes = frozenset(str(one.get("code", "")) for one in found)
        told = [str(one.get("message") or one.get("code") or "") for one in found]
        words = self.authorizer.redacted("; ".join(told))
        words = "".join(letter for letter in words if letter.isprintable())[:300].rstrip(".")
        return codes, words[:1].lower() + words[1:]


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index as it came: its type, its bytes, and their digest."""

    media_type: str
    content: bytes
    digest: Digest


class Repository:
    """What a registry has under one name."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self._pull = (pull_scope(name),)

    @property
    def label(self) -> str:
        """How messages call where it is."""
        return self.registry.name

    @property
    def transport(self) -> Transport:
        """What its requests go through."""
        return self.registry.transport

    def manifest(self, version: str) -> Document:
        """Fetch the manifest or index with a tag or a digest, verified.

        Raises:
            NotInRegistry: there is none.
            ContentMismatch: it is not what its digest says.
            RegistryError: it is in a format of old, or none at all.
        """
        what = f"read the manifest of `{self.name}:{version}`"
        if ":" in version:
            what = f"read the manifest `{version}` of `{self.name}`"
        headers = {"Accept": ACCEPTED}

        def begun() -> Answer:
            answer = self._get(f"{self.name}/manifests/{version}", headers)
            if answer.status != 200:
                with answer:
                    raise self.registry.refuse(answer, what)
            return answer

        content, answer = self._whole(begun, MANIFEST_LIMIT)
        told = answer.headers.get("docker-content-digest", "")
        digest = digest_of(content)
        for expected in (version, told):
            algorithm = expected.partition(":")[0]
            if algorithm == expected or algorithm not in HEX_LENGTHS:
                continue
            found = digest_of(content, algorithm)
            if found != expected:
                raise ContentMismatch(
                    f"the manifest that `{self.registry.name}` sent has the digest {found}, "
                    f"and should have {expected}"
                )
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Document(settled_type(content, media_type), content, digest)

    def current_digest(self, version: str) -> str | None:
        """Ask for the digest of a tag without its manifest; ``None`` if it has none.

        Raises:
            RegistryError: the registry does not say.
        """
        answer = self.registry.request(
            "HEAD",
            f"{self.name}/manifests/{version}",
            scopes=self._pull,
            headers={"Accept": ACCEPTED},
        )
        with answer:
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise self.registry.refuse(answer, f"look up `{self.name}:{version}`")
            return answer.headers.get("docker-content-digest")

    def blob(self, digest: str, *, offset: int = 0, size: int = 0) -> Answer:
        """Begin to fetch a blob of ``size`` bytes, from ``offset`` on where the registry can.

        The status tells what comes: 206 the rest, 200 all of it, 416 nothing.

        Raises:
            NotInRegistry: there is none.
        """
        # Some registries read no range without an end.
        headers = {"Range": f"bytes={offset}-{size - 1 if size else ''}"} if offset else {}
        answer = self._get(f"{self.name}/blobs/{digest}", headers)
        if answer.status not in (200, 206, 416):
            with answer:
                raise self.registry.refuse(answer, f"read the content `{digest}` of `{self.name}`")
        return answer

    def has_blob(self, digest: str) -> bool:
        """Ask whether a blob is there, without fetching it.

        Raises:
            RegistryError: the registry does not say.
        """
        path = f"{self.name}/blobs/{digest}"
        answer = self.registry.request("HEAD", path, scopes=self._pull)
        with answer:
            if answer.status not in (200, 404):
                raise self.registry.refuse(answer, f"look up the content `{digest}`")
            return answer.status == 200

    def document_blob(self, digest: Digest, size: int) -> bytes:
        """Fetch a small blob whole, verified.

        Raises:
            ContentMismatch: it has another digest or size.
        """
        content, _ = self._whole(lambda: self.blob(digest), min(size, MANIFEST_LIMIT))
        found = digest_of(content)
        if found != digest or len(content) != size:
            raise ContentMismatch(
                f"`{self.registry.name}` sent {len(content)} bytes with the digest {found} "
                f"in place of {size} bytes with {digest}"
            )
        return content

    def tags(self) -> Iterator[str]:
        """Yield all tags, page after page.

        Raises:
            NotInRegistry: there is no such repository.
        """
        path = f"{self.name}/tags/list"
        for _ in range(MOST_PAGES):
            answer = self._get(path, {})
            with self.registry.transport.watched(answer):
                if answer.status != 200:
                    raise self.registry.refuse(answer, f"list the tags of `{self.name}`")
                try:
                    found = answer.json(TAGS_LIMIT)["tags"] or []
                except (ValueError, KeyError, TypeError):
                    found = None
                if not isinstance(found, list):
                    raise RegistryError(f"`{self.registry.name}` answers with no list of tags")
            yield from (tag for tag in found if isinstance(tag, str))
            link = _LINK.search(answer.headers.get("link", ""))
            if link is None:
                return
            following = named_url(link[1], answer.url)
            if following is None:
                raise RegistryError(
                    f"`{self.registry.name}` goes on with its tags at something that is no web "
                    "address"
                )
            if urlsplit(following).netloc != urlsplit(self.registry.base).netloc:
                raise RegistryError(
                    f"`{self.registry.name}` goes on with its tags at `{shown(following)}`"
                )
            path = following
        raise RegistryError(
            f"`{self.registry.name}` has more than {MOST_PAGES} pages of tags of `{self.name}`"
        )

    def _whole(self, begin: Callable[[], Answer], limit: int) -> tuple[bytes, Answer]:
        """Read a document whole; again, where the connection breaks in the middle of it."""
        transport = self.registry.transport
        for attempt in transport.patience.attempts():
            # What breaks before an answer has been tried again by then.
            answer = begin()
            try:
                with transport.watched(answer):
                    return answer.document(limit), answer
            except Interrupted as error:
                attempt.failed(error)
        raise AssertionError("the last attempt answers or raises")

    def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        return self.registry.request("GET", path, scopes=self._pull, headers=headers)


def connect(
    registry: str, transport: Transport, store: CredentialStore, *, pulls: bool
) -> Iterator[Registry]:
    """Yield the registry at each of its addresses that answers, mirrors first.

    Raises:
        RegistryUnreachable: the registry itself does not answer.
    """
    for endpoint in endpoints(registry, transport.settings, pulls=pulls):
        try:
            found = reach(transport, endpoint, store)
        except RegistryUnreachable:
            if not endpoint.is_mirror:
                raise
            continue
        yield found


def reach(transport: Transport, endpoint: Endpoint, store: CredentialStore) -> Registry:
    """Find out how an address is spoken to: with or without encryption, and if at all.

    Raises:
        RegistryUnreachable: nobody answers within ten seconds.
    """
    failure: DissolverError | None = None
    if named_url(f"https://{endpoint.host}") is None:
        raise RegistryUnreachable(
            f"the registry `{endpoint.name}` is no host name, or has an impossible port"
        )
    if transport.settings.is_offline and not is_loopback(endpoint.host):
        raise RegistryUnreachable(
            f"the registry `{endpoint.name}` is not asked, because `offline` is set"
        )
    for scheme in endpoint.schemes:
        base = f"{scheme}://{endpoint.host}{endpoint.prefix}"
        try:
            answer = _soon(transport, Request("GET", f"{base}/v2/"), endpoint)
        except BadCertificate:
            raise
        except (RegistryUnreachable, Interrupted) as error:
            failure = failure or error
            continue
        reached = urlsplit(answer.url)
        is_own = reached.netloc == endpoint.host
        if is_own:
            base = f"{reached.scheme}://{endpoint.host}{endpoint.prefix}"
        authorizer = Authorizer(transport, endpoint, lambda: store.find(endpoint.name))
        if answer.status == 401 and is_own:
            authorizer.challenged(answer, (), {})
        answer.close()
        return Registry(transport, endpoint, base, authorizer)
    why = failure.message if failure is not None else "it has no address"
    raise RegistryUnreachable(
        f"the registry `{endpoint.name}` cannot be reached: {why}",
        hint="check the network and, where one is needed, the proxy",
    )


def _soon(transport: Transport, request: Request, endpoint: Endpoint) -> Answer:
    """Send a request; give up when name servers or addresses take too long together."""
    results: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put(transport.send(request, endpoint))
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            results.put(error)

    threading.Thread(target=run, name="reach", daemon=True).start()
    try:
        found = results.get(timeout=REACH_SECONDS)
    except queue.Empty:
        raise RegistryUnreachable(
            f"`{endpoint.host}` has not answered within {REACH_SECONDS:g} seconds"
        ) from None
    if isinstance(found, BaseException):
        raise found
    return found


def settled_type(content: bytes, told: str) -> str:
    """Tell the type of a manifest by what it says, and where it says nothing by its header.

    Raises:
        RegistryError: it is none, or of a kind that is not read.
    """
    try:
        fields: Any = json.loads(content)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RegistryError("what should be a manifest is something else")
    if fields.get("schemaVersion") == 1 or "docker.distribution.manifest.v1" in told:
        raise RegistryError(
            "the image is in Docker's format of before 2016 (schema 1), which is not read",
            hint="pull it with a tool that still reads it, and push it again",
        )
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        # Two programs could take it for two things (OCI security advisory of 2021).
        raise RegistryError("the manifest claims to be an index as well")
    named = fields.get("mediaType")
    media_type = named if isinstance(named, str) and named else told
    known = media_types.INDEXES | media_types.MANIFESTS
    if media_type not in known:
        media_type = media_types.OCI_INDEX if "manifests" in fields else media_types.OCI_MANIFEST
    if (media_type in media_types.INDEXES) != ("manifests" in fields):
        raise RegistryError(f"the manifest is not what its type `{media_type}` says")
    return media_type
