"""Annotations: where they lie, and for which image they are."""

from __future__ import annotations

import pytest

from dissolver.errors import BadOption
from dissolver.image.annotations import (
    Annotation,
    Annotations,
    annotations_for,
    parse_annotations,
)
from dissolver.image.platform import Platform

AMD64 = Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a", [Annotation("a", "1")]),
        ("org.opencontainers.image.title", [Annotation("org.opencontainers.image.title", "1")]),
        ("manifest:a", [Annotation("a", "1")]),
        ("manifest:a:b", [Annotation("a:b", "1")]),
        ("manifest-descriptor:a", [Annotation("a", "1", "manifest-descriptor")]),
        ("manifest[linux/amd64]:a", [Annotation("a", "1", "manifest", "linux/amd64")]),
        (
            "manifest,manifest-descriptor:a",
            [Annotation("a", "1"), Annotation("a", "1", "manifest-descriptor")],
        ),
    ],
)
def test_a_key_may_begin_with_places(key: str, expected: list[Annotation]) -> None:
    assert list(parse_annotations({key: "1"})) == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("index:a", "`index` annotations need an index, and a build makes one image"),
        ("manifest,index-descriptor:a",
         "`index-descriptor` annotations need an index, and a build makes one image"),
        ("layer:a", "annotations have no place `layer`"),
        ("Manifest:a", "annotations have no place `Manifest`"),
        ("manifest[]:a", "annotations have no place `manifest[]`"),
        (":a", "annotations have no place ``"),
        ("manifest:", "`manifest:` is no name of an annotation"),
        ("", "`` is no name of an annotation"),
        ("a b", "`a b` is no name of an annotation"),
    ],
)  # fmt: skip
def test_a_key_that_means_nothing_is_refused(key: str, message: str) -> None:
    with pytest.raises(BadOption) as raised:
        parse_annotations({key: "1"})
    assert raised.value.message == message


def test_annotations_are_sorted_out_by_their_place() -> None:
    given = parse_annotations(
        {"a": "1", "manifest-descriptor:a": "2", "manifest[amd64]:b": "3", "manifest:a": "4"}
    )
    assert annotations_for(given, AMD64) == Annotations({"a": "4", "b": "3"}, {"a": "2"})


def test_an_annotation_for_another_platform_is_refused() -> None:
    given = parse_annotations({"manifest[linux/arm64]:a": "1"})
    with pytest.raises(BadOption) as raised:
        annotations_for(given, AMD64)
    assert raised.value.message == (
        "the annotation `a` is for `linux/arm64`, and the image is for `linux/amd64`"
    )


def test_nothing_said_counts_as_nothing() -> None:
    assert not Annotations()
    assert Annotations({}, {"a": "1"})
