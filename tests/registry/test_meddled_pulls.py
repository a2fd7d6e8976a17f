"""Pulls over bad lines and from bad servers: the right image, or a clear error and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from dissolver.errors import (
    AccessDenied,
    Cancelled,
    ContentMismatch,
    DissolverError,
    RegistryError,
)
from dissolver.image.config import Image
from dissolver.registry.transport import Interrupted
from dissolver.store import Store
from registry.conftest import Ways, nothing_half_done
from registry.images import Made, layer, noise, put_image
from registry.meddler import Meddler, Reply
from registry.servers import QuietHandler, RegistryServer, http_server

SIZE = 3_000_000


@pytest.fixture
def made(server: RegistryServer, repository: str) -> Made:
    """An image with one layer of some megabytes, which do not compress."""
    return put_image(server, repository, "v1", layer(a=noise(SIZE)))


def is_whole(store: Store, image: Image) -> bool:
    found = store.layers.view(image.config.diff_ids).read("a", limit=SIZE)
    return found == noise(SIZE) and store.check() == ()


def ranges(proxy: Meddler, digest: str) -> list[str | None]:
    return [
        one.headers.get("Range")
        for one in proxy.asked
        if one.method == "GET" and digest in one.path
    ]


def test_a_broken_connection_goes_on_where_it_stopped(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    digest = made.layers[0].digest
    proxy.cuts(digest, 1_000_000, times=3)
    pulled = ways.pull(proxy.name(f"{made.repository}:v1"))
    assert is_whole(ways.store, pulled.image)
    asked = ranges(proxy, digest)
    assert asked[0] is None
    assert len(asked) >= 3
    starts = [int(text.removeprefix("bytes=").partition("-")[0]) for text in asked[1:] if text]
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert "Retrying" in ways.states(digest)


def test_a_server_without_ranges_is_asked_for_all_of_it_again(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    digest = made.layers[0].digest
    proxy.cuts(digest, 1_000_000)
    whole = made.layers[0].blob

    def ignores_range(reply: Reply) -> Reply:
        reply.status, reply.body = 200, whole
        reply.headers.pop("Content-Range", None)
        return reply

    proxy.rule("GET", digest, ignores_range, times=5, skips=1)
    assert is_whole(ways.store, ways.pull(proxy.name(f"{made.repository}:v1")).image)


def test_a_server_that_gives_no_parts_is_asked_for_all_of_it(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    digest = made.layers[0].digest
    proxy.cuts(digest, 1_000_000)
    proxy.fails(digest, 416, "BLOB_UNKNOWN", "what is that range", skips=1)
    assert is_whole(ways.store, ways.pull(proxy.name(f"{made.repository}:v1")).image)
    size = len(made.layers[0].blob)
    assert ranges(proxy, digest) == [None, f"bytes=1000000-{size - 1}", None]


def test_a_line_that_drops_all_the_time_is_given_up(proxy: Meddler, made: Made, ways: Ways) -> None:
    digest = made.layers[0].digest
    proxy.cuts(digest, 0, times=100)
    with pytest.raises(Interrupted) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert proxy.host in caught.value.message
    assert proxy.count("GET", digest) == 5
    nothing_half_done(ways.store)


def test_the_next_pull_goes_on_with_what_an_earlier_one_received(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    digest = made.layers[0].digest
    proxy.cuts(digest, 1_000_000)
    proxy.cuts(digest, 0, times=5, skips=1)
    name = proxy.name(f"{made.repository}:v1")
    with pytest.raises(Interrupted):
        ways.pull(name)
    nothing_half_done(ways.store)
    proxy.rules.clear()
    proxy.asked.clear()
    assert is_whole(ways.store, ways.pull(name).image)
    (asked,) = ranges(proxy, digest)
    assert asked is not None
    assert int(asked.removeprefix("bytes=").partition("-")[0]) > 500_000
    assert not list(ways.store.layout.tmp.iterdir())


def test_what_an_earlier_pull_received_may_be_rubbish(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    digest = made.layers[0].digest
    part = ways.store.layout.tmp / f"part-{digest.removeprefix('sha256:')}"
    for rubbish in (b"rubbish" * 1000, bytes(len(made.layers[0].blob) + 1)):
        part.write_bytes(rubbish)
        pulled = ways.pull(proxy.name(f"{made.repository}:v1"))
        assert is_whole(ways.store, pulled.image)
        ways.store.images.remove(pulled.image.id, force=True)


def test_verified_layers_of_a_failed_pull_are_not_fetched_again(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    good, bad = layer(a=b"good"), layer(b=noise(100_000))
    put_image(server, repository, "v1", good, bad)

    def later(reply: Reply) -> Reply:
        reply.pause = 0.5
        reply.cut_at = 0
        return reply

    proxy.rule("GET", bad.digest, later, times=100)
    name = proxy.name(f"{repository}:v1")
    with pytest.raises(Interrupted):
        ways.pull(name)
    proxy.rules.clear()
    ways.pull(name)
    assert proxy.count("GET", good.digest) == 1
    assert ways.store.check() == ()


def test_damaged_bytes_are_fetched_again(proxy: Meddler, made: Made, ways: Ways) -> None:
    digest = made.layers[0].digest
    proxy.corrupts(digest, 1_500_000)
    assert is_whole(ways.store, ways.pull(proxy.name(f"{made.repository}:v1")).image)
    assert proxy.count("GET", digest) == 2


@pytest.mark.parametrize("at", [0, 20, 1_500_000, -1])
def test_bytes_that_stay_damaged_are_refused(
    proxy: Meddler, made: Made, ways: Ways, at: int
) -> None:
    proxy.corrupts(made.layers[0].digest, at, times=100)
    with pytest.raises(ContentMismatch) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message.endswith(f"which should have {made.layers[0].digest}")
    nothing_half_done(ways.store)
    assert not list(ways.store.layout.tmp.iterdir())


def lengthened(reply: Reply) -> Reply:
    reply.body += b"more"
    return reply


def shortened(reply: Reply) -> Reply:
    reply.body = reply.body[:-4]
    return reply


def endless(reply: Reply) -> Reply:
    reply.is_endless = True
    return reply


def overstated(reply: Reply) -> Reply:
    reply.length = len(reply.body) + 100
    return reply


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lengthened, "offers {more} bytes for the layer {digest}, which has {size}"),
        (shortened, "offers {less} bytes for the layer {digest}, which has {size}"),
        (endless, "sends more than the {size} bytes that the layer {digest} has"),
        (overstated, "offers {much} bytes for the layer {digest}, which has {size}"),
    ],
)
def test_lies_about_sizes_are_refused(
    proxy: Meddler, made: Made, ways: Ways, lie: Callable[[Reply], Reply], message: str
) -> None:
    layer = made.layers[0]
    proxy.rule("GET", layer.digest, lie, times=100)
    with pytest.raises(ContentMismatch) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    size = len(layer.blob)
    values = {"more": size + 4, "less": size - 4, "much": size + 100, "size": size}
    assert caught.value.message == f"`{proxy.host}` " + message.format(
        digest=layer.digest, **values
    )
    nothing_half_done(ways.store)


@pytest.mark.parametrize("pattern", ["/manifests/", "/blobs/{config}"])
def test_documents_do_not_get_endless(proxy: Meddler, made: Made, ways: Ways, pattern: str) -> None:
    where = pattern.format(config=made.image_id)
    proxy.rule("GET", where, endless, times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert "which is too long" in caught.value.message
    nothing_half_done(ways.store)


def test_a_manifest_must_have_the_digest_that_was_asked_for(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    one = put_image(server, repository, "v1", layer(a=b"one"))
    two = put_image(server, repository, "v2", layer(a=b"two"))
    proxy.answers(one.digest, 200, two.manifest, Content_Type="application/json")
    with pytest.raises(ContentMismatch) as caught:
        ways.pull(f"{proxy.name(repository)}@{one.digest}")
    assert caught.value.message == (
        f"the manifest that `{proxy.host}` sent has the digest {two.digest}, "
        f"and should have {one.digest}"
    )
    nothing_half_done(ways.store)


def test_a_configuration_must_have_its_digest(proxy: Meddler, made: Made, ways: Ways) -> None:
    proxy.corrupts(made.image_id, 5, times=100)
    with pytest.raises(ContentMismatch):
        ways.pull(proxy.name(f"{made.repository}:v1"))
    nothing_half_done(ways.store)


# Servers with an excuse ---------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("where", ["/manifests/", "{config}", "{layer}"])
def test_excuses_that_pass_are_waited_for(
    proxy: Meddler, made: Made, ways: Ways, status: int, where: str
) -> None:
    pattern = where.format(config=made.image_id, layer=made.layers[0].digest)
    proxy.answers(pattern, status, times=2)
    assert is_whole(ways.store, ways.pull(proxy.name(f"{made.repository}:v1")).image)


@pytest.mark.parametrize("where", ["/manifests/", "{config}", "{layer}"])
def test_excuses_that_do_not_pass_are_told(
    proxy: Meddler, made: Made, ways: Ways, where: str
) -> None:
    pattern = where.format(config=made.image_id, layer=made.layers[0].digest)
    proxy.fails(pattern, 503, "UNAVAILABLE", "The storage is being mended.", times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message.endswith(f": `{proxy.host}` answers: the storage is being mended")
    assert proxy.count("GET", pattern) == 5
    nothing_half_done(ways.store)


def test_too_many_requests_are_told_with_a_way_out(proxy: Meddler, made: Made, ways: Ways) -> None:
    proxy.fails("/manifests/", 429, "TOOMANYREQUESTS", "You have reached your limit", times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message == (
        f"cannot read the manifest of `{made.repository}:v1`: `{proxy.host}` has had too many "
        "requests: you have reached your limit"
    )
    assert caught.value.hint == "wait a while, or log in, which most registries count for more"


def test_a_server_that_wants_an_hour_is_not_waited_for(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    proxy.answers("/manifests/", 429, times=100, Retry_After="3600")
    with pytest.raises(RegistryError):
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert proxy.count("GET", "/manifests/") == 1


def test_a_refusal_is_not_repeated(proxy: Meddler, made: Made, ways: Ways) -> None:
    proxy.fails("/manifests/", 403, "DENIED", "requested access to the resource is denied")
    with pytest.raises(AccessDenied) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message == (
        f"`{proxy.host}` denies access: cannot read the manifest of `{made.repository}:v1`: "
        "requested access to the resource is denied"
    )
    assert caught.value.hint == (f"if it is private, log in first: `dissolver login {proxy.host}`")
    assert proxy.count("GET", "/manifests/") == 1


# Redirects ----------------------------------------------------------------------------


def test_a_redirected_layer_comes_from_the_other_host(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    layer = made.layers[0]
    seen: list[dict[str, str]] = []

    class Elsewhere(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            seen.append(dict(self.headers.items()))
            start = int(
                self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            )
            self.reply(206 if start else 200, layer.blob[start:], **self._place(start))

        def _place(self, start: int) -> dict[str, str]:
            size = len(layer.blob)
            return {"Content_Range": f"bytes {start}-{size - 1}/{size}"} if start else {}

    with http_server(Elsewhere) as host:
        where = f"http://{host}/signed?signature=s3cr3t"
        proxy.answers(layer.digest, 307, Location=where, times=100)
        assert is_whole(ways.store, ways.pull(proxy.name(f"{made.repository}:v1")).image)
    assert len(seen) == 1


def test_redirects_that_lead_in_circles_end(proxy: Meddler, made: Made, ways: Ways) -> None:
    where = f"http://{proxy.host}/v2/{made.repository}/blobs/{made.image_id}"
    proxy.answers(made.image_id, 307, Location=where, times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message == f"`{where}` redirects more than 5 times"


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://[::1",
        "http://127.0.0.1:99999999/",
        "http://127.0.0.1:a:b/",
        "http://a b/",
    ],
)
def test_redirects_to_other_things_are_refused(
    proxy: Meddler, made: Made, ways: Ways, target: str
) -> None:
    proxy.answers(made.image_id, 302, Location=target, times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{made.repository}:v1"))
    assert caught.value.message.endswith("redirects to something that is no web address")


def test_a_signed_address_is_in_no_message(proxy: Meddler, made: Made, ways: Ways) -> None:
    class Refusing(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            self.reply(500)

    with http_server(Refusing) as host:
        where = f"http://{host}/signed?signature=s3cr3t"
        proxy.answers(made.layers[0].digest, 307, Location=where, times=100)
        with pytest.raises(RegistryError) as caught:
            ways.pull(proxy.name(f"{made.repository}:v1"))
    assert "s3cr3t" not in told(caught.value)


def told(error: DissolverError) -> str:
    """Give everything of an error and of what led to it."""
    seen: BaseException | None = error
    texts = []
    while seen is not None:
        texts += [str(seen), repr(seen), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


# Ending early -------------------------------------------------------------------------


def test_a_pull_can_be_cancelled_while_the_server_is_silent(
    proxy: Meddler, made: Made, ways: Ways
) -> None:
    started = threading.Event()

    class Stalling(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            self.send_response(200)
            self.send_header("Content-Length", str(len(made.layers[0].blob)))
            self.end_headers()
            self.wfile.write(made.layers[0].blob[:1000])
            started.set()
            finished.wait(20)

    finished = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            ways.pull(proxy.name(f"{made.repository}:v1"))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failures.append(error)

    with http_server(Stalling) as host:
        proxy.answers(made.layers[0].digest, 307, Location=f"http://{host}/", times=100)
        thread = threading.Thread(target=run)
        thread.start()
        assert started.wait(10)
        ways.patience.cancel()
        thread.join(5)
        finished.set()
        assert not thread.is_alive()
    assert [type(error) for error in failures] == [Cancelled]
    nothing_half_done(ways.store)


def test_the_failure_of_one_layer_ends_the_others(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    slow, bad = layer(a=noise(100_000)), layer(b=b"bad")
    put_image(server, repository, "v1", slow, bad)
    proxy.fails(bad.digest, 403, "DENIED", "no", times=100)
    finished = threading.Event()

    class Stalling(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            self.send_response(200)
            self.send_header("Content-Length", str(len(slow.blob)))
            self.end_headers()
            finished.wait(20)

    with http_server(Stalling) as host:
        proxy.answers(slow.digest, 307, Location=f"http://{host}/", times=100)
        with pytest.raises(AccessDenied):
            ways.pull(proxy.name(f"{repository}:v1"))
        finished.set()
    nothing_half_done(ways.store)
    proxy.rules.clear()
    assert ways.pull(proxy.name(f"{repository}:v1")).is_new


def test_two_pulls_at_once_fetch_a_layer_once(
    proxy: Meddler, made: Made, new_store: Callable[[], Store]
) -> None:
    store = new_store()
    proxy.rule("GET", made.layers[0].digest, paused, times=100)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            Ways(store).pull(proxy.name(f"{made.repository}:v1"))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert proxy.count("GET", made.layers[0].digest) == 1
    assert store.check() == ()


def paused(reply: Reply) -> Reply:
    reply.pause = 0.3
    return reply


def test_a_broken_error_is_no_worse_than_a_status(proxy: Meddler, made: Made, ways: Ways) -> None:
    for body in (
        b"<html>",
        b"[" * 60_000,
        b'{"errors": 7}',
        b'{"errors": [7]}',
        json.dumps([]).encode(),
    ):
        proxy.answers("/manifests/", 400, body)
        with pytest.raises(RegistryError) as caught:
            ways.pull(proxy.name(f"{made.repository}:v1"))
        assert caught.value.message == (
            f"cannot read the manifest of `{made.repository}:v1`: `{proxy.host}` answers: "
            "status 400"
        )
