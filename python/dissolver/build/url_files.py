"""ADD of URLs: a file of a web server, fetched again unless that says it is the same."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dissolver.build.fetched_files import find_files, keep_files, key_of
from dissolver.errors import BuildError, RegistryError
from dissolver.plan.credentials import basic_authorization, split_credentials
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.build.events import OpenVertex
    from dissolver.registry.transport import Answer, Transport
    from dissolver.store import Store

FILE_MODE = 0o600
"""What a file from a server may be used for: nobody said that others may read it."""

NOT_MODIFIED = 304
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class UrlFile:
    """A fetched file: the layer that holds it at its top, its name there, and its digest."""

    layer: str
    name: str
    digest: str


def fetch_url(
    store: Store,
    transport: Transport,
    url: str,
    name: str,
    *,
    checksum: str | None,
    secrets: Mapping[str, bytes],
    vertex: OpenVertex,
    build: str,
) -> UrlFile:
    """Fetch the file behind ``url``, or find it where the server says that it is the same.

    One that is known by its ``checksum`` is not asked for again. ``secrets`` may hold what
    a server has to be told: `HTTP_AUTH_HEADER_host` and `HTTP_AUTH_TOKEN_host`. Without
    these, it is told what the URL has before the host.

    Raises:
        BuildError: there is no such file, nobody answers, or it is another one than
            ``checksum`` says.
    """
    # Who asks is no part of the key: nothing of it is kept, and a server is asked anyway.
    key = key_of("http", split_credentials(url)[0], name)
    known = find_files(store, key, build)
    facts = dict(known.inputs) if known is not None else {}
    if known is not None and checksum is not None and facts.get("digest") == checksum:
        return UrlFile(known.diff_id, name, checksum)
    try:
        with store.workspace() as directory:
            found = _ask(transport, url, directory / "file", secrets, facts, vertex)
            if found is None and known is not None:
                _check(url, facts["digest"], checksum)
                return UrlFile(known.diff_id, name, facts["digest"])
            assert found is not None  # noqa: S101 - nothing known, nothing asked for
            _check(url, found["digest"], checksum)
            place = directory / "files"
            place.mkdir()
            with explained("store what was fetched"):
                (directory / "file").rename(place / name)
                (place / name).chmod(FILE_MODE)
                modified = _modified(found.get("last-modified", ""))
                os.utime(place / name, ns=(modified, modified))
            layer = keep_files(
                store, place, key=key, kind="http", build=build, inputs=tuple(found.items())
            )
            return UrlFile(layer, name, found["digest"])
    except RegistryError as error:
        raise BuildError(
            f"cannot fetch `{shown(url)}`: {error.message}", hint=error.hint
        ) from error


def _ask(
    transport: Transport,
    url: str,
    target: Path,
    secrets: Mapping[str, bytes],
    facts: Mapping[str, str],
    vertex: OpenVertex,
) -> dict[str, str] | None:
    """Write a file to ``target``, and answer what is known of it; nothing if it is the same."""
    from dissolver.registry.endpoints import Endpoint
    from dissolver.registry.transport import Interrupted, Request

    address, information = split_credentials(url)
    host = urlsplit(address).netloc
    endpoint = Endpoint(host, host, (urlsplit(url).scheme,))
    headers: dict[str, str] = {}
    # A date is no proof: a file may change twice in a second, and one that is put back may be
    # older, which servers answer as if it were the same. Only a tag is asked about.
    if facts.get("etag"):
        headers["If-None-Match"] = facts["etag"]
    request = Request("GET", address, headers, _authorization(host, secrets, information))
    with vertex.status(f"fetching {shown(url)}") as status:
        for attempt in transport.patience.attempts():
            try:
                with transport.watched(transport.ask(lambda: request, endpoint)) as answer:
                    if answer.status == NOT_MODIFIED and facts.get("etag"):
                        return None
                    if answer.status != 200:
                        raise BuildError(
                            f"`{shown(url)}` answers {answer.status}", hint="check the address"
                        )
                    digest = _receive(answer, target, status.reached)
                    return {
                        "digest": digest,
                        "etag": answer.headers.get("etag", ""),
                        "last-modified": answer.headers.get("last-modified", ""),
                    }
            except Interrupted as error:
                attempt.failed(error)
    raise AssertionError("the last attempt answers or raises")


def _receive(answer: Answer, target: Path, on_progress: object) -> str:
    state = hashlib.sha256()
    count, total = 0, answer.length or 0
    with explained("store what was fetched"), target.open("wb") as file:
        for chunk in answer.chunks():
            state.update(chunk)
            file.write(chunk)
            count += len(chunk)
            if callable(on_progress):
                on_progress(count, total)
    return f"sha256:{state.hexdigest()}"


def _authorization(host: str, secrets: Mapping[str, bytes], information: str) -> dict[str, str]:
    header = secrets.get(f"HTTP_AUTH_HEADER_{host}")
    token = secrets.get(f"HTTP_AUTH_TOKEN_{host}")
    if header is not None:
        return {"Authorization": header.decode("latin-1").strip()}
    if token is not None:
        return {"Authorization": f"Bearer {token.decode('latin-1').strip()}"}
    return {"Authorization": basic_authorization(information)} if information else {}


def _check(url: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        raise BuildError(
            f"digest mismatch: `{shown(url)}` has `{found}`, and not `{expected}`",
            hint="the file was changed, or `--checksum` is for another version of it",
        )


def _modified(text: str) -> int:
    """Read a server's date, in nanoseconds since the epoch; 0 where it says none."""
    with suppress(ValueError, TypeError, OverflowError):
        return int(parsedate_to_datetime(text).timestamp()) * _NANOSECONDS
    return 0


def shown(url: str) -> str:
    """Write a URL without its query and without credentials, as messages may show it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
