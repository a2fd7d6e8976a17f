"""Buckets without a server, and without the client."""

from __future__ import annotations

import sys
import time

import pytest

from dissolver.cache.shared.bucket_depot import BucketDepot
from dissolver.cache.shared.options import Place
from dissolver.errors import BadCacheOption, BucketError
from dissolver.image.platform import Platform
from scene import free_port


def test_without_the_client_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(BadCacheOption) as caught:
        BucketDepot(Place("s3", bucket="b"))
    assert caught.value.message == "caches in buckets need `boto3`, which is not installed"
    assert caught.value.hint == "install it with `pip install 'dissolver[s3]'`"


def test_a_server_that_is_not_there_is_waited_for_shortly() -> None:
    port = free_port()
    place = Place("s3", bucket="b", endpoint=f"http://127.0.0.1:{port}", key="k", secret="SS")
    began = time.monotonic()
    with pytest.raises(BucketError) as caught:
        BucketDepot(place).manifest(Platform("linux", "amd64"))
    assert time.monotonic() - began < 15
    assert caught.value.message.startswith("cannot read `manifests/dissolver`: could not connect")
    assert "SS" not in caught.value.message


def test_a_cache_is_called_by_its_server_bucket_and_name() -> None:
    place = Place("s3", bucket="b", endpoint="http://h", prefix="p/", names=("x", "y"))
    assert BucketDepot(place).name == "s3:http://h/b/p/manifests/x"
    assert BucketDepot(Place("s3", bucket="b")).name == "s3:/b/manifests/dissolver"
