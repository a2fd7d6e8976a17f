"""Layers that are sent while they are still compressed."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dissolver.errors import AccessDenied, Cancelled, StoreError
from dissolver.image.reference import parse_reference
from dissolver.registry import uploads as uploads_module
from dissolver.registry.layer_push import descriptor_of
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.registry.transport import Interrupted
from dissolver.registry.uploads import Uploads
from dissolver.store.layer_blobs import LayerBlob
from dissolver.store.outgoing import OutgoingLayer
from registry.conftest import Ways
from registry.images import noise, sha256
from registry.meddler import Meddler, Reply
from registry.servers import QuietHandler, http_server

CONTENT = noise(4_000_000, "growing")
HALF = len(CONTENT) // 2
BLOB = LayerBlob("sha256:" + "d" * 64, "gzip", sha256(CONTENT), len(CONTENT))
SECONDS = 20.0


@pytest.fixture
def uploads(proxy: Meddler, repository: str, ways: Ways) -> Uploads:
    """Uploads into an empty repository behind the proxy."""
    return uploads_of(ways, proxy, repository)


def uploads_of(ways: Ways, proxy: Meddler, repository: str) -> Uploads:
    return Uploads(ways.sources.repository(parse_reference(proxy.name(repository))))


class Halves:
    """A layer whose second half is not written before ``goes_on`` is set."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.goes_on = threading.Event()
        self.failure = failure
        self.counts: list[int] = []

    @contextmanager
    def opened(self) -> Iterator[OutgoingLayer]:
        with tempfile.TemporaryFile() as file:
            layer = OutgoingLayer(file.fileno())

            def write(should_stop: Callable[[], bool]) -> LayerBlob:
                os.write(file.fileno(), CONTENT[:HALF])
                if not self.goes_on.wait(SECONDS) or should_stop():
                    raise StoreError("nobody has read the first half")
                if self.failure is not None:
                    raise self.failure
                os.write(file.fileno(), CONTENT[HALF:])
                return BLOB

            with layer.growing(write):
                yield layer

    def on_sent(self, count: int) -> None:
        self.counts.append(count)
        self.goes_on.set()


def is_there(proxy: Meddler, repository: str) -> bool:
    status, _, content = proxy.upstream.ask("GET", f"/v2/{repository}/blobs/{BLOB.digest}")
    return status == 200 and content == CONTENT


def test_the_beginning_is_sent_before_the_end_is_there(
    proxy: Meddler, repository: str, uploads: Uploads
) -> None:
    halves = Halves()
    with halves.opened() as layer:
        assert uploads.send_layer(layer, halves.on_sent) is True
    assert halves.counts[-1] == len(CONTENT)
    assert proxy.count("PATCH", "/uploads/") == 1
    assert is_there(proxy, repository)


