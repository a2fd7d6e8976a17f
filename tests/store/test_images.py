"""Images and their names."""

from __future__ import annotations

import pytest

from dissolver.errors import AmbiguousIdentifier, BadReference, ImageNotFound, InUse, StoreError
from dissolver.image.config import encode_config
from dissolver.image.digest import digest_of
from dissolver.image.reference import parse_reference
from dissolver.store import Store
from dissolver.store.images import Removal
from shelf import SECOND, add_container, add_image, add_layer, config_of


def test_an_image_is_identified_by_the_digest_of_its_configuration(store: Store) -> None:
    config = config_of(add_layer(store, "a"))
    image = store.images.put(config)
    assert image.id == digest_of(encode_config(config))
    assert store.images.get(image.id) == image


def test_the_size_of_an_image_is_the_sum_of_its_layers_contents(store: Store) -> None:
    assert add_image(store, "a b c").size == 3 * 8192


def test_an_image_without_layers_has_size_zero(store: Store) -> None:
    assert add_image(store, "").size == 0


def test_storing_an_image_again_changes_nothing(store: Store) -> None:
    first = add_image(store, "a", "one:1")
    assert add_image(store, "a", "one:1") == first
    assert len(store.images.list()) == 1


def test_an_image_whose_layer_is_missing_is_refused(store: Store) -> None:
    absent = "sha256:" + "5" * 64
    with pytest.raises(StoreError) as caught:
        store.images.put(config_of(absent), tags=[parse_reference("a")])
    assert absent in caught.value.message
    assert store.images.list() == []
    assert store.blobs.list() == []


def test_a_document_from_elsewhere_is_kept_byte_for_byte(store: Store) -> None:
    document = b'{ "os": "linux",  "architecture": "amd64", "odd": [1] }'
    from dissolver.image.config import decode_config

    image = store.images.put(decode_config(document), document=document)
    assert image.id == digest_of(document)
    assert store.blobs.get(image.id) == document
    assert store.images.get(image.id).config.unknown == {"odd": [1]}


@pytest.mark.parametrize(
    "text",
    [
        "debian:bookworm-slim",
        "docker.io/library/debian:bookworm-slim",
        "library/debian:bookworm-slim",
        "index.docker.io/library/debian:bookworm-slim",
    ],
)
def test_an_image_is_found_by_every_spelling_of_its_name(store: Store, text: str) -> None:
    image = add_image(store, "a", "debian:bookworm-slim")
    assert store.images.resolve(text) == image


def test_a_name_without_a_tag_means_latest(store: Store) -> None:
    image = add_image(store, "a", "app")
    add_image(store, "b", "app:1")
    assert store.images.resolve("app") == image
    assert store.images.resolve("app:latest") == image


@pytest.mark.parametrize("length", [1, 2, 6, 12, 63, 64])
def test_an_image_is_found_by_every_prefix_of_its_id(store: Store, length: int) -> None:
    image = add_image(store, "a")
    digits = image.id.removeprefix("sha256:")[:length]
    assert store.images.resolve(digits) == image
    assert store.images.resolve(f"sha256:{digits}") == image


def test_an_image_is_found_by_its_name_with_its_id_as_digest(store: Store) -> None:
    image = add_image(store, "a", "app:1")
    assert store.images.resolve(f"app@{image.id}") == image
    with pytest.raises(ImageNotFound):
        store.images.resolve(f"other@{image.id}")
    with pytest.raises(ImageNotFound):
        store.images.resolve(f"ap@{image.id}")


def test_a_reference_with_a_digest_is_a_name_of_its_own(store: Store) -> None:
    digest = "sha256:" + "d" * 64
    image = add_image(store, "a", f"app@{digest}")
    assert store.images.resolve(f"app@{digest}") == image
    with pytest.raises(ImageNotFound):
        store.images.resolve("app")


def test_a_name_wins_over_an_id_prefix_of_the_same_spelling(store: Store) -> None:
    one = add_image(store, "a")
    two = add_image(store, "b", one.id.removeprefix("sha256:")[:8])
    assert store.images.resolve(one.id.removeprefix("sha256:")[:8]) == two
    assert store.images.resolve(one.id.removeprefix("sha256:")[:9]) == one


def test_a_prefix_of_two_ids_is_ambiguous(store: Store) -> None:
    # 17 images have two that begin with the same digit, whatever the digests are.
    images = [add_image(store, f"{number:02}") for number in range(17)]
    digits = [image.id.removeprefix("sha256:")[0] for image in images]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(AmbiguousIdentifier) as caught:
        store.images.resolve(twice)
    assert caught.value.message == f"`{twice}` is the beginning of more than one image ID"


def test_a_missing_image_names_the_commands_that_can_provide_it(store: Store) -> None:
    with pytest.raises(ImageNotFound) as caught:
        store.images.resolve("debian:bookworm-slim")
    assert caught.value.message == "there is no local image `debian:bookworm-slim`"
    assert caught.value.hint == (
        "make it with `dissolver image bootstrap bookworm -t debian:bookworm-slim`, "
        "`dissolver import FILE debian:bookworm-slim` or "
        "`dissolver build -t debian:bookworm-slim PATH`, "
        "or fetch it with `dissolver pull debian:bookworm-slim`"
    )


def test_a_missing_id_is_told_as_an_id(store: Store) -> None:
    with pytest.raises(ImageNotFound) as caught:
        store.images.resolve("sha256:abc")
    assert caught.value.message == "no local image has an ID that begins with `sha256:abc`"


