"""Builds on images that only a registry has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dissolver.build.builder import build, explain_plan
from dissolver.build.events import Vertex, VertexStatus
from dissolver.build.request import BuildRequest
from dissolver.errors import ImageNotFound, UnknownStage
from dissolver.registry.access import open_sources
from dissolver.registry.resolve import Sources
from dissolver.registry.settings import RegistrySettings
from dissolver.store import Store
from registry.images import layer, noise, put_image, put_index
from registry.meddler import Meddler
from registry.servers import free_port

OpenSources = Callable[[Callable[[], bool]], AbstractContextManager[Sources]]


@pytest.fixture
def registries() -> OpenSources:
    return partial(open_sources, RegistrySettings(is_offline=True))


class Built:
    """Builds of Dockerfiles in one store, and what they told."""

    def __init__(self, store: Store, context: Path, registries: OpenSources) -> None:
        self.store = store
        self.context = context
        self.registries = registries
        self.events: list[Any] = []

    def __call__(self, text: str, **options: Any) -> Any:
        self.events.clear()
        request = BuildRequest(str(self.context), dockerfile_text=text, **options)
        return build(self.store, request, self.events.append, open_sources=self.registries)

    def names(self) -> list[str]:
        told = {event.id: event.name for event in self.events if isinstance(event, Vertex)}
        return [name for name in told.values() if "FROM" in name or "metadata" in name]


@pytest.fixture
def built(store: Store, tmp_path: Path, registries: OpenSources) -> Built:
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text("mine", encoding="ascii")
    return Built(store, context, registries)


def test_layers_are_fetched_when_the_stage_is_needed(
    proxy: Meddler, repository: str, built: Built
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=noise(300_000)))
    other = put_image(proxy.upstream, repository, "v2", layer(b=b"never"))
    name = proxy.name(repository)
    result = built(
        f"FROM {name}:v2 AS unused\nCOPY file /\nFROM {name}:v1\nCOPY file /\n", tags=("app",)
    )
    assert built.names() == [
        f"[internal] load metadata for {name}:v1",
        f"[stage-1 1/2] FROM {name}@{made.digest}",
    ]
    assert proxy.count("GET", other.digest) == 0
    view = built.store.layers.view(result.image.config.diff_ids)
    assert (view.read("a", limit=1 << 20), view.read("file", limit=9)) == (noise(300_000), b"mine")
    assert built.store.images.resolve(f"{name}:v1").id == made.image_id
    statuses = [one for one in built.events if isinstance(one, VertexStatus)]
    (last,) = [one for one in statuses if one.id == made.layers[0].digest and one.completed]
    assert last.current == last.total == len(made.layers[0].blob)
    assert built.store.check() == ()


def test_an_image_that_is_there_is_not_asked_for(
    proxy: Meddler, repository: str, built: Built
) -> None:
    put_image(proxy.upstream, repository, "v1", layer(a=b"a"))
    text = f"FROM {proxy.name(repository)}:v1\nCOPY file /\n"
    first = built(text)
    asked = len(proxy.asked)
    second = built(text)
    assert len(proxy.asked) == asked
    assert second.image.id == first.image.id
    assert all(step.cached for step in second.steps)
    assert built(text, pull=True).image.id == first.image.id
    assert proxy.count("GET", "/blobs/") == 2
    put_image(proxy.upstream, repository, "v1", layer(a=b"new"))
    assert built(text).image.id == first.image.id
    assert built(text, pull=True).image.id != first.image.id


def test_stages_on_one_base_fetch_it_once(proxy: Meddler, repository: str, built: Built) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=noise(300_000)))
    name = proxy.name(f"{repository}:v1")
    built(
        f"FROM {name} AS one\nCOPY file /one\nFROM {name} AS two\nCOPY file /two\n"
        f"FROM {name}\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
        f"COPY --from={name} /a /again\n"
    )
    assert proxy.count("GET", made.layers[0].digest) == 1
    assert proxy.count("GET", "/manifests/") == 1


def test_files_are_copied_from_images_that_only_a_registry_has(
    proxy: Meddler, repository: str, built: Built
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"from there"))
    name = proxy.name(f"{repository}:v1")
    result = built(f"FROM scratch\nCOPY --from={name} /a /b\n")
    assert f"FROM {proxy.name(repository)}@{made.digest}" in built.names()
    view = built.store.layers.view(result.image.config.diff_ids)
    assert view.read("b", limit=99) == b"from there"


def test_a_platform_that_is_asked_for_is_fetched(
    proxy: Meddler, repository: str, built: Built
) -> None:
    made = [
        put_image(proxy.upstream, repository, "", layer(a=text.encode()), architecture=text)
        for text in ("amd64", "arm64")
    ]
    put_index(proxy.upstream, repository, "v1", ("linux/amd64", made[0]), ("linux/arm64", made[1]))
    name = proxy.name(f"{repository}:v1")
    built(f"FROM {name}\n")
    result = built(f"FROM --platform=linux/arm64 {name}\nCOPY file /\n")
    assert result.image.config.architecture == "arm64"
    with pytest.raises(ImageNotFound) as caught:
        built(f"FROM --platform=linux/s390x {name}\n")
    assert caught.value.message == (
        f"the local image is for `linux/arm64`, not for `linux/s390x`, and `{name}` has no "
        "image for `linux/s390x`"
    )
    assert caught.value.where is not None


def test_what_nobody_has_is_told_with_its_place(
    proxy: Meddler, repository: str, built: Built
) -> None:
    dead = f"127.0.0.1:{free_port()}/x"
    for name, why in (
        (proxy.name(f"{repository}:v1"), f"`{proxy.host}` does not have it"),
        (dead, "connection refused"),
        ("nowhere", "is not asked, because `offline` is set"),
    ):
        with pytest.raises(ImageNotFound) as caught:
            built(f"FROM scratch AS a\nFROM {name}\n")
        assert caught.value.message.startswith("there is no local image `")
        assert caught.value.message.endswith(why)
        assert caught.value.where is not None
        assert caught.value.where.line == 2
    assert built.store.images.list() == []


def test_a_slip_of_a_stage_s_name_is_still_seen(built: Built) -> None:
    with pytest.raises(UnknownStage) as caught:
        built("FROM scratch AS builder\nCOPY file /\nFROM scratch\nCOPY --from=bulider /file /\n")
    assert caught.value.hint is not None
    assert "`builder`" in caught.value.hint


def test_a_plan_reads_documents_and_no_layer(proxy: Meddler, repository: str, built: Built) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"a"))
    request = BuildRequest(
        str(built.context), dockerfile_text=f"FROM {proxy.name(repository)}:v1\nCOPY file /\n"
    )
    assert "COPY file /" in explain_plan(built.store, request, built.registries)
    assert proxy.count("GET", made.layers[0].digest) == 0


def test_a_failed_fetch_fails_the_build_and_leaves_nothing(
    proxy: Meddler, repository: str, built: Built
) -> None:
    from dissolver.errors import ContentMismatch

    made = put_image(proxy.upstream, repository, "v1", layer(a=noise(100_000)))
    proxy.corrupts(made.layers[0].digest, 500, times=9)
    with pytest.raises(ContentMismatch):
        built(f"FROM {proxy.name(repository)}:v1\nCOPY file /\n", tags=("app",))
    assert built.store.images.list() == []
    failed = [one for one in built.events if isinstance(one, Vertex) and one.error]
    assert failed[0].name.endswith(f"FROM {proxy.name(repository)}@{made.digest}")


def test_a_variant_that_goes_without_saying_makes_no_other_platform(
    proxy: Meddler, repository: str, built: Built
) -> None:
    """Images for arm64 say `v8` or say nothing, and `--platform` says nothing."""
    made = put_image(
        proxy.upstream, repository, "v1", layer(a=b"arm"), architecture="arm64", variant="v8"
    )
    text = f"FROM --platform=linux/arm64 {proxy.name(repository)}:v1\nCOPY file /\n"
    built(text)
    asked = len(proxy.asked)
    again = built(text, platform="linux/arm64")
    assert len(proxy.asked) == asked
    assert again.image.config.diff_ids[0] == made.layers[0].diff_id


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        (
            (
                "FROM --platform=linux/arm64 {name} AS other\n"
                "FROM {name}\nCOPY --from=other /arm64 /\n"
            ),
            "linux/amd64",
        ),
        (
            (
                "FROM {name} AS mine\nFROM --platform=linux/arm64 {name} AS other\n"
                "FROM --platform=linux/amd64 {name}\nCOPY --from=other /arm64 /\n"
                "COPY --from=mine /amd64 /again\n"
            ),
            None,
        ),
    ],
)
@pytest.mark.parametrize("first", ["", "linux/arm64", "linux/amd64"])
def test_one_name_is_an_image_for_each_platform_of_a_build(
    proxy: Meddler, repository: str, built: Built, text: str, platform: str | None, first: str
) -> None:
    made = {
        text: put_image(
            proxy.upstream, repository, "", layer(**{text: text.encode()}), architecture=text
        )
        for text in ("amd64", "arm64")
    }
    put_index(proxy.upstream, repository, "v1", *((f"linux/{text}", made[text]) for text in made))
    name = proxy.name(f"{repository}:v1")
    if first:
        # An image for one of them is there already, under the name of both.
        built(f"FROM --platform={first} {name}\nCOPY file /\n")
    result = built(text.format(name=name), platform=platform)
    assert result.image.config.platform.architecture == "amd64"
    view = built.store.layers.view(result.image.config.diff_ids)
    assert [view.read(path, limit=9) for path in ("amd64", "arm64")] == [b"amd64", b"arm64"]
    assert built.store.check() == ()
