"""What `--cache-from` and `--cache-to` say, as values and as mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.cache.shared.options import (
    CacheExport,
    CacheImport,
    Place,
    Word,
    read_exports,
    read_imports,
)
from dissolver.errors import BadCacheOption

BUCKET = "type=s3,bucket=b,endpoint_url=http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("app", [Place("registry", ref="app")]),
        ("a:1,r.lan/b", [Place("registry", ref="a:1"), Place("registry", ref="r.lan/b")]),
        ("type=registry,ref=r.lan/b:c", [Place("registry", ref="r.lan/b:c")]),
        ("type=local,src=/c", [Place("local", path="/c")]),
        ('type=local,"src=/a,b",tag=t', [Place("local", path="/a,b", tag="t")]),
        ({"type": "local", "src": "/c", "digest": "sha256:1"}, [
            Place("local", path="/c", digest="sha256:1")
        ]),
        ("type=s3,bucket=b,region=r,prefix=p/,name=x;y,use_path_style=true", [
            Place("s3", bucket="b", region="r", prefix="p/", names=("x", "y"), is_path_style=True)
        ]),
        ("type=s3,bucket=b,access_key_id=k,secret_access_key=s,session_token=t", [
            Place("s3", bucket="b", key="k", secret="s", token="t")
        ]),
    ],
)  # fmt: skip
def test_imports_are_read(word: Word, places: list[Place]) -> None:
    assert list(read_imports([word])) == [CacheImport(place) for place in places]


@pytest.mark.parametrize(
    ("word", "export"),
    [
        ("app", CacheExport(Place("registry", ref="app"))),
        ("type=inline", CacheExport(Place("inline"))),
        ("type=registry,ref=a,mode=max,ignore-error=true",
         CacheExport(Place("registry", ref="a"), mode="max", ignores_errors=True)),
        ("type=local,dest=/c,compression=zstd,force-compression=true,oci-mediatypes=true",
         CacheExport(Place("local", path="/c"), compression="zstd", forces_compression=True)),
        (f"{BUCKET},mode=min,compression=uncompressed",
         CacheExport(Place("s3", bucket="b", endpoint="http://127.0.0.1:9000"),
                     compression="none")),
    ],
)  # fmt: skip
def test_exports_are_read(word: str, export: CacheExport) -> None:
    assert read_exports([word]) == (export,)


def test_a_directory_is_that_of_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (export,) = read_exports(["type=local,dest=cache"])
    assert export.place.path == str(tmp_path / "cache")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ref=a", "`--cache-from` has no `type=`"),
        ("type=registry", "`--cache-from type=registry` has no `ref=`"),
        ("type=local,dest=/c", "`dest` is no key of `--cache-from type=local`"),
        ("type=registry,ref=a,mode=max", "`mode` is no key of `--cache-from type=registry`"),
        ("type=registry,a", "`a` in `--cache-from` has to be `key=value`"),
        ('"type=x', "`--cache-from` cannot be cut at its commas"),
        ("type=gha", "`type=gha` in `--cache-from` is not built in"),
        ("type=tape", "unknown type `tape` in `--cache-from`"),
        ("type=inline", "an inline cache lies in an image, and is asked for by its name"),
        ("type=s3,bucket=b,name=../x", "`name=../x` in `--cache-from` names no cache"),
        (
            "type=s3,bucket=b,endpoint_url=http://k:s@h",
            (
                "`endpoint_url` in `--cache-from` has to be an `http://` or `https://` address "
                "without credentials"
            ),
        ),
    ],
)
def test_mistakes_of_imports_are_told(word: str, message: str) -> None:
    with pytest.raises(BadCacheOption) as caught:
        read_imports([word])
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("type=registry,ref=a,mode=mid", "unknown mode `mid` in `--cache-to`"),
        ("type=inline,compression=zstd", "`compression` is no key of `--cache-to type=inline`"),
        (
            "type=inline,mode=max",
            "an image can hold records of its own steps only, and no cache with `mode=max`",
        ),
        (
            "type=registry,ref=a,ignore-error=maybe",
            "`ignore-error` in `--cache-to` is `true` or `false`, and not `maybe`",
        ),
        (
            "type=registry,ref=a,image-manifest=false",
            "a cache is written as an OCI image manifest, and not with `image-manifest=false`",
        ),
        ("type=local,dest=/c,compression=estargz", "unknown compression `estargz` in `--cache-to`"),
        (
            "type=registry,ref=a,compression-level=9",
            "`compression-level` is no key of `--cache-to type=registry`",
        ),
        ("type=local,dest=/c,reset=true", "`reset` is no key of `--cache-to type=local`"),
    ],
)
def test_mistakes_of_exports_are_told(word: str, message: str) -> None:
    with pytest.raises(BadCacheOption) as caught:
        read_exports([word])
    assert caught.value.message == message


def test_credentials_are_in_no_message() -> None:
    (asked,) = read_imports(["type=s3,bucket=b,access_key_id=KK,secret_access_key=SS"])
    assert "SS" not in repr(asked)
    assert "KK" not in repr(asked)
    with pytest.raises(BadCacheOption) as caught:
        read_imports(["type=s3,secret_access_key=SS"])
    assert "SS" not in f"{caught.value.message}{caught.value.hint}"