def test_what_turns_out_to_be_there_is_not_sent_to_its_end(
    proxy: Meddler, repository: str, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.send_document(CONTENT, descriptor_of(BLOB))
    monkeypatch.setattr(uploads_module, "WORTH_ASKING_BYTES", HALF)
    halves = Halves()
    with halves.opened() as layer:

        def on_sent(count: int) -> None:
            halves.on_sent(count)
            layer.finished()

        assert uploads.send_layer(layer, on_sent) is False
    assert 0 < halves.counts[-1] < HALF
    assert proxy.count("DELETE", "/uploads/") == 1, "the session that nobody needs is given up"


def test_a_little_rest_is_sent_without_asking(
    proxy: Meddler, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "WORTH_ASKING_BYTES", len(CONTENT))
    halves = Halves()
    with halves.opened() as layer:
        assert uploads.send_layer(layer, halves.on_sent) is True
    assert proxy.count("HEAD", "/blobs/") == 0


def test_a_layer_that_cannot_be_made_ends_its_upload(
    proxy: Meddler, repository: str, uploads: Uploads
) -> None:
    halves = Halves(StoreError("the layer is damaged"))
    with halves.opened() as layer, pytest.raises(StoreError, match="the layer is damaged"):
        uploads.send_layer(layer, halves.on_sent)
    assert proxy.count("PUT", "/uploads/") == 0
    assert not is_there(proxy, repository)


def test_a_line_that_breaks_under_a_growing_layer_is_continued(
    proxy: Meddler, repository: str, uploads: Uploads
) -> None:
    def lost(_: Reply) -> None:
        return None

    proxy.rule("PATCH", "/uploads/", lost, times=2, before=True)
    halves = Halves()
    halves.goes_on.set()
    with halves.opened() as layer:
        assert uploads.send_layer(layer, halves.on_sent) is True
    assert proxy.count("PATCH", "/uploads/") == 3
    assert is_there(proxy, repository)


def test_a_server_that_wants_the_length_first_is_told_it(
    proxy: Meddler, repository: str, uploads: Uploads
) -> None:
    proxy.answers("/uploads/", 411, method="PATCH", drains=True)
    halves = Halves()
    with halves.opened() as layer:
        assert uploads.send_layer(layer, halves.on_sent) is True
    lengths = [one.headers.get("Content-Length") for one in proxy.asked if one.method == "PATCH"]
    assert lengths == [None, str(len(CONTENT))]
    assert is_there(proxy, repository)


def test_a_line_that_always_breaks_is_given_up(proxy: Meddler, uploads: Uploads) -> None:
    def lost(_: Reply) -> None:
        return None

    proxy.rule("PATCH", "/uploads/", lost, times=1000, before=True)
    halves = Halves()
    halves.goes_on.set()
    with halves.opened() as layer, pytest.raises(Interrupted):
        uploads.send_layer(layer, halves.on_sent)
    assert proxy.count("PATCH", "/uploads/") == 5


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_login_that_is_asked_for_in_the_middle_sends_everything_again(
    proxy: Meddler, repository: str, uploads: Uploads, *, is_whole: bool
) -> None:
    class Tokens(QuietHandler):
        def give(self) -> None:
            self.reply(200, json.dumps({"token": "t", "expires_in": 300}).encode())

        do_GET = give  # noqa: N815

    halves = Halves()
    with http_server(Tokens) as host, halves.opened() as layer:
        proxy.answers(
            "/uploads/",
            401,
            method="PATCH",
            drains=True,
            WWW_Authenticate=f'Bearer realm="http://{host}/token",service="proxy"',
        )
        if is_whole:
            halves.goes_on.set()
            layer.finished()
            uploads.send_file(layer.file, descriptor_of(BLOB), halves.on_sent)
        else:
            assert uploads.send_layer(layer, halves.on_sent) is True
    assert proxy.count("PATCH", "/uploads/") == 2
    assert is_there(proxy, repository)


def test_a_login_that_does_not_help_is_told(
    proxy: Meddler, repository: str, uploads: Uploads
) -> None:
    proxy.answers("/uploads/", 401, method="PATCH", drains=True, times=9)
    halves = Halves()
    with halves.opened() as layer, pytest.raises(AccessDenied):
        uploads.send_layer(layer, halves.on_sent)
    assert not is_there(proxy, repository)


def test_pieces_of_a_set_size_wait_for_the_whole(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    hosts = {proxy.host: HostSettings(upload_chunk_bytes=1_500_000)}
    chunked = uploads_of(Ways(ways.store, RegistrySettings(hosts=hosts)), proxy, repository)
    halves = Halves()
    halves.goes_on.set()
    with halves.opened() as layer:
        assert chunked.send_layer(layer, halves.on_sent) is True
    spans = [one.headers["Content-Range"] for one in proxy.asked if one.method == "PATCH"]
    assert spans == ["0-1499999", "1500000-2999999", "3000000-3999999"]
    assert is_there(proxy, repository)


def test_waiting_for_a_layer_ends_when_somebody_asks(ways: Ways) -> None:
    ways.patience.cancel()
    stopped = threading.Event()
    with tempfile.TemporaryFile() as file:
        layer = OutgoingLayer(file.fileno(), check=ways.patience.check)

        def write(should_stop: Callable[[], bool]) -> LayerBlob:
            while not should_stop():
                stopped.wait(0.01)
            stopped.set()
            raise StoreError("told to stop")

        with pytest.raises(Cancelled), layer.growing(write):
            layer.finished()
    assert stopped.is_set(), "nobody writes into a file that may be another one by now"
