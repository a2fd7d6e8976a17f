"""Builds that are pushed, or leave on bases from a registry."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dissolver.build.builder import build
from dissolver.build.events import Vertex
from dissolver.build.request import BuildRequest, BuildResult
from dissolver.errors import AccessDenied
from dissolver.export.output import parse_output
from dissolver.image.platform import platform_of_machine
from dissolver.image.reference import parse_reference
from dissolver.registry.access import open_sources
from dissolver.registry.pull import pull
from dissolver.registry.settings import RegistrySettings
from dissolver.store import Store
from registry.images import layer, noise, put_image, sha256
from registry.meddler import Meddler
from registry.servers import RegistryServer

GZIP, ZSTD = (f"application/vnd.oci.image.layer.v1.tar+{kind}" for kind in ("gzip", "zstd"))


class Builder:
    """Builds of one store, with outputs in the words of the command line."""

    def __init__(self, store: Store, context: Path) -> None:
        self.store = store
        self.context = context
        self.names: dict[int, str] = {}
        (context / "file").write_text("mine", encoding="ascii")

    def __call__(self, text: str, *outputs: str, **options: Any) -> BuildResult:
        def on_event(event: object) -> None:
            if isinstance(event, Vertex):
                self.names[event.id] = event.name

        self.names.clear()
        request = BuildRequest(
            str(self.context),
            dockerfile_text=text,
            outputs=tuple(parse_output(output) for output in outputs),
            **options,
        )
        sources = partial(open_sources, RegistrySettings(is_offline=True))
        return build(self.store, request, on_event, open_sources=sources)


@pytest.fixture
def built(store: Store, tmp_path: Path) -> Builder:
    context = tmp_path / "context"
    context.mkdir()
    return Builder(store, context)


def layers_of(server: RegistryServer, repository: str, version: str) -> list[tuple[str, str]]:
    manifest = server.manifest(repository, version)
    return [(one["mediaType"], one["digest"]) for one in manifest["layers"]]


def test_an_image_is_pushed_under_all_its_names_with_the_bytes_of_its_base(
    proxy: Meddler, repository: str, built: Builder
) -> None:
    server = proxy.upstream
    base = put_image(server, f"{repository}/base", "v1", layer(a=noise(100_000)))
    one, two = (proxy.name(f"{repository}/app:{tag}") for tag in ("1", "2"))
    result = built(
        f"FROM {proxy.name(repository)}/base:v1\nCOPY file /\n",
        f"type=image,name={two},push=true",
        tags=(one,),
    )
    (told,) = result.outputs
    assert (told.kind, told.image, told.names) == ("image", result.image.id, (one, two))
    for version in ("1", "2", told.digest or ""):
        manifest = server.manifest(f"{repository}/app", version)
        assert manifest["config"]["digest"] == result.image.id
        assert manifest["layers"][0]["digest"] == base.layers[0].digest
    assert result.digest == told.digest
    assert result.metadata["containerimage.digest"] == told.digest
    assert proxy.count("PATCH", "/base/") == proxy.count("PUT", "/base/") == 0
    assert [name for name in built.names.values() if "pushing" in name] == [
        f"pushing {one}",
        f"pushing {two}",
    ]
    assert built.store.images.resolve(one).id == result.image.id


def test_a_push_by_digest_leaves_no_tag(
    server: RegistryServer, repository: str, built: Builder
) -> None:
    name = server.name(repository)
    result = built(
        "FROM scratch\nCOPY file /\n",
        f"type=image,name={name},push-by-digest=true,name-canonical=true,push=true",
    )
    (told,) = result.outputs
    assert told.digest is not None
    assert server.manifest(repository, told.digest)["config"]["digest"] == result.image.id
    status, _, body = server.ask("GET", f"/v2/{repository}/tags/list")
    assert (status, json.loads(body).get("tags")) in ((200, None), (200, []), (404, None))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [GZIP, GZIP]),
        (",compression=zstd", [GZIP, ZSTD]),
        (",compression=zstd,compression-level=19,force-compression=true", [ZSTD, ZSTD]),
    ],
)
def test_compression_is_of_new_layers_unless_it_is_forced(
    server: RegistryServer,
    repository: str,
    built: Builder,
    tmp_path: Path,
    words: str,
    expected: list[str],
) -> None:
    base = put_image(server, f"{repository}/base", "v1", layer(a=b"a" * 5000))
    text = f"FROM {server.name(repository)}/base:v1\nCOPY file /\n"
    name = server.name(f"{repository}/app:1")
    out = tmp_path / "out"
    result = built(
        text, f"type=registry,name={name}{words}", f"type=oci,dest={out},tar=false{words}"
    )
    pushed, written = result.outputs
    kinds = layers_of(server, f"{repository}/app", "1")
    assert [kind for kind, _ in kinds] == expected
    assert (kinds[0][1] == base.layers[0].digest) == (expected[0] == GZIP)
    # An archive and a registry get the same image, to the last byte of its manifest.
    assert written.digest == pushed.digest
    blob = (written.digest or "").removeprefix("sha256:")
    assert sha256((out / "blobs" / "sha256" / blob).read_bytes()) == pushed.digest


def test_machines_that_share_a_registry_make_the_same_image(
    server: RegistryServer,
    repository: str,
    built: Builder,
    new_store: Callable[[], Store],
    tmp_path: Path,
) -> None:
    put_image(server, repository, "v1", layer(a=noise(50_000)))
    text = f"FROM {server.name(repository)}:v1\nCOPY file /\nWORKDIR /w\n"
    arguments = {"SOURCE_DATE_EPOCH": "1000000000"}
    digests = []
    for number, store in enumerate((built.store, new_store())):
        context = tmp_path / f"machine-{number}"
        context.mkdir()
        builder = Builder(store, context)
        output = f"type=oci,dest={tmp_path / str(number)},rewrite-timestamp=true"
        result = builder(text, output, build_args=arguments)
        digests.append(result.outputs[0].digest)
    assert digests[0] == digests[1]


def test_what_a_machine_did_before_does_not_matter(
    server: RegistryServer,
    repository: str,
    built: Builder,
    new_store: Callable[[], Store],
    tmp_path: Path,
) -> None:
    text, epoch = "FROM scratch\nCOPY file /\n", {"SOURCE_DATE_EPOCH": "1000000000"}
    name = server.name(f"{repository}:1")
    rewritten = ",rewrite-timestamp=true"
    fresh = built(text, f"type=oci,dest={tmp_path / 'fresh'}{rewritten}", build_args=epoch)
    # The same layer as zstd, known to this store from a push and to another one from a pull.
    zstd = f"type=registry,name={name},compression=zstd{rewritten}"
    assert built(text, zstd, build_args=epoch).digest != fresh.digest
    other = new_store()
    sources = open_sources(RegistrySettings(is_offline=True), lambda: False)
    with sources as registries:
        reference = parse_reference(name)
        pull(other, registries, reference, platform_of_machine(os.uname().machine))
    for number, store in enumerate((built.store, other)):
        context = tmp_path / f"again-{number}"
        context.mkdir()
        again = Builder(store, context)(
            text,
            f"type=oci,dest={tmp_path / str(number)}{rewritten}",
            f"type=registry,name={server.name(repository)}:again{rewritten}",
            build_args=epoch,
        )
        assert {one.digest for one in again.outputs} == {fresh.digest}


def test_a_push_that_is_refused_fails_the_build_and_keeps_what_was_made(
    proxy: Meddler, repository: str, built: Builder
) -> None:
    proxy.fails("/blobs/uploads/", 403, "DENIED", "not for you", times=99, method="POST")
    name = proxy.name(f"{repository}:1")
    with pytest.raises(AccessDenied):
        built("FROM scratch\nCOPY file /\n", f"type=image,name={name},push=true")
    assert built.store.images.resolve(name).config.diff_ids != ()
    again = built("FROM scratch\nCOPY file /\n", "type=cacheonly")
    assert all(step.cached for step in again.steps)
