"""Where an image is, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.errors import BadReference
from dissolver.exchange.places import (
    ArchivePlace,
    LayoutPlace,
    Place,
    RegistryPlace,
    StorePlace,
    made_absolute,
    parse_place,
)
from dissolver.image.digest import parse_digest
from dissolver.image.reference import parse_reference

DIGEST = parse_digest(f"sha256:{'0' * 64}")
NODE = parse_reference("node:22")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("node:22", RegistryPlace(NODE)),
        ("docker://node:22", RegistryPlace(NODE)),
        ("docker://oci:22", RegistryPlace(parse_reference("oci:22"))),
        ("host:5000/oci:22", RegistryPlace(parse_reference("host:5000/oci:22"))),
        ("store:node:22", StorePlace("node:22")),
        ("oci:some/dir", LayoutPlace("oci", Path("some/dir"))),
        ("oci:some/dir:v1", LayoutPlace("oci", Path("some/dir"), "v1")),
        (f"oci:dir@{DIGEST}", LayoutPlace("oci", Path("dir"), None, DIGEST)),
        (f"oci:dir:v1@{DIGEST}", LayoutPlace("oci", Path("dir"), "v1", DIGEST)),
        ("oci:a@b", LayoutPlace("oci", Path("a@b"))),
        ("oci:a:b/c", LayoutPlace("oci", Path("a:b/c"))),
        ("oci-archive:/a/b.tar:v1", LayoutPlace("oci-archive", Path("/a/b.tar"), "v1")),
        ("docker-archive:a.tar", ArchivePlace(Path("a.tar"))),
        ("docker-archive:a.tar:node:22", ArchivePlace(Path("a.tar"), NODE)),
        ("docker-archive:a.tar:node", ArchivePlace(Path("a.tar"), parse_reference("node"))),
    ],
)
def test_places_are_read(text: str, place: Place) -> None:
    assert parse_place(text) == place


def test_what_exists_is_a_path_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:v1").mkdir()
    assert parse_place("oci:a:v1") == LayoutPlace("oci", Path("a:v1"))
    assert parse_place("oci:a:v1:v2") == LayoutPlace("oci", Path("a:v1"), "v2")
    assert parse_place("docker-archive:a:v1") == ArchivePlace(Path("a:v1"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("oci:", "`oci:` names nothing", "write `oci:DIRECTORY[:TAG]`"),
        ("store:", "`store:` names nothing", "write `store:NAME`"),
        (
            "docker-daemon:node:22",
            "`docker-daemon:` is no place that is known here",
            "`docker save` it, and copy `docker-archive:FILE`",
        ),
        (
            "dir:/tmp/x",
            "`dir:` is no place that is known here",
            "copy it to an OCI layout: `skopeo copy dir:DIR oci:DIR`",
        ),
    ],
)
def test_other_words_are_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse_place(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node", "node"),
        ("store:node", "store:node"),
        ("oci:a:v1", "oci:/here/a:v1"),
        (f"oci:/a@{DIGEST}", f"oci:/a@{DIGEST}"),
        ("docker-archive:a.tar:node", "docker-archive:/here/a.tar:node:latest"),
    ],
)
def test_paths_are_made_absolute_for_other_processes(text: str, expected: str) -> None:
    assert made_absolute(text, Path("/here")) == expected
    assert made_absolute(expected, Path("/other")) == expected
