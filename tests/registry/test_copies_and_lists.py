"""Copies between registries, and lists of images for several platforms."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dissolver.errors import ContentMismatch, ImageNotFound, NotInRegistry, RegistryError
from dissolver.image import media_types
from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.registry import lists
from dissolver.registry.copying import Copied, copy_image
from registry.conftest import AMD64, Ways, nothing_half_done
from registry.images import DOCKER_LAYER, Made, layer, noise, put_image, put_index
from registry.meddler import Meddler
from registry.servers import NO_REGISTRY, PROGRAM, RegistryServer, registry_server
from scene import Cli

ARM64 = Platform("linux", "arm64")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Another registry."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(tmp_path_factory.mktemp("second")) as running:
        yield running


def put_both(server: RegistryServer, repository: str) -> tuple[Made, Made, str]:
    """Put an image for two platforms into a registry; answer its parts and its digest."""
    made = [
        put_image(
            server, repository, "", layer(a=text.encode(), b=noise(50_000, text)), architecture=text
        )
        for text in ("amd64", "arm64")
    ]
    digest = put_index(server, repository, "v1", ("linux/amd64", made[0]), ("linux/arm64", made[1]))
    return made[0], made[1], digest


def copied(ways: Ways, source: str, target: str, platform: Platform | None = None) -> Copied:
    return copy_image(
        ways.store,
        ways.sources,
        parse_reference(source),
        parse_reference(target),
        platform=platform,
        on_event=ways.events.append,
    )


def test_an_index_is_copied_with_all_its_images(
    server: RegistryServer, second: RegistryServer, repository: str, ways: Ways
) -> None:
    amd, arm, digest = put_both(server, repository)
    made = copied(ways, server.name(f"{repository}:v1"), second.name(f"{repository}:v2"))
    assert made.digest == digest
    assert made.sent_bytes > 100_000
    for platform, one in ((AMD64, amd), (ARM64, arm)):
        pulled = ways.pull(second.name(f"{repository}:v2"), platform, is_strict=True)
        assert (pulled.digest, pulled.image.id) == (digest, one.image_id)
    again = copied(ways, server.name(f"{repository}:v1"), second.name(f"{repository}:v2"))
    assert again.sent_bytes == 0


def test_one_platform_is_copied_if_it_is_asked_for(
    server: RegistryServer, second: RegistryServer, repository: str, ways: Ways
) -> None:
    _, arm, _ = put_both(server, repository)
    target = second.name(f"{repository}:arm")
    assert copied(ways, server.name(f"{repository}:v1"), target, ARM64).digest == arm.digest
    with pytest.raises(NotInRegistry):
        copied(ways, server.name(f"{repository}:v1"), target, Platform("linux", "s390x"))


def test_a_copy_within_a_registry_sends_nothing(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    _, _, digest = put_both(server, repository)
    made = copied(ways, server.name(f"{repository}:v1"), server.name(f"{repository}/copy:v1"))
    assert (made.digest, made.sent_bytes) == (digest, 0)


def test_damaged_bytes_are_not_copied(
    proxy: Meddler, second: RegistryServer, repository: str, ways: Ways
) -> None:
    amd, _, _ = put_both(proxy.upstream, repository)
    proxy.corrupts(amd.layers[0].digest, 100, times=9)
    with pytest.raises(ContentMismatch):
        copied(ways, proxy.name(f"{repository}:v1"), second.name(f"{repository}:v1"))
    assert second.ask("GET", f"/v2/{repository}/manifests/v1")[0] == 404
    nothing_half_done(ways.store)


def made_list(ways: Ways, name: str, *images: str, amends: bool = False) -> lists.ManifestList:
    return lists.create(
        ways.store,
        ways.sources,
        parse_reference(name),
        [parse_reference(image) for image in images],
        amends=amends,
    )


def test_images_become_an_index(server: RegistryServer, repository: str, ways: Ways) -> None:
    for text in ("amd64", "arm64"):
        put_image(server, repository, text, layer(a=text.encode()), architecture=text)
    name = server.name(f"{repository}:all")
    made_list(ways, name, server.name(f"{repository}:amd64"))
    with pytest.raises(RegistryError) as caught:
        made_list(ways, name, server.name(f"{repository}:arm64"))
    assert caught.value.message == f"there is a list `{name}` already"
    made = made_list(ways, name, server.name(f"{repository}:arm64"), amends=True)
    assert made.index().media_type == media_types.OCI_INDEX
    digest = lists.push_list(ways.store, ways.sources, parse_reference(name), purges=True)
    for platform in (AMD64, ARM64):
        pulled = ways.pull(name, platform, is_strict=True)
        assert (pulled.digest, pulled.image.config.platform) == (digest, platform)
    with pytest.raises(ImageNotFound):
        lists.get(ways.store, parse_reference(name))


def test_what_several_add_to_a_list_at_once_is_all_in_it(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    tags = [f"a{number}" for number in range(6)]
    for tag in ("first", *tags):
        put_image(server, repository, tag, layer(a=tag.encode()), architecture=tag)
    name = server.name(f"{repository}:all")
    made_list(ways, name, server.name(f"{repository}:first"))
    threads = [
        threading.Thread(
            target=made_list,
            args=(Ways(ways.store), name, server.name(f"{repository}:{tag}")),
            kwargs={"amends": True},
        )
        for tag in tags
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lists.get(ways.store, parse_reference(name)).entries) == 7


def test_what_an_index_says_of_a_platform_stays_so_in_a_list(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    """Windows chooses among images by it."""
    made = put_image(server, repository, "", layer(a=b"a"), os="windows")
    put_index(server, repository, "v1", ("windows/amd64", made))
    index = server.manifest(repository, "v1", media_types.OCI_INDEX)
    platform = index["manifests"][0]["platform"]
    platform |= {"os.version": "10.0.17763.1", "os.features": ["win32k"]}
    server.put_manifest(repository, "v1", index, media_types.OCI_INDEX)
    name = server.name(f"{repository}:all")
    made_list(ways, name, server.name(f"{repository}:v1"))
    lists.push_list(ways.store, ways.sources, parse_reference(name))
    (entry,) = server.manifest(repository, "all", media_types.OCI_INDEX)["manifests"]
    assert entry["platform"] == platform


def test_images_of_elsewhere_come_along(
    server: RegistryServer, second: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(
        server,
        f"{repository}/amd",
        "v1",
        layer(DOCKER_LAYER, a=b"amd"),
        media_type=media_types.DOCKER_MANIFEST,
    )
    name = second.name(f"{repository}:all")
    built = made_list(ways, name, server.name(f"{repository}/amd:v1"))
    assert built.index().media_type == media_types.DOCKER_INDEX
    digest = lists.push_list(ways.store, ways.sources, parse_reference(name))
    pulled = ways.pull(name, AMD64, is_strict=True)
    assert (pulled.digest, pulled.image.id) == (digest, made.image_id)


def test_what_a_list_says_can_be_changed(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    image = server.name(f"{repository}:v1")
    put_image(server, repository, "v1", layer(a=b"a"), architecture="arm")
    name = server.name(f"{repository}:all")
    made_list(ways, name, image)
    lists.annotate(
        ways.store,
        parse_reference(name),
        parse_reference(image),
        platform={"variant": "v6"},
        annotations={"a": "1"},
    )
    lists.push_list(ways.store, ways.sources, parse_reference(name))
    (entry,) = server.manifest(repository, "all", media_types.OCI_INDEX)["manifests"]
    assert entry["platform"] == {"architecture": "arm", "os": "linux", "variant": "v6"}
    assert entry["annotations"] == {"a": "1"}
    with pytest.raises(ImageNotFound) as caught:
        lists.annotate(
            ways.store,
            parse_reference(name),
            parse_reference("nowhere"),
            platform={},
            annotations={},
        )
    assert caught.value.message == f"the list `{name}` has no image `nowhere:latest`"


def test_the_commands_do_all_that(
    cli: Cli, server: RegistryServer, second: RegistryServer, repository: str
) -> None:
    made = {
        text: put_image(server, repository, text, layer(a=text.encode()), architecture=text)
        for text in ("amd64", "arm64")
    }
    name = server.name(f"{repository}:all")
    images = [server.name(f"{repository}:{text}") for text in made]
    assert cli("manifest", "create", name, *images).stdout == f"Created manifest list {name}\n"
    cli("manifest", "annotate", name, images[1], "--variant", "v8")
    assert '"variant": "v8"' in cli("manifest", "inspect", name).stdout
    digest = cli("manifest", "push", "-p", "-q", name).stdout.strip()
    shown = cli("manifest", "inspect", "-v", name).stdout
    assert f'"Digest": "{digest}"' in shown
    assert all(one.digest in shown for one in made.values())
    there = second.name(f"{repository}:all")
    assert cli("image", "copy", "-q", name, there).stdout.strip() == digest
    words = ("image", "inspect", "--remote", "--platform", "linux/arm64", there)
    form = "{{.Architecture}} {{.Id}} {{index .RepoDigests 0}}"
    assert cli(*words, "-f", form).stdout == (
        f"arm64 {made['arm64'].image_id} {second.name(repository)}@{digest}\n"
    )
    assert cli("images", "-q").stdout == ""
    assert cli("manifest", "rm", name, check=False).returncode == 1
