"""What the tests of the store put on its shelves: layers, images, containers, records."""

from __future__ import annotations

import hashlib
import io
import signal
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dissolver.image.config import HistoryEntry, Image, ImageConfig
from dissolver.image.mutate import with_layer
from dissolver.image.reference import parse_reference
from dissolver.store import Store
from dissolver.store.containers import ContainerRecord
from dissolver.store.records import StepRecord
from forms import FORM

SECOND = 1_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of the test's own."""
    with Store(tmp_path / "store", tmp_path / "run", layers=FORM) as made:
        yield made


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Write a tar with these files; equal files give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def add_layer(store: Store, text: str) -> str:
    """Store a layer with one file of 8 KiB that holds ``text`` again and again."""
    content = (text.encode() * 8192)[:8192]
    content_tar = tar_of({"file": content})
    with store.workspace() as place:
        (place / "layer.tar").write_bytes(content_tar)
        diff_id = store.layers.ingest(str(place / "layer.tar")).diff_id
    assert diff_id == f"sha256:{hashlib.sha256(content_tar).hexdigest()}"
    return diff_id


def config_of(*diff_ids: str, created: int = SECOND) -> ImageConfig:
    config = ImageConfig("amd64", "linux", created=created)
    for diff_id in diff_ids:
        config = with_layer(config, diff_id, HistoryEntry(created=created))
    return config


def add_image(store: Store, layers: str, *tags: str, created: int = SECOND) -> Image:
    """Store an image with a layer for every word of ``layers``."""
    diff_ids = [add_layer(store, word) for word in layers.split()]
    return store.images.put(
        config_of(*diff_ids, created=created), tags=[parse_reference(tag) for tag in tags]
    )


def add_container(store: Store, image: Image, name: str) -> ContainerRecord:
    identity = uuid.uuid4().hex * 2
    record = ContainerRecord(identity, name, image.id, SECOND, b"{}")
    store.containers.add(record)
    store.containers.directory(identity).mkdir()
    return record


def add_record(store: Store, key: str, diff_id: str, **fields: Any) -> StepRecord:
    values = {"kind": "run", "created_ns": 7, "build": "b", "step": "s", "inputs": (("a", "1"),)}
    record = StepRecord(key=key, diff_id=diff_id, **{**values, **fields})
    store.records.put(record)
    return record