@pytest.mark.parametrize("text", ["", "UPPER", "a b", "x:y:z:", "-a"])
def test_what_can_be_neither_name_nor_id_is_a_bad_reference(store: Store, text: str) -> None:
    with pytest.raises(BadReference):
        store.images.resolve(text)


def test_images_are_listed_newest_first_with_their_names(store: Store) -> None:
    old = add_image(store, "a", "old:2", "old:1", created=SECOND)
    new = add_image(store, "b", created=2 * SECOND)
    rows = store.images.list()
    assert [row.image.id for row in rows] == [new.id, old.id]
    assert [[name.familiar for name in row.references] for row in rows] == [[], ["old:1", "old:2"]]


def test_a_tag_moves_to_the_image_that_gets_it(store: Store) -> None:
    first = add_image(store, "a", "app")
    second = add_image(store, "b", "app")
    assert store.images.resolve("app") == second
    assert store.images.references(first.id) == ()
    store.images.tag(first.id, parse_reference("app"))
    assert store.images.resolve("app") == first


def test_a_missing_image_cannot_be_tagged(store: Store) -> None:
    with pytest.raises(ImageNotFound):
        store.images.tag("sha256:" + "0" * 64, parse_reference("app"))


def test_untagging_leaves_the_image(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.untag(parse_reference("app"))
    assert store.images.get(image.id) == image
    with pytest.raises(ImageNotFound):
        store.images.untag(parse_reference("app"))


# Removing -------------------------------------------------------------------------


def test_removing_one_of_two_names_only_untags(store: Store) -> None:
    image = add_image(store, "a", "app:1", "app:2")
    assert store.images.remove("app:1") == Removal(("app:1",), ())
    assert store.images.get(image.id) == image


def test_removing_the_last_name_removes_image_and_layers(store: Store) -> None:
    image = add_image(store, "a", "app:1")
    assert store.images.remove("app:1") == Removal(("app:1",), (image.id,))
    assert store.images.list() == []
    assert store.layers.list() == []
    assert store.blobs.list() == []


def test_removing_by_id_takes_all_names_of_one_repository(store: Store) -> None:
    image = add_image(store, "a", "app:1", "app:2")
    assert store.images.remove(image.id[:19]) == Removal(("app:1", "app:2"), (image.id,))


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_name_that_an_id_could_begin_with_is_a_name(store: Store, is_forced: bool) -> None:
    image = add_image(store, "a", "app:1")
    for name in ("s", "sha256", image.id.removeprefix("sha256:")[:3]):
        store.images.tag(image.id, parse_reference(name))
        removal = store.images.remove(name, force=is_forced)
        assert removal == Removal((f"{name}:latest",), ())
    assert [reference.familiar for reference in store.images.references(image.id)] == ["app:1"]


def test_removing_by_id_with_names_in_two_repositories_needs_force(store: Store) -> None:
    image = add_image(store, "a", "app:1", "other:1")
    with pytest.raises(InUse) as caught:
        store.images.remove(image.id)
    assert "`app:1`, `other:1`" in caught.value.message
    removal = store.images.remove(image.id, force=True)
    assert removal == Removal(("app:1", "other:1"), (image.id,))


def test_an_image_that_a_stopped_container_uses_is_kept_until_forced(store: Store) -> None:
    image = add_image(store, "a", "app")
    container = add_container(store, image, "web")
    with pytest.raises(InUse) as caught:
        store.images.remove("app", is_running=lambda _: False)
    assert caught.value.message == "the image `app` is used by the stopped container `web`"
    removal = store.images.remove("app", force=True, is_running=lambda _: False)
    assert removal == Removal(("app:latest",), (image.id,))
    # The container still stands on its layers.
    assert store.containers.layers(container.id) == image.config.diff_ids
    assert store.layers.list() == list(image.config.diff_ids)


def test_an_image_that_a_running_container_uses_is_kept_even_when_forced(store: Store) -> None:
    image = add_image(store, "a", "app")
    add_container(store, image, "web")
    with pytest.raises(InUse) as caught:
        store.images.remove(image.id, force=True, is_running=lambda _: True)
    assert "running container `web`" in caught.value.message
    assert caught.value.hint == "remove that first: `dissolver rm -f web`"


def test_one_of_several_names_goes_even_while_a_container_runs(store: Store) -> None:
    image = add_image(store, "a", "app:1", "app:2")
    add_container(store, image, "web")
    assert store.images.remove("app:2") == Removal(("app:2",), ())


def test_removing_an_image_keeps_layers_that_others_share(store: Store) -> None:
    base = add_image(store, "a", "base")
    app = add_image(store, "a b", "app")
    store.images.remove("app")
    assert store.layers.list() == list(base.config.diff_ids)
    assert app.config.diff_ids[0] == base.config.diff_ids[0]


def test_an_image_removed_during_a_build_loses_its_files_later(store: Store) -> None:
    import threading

    image = add_image(store, "a", "app")
    inside, over = threading.Event(), threading.Event()

    def build() -> None:
        with store.lock_shared():
            inside.set()
            over.wait(10)

    thread = threading.Thread(target=build)
    thread.start()
    inside.wait(10)
    store.images.remove("app")
    assert store.layers.list() == list(image.config.diff_ids)
    over.set()
    thread.join()
    assert store.collect() > 0
    assert store.layers.list() == []


def test_removing_what_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(ImageNotFound):
        store.images.remove("app")
